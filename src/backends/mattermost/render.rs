//! PURE: from a post to the exact JSON, part by part, each within the server's limits. It must not send or
//! decide anything about the channel.
//!
//! Plain text goes into `message`. With a title, a link or a level the first part is an attachment that holds
//! the heading and as much text as the oldest supported server takes; what is left follows as plain messages,
//! which hold more than twice as much and are not folded by the clients.

use std::borrow::Cow;

use serde::Serialize;

use super::text::{Dress, Unit};
use crate::backends::Part;
use crate::backends::console::emoji;
use crate::domain::delivery::{DeliveryId, Post};
use crate::domain::json::push_text;
use crate::domain::options::Level;
use crate::domain::split::{split, split_first};
use crate::domain::web_url::WebUrl;

/// `message` and webhook `text`, in scalar values (reference 4 "Length" and 12 \[O\], checked 2026-11-21).
pub(super) const MAX_MESSAGE_CHARS: usize = 16_383;

/// What our values in `props` may take together, of the 8000 characters of JSON that 5.37 holds. Empty keys
/// and the server's own additions take 253 of them: one text alone held 7747 (reference 4 "Props limit" \[O\];
/// 7600 is the server's own figure for a user's part, 19; checked 2026-11-21).
pub(super) const MAX_PROPS_COST: usize = 7_600;

/// The same for a webhook. Over 7600 the server *cuts* an attachment's text, and within them it counts the
/// keys, the hook's display name and an icon URL that we cannot know (reference 12; checked 2026-11-21).
pub(super) const MAX_HOOK_PROPS_COST: usize = 6_000;

/// `"override_username":"",` and `"from_webhook":"true",`.
const OVERRIDE_COST: usize = 45;
/// A dearer link (hundreds of `&`, six characters each) would leave no room for the text.
const MAX_LINK_COST: usize = 3_000;
/// A longer link is shown by its host.
const MAX_SHOWN_LINK_CHARS: usize = 250;
/// Enough for a notification's one or two lines.
const MAX_FALLBACK_COST: usize = 300;

/// How a route writes the parts.
#[derive(Clone, Copy)]
pub(super) struct Layout<'a> {
    /// How text is made safe.
    pub(super) dress: Dress<'a>,
    /// What the values of an attachment may take.
    pub(super) max_props_cost: usize,
    /// The name of posts that bring none.
    pub(super) default_name: Option<&'a str>,
}

/// One platform message before the route gives it its form.
pub(super) struct Sheet<'a> {
    /// Its place among the parts, from 0.
    pub(super) index: usize,
    /// The post's own text; empty beside an attachment.
    pub(super) message: Cow<'a, str>,
    /// The heading and its text.
    pub(super) attachment: Option<Attachment<'a>>,
    /// The name the post appears under.
    pub(super) name: Option<&'a str>,
}

/// One attachment (reference 4 "Attachments").
#[derive(Serialize)]
pub(super) struct Attachment<'a> {
    fallback: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    color: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title_link: Option<&'a str>,
    text: Cow<'a, str>,
}

#[derive(Serialize)]
struct Props<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    override_username: Option<&'a str>,
    /// Clients show the other name only beside this one (reference 4 "Known props" \[S\]).
    #[serde(skip_serializing_if = "Option::is_none")]
    from_webhook: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachments: Option<[&'a Attachment<'a>; 1]>,
}

/// The body of a webhook call (reference 12).
#[derive(Serialize)]
struct HookPost<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachments: Option<[&'a Attachment<'a>; 1]>,
}

/// The parts of a post by the bot.
pub(super) fn bot_parts(post: &Post, channel: &str, layout: Layout<'_>) -> Vec<Part> {
    parts(post, layout, |sheet| {
        let props = Props {
            override_username: sheet.name,
            from_webhook: sheet.name.map(|_| "true"),
            attachments: sheet.attachment.as_ref().map(|a| [a]),
        };
        let pending_id = pending_id(post.id, channel, sheet.index);
        new_post(channel, &sheet.message, &pending_id, &props)
    })
}

/// The body of `POST /api/v4/posts`.
fn new_post(channel: &str, message: &str, pending_id: &str, props: &Props<'_>) -> Part {
    let mut body = Vec::with_capacity(256 + message.len());
    body.extend_from_slice(b"{\"channel_id\":");
    push_text(&mut body, channel);
    body.extend_from_slice(b",\"message\":");
    push_text(&mut body, message);
    body.extend_from_slice(b",\"pending_post_id\":");
    push_text(&mut body, pending_id);
    if !props.is_empty() {
        body.extend_from_slice(b",\"props\":");
        body.extend_from_slice(&Part::json(props).body);
    }
    body.push(b'}');
    Part { body: body.into() }
}

/// The same for every attempt at a part, unlike any other part's, and not to be guessed: the server gives back
/// whatever post it saved under it within 30 s (reference 5).
fn pending_id(post: DeliveryId, channel: &str, index: usize) -> String {
    let mut id = String::with_capacity(48 + channel.len());
    post.push_to(&mut id);
    id.push(':');
    id.push_str(channel);
    id.push(':');
    id.push_str(itoa::Buffer::new().format(index));
    id
}

/// The parts of a post through an incoming webhook.
pub(super) fn hook_parts(post: &Post, layout: Layout<'_>) -> Vec<Part> {
    parts(post, layout, |sheet| {
        Part::json(&HookPost {
            text: &sheet.message,
            username: sheet.name,
            attachments: sheet.attachment.as_ref().map(|a| [a]),
        })
    })
}

fn parts(post: &Post, layout: Layout<'_>, write: impl Fn(&Sheet<'_>) -> Part) -> Vec<Part> {
    let dress = layout.dress;
    let name = post.as_name.as_deref().or(layout.default_name);
    let name = name.map(|name| dress.line(name));
    let (head, body) = head_and_body(post, &dress);
    let mut rest = &*body;
    let head = head.map(|mut head| {
        let name_cost = name
            .as_deref()
            .map_or(0, |name| OVERRIDE_COST + Unit::GoJson.of(name));
        let taken = name_cost + head.cost() + dress.start_cost();
        let (text, after) = first(rest, layout.max_props_cost.saturating_sub(taken), &dress);
        rest = after;
        head.text = dress.text(text);
        (Cow::Borrowed(""), Some(head))
    });
    let messages = messages(rest, &dress).into_iter();
    head.into_iter()
        .chain(messages.map(|text| (dress.text(text), None)))
        .enumerate()
        .map(|(index, (message, attachment))| {
            write(&Sheet {
                index,
                message,
                attachment,
                name: name.as_deref(),
            })
        })
        .collect()
}

/// The attachment without its text, where something asks for one, and the text. A link too dear for the
/// attachment becomes the text's first line.
fn head_and_body<'p>(post: &'p Post, dress: &Dress<'_>) -> (Option<Attachment<'p>>, Cow<'p, str>) {
    let message = post.message.as_str();
    match &post.link {
        Some(link) if Unit::GoJson.of(link.as_str()) > MAX_LINK_COST => {
            let body = format!("{}\n{message}", link.as_str());
            (heading(post, None, dress), Cow::Owned(body))
        }
        link => (heading(post, link.as_ref(), dress), Cow::Borrowed(message)),
    }
}

fn heading<'p>(
    post: &'p Post,
    link: Option<&'p WebUrl>,
    dress: &Dress<'_>,
) -> Option<Attachment<'p>> {
    if post.title.is_none() && link.is_none() && post.level.is_none() {
        return None;
    }
    // A link shows only under a title (reference 4 "Attachments").
    let shown_link = link.map(|link| match link.as_str().chars().count() {
        0..=MAX_SHOWN_LINK_CHARS => link.as_str(),
        _ => link.host(),
    });
    let title = post.title.as_deref().or(shown_link);
    Some(Attachment {
        fallback: fallback(post, dress),
        color: post.level.map(color),
        title: title.map(|title| dress.line(title)),
        title_link: link.map(|link| link.as_str()),
        text: Cow::Borrowed(""),
    })
}

/// What push notifications show; the only place where a level is an emoji, because a colour does not get there.
fn fallback<'p>(post: &'p Post, dress: &Dress<'_>) -> Cow<'p, str> {
    let shown = post.title.as_deref().unwrap_or(post.message.as_str());
    let cost = |grapheme: &str| dress.cost(Unit::GoJson, grapheme);
    let (start, _) = split_first(shown, MAX_FALLBACK_COST, cost);
    let start = dress.line(start);
    match post.level {
        Some(level) => Cow::Owned(format!("{} {start}", emoji(level))),
        None => start,
    }
}

fn color(level: Level) -> &'static str {
    match level {
        Level::Info => "#2389d7",
        Level::Success => "good",
        Level::Warning => "warning",
        Level::Error => "danger",
    }
}

/// The text of the attachment, and what is left for plain messages.
fn first<'t>(text: &'t str, room: usize, dress: &Dress<'_>) -> (&'t str, &'t str) {
    if fits(text, room) {
        return (text, "");
    }
    split_first(text, room, |grapheme| dress.cost(Unit::GoJson, grapheme))
}

fn messages<'t>(text: &'t str, dress: &Dress<'_>) -> Vec<&'t str> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    let room = MAX_MESSAGE_CHARS - dress.start_cost();
    if fits(text, room) {
        return vec![text];
    }
    split(text, room, |grapheme| dress.cost(Unit::Chars, grapheme))
}

/// Whether even the dearest text of this length fits; short ones need no walk along their characters.
fn fits(text: &str, room: usize) -> bool {
    text.len() <= room / Dress::MAX_COST_OF_BYTE
}

impl Attachment<'_> {
    fn cost(&self) -> usize {
        [
            Some(&*self.fallback),
            self.color,
            self.title.as_deref(),
            self.title_link,
        ]
        .into_iter()
        .flatten()
        .map(|value| Unit::GoJson.of(value))
        .sum()
    }
}

impl Props<'_> {
    fn is_empty(&self) -> bool {
        self.override_username.is_none() && self.attachments.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// serde_json's own values are written in the order of the alphabet, which is ours.
        #[test]
        fn a_new_post_is_written_as_serde_json_does(
            channel in "[a-z0-9]{26}|.{0,40}",
            message in any::<String>(),
            name in proptest::option::of(".{0,20}"),
            index in 0usize..200,
        ) {
            let id = DeliveryId::generate();
            let props = Props {
                override_username: name.as_deref(),
                from_webhook: None,
                attachments: None,
            };
            let mut value = serde_json::json!({
                "channel_id": channel,
                "message": message,
                "pending_post_id": format!("{id}:{channel}:{index}"),
            });
            if let Some(name) = &name {
                value["props"] = serde_json::json!({"override_username": name});
            }

            let part = new_post(&channel, &message, &pending_id(id, &channel, index), &props);

            prop_assert_eq!(part, Part::json(&value));
        }
    }
}
