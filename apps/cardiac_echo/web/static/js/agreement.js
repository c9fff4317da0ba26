// How well annotators agree, on the images that both have drawn.

import { address, showWho, get, onChange, telling } from "./api.js";
import { html, render, useEffect, useState } from "../vendor/htm-preact.js";
import { methodWords, number, structureWords } from "./words.js";

/** @param {{pair: any}} props */
function Pair({ pair }) {
  return html`<section class="card"><h2>${pair.annotators.join(" and ")}: ${pair.images.length} shared images</h2>
    <table><thead><tr><th>Structure</th><th class="number">Images</th><th class="number">Dice</th><th class="number">Hausdorff distance mm</th></tr></thead><tbody>
      ${Object.entries(pair.structures).map(([name, means]) => html`<tr><td>${structureWords(name)}</td><td class="number">${means.dice_images}</td><td class="number">${number(means.dice, 3)}</td><td class="number">${number(means.hd_mm, 1)}</td></tr>`)}</tbody></table>
    <table><thead><tr><th>EF</th><th class="number">Patients</th><th class="number">Bias in points</th><th class="number">Limits of agreement</th><th class="number">Mean absolute difference</th></tr></thead><tbody>
      ${pair.ef.map((/** @type {any} */ row) => html`<tr><td>${methodWords(row.method)}, ${row.convention}</td><td class="number">${row.n}</td><td class="number">${number(row.bias_pct, 1)}</td>
        <td class="number">${row.lower_limit_pct === null ? "–" : `${number(row.lower_limit_pct, 1)} to ${number(row.upper_limit_pct, 1)}`}</td><td class="number">${number(row.mean_absolute_difference_pct, 1)}</td></tr>`)}</tbody></table></section>`;
}

function Agreement() {
  const [content, setContent] = useState(/** @type {any} */ (null));
  const load = () => telling(async () => {
    const [agreement, costs] = await Promise.all([get(address("/cardiac/agreement")), get(address("/cardiac/edit-cost"))]);
    setContent({ ...agreement, costs });
  });
  useEffect(() => {
    load();
    const events = onChange(load);
    return () => events.close();
  }, []);
  if (!content) return html`<p class="quiet">Loading …</p>`;
  return html`<div class="stack">
    <section class="card"><h2>Annotators</h2>${content.annotators.length ? html`<table><thead><tr><th>Name</th><th class="number">Images corrected</th><th class="number">Also by others, or again</th></tr></thead><tbody>
      ${content.annotators.map((/** @type {any} */ row) => html`<tr><td>${row.annotator}</td><td class="number">${row.images}</td><td class="number">${row.shared_images}</td></tr>`)}</tbody></table>` : html`<p>Nobody has saved a correction under a name yet. Enter yours above before you correct.</p>`}</section>
    ${content.costs.length ? html`<section class="card"><h2>Cost of corrections on the page</h2><table><thead><tr><th>Name</th><th class="number">Corrections</th><th class="number">Median time s</th><th class="number">Median drags</th><th class="number">Median pixels changed</th><th class="number">Median EF moved, points</th></tr></thead><tbody>
      ${content.costs.map((/** @type {any} */ row) => html`<tr><td>${row.annotator}</td><td class="number">${row.corrections}</td><td class="number">${number(row.seconds, 0)}</td><td class="number">${number(row.drags, 0)}</td><td class="number">${number(row.changed_px, 0)}</td><td class="number">${number(row.ef_moved_points, 1)}</td></tr>`)}</tbody></table></section>` : ""}
    ${content.pairs.map((/** @type {any} */ pair) => html`<${Pair} pair=${pair} />`)}
    ${content.pairs.length ? html`<section class="card"><h2>Bland–Altman</h2><img alt="Bland–Altman plots of EF between annotators" src=${address("/cardiac/agreement/figure.png")} style=${{ maxWidth: "100%" }} /></section>` : html`<p class="quiet">Agreement needs two annotators who corrected the same image, or one who read it again (on the study's page).</p>`}</div>`;
}

showWho();
const app = document.getElementById("app");
if (app) {
  app.replaceChildren();
  app.removeAttribute("aria-busy");
  render(html`<${Agreement} />`, app);
}
