// Numbers and codes in words.

/** @type {Record<string, string>} */
const FLAGS = {
  foreshortening: "A4C and A2C differ in length: one is probably foreshortened",
  annulus_tilt: "the annulus is tilted against the long axis",
  annulus_from_shape: "the annulus was taken from the cavity's shape",
  border_contact: "the cavity reaches the edge of the picture",
  fragments: "the mask has loose pieces",
  temporal_outlier: "a frame differs from its neighbours",
  uncalibrated: "the pixel size is unknown: no lengths, no volumes",
  phases_from_area: "ED and ES were taken from the area curve",
  undrawn_frames: "frames beside ED or ES have no cavity",
  cut_beat: "the clip may cut off ED or ES",
  unusual_ef: "EF below 10 % or above 80 %",
  implausible_size: "a size that no left ventricle has: check the pixel size",
  several_recordings: "there are several recordings of a view",
  different_grids: "ED and ES differ in image or pixel size",
  slice_gap: "a slice between others has no cavity",
  slices_differ: "ED and ES cover different slices",
  apex_missing: "the stack does not reach the apex",
  unlike_training: "the image is unlike those that the model learned from",
  views_swapped: "the names A4C and A2C may be exchanged",
  blank: "the picture has hardly any grey values",
  saturated: "more than a tenth of the pixels are white",
  unreadable: "the file cannot be read",
  phantom: "a generated image",
};

/** @type {Record<string, string>} */
const STATES = { final: "corrected", original: "stored prediction", model: "prediction", none: "no mask", drawn: "being corrected" };

/** @type {Record<string, string>} */
const METHODS = {
  biplane: "biplane", "single-plane-A4C": "A4C only", "single-plane-A2C": "A2C only",
  "area-length": "area–length", "slice-summation": "slice summation",
};

/** @type {Record<string, string>} */
const STRUCTURES = { lv_cavity: "endocardium", myocardium: "epicardium", left_atrium: "left atrium", right_ventricle: "right ventricle" };

/** @type {Record<string, string>} */
const REGIONS = { lv_cavity: "LV cavity", myocardium: "myocardium", left_atrium: "left atrium", right_ventricle: "right ventricle" };

/** @param {string} flag */
export const flagWords = (flag) => FLAGS[flag] ?? flag.replaceAll("_", " ");
/** @param {string} source */
export const stateWords = (source) => STATES[source] ?? source;
/** @param {string} method */
export const methodWords = (method) => METHODS[method] ?? method;
/** @param {string} structure */
export const structureWords = (structure) => STRUCTURES[structure] ?? structure.replaceAll("_", " ");

/** @param {string} structure */
export const regionWords = (structure) => REGIONS[structure] ?? structure.replaceAll("_", " ");

/**
 * A number with its digits after the point, or a dash.
 * @param {number | null | undefined} value
 * @param {number} [digits]
 */
export const number = (value, digits = 0) => (value === null || value === undefined ? "–" : value.toFixed(digits));

/**
 * An interval, or nothing.
 * @param {number | null | undefined} low
 * @param {number | null | undefined} high
 */
export const interval = (low, high) => (low === null || low === undefined || high === null || high === undefined ? "" : `${low.toFixed(0)} to ${high.toFixed(0)}`);

/** @param {string | null | undefined} text */
export const time = (text) => (text ? new Date(text).toLocaleString() : "");
