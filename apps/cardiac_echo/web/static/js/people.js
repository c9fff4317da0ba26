// People: one's own password, and for administrators the accounts and the audit log.

import { address, get, login, request, say, sender, showWho, telling } from "./api.js";
import { html, render, useEffect, useState } from "../vendor/htm-preact.js";
import { time } from "./words.js";

const ROLES = ["reader", "annotator", "reviewer", "administrator"];

/** Fields of a submitted form; the form is cleared.
 * @param {any} event
 * @returns {Record<string, string>} */
function fieldsOf(event) {
  event.preventDefault();
  return /** @type {any} */ (Object.fromEntries(new FormData(event.target)));
}

function Password() {
  /** @param {any} event */
  const send = (event) => {
    const fields = fieldsOf(event);
    if (fields.new !== fields.again) return say("The new passwords differ.", "bad");
    return telling(async () => {
      await request("PUT", address("/auth/password"), { present: fields.present, new: fields.new });
      event.target.reset();
      say("Your password was changed, and your other logins have ended.", "good");
    });
  };
  return html`<section class="card"><h2>Your password</h2><form class="form" onSubmit=${send}>
    <label>Present password <input name="present" type="password" autocomplete="current-password" required /></label>
    <label>New password, at least 12 characters <input name="new" type="password" autocomplete="new-password" minlength="12" required /></label>
    <label>New password again <input name="again" type="password" autocomplete="new-password" required /></label>
    <button>Change</button></form></section>`;
}

/** @param {{account: any, changed: () => void}} props */
function Row({ account, changed }) {
  const place = address(`/cardiac/accounts/${encodeURIComponent(account.name)}`);
  /** @param {string} method @param {any} body @param {string} words */
  const act = (method, body, words) => telling(async () => {
    await request(method, place, body);
    say(words, "good");
    changed();
  });
  const reset = () => {
    const password = prompt(`New password of ${account.name}, at least 12 characters`);
    if (password) act("PUT", { password }, `${account.name} has a new password.`);
  };
  const remove = () => confirm(`Remove the account ${account.name}? What its owner did stays recorded.`) && act("DELETE", undefined, `${account.name} was removed.`);
  return html`<tr><td>${account.name}</td>
    <td><select aria-label=${`Role of ${account.name}`} value=${account.role} onChange=${(/** @type {any} */ event) => act("PUT", { role: event.target.value }, `${account.name} is ${event.target.value} now.`)}>
      ${ROLES.map((role) => html`<option value=${role} selected=${role === account.role}>${role}</option>`)}</select></td>
    <td class=${account.locked ? "bad" : ""}>${account.locked || "can log in"}</td><td class="quiet">${time(account.changed_at)}</td>
    <td><button onClick=${() => act("PUT", { locked: !account.locked }, account.locked ? `${account.name} can log in.` : `${account.name} is locked.`)}>${account.locked ? "Unlock" : "Lock"}</button>
      ${" "}<button onClick=${reset}>New password</button> <button onClick=${remove}>Remove</button></td></tr>`;
}

function Accounts() {
  const [rows, setRows] = useState(/** @type {any[]} */ ([]));
  const load = () => telling(async () => setRows((await get(address("/cardiac/accounts"))).accounts));
  useEffect(() => void load(), []);
  /** @param {any} event */
  const add = (event) => {
    const fields = fieldsOf(event);
    telling(async () => {
      await request("POST", address("/cardiac/accounts"), fields);
      event.target.reset();
      say(`${fields.name} can log in.`, "good");
      load();
    });
  };
  return html`<section class="card"><h2>Accounts</h2>
    <table><thead><tr><th>Name</th><th>Role</th><th>State</th><th>Changed</th><th></th></tr></thead><tbody>
      ${rows.map((account) => html`<${Row} key=${account.name} account=${account} changed=${load} />`)}</tbody></table>
    <h3>Add an account</h3><form class="form" onSubmit=${add}>
      <label>Name <input name="name" autocomplete="off" maxlength="64" required /></label>
      <label>Role <select name="role">${ROLES.map((role) => html`<option value=${role} selected=${role === "annotator"}>${role}</option>`)}</select></label>
      <label>First password, at least 12 characters <input name="password" type="password" autocomplete="new-password" minlength="12" required /></label>
      <button>Add</button></form></section>`;
}

function Audit() {
  const [events, setEvents] = useState(/** @type {any[]} */ ([]));
  const [isOn, setIsOn] = useState(true);
  const [filter, setFilter] = useState({ who: "", event: "", subject: "" });
  useEffect(() => {
    telling(async () => {
      const answer = await get(address("/cardiac/audit", { ...filter, limit: 300 }));
      setEvents(answer.events);
      setIsOn(answer.is_on);
    });
  }, [filter]);
  const field = (/** @type {"who" | "event" | "subject"} */ name, /** @type {string} */ words) => html`<label>${words} <input value=${filter[name]} onChange=${(/** @type {any} */ event) => setFilter({ ...filter, [name]: event.target.value.trim() })} /></label>`;
  return html`<section class="card"><h2>Audit log</h2>
    ${isOn ? "" : html`<p>It is switched off (CARDIOLABEL_AUDIT_LOG=off).</p>`}
    <div class="bar">${field("who", "Who")}${field("event", "Event")}${field("subject", "Image or patient")}</div>
    <table><thead><tr><th>Time</th><th>Event</th><th>Who</th><th>Role</th><th>From</th><th>Image or patient, pseudonym</th><th class="number">Status</th></tr></thead><tbody>
      ${events.map((event) => html`<tr><td>${time(event.time)}</td><td>${event.event}${event.code && event.code !== "ok" ? html` <span class="quiet">${event.code}</span>` : ""}</td>
        <td>${event.who ?? ""}${event.who && event.authenticated === false ? html` <span class="quiet">(not checked)</span>` : ""}</td><td>${event.role ?? ""}</td><td>${event.client ?? ""}</td><td>${event.subject ?? ""}</td><td class="number">${event.status ?? ""}</td></tr>`)}</tbody></table></section>`;
}

function People() {
  const [user, setUser] = useState(/** @type {any} */ (null));
  useEffect(() => void sender.then(setUser), []);
  return html`<div class="stack">
    ${login === "none" ? html`<section class="card"><p>This server has no login: whoever works on this machine may do everything. For several people, make the first account by <code>cardiolabel accounts add STUDIES NAME --role administrator</code> and start the server anew.</p></section>` : ""}
    ${login === "accounts" && user ? html`<${Password} />` : ""}
    ${login === "accounts" && user?.may_administer ? html`<${Accounts} />` : ""}
    ${login === "realm" ? html`<section class="card"><p>People log in at your institution's login server; their roles are given there.</p></section>` : ""}
    ${login === "none" || user?.may_administer ? html`<${Audit} />` : ""}</div>`;
}

showWho();
const app = document.getElementById("app");
if (app) {
  app.replaceChildren();
  app.removeAttribute("aria-busy");
  render(html`<${People} />`, app);
}
