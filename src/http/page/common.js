// What the parts of the page share: elements, and asking the proxy.
//
// Everything that comes from outside is put in as text, never as HTML. The token is kept in this variable and goes out in
// one header, and nowhere else: not into a URL, a cookie or a storage, where another tab, an extension's dump or the next
// user of the machine would find it. The price is typing it again after a reload, which a password manager does.

let token = "";

export function useToken(text) {
  token = text;
}

export const hasToken = () => token !== "";

export const $ = (id) => document.getElementById(id);

// An element with its classes and what is in it; texts stay texts.
export function el(tag, className, ...inside) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...inside.filter((one) => one !== null && one !== undefined && one !== ""));
  return made;
}

// A link that can only lead to a web page.
export function anchor(href, text) {
  if (!/^https?:\/\//i.test(href ?? "")) return document.createTextNode(text);
  const made = el("a", "", text);
  made.href = href;
  made.rel = "noopener noreferrer";
  made.target = "_blank";
  return made;
}

export function say(text) {
  $("said").textContent = text;
}

// Credentials are left out so that a 401 does not open the browser's own dialog, and nothing that it remembers is sent.
export function ask(path, { accept = "application/json", ...more } = {}) {
  const headers = { Accept: accept };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (more.body) headers["Content-Type"] = "application/json";
  return fetch(path, { ...more, headers, credentials: "omit", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer" });
}

// The answer's JSON, or why there is none, in words.
export async function answerOf(path, options) {
  let response;
  try {
    response = await ask(path, options);
  } catch {
    return { status: 0, problem: "The proxy does not answer. Is it running, and is the network there?" };
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return { status: response.status, body };
  const detail = body.detail ?? `The proxy answered ${response.status}.`;
  const seconds = response.headers.get("Retry-After");
  const again = seconds && !detail.includes("try again") ? ` (try again in ${seconds} s)` : "";
  return { status: response.status, body, problem: detail + again };
}

export function json(what) {
  const shown = el("pre", "", el("code", "", JSON.stringify(what, null, 2)));
  shown.tabIndex = 0;
  shown.setAttribute("role", "region");
  shown.setAttribute("aria-label", "JSON");
  return shown;
}
