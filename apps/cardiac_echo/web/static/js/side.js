// Numbers, quality, methods and versions beside the images.

import { address } from "./api.js";
import { Dicom } from "./dicom.js";
import { PatientData } from "./patient.js";
import { bestRow } from "./report.js";
import { html } from "../vendor/htm-preact.js";
import { flagWords, interval, methodWords, number, stateWords, time } from "./words.js";

/** @param {{study: import("./study.js").Study}} props */
export function Side({ study }) {
  const { shown, report, dirty, active } = study;
  if (study.reading) return html`<section class="card"><div class="quiet">${study.patient}</div><h2>Repeat reading: ${study.reading}</h2>
    <p>Correct the model's contours as if for the first time. Earlier contours and all numbers are hidden. Submitting keeps this reading beside the masks, which stay as they are.</p>
    <div class="bar annotators"><button class="main" disabled=${study.isSaving} onClick=${() => study.save()}>${study.isSaving ? "Saving …" : "Submit the reading"}</button>
      <a class="button" href=${address("/study", { patient: study.patient })}>Leave</a></div></section>`;
  const best = bestRow(shown);
  const stored = bestRow(report);
  const moved = dirty.length && best && stored && best.ef_pct !== null && stored.ef_pct !== null ? best.ef_pct - stored.ef_pct : null;
  const why = sessionStorage.getItem("cardiolabel:why")?.split("\n") ?? [];
  return html`
    <section class="card" aria-label="Ejection fraction">
      <div class="quiet noprint">${study.patient}</div>
      <div class="ef" aria-live="polite" id="ef">${best ? `EF ${number(best.ef_pct, 0)} %` : "no EF"}</div>
      ${best ? html`<div>${methodWords(best.method)}, ${best.convention} convention${interval(best.ef_low_pct, best.ef_high_pct) ? html`; 90 % interval ${interval(best.ef_low_pct, best.ef_high_pct)} %` : ""}</div>
        <div>EDV ${number(best.edv_ml)} ml · ESV ${number(best.esv_ml)} ml · SV ${number(best.sv_ml)} ml</div>` : html`<div>Not measurable: ${shown.patient.find((/** @type {any} */ row) => row.reason)?.reason ?? "no mask"}</div>`}
      ${moved !== null ? html`<div class="quiet">${moved >= 0 ? "+" : ""}${moved.toFixed(1)} points by unsaved contours</div>` : ""}
      ${study.offline ? html`<div class="bad">The server cannot be reached: numbers are those before.</div>` : ""}
    </section>
    ${active && why[0] === active.opened.image && why[1] ? html`<section class="card"><h2>Why this image</h2>${why[1]}</section>` : ""}
    ${study.conflict ? html`<${Conflict} study=${study} />` : ""}
    <section class="card noprint">
      <h2>Corrections</h2>
      ${dirty.length ? html`<div>Unsaved: ${dirty.map((viewer) => `${viewer.opened.view} ${viewer.opened.phase}`).join(", ")}</div>` : html`<div class="quiet">Drag a point to correct a contour. The numbers follow.</div>`}
      <div class="bar annotators"><button class="main" disabled=${!dirty.length || study.isSaving} onClick=${() => study.save()}>${study.isSaving ? "Saving …" : "Submit"}</button>
        <button disabled=${!dirty.length} onClick=${() => study.giveUp()}>Give up</button><button onClick=${() => study.next()}>Next image</button></div>
    </section>
    <section class="card"><h2>Quality</h2>${shown.quality.length ? html`<ul>${shown.quality.map((/** @type {string} */ flag) => html`<li class="flag">${flag === "foreshortening" ? foreshortening(shown) : flagWords(flag)}</li>`)}</ul>` : html`<div class="good">nothing to look at again</div>`}</section>
    <section class="card"><h2>All methods</h2><table><thead><tr><th>Method</th><th class="number">EDV ml</th><th class="number">ESV ml</th><th class="number">EF %</th></tr></thead>
      <tbody>${shown.patient.filter((/** @type {any} */ row) => row.ef_pct !== null).map((/** @type {any} */ row) => html`<tr>
        <td><button title="Show what it was measured from" aria-pressed=${study.selected === row.method} onClick=${() => study.showSource(row.method)}>${methodWords(row.method)}</button> <span class="quiet">${row.convention}</span></td>
        <td class="number">${number(row.edv_ml)}</td><td class="number">${number(row.esv_ml)}</td><td class="number">${number(row.ef_pct, 1)}${interval(row.ef_low_pct, row.ef_high_pct) ? html`<br /><span class="quiet">${interval(row.ef_low_pct, row.ef_high_pct)}</span>` : ""}</td></tr>`)}</tbody></table>
      ${shown.area_change.filter((/** @type {any} */ row) => row.fac_pct !== null).map((/** @type {any} */ row) => html`<div class="quiet">Fractional area change ${row.view}: ${number(row.fac_pct, 0)} %</div>`)}</section>
    ${active ? html`<section class="card"><h2>${active.opened.view} ${active.opened.phase}: ${stateWords(active.opened.source)}</h2><${Frame} study=${study} /><${Versions} study=${study} /></section>` : ""}
    <p class="noprint"><button onClick=${() => window.print()}>Print a report</button> <label><input type="checkbox" checked=${study.isNamed} onChange=${(/** @type {any} */ event) => { study.isNamed = event.target.checked; study.render(); }} /> with the patient's id</label></p>
    <section class="report"><h2>Left-ventricular function</h2><p>Patient: ${study.isNamed ? study.patient : "______________________"} · ${new Date().toLocaleDateString()}</p>
      <p>Masks: ${Object.entries(shown.sources).map(([image, source]) => `${viewWords(study, image)} ${stateWords(/** @type {string} */ (source))}`).join(", ")}.${shown.model ? ` Model: ${shown.model.name} ${shown.model.version}.` : ""} Research software, not a medical device.</p></section>
    <${Dicom} study=${study} /><${PatientData} study=${study} />
    <p class="noprint"><a href=${address(`/cardiac/patients/${encodeURIComponent(study.patient)}/figure.png`)} target="_blank" rel="noopener">Figure (PNG)</a></p>`;
}

/** @param {import("./study.js").Study} study @param {string} image */
function viewWords(study, image) {
  const opened = study.viewers.find((viewer) => viewer.opened.image === image)?.opened;
  return opened ? `${opened.view} ${opened.phase}` : "";
}

/** Numbers of the shown frame. @param {{study: import("./study.js").Study}} props */
function Frame({ study }) {
  const viewer = study.active;
  if (!viewer) return "";
  const row = study.measured(viewer, viewer.frame);
  if (!row) return "";
  return html`<div>${viewer.opened.is_stack ? "Slice" : "Frame"} ${viewer.frame + 1}: ${row.reason || [["area", row.lv_area_mm2 === null ? null : row.lv_area_mm2 / 100, 1, "cm²"], ["length", row.lv_length_mm, 0, "mm"]].filter(([, value]) => value !== null).map(([name, value, digits, unit]) => `${name} ${number(value, digits)} ${unit}`).join(", ")}</div>`;
}

/** @param {{study: import("./study.js").Study}} props */
function Versions({ study }) {
  const ef = (/** @type {any[] | null} */ rows) => number(rows?.find((row) => row.convention === "guideline")?.ef_pct ?? rows?.[0]?.ef_pct, 0);
  if (!study.versions.length) return html`<div class="quiet">Nobody has corrected it yet.</div>`;
  const reading = `reading ${2 + new Set(study.versions.map((version) => version.info?.reading).filter(Boolean)).size}`;
  return html`<p class="annotators"><a href=${address("/study", { patient: study.patient, image: study.active?.opened.image, reading })}>Read this patient again, blind</a></p>
    <table><thead><tr><th>Version</th><th>Who, when</th><th class="number">EF %</th><th></th></tr></thead><tbody>
    ${[...study.versions].reverse().map((version) => html`<tr><td>${version.version}${version.current ? " (now)" : version.info?.reading ? ` (${version.info.reading})` : ""}</td>
      <td>${version.author || "somebody"}<br /><span class="quiet">${time(version.saved_at)}${version.info?.edit ? `, ${Math.round(version.info.edit.seconds)} s` : ""}</span></td>
      <td class="number">${ef(version.ef_before)} → ${ef(version.ef_after)}</td>
      <td>${version.current ? "" : html`<button class="annotators" onClick=${() => study.rollBack(version.version)}>Use</button>`}</td></tr>`)}</tbody></table>`;
}

/** @param {{study: import("./study.js").Study}} props */
function Conflict({ study }) {
  const { viewer, theirs, message } = study.conflict;
  return html`<section class="card" role="alertdialog" aria-label="Two masks">
    <h2 class="bad">Two masks of ${viewer.opened.view} ${viewer.opened.phase}</h2><p>${message}</p>
    <p>Both are kept as versions. The picture shows yours; which one shall be current?</p>
    <div class="bar"><button class="main" onClick=${() => study.settle(true)}>Mine</button><button onClick=${() => study.settle(false)}>Theirs (version ${theirs.version})</button></div></section>`;
}

/** @param {any} report */
function foreshortening(report) {
  const row = bestRow(report);
  const [a4c, a2c] = [row?.length_a4c_ed_mm, row?.length_a2c_ed_mm];
  if (!a4c || !a2c) return flagWords("foreshortening");
  const [short, long] = a4c < a2c ? ["A4C", "A2C"] : ["A2C", "A4C"];
  return `${short} is ${Math.round(100 * (1 - Math.min(a4c, a2c) / Math.max(a4c, a2c)))} % shorter than ${long} at ED: probably foreshortened`;
}
