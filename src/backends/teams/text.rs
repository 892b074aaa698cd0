//! A caller's text in the two ways Teams takes it: Markdown, and the runs of a card. PURE.
//!
//! In Markdown, live tokens are: HTML tags, of which `<at>` is a mention; entities, which hide tags; links,
//! because their label can lie; and braces, which clients take for attributes and hide. All are written so
//! that they show as typed. A mention also needs an entry in `entities`, which this backend never sends:
//! so nothing is live here, and `ALLOW_MENTIONS` changes nothing on Teams (its users are opaque ids, and
//! bots cannot mention a channel or team: reference/teams.md 2.5).
//!
//! Bold, italic, struck, code and lists stay live. Links, quotes, headings and rules show as typed: the first
//! can lie, and Teams shows the others on some clients only, or drops them.
//!
//! Backslash escapes differ between clients (reference/teams.md 3.4), so HTML entities are used: the text
//! becomes HTML on every client. Entities are not decoded inside code, where a zero-width space parts a
//! token instead. What is code is a guess about the reader's Markdown; both forms are safe if it is wrong.

use std::borrow::Cow;

use super::markup::{self, Line, Piece};

/// Parts a token where an entity would show: invisible, and no token goes on behind it.
pub(super) const PART: char = '\u{200B}';
/// Keeps an indentation, which HTML would drop and Markdown take for code.
pub(super) const HARD_SPACE: char = '\u{A0}';
/// A tab is as wide as this many spaces.
const TAB_COLUMNS: usize = 4;
/// What parts one line from the next in Markdown.
const PARAGRAPH: &str = "\n\n";

/// What a limit is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// UTF-16 code units.
    Utf16,
    /// Bytes of UTF-8.
    Bytes,
}

impl Unit {
    /// The size of a text.
    pub(super) fn of(self, text: &str) -> usize {
        match self {
            Self::Utf16 => text.encode_utf16().count(),
            Self::Bytes => text.len(),
        }
    }

    fn of_char(self, c: char) -> usize {
        match self {
            Self::Utf16 => c.len_utf16(),
            Self::Bytes => c.len_utf8(),
        }
    }
}

/// The text as Markdown whose light formatting is live and all else shows as typed.
///
/// One line end would join two lines, so it becomes two, except between fences.
pub(super) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut before: Option<Line<'_>> = None;
    for line in markup::lines(text) {
        match (before, line) {
            (None, _) => {}
            (Some(Line::Code(_)), _) | (_, Line::Code(_)) => out.push('\n'),
            _ => out.push_str(PARAGRAPH),
        }
        match line {
            Line::Text(text) => push_line(&mut out, text),
            Line::Code(text) | Line::Fence(text) => push_parted(&mut out, text),
        }
        before = Some(line);
    }
    out
}

/// What a character of a Markdown text takes at most, as JSON.
pub(super) fn markdown_cost(grapheme: &str) -> usize {
    grapheme
        .chars()
        .map(|c| match c {
            // Two line ends, and an entity at the start of the line that follows.
            '\n' => 4 + BLOCK_START_COST,
            '\t' => TAB_COLUMNS,
            '"' => 2,
            c => entity(c).map_or(c.len_utf16(), str::len),
        })
        .sum()
}

/// What the start of the first line may take beyond its characters.
pub(super) const BLOCK_START_COST: usize = "&#35;".len();

/// What a character takes as JSON when nothing is done to it.
pub(super) fn plain_cost(grapheme: &str) -> usize {
    grapheme
        .chars()
        .map(|c| match c {
            '\n' | '\t' | '"' | '\\' => 2,
            c => c.len_utf16(),
        })
        .sum()
}

/// What a character of a card's text takes at most, as JSON, where a line end takes `line`.
pub(super) fn card_cost(grapheme: &str, unit: Unit, line: usize) -> usize {
    grapheme
        .chars()
        .map(|c| match c {
            '\n' => line,
            '\t' => TAB_COLUMNS * unit.of_char(HARD_SPACE),
            ' ' => unit.of_char(HARD_SPACE),
            '{' => 1 + unit.of_char(PART),
            '"' | '\\' => 2,
            c => unit.of_char(c),
        })
        .sum()
}

/// One line for a card: its indentation is kept, and an empty line keeps its height.
pub(super) fn line_of_card(line: &str) -> Cow<'_, str> {
    if line.is_empty() {
        return Cow::Owned(HARD_SPACE.to_string());
    }
    match indentation(line) {
        (0, _) => run_of_card(line),
        (columns, rest) => {
            let indent = std::iter::repeat_n(HARD_SPACE, columns);
            Cow::Owned(indent.chain(run_of_card(rest).chars()).collect())
        }
    }
}

/// Text within a line of a card. Runs know no Markdown, but `{{DATE(…)}}` is replaced by a date in all
/// text of cards; it is parted so that it shows as typed.
pub(super) fn run_of_card(text: &str) -> Cow<'_, str> {
    if !text.contains("{{") {
        return Cow::Borrowed(text);
    }
    // Twice: in "{{{" the second pair is none until the first is parted.
    let once = text.replace("{{", "{\u{200B}{");
    Cow::Owned(once.replace("{{", "{\u{200B}{"))
}

/// Parts every token without entities: for code, and for the notification, which is shown as it is.
pub(super) fn parted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_parted(&mut out, text);
    out
}

fn push_parted(out: &mut String, text: &str) {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        let live = chars.peek().is_some_and(|&next| match c {
            '<' => next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?'),
            '&' => next.is_ascii_alphanumeric() || next == '#',
            ']' => matches!(next, '(' | '[' | ':'),
            _ => false,
        });
        if live {
            out.push(PART);
        }
    }
}

fn push_line(out: &mut String, line: &str) {
    let (columns, rest) = indentation(line);
    if columns >= TAB_COLUMNS {
        // Markdown would take the line for code, in which entities show.
        out.extend(std::iter::repeat_n(HARD_SPACE, columns));
    } else {
        out.extend(std::iter::repeat_n(' ', columns));
    }
    let rest = match rest.strip_prefix('#') {
        Some(after) => {
            out.push_str("&#35;");
            after
        }
        None => push_rule_start(out, rest),
    };
    for piece in markup::pieces(rest) {
        match piece {
            Piece::Text(text) => push_escaped(out, text),
            Piece::Code { ticks, text } => {
                out.push_str(ticks);
                push_parted(out, text);
                out.push_str(ticks);
            }
        }
    }
}

/// A line of dashes would become a rule, which Teams drops: its first sign is written as an entity.
fn push_rule_start<'a>(out: &mut String, line: &'a str) -> &'a str {
    for (sign, entity) in [('-', "&#45;"), ('*', "&#42;"), ('_', "&#95;")] {
        let only = line.chars().all(|c| c == sign || c == ' ');
        if let Some(after) = line.strip_prefix(sign).filter(|_| only) {
            out.push_str(entity);
            return after;
        }
    }
    line
}

fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match entity(c) {
            Some(entity) => out.push_str(entity),
            None => out.push(c),
        }
    }
}

/// The entity of a character that could be part of a token. The backslash is one because it would take
/// away the meaning of the entity behind it, and vanish.
fn entity(c: char) -> Option<&'static str> {
    Some(match c {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '[' => "&#91;",
        ']' => "&#93;",
        '\\' => "&#92;",
        '{' => "&#123;",
        '}' => "&#125;",
        _ => return None,
    })
}

/// The columns of white space that a line begins with, and the rest.
fn indentation(line: &str) -> (usize, &str) {
    let rest = line.trim_start_matches([' ', '\t']);
    let columns = line
        .get(..line.len() - rest.len())
        .unwrap_or_default()
        .bytes()
        .map(|b| if b == b'\t' { TAB_COLUMNS } else { 1 })
        .sum();
    (columns, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_formatting_stays_and_the_rest_shows_as_typed() {
        for (text, want) in [
            ("*bold* _it_ ~~no~~ `x`", "*bold* _it_ ~~no~~ `x`"),
            ("<at>Al</at> & co", "&lt;at&gt;Al&lt;/at&gt; &amp; co"),
            ("[good](https://evil)", "&#91;good&#93;(https://evil)"),
            ("C:\\[x] {y}", "C:&#92;&#91;x&#93; &#123;y&#125;"),
            (
                "`a<b> &lt; [x](y)`",
                "`a<\u{200B}b> &\u{200B}lt; [x]\u{200B}(y)`",
            ),
            ("a\nb\n\nc", "a\n\nb\n\n\n\nc"),
            (
                "a\n```\n<b>\n c\n```\nd",
                "a\n\n```\n<\u{200B}b>\n c\n```\n\nd",
            ),
            ("    at f(<x>)", "\u{A0}\u{A0}\u{A0}\u{A0}at f(&lt;x&gt;)"),
            ("\tx", "\u{A0}\u{A0}\u{A0}\u{A0}x"),
            ("# no heading", "&#35; no heading"),
            ("---", "&#45;--"),
            ("- - -", "&#45; - -"),
            ("- item", "- item"),
        ] {
            assert_eq!(markdown(text), want, "{text}");
        }
    }

    #[test]
    fn lines_of_cards() {
        for (text, want) in [
            ("<at>x</at> **b** [a](b)", "<at>x</at> **b** [a](b)"),
            ("", "\u{A0}"),
            ("  x", "\u{A0}\u{A0}x"),
            (
                "{{DATE(2026-01-01T00:00:00Z)}}",
                "{\u{200B}{DATE(2026-01-01T00:00:00Z)}}",
            ),
            ("{{{{TIME(x)}}", "{\u{200B}{\u{200B}{\u{200B}{TIME(x)}}"),
        ] {
            assert_eq!(line_of_card(text), want, "{text}");
        }
    }
}
