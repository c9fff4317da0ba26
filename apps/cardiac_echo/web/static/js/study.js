// One patient: images beside each other, EF that follows the hand, versions, and submitting.

import { address, annotator, showWho, get, onChange, request, say, ServerError, telling } from "./api.js";
import { areaCurve } from "./curve.js";
import { Edits } from "./edits.js";
import { Frames } from "./frames.js";
import { html, render } from "../vendor/htm-preact.js";
import { Newest } from "./live.js";
import { tinykeys } from "../vendor/tinykeys.js";
import { Viewer } from "./viewer.js";
import { Side } from "./side.js";
import { Slices } from "./slices.js";
import { modeOf, TOOLS } from "./study_parts.js";
import { Surface } from "./surface.js";
import { Tools } from "./tools.js";

/** Height of what is shown below the images. */
const BELOW_PX = /** @type {Record<string, number>} */ ({ stills: 0, cines: 225, stacks: 170 });
const ORDER = ["A4C", "A2C", "SAX", "unknown"];
const PHASES = ["ED", "ES", "cine"];

const parameters = new URLSearchParams(location.search);

/** A patient's images, and what is done with them. */
export class Study {
  /** @param {string} patient */
  constructor(patient) {
    this.patient = patient;
    /** Name of a repeat reading: contours and numbers of other readings are hidden. */
    this.reading = parameters.get("reading") ?? "";
    /** @type {any} */
    this.report = null;
    /** What the numbers are of: the stored masks, or unsaved contours. @type {any} */
    this.shown = null;
    /** @type {Viewer[]} */
    this.viewers = [];
    /** @type {Viewer | null} */
    this.active = null;
    /** @type {any[]} */
    this.versions = [];
    this.newest = new Newest();
    this.mode = "stills";
    this.playing = false;
    this.speed = 1;
    this.loop = false;
    this.clock = 0;
    this.selected = "";
    /** @type {any} */
    this.conflict = null;
    this.isSaving = false;
    this.isNamed = false;
    /** @type {Map<string, any>} */
    this.measuredFrames = new Map();
    this.settings = {
      tool: "points", structure: "lv_cavity", radius: 14, contours: true, discs: false, ghosts: false, level: 50, width: 100,
    };
    this.desk = /** @type {HTMLElement} */ (document.getElementById("app"));
  }

  async open() {
    const report = await get(address(`/cardiac/patients/${encodeURIComponent(this.patient)}`));
    // An image that cannot be read is left out, with the reason.
    const answers = await Promise.all(Object.keys(report.sources).map((image) => telling(() => this.#openImage(image))));
    const images = answers.filter(Boolean);
    if (!images.length) throw new Error(`No image of ${this.patient} can be shown.`);
    this.#take(report);
    const rank = (/** @type {any} */ opened) => 10 * ORDER.indexOf(opened.view) + PHASES.indexOf(opened.phase);
    this.images = images.sort((a, b) => rank(a) - rank(b) || a.image.localeCompare(b.image));
    for (const each of this.images) this.#makeViewer(each);
    const wanted = this.viewers.find((viewer) => viewer.opened.image === parameters.get("image"));
    this.mode = wanted ? modeOf(wanted.opened) : this.viewers.some((viewer) => modeOf(viewer.opened) === "stills") ? "stills" : modeOf(this.viewers[0].opened);
    this.#layout();
    this.activate(wanted ?? this.visible[0]);
    this.#showPhases();
    if (this.dirty.length) {
      say("Unsaved work of this patient was restored.");
      this.measure();
    }
    this.#keys();
    onChange(() => this.#refresh());
    window.addEventListener("beforeunload", () => this.viewers.forEach((viewer) => viewer.edits.isDirty && viewer.edits.keep()));
    requestAnimationFrame((now) => this.#tick(now));
  }

  /** @param {string} image @param {number} [version] */
  #openImage(image, version) {
    return get(address(`/cardiac/images/${encodeURIComponent(image)}`, { version, blind: this.reading ? true : undefined }));
  }

  /** @param {any} report */
  #take(report) {
    this.report = report;
    this.shown = report;
    this.measuredFrames = new Map(this.reading ? [] : report.frames.map((/** @type {any} */ row) => [`${row.image_id}/${row.frame}`, row]));
  }

  /** @param {any} opened */
  #makeViewer(opened) {
    const frames = new Frames(opened.image, opened.frames, (frame) => {
      if (frame === viewer.frame) viewer.draw();
      else viewer.label();
      if (opened.is_stack && frames.ready === opened.frames) this.slices?.draw(viewer);
    });
    const viewer = new Viewer(opened, frames, this.#editsOf(opened), this.settings, this);
    this.viewers.push(viewer);
    return viewer;
  }

  /** @param {any} opened */
  #editsOf(opened) {
    const outlines = opened.outlines.map((/** @type {any} */ structures) => Object.fromEntries(
      Object.entries(structures).map(([name, polygons]) => [name, polygons.map((/** @type {number[][]} */ polygon) => polygon.map(([row, col]) => [col, row]))])));
    return new Edits(opened.image, outlines, opened.version, (frame) => {
      const row = opened.is_stack || this.reading ? null : this.measuredFrames.get(`${opened.image}/${frame}`);
      const flip = (/** @type {number[]} */ [y, x]) => /** @type {[number, number]} */ ([x, y]);
      return { annulus: row?.annulus?.map(flip) ?? null, apex: row?.apex ? flip(row.apex) : null };
    }, this.reading);
  }

  get visible() {
    return this.viewers.filter((viewer) => modeOf(viewer.opened) === this.mode);
  }

  get dirty() {
    return this.viewers.filter((viewer) => viewer.edits.isDirty);
  }

  /** Numbers of a frame, unsaved contours included. @param {Viewer} viewer @param {number} frame */
  measured(viewer, frame) {
    const key = `${viewer.opened.image}/${frame}`;
    return (this.liveFrames?.get(key)) ?? this.measuredFrames.get(key);
  }

  /** @param {Viewer | undefined} viewer */
  activate(viewer) {
    if (!viewer || viewer === this.active) return;
    this.active?.host.classList.remove("active");
    this.active = viewer;
    viewer.host.classList.add("active");
    const has = viewer.structures;
    if (!has.includes(this.settings.structure)) this.settings.structure = has[0];
    this.#loadVersions();
    this.render();
  }

  async #loadVersions() {
    const image = this.active?.opened.image;
    if (!image) return;
    const versions = await telling(() => get(address(`/cardiac/labels/${encodeURIComponent(image)}/versions`)));
    if (versions && this.active?.opened.image === image) {
      this.versions = versions;
      this.render();
    }
  }

  /** After the wheel led to another frame. @param {Viewer} viewer */
  scrolled(viewer) {
    this.playing = false;
    if (this.mode === "stacks") this.#goToSlice(viewer.frame);
    else this.curve?.at(this.#timeOf(viewer, viewer.frame));
    this.render();
  }

  /** While a contour is drawn. */
  drawing() {
    this.measure();
  }

  /** After a contour was drawn. */
  drawn() {
    this.measure();
    if (this.active?.opened.is_stack) this.slices?.draw(this.active);
    this.render();
  }

  /** Measure unsaved contours. */
  measure() {
    const dirty = this.reading ? [] : this.dirty;
    if (!dirty.length) {
      this.liveFrames = null;
      this.shown = this.report;
      this.render();
      return;
    }
    this.newest.run(async () => {
      const images = this.dirty.map((viewer) => ({ image: viewer.opened.image, frames: viewer.edits.drawn() }));
      if (!images.length) return;
      try {
        const answer = await request("POST", address("/cardiac/measure"), { images });
        if (!this.dirty.length) return;
        this.shown = answer;
        this.liveFrames = new Map(answer.frames.map((/** @type {any} */ row) => [`${row.image_id}/${row.frame}`, row]));
        this.offline = false;
        if (this.settings.discs) for (const viewer of this.visible) viewer.draw();
      } catch (error) {
        this.offline = !(error instanceof ServerError);
        if (error instanceof ServerError) say(error.message, "bad");
      }
      this.render();
    });
  }

  /** Save the corrections of an image, or of all. @param {Viewer[]} [viewers] */
  async save(viewers = this.reading ? this.viewers : this.dirty) {
    if (this.isSaving || !viewers.length) return;
    this.isSaving = true;
    this.render();
    for (const viewer of viewers) {
      const { edits, opened } = viewer;
      try {
        const saved = await request("PUT", address(`/cardiac/images/${encodeURIComponent(opened.image)}/outlines`), {
          frames: edits.drawn(), base_version: edits.version, client_id: annotator(), seconds: Math.round(edits.spent), drags: edits.drags, reading: this.reading,
        });
        edits.forget();
        if (this.reading) continue;
        say(`${opened.view} ${opened.phase}: version ${saved.version} is saved.`, "good");
        await this.#reopen(viewer);
      } catch (error) {
        if (error instanceof ServerError && error.status === 409) await this.#showConflict(viewer, error);
        else if (error instanceof ServerError) say(`Not saved: ${error.message}`, "bad");
        else say("Not saved: the server cannot be reached. Your work is kept in this browser; submit again later.", "bad");
        break;
      }
    }
    this.isSaving = false;
    this.render();
    if (this.reading) {
      if (!this.dirty.length) location.assign(address("/agreement"));
      return;
    }
    await this.#refresh(true);
    this.#loadVersions();
  }

  /** @param {Viewer} viewer @param {ServerError} error */
  async #showConflict(viewer, error) {
    const theirs = await telling(() => this.#openImage(viewer.opened.image));
    if (theirs) this.conflict = { viewer, theirs, message: error.message };
    this.render();
  }

  /** Settle a conflict: keep the other's mask, or put the own one over it. @param {boolean} mine */
  async settle(mine) {
    const { viewer, theirs } = this.conflict;
    this.conflict = null;
    if (mine) {
      viewer.edits.version = theirs.version;
      await this.save([viewer]);
    } else {
      viewer.edits.forget();
      await this.#reopen(viewer);
      this.measure();
      await this.#refresh(true);
    }
  }

  /** Open an image's masks anew. @param {Viewer} viewer */
  async #reopen(viewer) {
    const opened = await this.#openImage(viewer.opened.image);
    viewer.opened = opened;
    viewer.edits = this.#editsOf(opened);
    viewer.draw();
  }

  /** Follow what others saved. @param {boolean} [isOwn] */
  async #refresh(isOwn = false) {
    if (this.reading) return;
    const report = await telling(() => get(address(`/cardiac/patients/${encodeURIComponent(this.patient)}`)));
    if (!report) return;
    this.#take(report);
    for (const viewer of this.viewers) {
      const { opened, edits } = viewer;
      const now = await telling(() => get(address(`/cardiac/labels/${encodeURIComponent(opened.image)}/versions`)));
      const current = now?.find((/** @type {any} */ version) => version.current)?.version ?? 0;
      if (current !== opened.version && !edits.isDirty) await this.#reopen(viewer);
      else if (!isOwn && current !== edits.version && edits.isDirty) say(`${opened.view} ${opened.phase}: somebody else saved version ${current} meanwhile.`);
      else if (!edits.isDirty) edits.untouched.clear();
    }
    this.measure();
    for (const viewer of this.visible) viewer.draw();
    this.slices?.draw();
    if (this.mode === "stacks") this.surface?.show(this.visible);
    this.#drawCurve();
  }

  /** @param {number} version */
  async rollBack(version) {
    const viewer = this.active;
    if (!viewer) return;
    await telling(async () => {
      await request("POST", address(`/cardiac/labels/${encodeURIComponent(viewer.opened.image)}/rollback`, { version }));
      viewer.edits.forget();
      await this.#reopen(viewer);
      await this.#refresh(true);
      say(`Version ${version} is the current one again, as a new version.`, "good");
    });
    this.#loadVersions();
  }

  /** Say that a frame of a cine is ED or ES, by default the shown one. @param {"ed_frame" | "es_frame"} which @param {Viewer | null} [viewer] @param {number} [frame] */
  async setPhase(which, viewer = this.active, frame = viewer?.frame ?? 0) {
    if (!viewer) return;
    await telling(async () => {
      const [beat] = this.report.beats[viewer.opened.image] ?? [];
      // Both frames count together, so the other one stays where it was found.
      const frames = { ed_frame: beat ? beat.ed_index + 1 : null, es_frame: beat ? beat.es_index + 1 : null, [which]: frame + 1 };
      await request("PUT", address(`/cardiac/images/${encodeURIComponent(viewer.opened.image)}/description`), frames);
      say(`Frame ${frame + 1} is ${which === "ed_frame" ? "ED" : "ES"} now.`, "good");
      await this.#refresh(true);
    });
  }

  giveUp() {
    for (const viewer of this.dirty) {
      viewer.edits.forget();
      viewer.draw();
    }
    this.measure();
  }

  /** @param {string} mode */
  setMode(mode) {
    this.mode = mode;
    this.playing = false;
    this.#layout();
    this.activate(this.visible[0]);
    this.#showPhases();
    this.render();
  }

  #layout() {
    this.desk.replaceChildren();
    this.desk.removeAttribute("aria-busy");
    this.desk.className = "desk";
    this.left = document.createElement("div");
    this.tools = document.createElement("div");
    this.tools.className = "tools";
    this.tools.setAttribute("role", "toolbar");
    this.tools.setAttribute("aria-label", "Tools");
    const views = document.createElement("div");
    views.className = "views";
    const visible = this.visible;
    const rows = Math.ceil(visible.length / 2);
    this.sized?.disconnect();
    this.sized = new ResizeObserver(() => {
      const top = views.getBoundingClientRect().top + window.scrollY;
      const room = window.innerHeight - top - BELOW_PX[this.mode] - 12;
      views.style.setProperty("--viewer-height", `${Math.max(200, Math.floor(room / rows) - 8)}px`);
    });
    this.sized.observe(this.tools);
    this.sized.observe(document.documentElement);
    if (visible.length === 1) views.style.gridTemplateColumns = "minmax(0, 1fr)";
    views.append(...visible.map((viewer) => viewer.host));
    this.curveHost = document.createElement("div");
    this.curveHost.className = "curve";
    this.left.append(this.tools, views, this.curveHost);
    this.slices = undefined;
    if (this.mode === "stacks") {
      const sliceHost = document.createElement("div");
      const surfaceHost = document.createElement("div");
      surfaceHost.className = "surface";
      const below = document.createElement("div");
      below.className = "below";
      below.append(this.curveHost, surfaceHost);
      this.left.append(sliceHost, below);
      this.slices = new Slices(sliceHost, visible, (slice) => this.#goToSlice(slice));
      this.surface = new Surface(surfaceHost);
      this.surface.show(visible);
    }
    this.side = document.createElement("div");
    this.side.className = "side";
    this.desk.append(this.left, this.side);
    for (const viewer of visible) viewer.frames.load(viewer.frame);
    this.#drawCurve();
  }

  /** Show cines at ED, stacks in their middle. */
  #showPhases() {
    for (const viewer of this.visible) {
      const { opened } = viewer;
      const beat = this.report.beats[opened.image]?.[0];
      if (opened.is_stack) {
        viewer.show(Math.floor(opened.frames / 2));
        viewer.zoomToContours();
      }
      else if (beat) viewer.show(beat.ed_index);
      viewer.draw();
    }
    this.clock = this.#timeOf(this.visible[0], this.visible[0]?.frame ?? 0);
  }

  /** @param {Viewer | undefined} viewer @param {number} frame */
  #timeOf(viewer, frame) {
    return frame / (viewer?.opened.frame_rate_hz ?? 25);
  }

  #drawCurve() {
    this.curve?.destroy();
    this.curve = undefined;
    if (!this.curveHost || this.mode === "stills" || this.reading) {
      this.curveHost?.replaceChildren();
      return;
    }
    const isStack = this.mode === "stacks";
    const all = this.visible.map((viewer) => {
      const { opened } = viewer;
      const rows = this.report.frames.filter((/** @type {any} */ row) => row.image_id === opened.image);
      const beats = this.report.beats[opened.image] ?? [];
      return {
        name: isStack ? opened.phase : opened.view,
        times: rows.map((/** @type {any} */ row) => (isStack ? row.frame + 1 : this.#timeOf(viewer, row.frame))),
        areas: rows.map((/** @type {any} */ row) => (row.lv_area_mm2 === null ? row.area_px : row.lv_area_mm2 / 100)),
        unit: rows.some((/** @type {any} */ row) => row.lv_area_mm2 !== null) ? "cm²" : "pixels",
        ed: [...new Set(beats.map((/** @type {any} */ beat) => beat.ed_index))],
        es: [...new Set(beats.map((/** @type {any} */ beat) => beat.es_index))],
      };
    });
    const curves = all.filter((curve) => curve.areas.some((/** @type {number | null} */ area) => area !== null));
    const go = (/** @type {number} */ at) => (isStack ? this.#goToSlice(Math.round(at) - 1) : this.#goTo(at));
    const drawn = this.visible.filter((_, k) => all[k].areas.some((/** @type {number | null} */ area) => area !== null));
    const move = (/** @type {number} */ k, /** @type {"ed" | "es"} */ phase, /** @type {number} */ frame) => void this.setPhase(phase === "ed" ? "ed_frame" : "es_frame", drawn[k], frame);
    this.curve = areaCurve(this.curveHost, curves, go, isStack ? "slice" : undefined, isStack ? undefined : move);
  }

  /** Show the same slice of all stacks. @param {number} slice from 0 */
  #goToSlice(slice) {
    for (const viewer of this.visible) if (slice >= 0 && slice < viewer.opened.frames) viewer.show(slice);
    this.curve?.at(slice + 1);
    this.slices?.at(slice);
    this.render();
  }

  /** Show all cines at a time. @param {number} at in s */
  #goTo(at) {
    this.clock = at;
    for (const viewer of this.visible) {
      const { opened } = viewer;
      const rate = opened.frame_rate_hz ?? 25;
      const beat = this.loop ? this.report.beats[opened.image]?.[0] : undefined;
      if (beat) {
        const first = Math.min(beat.ed_index, beat.es_index);
        const length = 2 * Math.abs(beat.es_index - beat.ed_index) + 1;
        viewer.show(Math.min(opened.frames - 1, first + (Math.floor(at * rate) % length)));
      } else {
        viewer.show(Math.floor(at * rate + 1e-6) % opened.frames);
      }
    }
    this.curve?.at(at % Math.max(...this.visible.map((viewer) => this.#timeOf(viewer, viewer.opened.frames)), 1e-3));
  }

  /** @param {number} now in ms */
  #tick(now) {
    const passed = Math.min(0.25, (now - (this.before ?? now)) / 1000);
    this.before = now;
    if (this.playing && this.mode === "cines") this.#goTo(this.clock + passed * this.speed);
    requestAnimationFrame((next) => this.#tick(next));
  }

  play() {
    this.playing = !this.playing;
    this.render();
  }

  /** @param {number} by */
  step(by) {
    this.playing = false;
    const viewer = this.active;
    if (!viewer || viewer.opened.frames < 2) return;
    viewer.show(viewer.frame + by);
    if (this.mode === "stacks") {
      this.#goToSlice(viewer.frame);
      return;
    }
    this.clock = this.#timeOf(viewer, viewer.frame);
    this.curve?.at(this.clock);
    this.render();
  }

  undo() {
    const viewer = this.active;
    const frame = viewer?.edits.undo() ?? -1;
    this.#stepped(viewer, frame);
  }

  redo() {
    const viewer = this.active;
    const frame = viewer?.edits.redo() ?? -1;
    this.#stepped(viewer, frame);
  }

  /** @param {Viewer | null} viewer @param {number} frame */
  #stepped(viewer, frame) {
    if (!viewer || frame < 0) return;
    viewer.show(frame);
    viewer.draw();
    this.drawn();
  }

  /** @param {Partial<Study["settings"]>} settings */
  set(settings) {
    Object.assign(this.settings, settings);
    for (const viewer of this.viewers) viewer.chosen = -1;
    for (const viewer of this.visible) viewer.draw();
    this.render();
  }

  async next() {
    await telling(async () => {
      const sample = await request("POST", address("/activelearning/hybrid"), { client_id: annotator() });
      if (!sample.id) return say("Nothing is left to correct.");
      sessionStorage.setItem("cardiolabel:why", `${sample.id}\n${sample.why ?? ""}`);
      location.assign(address("/study", { patient: sample.patient, image: sample.id }));
      return undefined;
    });
  }

  #keys() {
    /** @param {(event: KeyboardEvent) => void} action */
    const key = (action) => (/** @type {KeyboardEvent} */ event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      if (target.closest("input, select, textarea, dialog")) return;
      event.preventDefault();
      action(event);
    };
    const arrow = (/** @type {number} */ x, /** @type {number} */ y) => key(() => this.active?.nudge(x, y) || (x && this.step(x)));
    const structure = (/** @type {number} */ index) => key(() => {
      const name = this.active?.structures[index];
      if (name) this.set({ structure: name });
    });
    tinykeys(window, {
      "$mod+z": key(() => this.undo()), "$mod+Shift+z": key(() => this.redo()), "$mod+y": key(() => this.redo()),
      "$mod+Enter": key(() => this.save()), "$mod+s": key(() => this.save()),
      ArrowLeft: arrow(-1, 0), ArrowRight: arrow(1, 0), ArrowUp: arrow(0, -1), ArrowDown: arrow(0, 1),
      ",": key(() => this.step(-1)), ".": key(() => this.step(1)),
      Tab: (event) => {
        if (document.activeElement !== this.active?.host || this.settings.tool !== "points") return;
        const n = this.active.edits.shape(this.active.frame).curves[this.settings.structure]?.points.length ?? 0;
        if (this.active.chosen === n - 1) {
          this.active.chosen = -1;
          return;
        }
        event.preventDefault();
        this.active.choose(1);
      },
      Escape: key(() => this.set({})), Delete: key(() => this.active?.remove()), Backspace: key(() => this.active?.remove()),
      Space: (event) => {
        if (!/** @type {HTMLElement} */ (event.target).closest("button, input, select, a")) key(() => this.play())(event);
      },
      1: structure(0), 2: structure(1), 3: structure(2), s: key(() => this.active?.smooth()),
      c: key(() => this.active && this.active.copyFrom(this.active.frame - 1)), d: key(() => this.set({ discs: !this.settings.discs })),
      g: key(() => this.set({ ghosts: !this.settings.ghosts })), h: key(() => this.set({ contours: !this.settings.contours })),
      n: key(() => this.next()), 0: key(() => this.active?.fitAll()), l: key(() => {
        this.loop = !this.loop;
        this.render();
      }),
      "[": key(() => this.set({ radius: Math.max(2, this.settings.radius - 2) })), "]": key(() => this.set({ radius: this.settings.radius + 2 })),
      ...Object.fromEntries(TOOLS.map(([name, , letter]) => [letter, key(() => this.set({ tool: name }))])),
    });
  }

  /** Show where a number comes from. @param {string} method */
  async showSource(method) {
    this.selected = method;
    const views = method.includes("A2C") ? ["A2C"] : method.includes("A4C") ? ["A4C"] : method === "slice-summation" ? ["SAX"] : ["A4C", "A2C"];
    const mode = this.viewers.find((viewer) => views.includes(viewer.opened.view));
    if (mode && !this.visible.some((viewer) => views.includes(viewer.opened.view))) this.setMode(modeOf(mode.opened));
    this.playing = false;
    this.#showPhases();
    this.set({ discs: true, contours: true });
  }

  render() {
    if (!this.side || !this.tools) return;
    render(html`<${Tools} study=${this} />`, this.tools);
    render(html`<${Side} study=${this} />`, this.side);
  }
}

showWho();
const study = new Study(parameters.get("patient") ?? "");
Object.assign(window, { cardiolabelStudy: study });
study.open().catch((error) => {
  study.desk.replaceChildren();
  study.desk.removeAttribute("aria-busy");
  render(html`<p class="bad">${error.message}</p><p><a href=${address("/")}>To the worklist</a></p>`, study.desk);
});
