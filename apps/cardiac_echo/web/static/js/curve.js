// Area of the cavity over time, with ED and ES.

import uPlot from "../vendor/uplot.js";

const COLOURS = ["#e0a100", "#2aa58a", "#5b8def", "#d94a6a"];

/**
 * Draw areas over time, or over the slices of stacks; a click shows that moment or slice.
 * @param {HTMLElement} host
 * @param {{name: string, times: number[], areas: (number | null)[], unit: string, ed: number[], es: number[]}[]} curves times in s, or numbers of slices
 * @param {(time: number) => void} go
 * @param {string} [label] of the horizontal axis
 * @returns {{at: (time: number) => void, destroy: () => void}}
 */
export function areaCurve(host, curves, go, label = "time in s") {
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
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  /** Marks of ED and ES, and of the shown moment. @param {any} plot */
  const marks = (plot) => {
    const { ctx } = plot;
    ctx.save();
    ctx.lineWidth = 1;
    curves.forEach((curve, k) => {
      ctx.fillStyle = COLOURS[k % COLOURS.length];
      ctx.font = "11px system-ui";
      for (const [word, frames] of /** @type {[string, number[]][]} */ ([["ED", curve.ed], ["ES", curve.es]])) {
        for (const frame of frames) {
          const area = curve.areas[frame];
          if (area === null || area === undefined) continue;
          const [x, y] = [plot.valToPos(curve.times[frame], "x", true), plot.valToPos(area, "y", true)];
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
  plot.over.addEventListener("click", () => {
    const { left } = plot.cursor;
    if (left !== undefined && left !== null && left >= 0) go(plot.posToVal(left, "x"));
  });
  const resize = new ResizeObserver(() => plot.setSize({ width: host.clientWidth, height: 170 }));
  resize.observe(host);
  return {
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
