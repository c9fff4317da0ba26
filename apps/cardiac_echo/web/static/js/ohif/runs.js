// Label values of a frame as runs: value, first pixel and length of each, pixels counted along the rows.

/** @param {ArrayLike<number>} pixels @returns {number[]} */
export function runsOf(pixels) {
  /** @type {number[]} */
  const runs = [];
  let value = 0;
  let first = 0;
  for (let at = 0; at <= pixels.length; at += 1) {
    const next = at < pixels.length ? pixels[at] : 0;
    if (next === value) continue;
    if (value) runs.push(value, first, at - first);
    value = next;
    first = at;
  }
  return runs;
}

/** Write runs over all pixels. @param {{length: number, fill: (value: number, start?: number, end?: number) => unknown}} pixels @param {number[]} runs */
export function fill(pixels, runs) {
  pixels.fill(0);
  for (let k = 0; k < runs.length; k += 3) pixels.fill(runs[k], runs[k + 1], runs[k + 1] + runs[k + 2]);
}

/** @param {number[]} a @param {number[]} b */
export const same = (a, b) => a.length === b.length && a.every((number, k) => number === b[k]);
