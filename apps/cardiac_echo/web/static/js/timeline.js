// Time of a study: cines in step, slices in step, and the area curve that leads through them.

import { areaCurve } from "./curve.js";
import { areasOf } from "./report.js";

/** Which frame, or which slice, each image shows. */
export class Timeline {
  /** @param {import("./study.js").Study} study */
  constructor(study) {
    this.study = study;
    this.playing = false;
    this.speed = 1;
    this.loop = false;
    /** Time shown, in s. */
    this.clock = 0;
    /** @type {ReturnType<typeof areaCurve> | undefined} */
    this.curve = undefined;
    requestAnimationFrame((now) => this.#tick(now));
  }

  /** After the wheel led to another frame. @param {import("./viewer.js").Viewer} viewer */
  scrolled(viewer) {
    this.playing = false;
    if (this.study.mode === "stacks") this.goToSlice(viewer.frame);
    else this.curve?.at(this.#timeOf(viewer, viewer.frame));
  }

  /** Show cines at ED, stacks in their middle. */
  showPhases() {
    for (const viewer of this.study.visible) {
      const { opened } = viewer;
      const beat = this.study.report.beats[opened.image]?.[0];
      if (opened.is_stack) {
        viewer.show(Math.floor(opened.frames / 2));
        viewer.zoomToContours();
      }
      else if (beat) viewer.show(beat.ed_index);
      viewer.draw();
    }
    this.clock = this.#timeOf(this.study.visible[0], this.study.visible[0]?.frame ?? 0);
  }

  /** Time of a frame in s. @param {import("./viewer.js").Viewer | undefined} viewer @param {number} frame */
  #timeOf(viewer, frame) {
    return frame / (viewer?.opened.frame_rate_hz ?? 25);
  }

  /** Draw the area curve anew. */
  draw() {
    this.curve?.destroy();
    this.curve = undefined;
    if (!this.study.curveHost || this.study.mode === "stills" || this.study.reading) {
      this.study.curveHost?.replaceChildren();
      return;
    }
    const isStack = this.study.mode === "stacks";
    const all = this.study.visible.map((viewer) => areasOf(this.study.report, viewer.opened));
    const curves = all.filter((curve) => curve.areas.some((/** @type {number | null} */ area) => area !== null));
    const go = (/** @type {number} */ at) => (isStack ? this.goToSlice(Math.round(at) - 1) : this.goTo(at));
    const drawn = this.study.visible.filter((_, k) => all[k].areas.some((/** @type {number | null} */ area) => area !== null));
    const move = (/** @type {number} */ k, /** @type {"ed" | "es"} */ phase, /** @type {number} */ frame) => void this.study.setPhase(phase === "ed" ? "ed_frame" : "es_frame", drawn[k], frame);
    this.curve = areaCurve(this.study.curveHost, curves, go, isStack ? "slice" : undefined, isStack ? undefined : move);
  }

  /** Show the same slice of all stacks. @param {number} slice from 0 */
  goToSlice(slice) {
    for (const viewer of this.study.visible) if (slice >= 0 && slice < viewer.opened.frames) viewer.show(slice);
    this.curve?.at(slice + 1);
    this.study.slices?.at(slice);
    this.study.render();
  }

  /** Show all cines at a time. @param {number} at in s */
  goTo(at) {
    this.clock = at;
    for (const viewer of this.study.visible) {
      const { opened } = viewer;
      const rate = opened.frame_rate_hz ?? 25;
      const beat = this.loop ? this.study.report.beats[opened.image]?.[0] : undefined;
      if (beat) {
        const first = Math.min(beat.ed_index, beat.es_index);
        const length = 2 * Math.abs(beat.es_index - beat.ed_index) + 1;
        viewer.show(Math.min(opened.frames - 1, first + (Math.floor(at * rate) % length)));
      } else {
        viewer.show(Math.floor(at * rate + 1e-6) % opened.frames);
      }
    }
    this.curve?.at(at % Math.max(...this.study.visible.map((viewer) => this.#timeOf(viewer, viewer.opened.frames)), 1e-3));
  }

  /** @param {number} now in ms */
  #tick(now) {
    const passed = Math.min(0.25, (now - (this.before ?? now)) / 1000);
    this.before = now;
    if (this.playing && this.study.mode === "cines") this.goTo(this.clock + passed * this.speed);
    requestAnimationFrame((next) => this.#tick(next));
  }

  play() {
    this.playing = !this.playing;
    this.study.render();
  }

  /** @param {number} by */
  step(by) {
    this.playing = false;
    const viewer = this.study.active;
    if (!viewer || viewer.opened.frames < 2) return;
    viewer.show(viewer.frame + by);
    if (this.study.mode === "stacks") {
      this.goToSlice(viewer.frame);
      return;
    }
    this.clock = this.#timeOf(viewer, viewer.frame);
    this.curve?.at(this.clock);
    this.study.render();
  }
}
