// What a patient's report says: its best EF, and areas of the cavity over time.

/** The row of the EF that is told first. @param {any} report */
export const bestRow = (report) => report.patient.find((/** @type {any} */ row) => row.ef_pct !== null && row.convention === "guideline") ?? report.patient.find((/** @type {any} */ row) => row.ef_pct !== null);

/**
 * Area of the cavity in each frame of a cine, or slice of a stack.
 * @param {any} report
 * @param {{image: string, view: string, phase: string, is_stack: boolean, frame_rate_hz: number | null}} image
 * @param {(number | null)[]} [areas] in mm², in place of the report's, with unsaved work
 */
export function areasOf(report, image, areas) {
  const rows = report.frames.filter((/** @type {any} */ row) => row.image_id === image.image);
  const beats = report.beats[image.image] ?? [];
  const area = (/** @type {any} */ row) => (areas ? areas[row.frame] : row.lv_area_mm2) ?? null;
  return {
    name: image.is_stack ? image.phase : image.view,
    times: rows.map((/** @type {any} */ row) => (image.is_stack ? row.frame + 1 : row.frame / (image.frame_rate_hz ?? 25))),
    areas: rows.map((/** @type {any} */ row) => (area(row) === null ? row.area_px : area(row) / 100)),
    unit: rows.some((/** @type {any} */ row) => row.lv_area_mm2 !== null) ? "cm²" : "pixels",
    ed: [...new Set(beats.map((/** @type {any} */ beat) => beat.ed_index))],
    es: [...new Set(beats.map((/** @type {any} */ beat) => beat.es_index))],
  };
}
