// One patient: images beside each other, EF that follows the hand, versions, and submitting.

import { address, annotator, showWho, get, onChange, request, say, ServerError, telling } from "./api.js";
import { dicomStudies } from "./dicom.js";
import { Edits } from "./edits.js";
import { Frames } from "./frames.js";
import { html, render } from "../vendor/htm-preact.js";
import { listenToKeys } from "./keys.js";
import { Newest } from "./live.js";
import { Viewer } from "./viewer.js";
import { Side } from "./side.js";
import { Slices } from "./slices.js";
import { modeOf } from "./study_parts.js";
import { Surface } from "./surface.js";
import { Timeline } from "./timeline.js";
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
    this.selected = "";
    /** @type {any} */
    this.conflict = null;
    this.isSaving = false;
    this.isNamed = false;
    /** @type {Map<string, any>} */
    this.measuredFrames = new Map();
    this.timeline = new Timeline(this);
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
    this.timeline.showPhases();
    if (this.dirty.length) {
      say("Unsaved work of this patient was restored.");
      this.measure();
    }
    dicomStudies().then((studies) => {
      this.dicom = studies;
      this.render();
    });
    listenToKeys(this);
    onChange(() => this.#refresh());
    window.addEventListener("beforeunload", () => this.viewers.forEach((viewer) => viewer.edits.isDirty && viewer.edits.keep()));
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
    this.timeline.scrolled(viewer);
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
    this.timeline.draw();
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
    this.timeline.playing = false;
    this.#layout();
    this.activate(this.visible[0]);
    this.timeline.showPhases();
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
      this.slices = new Slices(sliceHost, visible, (slice) => this.timeline.goToSlice(slice));
      this.surface = new Surface(surfaceHost);
      this.surface.show(visible);
    }
    this.side = document.createElement("div");
    this.side.className = "side";
    this.desk.append(this.left, this.side);
    for (const viewer of visible) viewer.frames.load(viewer.frame);
    this.timeline.draw();
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

  /** Show where a number comes from. @param {string} method */
  async showSource(method) {
    this.selected = method;
    const views = method.includes("A2C") ? ["A2C"] : method.includes("A4C") ? ["A4C"] : method === "slice-summation" ? ["SAX"] : ["A4C", "A2C"];
    const mode = this.viewers.find((viewer) => views.includes(viewer.opened.view));
    if (mode && !this.visible.some((viewer) => views.includes(viewer.opened.view))) this.setMode(modeOf(mode.opened));
    this.timeline.playing = false;
    this.timeline.showPhases();
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
