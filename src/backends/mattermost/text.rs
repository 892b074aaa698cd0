//! PURE: caller's text made safe for Mattermost: mentions notify nobody unless allowed, `format=plain` shows
//! every character as typed. It must not look at the channel, the server or the length limits' values.
//!
//! Source of every rule: the protocol reference, sections 9 (mentions, escapes) and 12 (incoming webhooks
//! rewrite Slack's syntax), observed on 5.37.0. Text is dressed part by part, *after* splitting: a letter that
//! shields an `@` may end up in the part before.

use std::borrow::Cow;

use crate::domain::mention::Mentions;
use crate::domain::options::Format;
use crate::domain::scan;

/// U+2060 WORD JOINER: invisible, and ends a mention (section 9, "Do not notify").
const WORD_JOINER: char = '\u{2060}';

/// What a backslash makes literal (section 9, "To show text literally").
const ESCAPABLE: &str = r"\`*_{}[]()#+-.!|~><:";

/// What may stand inside or after a name without ending the server's word.
const JOINERS: [char; 4] = ['.', '-', '_', ':'];

/// How the text reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// `POST /api/v4/posts`: taken as it is.
    Posts,
    /// An incoming webhook: the server rewrites Slack's `<!channel>`, `<@id>` and `<url|label>`.
    Hook,
}

/// What a limit of the platform counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Unicode scalar values: `message`, webhook `text`.
    Chars,
    /// Characters of the JSON that the server's Go encoder writes: `props` (section 4, "Props limit").
    GoJson,
}

/// How a caller's text is dressed.
#[derive(Clone, Copy)]
pub(super) struct Dress<'m> {
    /// What may notify.
    pub(super) mentions: &'m Mentions,
    /// Live or literal formatting.
    pub(super) format: Format,
    /// How it travels.
    pub(super) route: Route,
}

impl Unit {
    /// What a text takes, as it is.
    pub(super) fn of(self, text: &str) -> usize {
        text.chars().map(|c| self.of_char(c)).sum()
    }

    fn of_char(self, c: char) -> usize {
        match (self, c) {
            (Self::Chars, _) => 1,
            (Self::GoJson, '"' | '\\' | '\n') => 2,
            (Self::GoJson, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') => 6,
            (Self::GoJson, c) if c.is_control() => 6,
            (Self::GoJson, _) => 1,
        }
    }
}

impl Dress<'_> {
    /// The most that one byte of text can take in any unit, dressed: `<` as `&lt;` in Go's JSON.
    pub(super) const MAX_COST_OF_BYTE: usize = 9;

    /// Text that the server reads as Markdown: `message`, an attachment's `text`.
    pub(super) fn text<'t>(&self, raw: &'t str) -> Cow<'t, str> {
        let is_plain = |b: u8| (b != b'@') & (b != b'&') & (b != b'<');
        if self.format == Format::Markup && scan::all(raw.as_bytes(), is_plain) {
            return Cow::Borrowed(raw);
        }
        Cow::Owned(self.write(raw))
    }

    /// One line that is shown without Markdown, or with its links alone: a title, a name. A backslash would
    /// show there, so literal text is made by breaking the link form `[label](url)`.
    pub(super) fn line<'t>(&self, raw: &'t str) -> Cow<'t, str> {
        if !raw.contains(['@', '&', '<', ']']) {
            return Cow::Borrowed(raw);
        }
        let mut out = String::with_capacity(raw.len() + 8);
        let mut before = None;
        let mut chars = raw.chars();
        while let Some(c) = chars.next() {
            let after = chars.as_str();
            out.push(c);
            let link = c == ']' && after.starts_with(['(', '[']) && self.format == Format::Plain;
            if link || self.breaks(before, c, after) {
                out.push(WORD_JOINER);
            }
            before = Some(c);
        }
        Cow::Owned(out)
    }

    /// What a piece of raw text takes at most once it is dressed, whatever stands around it; the start of a
    /// part takes [`Dress::start_cost`] more.
    pub(super) fn cost(&self, unit: Unit, raw: &str) -> usize {
        raw.chars().map(|c| self.cost_of_char(unit, c)).sum()
    }

    /// What the start of a part takes besides its text.
    pub(super) fn start_cost(&self) -> usize {
        usize::from(self.format == Format::Plain)
    }

    fn cost_of_char(&self, unit: Unit, c: char) -> usize {
        let plain = self.format == Format::Plain;
        let own = unit.of_char(c);
        match c {
            '@' | '&' => own + 1,
            '<' if self.route == Route::Hook => unit.of(LESS_THAN),
            '\n' if plain => own + 1,
            c if plain && ESCAPABLE.contains(c) => own + unit.of_char('\\'),
            _ => own,
        }
    }

    fn write(&self, raw: &str) -> String {
        let plain = self.format == Format::Plain;
        let links_end = match self.route {
            Route::Posts => 0,
            Route::Hook => links_end(raw),
        };
        let mut out = String::with_capacity(raw.len() + raw.len() / 8 + 8);
        let mut before = None;
        let mut chars = raw.char_indices();
        while let Some((at, c)) = chars.next() {
            let after = chars.as_str();
            let previous = before.replace(c);
            if plain && matches!(previous, None | Some('\n')) && matches!(c, ' ' | '\t' | '=') {
                // Not an indented code block, in which backslashes show, and not a heading's underline.
                out.push(WORD_JOINER);
            }
            if c == '<' && at < links_end {
                out.push_str(LESS_THAN);
                continue;
            }
            if plain && ESCAPABLE.contains(c) {
                out.push('\\');
            }
            out.push(c);
            if self.breaks(previous, c, after) {
                out.push(WORD_JOINER);
            } else if plain && c == '@' && !is_shield(previous) {
                // A mention that stays live is copied whole: an escape inside could hide it.
                for c in live_name(after).chars() {
                    out.push(c);
                    chars.next();
                    before = Some(c);
                }
            }
        }
        out
    }

    /// Whether what `c` begins, between the character before and the text after it, must be broken.
    fn breaks(&self, before: Option<char>, c: char, after: &str) -> bool {
        match c {
            '@' => !is_shield(before) && !self.allows(before, after),
            '&' if self.format == Format::Plain => {
                after.starts_with(|next: char| next == '#' || next.is_ascii_alphanumeric())
            }
            '&' => {
                let hides_at = after.starts_with('#') || after.starts_with("commat;");
                hides_at && *self.mentions != Mentions::All
            }
            '<' if self.route == Route::Hook => {
                after.starts_with('!') && *self.mentions != Mentions::All
            }
            _ => false,
        }
    }

    /// Whether the name that `after` begins with may notify. The server tries the whole word, then the word
    /// without its last joiners; a word that does not begin with the mention (`x-@all-hands`) it reads piece
    /// by piece, so that the first piece must be allowed too.
    fn allows(&self, before: Option<char>, after: &str) -> bool {
        if *self.mentions == Mentions::All {
            return true;
        }
        // The server puts a name of its own there, joined to what follows.
        let slack = self.route == Route::Hook && before == Some('<');
        let word = word(after);
        let name = live_name(after);
        let whole = self.mentions.allows(word) || self.mentions.allows(name);
        let glued = before.is_some_and(|b| JOINERS.contains(&b));
        let piece = name.split(['.', '-', ':']).next().unwrap_or_default();
        !slack && whole && (!glued || self.mentions.allows(piece))
    }
}

/// A `<` that Markdown shows and the server's Slack parser does not see; in code it shows as written.
const LESS_THAN: &str = "&lt;";

/// Whether this character right before an `@` makes it no mention. ASCII alone: the server takes marks such as
/// U+093E, which Rust calls alphabetic, for the end of a word (section 9, recipe).
fn is_shield(before: Option<char>) -> bool {
    before.is_some_and(|b| b.is_ascii_alphanumeric())
}

/// Where the last `<…|…>` could end its address: no `<` before that may stay, because an entity in place of
/// one `<` makes the one before it the start of the link. The server's expression, `<([^<\|]+)\|([^>]+)>`,
/// runs across lines and over `>`.
fn links_end(raw: &str) -> usize {
    raw.rfind('>')
        .and_then(|close| raw.get(..close))
        .and_then(|head| head.rfind('|'))
        .unwrap_or(0)
}

/// The server's word after an `@`. Letters of all scripts belong to it: some fold to ASCII in lower case
/// (U+212A KELVIN SIGN to `k`), so that they could complete a name.
fn word(after: &str) -> &str {
    let end = after
        .find(|c: char| !(c.is_alphanumeric() || JOINERS.contains(&c)))
        .unwrap_or(after.len());
    after.get(..end).unwrap_or_default()
}

/// The word without the joiners that may follow a name; empty if no name can begin so.
fn live_name(after: &str) -> &str {
    let name = word(after).trim_end_matches(JOINERS);
    if name.starts_with(char::is_alphanumeric) {
        name
    } else {
        ""
    }
}
