// The description of all routes, shown by Swagger UI.

const base = document.querySelector('meta[name="root"]')?.getAttribute("content") ?? "";
// @ts-expect-error: Swagger UI's own script defines it.
window.SwaggerUIBundle({ url: `${base}/openapi.json`, dom_id: "#routes", deepLinking: true, validatorUrl: null });
