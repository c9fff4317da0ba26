// Size of a pixel from two clicks on the depth ruler of a picture.

import { address } from "./api.js";

const LARGEST_PX = 700;

/**
 * Ask for two places on the ruler and the distance between them.
 * @param {string} image
 * @param {(mmPerPixel: number) => void} finish called with the side of a pixel in mm
 */
export function ruler(image, finish) {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-label", "Calibration");
  const text = document.createElement("p");
  text.textContent = "Click two marks of the depth ruler, then enter their distance.";
  const canvas = document.createElement("canvas");
  const distance = document.createElement("input");
  distance.type = "number";
  distance.min = "1";
  distance.max = "400";
  distance.value = "100";
  const label = document.createElement("label");
  label.append("Distance in mm ", distance);
  const use = document.createElement("button");
  use.className = "main";
  use.textContent = "Use";
  use.disabled = true;
  const cancel = document.createElement("button");
  cancel.textContent = "Cancel";
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.append(label, use, cancel);
  dialog.append(text, canvas, bar);
  document.body.append(dialog);

  /** @type {[number, number][]} */
  let places = [];
  let scale = 1;
  const picture = new Image();
  const draw = () => {
    const context = canvas.getContext("2d");
    if (!context) return;
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    context.strokeStyle = context.fillStyle = "#ffd23f";
    context.lineWidth = 2;
    context.beginPath();
    places.forEach(([x, y], i) => (i ? context.lineTo(x * scale, y * scale) : context.moveTo(x * scale, y * scale)));
    context.stroke();
    for (const [x, y] of places) context.fillRect(x * scale - 3, y * scale - 3, 6, 6);
  };
  picture.onload = () => {
    scale = Math.min(2, LARGEST_PX / Math.max(picture.width, picture.height));
    [canvas.width, canvas.height] = [picture.width * scale, picture.height * scale];
    draw();
  };
  picture.src = address(`/cardiac/images/${encodeURIComponent(image)}/frames/0.png`);
  canvas.addEventListener("click", (event) => {
    if (places.length === 2) places = [];
    places.push([event.offsetX / scale, event.offsetY / scale]);
    use.disabled = places.length < 2;
    draw();
  });
  use.addEventListener("click", () => {
    const [[x1, y1], [x2, y2]] = places;
    const pixels = Math.hypot(x2 - x1, y2 - y1);
    const mm = Number(distance.value) / pixels;
    if (!(mm >= 0.02 && mm <= 5)) {
      text.textContent = `A pixel of ${mm.toFixed(2)} mm is no echo's. Check the marks and the distance.`;
      return;
    }
    dialog.close();
    finish(Math.round(mm * 1e4) / 1e4);
  });
  cancel.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
}
