// Login: with an account of this server, or at the realm.

import { address, login, request, say } from "./api.js";
import { html, render, useState } from "../vendor/htm-preact.js";

const query = new URLSearchParams(location.search);
const next = query.get("next") ?? "/";
const isPlain = location.protocol === "http:" && !["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

/** Address of the page to come back to; the worklist in place of another server's. */
function nextAddress() {
  const here = new URL(address(next.startsWith("/") ? next : "/"), location.origin);
  return here.origin === location.origin ? here.href : address("/");
}

function Login() {
  const [busy, setBusy] = useState(false);
  /** @param {any} event */
  const send = async (event) => {
    event.preventDefault();
    const fields = new FormData(event.target);
    setBusy(true);
    try {
      await request("POST", address("/auth/session"), { username: fields.get("username"), password: fields.get("password") });
      location.assign(nextAddress());
    } catch (error) {
      setBusy(false);
      say(/** @type {Error} */ (error).message, "bad");
    }
  };
  if (login === "none") return html`<p>This server has no login. <a href=${address("/")}>Worklist</a></p>`;
  return html`<section class="card">
    ${isPlain ? html`<p class="bad">This connection is not encrypted: others on the network can read your password.</p>` : ""}
    ${query.get("failed") ? html`<p class="bad">The login was not accepted.</p>` : ""}
    ${login === "realm" ? html`<p><a class="button main" href=${address("/auth/login", { next })}>Log in at your institution</a></p>` : html`
    <form class="form" onSubmit=${send}>
      <label>Name <input name="username" autocomplete="username" autocapitalize="none" required autofocus /></label>
      <label>Password <input name="password" type="password" autocomplete="current-password" required /></label>
      <button class="main" disabled=${busy}>Log in</button>
    </form>`}</section>`;
}

const app = document.getElementById("app");
if (app) {
  app.replaceChildren();
  app.removeAttribute("aria-busy");
  render(html`<${Login} />`, app);
}
