//! PURE: where a request goes: scheme, host and port.

use std::rc::Rc;

use actix_tls::connect::Host;
use http::Uri;

/// A scheme, a host and a port. A clone is the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dispatch) struct Origin {
    /// All three, as text.
    key: Rc<str>,
    /// Without the brackets of an IPv6 address, which no certificate has.
    host: Rc<str>,
    port: u16,
    is_secure: bool,
}

impl Origin {
    /// Of a URL; `None` where it names no server, or asks for another protocol.
    pub(in crate::dispatch) fn of(uri: &Uri) -> Option<Self> {
        let is_secure = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let host = uri.host()?;
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        Some(Self {
            key: format!("{is_secure} {host}:{port}").into(),
            host: bare.unwrap_or(host).into(),
            port,
            is_secure,
        })
    }

    /// What tells it from others.
    pub(super) fn key(&self) -> &Rc<str> {
        &self.key
    }

    /// Whether TLS is spoken there.
    pub(super) fn is_secure(&self) -> bool {
        self.is_secure
    }
}

impl Host for Origin {
    fn hostname(&self) -> &str {
        &self.host
    }

    fn port(&self) -> Option<u16> {
        Some(self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &'static str) -> Option<Origin> {
        Origin::of(&Uri::from_static(url))
    }

    #[test]
    fn a_port_that_is_the_schemes_need_not_be_written() {
        assert_eq!(of("http://chat/a"), of("http://chat:80/b?c"));
        assert_eq!(of("https://chat"), of("https://chat:443"));
        assert_ne!(of("https://chat:80"), of("http://chat"));
        assert_ne!(of("http://chat"), of("http://chat:8065"));
        assert_ne!(of("http://chat"), of("http://chat.example"));
    }

    #[test]
    fn an_address_is_named_without_brackets() {
        let origin = of("https://[::1]:8443/").unwrap();
        assert_eq!((origin.hostname(), origin.port()), ("::1", Some(8443)));
        assert!(origin.is_secure());
    }

    #[test]
    fn what_is_no_server_has_none() {
        assert_eq!(of("/path"), None);
        assert_eq!(of("ftp://chat/"), None);
    }
}
