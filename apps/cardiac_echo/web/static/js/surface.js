// The endocardium at ED and ES as surfaces that a hand turns.

import { address, get } from "./api.js";

const VERTEX = `#version 300 es
in vec4 position; in vec3 normal; uniform mat4 world, view; out vec3 direction;
void main() { direction = mat3(world) * normal; gl_Position = view * world * position; }`;
const FRAGMENT = `#version 300 es
precision highp float; in vec3 direction; uniform vec4 colour; out vec4 shown;
void main() { float light = abs(dot(normalize(direction), normalize(vec3(0.4, -0.8, 0.5)))); shown = vec4(colour.rgb * (0.35 + 0.65 * light) * colour.a, colour.a); }`;
const COLOURS = /** @type {Record<string, number[]>} */ ({ ED: [0.95, 0.75, 0.2, 0.35], ES: [0.85, 0.3, 0.25, 1] });
const TURN = 0.01;
const TILT = 0.25;

/** Surfaces on a canvas; dragging and the arrow keys turn them. */
export class Surface {
  /** @param {HTMLElement} host */
  constructor(host) {
    this.host = host;
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.note = document.createElement("div");
    this.note.className = "quiet";
    host.replaceChildren(this.canvas, this.note);
    this.turn = { x: TILT, z: 0.6 };
    /** @type {WebGL2RenderingContext | null} */
    this.gl = null;
    /** @type {typeof import("../vendor/twgl.js") | null} */
    this.twgl = null;
    /** @type {any} */
    this.program = null;
    this.#listen();
  }

  /** Load and show the surfaces of stacks. @param {import("./viewer.js").Viewer[]} viewers */
  async show(viewers) {
    const answers = await Promise.all(viewers.map(({ opened }) =>
      get(address(`/cardiac/images/${encodeURIComponent(opened.image)}/surface`)).then((surface) => ({ ...surface, phase: opened.phase }), (error) => ({ phase: opened.phase, reason: error.message }))));
    const surfaces = answers.filter((answer) => answer.vertices_mm);
    const spanned = surfaces.filter((surface) => surface.spanned.length).map((surface) => `${surface.phase}: slice ${surface.spanned.map((/** @type {number} */ slice) => slice + 1).join(", ")} has no cavity and is spanned`);
    const reasons = answers.filter((answer) => answer.reason).map((answer) => answer.reason);
    this.canvas.setAttribute("aria-label", `Endocardium at ${surfaces.map((surface) => surface.phase).join(" and ")}; drag or use the arrow keys to turn it`);
    this.note.textContent = [surfaces.length ? `Endocardium, ${surfaces.map((surface) => `${surface.phase}${surface.phase === "ED" ? " transparent" : ""}`).join(", ")}. Drag to turn.` : "", ...spanned, ...reasons].filter(Boolean).join(" ");
    this.canvas.hidden = !surfaces.length;
    if (surfaces.length) await this.#load(surfaces);
  }

  /** @param {any[]} surfaces */
  async #load(surfaces) {
    this.gl ??= this.canvas.getContext("webgl2", { antialias: true });
    const { gl } = this;
    if (!gl) {
      this.canvas.hidden = true;
      this.note.textContent = "This browser shows no 3-D graphics (WebGL 2).";
      return;
    }
    const twgl = this.twgl ?? (await import("../vendor/twgl.js"));
    this.twgl = twgl;
    this.program ??= twgl.createProgramInfo(gl, [VERTEX, FRAGMENT]);
    const places = surfaces.flatMap((surface) => surface.vertices_mm);
    const ends = [0, 1, 2].map((axis) => [Math.min(...places.map((place) => place[axis])), Math.max(...places.map((place) => place[axis]))]);
    const centre = ends.map(([low, high]) => (low + high) / 2);
    if (!this.parts) this.turn.x = TILT + (isNarrower(places, ends[2]) ? Math.PI : 0);
    this.size = Math.hypot(...ends.map(([low, high]) => high - low));
    // What is seen through is drawn last.
    this.parts = surfaces.sort((a, b) => Number(a.phase === "ED") - Number(b.phase === "ED")).map((surface) => ({
      colour: COLOURS[surface.phase] ?? COLOURS.ES, buffers: twgl.createBufferInfoFromArrays(gl, facets(surface, centre)),
    }));
    this.draw();
  }

  draw() {
    const { gl, twgl, program, parts, size } = this;
    if (!gl || !twgl || !parts || !size) return;
    twgl.resizeCanvasToDisplaySize(this.canvas, window.devicePixelRatio || 1);
    gl.viewport(0, 0, gl.canvas.width, gl.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.useProgram(program.program);
    const { m4 } = twgl;
    const camera = m4.inverse(m4.lookAt([0, -1.5 * size, 0], [0, 0, 0], [0, 0, 1]));
    const view = m4.multiply(m4.perspective(0.7, gl.canvas.width / gl.canvas.height, 0.1 * size, 4 * size), camera);
    const world = m4.multiply(m4.rotationX(this.turn.x), m4.rotationZ(this.turn.z));
    for (const { colour, buffers } of parts) {
      gl.depthMask(colour[3] === 1);
      twgl.setBuffersAndAttributes(gl, program, buffers);
      twgl.setUniforms(program, { world, view, colour });
      twgl.drawBufferInfo(gl, buffers);
    }
    gl.depthMask(true);
  }

  /** @param {number} x @param {number} z in radians */
  #turnBy(x, z) {
    this.turn = { x: this.turn.x + x, z: this.turn.z + z };
    this.draw();
  }

  #listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => event.buttons && this.#turnBy(TURN * event.movementY, TURN * event.movementX));
    canvas.addEventListener("keydown", (event) => {
      const by = { ArrowUp: [-0.1, 0], ArrowDown: [0.1, 0], ArrowLeft: [0, -0.1], ArrowRight: [0, 0.1] }[event.key];
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      this.#turnBy(by[0], by[1]);
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }
}

/** Whether the upper end, along the last axis, is narrower than the lower one, as the apex is. @param {number[][]} places @param {number[]} ends */
function isNarrower(places, [low, high]) {
  const width = (/** @type {(z: number) => boolean} */ isThere) => {
    const xs = places.filter((place) => isThere(place[2])).map((place) => place[0]);
    return Math.max(...xs) - Math.min(...xs);
  };
  const third = (high - low) / 3;
  return width((z) => z > high - third) < width((z) => z < low + third);
}

/** Corners and flat normals of all triangles, around a centre. @param {any} surface @param {number[]} centre */
function facets(surface, centre) {
  const corners = surface.triangles.map((/** @type {number[]} */ triangle) => triangle.map((index) => surface.vertices_mm[index].map((/** @type {number} */ value, /** @type {number} */ axis) => value - centre[axis])));
  const normals = corners.map((/** @type {number[][]} */ [a, b, c]) => {
    const [u, v] = [b, c].map((corner) => corner.map((value, axis) => value - a[axis]));
    const normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    return [normal, normal, normal];
  });
  return { position: { numComponents: 3, data: corners.flat(2) }, normal: { numComponents: 3, data: normals.flat(2) } };
}
