//! The query of a post: options that are known and parsed, and names that are not.

pub mod limit;

use std::time::Duration;

use self::limit::{MAX_KEY_CHARS, MAX_LINK_BYTES, MAX_NAME_CHARS, MAX_TITLE_CHARS, MAX_WAIT_S};
pub use super::look::{Format, Level};
use super::message::clean_line;
use super::percent::{DecodeError, decode_form};
use super::secret::Secret;
use super::web_url::WebUrl;

/// Everything a query may say about a post.
#[derive(Debug, Default)]
pub struct PostOptions {
    /// A heading, one line.
    pub title: Option<String>,
    /// Where the heading points.
    pub link: Option<WebUrl>,
    /// The colour bar.
    pub level: Option<Level>,
    /// The name the post appears under.
    pub as_name: Option<String>,
    /// Live or literal formatting.
    pub format: Format,
    /// How long the caller waits for the platform.
    pub wait: Option<Duration>,
    /// The idempotency key.
    pub once: Option<String>,
    /// Show what would be sent, post nothing.
    pub dry: bool,
    /// A token in the URL.
    pub token: Option<Secret>,
    /// A signature in the URL.
    pub sig: Option<Secret>,
    /// The message of the query form, as decoded.
    pub message: Option<String>,
    /// Known options but `sig` and the message, as decoded: what a signature covers.
    pub given: Vec<(&'static str, String)>,
    /// Names that mean nothing here.
    pub ignored: Vec<String>,
}

/// Where the message of a post stands; in the query only if the path holds none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessagePlace {
    /// `/msg/…` or `/b64/…`.
    Path,
    /// `?message=…`.
    Query,
}

/// Why a query is refused. It names the option, and never its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// A part without `=`: an unescaped `?` has cut the message.
    #[error(
        "the query holds a part without '='; a '?' that belongs to the message must be written %3F, and a '&' in an option %26"
    )]
    Stray,
    /// The same option twice.
    #[error("the option '{name}' is given twice; give it once")]
    Twice {
        /// The option.
        name: &'static str,
    },
    /// A value that the option does not take.
    #[error("the option '{name}' takes {expected}")]
    BadValue {
        /// The option.
        name: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// A value that is not text.
    #[error("the option '{name}' is {source}")]
    NotText {
        /// The option.
        name: &'static str,
        /// Where it stops being text.
        source: DecodeError,
    },
    /// A later version's option: to post without it could be wrong.
    #[error("the option '{name}' is not available in this version; leave it out")]
    NotAvailable {
        /// The option.
        name: &'static str,
    },
}

/// One option: its name, what it takes, and how it is stored. The list feeds the parser and the documents.
pub struct Known {
    /// The name in the query.
    pub name: &'static str,
    /// What it takes, as the error says it.
    pub expected: &'static str,
    /// What it does, for the README.
    pub doc: &'static str,
    set: fn(&mut PostOptions, &str) -> Option<()>,
}

/// More unknown names than this are not listed: the receipt stays small.
const MAX_IGNORED: usize = 20;
const MAX_IGNORED_CHARS: usize = 64;

/// All options of a post.
pub const KNOWN: &[Known] = &[
    Known {
        name: "title",
        expected: "1 to 250 visible characters",
        doc: "a heading",
        set: |o, v| set_line(&mut o.title, v, MAX_TITLE_CHARS),
    },
    Known {
        name: "link",
        expected: "an absolute http or https URL of at most 2048 bytes, without spaces and credentials",
        doc: "where the heading points",
        set: |o, v| {
            let fits = v.len() <= MAX_LINK_BYTES;
            o.link = Some(WebUrl::parse(v).ok().filter(|_| fits)?);
            Some(())
        },
    },
    Known {
        name: "level",
        expected: "info, success, warning or error",
        doc: "the colour bar and an emoji, where the platform has one",
        set: |o, v| {
            o.level = Some(Level::parse(v)?);
            Some(())
        },
    },
    Known {
        name: "as",
        expected: "1 to 80 visible characters",
        doc: "the name the post appears under, where the platform allows it",
        set: |o, v| set_line(&mut o.as_name, v, MAX_NAME_CHARS),
    },
    Known {
        name: "format",
        expected: "plain",
        doc: "`plain`: the platform's light formatting shows as typed",
        set: |o, v| {
            o.format = (v == "plain").then_some(Format::Plain)?;
            Some(())
        },
    },
    Known {
        name: "once",
        expected: "1 to 255 visible characters",
        doc: "an idempotency key: within 24 h the same key from the same caller posts nothing and answers the first receipt again",
        set: |o, v| {
            o.once = Some(parse_key(v)?);
            Some(())
        },
    },
    Known {
        name: "wait",
        expected: "whole seconds from 0 to 60",
        doc: "how long to wait for the platform, 0 to 60 s (default 10)",
        set: |o, v| {
            o.wait = Some(parse_wait(v)?);
            Some(())
        },
    },
    Known {
        name: "dry",
        expected: "1 or 0",
        doc: "`1`: nothing is posted; the answer shows what would be sent",
        set: |o, v| {
            o.dry = match v {
                "1" => true,
                "0" => false,
                _ => return None,
            };
            Some(())
        },
    },
    Known {
        name: "token",
        expected: "a token's secret",
        doc: "a token, only with `ALLOW_QUERY_TOKEN=true`",
        set: |o, v| {
            o.token = Some(Secret::new(v.to_owned()));
            Some(())
        },
    },
    Known {
        name: "sig",
        expected: "a signature",
        doc: "the signature of a signed URL",
        set: |o, v| {
            o.sig = Some(Secret::new(v.to_owned()));
            Some(())
        },
    },
];

/// Options of the contract whose issue is still open: refused, so that nobody believes them at work.
const NOT_AVAILABLE: &[&str] = &["thread", "update", "template"];

impl PostOptions {
    /// Parses a raw query (what follows `?`; empty is no query) and says what is wrong with its first bad part.
    /// The other parts are read all the same: who asks is found out before being told about mistakes.
    #[must_use]
    pub fn parse(query: &[u8], place: MessagePlace) -> (Self, Option<OptionError>) {
        let mut options = Self::default();
        let mut fault = None;
        for part in query.split(|&b| b == b'&').filter(|part| !part.is_empty()) {
            if let Err(error) = options.take(part, place) {
                fault.get_or_insert(error);
            }
        }
        (options, fault)
    }

    fn take(&mut self, part: &[u8], place: MessagePlace) -> Result<(), OptionError> {
        let equals = part.iter().position(|&b| b == b'=');
        let (raw_name, raw_value) = part.split_at(equals.unwrap_or(part.len()));
        let name = decode_form(raw_name).unwrap_or_else(|_| String::from_utf8_lossy(raw_name));
        let value = raw_value.strip_prefix(b"=").unwrap_or_default();
        if name == "message" && place == MessagePlace::Query {
            return self.take_message(value);
        }
        if let Some(name) = NOT_AVAILABLE.iter().find(|n| **n == name) {
            // A signature covers it, whether it is available or not.
            let value = decode_form(value).unwrap_or_default().into_owned();
            self.given.push((name, value));
            return Err(OptionError::NotAvailable { name });
        }
        match KNOWN.iter().find(|known| known.name == name) {
            Some(known) => self.take_known(known, value),
            None if equals.is_none() => Err(OptionError::Stray),
            None => {
                self.ignore(&name);
                Ok(())
            }
        }
    }

    fn take_message(&mut self, raw: &[u8]) -> Result<(), OptionError> {
        let text = decode_form(raw)
            .map_err(|source| OptionError::NotText {
                name: "message",
                source,
            })?
            .into_owned();
        if self.message.replace(text).is_some() {
            return Err(OptionError::Twice { name: "message" });
        }
        Ok(())
    }

    fn take_known(&mut self, known: &Known, raw: &[u8]) -> Result<(), OptionError> {
        let name = known.name;
        let value = decode_form(raw)
            .map_err(|source| OptionError::NotText { name, source })?
            .into_owned();
        let twice = self.given.iter().any(|(given, _)| *given == name)
            || (name == "sig" && self.sig.is_some());
        if twice {
            return Err(OptionError::Twice { name });
        }
        let set = (known.set)(self, &value);
        if name != "sig" {
            self.given.push((name, value));
        }
        set.ok_or(OptionError::BadValue {
            name,
            expected: known.expected,
        })
    }

    fn ignore(&mut self, name: &str) {
        if self.ignored.len() < MAX_IGNORED {
            let shown = clean_line(name).unwrap_or_default();
            self.ignored
                .push(shown.chars().take(MAX_IGNORED_CHARS).collect());
        }
    }
}

/// Parses an idempotency key, also of `Idempotency-Key`, where the draft puts it in quotes.
#[must_use]
pub fn parse_key(text: &str) -> Option<String> {
    let key = text.trim();
    let key = key
        .strip_prefix('"')
        .and_then(|key| key.strip_suffix('"'))
        .unwrap_or(key);
    let is_visible = |c: char| !c.is_control();
    let fits = (1..=MAX_KEY_CHARS).contains(&key.chars().count());
    (fits && key.chars().all(is_visible)).then(|| key.to_owned())
}

/// Parses the seconds of `wait`, also of `Prefer: wait=N`.
#[must_use]
pub fn parse_wait(text: &str) -> Option<Duration> {
    let digits = text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    let seconds: u64 = digits.then(|| text.parse().ok())??;
    (seconds <= MAX_WAIT_S).then(|| Duration::from_secs(seconds))
}

fn set_line(slot: &mut Option<String>, value: &str, max_chars: usize) -> Option<()> {
    let line = clean_line(value)?;
    if line.chars().count() > max_chars {
        return None;
    }
    *slot = Some(line);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(query: &str) -> Result<PostOptions, OptionError> {
        let (options, fault) = PostOptions::parse(query.as_bytes(), MessagePlace::Path);
        fault.map_or(Ok(options), Err)
    }

    #[test]
    fn known_options_are_parsed_and_unknown_names_listed() {
        let o = parse("title=Build+%2342&link=https://ci/1&level=error&as=CI&dry=1&wait=5&format=plain&BUILD_ID=7&x=")
            .unwrap();
        assert_eq!(o.title.as_deref(), Some("Build #42"));
        assert_eq!(o.link.unwrap().as_str(), "https://ci/1");
        assert_eq!(o.level, Some(Level::Error));
        assert_eq!(o.as_name.as_deref(), Some("CI"));
        assert_eq!(o.wait, Some(Duration::from_secs(5)));
        assert!(o.dry && o.format == Format::Plain);
        assert_eq!(o.ignored, ["BUILD_ID", "x"]);
    }

    #[test]
    fn an_empty_query_is_no_query() {
        assert!(parse("").unwrap().ignored.is_empty());
        assert!(parse("&&").unwrap().ignored.is_empty());
    }

    /// B5: an unescaped `?` has cut the message.
    #[test]
    fn a_part_without_equals_is_refused() {
        for query in ["ok", "title=a&%20really", "=", "Deployed"] {
            let stray = parse(query);
            match query {
                "=" => assert!(stray.is_ok()),
                _ => assert_eq!(stray.unwrap_err(), OptionError::Stray, "{query}"),
            }
        }
    }

    #[test]
    fn bad_values_and_repeats_are_refused() {
        for query in [
            "title=",
            "title=%20",
            "link=javascript:alert(1)",
            "link=ftp://x/",
            "link=%2F%2Fx",
            "level=fatal",
            "level=Error",
            "as=",
            "wait=61",
            "wait=-1",
            "wait=1.5",
            "wait=",
            "dry=yes",
            "dry",
            "format=html",
        ] {
            assert!(
                matches!(parse(query), Err(OptionError::BadValue { .. })),
                "{query}"
            );
        }
        assert_eq!(
            parse("dry=1&dry=1").unwrap_err(),
            OptionError::Twice { name: "dry" }
        );
        assert_eq!(
            parse("sig=a&sig=b").unwrap_err(),
            OptionError::Twice { name: "sig" }
        );
        assert!(matches!(
            parse("title=%FF"),
            Err(OptionError::NotText { .. })
        ));
        assert_eq!(
            parse("thread=x").unwrap_err(),
            OptionError::NotAvailable { name: "thread" }
        );
    }

    #[test]
    fn an_idempotency_key_is_one_to_255_visible_characters() {
        let longest = "k".repeat(MAX_KEY_CHARS);

        assert_eq!(parse("once=build%2042").unwrap().once.unwrap(), "build 42");
        assert_eq!(parse_key("\"quoted\"").unwrap(), "quoted");
        assert_eq!(parse_key(&longest).unwrap(), longest);
        for bad in ["", " ", "\"\"", "a\nb", &format!("{longest}k")] {
            assert_eq!(parse_key(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_follows_a_bad_part_is_read_all_the_same() {
        let query = b"stray&level=purple&title=%FF&once=k&sig=s&token=t&dry=1";

        let (options, fault) = PostOptions::parse(query, MessagePlace::Path);

        assert_eq!(fault, Some(OptionError::Stray));
        assert!(options.sig.is_some() && options.token.is_some() && options.dry);
        let given: Vec<_> = options.given.iter().map(|(name, _)| *name).collect();
        assert_eq!(given, ["level", "once", "token", "dry"]);
    }

    #[test]
    fn message_is_an_option_only_without_one_in_the_path() {
        assert_eq!(parse("message=x").unwrap().ignored, ["message"]);
        let (o, _) = PostOptions::parse(b"message=a+b%0Ac", MessagePlace::Query);
        assert_eq!(o.message.as_deref(), Some("a b\nc"));
    }

    #[test]
    fn the_list_of_ignored_names_is_bounded() {
        let query: String = (0..1000)
            .map(|i| format!("{i}{}=1&", "n".repeat(200)))
            .collect();
        let o = parse(&query).unwrap();
        assert_eq!(o.ignored.len(), MAX_IGNORED);
        assert!(
            o.ignored
                .iter()
                .all(|n| n.chars().count() <= MAX_IGNORED_CHARS)
        );
    }

    proptest! {
        #[test]
        fn arbitrary_queries_never_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(PostOptions::parse(&raw, MessagePlace::Query));
        }
    }
}
