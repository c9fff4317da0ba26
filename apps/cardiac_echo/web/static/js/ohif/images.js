// Which of OHIF's display sets is which image of the server.

import { address, get } from "../api.js";

/**
 * @typedef {{image: string, view: string, phase: string, is_stack: boolean, structures: Record<string, number>,
 *   frame_rate_hz: number | null, pictures: [string, string, number | null][], slot: string}} StudyImage
 */

const VIEWS = ["A4C", "A2C", "SAX", "unknown"];
const PHASES = ["cine", "ED", "ES"];

/** The study that is open: its patient and images. @type {{study: string, patient: string, images: StudyImage[], problem: string}} */
export const opened = { study: "", patient: "", images: [], problem: "" };

/** Ask the server for the images of a study, before OHIF sorts its instances. @param {string[]} studies */
export async function prepare(studies) {
  Object.assign(opened, { study: studies[0] ?? "", patient: "", images: [], problem: "" });
  try {
    const answer = await get(address(`/cardiac/dicom/studies/${encodeURIComponent(opened.study)}`));
    const rank = (/** @type {StudyImage} */ each) => 10 * VIEWS.indexOf(each.view) + PHASES.indexOf(each.phase);
    // Cines come first, so that A4C and A2C lie side by side.
    const order = (/** @type {StudyImage} */ each) => rank(each) + (each.phase === "cine" || each.is_stack ? 0 : 100);
    opened.images = answer.images.sort((/** @type {StudyImage} */ a, /** @type {StudyImage} */ b) => order(a) - order(b));
    opened.images.forEach((each, k) => { each.slot = `slot${k}`; });
    opened.patient = answer.patient;
  } catch (error) {
    opened.problem = `${/** @type {Error} */ (error).message}`;
  }
}

/** Place of a picture. @param {string} instance @param {number | null} frame */
export const place = (instance, frame) => `${instance}/${frame ?? 1}`;

/** Instance and frame of one of OHIF's image ids. @param {string} imageId */
export function placeOf(imageId) {
  const match = /instances\/([0-9.]+)(?:\/frames\/(\d+))?/.exec(imageId);
  return match ? place(match[1], Number(match[2] ?? 1)) : "";
}

/**
 * Make display sets of a series: one for each image of the server, so that ED and ES are apart. OHIF makes those of
 * the other instances.
 * @param {any[]} instances
 * @param {(instances: any[]) => any[]} stack OHIF's own maker
 */
export function displaySets(instances, stack) {
  const sets = [];
  for (const image of opened.images) {
    const own = new Set(image.pictures.map(([, instance]) => instance));
    const chosen = instances.filter((instance) => own.has(instance.SOPInstanceUID));
    if (!chosen.length) continue;
    for (const set of stack(chosen)) {
      const name = `${image.view} ${image.phase}`;
      set.setAttributes({
        SOPClassHandlerId: "cardiolabel.sopClassHandlerModule.heart",
        SeriesDescription: name,
        label: name,
        cardiolabelImage: image.image,
        cardiolabelSlot: image.slot,
        // A stack is shown slice by slice, as an annotator draws it, never as a volume through all phases.
        isReconstructable: false,
        isDynamicVolume: false,
      });
      sets.push(set);
    }
  }
  return sets;
}

/** @param {number} k */
const viewport = (k) => ({
  viewportOptions: { viewportType: "stack", toolGroupId: "default", allowUnmatchedView: true },
  displaySets: [{ id: `slot${k}` }],
});

/** @param {string} name @param {number} rows @param {number} columns @param {number} least */
const stage = (name, rows, columns, least) => ({
  name,
  id: name,
  stageActivation: { enabled: { minViewportsMatched: least } },
  viewportStructure: { layoutType: "grid", properties: { rows, columns } },
  viewports: Array.from({ length: rows * columns }, (_, k) => viewport(k)),
});

/** How the views are laid out: side by side, or four of them. */
export const layout = {
  id: "cardiolabel",
  name: "Views of the heart",
  protocolMatchingRules: [{ attribute: "numberOfDisplaySetsWithImages", constraint: { greaterThan: 0 }, weight: 25 }],
  toolGroupIds: ["default"],
  displaySetSelectors: Object.fromEntries(Array.from({ length: 4 }, (_, k) => [`slot${k}`, {
    seriesMatchingRules: [{ attribute: "cardiolabelSlot", constraint: { equals: { value: `slot${k}` } }, required: true }],
  }])),
  defaultViewport: viewport(0),
  stages: [stage("2x2", 2, 2, 3), stage("1x2", 1, 2, 2), stage("1x1", 1, 1, 0)],
};
