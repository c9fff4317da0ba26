// Extension of OHIF 3.13 as npm ships it: loaded at run time, no build.

import { displaySets, layout, prepare } from "./images.js";
import { Masks } from "./masks.js";
import { mount } from "./panel.js";

const ULTRASOUND_AND_MR = [
  "1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.6",
  "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1",
];

/** Outlives its tab, which OHIF takes apart whenever another one is opened. */
const place = document.createElement("div");
place.className = "cardiolabel";

const show = (/** @type {HTMLElement | null} */ node) => node?.append(place);

/** An element for OHIF's React, which is not to be had from outside. */
const host = () => ({ $$typeof: Symbol.for("react.element"), type: "div", key: null, ref: show, props: {}, _owner: null });

/** @type {Masks | undefined} */
let masks;

/** Learn what the server knows of a study, before OHIF sorts its instances. @param {string[]} studies */
export async function begin(studies) {
  await prepare(studies);
  await masks?.refresh();
}

/** What OHIF shows the contours of a stored report with; its mode for segmentation lacks it. @param {any} toolGroups @param {any} extensions */
function addReportTools(toolGroups, extensions) {
  const { toolNames: ofReports } = extensions.getModuleEntry("@ohif/extension-cornerstone-dicom-sr.utilityModule.tools").exports;
  const { toolNames, Enums } = extensions.getModuleEntry("@ohif/extension-cornerstone.utilityModule.tools").exports;
  const { Primary, Auxiliary, Secondary, Wheel } = Enums.MouseBindings;
  const bound = (/** @type {string} */ toolName, /** @type {number} */ mouseButton) => ({ toolName, bindings: [{ mouseButton }] });
  toolGroups.createToolGroupAndAddTools("SRToolGroup", {
    active: [bound(toolNames.WindowLevel, Primary), bound(toolNames.Pan, Auxiliary), bound(toolNames.Zoom, Secondary), bound(toolNames.StackScroll, Wheel)],
    passive: [{ toolName: ofReports.SRPlanarFreehandROI }],
    enabled: [{ toolName: ofReports.DICOMSRDisplay }],
  });
}

export default {
  id: "cardiolabel",

  /** @param {any} managers */
  getPanelModule: ({ servicesManager, extensionManager }) => {
    masks ??= new Masks(servicesManager.services, extensionManager);
    mount(place, masks);
    return [{ name: "heart", iconName: "tab-linear", iconLabel: "EF", label: "EF", component: host }];
  },

  /** @param {any} managers */
  getSopClassHandlerModule: ({ extensionManager }) => [{
    name: "heart",
    sopClassUids: ULTRASOUND_AND_MR,
    getDisplaySetsFromSeries: (/** @type {any[]} */ instances) =>
      displaySets(instances, extensionManager.getModuleEntry("@ohif/extension-default.sopClassHandlerModule.stack").getDisplaySetsFromSeries),
  }],

  getHangingProtocolModule: () => [{ name: layout.id, protocol: layout }],

  getCustomizationModule: () => [{
    name: "global",
    value: {
      // OHIF expects coordinates in every measurement of a report, also in those of several images, such as an EF.
      onBeforeSRAddMeasurement: { $set: (/** @type {any} */ { measurement }) => (measurement.coords?.length ? measurement : { ...measurement, coords: [{}] }) },
      // Statistics of frames that were not loaded yet fail in OHIF; this server measures.
      "panelSegmentation.disableUpdateSegmentationStats": { $set: true },
      // Each picture tells its view and phase, where OHIF has the series' description, which ED and ES share.
      "viewportOverlay.topLeft": {
        $set: [{ id: "view", inheritsFrom: "ohif.overlayItem", label: "", title: "View", contentF: (/** @type {any} */ { displaySet }) => displaySet?.SeriesDescription ?? "" }],
      },
    },
  }],

  /** @param {any} managers */
  onModeEnter: ({ servicesManager, extensionManager }) => {
    addReportTools(servicesManager.services.toolGroupService, extensionManager);
    masks?.open();
  },
  onModeExit: () => masks?.close(),
};
