//! URLs that an operator configures or a caller links to.

use http::Uri;

use super::message::is_forbidden;

/// An absolute `http` or `https` URL without credentials.
///
/// `Debug` shows the host alone: a webhook's path is its credential.
#[derive(Clone, PartialEq, Eq)]
pub struct WebUrl {
    text: String,
    host: String,
    https: bool,
}

/// Why a text is no [`WebUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebUrlError {
    /// Not an absolute `http://` or `https://` URL.
    #[error("expected an absolute URL that begins with https:// or http://")]
    NotAbsolute,
    /// `user:password@` before the host.
    #[error("a URL with credentials before the host is not accepted")]
    Credentials,
    /// A space, a control or a character that a URL must escape.
    #[error("a space, control character or bidi override in the URL; percent-encode it")]
    BadCharacter,
}

/// What must be escaped in a URL, and what would make people see another one.
fn is_unsafe(c: char) -> bool {
    c.is_whitespace() || c.is_control() || is_forbidden(c)
}

impl WebUrl {
    /// The longest URL that is accepted, in bytes: Workflows URLs run past 255.
    pub const MAX_BYTES: usize = 4096;

    /// Parses an absolute URL.
    ///
    /// # Errors
    /// [`WebUrlError`] says what was expected.
    pub fn parse(text: &str) -> Result<Self, WebUrlError> {
        if text.chars().any(is_unsafe) {
            return Err(WebUrlError::BadCharacter);
        }
        let (scheme, rest) = text.split_once("://").ok_or(WebUrlError::NotAbsolute)?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(WebUrlError::NotAbsolute),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(WebUrlError::Credentials);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(WebUrlError::NotAbsolute);
        }
        let host = host_of(authority).ok_or(WebUrlError::NotAbsolute)?;
        Ok(Self {
            text: text.to_owned(),
            host,
            https,
        })
    }

    /// The URL as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host, lower case, without port or brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the scheme is `https`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Whether the host is this machine: `localhost`, 127.0.0.0/8 or `::1`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
    }

    /// The same URL without the slashes at its end, for joining paths.
    #[must_use]
    pub fn base(&self) -> &str {
        self.text.trim_end_matches('/')
    }

    /// This URL's base and a path as a request target.
    ///
    /// # Errors
    /// [`WebUrlError::BadCharacter`] when the two together are no URL.
    pub fn join(&self, path: &str) -> Result<Uri, WebUrlError> {
        format!("{}{path}", self.base())
            .parse()
            .map_err(|_| WebUrlError::BadCharacter)
    }

    /// The URL as a request target, byte for byte.
    ///
    /// # Errors
    /// [`WebUrlError::BadCharacter`] when it is no request target.
    pub fn to_uri(&self) -> Result<Uri, WebUrlError> {
        self.text.parse().map_err(|_| WebUrlError::BadCharacter)
    }
}

impl std::fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebUrl({})", self.host)
    }
}

fn host_of(authority: &str) -> Option<String> {
    let parsed: http::uri::Authority = authority.parse().ok()?;
    let host = parsed.host().trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_web_urls_only() {
        for (text, host) in [
            ("https://Chat.example.com/hooks/x?y=%2F", "chat.example.com"),
            ("http://127.0.0.1:8065", "127.0.0.1"),
            ("http://[::1]:80/", "::1"),
        ] {
            assert_eq!(WebUrl::parse(text).unwrap().host(), host);
        }
        for bad in [
            "",
            "chat.example.com",
            "ftp://x/",
            "javascript://x",
            "https://",
            "https:///x",
            "//x",
        ] {
            assert!(WebUrl::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            WebUrl::parse("https://u:p@h/"),
            Err(WebUrlError::Credentials)
        );
        assert_eq!(
            WebUrl::parse("https://h/a b"),
            Err(WebUrlError::BadCharacter)
        );
    }

    #[test]
    fn debug_keeps_the_path_to_itself() {
        let url = WebUrl::parse("https://hooks.slack.com/services/T/B/secret").unwrap();
        assert_eq!(format!("{url:?}"), "WebUrl(hooks.slack.com)");
    }
}
