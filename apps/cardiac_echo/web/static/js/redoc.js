// The description of all routes, to read, shown by ReDoc.

const place = document.querySelector('meta[name="root"]')?.getAttribute("content") ?? "";
// @ts-expect-error: ReDoc's own script defines it.
window.Redoc.init(`${place}/openapi.json`, { nativeScrollbars: true, hideDownloadButtons: true }, document.getElementById("routes"));
