// Brush and eraser: a structure's region painted on a raster and traced again.

import { CAVITY, curveOfOutline, polygonOf, touch, WALL } from "./shape.js";

/** @typedef {import("./spline.js").Point} Point */

const SCALE = 2;

/** A region of the image that a brush paints on. */
export class Painting {
  /**
   * @param {number} cols
   * @param {number} rows
   * @param {Point[]} polygon the region before
   */
  constructor(cols, rows, polygon) {
    this.cols = cols;
    this.rows = rows;
    const canvas = new OffscreenCanvas(cols * SCALE, rows * SCALE);
    this.context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
    this.context.setTransform(SCALE, 0, 0, SCALE, SCALE / 2, SCALE / 2);
    this.add(polygon);
  }

  /**
   * Paint or erase along a line.
   * @param {Point} from @param {Point} to @param {number} radius in pixels @param {boolean} erases
   */
  stroke(from, to, radius, erases) {
    this.context.globalCompositeOperation = erases ? "destination-out" : "source-over";
    this.context.lineWidth = 2 * radius;
    this.context.lineCap = "round";
    this.context.beginPath();
    this.context.moveTo(...from);
    this.context.lineTo(to[0] + 1e-3, to[1]);
    this.context.stroke();
  }

  /** Keep only what lies within a polygon. @param {Point[]} polygon */
  clip(polygon) {
    this.#fill(polygon, "destination-in");
  }

  /** Add a polygon. @param {Point[]} polygon */
  add(polygon) {
    this.#fill(polygon, "source-over");
  }

  /** @param {Point[]} polygon @param {GlobalCompositeOperation} how */
  #fill(polygon, how) {
    this.context.globalCompositeOperation = how;
    this.context.beginPath();
    polygon.forEach(([x, y], i) => (i ? this.context.lineTo(x, y) : this.context.moveTo(x, y)));
    this.context.closePath();
    this.context.fill();
  }

  /** The outline of the largest region; empty where nothing is left. @returns {Point[]} */
  outline() {
    const [width, height] = [this.cols * SCALE, this.rows * SCALE];
    const data = this.context.getImageData(0, 0, width, height).data;
    const inside = (/** @type {number} */ x, /** @type {number} */ y) => x >= 0 && y >= 0 && x < width && y < height && data[4 * (y * width + x) + 3] > 127;
    return largestOutline(width, height, inside).map(([x, y]) => [(x - SCALE / 2) / SCALE, (y - SCALE / 2) / SCALE]);
  }
}

/**
 * The outer edge of the largest region, along the corners of its pixels.
 * @param {number} width @param {number} height @param {(x: number, y: number) => boolean} inside
 * @returns {Point[]}
 */
export function largestOutline(width, height, inside) {
  const seen = new Uint8Array((width + 1) * (height + 1));
  /** @type {Point[]} */
  let best = [];
  let bestArea = 0;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (!inside(x, y) || inside(x, y - 1) || seen[y * (width + 1) + x]) continue;
      const edge = followed(x, y, inside, (cornerX, cornerY) => {
        seen[cornerY * (width + 1) + cornerX] = 1;
      });
      const area = signedArea(edge);
      if (area > bestArea) [best, bestArea] = [edge, area];
    }
  }
  return best;
}

/** @param {Point[]} points */
function signedArea(points) {
  return points.reduce((sum, [x, y], i) => {
    const [nextX, nextY] = points[(i + 1) % points.length];
    return sum + (x * nextY - nextX * y) / 2;
  }, 0);
}

/**
 * Follow an edge clockwise with the region on the right hand, from the upper left corner of a pixel.
 * @param {number} startX @param {number} startY
 * @param {(x: number, y: number) => boolean} inside
 * @param {(x: number, y: number) => void} mark told about each corner where the edge runs along a pixel's top
 * @returns {Point[]}
 */
function followed(startX, startY, inside, mark) {
  /** @type {Point[]} */
  const points = [];
  let [x, y, dx, dy] = [startX, startY, 1, 0];
  do {
    if (dx === 1) mark(x, y);
    points.push([x, y]);
    x += dx;
    y += dy;
    // The two pixels ahead, on the left and on the right hand.
    const left = inside(x + (dx + dy - 1) / 2, y + (dy - dx - 1) / 2);
    const right = inside(x + (dx - dy - 1) / 2, y + (dy + dx - 1) / 2);
    if (left) [dx, dy] = [dy, -dx];
    else if (!right) [dx, dy] = [-dy, dx];
  } while (x !== startX || y !== startY || dx !== 1);
  return points;
}

/**
 * Give a structure the outline that was painted, as a spline; cavity and wall do not cross.
 * @param {import("./shape.js").Shape} shape @param {import("./shape.js").Shape} before the contours before the stroke
 * @param {string} name @param {Painting} painting
 */
export function takePainting(shape, before, name, painting) {
  if (name === CAVITY && shape.curves[WALL]) painting.clip(polygonOf(shape, WALL));
  if (name === WALL && shape.curves[CAVITY]) painting.add(polygonOf(shape, CAVITY));
  const outline = painting.outline();
  if (outline.length < 8) return;
  shape.curves[name] = curveOfOutline(before, name, outline);
  touch(shape, name);
}

/** @param {import("./shape.js").Shape} shape @param {string} name @param {number} cols @param {number} rows */
export const paintingOf = (shape, name, cols, rows) => new Painting(cols, rows, shape.curves[name] ? polygonOf(shape, name) : []);
