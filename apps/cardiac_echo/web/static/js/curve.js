// Area of the cavity over time, with ED and ES.

import uPlot from "../vendor/uplot.js";

const GRAB_PX = 12;
const COLOURS = ["#e0a100", "#2aa58a", "#5b8def", "#d94a6a"];

/**
 * Draw areas over time, or over the slices of stacks; a click shows that moment or slice.
 * @param {HTMLElement} host
 * @param {{name: string, times: number[], areas: (number | null)[], unit: string, ed: number[], es: number[]}[]} curves times in s, or numbers of slices
 * @param {(time: number) => void} go
 * @param {string} [label] of the horizontal axis
 * @param {(curve: number, phase: "ed" | "es", frame: number) => void} [move] called when ED or ES is dragged to another frame
 * @returns {{at: (time: number) => void, destroy: () => void, plot?: uPlot, curves?: any[]}}
 */
export function areaCurve(host, curves, go, label = "time in s", move) {
  host.replaceChildren();
  if (!curves.length) return { at: () => {}, destroy: () => {} };
  const times = [...new Set(curves.flatMap((curve) => curve.times))].sort((a, b) => a - b);
  const columns = curves.map((curve) => {
    const values = new Map(curve.times.map((time, i) => [time, curve.areas[i]]));
    return times.map((time) => (values.has(time) ? (values.get(time) ?? null) : undefined));
  });
  const style = getComputedStyle(document.body);
  const ink = style.getPropertyValue("--quiet").trim();
  const line = style.getPropertyValue("--line").trim();
  let now = 0;
  /** The mark that is dragged. @type {{curve: number, phase: "ed" | "es", from: number, frame: number} | null} */
  let dragged = null;
  const placeOf = (/** @type {number} */ k, /** @type {number} */ frame, isCanvas = true) => {
    const area = curves[k].areas[frame];
    return area === null || area === undefined ? null : [plot.valToPos(curves[k].times[frame], "x", isCanvas), plot.valToPos(area, "y", isCanvas)];
  };
  let moved = false;
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  /** Marks of ED and ES, and of the shown moment. */
  const marks = () => {
    const { ctx } = plot;
    ctx.save();
    ctx.lineWidth = 1;
    curves.forEach((curve, k) => {
      ctx.fillStyle = COLOURS[k % COLOURS.length];
      ctx.font = "11px system-ui";
      for (const phase of /** @type {("ed" | "es")[]} */ (["ed", "es"])) {
        const word = phase.toUpperCase();
        for (const stored of curve[phase]) {
          const frame = dragged && dragged.curve === k && dragged.phase === phase && dragged.from === stored ? dragged.frame : stored;
          const place = placeOf(k, frame);
          if (!place) continue;
          const [x, y] = place;
          ctx.beginPath();
          ctx.arc(x, y, 4, 0, 7);
          ctx.fill();
          ctx.fillText(word, x + 6, y - 5);
        }
      }
    });
    const x = plot.valToPos(now, "x", true);
    ctx.strokeStyle = ink;
    ctx.beginPath();
    ctx.moveTo(x, plot.bbox.top);
    ctx.lineTo(x, plot.bbox.top + plot.bbox.height);
    ctx.stroke();
    ctx.restore();
  };
  const plot = new uPlot({
    width: host.clientWidth || 600,
    height: 170,
    scales: { x: { time: false } },
    axes: [{ ...axis, label, labelSize: 18 }, { ...axis, label: `LV area in ${curves[0].unit}`, labelSize: 18 }],
    series: [{ label: label.split(" ")[0] }, ...curves.map((curve, k) => ({ label: curve.name, stroke: COLOURS[k % COLOURS.length], width: 2, spanGaps: true, points: { show: false }, value: (/** @type {any} */ _, /** @type {number | null} */ value) => (value === null || value === undefined ? "–" : value.toFixed(1)) }))],
    cursor: { drag: { x: false, y: false } },
    hooks: { draw: [marks] },
  }, /** @type {any} */ ([times, ...columns]), host);
  if (move) listenToMarks();
  plot.over.addEventListener("click", () => {
    if (moved) {
      moved = false;
      return;
    }
    const { left } = plot.cursor;
    if (left !== undefined && left !== null && left >= 0) go(plot.posToVal(left, "x"));
  });
  /** Drag ED and ES along their curves. */
  function listenToMarks() {
    const { over } = plot;
    const near = (/** @type {PointerEvent} */ event) => {
      let best = null;
      let least = GRAB_PX;
      curves.forEach((curve, k) => (/** @type {("ed" | "es")[]} */ (["ed", "es"])).forEach((phase) => curve[phase].forEach((frame) => {
        const place = placeOf(k, frame, false);
        const away = place ? Math.hypot(place[0] - event.offsetX, place[1] - event.offsetY) : Infinity;
        if (away < least) [best, least] = [{ curve: k, phase, from: frame, frame }, away];
      })));
      return /** @type {typeof dragged} */ (best);
    };
    over.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      dragged = near(event);
      if (dragged) over.setPointerCapture(event.pointerId);
    });
    over.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
      over.classList.toggle("grab", Boolean(dragged ?? near(event)));
      if (!dragged) return;
      const time = plot.posToVal(event.offsetX, "x");
      const own = curves[dragged.curve].times;
      dragged.frame = own.reduce((best, at, frame) => (Math.abs(at - time) < Math.abs(own[best] - time) ? frame : best), 0);
      go(own[dragged.frame]);
    });
    over.addEventListener("pointerup", () => {
      if (dragged && dragged.frame !== dragged.from) {
        moved = true;
        move?.(dragged.curve, dragged.phase, dragged.frame);
      }
      dragged = null;
    });
  }
  const resize = new ResizeObserver(() => plot.setSize({ width: host.clientWidth, height: 170 }));
  resize.observe(host);
  return {
    plot,
    curves,
    at: (time) => {
      now = time;
      plot.redraw(false, false);
    },
    destroy: () => {
      resize.disconnect();
      plot.destroy();
    },
  };
}
