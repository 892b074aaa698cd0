//! From a post to Slack's JSON. Pure: no credential, no look-up, no decision about retries.
//!
//! | post | form |
//! |---|---|
//! | text alone | top-level `text` |
//! | text alone, `format=plain` | `text` with `mrkdwn: false`; if it may hold emoji codes, a `plain_text` block shows it and `text` is the notification |
//! | title, link or level | one attachment: colour, title, text; its `fallback` is the notification and is not shown beside it |
//! | the same, `format=plain` | one attachment for the title, one with a `plain_text` block, in one colour |

use std::borrow::Cow;

use serde::Serialize;
use unicode_segmentation::UnicodeSegmentation as _;

use super::text::{Field, MAX_COST, cost, may_hold_emoji_code, neutralise};
use crate::backends::Part;
use crate::backends::console::emoji;
use crate::domain::delivery::Post;
use crate::domain::mention::Mentions;
use crate::domain::options::{Format, Level};
use crate::domain::split::split;
use crate::domain::web_url::WebUrl;

/// The most characters of one `text`, after escaping \[PM\]\[TRUNC\], checked 2026. The unit is not documented;
/// characters are what others count \[AM\], and Slack cuts nothing below 40,000.
pub(super) const MAX_TEXT_CHARS: usize = 4000;

/// The most characters of a text object, after escaping \[TXT\], checked 2026.
pub(super) const MAX_OBJECT_CHARS: usize = 3000;

/// How much of the message a notification shows, and of a link that is its own title; our own choice.
const MAX_EXCERPT_CHARS: usize = 150;

/// Room for a level's emoji and a space before the text.
const EMOJI_CHARS: usize = 4;

/// Who a rendered post is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Envelope<'a> {
    /// The channel's id; an incoming webhook has its own.
    pub(super) channel: Option<&'a str>,
    /// Whether Slack heeds a name for the sender: incoming webhooks of apps ignore it \[WH\].
    pub(super) takes_name: bool,
    /// The mentions that stay live in the message.
    pub(super) mentions: &'a Mentions,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mrkdwn: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<[Section<'a>; 1]>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    attachments: &'a [Attachment<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    // A preview fetches what a stranger linked, and shows its text in our name.
    unfurl_links: bool,
    unfurl_media: bool,
}

#[derive(Serialize, Default)]
struct Attachment<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    color: Option<&'static str>,
    fallback: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title_link: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    mrkdwn_in: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<[Section<'a>; 1]>,
}

#[derive(Serialize)]
struct Section<'a> {
    r#type: &'static str,
    text: PlainText<'a>,
}

#[derive(Serialize)]
struct PlainText<'a> {
    r#type: &'static str,
    text: &'a str,
    emoji: bool,
}

/// What stands above the message.
struct Heading<'p> {
    color: Option<&'static str>,
    emoji: Option<&'static str>,
    title: Option<String>,
    link: Option<Cow<'p, str>>,
}

/// The parts of a post, in order, each within Slack's limits.
#[must_use]
pub(super) fn render(post: &Post, to: &Envelope<'_>) -> Vec<Part> {
    let name = post.as_name.as_deref().filter(|_| to.takes_name).map(inert);
    let writer = Writer {
        to,
        name: name.as_deref(),
        plain: post.format == Format::Plain,
    };
    match Heading::of(post) {
        Some(heading) => writer.with_heading(post.message.as_str(), &heading),
        None if writer.plain => writer.plain_text(post.message.as_str()),
        None => writer.text(post.message.as_str()),
    }
}

struct Writer<'a> {
    to: &'a Envelope<'a>,
    name: Option<&'a str>,
    plain: bool,
}

impl Writer<'_> {
    fn text(&self, message: &str) -> Vec<Part> {
        let mentions = self.to.mentions;
        pieces(message, MAX_TEXT_CHARS, Field::Top, mentions)
            .map(|piece| {
                let text = neutralise(piece, Field::Top, mentions);
                self.part(Some(&text), None, &[])
            })
            .collect()
    }

    /// Every character as typed. In a block no mention is live, so there the notification has none either.
    fn plain_text(&self, message: &str) -> Vec<Part> {
        if !may_hold_emoji_code(message) {
            return self.text(message);
        }
        let none = &Mentions::None;
        pieces(message, MAX_OBJECT_CHARS, Field::Nested, none)
            .map(|piece| {
                let text = neutralise(piece, Field::Top, none);
                let shown = neutralise(piece, Field::Nested, none);
                self.part(Some(&text), Some(section(&shown)), &[])
            })
            .collect()
    }

    /// The colour is on every part, the title and the emoji on the first.
    fn with_heading(&self, message: &str, heading: &Heading<'_>) -> Vec<Part> {
        let (max, mentions) = match self.plain {
            true => (MAX_OBJECT_CHARS, &Mentions::None),
            false => (MAX_TEXT_CHARS, self.to.mentions),
        };
        let mut first = Some(heading);
        pieces(message, max - EMOJI_CHARS, Field::Nested, mentions)
            .map(|piece| {
                let text = neutralise(piece, Field::Nested, mentions);
                self.attached(piece, &text, heading.color, first.take())
            })
            .collect()
    }

    fn attached(
        &self,
        piece: &str,
        text: &str,
        color: Option<&'static str>,
        heading: Option<&Heading<'_>>,
    ) -> Part {
        let title = heading.and_then(Heading::full_title);
        let emoji = heading.filter(|_| title.is_none()).and_then(|h| h.emoji);
        let text = prefixed(emoji, text);
        let fallback = fallback(title.as_deref().or(emoji), piece);
        let heading = Attachment {
            color,
            fallback: &fallback,
            title_link: heading.and_then(|h| h.link.as_deref()),
            title: title.as_deref(),
            ..Attachment::default()
        };
        if !self.plain {
            let one = Attachment {
                text: Some(&text),
                mrkdwn_in: &["text"],
                ..heading
            };
            return self.part(None, None, &[one]);
        }
        // Old fields beside `blocks` in one attachment are not shown, so the title has one of its own.
        let body = Attachment {
            color,
            fallback: &fallback,
            blocks: Some([section(&text)]),
            ..Attachment::default()
        };
        match heading.title {
            Some(_) => self.part(None, None, &[heading, body]),
            None => self.part(None, None, &[body]),
        }
    }

    fn part(
        &self,
        text: Option<&str>,
        block: Option<Section<'_>>,
        attachments: &[Attachment<'_>],
    ) -> Part {
        Part::json(&Body {
            channel: self.to.channel,
            text,
            mrkdwn: (self.plain && text.is_some()).then_some(false),
            blocks: block.map(|block| [block]),
            attachments,
            username: self.name,
            unfurl_links: false,
            unfurl_media: false,
        })
    }
}

impl<'p> Heading<'p> {
    fn of(post: &'p Post) -> Option<Self> {
        if post.title.is_none() && post.link.is_none() && post.level.is_none() {
            return None;
        }
        // A link without a title is its own title: nothing else may stand for a target.
        let title = post
            .title
            .as_deref()
            .or(post.link.as_ref().map(|link| excerpt(link.as_str())));
        Some(Self {
            color: post.level.map(color),
            emoji: post.level.map(emoji),
            title: title.map(inert),
            link: post.link.as_ref().map(link_field),
        })
    }

    fn full_title(&self) -> Option<Cow<'_, str>> {
        self.title
            .as_deref()
            .map(|title| prefixed(self.emoji, title))
    }
}

/// The message cut into what fits; most messages are short enough not to be counted.
fn pieces<'m>(
    message: &'m str,
    max: usize,
    field: Field,
    mentions: &Mentions,
) -> impl Iterator<Item = &'m str> {
    let parts = match message.len() * MAX_COST <= max {
        true => vec![message],
        false => split(message, max, |grapheme| cost(grapheme, field, mentions)),
    };
    parts.into_iter()
}

/// The notification of an attachment: it is shown instead of the attachment, never beside it.
fn fallback(title: Option<&str>, piece: &str) -> String {
    let excerpt = inert(excerpt(piece.trim_start()));
    match title {
        Some(title) => format!("{title} {excerpt}"),
        None => excerpt,
    }
}

/// The start of a text, whole characters as readers see them.
fn excerpt(text: &str) -> &str {
    let mut chars = 0;
    let end = text.grapheme_indices(true).find_map(|(at, grapheme)| {
        chars += grapheme.chars().count();
        (chars > MAX_EXCERPT_CHARS).then_some(at)
    });
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

fn section(text: &str) -> Section<'_> {
    Section {
        r#type: "section",
        text: PlainText {
            r#type: "plain_text",
            text,
            emoji: false,
        },
    }
}

fn inert(text: &str) -> String {
    neutralise(text, Field::Nested, &Mentions::None)
}

fn prefixed<'t>(emoji: Option<&str>, text: &'t str) -> Cow<'t, str> {
    match emoji {
        Some(emoji) => Cow::Owned(format!("{emoji} {text}")),
        None => Cow::Borrowed(text),
    }
}

/// The URL without the characters that end a link in Slack's own syntax; escaped, they mean the same.
fn link_field(link: &WebUrl) -> Cow<'_, str> {
    let url = link.as_str();
    if !url.contains(['<', '>', '|', '"']) {
        return Cow::Borrowed(url);
    }
    let url = url.replace('<', "%3C").replace('>', "%3E");
    Cow::Owned(url.replace('|', "%7C").replace('"', "%22"))
}

/// Slack's own three colours, and the blue of its documents for news.
fn color(level: Level) -> &'static str {
    match level {
        Level::Info => "#439FE0",
        Level::Success => "good",
        Level::Warning => "warning",
        Level::Error => "danger",
    }
}
