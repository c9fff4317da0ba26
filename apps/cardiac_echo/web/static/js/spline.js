// Smooth curves through points: centripetal Catmull-Rom splines of d3-shape.

import { curveCatmullRom, curveCatmullRomClosed } from "../vendor/d3-shape.js";

/** @typedef {[number, number]} Point x (column) and y (row); image pixels, the centre of the first at (0, 0) */

const STEPS = 10;
const ALPHA = 0.5;

/** Collects the Bézier curves that d3 draws as points. */
class Sampler {
  constructor() {
    /** @type {Point[]} */
    this.points = [];
    /** @type {Point} */
    this.at = [0, 0];
  }

  /** @param {number} x @param {number} y */
  moveTo(x, y) {
    this.at = [x, y];
    this.points.push(this.at);
  }

  /** @param {number} x @param {number} y */
  lineTo(x, y) {
    this.moveTo(x, y);
  }

  closePath() {}

  /** @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 @param {number} x @param {number} y */
  bezierCurveTo(x1, y1, x2, y2, x, y) {
    const [x0, y0] = this.at;
    for (let step = 1; step <= STEPS; step += 1) {
      const t = step / STEPS;
      const u = 1 - t;
      const [a, b, c, d] = [u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t];
      this.points.push([a * x0 + b * x1 + c * x2 + d * x, a * y0 + b * y1 + c * y2 + d * y]);
    }
    this.at = [x, y];
  }
}

/**
 * Points along the spline through some points, ten to each stretch.
 * @param {Point[]} points
 * @param {boolean} closed
 * @returns {Point[]}
 */
export function sampled(points, closed) {
  if (points.length < 3) return points.slice();
  const sampler = new Sampler();
  const curve = (closed ? curveCatmullRomClosed : curveCatmullRom).alpha(ALPHA)(/** @type {any} */ (sampler));
  curve.lineStart();
  for (const [x, y] of points) curve.point(x, y);
  curve.lineEnd();
  return sampler.points;
}

/** @param {Point} a @param {Point} b */
export const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);

/**
 * Points evenly spaced along a line of points, both ends among them.
 * @param {Point[]} line
 * @param {number} count
 * @returns {Point[]}
 */
export function evenly(line, count) {
  const along = [0];
  for (let i = 1; i < line.length; i += 1) along.push(along[i - 1] + distance(line[i - 1], line[i]));
  const total = along[along.length - 1];
  let i = 1;
  return Array.from({ length: count }, (_, k) => {
    const at = (total * k) / (count - 1);
    while (i < line.length - 1 && along[i] < at) i += 1;
    const span = along[i] - along[i - 1];
    const part = span > 0 ? (at - along[i - 1]) / span : 0;
    const [a, b] = [line[i - 1], line[i]];
    return /** @type {Point} */ ([a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1])]);
  });
}

/**
 * Index of the point that is nearest to a place.
 * @param {Point[]} points
 * @param {Point} place
 */
export function nearest(points, place) {
  let best = 0;
  for (let i = 1; i < points.length; i += 1) if (distance(points[i], place) < distance(points[best], place)) best = i;
  return best;
}

/**
 * Whether a place lies within a closed polygon (even-odd rule).
 * @param {Point[]} polygon
 * @param {Point} place
 */
export function contains(polygon, [x, y]) {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i, i += 1) {
    const [xi, yi] = polygon[i];
    const [xj, yj] = polygon[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

/**
 * The two ways from one index to another along a closed polygon.
 * @param {Point[]} polygon
 * @param {number} from
 * @param {number} to
 * @returns {[Point[], Point[]]}
 */
export function bothWays(polygon, from, to) {
  const n = polygon.length;
  /** @param {number} step @returns {Point[]} */
  const way = (step) => {
    const points = [polygon[from]];
    for (let i = from; i !== to; ) {
      i = (i + step + n) % n;
      points.push(polygon[i]);
    }
    return points;
  };
  return [way(1), way(-1)];
}

/**
 * A closed polygon with a point at least every so many pixels.
 * @param {Point[]} polygon
 * @param {number} step
 * @returns {Point[]}
 */
export function densely(polygon, step) {
  /** @type {Point[]} */
  const points = [];
  polygon.forEach((a, i) => {
    const b = polygon[(i + 1) % polygon.length];
    const parts = Math.max(1, Math.ceil(distance(a, b) / step));
    for (let k = 0; k < parts; k += 1) points.push([a[0] + ((b[0] - a[0]) * k) / parts, a[1] + ((b[1] - a[1]) * k) / parts]);
  });
  return points;
}
