// What the parts of a study share.

export const TOOLS = [
  ["look", "Look", "v"], ["points", "Points", "p"], ["push", "Push", "u"], ["brush", "Brush", "b"], ["erase", "Erase", "e"],
];

export const SPEEDS = [0.1, 0.25, 0.5, 1, 2];

/** Group in which an image is shown. @param {any} opened */
export const modeOf = (opened) => (opened.is_stack ? "stacks" : opened.frames > 1 ? "cines" : "stills");
