// Models: versions, cards, the last retraining with its verdict; train, cancel, serve another version.

import { address, showWho, get, onChange, request, say, telling } from "./api.js";
import { html, render, useEffect, useState } from "../vendor/htm-preact.js";
import { number, time } from "./words.js";

const BUSY = ["reading", "training", "judging", "calibrating"];
const AGAIN_MS = 3000;

/** @param {Record<string, any>} metrics of one evaluation */
const figures = (metrics) => Object.entries(metrics).filter(([name, value]) => typeof value === "number" && /^(dice_lv|ef_mae|ef_r|patients|images)/.test(name));

/** A figure of the version before and of this one. @param {any} difference @param {number} digits */
const change = (difference, digits) => (difference ? `${number(difference.published, digits)} → ${number(difference.candidate, digits)}` : "");

/** @param {{model: any, training: any, changed: () => void}} props */
function Model({ model, training, changed }) {
  const busy = training && BUSY.includes(training.state);
  const [shown, setShown] = useState(false);
  /** @param {string} method @param {string} url @param {string} done @param {any} [body] */
  const act = (method, url, done, body) => telling(async () => {
    await request(method, url, body);
    say(done, "good");
    changed();
  });
  return html`<section class="card" aria-label=${model.name}>
    <h2>${model.name} ${model.card ? html`<span class="quiet">${model.card.version}, ${model.card.network}, ${model.engine ?? "not loaded yet"}</span>` : html`<span class="bad">${model.reason}</span>`}</h2>
    <p>${model.description}. Views: ${model.views.join(", ")}.</p>
    ${model.card ? html`<p class="quiet">Learned from ${model.card.trained_on}. Licence: ${model.card.licence}.</p>` : ""}
    <div class="bar">
      <button class="administrators" disabled=${busy} onClick=${() => act("POST", address(`/train/${model.name}`), `${model.name} is being retrained.`, {})}>Retrain on corrections</button>
      ${busy ? html`<button class="administrators" onClick=${() => act("DELETE", address("/train/"), "The training was stopped.")}>Stop</button>` : ""}
      ${model.card ? html`<button aria-expanded=${shown} onClick=${() => setShown(!shown)}>${shown ? "Hide the card" : "Show the card"}</button>` : ""}
    </div>
    ${shown && model.card ? html`<table><thead><tr><th>Evaluation</th><th>Figure</th><th class="number">Value</th></tr></thead><tbody>
      ${Object.entries(model.card.metrics).flatMap(([name, metrics]) => figures(metrics).map(([figure, value], k) => html`<tr><td>${k ? "" : name}</td><td>${figure}</td><td class="number">${value}</td></tr>`))}</tbody></table>` : ""}
    ${training ? html`<h3>Last retraining: ${training.state}</h3>
      <p>${training.reason || (busy ? `epoch ${number(training.epoch, 1)} of ${training.settings.epochs ?? "–"}${training.eta_s ? `, ${Math.ceil(training.eta_s / 60)} min left` : ""}` : "")}</p>
      <p class="quiet">${training.training_patients} patients to learn from, ${training.validation_patients} to judge by. ${time(training.changed_at)}</p>
      ${training.verdict ? html`<table><thead><tr><th>Judged on validation patients</th><th class="number">Published</th><th class="number">Candidate</th></tr></thead><tbody>
        ${["dice", "ef_error_pct"].filter((name) => training.verdict[name]).map((name) => html`<tr><td>${name === "dice" ? "mean Dice" : "EF error in points"}</td><td class="number">${number(training.verdict[name].published, 3)}</td><td class="number">${number(training.verdict[name].candidate, 3)}</td></tr>`)}</tbody></table>` : ""}
      ${training.curve?.length ? html`<img alt=${`Loss and Dice of the last retraining of ${model.name}`} src=${address(`/cardiac/training/${model.name}/curve.png`, { at: training.changed_at })} style=${{ maxWidth: "100%" }} />` : ""}` : ""}
    ${model.versions.length > 1 ? html`<h3>Versions</h3><table><thead><tr><th>Version</th><th>Published</th><th>Why</th><th class="number">Mean Dice, before → after</th><th class="number">EF error in points</th><th></th></tr></thead><tbody>
      ${[...model.versions].reverse().map((version) => html`<tr><td>${version.number}${version.served ? " (served)" : ""}</td><td>${time(version.note?.published_at)}</td><td>${version.note?.why ?? "shipped"}</td>
        <td class="number">${change(version.note?.dice, 3)}</td><td class="number">${change(version.note?.ef_error_pct, 1)}</td>
        <td>${version.note?.curve?.length ? html`<a href=${address(`/cardiac/models/${model.name}/versions/${version.number}/curve.png`)} target="_blank" rel="noopener">Curve</a> ` : ""}${version.served ? "" : html`<button class="administrators" onClick=${() => act("POST", address(`/cardiac/models/${model.name}/rollback`, { version: version.number }), `Version ${version.number} is served.`)}>Serve</button>`}</td></tr>`)}</tbody></table>` : ""}
  </section>`;
}

function Models() {
  const [models, setModels] = useState(/** @type {any[] | null} */ (null));
  const [trainings, setTrainings] = useState(/** @type {any[]} */ ([]));
  const load = () => telling(async () => {
    const [listed, runs] = await Promise.all([get(address("/cardiac/models")), get(address("/cardiac/training"))]);
    setTrainings(runs);
    setModels(listed);
  });
  useEffect(() => {
    load();
    const events = onChange(load);
    const timer = setInterval(load, AGAIN_MS);
    return () => {
      events.close();
      clearInterval(timer);
    };
  }, []);
  if (!models) return html`<p class="quiet">Loading …</p>`;
  return html`<div class="stack">${models.map((model) => html`<${Model} key=${model.name} model=${model} training=${trainings.find((run) => run.model === model.weights)} changed=${load} />`)}</div>`;
}

showWho();
const app = document.getElementById("app");
if (app) {
  app.replaceChildren();
  app.removeAttribute("aria-busy");
  render(html`<${Models} />`, app);
}
