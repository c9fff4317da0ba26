// One image on the screen: the frame on a canvas, contours and points as SVG, and the hand that moves them.

import { addPoint, CAVITY, copyOf, isHinge, movePoint, polygonOf, push, removePoint, smooth, touch } from "./shape.js";
import { distance, sampled } from "./spline.js";
import { paintingOf, takePainting } from "./brush.js";
import { structureWords } from "./words.js";

/**
 * @typedef {import("./spline.js").Point} Point
 * @typedef {{tool: string, structure: string, radius: number, contours: boolean, discs: boolean, ghosts: boolean,
 *   level: number, width: number}} Settings
 */

const SVG = "http://www.w3.org/2000/svg";
const POINT_PX = 5.5;
const GRAB_PX = 14;
const KEY_STEP = 0.5;
const AROUND = 0.45;

/** @param {string} name @param {Record<string, string | number>} attributes */
function element(name, attributes = {}) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  return node;
}

/** Shows and corrects one image. */
export class Viewer {
  /**
   * @param {any} opened what the server says of the image
   * @param {import("./frames.js").Frames} frames
   * @param {import("./edits.js").Edits} edits
   * @param {Settings} settings shared by all viewers
   * @param {{activate: (viewer: Viewer) => void, scrolled: (viewer: Viewer) => void, drawing: () => void, drawn: () => void, measured: (viewer: Viewer, frame: number) => any}} owner
   */
  constructor(opened, frames, edits, settings, owner) {
    this.opened = opened;
    this.frames = frames;
    this.edits = edits;
    this.settings = settings;
    this.owner = owner;
    this.frame = 0;
    this.zoom = 1;
    /** @type {Point} */
    this.pan = [0, 0];
    this.chosen = -1;
    /** Pixels on the screen for a pixel of the image, in x and y, and where the first one lies. */
    this.scale = { x: 1, y: 1, left: 0, top: 0 };
    this.host = document.createElement("div");
    this.host.className = "viewer";
    this.host.tabIndex = 0;
    this.host.setAttribute("role", "group");
    this.host.setAttribute("aria-label", `${opened.view} ${opened.phase}`);
    this.canvas = document.createElement("canvas");
    this.svg = /** @type {SVGSVGElement} */ (element("svg", { "aria-hidden": "true" }));
    this.name = document.createElement("div");
    this.name.className = "name";
    this.note = document.createElement("div");
    this.note.className = "note";
    this.host.append(this.canvas, this.svg, this.name, this.note);
    this.#listen();
    new ResizeObserver(() => this.draw()).observe(this.host);
  }

  /** Show another frame. @param {number} frame */
  show(frame) {
    const count = this.opened.frames;
    const next = ((frame % count) + count) % count;
    if (next === this.frame) return;
    this.frame = next;
    this.chosen = -1;
    this.draw();
  }

  /** @param {Point} place in pixels of the image @returns {Point} */
  toScreen([x, y]) {
    return [(x + 0.5) * this.scale.x + this.scale.left, (y + 0.5) * this.scale.y + this.scale.top];
  }

  /** @param {{clientX: number, clientY: number}} event @returns {Point} in pixels of the image */
  toImage(event) {
    const box = this.host.getBoundingClientRect();
    const border = this.host.clientLeft;
    const [x, y] = [event.clientX - box.left - border, event.clientY - box.top - border];
    return [(x - this.scale.left) / this.scale.x - 0.5, (y - this.scale.top) / this.scale.y - 0.5];
  }

  /** Draw picture and contours. */
  draw() {
    this.#fit();
    this.#drawPicture();
    this.#drawContours();
    this.label();
  }

  /** Say what is shown. */
  label() {
    const { opened, frame } = this;
    const where = opened.frames > 1 ? ` · ${opened.is_stack ? "slice" : "frame"} ${frame + 1} of ${opened.frames}` : "";
    this.name.textContent = `${opened.view} ${opened.phase === "cine" ? "" : opened.phase}${where}`;
    const missing = this.frames.count - this.frames.ready;
    const unsaved = this.edits.isDirty ? "unsaved" : "";
    this.note.textContent = [missing ? `loading ${missing}` : "", unsaved, opened.reason].filter(Boolean).join(" · ");
  }

  /** Fit the image into the panel at its true proportions, then zoom and pan. */
  #fit() {
    const { rows, cols } = this.opened;
    const row = this.opened.row_mm ?? 1;
    const col = this.opened.col_mm ?? 1;
    const [width, height] = [this.host.clientWidth, this.host.clientHeight];
    const k = Math.min(width / (cols * col), height / (rows * row)) * this.zoom;
    this.scale = {
      x: col * k, y: row * k,
      left: (width - cols * col * k) / 2 + this.pan[0],
      top: (height - rows * row * k) / 2 + this.pan[1],
    };
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) [this.canvas.width, this.canvas.height] = [w, h];
    this.ratio = ratio;
    // On paper the panel has another size: picture and contours are scaled alike.
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  }

  #drawPicture() {
    const context = this.canvas.getContext("2d", { alpha: false });
    if (!context) return;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    const bitmap = this.frames.bitmaps[this.frame];
    if (!bitmap) return;
    const { x, y, left, top } = this.scale;
    const ratio = this.ratio ?? 1;
    context.setTransform(ratio * x, 0, 0, ratio * y, ratio * left, ratio * top);
    context.drawImage(bitmap, 0, 0);
    const { level, width } = this.settings;
    const css = level === 50 && width === 100 ? "" : `brightness(${level / 50}) contrast(${100 / width})`;
    if (this.canvas.style.filter !== css) this.canvas.style.filter = css;
  }

  #drawContours() {
    const { settings } = this;
    /** @type {Element[]} */
    const parts = [];
    if (settings.contours) {
      const { edits, frame } = this;
      const shape = edits.shape(frame);
      const isChanged = edits.changed.has(frame);
      if (settings.ghosts) for (const near of [frame - 1, frame + 1]) this.#ghost(near, parts);
      if (settings.discs) this.#discs(parts);
      for (const name of Object.keys(shape.curves)) {
        const isSpline = (isChanged && shape.touched.includes(name)) || settings.tool !== "look";
        const polygons = isSpline ? [polygonOf(shape, name)] : (edits.outlines[frame]?.[name] ?? []);
        for (const polygon of polygons) parts.push(element("path", { class: name, d: this.#path(polygon) }));
      }
      if (settings.tool !== "look") this.#points(shape, parts);
    }
    this.cursor = element("circle", { class: "cursor", r: 0 });
    this.svg.replaceChildren(...parts, this.cursor);
  }

  /** @param {Point[]} polygon */
  #path(polygon) {
    return `${polygon.map((point, i) => {
      const [x, y] = this.toScreen(point);
      return `${i ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`;
    }).join("")}Z`;
  }

  /** @param {number} frame @param {Element[]} parts */
  #ghost(frame, parts) {
    if (frame < 0 || frame >= this.opened.frames) return;
    const outlines = this.edits.changed.has(frame)
      ? { [this.settings.structure]: [polygonOf(this.edits.shape(frame), this.settings.structure)] }
      : this.edits.outlines[frame];
    for (const polygon of outlines?.[this.settings.structure] ?? []) {
      parts.push(element("path", { class: `ghost ${this.settings.structure}`, d: this.#path(polygon) }));
    }
  }

  /** The discs, the annulus and the long axis that the numbers come from. @param {Element[]} parts */
  #discs(parts) {
    const measured = this.owner.measured(this, this.frame);
    if (!measured?.annulus || !measured.apex) return;
    /** @param {number[][]} ends @param {string} kind */
    const line = (ends, kind) => {
      const [[x1, y1], [x2, y2]] = ends.map(([row, col]) => this.toScreen([col, row]));
      parts.push(element("line", { class: kind, x1, y1, x2, y2 }));
    };
    for (const ends of measured.discs ?? []) line(ends, "disc");
    const [first, other] = measured.annulus;
    line([first, other], "axis");
    line([[(first[0] + other[0]) / 2, (first[1] + other[1]) / 2], measured.apex], "axis");
  }

  /** @param {import("./shape.js").Shape} shape @param {Element[]} parts */
  #points(shape, parts) {
    const name = this.settings.structure;
    const curve = shape.curves[name];
    if (!curve) return;
    curve.points.forEach((point, index) => {
      const [cx, cy] = this.toScreen(point);
      const kind = isHinge(shape, name, index) ? "hinge" : index === curve.apex ? "apex" : "";
      const chosen = index === this.chosen ? "chosen" : "";
      parts.push(element("circle", { class: `${name} ${kind} ${chosen}`, cx, cy, r: kind ? POINT_PX + 1.5 : POINT_PX, "data-index": index }));
    });
  }

  /** Index of the point under the pointer, -1 for none. @param {PointerEvent | MouseEvent} event */
  #pointAt(event) {
    const curve = this.edits.shape(this.frame).curves[this.settings.structure];
    if (!curve) return -1;
    const box = this.host.getBoundingClientRect();
    /** @type {Point} */
    const at = [event.clientX - box.left - this.host.clientLeft, event.clientY - box.top - this.host.clientTop];
    const reach = "pointerType" in event && event.pointerType === "touch" ? 2 * GRAB_PX : GRAB_PX;
    let best = -1;
    let least = reach;
    curve.points.forEach((point, index) => {
      const away = distance(this.toScreen(point), at);
      if (away < least) [best, least] = [index, away];
    });
    return best;
  }

  #listen() {
    const { host } = this;
    host.addEventListener("pointerdown", (event) => this.#down(event));
    host.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    host.addEventListener("dblclick", (event) => this.#twice(event));
    host.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      const index = this.#pointAt(event);
      if (index >= 0) this.remove(index);
    });
    host.addEventListener("focus", () => this.owner.activate(this));
    host.addEventListener("pointermove", (event) => this.#hover(event));
    host.addEventListener("pointerleave", () => this.cursor?.setAttribute("r", "0"));
  }

  /** @param {PointerEvent} event */
  #hover(event) {
    const radius = ["push", "brush", "erase"].includes(this.settings.tool) ? this.settings.radius * this.scale.x : 0;
    const [cx, cy] = this.toScreen(this.toImage(event));
    for (const [key, value] of Object.entries({ cx, cy, r: radius })) this.cursor?.setAttribute(key, String(value));
  }

  /** @param {PointerEvent} event */
  #down(event) {
    this.owner.activate(this);
    this.host.focus({ preventScroll: true });
    if (event.button === 2) return;
    const { tool } = this.settings;
    const index = tool === "points" ? this.#pointAt(event) : -1;
    const shape = this.edits.shape(this.frame);
    const hasCurve = Boolean(shape.curves[this.settings.structure]);
    if (event.button === 0 && !event.shiftKey && (index >= 0 || (tool === "push" && hasCurve) || tool === "brush" || (tool === "erase" && hasCurve))) {
      this.#stroke(event, index);
    } else {
      this.#move(event);
    }
  }

  /** Follow the pointer until it is lifted. @param {PointerEvent} event @param {(event: PointerEvent) => void} move @param {() => void} [end] */
  #follow(event, move, end) {
    const { host } = this;
    host.setPointerCapture(event.pointerId);
    const stop = () => {
      host.removeEventListener("pointermove", move);
      host.removeEventListener("pointerup", stop);
      host.removeEventListener("pointercancel", stop);
      end?.();
    };
    host.addEventListener("pointermove", move);
    host.addEventListener("pointerup", stop);
    host.addEventListener("pointercancel", stop);
  }

  /** Correct a contour with the pointer. @param {PointerEvent} event @param {number} index */
  #stroke(event, index) {
    event.preventDefault();
    const { edits, frame, settings } = this;
    const { structure, tool } = settings;
    const before = edits.begin(frame);
    const shape = edits.shape(frame);
    const original = copyOf(shape);
    let at = this.toImage(event);
    const grip = index >= 0 ? shape.curves[structure].points[index] : at;
    /** @type {Point} */
    const offset = [grip[0] - at[0], grip[1] - at[1]];
    this.chosen = index;
    const painting = tool === "brush" || tool === "erase" ? paintingOf(shape, structure, this.opened.cols, this.opened.rows) : null;
    const paint = (/** @type {Point} */ to) => {
      painting?.stroke(at, to, settings.radius, tool === "erase");
      if (painting) takePainting(shape, original, structure, painting);
    };
    if (painting) paint(at);
    let moved = Boolean(painting);
    this.#follow(event, (each) => {
      const to = this.toImage(each);
      moved = true;
      if (painting) paint(to);
      else if (tool === "push") push(shape, structure, at, [to[0] - at[0], to[1] - at[1]], settings.radius);
      else movePoint(shape, structure, index, [to[0] + offset[0], to[1] + offset[1]]);
      at = to;
      this.#drawContours();
      this.owner.drawing();
    }, () => {
      if (moved) edits.end(frame, before);
      else if (before) edits.changed.set(frame, original);
      else edits.changed.delete(frame);
      this.draw();
      if (moved) this.owner.drawn();
    });
    this.#drawContours();
  }

  /** Pan with the pointer, or change level and window with Alt. @param {PointerEvent} event */
  #move(event) {
    event.preventDefault();
    const [x, y] = [event.clientX, event.clientY];
    const [panX, panY] = this.pan;
    const { level, width } = this.settings;
    this.#follow(event, (each) => {
      if (event.altKey) {
        this.settings.width = clamp(width + (each.clientX - x) / 2, 10, 300);
        this.settings.level = clamp(level - (each.clientY - y) / 4, 5, 200);
      } else {
        this.pan = [panX + each.clientX - x, panY + each.clientY - y];
      }
      this.draw();
    });
  }

  /** Zoom with Ctrl, else scroll through frames. @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    this.owner.activate(this);
    if (!event.ctrlKey && this.opened.frames > 1) {
      this.show(this.frame + Math.sign(event.deltaY));
      this.owner.scrolled(this);
      return;
    }
    const factor = Math.exp(-event.deltaY / 400);
    const before = this.toImage(event);
    this.zoom = clamp(this.zoom * factor, 0.5, 12);
    this.#fit();
    const after = this.toScreen(before);
    const box = this.host.getBoundingClientRect();
    this.pan = [
      this.pan[0] + event.clientX - box.left - this.host.clientLeft - after[0],
      this.pan[1] + event.clientY - box.top - this.host.clientTop - after[1],
    ];
    this.draw();
  }

  /** Show the part of a stack that its contours are in. */
  zoomToContours() {
    const points = this.edits.outlines.flatMap((structures) => Object.values(structures).flat(2));
    const { rows, cols } = this.opened;
    if (!points.length) return;
    const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    this.zoom = clamp(AROUND * Math.min(cols / (right - left), rows / (bottom - top)), 1, 4);
    this.pan = [0, 0];
    this.#fit();
    this.pan = [((cols - left - right) / 2) * this.scale.x, ((rows - top - bottom) / 2) * this.scale.y];
    this.draw();
  }

  /** Show the whole image again. */
  fitAll() {
    this.zoom = 1;
    this.pan = [0, 0];
    this.draw();
  }

  /** Add a point where a curve is clicked twice. @param {MouseEvent} event */
  #twice(event) {
    if (this.settings.tool !== "points" || this.#pointAt(event) >= 0) return;
    const { structure } = this.settings;
    const curve = this.edits.shape(this.frame).curves[structure];
    if (!curve) return;
    const at = this.toImage(event);
    const line = sampled(curve.points, curve.closed);
    if (Math.min(...line.map((point) => distance(point, at))) * this.scale.x > 2 * GRAB_PX) return;
    this.change((shape) => {
      this.chosen = addPoint(shape, structure, at);
    });
  }

  /** Change the shown frame's contours in one step. @param {(shape: import("./shape.js").Shape) => void} how */
  change(how) {
    this.edits.change(this.frame, how);
    this.draw();
    this.owner.drawn();
  }

  /** Remove a point of the chosen structure. @param {number} [index] */
  remove(index = this.chosen) {
    if (index < 0) return;
    this.chosen = -1;
    this.change((shape) => removePoint(shape, this.settings.structure, index));
  }

  /** Move the chosen point by a key. @param {number} x @param {number} y */
  nudge(x, y) {
    if (this.chosen < 0) return false;
    const { structure } = this.settings;
    this.change((shape) => {
      const [px, py] = shape.curves[structure].points[this.chosen];
      movePoint(shape, structure, this.chosen, [px + KEY_STEP * x, py + KEY_STEP * y]);
    });
    return true;
  }

  /** Choose the next point of the structure. @param {number} step */
  choose(step) {
    const curve = this.edits.shape(this.frame).curves[this.settings.structure];
    if (!curve) return;
    const n = curve.points.length;
    this.chosen = this.chosen < 0 ? (step > 0 ? 0 : n - 1) : (this.chosen + step + n) % n;
    this.draw();
  }

  /** Make the chosen structure smoother. */
  smooth() {
    const { structure } = this.settings;
    if (this.edits.shape(this.frame).curves[structure]) this.change((shape) => smooth(shape, structure));
  }

  /** Take over the contours of another frame. @param {number} frame */
  copyFrom(frame) {
    if (frame < 0 || frame >= this.opened.frames) return;
    const source = copyOf(this.edits.shape(frame));
    this.change((shape) => {
      shape.curves = source.curves;
      shape.removed = [];
      shape.touched = [];
      touch(shape, ...Object.keys(source.curves));
    });
  }

  /** Remove a structure from the shown frame. */
  clear() {
    const { structure } = this.settings;
    this.change((shape) => {
      delete shape.curves[structure];
      shape.touched = shape.touched.filter((name) => name !== structure);
      if (!shape.removed.includes(structure)) shape.removed.push(structure);
    });
  }

  /** The closed polygon of a structure in the shown frame. @param {string} structure */
  polygon(structure) {
    return polygonOf(this.edits.shape(this.frame), structure);
  }

  /** Structures that can be drawn here. @returns {string[]} */
  get structures() {
    return [...this.opened.structures].sort((a, b) => Number(b === CAVITY) - Number(a === CAVITY));
  }

  /** What can be seen, for somebody who cannot see it. */
  describe() {
    const curves = Object.keys(this.edits.shape(this.frame).curves).map(structureWords).join(", ");
    return `${this.name.textContent}: ${curves || "no contour"}`;
  }
}

/** @param {number} value @param {number} low @param {number} high */
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
