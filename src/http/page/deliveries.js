// What was queued and what became of it: a list that follows the proxy's events.
//
// EventSource cannot send a token, so the stream is read by hand. An event carries the whole receipt; after every new
// connection the list is read again, because what happened in between was not told.
import { $, anchor, answerOf, ask, el, say } from "./common.js";

const MAX_SHOWN = 400;
const PAGE = 50;
const SLOWEST_S = 30;

const shown = new Map();
let listening = null;
let next = null;
let isCut = false;
let following = "";
let filter = { status: "", channel: "" };

const REASONS = {
  async: "It is stored, and its turn comes.",
  "backend-unavailable": "The platform could not be reached, or did not take it; it is tried again.",
  "backend-throttled": "The platform asked for a pause; it is sent when that is over.",
  "behind-earlier-messages": "Earlier messages to this channel go first.",
};
const SIGNS = { queued: "… queued", delivered: "✓ delivered", failed: "✗ failed" };

// `lost` is called when the proxy does not know any more who asks.
export function start(of, lost) {
  clear();
  $("filter").hidden = !of.keeps;
  if (!of.keeps) {
    $("live").textContent = "This proxy has no outbox (DATABASE_URL=none): nothing waits, and nothing is kept.";
    return;
  }
  listening = new AbortController();
  follow(listening.signal, lost);
}

export function stop() {
  listening?.abort();
  listening = null;
  clear();
  $("more").hidden = $("rest").hidden = true;
}

function clear() {
  shown.clear();
  $("list").replaceChildren();
  next = null;
  isCut = false;
}

async function follow(signal, lost) {
  let pause = 1;
  while (!signal.aborted) {
    try {
      const response = await ask("events", { accept: "text/event-stream", signal });
      if (response.status === 401) return lost();
      if (response.ok) {
        const problem = await load();
        live("Live: changes show by themselves.");
        if (problem) tell(problem);
        pause = 1;
        await read(response.body, signal);
      } else {
        const problem = await response.json().catch(() => ({}));
        pause = Math.max(pause, Number(response.headers.get("Retry-After")) || 0);
        // The list is there all the same.
        await load();
        live(problem.detail ?? `Not live: the proxy answered ${response.status}.`);
      }
    } catch {
      if (signal.aborted) return;
    }
    if (signal.aborted) return;
    if (pause > 1) live("Not live: the connection has ended; trying again.");
    await new Promise((done) => { setTimeout(done, pause * 1000); });
    pause = Math.min(pause * 2, SLOWEST_S);
  }
}

// Whether the list follows what happens; that is told again when something else was told in between.
function live(text) {
  following = text;
  tell(text);
}

function tell(text) {
  if ($("live").textContent !== text) $("live").textContent = text;
}

async function read(body, signal) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  while (!signal.aborted) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (kept + value).split("\n\n");
    kept = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").find((line) => line.startsWith("data: "));
      if (data) take(JSON.parse(data.slice(6)));
    }
  }
}

function query(after) {
  const parts = new URLSearchParams({ limit: String(PAGE) });
  if (filter.status) parts.set("status", filter.status);
  if (filter.channel) parts.set("channel", filter.channel);
  if (after) parts.set("after", after);
  return `deliveries?${parts}`;
}

// Shows a page; why it could not.
async function load(after) {
  const asked = filter;
  const { body, problem } = await answerOf(query(after));
  if (asked !== filter) return null;
  if (!after) clear();
  if (problem) return problem;
  filter.meant = body.channels;
  for (const receipt of body.deliveries) take(receipt, true);
  next = body.next;
  settle();
  return null;
}

// What somebody asked for is told, also to who does not see the list.
async function showPage(after) {
  const problem = await load(after);
  tell(problem ?? following);
  if (!problem) say(`Shown: ${shown.size || "nothing"}${next ? ", and there are older ones" : ""}.`);
}

// The proxy knows what a channel stands for; it says so with every list.
function matches(receipt) {
  const has = (test) => receipt.deliveries.some(test);
  return (!filter.status || has((one) => one.status === filter.status))
    && (!filter.channel || has((one) => filter.meant?.includes(one.channel)));
}

// Puts a receipt where it belongs: newest first, which is the order of ids.
function take(receipt, isWanted = matches(receipt)) {
  const known = shown.get(receipt.id);
  if (known && !isWanted) {
    known.remove();
    shown.delete(receipt.id);
  } else if (known) {
    const focused = known.contains(document.activeElement) ? document.activeElement.dataset.does : null;
    fill(known, receipt);
    if (focused) (known.querySelector(`[data-does=${focused}]`) ?? known).focus();
  } else if (isWanted) {
    const row = el("li");
    row.tabIndex = -1;
    row.dataset.id = receipt.id;
    fill(row, receipt);
    const older = [...$("list").children].find((other) => other.dataset.id < receipt.id);
    $("list").insertBefore(row, older ?? null);
    shown.set(receipt.id, row);
    while (shown.size > MAX_SHOWN) {
      const last = $("list").lastElementChild;
      shown.delete(last.dataset.id);
      last.remove();
      isCut = true;
    }
  }
  settle();
}

// What is said of those that are not shown.
function settle() {
  const isFull = shown.size >= MAX_SHOWN;
  // Who presses it goes on from there when it goes.
  const wasFocused = document.activeElement === $("more");
  $("more").hidden = !next || isFull;
  $("rest").hidden = !isFull || !(next || isCut);
  $("list").querySelector(".none")?.remove();
  // The proxy looks through a bounded number for each page.
  if (!shown.size) $("list").append(el("li", "none quiet", next ? "Nothing among the newest." : "Nothing here."));
  if (wasFocused && $("more").hidden) {
    $("list").lastElementChild.tabIndex = -1;
    $("list").lastElementChild.focus();
  }
}

function fill(row, receipt) {
  const time = el("time", "quiet", new Date(receipt.created_at).toLocaleString());
  time.dateTime = receipt.created_at;
  const attempts = receipt.attempts ? el("span", "quiet", `${receipt.attempts} ${receipt.attempts === 1 ? "attempt" : "attempts"}`) : null;
  const head = el("div", "head", badge(receipt.status), time, attempts, el("code", "quiet", receipt.id));
  const buttons = [];
  if (receipt.status !== "delivered") buttons.push(button("retry", receipt.status === "failed" ? "Try again" : "Try now", receipt));
  if (receipt.deliveries.some((one) => one.status === "queued")) buttons.push(button("drop", "Drop", receipt));
  row.replaceChildren(head, ...receipt.deliveries.map((one) => where(one, receipt.deliveries.length > 1)), ...buttons);
}

const badge = (status) => el("span", `badge ${status}`, SIGNS[status] ?? status);

function where(entry, isOneOfMany) {
  const line = el("div", "where", `${entry.backend} ${entry.channel} `);
  if (isOneOfMany) line.append(badge(entry.status));
  if (entry.link) line.append(" ", anchor(entry.link, "see it there"));
  const why = entry.status === "failed" ? entry.detail ?? entry.reason : entry.status === "queued" ? REASONS[entry.reason] : "";
  if (why) line.append(el("div", "", why));
  if (entry.status === "queued" && entry.error) line.append(el("div", "quiet", `Last attempt: ${entry.error}`));
  if (entry.ambiguous) line.append(el("div", "quiet", `${entry.ambiguous} of the attempts may have posted it without telling.`));
  return line;
}

const ACTIONS = {
  retry: { path: (id) => `deliveries/${id}/retry`, method: "POST", done: "It is tried again." },
  drop: { path: (id) => `deliveries/${id}`, method: "DELETE", done: "Dropped." },
};

function button(does, text, receipt) {
  const made = el("button", "", text);
  made.type = "button";
  made.dataset.does = does;
  made.setAttribute("aria-label", `${text}: message ${receipt.id}`);
  made.addEventListener("click", () => {
    // What is dropped is gone, so it takes two clicks.
    if (does === "drop" && !made.dataset.sure) {
      made.dataset.sure = "yes";
      made.textContent = "Really drop it?";
      made.setAttribute("aria-label", `Really drop it? Message ${receipt.id}`);
      return;
    }
    act(does, receipt.id);
  });
  return made;
}

async function act(does, id) {
  const { path, method, done } = ACTIONS[does];
  const { body, problem } = await answerOf(path(id), { method });
  if (!problem) {
    take(body);
    return say(done);
  }
  shown.get(id)?.append(el("p", "notice problem", problem));
  say(problem);
}

$("filter").addEventListener("submit", (event) => {
  event.preventDefault();
  filter = { status: $("f-status").value, channel: $("f-channel").value.trim() };
  showPage();
});
$("more").addEventListener("click", () => showPage(next));
