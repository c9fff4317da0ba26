// Frames of an image as bitmaps, the shown one first.

import { address } from "./api.js";

const AT_ONCE = 4;

/** Loads the frames of an image. */
export class Frames {
  /**
   * @param {string} image
   * @param {number} count
   * @param {(frame: number) => void} loaded called whenever a frame has arrived
   */
  constructor(image, count, loaded) {
    this.image = image;
    this.count = count;
    this.loaded = loaded;
    /** @type {(ImageBitmap | undefined)[]} */
    this.bitmaps = new Array(count);
    /** @type {Set<number>} */
    this.asked = new Set();
    this.first = 0;
  }

  /** Load all frames, those after a frame first. @param {number} [frame] */
  async load(frame = 0) {
    this.first = frame;
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, this.count) }, () => this.#worker()));
  }

  async #worker() {
    for (let frame = this.#next(); frame >= 0; frame = this.#next()) {
      this.asked.add(frame);
      const response = await fetch(address(`/cardiac/images/${encodeURIComponent(this.image)}/frames/${frame}.png`));
      if (!response.ok) return;
      this.bitmaps[frame] = await createImageBitmap(await response.blob());
      this.loaded(frame);
    }
  }

  #next() {
    for (let k = 0; k < this.count; k += 1) {
      const frame = (this.first + k) % this.count;
      if (!this.asked.has(frame)) return frame;
    }
    return -1;
  }

  /** Number of frames that are there. */
  get ready() {
    return this.bitmaps.reduce((sum, bitmap) => sum + (bitmap ? 1 : 0), 0);
  }
}
