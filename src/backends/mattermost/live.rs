//! For tests: what Mattermost makes of a text, written from the reference's observations (9 and 12) and not from
//! the code that makes text safe; in doubt it calls a mention live.

use serde_json::Value;

use super::Bot;
use super::webhook::WEBHOOKS;
use crate::backends::{Backend, Part, Recipient, Shared};
use crate::domain::delivery::{DeliveryId, Post};
use crate::domain::mention::Mentions;
use crate::domain::message::Message;
use crate::domain::options::Format;
use crate::domain::web_url::WebUrl;

const JOINER: char = '\u{2060}';
const SPECIAL: &str = "\\`*_{}[]()#+-.!|~><:";
pub(super) const CHANNEL: &str = "4yoxbndrfg8ejkmcpqxot1uwis";

/// The names, in lower case, that a text of a post would notify.
pub(super) fn live_mentions(text: &str) -> Vec<String> {
    let text: Vec<char> = decode_entities(text).chars().collect();
    let mut found = Vec::new();
    for (at, _) in text.iter().enumerate().filter(|(_, c)| **c == '@') {
        if at > 0 && text[at - 1].is_ascii_alphanumeric() {
            continue; // "x@all", "1@all", "a@b.c"
        }
        let name: String = text[at + 1..]
            .iter()
            .take_while(|c| c.is_alphanumeric() || ".-_:".contains(**c))
            .collect();
        let name = name.trim_end_matches(['.', '-', '_', ':']);
        if !name.is_empty() {
            found.push(name.to_lowercase());
        }
    }
    found
}

/// `&#64;`, `&#x40;`, `&commat;`, with any number of zeros, and without `;` to be on the safe side.
fn decode_entities(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix("commat;") {
            out.push('@');
            rest = after;
        } else if let Some(number) = rest.strip_prefix('#') {
            let (radix, digits) = match number.strip_prefix(['x', 'X']) {
                Some(hex) => (16, hex),
                None => (10, number),
            };
            let end = digits
                .find(|c: char| !c.is_digit(radix))
                .unwrap_or(digits.len());
            let code = u32::from_str_radix(&digits[..end], radix).unwrap_or(0);
            out.push(char::from_u32(code).unwrap_or('\u{FFFD}'));
            rest = digits[end..].strip_prefix(';').unwrap_or(&digits[end..]);
        } else {
            out.push('&');
        }
    }
    out + rest
}

/// What the server stores of a webhook's text: Slack's mentions rewritten, and its links, which it looks for in
/// the body alone, not in a title.
pub(super) fn after_slack_parser(text: &str, links: bool) -> String {
    let mut text = text.to_owned();
    for name in ["channel", "here", "all"] {
        text = text.replace(&format!("<!{name}>"), &format!("@{name}"));
    }
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        let inner = &rest[at + 1..];
        let end = inner.find('>').unwrap_or(0);
        let user = inner[..end].strip_prefix('@').unwrap_or_default();
        let bar = inner
            .find(['<', '|'])
            .filter(|at| links && *at > 0 && inner[*at..].starts_with('|'));
        let label = bar.map(|bar| &inner[bar + 1..]);
        let close = label.and_then(|label| label.find('>')).filter(|at| *at > 0);
        if !user.is_empty() && user.bytes().all(|b| b.is_ascii_alphanumeric()) {
            out.push('@');
            out.push_str(user);
            rest = &inner[end + 1..];
        } else if let (Some(bar), Some(label), Some(close)) = (bar, label, close) {
            out.push_str(&format!("[{}]({})", &label[..close], &inner[..bar]));
            rest = &label[close + 1..];
        } else {
            out.push('<');
            rest = inner;
        }
    }
    out + rest
}

/// What a reader sees of text with live formatting, as far as this program changes it.
pub(super) fn shown(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            JOINER => {}
            '&' if rest.starts_with("lt;") => {
                out.push('<');
                rest = &rest[3..];
            }
            c => out.push(c),
        }
    }
    out
}

/// What a reader sees of text without live formatting; an error where something is still live.
pub(super) fn shown_plain(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    let mut line_start = true;
    while let Some(c) = chars.next() {
        let rest = chars.as_str();
        match c {
            ' ' | '\t' | '=' if line_start => return Err(format!("block at {out:?}")),
            JOINER => {}
            '\\' => match chars.next() {
                Some(c) if SPECIAL.contains(c) => out.push(c),
                other => return Err(format!("backslash before {other:?}")),
            },
            '&' if rest.starts_with("lt;") => {
                out.push('<');
                chars = rest[3..].chars();
            }
            '&' if rest.starts_with(|n: char| n == '#' || n.is_ascii_alphanumeric()) => {
                return Err(format!("entity at {out:?}"));
            }
            c if SPECIAL.contains(c) => return Err(format!("live {c} after {out:?}")),
            c => out.push(c),
        }
        line_start = c == '\n';
    }
    Ok(out)
}

/// A post of this text and nothing else.
pub(super) fn post(text: &str) -> Post {
    Post::bare(
        DeliveryId::generate(),
        Message::parse(text).unwrap(),
        Format::Markup,
    )
}

pub(super) fn bot(mentions: &str) -> Bot {
    Bot::try_new(
        WebUrl::parse("https://chat.example.com").unwrap(),
        http::HeaderValue::from_static("Bearer secret"),
        None,
        Mentions::parse(mentions).unwrap(),
    )
    .unwrap()
}

pub(super) fn to_channel() -> Recipient {
    Recipient::Target(CHANNEL.to_owned())
}

pub(super) fn to_hook() -> Recipient {
    Recipient::Webhook {
        alias: "deploys".into(),
        uri: format!("https://chat.example.com/hooks/{CHANNEL}")
            .parse()
            .unwrap(),
    }
}

/// The JSON of all parts, as the bot sends them, or through a webhook.
pub(super) fn rendered(post: &Post, mentions: &str, hook: bool) -> Vec<Value> {
    let parts: Vec<Part> = if hook {
        let shared = Shared {
            mentions: Mentions::parse(mentions).unwrap(),
            ..Shared::default()
        };
        (WEBHOOKS.build)(&shared).render(post, &to_hook())
    } else {
        bot(mentions).render(post, &to_channel())
    };
    parts
        .iter()
        .map(|part| serde_json::from_slice(&part.body).unwrap())
        .collect()
}

/// The attachment of a part, if it has one.
pub(super) fn attachment(part: &Value) -> &Value {
    match part.get("attachments") {
        Some(attachments) => &attachments[0],
        None => &part["props"]["attachments"][0],
    }
}

/// The body text of a part: in `message`, webhook `text` or the attachment.
pub(super) fn body(part: &Value) -> &str {
    ["message", "text"]
        .iter()
        .filter_map(|key| part[key].as_str())
        .chain(attachment(part)["text"].as_str())
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

/// The one-line texts of a part: title, fallback and name.
pub(super) fn lines(part: &Value) -> Vec<&str> {
    let attachment = attachment(part);
    [
        &part["username"],
        &part["props"]["override_username"],
        &attachment["title"],
        &attachment["fallback"],
    ]
    .into_iter()
    .filter_map(Value::as_str)
    .collect()
}

/// Every text of a part as written and as the platform stores it.
pub(super) fn stored(part: &Value, hook: bool) -> Vec<(String, String)> {
    let arrives = |text: &str, links| match hook {
        true => after_slack_parser(text, links),
        false => text.to_owned(),
    };
    let lines = lines(part)
        .into_iter()
        .map(|text| (text.to_owned(), arrives(text, false)));
    let body = (body(part).to_owned(), arrives(body(part), true));
    lines.chain([body]).collect()
}
