// The worklist: patients with EF, flags and label state, live; and the next image worth correcting.

import { address, annotator, showWho, get, onChange, request, say, telling } from "./api.js";
import { dicomStudies, ohifAddress } from "./dicom.js";
import { html, render, useEffect, useMemo, useState } from "../vendor/htm-preact.js";
import { flagWords, interval, number, stateWords } from "./words.js";

const SHOWN = 200;
const STRATEGIES = [
  ["hybrid", "uncertain EF and unlike others"],
  ["ef_uncertainty", "most uncertain EF"],
  ["diversity", "unlike those corrected"],
  ["random", "random"],
  ["first", "in order"],
];

/**
 * @typedef {{patient: string, images: string[], ef: number | null, low: number | null, high: number | null,
 *   spread: number | null, flags: string[], states: Record<string, number>, final: number, model: string,
 *   openBy: string[], reason: string}} Patient
 */

/** Join the rows of images to patients.
 * @param {any[]} rows
 * @returns {Patient[]} */
function patientsOf(rows) {
  /** @type {Map<string, Patient>} */
  const patients = new Map();
  for (const row of rows) {
    let patient = patients.get(row.patient);
    if (!patient) {
      patient = {
        patient: row.patient, images: [], ef: row.ef_pct, low: row.ef_low_pct, high: row.ef_high_pct,
        spread: row.ef_spread_pct, flags: [], states: {}, final: 0,
        model: row.model ? `${row.model.name ?? ""} ${row.model.version ?? ""}`.trim() : "", openBy: [], reason: row.reason ?? "",
      };
      patients.set(row.patient, patient);
    }
    patient.images.push(row.image);
    patient.states[row.label] = (patient.states[row.label] ?? 0) + 1;
    if (row.label === "final") patient.final += 1;
    if (row.leased_by !== null) patient.openBy.push(row.leased_by || "somebody");
    for (const flag of row.flags) if (!patient.flags.includes(flag)) patient.flags.push(flag);
  }
  return [...patients.values()];
}

/** @type {Record<string, (patient: Patient) => string | number>} */
const SORTS = {
  patient: (patient) => patient.patient,
  ef: (patient) => patient.ef ?? -1,
  spread: (patient) => patient.spread ?? -1,
  flags: (patient) => patient.flags.length,
  state: (patient) => patient.final / patient.images.length,
};

/** @param {string} patient @param {string} [image] */
const studyAddress = (patient, image = "") => address("/study", { patient, image });

function Worklist() {
  const [rows, setRows] = useState(/** @type {any[] | null} */ (null));
  const [search, setSearch] = useState("");
  const [filter, setFilter] = useState("all");
  const [sort, setSort] = useState({ by: "spread", down: true });
  const [strategy, setStrategy] = useState("hybrid");
  const [shown, setShown] = useState(SHOWN);
  const [scoring, setScoring] = useState(/** @type {any} */ (null));
  const [dicom, setDicom] = useState(/** @type {Awaited<ReturnType<typeof dicomStudies>> | null} */ (null));

  useEffect(() => {
    let running = false;
    let again = false;
    const load = async () => {
      if (running) {
        again = true;
        return;
      }
      running = true;
      const answer = await telling(() => get(address("/cardiac/worklist")));
      if (answer) {
        setRows(answer.rows);
        setScoring(answer.scoring);
      }
      running = false;
      if (again) {
        again = false;
        load();
      }
    };
    load();
    dicomStudies().then(setDicom);
    const events = onChange(load);
    return () => events.close();
  }, []);

  const patients = useMemo(() => patientsOf(rows ?? []), [rows]);
  const listed = useMemo(() => {
    const text = search.trim().toLowerCase();
    const kept = patients.filter((patient) =>
      (!text || patient.patient.toLowerCase().includes(text)) &&
      (filter === "all" || (filter === "open" && patient.final < patient.images.length) ||
        (filter === "corrected" && patient.final === patient.images.length) ||
        (filter === "flagged" && patient.flags.length > 0) || (filter === "unmeasured" && patient.ef === null)));
    const value = SORTS[sort.by];
    const sign = sort.down ? -1 : 1;
    return kept.sort((a, b) => {
      const [first, other] = [value(a), value(b)];
      return sign * (first < other ? -1 : first > other ? 1 : 0);
    });
  }, [patients, search, filter, sort]);

  const next = () => telling(async () => {
    const sample = await request("POST", address(`/activelearning/${strategy}`), { client_id: annotator() });
    if (!sample.id) return say("Nothing is left to correct.");
    sessionStorage.setItem("cardiolabel:why", `${sample.id}\n${sample.why ?? ""}`);
    location.assign(studyAddress(sample.patient, sample.id));
    return undefined;
  });

  const inOhif = (/** @type {string} */ patient) => {
    const own = dicom?.hasOhif ? dicom.studies.get(patient) : undefined;
    return own ? html` <a class="quiet" href=${ohifAddress(own)} aria-label=${`${patient} in OHIF`}>OHIF</a>` : "";
  };
  const head = (/** @type {string} */ by, /** @type {string} */ words, numeric = false) => html`
    <th class=${numeric ? "number" : ""} aria-sort=${sort.by === by ? (sort.down ? "descending" : "ascending") : "none"}>
      <button onClick=${() => setSort({ by, down: sort.by === by ? !sort.down : by !== "patient" })}>
        ${words}${sort.by === by ? (sort.down ? " ▾" : " ▴") : ""}</button></th>`;

  if (!rows) return html`<p class="quiet">Loading …</p>`;
  if (!patients.length) return html`<p>This server's folder holds no image yet. <a href=${address("/upload")}>Upload a patient's files</a>, or copy them into the folder.</p>`;
  return html`
    <div class="bar">
      <button class="main annotators" onClick=${next}>Next image</button>
      <label>by <select value=${strategy} onChange=${(/** @type {any} */ event) => setStrategy(event.target.value)}>
        ${STRATEGIES.map(([name, words]) => html`<option value=${name}>${words}</option>`)}</select></label>
      <label class="wide">Search <input type="search" value=${search} onInput=${(/** @type {any} */ event) => setSearch(event.target.value)} /></label>
      <label>Show <select value=${filter} onChange=${(/** @type {any} */ event) => setFilter(event.target.value)}>
        <option value="all">all patients</option><option value="open">not yet corrected</option>
        <option value="corrected">corrected</option><option value="flagged">with flags</option>
        <option value="unmeasured">without EF</option></select></label>
      <span class="quiet">${listed.length} of ${patients.length} patients${scoring?.running ? ", scoring" : ""}</span>
    </div>
    <table>
      <thead><tr>${head("patient", "Patient")}${head("ef", "EF %", true)}<th class="number">90 % interval</th>
        ${head("spread", "EF uncertainty", true)}${head("flags", "Flags")}${head("state", "Masks")}<th>Model</th><th>Open by</th></tr></thead>
      <tbody>${listed.slice(0, shown).map((patient) => html`<tr key=${patient.patient}>
        <td><a href=${studyAddress(patient.patient)}>${patient.patient}</a>${inOhif(patient.patient)}</td>
        <td class="number">${number(patient.ef, 0)}</td>
        <td class="number">${interval(patient.low, patient.high)}</td>
        <td class="number">${patient.spread === null ? "" : `± ${number(patient.spread, 1)}`}</td>
        <td class="flag">${patient.flags.map(flagWords).join("; ") || html`<span class="quiet">${patient.ef === null ? patient.reason : ""}</span>`}</td>
        <td>${Object.entries(patient.states).map(([state, count]) => `${count} ${state === "none" ? "not corrected" : stateWords(state)}`).join(", ")}</td>
        <td class="quiet">${patient.model}</td>
        <td>${patient.openBy.length ? [...new Set(patient.openBy)].join(", ") : ""}</td></tr>`)}</tbody>
    </table>
    ${listed.length > shown ? html`<p><button onClick=${() => setShown(shown + SHOWN)}>Show ${Math.min(SHOWN, listed.length - shown)} more</button></p>` : ""}`;
}

showWho();
const app = document.getElementById("app");
if (app) {
  app.replaceChildren();
  app.removeAttribute("aria-busy");
  render(html`<${Worklist} />`, app);
}
