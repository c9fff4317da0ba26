// Requests to the server, and messages to the user.

const root = document.querySelector('meta[name="root"]')?.getAttribute("content") ?? "";

/** How people log in: "none", "accounts" of this server, or at a "realm". */
export const login = document.querySelector('meta[name="login"]')?.getAttribute("content") ?? "none";

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
  if (response.status === 401 && content.code === "not_logged_in" && login !== "none") logIn();
  if (!response.ok) throw new ServerError(response.status, content);
  return content;
}

let isLeaving = false;

/** Go to the login, and come back to this page afterwards; unsaved contours stay in this browser. */
function logIn() {
  if (isLeaving) return;
  isLeaving = true;
  const here = location.pathname.slice(root.length) + location.search;
  location.assign(address("/login", { next: here }));
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

/** Who is logged in, and what they may do; nobody where there is no login.
 * @type {Promise<{username: string, name: string, may_annotate: boolean, may_administer: boolean, uses_accounts: boolean} | null>} */
export const sender = login === "none" || document.body.classList.contains("login") ? Promise.resolve(null) : get(address("/auth/session")).catch(() => null);

/** Name of the annotator where there is no login; kept in this browser. */
export function annotator() {
  return localStorage.getItem("cardiolabel:annotator") ?? "";
}

/** Show in the header who works here: the login's name, or a field for the annotator's. */
export async function showWho() {
  const place = document.getElementById("who");
  if (!place) return;
  if (login !== "none") {
    const user = await sender;
    if (!user) return;
    document.body.classList.toggle("may-annotate", user.may_annotate);
    document.body.classList.toggle("may-administer", user.may_administer);
    const leave = document.createElement("button");
    leave.textContent = "Log out";
    leave.addEventListener("click", () => telling(async () => {
      const answer = await request("DELETE", address("/auth/session"));
      location.assign(answer.leave ?? address("/login"));
    }));
    place.replaceChildren(`${user.name} `, leave);
    return;
  }
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
