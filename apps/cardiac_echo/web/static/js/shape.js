// The contours of one frame as splines that a hand can move.

import { bothWays, contains, densely, distance, evenly, nearest, sampled } from "./spline.js";

/**
 * @typedef {import("./spline.js").Point} Point
 * @typedef {{points: Point[], closed: boolean, apex: number}} Curve
 *   `apex`: index of the apex among the points, -1 for none. An open curve begins and ends at the base.
 * @typedef {{curves: Record<string, Curve>, touched: string[], removed: string[]}} Shape
 * @typedef {{annulus: Point[] | null, apex: Point | null}} Landmarks
 */

export const CAVITY = "lv_cavity";
export const WALL = "myocardium";
export const ATRIUM = "left_atrium";

const SIDE_POINTS = 7;
const ATRIUM_POINTS = 10;
const CLOSED_POINTS = 12;
const BASE_SHARE = 0.2;
const APART_PX = 1.5;

/**
 * Contours of outlines that a mask has.
 * @param {Record<string, Point[][]>} outlines closed outlines by structure, the largest first
 * @param {Landmarks} landmarks hinge points and apex of an apical view; without, all curves are closed
 * @returns {Shape}
 */
export function shapeOf(outlines, landmarks) {
  /** @type {Record<string, Curve>} */
  const curves = {};
  const { annulus, apex } = landmarks;
  for (const [name, [outline]] of Object.entries(outlines)) {
    const dense = densely(outline, 1);
    const isOpen = annulus && apex && [CAVITY, WALL, ATRIUM].includes(name);
    if (!isOpen) curves[name] = closedCurve(dense);
    else if (name === CAVITY) curves[name] = ventricleCurve(dense, annulus, apex);
    else if (name === WALL) curves[name] = ventricleCurve(dense, wallEnds(dense, annulus, apex), dense[nearest(dense, beyond(annulus, apex))]);
    else curves[name] = atriumCurve(dense, annulus, apex);
  }
  return { curves, touched: [], removed: [] };
}

/** @param {Point[]} dense @returns {Curve} */
function closedCurve(dense) {
  return { points: evenly([...dense, dense[0]], CLOSED_POINTS + 1).slice(0, -1), closed: true, apex: -1 };
}

/** @param {Point[]} dense @param {Point[]} ends @param {Point} apex @returns {Curve} */
function ventricleCurve(dense, ends, apex) {
  const tip = nearest(dense, apex);
  const sides = ends.map((end) => {
    const other = ends[end === ends[0] ? 1 : 0];
    const ways = bothWays(dense, nearest(dense, end), tip);
    // The way that does not pass the other end.
    const passes = ways.map((way) => Math.min(...way.map((point) => distance(point, other))));
    return evenly(ways[passes[0] >= passes[1] ? 0 : 1], SIDE_POINTS);
  });
  const points = [...sides[0], ...sides[1].slice(0, -1).reverse()];
  points[0] = [...ends[0]];
  points[points.length - 1] = [...ends[1]];
  return { points, closed: false, apex: SIDE_POINTS - 1 };
}

/** @param {Point[]} annulus @param {Point} apex @returns {Point} */
function beyond(annulus, apex) {
  const base = middle(annulus);
  return [base[0] + 1.3 * (apex[0] - base[0]), base[1] + 1.3 * (apex[1] - base[1])];
}

/** @param {Point[]} points @returns {Point} */
const middle = (points) => [
  points.reduce((sum, point) => sum + point[0], 0) / points.length,
  points.reduce((sum, point) => sum + point[1], 0) / points.length,
];

/**
 * The basal ends of the epicardium: its outermost points near the base.
 * @param {Point[]} dense @param {Point[]} annulus @param {Point} apex @returns {Point[]}
 */
function wallEnds(dense, annulus, apex) {
  const base = middle(annulus);
  const length = distance(base, apex) || 1;
  const axis = [(apex[0] - base[0]) / length, (apex[1] - base[1]) / length];
  const side = Math.sign((annulus[0][0] - base[0]) * -axis[1] + (annulus[0][1] - base[1]) * axis[0]) || 1;
  return [side, -side].map((sign, k) => {
    /** @type {Point} */
    let best = annulus[k];
    let widest = -Infinity;
    for (const point of dense) {
      const [x, y] = [point[0] - base[0], point[1] - base[1]];
      const along = (x * axis[0] + y * axis[1]) / length;
      const across = sign * (x * -axis[1] + y * axis[0]);
      // Wide counts, and low: the corner between wall and base.
      const worth = across - along * length;
      if (along < BASE_SHARE && worth > widest) [best, widest] = [point, worth];
    }
    return /** @type {Point} */ ([...best]);
  });
}

/** @param {Point[]} dense @param {Point[]} annulus @param {Point} apex @returns {Curve} */
function atriumCurve(dense, annulus, apex) {
  const ways = bothWays(dense, nearest(dense, annulus[0]), nearest(dense, annulus[1]));
  const far = ways.map((way) => Math.max(...way.map((point) => distance(point, apex))));
  const points = evenly(ways[far[0] >= far[1] ? 0 : 1], ATRIUM_POINTS);
  points[0] = [...annulus[0]];
  points[points.length - 1] = [...annulus[1]];
  return { points, closed: false, apex: -1 };
}

/**
 * The closed polygon of a structure; that of the wall closes over the hinge points.
 * @param {Shape} shape
 * @param {string} name
 * @returns {Point[]}
 */
export function polygonOf(shape, name) {
  const curve = shape.curves[name];
  const line = sampled(curve.points, curve.closed);
  const cavity = shape.curves[CAVITY];
  if (name !== WALL || curve.closed || !cavity || cavity.closed) return line;
  return [...line, cavity.points[cavity.points.length - 1], cavity.points[0]];
}

/**
 * Whether a point is one of a pair that hinges of cavity and atrium share.
 * @param {Shape} shape @param {string} name @param {number} index
 */
export function isHinge(shape, name, index) {
  const curve = shape.curves[name];
  return !curve.closed && name !== WALL && (index === 0 || index === curve.points.length - 1);
}

/** @param {Shape} shape @returns {Shape} */
export const copyOf = (shape) => structuredClone(shape);

/**
 * Note that structures were drawn.
 * @param {Shape} shape
 * @param {string[]} names
 */
export function touch(shape, ...names) {
  for (const name of names) if (shape.curves[name] && !shape.touched.includes(name)) shape.touched.push(name);
}

/**
 * Move a point. A hinge point belongs to cavity and atrium; cavity and wall cannot be made to cross.
 * @param {Shape} shape
 * @param {string} name
 * @param {number} index
 * @param {Point} to
 */
export function movePoint(shape, name, index, to) {
  const curve = shape.curves[name];
  if (isHinge(shape, name, index)) {
    const isFirst = index === 0;
    for (const each of [CAVITY, ATRIUM]) {
      const other = shape.curves[each];
      if (other && !other.closed) other.points[isFirst ? 0 : other.points.length - 1] = [...to];
    }
    touch(shape, CAVITY, WALL, ATRIUM);
    return;
  }
  curve.points[index] = within(shape, name, to);
  touch(shape, name);
}

/**
 * The place nearest to one where cavity and wall do not cross.
 * @param {Shape} shape @param {string} name @param {Point} place @returns {Point}
 */
function within(shape, name, place) {
  const other = name === CAVITY ? WALL : name === WALL ? CAVITY : "";
  if (!other || !shape.curves[other]) return place;
  const polygon = polygonOf(shape, other);
  if (contains(polygon, place) === (name === CAVITY)) return place;
  const edge = polygon[nearest(polygon, place)];
  const centre = middle(polygon);
  const away = distance(edge, centre) || 1;
  const sign = name === CAVITY ? -1 : 1;
  return [edge[0] + (sign * APART_PX * (edge[0] - centre[0])) / away, edge[1] + (sign * APART_PX * (edge[1] - centre[1])) / away];
}

/**
 * Push the points around a place, the nearest ones most.
 * @param {Shape} shape @param {string} name @param {Point} place @param {Point} by @param {number} radius in pixels
 */
export function push(shape, name, place, by, radius) {
  const curve = shape.curves[name];
  const moved = curve.points.map((point) => {
    const share = Math.exp((-2 * distance(point, place) ** 2) / radius ** 2);
    return { share, to: /** @type {Point} */ ([point[0] + share * by[0], point[1] + share * by[1]]) };
  });
  moved.forEach(({ share, to }, index) => {
    if (share > 0.02) movePoint(shape, name, index, to);
  });
}

/**
 * Add a point to a curve where it passes a place; returns its index.
 * @param {Shape} shape @param {string} name @param {Point} place
 */
export function addPoint(shape, name, place) {
  const curve = shape.curves[name];
  const line = sampled(curve.points, curve.closed);
  const at = Math.floor(nearest(line, place) / 10);
  const index = Math.min(at + 1, curve.closed ? curve.points.length : curve.points.length - 1);
  curve.points.splice(index, 0, [...place]);
  if (curve.apex >= index) curve.apex += 1;
  touch(shape, name);
  return index;
}

/**
 * Remove a point, unless it is a hinge point, the apex, or one of the last that make a curve.
 * @param {Shape} shape @param {string} name @param {number} index
 */
export function removePoint(shape, name, index) {
  const curve = shape.curves[name];
  const isEnd = !curve.closed && (index === 0 || index === curve.points.length - 1);
  if (isEnd || index === curve.apex || curve.points.length <= 5) return false;
  curve.points.splice(index, 1);
  if (curve.apex > index) curve.apex -= 1;
  touch(shape, name);
  return true;
}

/**
 * Make a curve smoother; its ends and the apex stay.
 * @param {Shape} shape @param {string} name
 */
export function smooth(shape, name) {
  const curve = shape.curves[name];
  const before = curve.points.map((point) => /** @type {Point} */ ([...point]));
  const n = before.length;
  before.forEach((point, i) => {
    if (i === curve.apex || (!curve.closed && (i === 0 || i === n - 1))) return;
    const [a, b] = [before[(i - 1 + n) % n], before[(i + 1) % n]];
    curve.points[i] = [0.5 * point[0] + 0.25 * (a[0] + b[0]), 0.5 * point[1] + 0.25 * (a[1] + b[1])];
  });
  touch(shape, name);
}

/**
 * The curve of a structure whose outline was painted: through hinge points and apex where it has them, and with
 * twice as many points, as a brush is for what few points cannot follow.
 * @param {Shape} shape @param {string} name @param {Point[]} outline closed
 * @returns {Curve}
 */
export function curveOfOutline(shape, name, outline) {
  const before = shape.curves[name];
  const dense = densely(outline, 1);
  if (!before || before.closed) {
    return { points: evenly([...dense, dense[0]], 2 * CLOSED_POINTS + 1).slice(0, -1), closed: true, apex: -1 };
  }
  const ends = [before.points[0], before.points[before.points.length - 1]];
  const ways = bothWays(dense, nearest(dense, ends[0]), nearest(dense, ends[1]));
  const way = ways[0].length >= ways[1].length ? ways[0] : ways[1];
  const points = evenly(way, 2 * SIDE_POINTS + 7);
  points[0] = [...ends[0]];
  points[points.length - 1] = [...ends[1]];
  const apex = before.apex < 0 ? -1 : nearest(points.slice(1, -1), before.points[before.apex]) + 1;
  return { points, closed: false, apex };
}
