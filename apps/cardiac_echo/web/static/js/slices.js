// Slices by phase: small pictures of all slices of a patient's stacks, with contours; missing ones stand out.

import { CAVITY } from "./shape.js";

const SIDE = 76;
const MARGIN = 0.25;
const COLOURS = /** @type {Record<string, string>} */ ({ lv_cavity: "--cavity", myocardium: "--wall", right_ventricle: "--ventricle" });

/** A button for each slice of each phase. */
export class Slices {
  /**
   * @param {HTMLElement} host
   * @param {import("./viewer.js").Viewer[]} viewers of stacks, one for each phase
   * @param {(slice: number) => void} go
   */
  constructor(host, viewers, go) {
    this.viewers = viewers;
    this.box = boxOf(viewers);
    this.style = getComputedStyle(document.body);
    /** @type {Map<import("./viewer.js").Viewer, HTMLButtonElement[]>} */
    this.buttons = new Map();
    host.replaceChildren(...viewers.map((viewer) => this.#row(viewer, go)));
    this.draw();
  }

  /** @param {import("./viewer.js").Viewer} viewer @param {(slice: number) => void} go */
  #row(viewer, go) {
    const row = document.createElement("div");
    row.className = "slices";
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", `Slices at ${viewer.opened.phase}`);
    const name = document.createElement("span");
    name.textContent = viewer.opened.phase;
    const buttons = Array.from({ length: viewer.opened.frames }, (_, slice) => {
      const button = document.createElement("button");
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [SIDE, SIDE];
      button.append(canvas, String(slice + 1));
      button.addEventListener("click", () => go(slice));
      return button;
    });
    this.buttons.set(viewer, buttons);
    row.style.gridTemplateColumns = `1.7rem repeat(${buttons.length}, minmax(0, 4.6rem))`;
    row.append(name, ...buttons);
    return row;
  }

  /** Draw all slices, or those of one stack. @param {import("./viewer.js").Viewer} [only] */
  draw(only) {
    for (const [viewer, buttons] of this.buttons) {
      if (only && only !== viewer) continue;
      const has = buttons.map((_, slice) => viewer.edits.polygons(slice, CAVITY).length > 0);
      buttons.forEach((button, slice) => {
        const isMissing = !has[slice] && has.slice(0, slice).includes(true) && has.slice(slice + 1).includes(true);
        button.classList.toggle("missing", isMissing);
        button.classList.toggle("empty", !has[slice] && !isMissing);
        const words = isMissing ? "no cavity, though slices around it have one" : has[slice] ? "cavity drawn" : "no cavity";
        button.title = `${viewer.opened.phase}, slice ${slice + 1}: ${words}`;
        button.setAttribute("aria-label", button.title);
        this.#picture(viewer, slice, /** @type {HTMLCanvasElement} */ (button.firstChild));
      });
    }
    this.at(this.viewers[0]?.frame ?? 0);
  }

  /** Mark the slice that is shown. @param {number} slice */
  at(slice) {
    for (const buttons of this.buttons.values()) buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(k === slice)));
  }

  /** @param {import("./viewer.js").Viewer} viewer @param {number} slice @param {HTMLCanvasElement} canvas */
  #picture(viewer, slice, canvas) {
    const context = canvas.getContext("2d");
    if (!context) return;
    const { left, top, size } = this.box;
    const k = SIDE / size;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, SIDE, SIDE);
    const bitmap = viewer.frames.bitmaps[slice];
    context.setTransform(k, 0, 0, k, -left * k, -top * k);
    if (bitmap) context.drawImage(bitmap, 0, 0);
    context.lineWidth = 1.4 / k;
    for (const [name, colour] of Object.entries(COLOURS)) {
      context.strokeStyle = this.style.getPropertyValue(colour).trim();
      for (const polygon of viewer.edits.polygons(slice, name)) {
        context.beginPath();
        for (const [x, y] of polygon) context.lineTo(x + 0.5, y + 0.5);
        context.closePath();
        context.stroke();
      }
    }
  }
}

/** Square around all contours with a margin; the whole picture without any. @param {import("./viewer.js").Viewer[]} viewers */
function boxOf(viewers) {
  const places = viewers.flatMap((viewer) => Array.from({ length: viewer.opened.frames }, (_, slice) =>
    Object.keys(COLOURS).flatMap((name) => viewer.edits.polygons(slice, name).flat())).flat());
  const { cols, rows } = viewers[0].opened;
  if (!places.length) return { left: 0, top: 0, size: Math.max(cols, rows) };
  const [xs, ys] = [places.map(([x]) => x), places.map(([, y]) => y)];
  const ends = { x: [Math.min(...xs), Math.max(...xs)], y: [Math.min(...ys), Math.max(...ys)] };
  const size = (1 + 2 * MARGIN) * Math.max(ends.x[1] - ends.x[0], ends.y[1] - ends.y[0]);
  return { left: (ends.x[0] + ends.x[1] - size) / 2, top: (ends.y[0] + ends.y[1] - size) / 2, size };
}
