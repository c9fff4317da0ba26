// The panel in OHIF: EF with interval and flags, area curve, and what to do with the masks.

import { address } from "../api.js";
import { areaCurve } from "../curve.js";
import { storeResults } from "../dicom.js";
import { areasOf, bestRow } from "../report.js";
import { flagWords, interval, methodWords, number, stateWords, time } from "../words.js";
import { opened } from "./images.js";
import { html, render } from "../../vendor/htm-preact.js";

const files = document.querySelector('meta[name="files"]')?.getAttribute("content") ?? "";

/** @param {HTMLElement} place @param {import("./masks.js").Masks} masks */
export function mount(place, masks) {
  for (const name of ["/vendor/uplot.css", "/css/ohif.css"]) {
    const style = document.createElement("link");
    Object.assign(style, { rel: "stylesheet", href: files + name });
    document.head.append(style);
  }
  const numbers = document.createElement("div");
  const curve = document.createElement("div");
  const rest = document.createElement("div");
  const messages = document.createElement("div");
  messages.id = "messages";
  messages.setAttribute("role", "status");
  place.append(numbers, curve, rest, messages);
  /** @type {any} */
  let drawn = null;
  masks.render = () => {
    render(html`<${Numbers} masks=${masks} />`, numbers);
    render(html`<${Work} masks=${masks} />`, rest);
    if (drawn === masks.shown) return;
    drawn = masks.shown;
    plot?.destroy();
    const cines = drawn ? opened.images.filter((image) => drawn.beats[image.image]?.length && !image.is_stack && image.pictures.length > 1) : [];
    const curves = cines.map((image) => areasOf(masks.report, image, drawn.areas?.[image.image]));
    plot = areaCurve(
      curve,
      curves,
      (at) => cines.forEach((image) => masks.goTo(image.image, Math.min(image.pictures.length - 1, Math.round(at * (image.frame_rate_hz ?? 25))))),
      undefined,
      (k, phase, frame) => void masks.setPhase(phase === "ed" ? "ed_frame" : "es_frame", cines[k].image, frame),
    );
  };
  /** @type {ReturnType<typeof areaCurve> | undefined} */
  let plot;
  Object.assign(window, { cardiolabelMasks: masks });
}

/** @param {{masks: import("./masks.js").Masks}} props */
function Numbers({ masks }) {
  const { shown, report, patient, problem } = masks;
  if (problem) return html`<p class="bad">${problem}</p><${Links} masks=${masks} />`;
  if (!shown) return html`<p>Measuring …</p>`;
  const best = bestRow(shown);
  const stored = bestRow(report);
  const moved = shown !== report && best && stored ? best.ef_pct - stored.ef_pct : null;
  return html`<div class="quiet">${patient}</div>
    <div class="ef" id="ef" aria-live="polite">${best ? `EF ${number(best.ef_pct, 0)} %` : "no EF"}</div>
    ${best ? html`<div>${methodWords(best.method)}, ${best.convention} convention${interval(best.ef_low_pct, best.ef_high_pct) ? `; 90 % interval ${interval(best.ef_low_pct, best.ef_high_pct)} %` : ""}</div>
      <div>EDV ${number(best.edv_ml)} ml · ESV ${number(best.esv_ml)} ml</div>`
      : html`<div>Not measurable: ${shown.patient.find((/** @type {any} */ row) => row.reason)?.reason ?? "no mask"}</div>`}
    ${moved !== null ? html`<div class="quiet">${moved >= 0 ? "+" : ""}${moved.toFixed(1)} points by unsaved work</div>` : ""}
    ${shown.quality.length ? html`<ul class="flag">${shown.quality.map((/** @type {string} */ flag) => html`<li>${flagWords(flag)}</li>`)}</ul>` : html`<div class="good">nothing to look at again</div>`}`;
}

/** @param {{masks: import("./masks.js").Masks}} props */
function Work({ masks }) {
  const { active, dirty, conflict } = masks;
  const why = sessionStorage.getItem("cardiolabel:why")?.split("\n") ?? [];
  const isCine = active && !active.image.is_stack && active.frameOf.length > 1;
  return html`
    <div>${conflict ? html`<section role="alertdialog" aria-label="Two masks"><h3 class="bad">Two masks of ${conflict.mask.name}</h3><p>${conflict.message}</p>
      <p>Both are kept as versions. The picture shows yours; which one shall be current?</p>
      <div class="bar"><button class="main" onClick=${() => masks.settle(true)}>Mine</button><button onClick=${() => masks.settle(false)}>Theirs (version ${conflict.theirs.version})</button></div></section>` : ""}</div>
    <div>${active ? html`<h3>${active.name}: ${active.changed.size ? "being corrected" : stateWords(active.labelmap.source)}</h3>` : html`<p class="quiet">Choose a viewport.</p>`}
      ${active && why[0] === active.image.image && why[1] ? html`<p>Why this image: ${why[1]}</p>` : ""}</div>
    <div>${dirty.length ? html`<p>Unsaved: ${dirty.map((mask) => `${mask.name} (${mask.changed.size} ${mask.image.is_stack ? "slices" : "frames"})`).join(", ")}</p>` : html`<p class="quiet">Correct masks with the brush at the right. The EF follows.</p>`}</div>
    <div class="bar"><button id="predict" disabled=${!active} title="The model's masks in place of those shown" onClick=${() => masks.predict()}>Predict</button>
      <button id="submit" class="main" disabled=${!dirty.length || masks.isSaving} onClick=${() => masks.submit()}>${masks.isSaving ? "Saving …" : "Submit"}</button>
      <button disabled=${!dirty.length} onClick=${() => masks.giveUp()}>Give up</button></div>
    <div class="bar" hidden=${!isCine}><button onClick=${() => masks.setPhase("ed_frame")}>This frame is ED</button><button onClick=${() => masks.setPhase("es_frame")}>This frame is ES</button></div>
    <div class="bar"><button onClick=${() => masks.next()}>Next image</button><button title="Report, segmentations and figure as new series of the study" onClick=${() => storeResults(masks.patient)}>Store results in the PACS</button></div>
    <div><${Versions} masks=${masks} /></div>
    <div><${Links} masks=${masks} /></div>`;
}

/** @param {{masks: import("./masks.js").Masks}} props */
function Versions({ masks }) {
  if (!masks.active) return "";
  if (!masks.versions.length) return html`<p class="quiet">Nobody has corrected it yet.</p>`;
  return html`<table><tbody>${[...masks.versions].reverse().map((version) => html`<tr><td>${version.version}${version.current ? " (now)" : ""}</td>
    <td>${version.author || "somebody"}<br /><span class="quiet">${time(version.saved_at)}</span></td>
    <td>${version.current ? "" : html`<button onClick=${() => masks.rollBack(version.version)}>Use</button>`}</td></tr>`)}</tbody></table>`;
}

/** @param {{masks: import("./masks.js").Masks}} props */
function Links({ masks }) {
  return html`<p><a href=${address("/")}>Worklist</a>${masks.patient ? html` · <a href=${address("/study", { patient: masks.patient })}>Contours and methods</a>` : ""}</p>`;
}
