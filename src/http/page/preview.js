// How a post will look: each platform's own JSON, of a dry run, drawn with plain elements. What the JSON says is text here.
import { anchor, el, json } from "./common.js";

const NAMES = { mattermost: "Mattermost", slack: "Slack", teams: "Microsoft Teams", console: "Console" };
const LEVELS = {
  good: "success", warning: "warning", danger: "error", attention: "error", accent: "info", "#2389d7": "info", "#439FE0": "info",
};

export function show(into, receipt) {
  const looks = (receipt.deliveries ?? []).map((entry) => {
    const requests = entry.requests ?? [];
    const bubbles = requests.map((request) => bubble(entry.backend, request));
    const exact = el("details", "", el("summary", "", `The exact JSON for ${entry.backend} ${entry.channel}`), ...requests.map(json));
    const fault = entry.detail ? el("p", "notice problem", entry.detail) : null;
    const parts = requests.length > 1 ? `, in ${requests.length} parts` : "";
    const heading = el("h3", "", `${NAMES[entry.backend] ?? entry.backend}: ${entry.channel}${parts}`);
    return el("article", "look", heading, fault, ...bubbles, exact);
  });
  if (receipt.replaced) looks.push(el("p", "notice queued", `${receipt.replaced} characters that no platform takes are shown as \uFFFD.`));
  into.replaceChildren(...looks);
}

function bubble(backend, request) {
  const { name, text, cards } = (READERS[backend] ?? other)(request);
  const shown = name || "your bot";
  const avatar = el("div", "avatar", [...shown][0].toUpperCase());
  avatar.setAttribute("aria-hidden", "true");
  const body = el("div", "", el("div", "name", shown, el("span", "badge", backend === "slack" ? "APP" : "BOT")));
  if (text) body.append(el("div", "text", ...text));
  for (const card of cards ?? []) body.append(drawn(card));
  return el("div", "bubble", avatar, body);
}

function drawn({ level, title, link, text, button }) {
  const card = el("div", `card ${level ?? ""}`);
  if (title) card.append(el("div", "title", link ? anchor(link, title) : title));
  if (text) card.append(el("div", "text", ...text));
  if (button) card.append(el("span", "fake-button", anchor(button.url, button.title)));
  return card;
}

const READERS = { mattermost, slack, teams, console: ({ line }) => ({ name: "standard output", text: [line] }) };

function mattermost(request) {
  const name = request.props?.override_username ?? request.username;
  const attachments = request.props?.attachments ?? request.attachments ?? [];
  const cards = attachments.map((one) => ({
    level: LEVELS[one.color], title: one.title, link: one.title_link, text: markup(one.text, MARKDOWN),
  }));
  return { name, text: markup(request.message ?? request.text, MARKDOWN), cards };
}

function slack(request) {
  const cards = (request.attachments ?? []).map((one) => ({
    level: LEVELS[one.color],
    title: unescaped(one.title),
    link: one.title_link,
    text: one.blocks ? literal(one.blocks) : markup(one.text, MRKDWN),
  }));
  const text = request.blocks ? literal(request.blocks) : request.mrkdwn === false ? [unescaped(request.text)] : markup(request.text, MRKDWN);
  return { name: unescaped(request.username), text, cards };
}

const literal = (blocks) => blocks.map((block) => unescaped(block.text?.text));

function teams(request) {
  const activity = request.activity ?? request;
  const cards = (activity.attachments ?? []).map(({ content }) => {
    const holder = content.body?.[0] ?? {};
    const lines = (holder.items ?? []).map((block) => el("div", "", ...(block.inlines ?? []).map(run)));
    const action = content.actions?.[0];
    return { level: LEVELS[holder.style], text: lines, button: action && { url: action.url, title: action.title } };
  });
  const text = activity.textFormat === "plain" ? [activity.text ?? ""] : markup(activity.text?.replaceAll("\n\n", "\n"), MARKDOWN);
  return { text, cards };
}

function run({ text, weight, italic, strikethrough, fontType }) {
  if (fontType === "Monospace") return el("code", "", text);
  const tag = weight === "Bolder" ? "b" : italic ? "i" : strikethrough ? "s" : "span";
  return el(tag, "", text);
}

function other(request) {
  return { text: [JSON.stringify(request)] };
}

// Light formatting only: the first group that matches names the element.
const MARKDOWN = [
  [/```\n?([\s\S]+?)```/, "pre"], [/`([^`\n]+)`/, "code"], [/\*\*([^\s*](?:[^*\n]*[^\s*])?)\*\*/, "b"],
  [/\*([^\s*](?:[^*\n]*[^\s*])?)\*/, "i"], [/(?<!\w)_([^\s_](?:[^_\n]*[^\s_])?)_(?!\w)/, "i"], [/~~([^~\n]+)~~/, "s"],
];
const MRKDWN = [
  [/```\n?([\s\S]+?)```/, "pre"], [/`([^`\n]+)`/, "code"], [/(?<!\w)\*([^\s*](?:[^*\n]*[^\s*])?)\*(?!\w)/, "b"],
  [/(?<!\w)_([^\s_](?:[^_\n]*[^\s_])?)_(?!\w)/, "i"], [/(?<!\w)~([^~\n]+)~(?!\w)/, "s"],
];

function markup(text, rules) {
  if (!text) return null;
  let first = null;
  for (const [pattern, tag] of rules) {
    const found = pattern.exec(text);
    if (found && (!first || found.index < first.found.index)) first = { found, tag };
  }
  if (!first) return [unescaped(text, rules)];
  const { found, tag } = first;
  const after = text.slice(found.index + found[0].length);
  return [unescaped(text.slice(0, found.index), rules), el(tag, "", unescaped(found[1])), ...(markup(after, rules) ?? [])];
}

const ENTITIES = { lt: "<", gt: ">", amp: "&", quot: '"', nbsp: "\u00A0" };

// What is written as an entity, or behind a backslash in Markdown, shows as itself.
function unescaped(text, rules) {
  const plain = rules === MARKDOWN ? text.replace(/\\([\\`*_{}[\]()#+\-.!|~><:])/g, "$1") : text;
  return plain?.replace(/&(?:#(\d{1,6})|#x([\da-f]{1,5})|(\w+));/gi, (whole, decimal, hex, name) => {
    if (name) return ENTITIES[name] ?? whole;
    const code = decimal ? Number(decimal) : parseInt(hex, 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
