// Studies of the PACS: the way to OHIF and back, and results as DICOM.

import { address, get, request, say, telling } from "./api.js";
import { html } from "../vendor/htm-preact.js";

/** Identifier of the DICOM study by patient, and whether OHIF is installed; both empty for a folder's studies.
 * @returns {Promise<{hasOhif: boolean, studies: Map<string, string>}>} */
export async function dicomStudies() {
  const answer = await telling(() => get(address("/cardiac/dicom/studies")));
  return { hasOhif: answer?.has_ohif ?? false, studies: new Map((answer?.studies ?? []).map((/** @type {any} */ each) => [each.patient, each.study])) };
}

/** Where OHIF shows a study. @param {string} study */
export const ohifAddress = (study) => address("/ohif/cardiology", { StudyInstanceUIDs: study });

/** Store a patient's results in the PACS, and say what was stored. @param {string} patient */
export const storeResults = (patient) => telling(async () => {
  const stored = await request("POST", address(`/cardiac/patients/${encodeURIComponent(patient)}/dicom`));
  say(`In the PACS: ${stored.objects.map((/** @type {any} */ each) => each.modality).join(", ")}.`, "good");
});

/** What the study's page offers for a study of the PACS. @param {{study: import("./study.js").Study}} props */
export function Dicom({ study }) {
  const { dicom, patient } = study;
  const own = dicom?.studies.get(patient);
  if (!dicom || !own) return "";
  return html`<section class="card noprint"><h2>DICOM</h2>
    <div class="bar">${dicom.hasOhif ? html`<a class="button" href=${ohifAddress(own)}>Open in OHIF</a>` : ""}
      <a class="button" href=${address(`/cardiac/patients/${encodeURIComponent(patient)}/dicom.zip`)}>Results (ZIP)</a>
      <button title="Report, segmentations and figure as new series of the study" onClick=${() => storeResults(patient)}>Store results in the PACS</button></div></section>`;
}
