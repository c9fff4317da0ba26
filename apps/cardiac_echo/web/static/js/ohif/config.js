// Settings of OHIF, which reads them from `window.config` before it starts.

(() => {
  const content = (/** @type {string} */ name) => document.querySelector(`meta[name="${name}"]`)?.getAttribute("content") ?? "";
  const [root, files] = [content("root"), content("files")];
  const reports = "@ohif/extension-cornerstone-dicom-sr";
  const hidden = ["basic", "longitudinal", "tmtv", "basic-test-mode", "preclinical-4d", "microscopy", "ultrasound-pleura-bline", "basic-dev-mode"];
  Object.assign(window, {
    config: {
      name: "cardiolabel",
      routerBasename: `${root}/ohif/`,
      extensions: [`${files}/js/ohif/extension.js`],
      modes: [],
      customizationService: {},
      showStudyList: true,
      maxNumberOfWebWorkers: 2,
      showWarningMessageForCrossOrigin: false,
      showCPUFallbackMessage: false,
      showLoadingIndicator: true,
      strictZSpacingForVolumeViewport: true,
      useSharedArrayBuffer: "FALSE",
      investigationalUseDialog: { option: "never" },
      // OHIF's own mode for segmentation, with our panel, our layout of views, and ED and ES as images of their own.
      modesConfiguration: {
        ...Object.fromEntries(hidden.map((mode) => [`@ohif/mode-${mode}`, { hide: { $set: true } }])),
        "@ohif/mode-segmentation": {
          displayName: { $set: "Cardiology" },
          routeName: { $set: "cardiology" },
          // Of several, even of one, OHIF takes the layout that the images fill.
          hangingProtocol: { $set: ["cardiolabel"] },
          sopClassHandlers: { $unshift: ["cardiolabel.sopClassHandlerModule.heart"], $push: [`${reports}.sopClassHandlerModule.dicom-sr`] },
          routes: {
            0: {
              init: { $set: async (/** @type {any} */ context) => (await import(`${files}/js/ohif/extension.js`)).begin(context.studyInstanceUIDs) },
              layoutInstance: {
                props: {
                  leftPanels: { $unshift: ["cardiolabel.panelModule.heart"] },
                  viewports: {
                    0: { displaySetsToDisplay: { $push: ["cardiolabel.sopClassHandlerModule.heart"] } },
                    $push: [{ namespace: `${reports}.viewportModule.dicom-sr`, displaySetsToDisplay: [`${reports}.sopClassHandlerModule.dicom-sr`] }],
                  },
                },
              },
            },
          },
        },
      },
      defaultDataSourceName: "pacs",
      dataSources: [{
        namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
        sourceName: "pacs",
        configuration: {
          friendlyName: "Studies of this server",
          name: "pacs",
          wadoUriRoot: `${root}/dicom-web`,
          qidoRoot: `${root}/dicom-web`,
          wadoRoot: `${root}/dicom-web`,
          qidoSupportsIncludeField: true,
          imageRendering: "wadors",
          thumbnailRendering: "wadors",
          enableStudyLazyLoad: true,
          supportsFuzzyMatching: false,
          supportsWildcard: true,
          omitQuotationForMultipartRequest: true,
          bulkDataURI: { enabled: true },
        },
      }],
    },
  });
})();
