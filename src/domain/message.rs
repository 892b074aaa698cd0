//! The message: text that is safe to show and to store.
//!
//! What must not reach anyone's screen is taken out here, once, for every backend: colour escapes vanish,
//! line ends become LF, controls and bidi overrides become a visible U+FFFD and are counted.

use std::iter::Peekable;
use std::str::Chars;

use memchr::memchr;

use super::own_url::OwnUrl;
use super::scan;

/// Text of a post: not blank, LF line ends, no control characters but tab and LF, no bidi overrides.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    text: String,
    replaced: usize,
}

/// Why a text is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Nothing that anybody could see.
    #[error("the message is empty or only white space")]
    Empty,
    /// U+0000, which no platform stores.
    #[error("the message holds a NUL at byte {offset}")]
    Nul {
        /// Position in the decoded text, in bytes from 0.
        offset: usize,
    },
}

impl Message {
    /// Cleans a decoded text.
    ///
    /// # Errors
    /// [`MessageError`] when nothing visible is there, or a NUL is.
    pub fn parse(decoded: &str) -> Result<Self, MessageError> {
        if let Some(offset) = memchr(0, decoded.as_bytes()) {
            return Err(MessageError::Nul { offset });
        }
        let (text, replaced) = clean(decoded);
        if text.chars().all(char::is_whitespace) {
            return Err(MessageError::Empty);
        }
        Ok(Self { text, replaced })
    }

    /// The cleaned text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Makes the URLs in it that post here no links.
    pub fn defuse(&mut self, own: &OwnUrl) {
        if let Some(text) = own.defused(&self.text) {
            self.text = text;
        }
    }

    /// How many characters became U+FFFD.
    #[must_use]
    pub fn replaced(&self) -> usize {
        self.replaced
    }
}

/// The text is the caller's; it never appears in logs, so neither in `Debug`.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Message({} chars)", self.text.chars().count())
    }
}

/// Cleans a text that must stay on one line (a title, a name): as a message, and line ends become spaces.
/// `None` when nothing visible is left.
#[must_use]
pub fn clean_line(decoded: &str) -> Option<String> {
    if decoded.contains('\0') {
        return None;
    }
    let (text, _) = clean(decoded);
    let line = text.replace(['\n', '\t'], " ");
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// The cleaned text and the number of replaced characters.
fn clean(decoded: &str) -> (String, usize) {
    if is_clean(decoded) {
        return (decoded.to_owned(), 0);
    }
    let mut out = String::with_capacity(decoded.len());
    let mut replaced = 0;
    let mut chars = decoded.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                chars.next_if_eq(&'\n');
                out.push('\n');
            }
            '\u{2028}' | '\u{2029}' => out.push('\n'),
            '\u{1B}' => skip_escape(&mut chars),
            '\u{9B}' => skip_csi(&mut chars),
            '\u{1F3F4}' => push_flag(&mut out, &mut chars),
            c if is_forbidden(c) => {
                out.push('\u{FFFD}');
                replaced += 1;
            }
            c => out.push(c),
        }
    }
    (out, replaced)
}

/// The common case, which needs no second look: nothing that is replaced, taken out or turned into a line feed.
fn is_clean(text: &str) -> bool {
    let special = |c: char| is_forbidden(c) || matches!(c, '\u{2028}' | '\u{2029}');
    scan::all(text.as_bytes(), is_plain) || !text.chars().any(special)
}

/// What is no part of a special character: neither a control, nor the first byte of U+0080 to U+00BF, U+2000 to
/// U+2FFF, U+F000 to U+FFFF or U+C0000 to U+FFFFF, among which the others are. Emoji and most letters are plain.
fn is_plain(b: u8) -> bool {
    let is_first = (b == 0xC2) | (b == 0xE2) | (b == 0xEF) | (b == 0xF3);
    ((b >= b' ') & (b != 0x7F) & !is_first) | (b == b'\n') | (b == b'\t')
}

/// Controls, bidi embeddings, overrides and isolates, the byte order mark and stray tag characters.
///
/// ZWJ and ZWNJ stay (emoji families, Persian, Hindi), and so do the bidi *marks*, which do not reorder
/// what comes after them.
pub(super) fn is_forbidden(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}')
}

/// Skips what follows ESC: a CSI or string sequence, or one two-character escape.
fn skip_escape(chars: &mut Peekable<Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            skip_csi(chars);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            chars.next();
            skip_string(chars);
        }
        Some(' '..='/') => {
            while chars.next_if(|c| (' '..='/').contains(c)).is_some() {}
            chars.next_if(|c| ('0'..='~').contains(c));
        }
        Some('0'..='~') => {
            chars.next();
        }
        _ => {}
    }
}

/// Skips the rest of a control sequence: parameters, intermediates, one final byte (ECMA-48, 5.4).
fn skip_csi(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| ('0'..='?').contains(c)).is_some() {}
    while chars.next_if(|c| (' '..='/').contains(c)).is_some() {}
    chars.next_if(|c| ('@'..='~').contains(c));
}

/// Skips a string sequence (a window title, a hyperlink) up to its terminator, or else up to the end of
/// its line: an unfinished sequence must not swallow the rest of the message.
fn skip_string(chars: &mut Peekable<Chars<'_>>) {
    while let Some(c) = chars.next_if(|c| !matches!(c, '\n' | '\r')) {
        match c {
            '\u{07}' | '\u{9C}' => return,
            '\u{1B}' => {
                chars.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

/// Keeps the tag characters of a flag such as Scotland's, which are part of the emoji; elsewhere tag
/// characters are invisible text and are replaced.
fn push_flag(out: &mut String, chars: &mut Peekable<Chars<'_>>) {
    out.push('\u{1F3F4}');
    let tags: String = chars
        .clone()
        .take_while(|c| ('\u{E0030}'..='\u{E007A}').contains(c))
        .take(6)
        .collect();
    let count = tags.chars().count();
    if count > 0 && chars.clone().nth(count) == Some('\u{E007F}') {
        out.push_str(&tags);
        out.push('\u{E007F}');
        for _ in 0..=count {
            chars.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cleaned(text: &str) -> (String, usize) {
        let message = Message::parse(text).unwrap();
        (message.as_str().to_owned(), message.replaced())
    }

    #[test]
    fn line_ends_become_lf_and_nothing_is_trimmed() {
        assert_eq!(
            cleaned(" a\r\nb\rc\u{2028}d\u{2029}e\n "),
            (" a\nb\nc\nd\ne\n ".into(), 0)
        );
    }

    #[test]
    fn colour_escapes_vanish() {
        for (text, want) in [
            ("\u{1B}[1;32mok\u{1B}[0m", "ok"),
            ("\u{1B}[38:5:208mfail\u{1B}[K!", "fail!"),
            ("\u{1B}]8;;https://x\u{1B}\\link\u{1B}]8;;\u{1B}\\", "link"),
            ("\u{1B}]0;title\u{07}after", "after"),
            ("\u{1B}(Bplain\u{1B}=", "plain"),
            ("\u{9B}31mred", "red"),
            ("cut\u{1B}", "cut"),
            ("cut\u{1B}[3", "cut"),
            ("\u{1B}]0;never ends\nsecond line", "\nsecond line"),
        ] {
            assert_eq!(cleaned(text), (want.into(), 0), "{text:?}");
        }
    }

    /// D3: one row for every category.
    #[test]
    fn what_must_not_show_is_replaced_and_counted() {
        for (text, want, replaced) in [
            ("a\u{07}b", "a\u{FFFD}b", 1),
            ("a\u{7F}b", "a\u{FFFD}b", 1),
            ("a\u{85}b", "a\u{FFFD}b", 1),
            ("\u{202E}evil\u{202C}", "\u{FFFD}evil\u{FFFD}", 2),
            ("\u{2066}x\u{2069}", "\u{FFFD}x\u{FFFD}", 2),
            ("\u{FEFF}bom", "\u{FFFD}bom", 1),
            ("tag\u{E0041}", "tag\u{FFFD}", 1),
        ] {
            assert_eq!(cleaned(text), (want.into(), replaced), "{text:?}");
        }
    }

    #[test]
    fn living_scripts_and_emoji_stay() {
        for text in [
            "👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈",
            "🏴\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}",
            "می‌خواهم",
            "क्‍ष नमस्ते",
            "a\tb\u{200E}\u{200F}",
        ] {
            assert_eq!(cleaned(text), (text.to_owned(), 0));
        }
    }

    #[test]
    fn blank_and_nul_are_refused() {
        for text in ["", " ", "\n\t", "\u{3000}\u{2028}", "\u{1B}[0m"] {
            assert_eq!(Message::parse(text), Err(MessageError::Empty), "{text:?}");
        }
        assert_eq!(Message::parse("ab\0"), Err(MessageError::Nul { offset: 2 }));
    }

    #[test]
    fn a_title_is_one_line() {
        assert_eq!(clean_line(" a\r\nb\u{1B}[0m ").as_deref(), Some("a b"));
        assert_eq!(clean_line("\n"), None);
    }

    #[test]
    fn every_special_character_is_seen() {
        for c in '\0'..=char::MAX {
            let text = format!("a long enough text before {c}");
            let is_special = is_forbidden(c) || matches!(c, '\u{2028}' | '\u{2029}');
            assert_eq!(is_clean(&text), !is_special, "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn the_result_is_clean_and_cleaning_is_idempotent(text in any::<String>()) {
            if let Ok(message) = Message::parse(&text) {
                let forbidden = |c| is_forbidden(c) && !('\u{E0000}'..='\u{E007F}').contains(&c);
                prop_assert!(!message.as_str().contains(forbidden));
                let again = Message::parse(message.as_str()).unwrap();
                prop_assert_eq!(again.as_str(), message.as_str());
                prop_assert_eq!(again.replaced(), 0);
            }
        }
    }
}
