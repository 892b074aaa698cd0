// The page: who asks, the message, its URL, and what sending it came to.
import { $, anchor, answerOf, el, hasToken, json, say, useToken } from "./common.js";
import { show as showPreview } from "./preview.js";
import { PLACES, snippet } from "./snippets.js";
import * as deliveries from "./deliveries.js";

let choice = { channels: [], open: false, signs: false, keeps: false, others: true, backends: [] };
let signed = null;
let asked = 0;

// As the proxy writes it: everything but what RFC 3986 calls unreserved, so that no shell and no YAML sees a special character.
export function encode(text) {
  const whole = text.toWellFormed ? text.toWellFormed() : text;
  return encodeURIComponent(whole).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

const value = (id) => $(id).value;

function options() {
  const given = { title: value("title").trim(), level: value("level"), link: value("link").trim() };
  return Object.fromEntries(Object.entries(given).filter(([, text]) => text !== ""));
}

// Path and query, without a slash before it: relative to this page. What is not written yet is named.
function target(more = {}) {
  const query = Object.entries({ ...options(), ...more }).map(([name, text]) => `${name}=${encode(text)}`);
  const channel = `post/channel/${encode(value("channel").trim()) || "{channel}"}`;
  // A browser and curl take these two, however they are encoded, for a step in the path.
  const dots = { ".": "Lg", "..": "Li4" }[value("message")];
  const path = dots ? `${channel}/b64/${dots}` : `${channel}/msg/${encode(value("message")) || "{message}"}`;
  return query.length ? `${path}?${query.join("&")}` : path;
}

function absolute(relative) {
  const base = choice.public_url || new URL(".", location.href).href;
  return base.replace(/\/+$/, "") + "/" + relative.replace(/^\/+/, "");
}

function missing() {
  if (!value("channel").trim()) return ["channel", "Choose a channel first."];
  if (!value("message").trim()) return ["message", "Write a message first."];
  if (!$("link").checkValidity() || (value("link") && !/^https?:\/\//i.test(value("link").trim()))) {
    return ["link", "The link must begin with https:// or http://."];
  }
  return null;
}

function complain([field, text]) {
  outcome(el("p", "notice problem", text));
  $(field).focus();
}

function outcome(...shown) {
  $("outcome").replaceChildren(...shown);
}

// What a signature was made for, to see when it opens something else now.
function covered() {
  const channel = value("channel").trim();
  return signed?.scope === "m" ? JSON.stringify([channel, value("message"), options()]) : channel;
}

function signedUrl() {
  if (!signed || signed.covers !== covered()) return "";
  return absolute(target({ sig: signed.sig }));
}

// The usual room for a request's first line: nginx's large_client_header_buffers, Apache's LimitRequestLine.
const OFTEN_TOO_LONG = 8000;

// Everything that follows from the form.
function refresh() {
  const url = absolute(target());
  $("url").textContent = url;
  $("url-note").textContent = url.length > OFTEN_TOO_LONG
    ? `${url.length} characters: the proxy takes a path of MAX_URL bytes, and what stands before it often ${OFTEN_TOO_LONG} at most.`
    : "";
  const withSignature = signedUrl();
  $("signed").textContent = withSignature;
  $("signed-output").hidden = !withSignature;
  if (signed && !withSignature) $("signed-note").textContent = "This has changed since it was signed: sign it again.";
  const made = snippet(value("place"), { url: withSignature || url, signed: Boolean(withSignature), open: choice.open });
  $("snippet").textContent = made.text;
  $("snippet-note").textContent = made.note;
  const known = choice.channels.find((one) => one.channel === value("channel").trim());
  $("channel-hint").textContent = known?.destinations
    ? `goes to ${known.destinations.map((to) => `${to.backend} ${to.channel}`).join(", ")}`
    : [known?.name, known?.note].filter(Boolean).join(": ") || hint();
  $("preview-note").textContent = "It has changed since this preview.";
}

function hint() {
  if (choice.others) return `an alias, or ${choice.backends.map((name) => `${name}:<id>`).join(", ") || "backend:<id>"}`;
  return choice.channels.length ? "one of the list" : "";
}

// Asks who we are and what we may choose; the answer of an older question is not looked at.
async function enter() {
  const mine = ++asked;
  deliveries.stop();
  const { status, body, problem } = await answerOf("channels");
  if (mine !== asked) return;
  const isKnown = status === 200;
  choice = isKnown ? body : { channels: [], open: false, signs: false, keeps: false, others: true, backends: [] };
  choice.channels ??= [];
  $("login").hidden = choice.open;
  $("forget").hidden = !hasToken();
  $("whoami").className = isKnown || !hasToken() ? "" : "notice problem";
  if (choice.open) $("whoami").textContent = "Posting is open here: no token is needed.";
  else if (isKnown) $("whoami").textContent = `The proxy knows you as “${choice.caller}”.`;
  else if (status === 401 && !hasToken()) $("whoami").textContent = "Without a token you can write URLs here; choosing channels, signing, sending and deliveries need one.";
  else $("whoami").textContent = problem;
  $("channels").replaceChildren(...choice.channels.map(({ channel }) => listed(channel)));
  $("seen").hidden = !choice.lists || !bots().length;
  $("seen-note").textContent = "";
  $("sign").hidden = !choice.signs;
  signed = null;
  $("signed-note").textContent = "";
  refresh();
  if (isKnown) deliveries.start(choice, enter);
  $("deliveries").hidden = !isKnown;
}

function listed(channel, name) {
  const option = el("option", "", name);
  option.value = channel;
  return option;
}

const bots = () => choice.backends.filter((name) => name !== "console");

// What the bots can see, added to what can be chosen.
async function listSeen() {
  const mine = asked;
  $("seen-note").textContent = "Asking the platforms …";
  const backends = bots();
  const answers = await Promise.all(backends.map((name) => answerOf(`channels?backend=${encode(name)}`)));
  if (mine !== asked) return;
  const notes = answers.map(({ body, problem }, at) => {
    const found = body?.channels ?? [];
    for (const { channel, name, note } of found) $("channels").append(listed(channel, note ? `${name} (${note})` : name));
    choice.channels.push(...found);
    if (problem ?? body.advice) return `${backends[at]}: ${problem ?? body.advice}.`;
    return `${backends[at]}: ${found.length}${body.more ? " and more" : ""}.`;
  });
  $("seen-note").textContent = `${notes.join(" ")} Type in the field to find one by its name.`;
  refresh();
}

async function preview() {
  const fault = missing();
  if (fault) return complain(fault);
  outcome();
  const { status, body, problem } = await answerOf(target({ dry: "1" }), { method: "POST" });
  if (status === 401) return askForToken();
  if (problem) return outcome(el("p", "notice problem", problem));
  showPreview($("looks"), body);
  $("previews").hidden = false;
  $("preview-note").textContent = "About how it will look; below each is exactly what the platform gets.";
  $("h-preview").focus();
}

async function send() {
  const fault = missing();
  if (fault) return complain(fault);
  outcome(el("p", "hint", "Sending …"));
  const { status, body, problem } = await answerOf(target(), { method: "POST" });
  if (status === 401) return askForToken();
  const end = body?.status ?? "";
  const shown = [problem ?? SENT[end] ?? "Taken.", ...(body?.deliveries ?? []).map(place)];
  const details = body ? el("details", "", el("summary", "", "The whole answer"), json(body)) : null;
  const mood = problem ? "problem" : end;
  outcome(el("div", `notice ${mood}`, ...shown.map((one) => el("p", "", one))), ...(details ? [details] : []));
}

// Whoever was known may be so no more: the proxy has other tokens now.
async function askForToken() {
  const given = hasToken();
  await enter();
  complain(["token", given ? "The proxy does not take this token: write another one above." : "This needs a proxy token: write it above."]);
}

const SENT = {
  delivered: "Delivered: the platform has it.",
  queued: "Queued: it is stored and will be delivered. Its end shows below.",
};

function place(entry) {
  const text = [`${entry.backend} ${entry.channel}: ${entry.status}`, entry.detail].filter(Boolean).join(": ");
  return entry.link ? el("span", "", `${text} · `, anchor(entry.link, "see it there")) : text;
}

async function sign() {
  const scope = value("scope");
  if (!value("channel").trim()) return complain(["channel", "Choose a channel first."]);
  if (scope === "m") {
    const fault = missing();
    if (fault) return complain(fault);
  }
  const wish = { channel: value("channel").trim(), scope, expires: value("expires") };
  if (scope === "m") Object.assign(wish, { message: value("message"), options: options() });
  signed = { scope };
  const covers = covered();
  const { status, body, problem } = await answerOf("sign", { method: "POST", body: JSON.stringify(wish) });
  if (status === 401) return askForToken();
  signed = problem ? null : { scope, covers, sig: body.sig };
  refresh();
  const until = body?.expires_at ? `It expires on ${new Date(body.expires_at).toLocaleString()}.` : "It never expires: only new SIGNING_KEYS end it.";
  if (problem || signedUrl()) $("signed-note").textContent = problem ?? until;
}

async function copy(button) {
  const source = $(button.dataset.copy);
  let done = true;
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    // Without TLS browsers give no clipboard to a page; what is selected can still be copied.
    getSelection().selectAllChildren(source);
    done = document.execCommand("copy");
  }
  const text = button.firstChild;
  text.textContent = done ? "Copied " : "Select and copy it ";
  say(done ? "Copied." : "Could not copy: select it yourself.");
  setTimeout(() => { text.textContent = "Copy "; }, 2000);
}

// Not twice at a time. A button that is disabled loses the focus, and a person without a mouse the place on the page.
async function alone(id, action) {
  const button = $(id);
  if (button.ariaDisabled) return;
  button.ariaDisabled = "true";
  await action();
  button.ariaDisabled = null;
}

function on(id, event, action) {
  $(id).addEventListener(event, (happened) => {
    happened.preventDefault();
    action(happened);
  });
}

$("place").replaceChildren(...PLACES.map(([id, name]) => {
  const option = el("option", "", name);
  option.value = id;
  return option;
}));
for (const id of ["channel", "message", "title", "level", "link", "place"]) $(id).addEventListener("input", refresh);
for (const id of ["scope", "expires"]) $(id).addEventListener("input", () => { signed = null; $("signed-note").textContent = ""; refresh(); });
for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
on("login", "submit", () => {
  const typed = value("token").trim();
  // What a header cannot carry is no token.
  useToken(/^[\x21-\x7e]*$/.test(typed) ? typed : "?");
  enter();
});
on("forget", "click", () => { useToken(""); $("token").value = ""; enter(); $("token").focus(); });
on("write", "submit", () => alone("send", send));
on("preview", "click", preview);
on("seen", "click", () => alone("seen", listSeen));
on("sign", "submit", sign);
enter();
