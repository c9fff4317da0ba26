// A patient's consent to training use, and deletion for good.

import { address, request, say, telling } from "./api.js";
import { html, useEffect, useState } from "../vendor/htm-preact.js";

/** @param {{study: import("./study.js").Study}} props */
export function PatientData({ study }) {
  const place = address(`/cardiac/patients/${encodeURIComponent(study.patient)}`);
  const answers = study.viewers.map((viewer) => viewer.opened.training_consent);
  const [consent, setConsent] = useState(/** @type {boolean | null} */ (answers.includes(false) ? false : answers.every((answer) => answer === true) ? true : null));
  const [dialog, setDialog] = useState(/** @type {"" | "ask" | "busy"} */ (""));
  const [typed, setTyped] = useState("");
  const [erased, setErased] = useState(/** @type {any} */ (null));
  const change = (/** @type {boolean} */ given) => telling(async () => {
    await request("PUT", `${place}/consent`, { training_consent: given });
    setConsent(given);
    say(given ? "Models may learn from this patient." : "No later training uses this patient. What a model has learned stays in it.", "good");
  });
  const erase = () => telling(async () => {
    setDialog("busy");
    try {
      const answer = await request("DELETE", place);
      for (const viewer of study.viewers) viewer.edits.forget();
      setErased(answer);
    } catch (error) {
      setDialog("ask");
      throw error;
    }
  });
  useEffect(() => document.getElementById("confirmed")?.focus(), [dialog]);
  const words = consent === null ? "not asked; used for training" : consent ? "given" : "refused; not used for training";
  return html`<section class="card noprint"><h2>Consent and deletion</h2>
    <p>Consent to training: ${words}. <span class="annotators">${consent === false ? html`<button onClick=${() => change(true)}>Note consent</button>` : html`<button onClick=${() => change(false)}>Revoke</button>`}</span></p>
    <p class="administrators"><button class="bad" onClick=${() => setDialog("ask")}>Delete this patient for good …</button></p>
    ${dialog && html`<div class="veil"><div role="alertdialog" aria-modal="true" aria-label="Delete a patient" class="card">
      ${erased ? html`<h2>${study.patient} is deleted</h2>
        <p>${erased.images} images, ${erased.versions} versions of masks, ${erased.files} files: gone, with every copy and record in this studies folder.</p>
        ${erased.left.length ? html`<p class="bad">These still tell the patient; look at them:</p><ul>${erased.left.map((/** @type {string} */ file) => html`<li>${file}</li>`)}</ul>` : ""}
        <p>Not reached: backups, exports, and models that learned from the images. The audit log keeps a pseudonym.</p>
        <a class="button main" href=${address("/")}>To the worklist</a>` : html`<h2>Delete ${study.patient} for good?</h2>
        <p>Images, masks with all their versions, copies and records go, and nobody can bring them back.</p>
        <label>Type the patient's id to confirm <input id="confirmed" value=${typed} onInput=${(/** @type {any} */ event) => setTyped(event.target.value)} /></label>
        <div class="bar"><button class="bad" disabled=${typed !== study.patient || dialog === "busy"} onClick=${erase}>${dialog === "busy" ? "Deleting …" : "Delete for good"}</button>
          <button disabled=${dialog === "busy"} onClick=${() => setDialog("")}>Keep</button></div>`}</div></div>`}
  </section>`;
}
