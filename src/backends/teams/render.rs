//! From a post to the exact JSON of its parts. PURE.
//!
//! A bot's plain message is `text`; with a title, link, level or name it is one card. Never both: the
//! service would make two messages of them and name neither (reference/teams.md 2.4). A webhook's message
//! is always a card, which is all that the standard flow understands.

use std::borrow::Cow;

use serde::Serialize;

use super::card::{Card, Look, Place};
use super::text::{self, Unit};
use crate::backends::Part;
use crate::domain::delivery::Post;
use crate::domain::options::Format;
use crate::domain::split::split;

/// The most a part of a bot may hold, in UTF-16 code units of its JSON: 40 KB at two bytes each, the lower
/// of the published figures (reference/teams.md 2.6, checked 2026-11-21).
pub(super) const BOT_UNITS: usize = 40 * 1024 / 2;
/// The most a webhook's request may hold, in bytes: 28 KB after an expansion by about a fifth that the
/// caller does not see (reference/teams.md 3.2, checked 2026-11-21).
pub(super) const WEBHOOK_BYTES: usize = 20 * 1024;
/// What one more line takes in a card: its block, and a hard space if it is empty.
pub(super) const CARD_LINE_COST: usize = 96;
/// The longest text of a notification.
const SUMMARY_CHARS: usize = 120;

/// What stands around a message.
#[derive(Debug, Clone, Copy)]
pub(super) enum Envelope<'a> {
    /// A new thread in a channel.
    Thread {
        /// The bot's tenant; a bot of several has none of its own.
        tenant: Option<&'a str>,
        /// The channel's id.
        channel: &'a str,
    },
    /// A message into a conversation that its URL names.
    Reply,
    /// A message through a flow.
    Webhook,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewThread<'a> {
    is_group: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<&'a str>,
    channel_data: ChannelData<'a>,
    activity: Activity<'a>,
}

#[derive(Serialize)]
struct ChannelData<'a> {
    channel: Id<'a>,
}

#[derive(Serialize)]
struct Id<'a> {
    id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Activity<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text_format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachments: Option<[Attachment<'a>; 1]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attachment<'a> {
    content_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_url: Option<Null>,
    content: Card<'a>,
}

/// What the flow's documented request says of an attachment that is its own content.
#[derive(Serialize)]
struct Null;

/// The parts of a post, each within the limit of its envelope.
pub(super) fn parts(post: &Post, envelope: Envelope<'_>) -> Vec<Part> {
    let sheet = Sheet { post, envelope };
    let look = match post.format {
        Format::Markup => Look::Styled,
        Format::Plain => Look::Literal,
    };
    let whole = sheet.write(post.message.as_str(), Place::First, look);
    if sheet.fits(&whole) {
        return vec![whole];
    }
    let chunks = sheet.chunks();
    let last = chunks.len().saturating_sub(1);
    let part = |(i, chunk): (usize, &&str)| {
        let place = if i == 0 {
            Place::First
        } else {
            Place::Continued
        };
        // The line end at a cut is the cut itself.
        let text = chunk
            .strip_suffix('\n')
            .filter(|_| i < last)
            .unwrap_or(chunk);
        let styled = sheet.write(text, place, look);
        if sheet.fits(&styled) {
            return styled;
        }
        // Runs cost space of their own, so a part full of formatting may fit only without it.
        sheet.write(text, place, Look::Literal)
    };
    chunks.iter().enumerate().map(part).collect()
}

struct Sheet<'a> {
    post: &'a Post,
    envelope: Envelope<'a>,
}

impl<'a> Sheet<'a> {
    fn is_card(&self) -> bool {
        let post = self.post;
        matches!(self.envelope, Envelope::Webhook)
            || post.title.is_some()
            || post.link.is_some()
            || post.level.is_some()
            || post.as_name.is_some()
    }

    fn limit(&self) -> (usize, Unit) {
        match self.envelope {
            Envelope::Webhook => (WEBHOOK_BYTES, Unit::Bytes),
            Envelope::Thread { .. } | Envelope::Reply => (BOT_UNITS, Unit::Utf16),
        }
    }

    fn size(&self, part: &Part) -> usize {
        let (_, unit) = self.limit();
        std::str::from_utf8(&part.body).map_or(usize::MAX, |json| unit.of(json))
    }

    fn fits(&self, part: &Part) -> bool {
        let (limit, _) = self.limit();
        // Bytes are never fewer than UTF-16 units: most parts need no second count.
        part.body.len() <= limit || self.size(part) <= limit
    }

    /// Cuts the message so that each piece, literal, fits beside the heading.
    fn chunks(&self) -> Vec<&'a str> {
        let (limit, unit) = self.limit();
        let frame = self.size(&self.write("", Place::First, Look::Literal));
        let room = limit.saturating_sub(frame);
        let text = self.post.message.as_str();
        match (self.is_card(), self.post.format) {
            (true, _) => split(text, room, |g| text::card_cost(g, unit, CARD_LINE_COST)),
            (false, Format::Plain) => split(text, room, text::plain_cost),
            (false, Format::Markup) => {
                let room = room.saturating_sub(text::BLOCK_START_COST);
                split(text, room, text::markdown_cost)
            }
        }
    }

    fn write(&self, text: &str, place: Place, look: Look) -> Part {
        let activity = if self.is_card() {
            self.card(text, place, look)
        } else {
            self.text(text)
        };
        match self.envelope {
            Envelope::Thread { tenant, channel } => Part::json(&NewThread {
                is_group: true,
                tenant_id: tenant,
                channel_data: ChannelData {
                    channel: Id { id: channel },
                },
                activity,
            }),
            Envelope::Reply | Envelope::Webhook => Part::json(&activity),
        }
    }

    fn text<'t>(&self, text: &'t str) -> Activity<'t> {
        let (format, text) = match self.post.format {
            Format::Plain => ("plain", Cow::Borrowed(text)),
            Format::Markup => ("markdown", Cow::Owned(text::markdown(text))),
        };
        Activity {
            kind: "message",
            text_format: Some(format),
            text: Some(text),
            summary: None,
            attachments: None,
        }
    }

    fn card<'t>(&self, text: &'t str, place: Place, look: Look) -> Activity<'t>
    where
        'a: 't,
    {
        let is_webhook = matches!(self.envelope, Envelope::Webhook);
        Activity {
            kind: "message",
            text_format: None,
            text: None,
            // The flow ignores it; a bot's notification would otherwise say "sent a card".
            summary: (!is_webhook).then(|| summary(self.post)),
            attachments: Some([Attachment {
                content_type: "application/vnd.microsoft.card.adaptive",
                content_url: is_webhook.then_some(Null),
                content: Card::new(self.post, text, place, look),
            }]),
        }
    }
}

/// The line a notification shows: the title, else the first line of the message.
fn summary(post: &Post) -> String {
    let mut lines = post.message.as_str().lines();
    let first = lines.find(|line| !line.trim().is_empty());
    let line = post.title.as_deref().or(first).unwrap_or_default();
    let mut cut: String = line.chars().take(SUMMARY_CHARS).collect();
    if cut.len() < line.len() {
        cut.push('…');
    }
    text::parted(&cut)
}
