// Masks of the open study in OHIF's own segmentations: shown, watched, measured and submitted.

import { address, annotator, get, onChange, request, say, ServerError, telling } from "../api.js";
import { dicomStudies, ohifAddress } from "../dicom.js";
import { Newest } from "../live.js";
import { regionWords } from "../words.js";
import { opened, place, placeOf } from "./images.js";
import { fill, runsOf, same } from "./runs.js";

/** @type {Record<string, [number, number, number, number]>} */
const COLOURS = {
  lv_cavity: [230, 180, 30, 255], myocardium: [42, 165, 138, 255], left_atrium: [91, 141, 239, 255], right_ventricle: [217, 74, 106, 255],
};

/** Colours by label value. @param {import("./images.js").StudyImage} image */
function coloursOf(image) {
  const colours = Array.from({ length: 256 }, () => [200, 200, 200, 255]);
  colours[0] = [0, 0, 0, 0];
  for (const [name, value] of Object.entries(image.structures)) colours[value] = COLOURS[name] ?? colours[value];
  return colours;
}

const PAUSE_MS = 300;
const DRAWN_AGAIN_MS = [200, 1000];

/** Masks of one image. */
class ImageMask {
  /** @param {import("./images.js").StudyImage} image @param {any} displaySet @param {any} labelmap of the server */
  constructor(image, displaySet, labelmap) {
    this.image = image;
    this.displaySet = displaySet;
    this.segmentation = `cardiolabel ${image.image}`;
    this.labelmap = labelmap;
    this.version = labelmap.version;
    /** Frames that differ from the stored masks. @type {Map<number, number[]>} */
    this.changed = new Map();
    this.strokes = 0;
    this.began = 0;
    const frames = new Map(image.pictures.map(([, instance, frame], k) => [place(instance, frame), k]));
    /** Frame of the server by OHIF's. @type {number[]} */
    this.frameOf = displaySet.imageIds.map((/** @type {string} */ id) => frames.get(placeOf(id)) ?? -1);
  }

  /** Begin anew with stored masks. @param {any} labelmap */
  take(labelmap) {
    this.labelmap = labelmap;
    this.version = labelmap.version;
    this.changed.clear();
    this.strokes = 0;
    this.began = 0;
  }

  get name() {
    return `${this.image.view} ${this.image.phase}`;
  }

  /** Stored runs of a frame. @param {number} frame @returns {number[]} */
  stored(frame) {
    return this.labelmap.frames[frame] ?? [];
  }
}

export class Masks {
  /** @param {any} services @param {any} extensions of OHIF */
  constructor(services, extensions) {
    this.services = services;
    this.extensions = extensions;
    /** @type {Map<string, Promise<ImageMask | undefined>>} */
    this.loading = new Map();
    /** @type {Map<string, ImageMask>} */
    this.images = new Map();
    /** What the stored masks give, and with unsaved work. @type {any} */
    this.report = null;
    /** @type {any} */
    this.shown = null;
    /** @type {any[]} */
    this.versions = [];
    /** @type {{mask: ImageMask, theirs: any, message: string} | null} */
    this.conflict = null;
    this.isSaving = false;
    this.isFilling = false;
    /** Masks with strokes that were not looked at yet. @type {Set<ImageMask>} */
    this.painted = new Set();
    /** Ends when the masks of all viewports are shown. @type {Promise<any> | undefined} */
    this.showing = undefined;
    this.changes = new Newest();
    /** Called when something is to be shown anew. */
    this.render = () => {};
    /** @type {(() => void)[]} */
    this.endings = [];
    window.addEventListener("beforeunload", (event) => this.dirty.length && event.preventDefault());
  }

  get libraries() {
    return this.extensions.getModuleEntry("@ohif/extension-cornerstone.utilityModule.common").exports.getCornerstoneLibraries();
  }

  get patient() {
    return opened.patient;
  }

  get problem() {
    return opened.problem;
  }

  get dirty() {
    return [...this.images.values()].filter((mask) => mask.changed.size);
  }

  /** The image of the active viewport. */
  get active() {
    const grid = this.services.viewportGridService;
    return this.images.get(this.#setIn(grid.getActiveViewportId())?.cardiolabelImage ?? "");
  }

  open() {
    const { viewportGridService: grid, cornerstoneViewportService: viewports, segmentationService: segmentations } = this.services;
    const events = onChange(() => this.refresh());
    const watch = (/** @type {any} */ service, /** @type {string} */ event, /** @type {(detail: any) => void} */ then) =>
      this.endings.push(service.subscribe(service.EVENTS[event], then).unsubscribe);
    this.endings.push(() => events.close());
    // One after the other, as a mask that is added twice at a time is drawn wrongly.
    watch(viewports, "VIEWPORT_DATA_CHANGED", ({ viewportId }) => {
      this.showing = (this.showing ?? Promise.resolve()).then(() => telling(() => this.#show(viewportId)));
    });
    watch(grid, "ACTIVE_VIEWPORT_ID_CHANGED", () => this.#activate());
    watch(segmentations, "SEGMENTATION_DATA_MODIFIED", ({ segmentationId }) => this.#painted(segmentationId));
  }

  close() {
    for (const end of this.endings.splice(0)) end();
    this.images.clear();
    this.loading.clear();
    this.report = this.shown = this.conflict = null;
    this.versions = [];
  }

  /** @param {string} viewport */
  #setIn(viewport) {
    const { viewportGridService: grid, displaySetService: sets } = this.services;
    const [uid] = grid.getDisplaySetsUIDsForViewport(viewport) ?? [];
    return uid ? sets.getDisplaySetByUID(uid) : undefined;
  }

  /** Show the masks of what a viewport shows. @param {string} viewport */
  async #show(viewport) {
    const displaySet = this.#setIn(viewport);
    const image = opened.images.find((each) => each.image === displaySet?.cardiolabelImage);
    if (!image) return;
    if (!this.loading.has(image.image)) this.loading.set(image.image, this.#load(image, displaySet));
    const mask = await this.loading.get(image.image);
    if (!mask || this.#setIn(viewport) !== displaySet) return;
    const segmentations = this.services.segmentationService;
    if (!segmentations.getSegmentationRepresentations(viewport, { segmentationId: mask.segmentation }).length) {
      await this.goTo(image.image, this.#first(image));
      await segmentations.addSegmentationRepresentation(viewport, { segmentationId: mask.segmentation, config: { colorLUTOrIndex: coloursOf(image) } });
      this.#drawAgain(viewport, mask);
    }
    this.#activate();
  }

  /** Draw a mask once more: where several come at a time, OHIF may leave one without its colours. @param {string} viewport @param {ImageMask} mask */
  #drawAgain(viewport, mask) {
    const { triggerSegmentationRepresentationModified: draw } = this.libraries.cornerstoneTools.segmentation.triggerSegmentationEvents;
    for (const after of DRAWN_AGAIN_MS) {
      setTimeout(() => this.#setIn(viewport)?.cardiolabelImage === mask.image.image && draw(viewport, mask.segmentation, "Labelmap"), after);
    }
  }

  /** What of an image is shown first: ED of a cine, the middle of a stack. @param {import("./images.js").StudyImage} image */
  #first(image) {
    return image.is_stack ? Math.floor(image.pictures.length / 2) : (this.report?.beats[image.image]?.[0]?.ed_index ?? 0);
  }

  /** @param {import("./images.js").StudyImage} image @param {any} displaySet */
  async #load(image, displaySet) {
    const labelmap = await telling(() => get(address(`/cardiac/images/${encodeURIComponent(image.image)}/labelmap`)));
    if (!labelmap) {
      this.loading.delete(image.image);
      return undefined;
    }
    const mask = new ImageMask(image, displaySet, labelmap);
    await this.services.segmentationService.createLabelmapForDisplaySet(displaySet, {
      segmentationId: mask.segmentation,
      label: mask.name,
      segments: Object.fromEntries(Object.entries(image.structures).map(([name, value]) => [value, { label: regionWords(name), segmentIndex: value, active: name === "lv_cavity" }])),
    });
    this.images.set(image.image, mask);
    this.#fill(mask, mask.labelmap.frames);
    if (labelmap.reason) say(`${mask.name}: ${labelmap.reason}`);
    return mask;
  }

  /** The labelmap's pixels of each of OHIF's frames. @param {ImageMask} mask @returns {any[]} */
  #pixels(mask) {
    const { cornerstone, cornerstoneTools } = this.libraries;
    const { imageIds } = cornerstoneTools.segmentation.state.getSegmentation(mask.segmentation).representationData.Labelmap;
    return imageIds.map((/** @type {string} */ id) => cornerstone.cache.getImage(id).voxelManager);
  }

  /** Put masks into OHIF's segmentation. @param {ImageMask} mask @param {number[][]} frames */
  #fill(mask, frames) {
    this.#pixels(mask).forEach((voxels, k) => {
      const pixels = voxels.getScalarData();
      const { rows, cols } = mask.labelmap;
      if (pixels.length !== rows * cols) throw new Error(`${mask.name}: OHIF shows ${pixels.length} pixels, the server ${rows * cols}.`);
      fill(pixels, frames[mask.frameOf[k]] ?? []);
      voxels.setScalarData?.(pixels);
    });
    this.isFilling = true;
    this.libraries.cornerstoneTools.segmentation.triggerSegmentationEvents.triggerSegmentationDataModified(mask.segmentation);
    this.isFilling = false;
  }

  #activate() {
    this.render();
    this.#loadVersions();
  }

  async #loadVersions() {
    const image = this.active?.image.image;
    const versions = image ? await telling(() => get(address(`/cardiac/labels/${encodeURIComponent(image)}/versions`))) : [];
    if (versions && this.active?.image.image === image) this.versions = versions;
    this.render();
  }

  /** After somebody painted. @param {string} segmentation */
  #painted(segmentation) {
    const mask = [...this.images.values()].find((each) => each.segmentation === segmentation);
    if (!mask || this.isFilling) return;
    mask.strokes += 1;
    mask.began ||= Date.now();
    this.painted.add(mask);
    clearTimeout(this.pause);
    this.pause = setTimeout(() => {
      for (const each of this.painted) this.#compare(each);
      this.painted.clear();
      this.measure();
    }, PAUSE_MS);
  }

  /** Note which frames differ from the stored masks. @param {ImageMask} mask */
  #compare(mask) {
    mask.changed.clear();
    this.#pixels(mask).forEach((voxels, k) => {
      const frame = mask.frameOf[k];
      const runs = frame < 0 ? [] : runsOf(voxels.getScalarData());
      if (frame >= 0 && !same(runs, mask.stored(frame))) mask.changed.set(frame, runs);
    });
    this.render();
  }

  /** Measure with unsaved work. */
  measure() {
    if (!this.dirty.length) {
      this.shown = this.report;
      this.render();
      return;
    }
    this.changes.run(async () => {
      const images = this.dirty.map((mask) => ({ image: mask.image.image, painted: Object.fromEntries(mask.changed) }));
      const answer = images.length ? await telling(() => request("POST", address("/cardiac/measure"), { images })) : null;
      if (answer && this.dirty.length) this.shown = answer;
      this.render();
    });
  }

  /** The model's masks in place of those of the active image. */
  async predict() {
    const mask = this.active;
    if (!mask) return say("Choose a viewport with an image of the heart first.", "bad");
    await telling(async () => {
      const began = performance.now();
      const labelmap = await get(address(`/cardiac/images/${encodeURIComponent(mask.image.image)}/labelmap`, { blind: true }));
      if (!labelmap.frames.length) return say(`${mask.name}: ${labelmap.reason || "no model segments this view"}`, "bad");
      this.#fill(mask, labelmap.frames);
      this.#compare(mask);
      this.measure();
      return say(`${mask.name}: predicted in ${((performance.now() - began) / 1000).toFixed(1)} s.`, "good");
    });
    return undefined;
  }

  /** @param {ImageMask[]} [masks] */
  async submit(masks = this.dirty) {
    if (this.isSaving || !masks.length) return;
    this.isSaving = true;
    this.render();
    for (const mask of masks) {
      this.#compare(mask);
      try {
        const saved = await request("PUT", address(`/cardiac/images/${encodeURIComponent(mask.image.image)}/labelmap`), {
          frames: Object.fromEntries(mask.changed), base_version: mask.version, client_id: annotator(),
          seconds: mask.began ? Math.round((Date.now() - mask.began) / 1000) : 0, strokes: mask.strokes,
        });
        say(`${mask.name}: version ${saved.version} is saved.`, "good");
        await this.#reload(mask);
      } catch (error) {
        if (error instanceof ServerError && error.status === 409) await this.#showConflict(mask, error);
        else if (error instanceof ServerError) say(`Not saved: ${error.message}`, "bad");
        else say("Not saved: the server cannot be reached. Keep this tab open and submit again.", "bad");
        break;
      }
    }
    this.isSaving = false;
    await this.refresh();
    this.#loadVersions();
  }

  /** @param {ImageMask} mask @param {ServerError} error */
  async #showConflict(mask, error) {
    const theirs = await telling(() => get(address(`/cardiac/images/${encodeURIComponent(mask.image.image)}/labelmap`)));
    if (theirs) this.conflict = { mask, theirs, message: error.message };
  }

  /** Settle a conflict: keep the other's mask, or put the own one over it. @param {boolean} mine */
  async settle(mine) {
    if (!this.conflict) return;
    const { mask, theirs } = this.conflict;
    this.conflict = null;
    if (mine) {
      mask.version = theirs.version;
      // Frames that only the other changed are painted over as well, as the picture shows the own mask.
      mask.labelmap = theirs;
      await this.submit([mask]);
    } else {
      mask.take(theirs);
      this.#fill(mask, theirs.frames);
      await this.refresh();
    }
  }

  /** Show the stored masks of an image again. @param {ImageMask} mask */
  async #reload(mask) {
    const labelmap = await get(address(`/cardiac/images/${encodeURIComponent(mask.image.image)}/labelmap`));
    mask.take(labelmap);
    this.#fill(mask, labelmap.frames);
  }

  giveUp() {
    for (const mask of this.dirty) {
      mask.take(mask.labelmap);
      this.#fill(mask, mask.labelmap.frames);
    }
    this.measure();
  }

  /** @param {number} version */
  async rollBack(version) {
    const mask = this.active;
    if (!mask) return;
    await telling(async () => {
      await request("POST", address(`/cardiac/labels/${encodeURIComponent(mask.image.image)}/rollback`, { version }));
      await this.#reload(mask);
      await this.refresh();
    });
    this.#loadVersions();
  }

  /** Follow what was saved, here or elsewhere. */
  async refresh() {
    if (!this.patient) return this.render();
    const report = await telling(() => get(address(`/cardiac/patients/${encodeURIComponent(this.patient)}`)));
    if (report) this.report = report;
    for (const mask of this.images.values()) {
      if (mask.changed.size || this.isSaving) continue;
      const versions = await telling(() => get(address(`/cardiac/labels/${encodeURIComponent(mask.image.image)}/versions`)));
      const current = versions?.find((/** @type {any} */ version) => version.current)?.version ?? 0;
      if (versions && current !== mask.version) await telling(() => this.#reload(mask));
    }
    this.measure();
    return undefined;
  }

  /** Show a frame of an image, wherever it is shown. @param {string} image @param {number} frame of the server */
  async goTo(image, frame) {
    const { viewportGridService: grid, cornerstoneViewportService: viewports } = this.services;
    const mask = this.images.get(image);
    for (const [viewport] of grid.getState().viewports) {
      if (mask && this.#setIn(viewport)?.cardiolabelImage === image) {
        await viewports.getCornerstoneViewport(viewport)?.setImageIdIndex(mask.frameOf.indexOf(frame));
      }
    }
  }

  /** The server's frame that the active viewport shows. */
  get frame() {
    const { viewportGridService: grid, cornerstoneViewportService: viewports } = this.services;
    const index = viewports.getCornerstoneViewport(grid.getActiveViewportId())?.getCurrentImageIdIndex?.() ?? 0;
    return this.active?.frameOf[index] ?? 0;
  }

  /** Say that the shown frame of a cine is ED or ES. @param {"ed_frame" | "es_frame"} which @param {string} [image] @param {number} [frame] */
  async setPhase(which, image = this.active?.image.image ?? "", frame = this.frame) {
    await telling(async () => {
      const [beat] = this.report?.beats[image] ?? [];
      const frames = { ed_frame: beat ? beat.ed_index + 1 : null, es_frame: beat ? beat.es_index + 1 : null, [which]: frame + 1 };
      await request("PUT", address(`/cardiac/images/${encodeURIComponent(image)}/description`), frames);
      say(`Frame ${frame + 1} is ${which === "ed_frame" ? "ED" : "ES"} now.`, "good");
      await this.refresh();
    });
  }

  /** Open the study that is worth correcting next. */
  async next() {
    await telling(async () => {
      const sample = await request("POST", address("/activelearning/hybrid"), { client_id: annotator() });
      if (!sample.id) return say("Nothing is left to correct.");
      sessionStorage.setItem("cardiolabel:why", `${sample.id}\n${sample.why ?? ""}`);
      const study = (await dicomStudies()).studies.get(sample.patient);
      location.assign(study ? ohifAddress(study) : address("/study", { patient: sample.patient, image: sample.id }));
      return undefined;
    });
  }
}
