// Requests to the server, and messages to the user.

const root = document.querySelector('meta[name="root"]')?.getAttribute("content") ?? "";

/** Error of the server: its status, code and message, and what else it says. */
export class ServerError extends Error {
  /** @param {number} status @param {{code?: string, message?: string, details?: any}} body */
  constructor(status, body) {
    super(body.message ?? `the server answered ${status}`);
    this.status = status;
    this.code = body.code ?? "";
    this.details = body.details ?? {};
  }
}

/**
 * Address of a route, with parameters.
 * @param {string} path
 * @param {Record<string, string | number | boolean | null | undefined>} [parameters]
 */
export function address(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return root + path + (text ? `?${text}` : "");
}

/**
 * Send a request and return its JSON.
 * @param {string} method
 * @param {string} url
 * @param {any} [body] a form, or what becomes JSON
 * @param {RequestInit} [options]
 * @returns {Promise<any>}
 * @throws {ServerError} the server refused it
 */
export async function request(method, url, body, options = {}) {
  const isForm = body instanceof FormData;
  const response = await fetch(url, {
    method,
    body: body === undefined ? undefined : isForm ? body : JSON.stringify(body),
    headers: body === undefined || isForm ? {} : { "Content-Type": "application/json" },
    ...options,
  });
  const text = await response.text();
  const content = text && response.headers.get("content-type")?.includes("json") ? JSON.parse(text) : {};
  if (!response.ok) throw new ServerError(response.status, content);
  return content;
}

/** @param {string} url */
export const get = (url) => request("GET", url);

/**
 * Show a message for a while.
 * @param {string} text
 * @param {"" | "bad" | "good"} [kind]
 */
export function say(text, kind = "") {
  const line = document.createElement("p");
  line.className = kind;
  line.textContent = text;
  document.getElementById("messages")?.append(line);
  setTimeout(() => line.remove(), kind === "bad" ? 12000 : 5000);
}

/** Run something, and tell the user what went wrong.
 * @template T
 * @param {() => Promise<T>} action
 * @returns {Promise<T | undefined>}
 */
export async function telling(action) {
  try {
    return await action();
  } catch (error) {
    say(error instanceof TypeError ? "The server cannot be reached; your work is kept in this browser." : String(/** @type {Error} */ (error).message), "bad");
    return undefined;
  }
}

/** Call back whenever labels, images, leases or models change on the server.
 * @param {() => void} changed */
export function onChange(changed) {
  const events = new EventSource(address("/cardiac/events"));
  events.addEventListener("change", changed);
  return events;
}

/** Name of the annotator where there is no login; kept in this browser. */
export function annotator() {
  return localStorage.getItem("cardiolabel:annotator") ?? "";
}

/** Show the field for the annotator's name in the header. */
export function askName() {
  const place = document.getElementById("who");
  if (!place) return;
  const label = document.createElement("label");
  label.textContent = "Annotator ";
  const field = document.createElement("input");
  field.value = annotator();
  field.maxLength = 80;
  field.size = 12;
  field.placeholder = "your name";
  field.addEventListener("change", () => localStorage.setItem("cardiolabel:annotator", field.value.trim()));
  label.append(field);
  place.replaceChildren(label);
}
