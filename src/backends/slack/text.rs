//! What Slack would read as a command, made to show as typed. Pure.
//!
//! Slack's control characters are `&`, `<` and `>`; escaped, no mention, disguised link or date in `<…>`
//! is live (reference/slack.md, section 2 \[FMT\], checked 2026). Where Slack may link bare names by itself,
//! the sign is broken off with a character of no width. It must not cut, limit or lay out anything.

use crate::domain::mention::Mentions;

/// Where a text goes, which rules what Slack may read into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// The message's top-level `text`: bare `@here` and `#name` are inert there without `link_names` \[FMT\].
    Top,
    /// Anything else, where it is not documented that bare names are inert: those are broken as well.
    Nested,
}

/// Stands between a sign and its name so that nothing links them; it has no width.
pub(super) const BREAK: char = '\u{200B}';

/// The names that stand for many people at once.
const BROADCASTS: [&str; 3] = ["here", "channel", "everyone"];

/// What is broken after an `@` wherever it stands; `group` is an old word for `channel`.
const ALWAYS_BROKEN: [&str; 4] = ["here", "channel", "everyone", "group"];

/// A live token of ours is shorter than this, so the search for its end is bounded.
const MAX_TOKEN_BYTES: usize = 48;

/// The text as Slack must get it: shown as typed, with no live token but the mentions that are allowed.
#[must_use]
pub(super) fn neutralise(text: &str, field: Field, mentions: &Mentions) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let mut before = None;
    while let Some(at) = rest.find(['&', '<', '>', '@', '#']) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        before = plain.chars().next_back().or(before);
        let taken = push_special(&mut out, special, before, field, mentions);
        let (sign, after) = special.split_at(taken);
        before = sign.chars().next_back();
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Writes what `rest` begins with, one of the special characters; how many bytes of it are done.
fn push_special(
    out: &mut String,
    rest: &str,
    before: Option<char>,
    field: Field,
    mentions: &Mentions,
) -> usize {
    let nested = field == Field::Nested;
    match rest.as_bytes().first() {
        Some(b'&') => out.push_str("&amp;"),
        Some(b'>') => out.push_str("&gt;"),
        Some(b'<') => match allowed_token(rest, mentions) {
            Some(token) => {
                out.push_str(token);
                return token.len();
            }
            None => out.push_str("&lt;"),
        },
        Some(b'@') => match allowed_broadcast(rest, before, mentions) {
            Some(name) => {
                out.push_str("<!");
                out.push_str(name);
                out.push('>');
                return 1 + name.len();
            }
            None if nested && may_name_people(rest, before) => out.extend(['@', BREAK]),
            None => out.push('@'),
        },
        _ if nested && may_name_channel(rest, before) => out.extend(['#', BREAK]),
        _ => out.push('#'),
    }
    1
}

/// The most that one character of the text can take after [`neutralise`], in characters.
#[must_use]
pub(super) fn cost(grapheme: &str, field: Field, mentions: &Mentions) -> usize {
    let live = *mentions != Mentions::None;
    let nested = field == Field::Nested;
    grapheme
        .chars()
        .map(|c| match c {
            '&' => 5,
            '<' | '>' => 4,
            // `@here` becomes `<!here>`, two more.
            '@' if live => 3,
            '@' | '#' if nested => 2,
            _ => 1,
        })
        .sum()
}

/// The most that any one byte of text costs: what is short enough needs no counting.
pub(super) const MAX_COST: usize = 5;

/// A mention in Slack's own form at the start of `rest` that may stay live. Never one with a label, which
/// can say something else than the target, and never a link.
fn allowed_token<'t>(rest: &'t str, mentions: &Mentions) -> Option<&'t str> {
    if *mentions == Mentions::None {
        return None;
    }
    let end = rest.bytes().take(MAX_TOKEN_BYTES).position(|b| b == b'>')?;
    let (token, inner) = (rest.get(..=end)?, rest.get(1..end)?);
    let name = if let Some(group) = inner.strip_prefix("!subteam^") {
        is_id(group, "S").then_some(group)?
    } else if let Some(broadcast) = inner.strip_prefix('!') {
        BROADCASTS.contains(&broadcast).then_some(broadcast)?
    } else {
        let user = inner.strip_prefix('@')?;
        is_id(user, "UW").then_some(user)?
    };
    mentions.allows(name).then_some(token)
}

/// `@here` as people type it, standing alone, if it may notify.
fn allowed_broadcast(
    rest: &str,
    before: Option<char>,
    mentions: &Mentions,
) -> Option<&'static str> {
    if *mentions == Mentions::None || before.is_some_and(is_name_char) {
        return None;
    }
    let typed = rest.strip_prefix('@')?;
    let name = BROADCASTS.into_iter().find(|name| {
        typed
            .strip_prefix(name)
            .is_some_and(|after| !continues_name(after))
    })?;
    mentions.allows(name).then_some(name)
}

/// Whether a name goes on here: `@here.example` is no mention, `@here.` ends a sentence.
fn continues_name(after: &str) -> bool {
    let mut chars = after.chars();
    match chars.next() {
        Some('.' | '-') => chars.next().is_some_and(is_name_char),
        Some(c) => is_name_char(c),
        None => false,
    }
}

/// Whether Slack might link this `@`. An e-mail address stays whole.
fn may_name_people(rest: &str, before: Option<char>) -> bool {
    let Some(name) = rest.strip_prefix('@') else {
        return false;
    };
    let starts = |word: &&str| {
        name.get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    let inside_word = before.is_some_and(char::is_alphanumeric);
    ALWAYS_BROKEN.iter().any(starts) || (!inside_word && name.starts_with(is_name_char))
}

/// Whether Slack might link this `#`. The fragment of a URL stays whole.
fn may_name_channel(rest: &str, before: Option<char>) -> bool {
    let inside_url = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '/' | '='));
    !inside_url
        && rest
            .strip_prefix('#')
            .is_some_and(|name| name.starts_with(is_name_char))
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a text is an id: one of `prefixes`, then at least two of `A-Z0-9` (\[SPEC\]: `^[UW][A-Z0-9]{2,}$`).
#[must_use]
pub(super) fn is_id(text: &str, prefixes: &str) -> bool {
    text.len() > 2
        && text.starts_with(|c| prefixes.contains(c))
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Whether a text may hold an emoji code such as `:tada:`, which Slack turns into a picture even where
/// formatting is off; only a `plain_text` object with `emoji: false` shows it as typed.
#[must_use]
pub(super) fn may_hold_emoji_code(text: &str) -> bool {
    let is_code = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '\'');
    let mut pieces = text.split(':');
    let (_, _) = (pieces.next(), pieces.next_back());
    pieces.any(|piece| !piece.is_empty() && piece.chars().all(is_code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(allowed: &str, text: &str) -> String {
        neutralise(text, Field::Top, &Mentions::parse(allowed).unwrap())
    }

    /// D1, D2: the reference's own examples.
    #[test]
    fn three_characters_are_escaped_once() {
        assert_eq!(
            with("none", "a<!channel> & <@U1>"),
            "a&lt;!channel&gt; &amp; &lt;@U1&gt;"
        );
        assert_eq!(with("none", "&lt;"), "&amp;lt;");
        assert_eq!(
            with("none", "@here #ops \"é\" 100%"),
            "@here #ops \"é\" 100%"
        );
    }

    #[test]
    fn nested_fields_break_bare_names_and_spare_addresses() {
        let nested =
            |text: &str| neutralise(text, Field::Nested, &Mentions::None).replace(BREAK, "|");
        assert_eq!(
            nested("@here @Channel x@everyone"),
            "@|here @|Channel x@|everyone"
        );
        assert_eq!(
            nested("@alice @equipe (@группа) #ops"),
            "@|alice @|equipe (@|группа) #|ops"
        );
        assert_eq!(nested("me@example.com #1 a#b"), "me@example.com #|1 a#b");
        assert_eq!(
            nested("https://ci/#x https://ci/a#step-2"),
            "https://ci/#x https://ci/a#step-2"
        );
        assert_eq!(nested("_@alice_ *#ops*"), "_@|alice_ *#|ops*");
        assert_eq!(nested("@ # @. #! @"), "@ # @. #! @");
    }

    #[test]
    fn allowed_names_are_live_and_no_others() {
        for (allowed, text, want) in [
            ("here", "@here!", "<!here>!"),
            ("here", "(@here) @here. @here", "(<!here>) <!here>. <!here>"),
            ("here", "<!here> @channel", "<!here> @channel"),
            ("here", "<!channel>", "&lt;!channel&gt;"),
            ("here", "<!here|see this>", "&lt;!here|see this&gt;"),
            (
                "here",
                "me@here.example @here.example @herefy é@here",
                "me@here.example @here.example @herefy é@here",
            ),
            ("here", "@HERE <!HERE>", "@HERE &lt;!HERE&gt;"),
            (
                "channel,everyone",
                "@channel@everyone",
                "<!channel>@everyone",
            ),
            (
                "U0ALICE01",
                "<@U0ALICE01> <@U0BOB0001>",
                "<@U0ALICE01> &lt;@U0BOB0001&gt;",
            ),
            (
                "U0ALICE01",
                "<@U0ALICE01|bob> <@u0alice01>",
                "&lt;@U0ALICE01|bob&gt; &lt;@u0alice01&gt;",
            ),
            ("S0GROUP01", "<!subteam^S0GROUP01>", "<!subteam^S0GROUP01>"),
            (
                "S0GROUP01",
                "<!subteam^S0GROUP02>",
                "&lt;!subteam^S0GROUP02&gt;",
            ),
            (
                "all",
                "@here <!everyone> <@W123> <!subteam^S0GROUP01>",
                "<!here> <!everyone> <@W123> <!subteam^S0GROUP01>",
            ),
            (
                "all",
                "<https://evil.test|https://good.test> <#C0OPS0001>",
                "&lt;https://evil.test|https://good.test&gt; &lt;#C0OPS0001&gt;",
            ),
            (
                "all",
                "<!date^1^{date}|x> <!group> <@U1 > <@>",
                "&lt;!date^1^{date}|x&gt; &lt;!group&gt; &lt;@U1 &gt; &lt;@&gt;",
            ),
        ] {
            assert_eq!(with(allowed, text), want, "{allowed}: {text}");
        }
    }

    #[test]
    fn emoji_codes_are_seen() {
        for text in [":tada:", "a:+1:b", "12:30:45", "x::y:z:"] {
            assert!(may_hold_emoji_code(text), "{text}");
        }
        for text in ["", ":", "::", "a: b: c", "https://x", "done: ok"] {
            assert!(!may_hold_emoji_code(text), "{text}");
        }
    }
}
