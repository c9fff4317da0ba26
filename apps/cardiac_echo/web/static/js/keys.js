// Keys of a study.

import { tinykeys } from "../vendor/tinykeys.js";
import { TOOLS } from "./study_parts.js";

/** Listen to the keys that the page Help lists. @param {import("./study.js").Study} study */
export function listenToKeys(study) {
  /** @param {(event: KeyboardEvent) => void} action */
  const key = (action) => (/** @type {KeyboardEvent} */ event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest("input, select, textarea, dialog")) return;
    event.preventDefault();
    action(event);
  };
  const arrow = (/** @type {number} */ x, /** @type {number} */ y) => key(() => study.active?.nudge(x, y) || (x && study.timeline.step(x)));
  const structure = (/** @type {number} */ index) => key(() => {
    const name = study.active?.structures[index];
    if (name) study.set({ structure: name });
  });
  tinykeys(window, {
    "$mod+z": key(() => study.undo()), "$mod+Shift+z": key(() => study.redo()), "$mod+y": key(() => study.redo()),
    "$mod+Enter": key(() => study.save()), "$mod+s": key(() => study.save()),
    ArrowLeft: arrow(-1, 0), ArrowRight: arrow(1, 0), ArrowUp: arrow(0, -1), ArrowDown: arrow(0, 1),
    ",": key(() => study.timeline.step(-1)), ".": key(() => study.timeline.step(1)),
    Tab: (event) => {
      if (document.activeElement !== study.active?.host || study.settings.tool !== "points") return;
      const n = study.active.edits.shape(study.active.frame).curves[study.settings.structure]?.points.length ?? 0;
      if (study.active.chosen === n - 1) {
        study.active.chosen = -1;
        return;
      }
      event.preventDefault();
      study.active.choose(1);
    },
    Escape: key(() => study.set({})), Delete: key(() => study.active?.remove()), Backspace: key(() => study.active?.remove()),
    Space: (event) => {
      if (!/** @type {HTMLElement} */ (event.target).closest("button, input, select, a")) key(() => study.timeline.play())(event);
    },
    1: structure(0), 2: structure(1), 3: structure(2), s: key(() => study.active?.smooth()),
    c: key(() => study.active && study.active.copyFrom(study.active.frame - 1)), d: key(() => study.set({ discs: !study.settings.discs })),
    g: key(() => study.set({ ghosts: !study.settings.ghosts })), h: key(() => study.set({ contours: !study.settings.contours })),
    n: key(() => study.next()), 0: key(() => study.active?.fitAll()), l: key(() => {
      study.timeline.loop = !study.timeline.loop;
      study.render();
    }),
    "[": key(() => study.set({ radius: Math.max(2, study.settings.radius - 2) })), "]": key(() => study.set({ radius: study.settings.radius + 2 })),
    ...Object.fromEntries(TOOLS.map(([name, , letter]) => [letter, key(() => study.set({ tool: name }))])),
  });
}
