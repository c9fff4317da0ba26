// Unsaved corrections of one image: contours by frame, undo and redo without end, kept through reload and crash.

import { copyOf, polygonOf, shapeOf } from "./shape.js";

/**
 * @typedef {import("./shape.js").Shape} Shape
 * @typedef {import("./shape.js").Landmarks} Landmarks
 * @typedef {{frame: number, before: Shape | undefined, after: Shape | undefined}} Step
 */

const KEY = "cardiolabel:draft:";

/** Corrections of an image. */
export class Edits {
  /**
   * @param {string} image
   * @param {Record<string, import("./spline.js").Point[][]>[]} outlines of the stored masks, by frame
   * @param {number} version of the final label that is corrected, 0 for none
   * @param {(frame: number) => Landmarks} landmarksOf
   * @param {string} [reading] name of a repeat reading, kept apart from other unsaved work
   */
  constructor(image, outlines, version, landmarksOf, reading = "") {
    this.image = reading ? `${image} (${reading})` : image;
    this.outlines = outlines;
    this.version = version;
    this.landmarksOf = landmarksOf;
    /** Corrected frames. @type {Map<number, Shape>} */
    this.changed = new Map();
    /** @type {Map<number, Shape>} */
    this.untouched = new Map();
    /** @type {Step[]} */
    this.past = [];
    /** @type {Step[]} */
    this.future = [];
    this.drags = 0;
    this.seconds = 0;
    this.since = 0;
    this.restore();
  }

  /** Contours of a frame as they are now. @param {number} frame @returns {Shape} */
  shape(frame) {
    const changed = this.changed.get(frame);
    if (changed) return changed;
    let shape = this.untouched.get(frame);
    if (!shape) {
      shape = shapeOf(this.outlines[frame] ?? {}, this.landmarksOf(frame));
      this.untouched.set(frame, shape);
    }
    return shape;
  }

  /** Outlines of a structure on a frame, corrected ones included. @param {number} frame @param {string} name @returns {import("./spline.js").Point[][]} */
  polygons(frame, name) {
    const changed = this.changed.get(frame);
    if (!changed) return this.outlines[frame]?.[name] ?? [];
    return changed.curves[name] ? [polygonOf(changed, name)] : [];
  }

  /** Whether something is unsaved. */
  get isDirty() {
    return this.changed.size > 0;
  }

  /**
   * Change a frame's contours in one step.
   * @param {number} frame
   * @param {(shape: Shape) => void} change
   */
  change(frame, change) {
    const before = this.begin(frame);
    change(this.shape(frame));
    this.end(frame, before);
  }

  /** Begin a step that is drawn bit by bit on `shape(frame)`. @param {number} frame */
  begin(frame) {
    const before = this.changed.get(frame);
    this.changed.set(frame, copyOf(this.shape(frame)));
    if (!this.since) this.since = Date.now();
    return before ? copyOf(before) : undefined;
  }

  /** End a step. @param {number} frame @param {Shape | undefined} before */
  end(frame, before) {
    const after = this.changed.get(frame);
    this.past.push({ frame, before, after: after ? copyOf(after) : undefined });
    this.future = [];
    this.drags += 1;
    this.keep();
  }

  /** Undo the last step; returns its frame, -1 where there is none. */
  undo() {
    return this.#go(this.past, this.future, "before");
  }

  /** Redo the last undone step. */
  redo() {
    return this.#go(this.future, this.past, "after");
  }

  /** @param {Step[]} from @param {Step[]} to @param {"before" | "after"} which */
  #go(from, to, which) {
    const step = from.pop();
    if (!step) return -1;
    to.push(step);
    const shape = step[which];
    if (shape) this.changed.set(step.frame, copyOf(shape));
    else this.changed.delete(step.frame);
    this.keep();
    return step.frame;
  }

  /** Drawn outlines as the server takes them: (row, col), by frame and structure. */
  drawn() {
    /** @type {Record<string, Record<string, number[][][]>>} */
    const frames = {};
    for (const [frame, shape] of this.changed) {
      frames[frame] = {};
      for (const name of shape.touched) {
        frames[frame][name] = [polygonOf(shape, name).map(([x, y]) => [round(y), round(x)])];
      }
      for (const name of shape.removed) frames[frame][name] = [];
    }
    return frames;
  }

  /** Seconds since the first change. */
  get spent() {
    return this.seconds + (this.since ? (Date.now() - this.since) / 1000 : 0);
  }

  /** Keep what is unsaved in this browser. */
  keep() {
    if (!this.isDirty) {
      localStorage.removeItem(KEY + this.image);
      return;
    }
    const content = { version: this.version, seconds: this.spent, drags: this.drags, frames: [...this.changed] };
    try {
      localStorage.setItem(KEY + this.image, JSON.stringify(content));
    } catch {
      // The browser's store is full: the work is in memory only, as without this.
    }
  }

  /** Take up what was unsaved when the page closed. */
  restore() {
    const text = localStorage.getItem(KEY + this.image);
    if (!text) return;
    try {
      const content = JSON.parse(text);
      this.changed = new Map(content.frames.filter((/** @type {[number, Shape]} */ [frame]) => frame < this.outlines.length));
      this.version = content.version;
      this.seconds = content.seconds;
      this.drags = content.drags;
    } catch {
      localStorage.removeItem(KEY + this.image);
    }
  }

  /** Forget what is unsaved, as it was saved or given up. */
  forget() {
    this.changed.clear();
    this.past = [];
    this.future = [];
    this.drags = 0;
    this.seconds = 0;
    this.since = 0;
    localStorage.removeItem(KEY + this.image);
  }
}

/** @param {number} value */
const round = (value) => Math.round(value * 100) / 100;
