//! The Adaptive Card of a post. PURE.
//!
//! A caller's text goes into `TextRun`s only, whose text is never Markdown (reference/teams.md 3.4), so it
//! shows as typed without any escape; light formatting is live all the same, because it is read here and
//! written as the run's weight and font. Nothing but what stands in this file can be in a card.

use std::borrow::Cow;

use serde::Serialize;

use super::markup::{self, Line, Piece, Style};
use super::text::{line_of_card, run_of_card};
use crate::backends::console::emoji;
use crate::domain::delivery::Post;
use crate::domain::options::Level;
use crate::domain::web_url::WebUrl;

/// Rich text, `bleed` and the colours of containers: reference/teams.md 3.3, checked 2026-11-21.
const VERSION: &str = "1.2";
const SCHEMA: &str = "http://adaptivecards.io/schemas/adaptive-card.json";

/// Which of a post's parts a card is: the heading and the button stand on the first alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The first part.
    First,
    /// A later one.
    Continued,
}

/// Whether light formatting is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// `*italic*` is.
    Styled,
    /// Every character shows as typed.
    Literal,
}

#[derive(Serialize)]
pub(super) struct Card<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    version: &'static str,
    msteams: Width,
    body: [Container<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    actions: Option<[OpenUrl<'a>; 1]>,
}

#[derive(Serialize)]
struct Width {
    width: &'static str,
}

#[derive(Serialize)]
struct Container<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    style: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bleed: Option<bool>,
    items: Vec<Block<'a>>,
}

/// One line: runs know no line ends.
#[derive(Serialize)]
struct Block<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    spacing: Option<&'static str>,
    inlines: Vec<Run<'a>>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    #[serde(rename = "type")]
    kind: RunType,
    text: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    color: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    font_type: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    italic: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    strikethrough: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_subtle: bool,
}

#[derive(Serialize, Default)]
enum RunType {
    #[default]
    TextRun,
}

#[derive(Serialize)]
struct OpenUrl<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: String,
    url: Cow<'a, str>,
}

impl<'a> Card<'a> {
    /// The card of one part, whose text is `text`.
    pub(super) fn new(post: &'a Post, text: &'a str, place: Place, look: Look) -> Self {
        let first = place == Place::First;
        let mut items = if first { heading(post) } else { Vec::new() };
        let start = items.len();
        push_lines(&mut items, text, look);
        if items.len() == start {
            // Nothing but fences, which do not show: then they do.
            push_lines(&mut items, text, Look::Literal);
        }
        if let (true, None, Some(level)) = (first, &post.title, post.level) {
            mark(&mut items, start, level);
        }
        Self {
            schema: SCHEMA,
            kind: "AdaptiveCard",
            version: VERSION,
            msteams: Width { width: "Full" },
            body: [Container {
                kind: "Container",
                style: post.level.map(colour),
                bleed: post.level.map(|_| true),
                items,
            }],
            actions: post
                .link
                .as_ref()
                .filter(|_| first)
                .map(|link| [open(link)]),
        }
    }
}

/// The title, and below it who posts: Teams shows the bot's own name above every post, so `as` is a line.
fn heading(post: &Post) -> Vec<Block<'_>> {
    let title = post.title.as_deref().map(|title| Run {
        text: match post.level {
            Some(level) => format!("{} {}", emoji(level), line_of_card(title)).into(),
            None => line_of_card(title),
        },
        weight: Some("Bolder"),
        size: Some("Medium"),
        color: post.level.map(colour),
        ..Run::default()
    });
    let name = post.as_name.as_deref().map(|name| Run {
        text: line_of_card(name),
        size: Some("Small"),
        is_subtle: true,
        ..Run::default()
    });
    let runs = title.into_iter().chain(name);
    runs.map(|run| Block::of(vec![run], None)).collect()
}

fn push_lines<'a>(items: &mut Vec<Block<'a>>, text: &'a str, look: Look) {
    let start = items.len();
    for line in markup::lines(text) {
        items.extend(block(line, look, items.len() > start));
    }
}

/// Puts a level's emoji before the first line, where there is no title to carry it.
fn mark(items: &mut [Block<'_>], line: usize, level: Level) {
    if let Some(block) = items.get_mut(line) {
        let text = format!("{} ", emoji(level)).into();
        block.inlines.insert(
            0,
            Run {
                text,
                ..Run::default()
            },
        );
    }
}

/// The button says where it leads, so that it cannot lie.
fn open(link: &WebUrl) -> OpenUrl<'_> {
    OpenUrl {
        kind: "Action.OpenUrl",
        title: format!("Open {}", link.host()),
        url: button_url(link.as_str()),
    }
}

/// Brackets end a URL too early on some clients, and braces keep it from opening.
fn button_url(url: &str) -> Cow<'_, str> {
    const ESCAPES: [(char, &str); 4] = [('(', "%28"), (')', "%29"), ('{', "%7B"), ('}', "%7D")];
    ESCAPES
        .iter()
        .fold(Cow::Borrowed(url), |url, (sign, escape)| {
            if url.contains(*sign) {
                Cow::Owned(url.replace(*sign, escape))
            } else {
                url
            }
        })
}

/// Whether a fence is nothing but one: beside it stands at most the name of a language.
fn is_bare_fence(line: &str) -> bool {
    let beside = line.trim().trim_start_matches('`');
    beside
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '+' | '-' | '_' | '#'))
}

/// One line as a block; `below` keeps it close to the line above. Fences do not show where they are live.
fn block(line: Line<'_>, look: Look, below: bool) -> Option<Block<'_>> {
    let spacing = below.then_some("None");
    let inlines = match (look, line) {
        (Look::Literal, Line::Text(text) | Line::Code(text) | Line::Fence(text)) => {
            vec![Run::of(line_of_card(text))]
        }
        (Look::Styled, Line::Fence(text)) if is_bare_fence(text) => return None,
        (Look::Styled, Line::Fence(text)) => vec![Run::of(line_of_card(text))],
        (Look::Styled, Line::Code(text)) => vec![Run::code(line_of_card(text))],
        (Look::Styled, Line::Text(text)) => styled(text),
    };
    Some(Block::of(inlines, spacing))
}

fn styled(line: &str) -> Vec<Run<'_>> {
    let mut runs = Vec::new();
    for piece in markup::pieces(line) {
        match piece {
            Piece::Code { text, .. } => runs.push(Run::code(run_of_card(text))),
            Piece::Text(text) => {
                let spans = markup::spans(text).into_iter();
                runs.extend(spans.map(|(style, text)| Run::styled(style, text)));
            }
        }
    }
    match runs.first_mut() {
        // The line begins with text or its indentation, unless it begins with formatting.
        Some(run) if line.starts_with([' ', '\t']) => {
            run.text = line_of_card(&run.text).into_owned().into();
        }
        Some(_) => {}
        None => runs.push(Run::of(line_of_card(line))),
    }
    runs
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::Info => "accent",
        Level::Success => "good",
        Level::Warning => "warning",
        Level::Error => "attention",
    }
}

impl<'a> Block<'a> {
    fn of(inlines: Vec<Run<'a>>, spacing: Option<&'static str>) -> Self {
        Self {
            kind: "RichTextBlock",
            spacing,
            inlines,
        }
    }
}

impl<'a> Run<'a> {
    fn of(text: Cow<'a, str>) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }

    fn styled(style: Style, text: &'a str) -> Self {
        Self {
            weight: (style == Style::Bold).then_some("Bolder"),
            italic: style == Style::Italic,
            strikethrough: style == Style::Struck,
            ..Self::of(run_of_card(text))
        }
    }

    fn code(text: Cow<'a, str>) -> Self {
        Self {
            font_type: Some("Monospace"),
            ..Self::of(text)
        }
    }
}
