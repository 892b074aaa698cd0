//! A text that holds a post URL of this very proxy: where GET posts, whatever follows the link for a preview would post
//! (threats.md B9). Such a URL is made no link here, and shows as typed. It knows no platform.
//!
//! It is for URLs as people and logs write them. Who hides one on purpose (an entity, an escape, another site that
//! redirects) may post anyway: a URL that posts holds a credential, or needs none.

use http::uri::Authority;
use memchr::memmem;

/// Where this proxy is reached, as it may stand in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnUrl {
    host: String,
    /// `None` for 80 and 443: a text need not name the scheme, and then does not say which is meant.
    port: Option<u16>,
    /// The path that all others are below, without a slash at its end.
    base: String,
}

/// The segment that all posts, and nothing else of the proxy, are below.
const POST: &str = "post";

/// Stands within [`POST`], has no width, and is what Slack's and Teams' texts are broken with as well.
///
/// It stands there, and not in the scheme or host, because platforms differ in where a link ends. Where this character
/// ends one, the link is `https://host/po`. Where it does not, the path is `/po%E2%80%8Bst/…`, which is no route; in a
/// host it would vanish (UTS #46 maps it to nothing), and a broken scheme leaves a host that is linked without one.
const BREAK: char = '\u{200B}';

impl OwnUrl {
    /// From `PUBLIC_URL`; `None` if that is no absolute URL.
    #[must_use]
    pub fn parse(public_url: &str) -> Option<Self> {
        let (_, rest) = public_url.split_once("://")?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let authority: Authority = authority.parse().ok()?;
        let base = path.split(['?', '#']).next().unwrap_or_default();
        Some(Self {
            host: authority.host().to_owned(),
            port: authority.port_u16().filter(|port| is_named(*port)),
            base: base.trim_end_matches('/').to_owned(),
        })
    }

    /// Whether the text holds a URL of this proxy that posts.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.places(text).next().is_some()
    }

    /// The text with no such URL that could be linked; `None` if there was none.
    #[must_use]
    pub fn defused(&self, text: &str) -> Option<String> {
        let mut places = self.places(text).peekable();
        places.peek()?;
        let mut out = String::with_capacity(text.len() + 4 * BREAK.len_utf8());
        let mut done = 0;
        for place in places {
            out.push_str(text.get(done..place)?);
            out.push(BREAK);
            done = place;
        }
        out.push_str(text.get(done..)?);
        Some(out)
    }

    /// Where the text is to be broken, in bytes. Every [`POST`] of a URL, for what follows a break may be linked anew.
    fn places(&self, text: &str) -> impl Iterator<Item = usize> {
        let holds = memmem::find(text.as_bytes(), POST.as_bytes()).is_some();
        let text = if holds { text } else { "" };
        let mut end = 0;
        text.split_inclusive(ends_url).flat_map(move |word| {
            end += word.len();
            let path = self.path(word).unwrap_or_default();
            let begin = end - path.len();
            posts(path).map(move |at| begin + at)
        })
    }

    /// What follows this proxy's host and base in a text without white space. What stands between base and [`POST`] is
    /// not looked at: everything there is this proxy's, and clients resolve `/x/../post/`.
    fn path<'t>(&self, word: &'t str) -> Option<&'t str> {
        let path = hosts(word, &self.host).find_map(|after| self.after_port(after))?;
        let base = memmem::find(path.as_bytes(), self.base.as_bytes())?;
        path.get(base + self.base.len()..)
    }

    /// What follows the port, if it is this proxy's.
    fn after_port<'t>(&self, after_host: &'t str) -> Option<&'t str> {
        // The root's dot may end any host.
        let after = after_host.strip_prefix('.').unwrap_or(after_host);
        let (digits, path) = match after.strip_prefix(':') {
            None => ("", after),
            Some(port) => {
                let end = port.find(|c: char| !c.is_ascii_digit());
                port.split_at(end.unwrap_or(port.len()))
            }
        };
        let port: Option<u16> = match digits {
            "" => None,
            digits => Some(digits.parse().ok()?),
        };
        (path.starts_with(is_slash) && port.filter(|port| is_named(*port)) == self.port)
            .then_some(path)
    }
}

fn is_named(port: u16) -> bool {
    !matches!(port, 80 | 443)
}

/// Clients read a backslash in a web URL as a slash (WHATWG URL, "special authority").
fn is_slash(c: char) -> bool {
    matches!(c, '/' | '\\')
}

/// What stands between two URLs rather than in one. Parentheses and commas may stand in a URL, but in none of ours.
fn ends_url(c: char) -> bool {
    c.is_whitespace() || "\"'`<>(){}|,".contains(c)
}

/// What follows each place where the word names this host and no longer one, such as a subdomain.
fn hosts<'t>(word: &'t str, host: &str) -> impl Iterator<Item = &'t str> {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_here = move |at: usize| {
        let end = at + host.len();
        let found = word.get(at..end)?;
        let before = word.get(..at)?.chars().next_back();
        let is_own = found.eq_ignore_ascii_case(host) && !before.is_some_and(is_name);
        is_own.then(|| word.get(end..)).flatten()
    };
    (0..word.len()).filter_map(is_here)
}

/// Where the [`POST`]s of a path are to be broken.
fn posts(path: &str) -> impl Iterator<Item = usize> {
    memmem::find_iter(path.as_bytes(), POST.as_bytes()).filter_map(|at| {
        let before = path.get(..at)?;
        let after = path.get(at + POST.len()..)?;
        (before.ends_with(is_slash) && after.starts_with(is_slash)).then_some(at + POST.len() / 2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(public_url: &str, text: &str) -> String {
        let own = OwnUrl::parse(public_url).unwrap();
        let defused = own.defused(text);
        assert_eq!(defused.is_some(), own.is_in(text));
        defused
            .unwrap_or_else(|| text.to_owned())
            .replace(BREAK, "^")
    }

    /// B9: however the proxy's own URL is written.
    #[test]
    fn own_urls_are_broken_within_post() {
        for (text, want) in [
            (
                "https://proxy.example/post/channel/a/msg/b",
                "https://proxy.example/po^st/channel/a/msg/b",
            ),
            (
                "HTTP://Proxy.EXAMPLE/post/channel/a",
                "HTTP://Proxy.EXAMPLE/po^st/channel/a",
            ),
            ("proxy.example/post/x", "proxy.example/po^st/x"),
            ("//proxy.example/post/x", "//proxy.example/po^st/x"),
            (
                "https://proxy.example:443/post/x",
                "https://proxy.example:443/po^st/x",
            ),
            (
                "http://proxy.example:080/post/x",
                "http://proxy.example:080/po^st/x",
            ),
            (
                "http://proxy.example:/post/x",
                "http://proxy.example:/po^st/x",
            ),
            (
                "http://proxy.example./post/x",
                "http://proxy.example./po^st/x",
            ),
            (
                "http://me@proxy.example/post/x",
                "http://me@proxy.example/po^st/x",
            ),
            (
                "http://proxy.example//post/x",
                "http://proxy.example//po^st/x",
            ),
            (
                "http://proxy.example/./a/../post/x",
                "http://proxy.example/./a/../po^st/x",
            ),
            (
                "http:\\\\proxy.example\\post\\x",
                "http:\\\\proxy.example\\po^st\\x",
            ),
            (
                "[see](https://proxy.example/post/x)",
                "[see](https://proxy.example/po^st/x)",
            ),
            (
                "<https://proxy.example/post/x|see>",
                "<https://proxy.example/po^st/x|see>",
            ),
            ("=proxy.example/post/x;", "=proxy.example/po^st/x;"),
            (
                "é\tproxy.example/post/é\nproxy.example/post/",
                "é\tproxy.example/po^st/é\nproxy.example/po^st/",
            ),
            (
                "https://proxy.example/post/channel/a/msg/https://proxy.example/post/channel/b",
                "https://proxy.example/po^st/channel/a/msg/https://proxy.example/po^st/channel/b",
            ),
            (
                "x.proxy.example/ https://other.example/?u=https://proxy.example/post/x",
                "x.proxy.example/ https://other.example/?u=https://proxy.example/po^st/x",
            ),
        ] {
            assert_eq!(shown("https://proxy.example", text), want);
        }
    }

    #[test]
    fn what_does_not_post_stays_as_it_is() {
        for text in [
            "",
            "post",
            "/post/channel/a/msg/b",
            "https://other.example/post/x",
            "https://xproxy.example/post/x https://my-proxy.example/post/x https://x.proxy.example/post/x",
            "https://proxy.example.org/post/x https://proxy.examples/post/x",
            "https://proxy.example:8443/post/x https://proxy.example:99999/post/x",
            "https://proxy.example/ https://proxy.example/health",
            "https://proxy.example/posts/x https://proxy.example/a-post/x https://proxy.example/post",
            "https://proxy.example/POST/x",
            // An encoded segment is none of ours: routes are compared raw.
            "https://proxy.example/%70ost/x https://proxy.example%2Fpost%2Fx",
            "[https://proxy.example](https://other.example/post/x)",
            "{\"a\":\"https://proxy.example/health\",\"b\":\"https://other.example/post/x\"}",
            "https://proxy.example/po\u{200B}st/x",
        ] {
            let own = OwnUrl::parse("https://proxy.example").unwrap();
            assert_eq!(own.defused(text), None, "{text}");
        }
    }

    #[test]
    fn port_and_base_are_the_proxys() {
        for (public_url, text, want) in [
            (
                "http://127.0.0.1:3000",
                "http://127.0.0.1:3000/post/x 127.0.0.1:3000/post/y",
                "http://127.0.0.1:3000/po^st/x 127.0.0.1:3000/po^st/y",
            ),
            (
                "http://127.0.0.1:3000",
                "http://127.0.0.1/post/x http://127.0.0.1:30001/post/",
                "http://127.0.0.1/post/x http://127.0.0.1:30001/post/",
            ),
            (
                "http://[::1]:3000",
                "http://[::1]:3000/post/x",
                "http://[::1]:3000/po^st/x",
            ),
            (
                "https://Example.org:443/hooks/",
                "example.org/hooks/post/x",
                "example.org/hooks/po^st/x",
            ),
            (
                "https://example.org/hooks",
                "https://example.org/x/../hooks/./post/x",
                "https://example.org/x/../hooks/./po^st/x",
            ),
            // Something else under the same host.
            (
                "https://example.org/hooks",
                "https://example.org/blog/post/x",
                "https://example.org/blog/post/x",
            ),
        ] {
            assert_eq!(shown(public_url, text), want);
        }
    }

    #[test]
    fn what_is_no_url_is_nowhere() {
        for text in ["", "proxy.example", "https://", "https:///post"] {
            assert_eq!(OwnUrl::parse(text), None, "{text}");
        }
    }

    /// Pieces from which every spelling, and what only looks like one, is put together.
    fn text() -> impl Strategy<Value = String> {
        let pieces = [
            "proxy.example",
            "PROXY.example",
            "https://",
            "http:",
            "/",
            "\\",
            "post",
            "po",
            "st",
            ":",
            "443",
            "8443",
            ".",
            "..",
            "hooks",
            "?",
            "@",
            " ",
            "\n",
            "(",
            "é",
            "\u{200B}",
            "#",
        ];
        let piece = proptest::sample::select(pieces.to_vec());
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn breaks_alone_are_added_and_none_is_left_to_add(
            text in text(),
            public_url in proptest::sample::select(vec!["https://proxy.example", "http://proxy.example:8443/hooks"]),
        ) {
            let own = OwnUrl::parse(public_url).unwrap();
            if let Some(defused) = own.defused(&text) {
                prop_assert!(!own.is_in(&defused));
                prop_assert_ne!(&defused, &text);
                prop_assert_eq!(defused.replace(BREAK, ""), text.replace(BREAK, ""));
            }
        }

        #[test]
        fn no_word_keeps_both_host_and_post(text in text()) {
            let own = OwnUrl::parse("https://proxy.example").unwrap();
            let defused = own.defused(&text).unwrap_or(text);
            for word in defused.split(ends_url) {
                let word = word.to_ascii_lowercase().replace('\\', "/");
                for start in ["https://proxy.example/", "https://proxy.example:443/"] {
                    if let Some(path) = word.strip_prefix(start) {
                        prop_assert!(!format!("/{path}").contains("/post/"), "{word}");
                    }
                }
            }
        }

        #[test]
        fn any_text_is_taken(text in any::<String>()) {
            let own = OwnUrl::parse("https://proxy.example").unwrap();
            prop_assert_eq!(own.defused(&text).is_some(), own.is_in(&text));
        }
    }
}
