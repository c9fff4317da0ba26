// The toolbar of a study.

import { html } from "../vendor/htm-preact.js";
import { modeOf, SPEEDS, TOOLS } from "./study_parts.js";
import { structureWords } from "./words.js";

/** @param {{study: import("./study.js").Study}} props */
export function Tools({ study }) {
  const { settings, active } = study;
  const modes = ["stills", "cines", "stacks"].filter((mode) => study.viewers.some((viewer) => modeOf(viewer.opened) === mode));
  const words = /** @type {Record<string, string>} */ ({ stills: "ED and ES", cines: "Cines", stacks: "Short axis" });
  const press = (/** @type {string} */ text, /** @type {() => void} */ act, pressed = false, title = "") => html`<button title=${title} aria-pressed=${pressed} onClick=${act}>${text}</button>`;
  const does = (/** @type {string} */ text, /** @type {() => void} */ act, title = "", disabled = false) => html`<button title=${title} disabled=${disabled} onClick=${act}>${text}</button>`;
  return html`
    ${modes.length > 1 ? html`<span class="group">${modes.map((mode) => press(words[mode], () => study.setMode(mode), mode === study.mode))}</span>` : ""}
    <span class="group">${TOOLS.map(([name, text, letter]) => press(text, () => study.set({ tool: name }), settings.tool === name, `${text} (${letter})`))}</span>
    <label>of <select aria-label="Structure" value=${settings.structure} onChange=${(/** @type {any} */ event) => study.set({ structure: event.target.value })}>
      ${(active?.structures ?? []).map((name) => html`<option value=${name}>${structureWords(name)}</option>`)}</select></label>
    ${["push", "brush", "erase"].includes(settings.tool) ? html`<label>size <input type="range" min="2" max="60" value=${settings.radius} onInput=${(/** @type {any} */ event) => study.set({ radius: Number(event.target.value) })} /></label>` : ""}
    <span class="group">${does("Undo", () => study.undo(), "Ctrl+Z", !active?.edits.past.length)}${does("Redo", () => study.redo(), "Ctrl+Shift+Z", !active?.edits.future.length)}
      ${does("Smooth", () => active?.smooth(), "s")}${does("Clear", () => active?.clear(), "Remove this structure from the frame")}
      ${active && active.opened.frames > 1 ? does("Copy previous", () => active.copyFrom(active.frame - 1), "c", active.frame === 0) : ""}</span>
    <span class="group">${press("Contours", () => study.set({ contours: !settings.contours }), settings.contours, "h")}${press("Discs", () => study.set({ discs: !settings.discs }), settings.discs, "d")}
      ${active && active.opened.frames > 1 ? press("Neighbours", () => study.set({ ghosts: !settings.ghosts }), settings.ghosts, "g") : ""}${does("Fit", () => active?.fitAll(), "0")}</span>
    ${study.mode === "cines" ? html`<span class="group">${press(study.timeline.playing ? "Pause" : "Play", () => study.timeline.play(), study.timeline.playing, "space")}
      ${does("‹", () => study.timeline.step(-1), "frame back (,)")}${does("›", () => study.timeline.step(1), "frame on (.)")}${does("Set ED", () => study.setPhase("ed_frame"), "The shown frame is ED")}${does("Set ES", () => study.setPhase("es_frame"), "The shown frame is ES")}${press("One beat", () => { study.timeline.loop = !study.timeline.loop; study.render(); }, study.timeline.loop, "l")}
      <select aria-label="Speed" value=${study.timeline.speed} onChange=${(/** @type {any} */ event) => { study.timeline.speed = Number(event.target.value); study.render(); }}>${SPEEDS.map((speed) => html`<option value=${speed}>${speed} ×</option>`)}</select></span>` : ""}
    ${study.mode === "stacks" && active ? html`<span class="group">${does("‹", () => study.timeline.step(-1), "slice back (,)")}${does("›", () => study.timeline.step(1), "slice on (.)")}</span>` : ""}
    <label title="Or drag with Alt held">Level <input type="range" min="5" max="150" value=${settings.level} onInput=${(/** @type {any} */ event) => study.set({ level: Number(event.target.value) })} /></label>
    <label>Window <input type="range" min="10" max="250" value=${settings.width} onInput=${(/** @type {any} */ event) => study.set({ width: Number(event.target.value) })} /></label>`;
}
