// Upload of a patient's files: sent one by one, converted, described by a person, then measured.

import { address, showWho, request, say, ServerError, telling } from "./api.js";
import { html, render, useState } from "../vendor/htm-preact.js";
import { ruler } from "./ruler.js";

const VIEWS = [["unknown", "another view or unknown"], ["A4C", "A4C"], ["A2C", "A2C"], ["SAX", "short axis"]];
const PHASES = [["ED", "still at ED"], ["ES", "still at ES"], ["cine", "cine"]];

/** The files of what was dropped, those in folders too. @param {DataTransfer} transfer @returns {Promise<File[]>} */
async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry !== null && entry !== undefined);
  if (!entries.length) return [...transfer.files];
  /** @param {any} entry @returns {Promise<File[]>} */
  const filesOf = async (entry) => {
    if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
    const reader = entry.createReader();
    const files = [];
    for (;;) {
      const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!part.length) return files;
      for (const inner of part) files.push(...(await filesOf(inner)));
    }
  };
  return (await Promise.all(entries.map(filesOf))).flat();
}

function Upload() {
  const [files, setFiles] = useState(/** @type {File[]} */ ([]));
  const [patient, setPatient] = useState("");
  const [consent, setConsent] = useState(false);
  const [sent, setSent] = useState(-1);
  const [result, setResult] = useState(/** @type {any} */ (null));
  const [isOver, setOver] = useState(false);

  const send = () => telling(async () => {
    const { upload } = await request("POST", address("/cardiac/uploads"));
    try {
      for (const [index, file] of files.entries()) {
        setSent(index);
        const form = new FormData();
        // Files of a series may share a name in different folders; other names tell which images belong together.
        const isShared = files.filter((other) => other.name === file.name).length > 1;
        form.append("file", file, isShared ? `${String(index).padStart(4, "0")}_${file.name}` : file.name);
        await request("PUT", address(`/cardiac/uploads/${upload}`), form);
      }
      setSent(files.length);
      setResult(await request("POST", address(`/cardiac/uploads/${upload}`), { patient: patient.trim(), training_consent: consent }));
    } catch (error) {
      if (!(error instanceof ServerError && error.status === 404)) request("DELETE", address(`/cardiac/uploads/${upload}`)).catch(() => {});
      throw error;
    } finally {
      setSent(-1);
    }
  });

  if (result) return html`<${Result} result=${result} again=${() => { setResult(null); setFiles([]); }} />`;
  const busy = sent >= 0;
  return html`<div class="stack">
    <div class=${`drop ${isOver ? "over" : ""}`}
      onDragOver=${(/** @type {DragEvent} */ event) => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)}
      onDrop=${async (/** @type {DragEvent} */ event) => { event.preventDefault(); setOver(false); if (event.dataTransfer) setFiles(await droppedFiles(event.dataTransfer)); }}>
      <p>Drop the files of one patient here: DICOM, video, pictures, NIfTI, or a folder of a short-axis series.</p>
      <label class="main"><input type="file" multiple aria-label="Files" disabled=${busy} onChange=${(/** @type {any} */ event) => setFiles([...event.target.files])} /></label>
    </div>
    ${files.length ? html`<section class="card"><h2>${files.length} ${files.length === 1 ? "file" : "files"}, ${(files.reduce((sum, file) => sum + file.size, 0) / 1e6).toFixed(1)} MB</h2>
      <p class="quiet">${files.slice(0, 8).map((file) => file.name).join(", ")}${files.length > 8 ? " …" : ""}</p>
      <p><label>Patient <input value=${patient} maxlength="100" placeholder="pseudonym" onInput=${(/** @type {any} */ event) => setPatient(event.target.value)} /></label>
        <span class="quiet"> Leave it blank for a pseudonym. Do not enter a name.</span></p>
      <p><label><input type="checkbox" checked=${consent} onChange=${(/** @type {any} */ event) => setConsent(event.target.checked)} /> The patient consented that models learn from these images.</label></p>
      <button class="main annotators" disabled=${busy} onClick=${send}>Upload</button>
      ${busy ? html` <progress max=${files.length + 1} value=${sent} aria-label="Progress"></progress> <span>${sent < files.length ? `sending ${sent + 1} of ${files.length}` : "converting and recognising views"}</span>` : ""}</section>` : ""}</div>`;
}

/** @param {{result: any, again: () => void}} props */
function Result({ result, again }) {
  const patients = [...new Set(result.images.map((/** @type {any} */ image) => image.patient))];
  return html`<div class="stack"><section class="card"><h2>${result.images.length} ${result.images.length === 1 ? "image" : "images"} of ${patients.join(", ") || "no patient"}</h2>
    <table><thead><tr><th>Image</th><th>View</th><th>Phase</th><th>Pixel size</th><th>Note</th></tr></thead><tbody>
      ${result.images.map((/** @type {any} */ image) => html`<${ImageRow} key=${image.image} image=${image} />`)}</tbody></table>
    ${result.skipped.length ? html`<h3>Left out</h3><ul>${result.skipped.map((/** @type {any} */ row) => html`<li><b>${row.file}</b>: ${row.reason}</li>`)}</ul>` : ""}
    <div class="bar">${patients.map((patient) => html`<a class="button main" href=${address("/study", { patient })}>Open ${patient}</a>`)}<button onClick=${again}>Upload more</button></div></section></div>`;
}

/** @param {{image: any}} props */
function ImageRow({ image }) {
  const [record, setRecord] = useState(image);
  /** @param {Record<string, any>} changes */
  const describe = (changes) => telling(async () => {
    await request("PUT", address(`/cardiac/images/${encodeURIComponent(image.image)}/description`), changes);
    setRecord({ ...record, ...changes, is_sized: record.is_sized || Boolean(changes.mm_per_pixel) });
    say("Noted.", "good");
  });
  /** @param {string} name @param {string[][]} options */
  const choice = (name, options) => html`<select aria-label=${`${name} of ${image.image}`} value=${record[name]} onChange=${(/** @type {any} */ event) => describe({ [name]: event.target.value })}>
    ${options.map(([value, words]) => html`<option value=${value}>${words}</option>`)}</select>`;
  const isAsked = record.view === "unknown";
  return html`<tr><td>${image.image}</td><td>${choice("view", VIEWS)}${isAsked ? html`<br /><span class="flag">What does it show?</span>` : ""}</td><td>${choice("phase", PHASES)}</td>
    <td>${record.is_sized ? "known" : html`<button onClick=${() => ruler(image.image, (mm) => describe({ mm_per_pixel: mm }))}>From the depth ruler …</button>`}</td><td class="quiet">${image.note}</td></tr>`;
}

showWho();
const app = document.getElementById("app");
if (app) {
  app.replaceChildren();
  app.removeAttribute("aria-busy");
  render(html`<${Upload} />`, app);
}
