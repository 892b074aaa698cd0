//! The heads of the last requests, ready to be sent again: most posts differ from the one before in their body alone,
//! and making a head was a twentieth of what a delivered post costs.
//!
//! What is kept is only memory of what a call says anyway; it must not decide what is sent.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::HeaderValue;
use http::{Method, Uri};
use memchr::memmem::Finder;

use super::echo;
use crate::backends::wire::Call;
use crate::dispatch::exchange::Origin;

/// Few platforms and webhooks are posted to at once; a head that was forgotten is made again.
const MAX_KEPT: usize = 8;
/// The last line of a head, and its end: the name of `Content-Length` and the most digits of a number.
const LAST_BYTES: usize = 40;

/// Heads of one client, the latest first.
pub(super) struct Heads {
    kept: RefCell<Vec<Kept>>,
    agent: &'static str,
}

/// What calls to one address with one credential have in common.
#[derive(Clone)]
pub(super) struct Head {
    /// Where they go.
    pub to: Origin,
    /// All lines but that of the body's length.
    lines: Bytes,
    /// Whether a body is expected, so that even an empty one has a length (RFC 9110, 8.6).
    has_body: bool,
    /// Finds the credential in an answer.
    pub echo: Option<Rc<Finder<'static>>>,
}

struct Kept {
    head: Head,
    method: Method,
    uri: Uri,
    authorization: Option<HeaderValue>,
    content_type: Option<&'static str>,
}

impl Heads {
    /// Heads of requests that name this client so.
    pub(super) fn new(agent: &'static str) -> Self {
        Self {
            kept: RefCell::default(),
            agent,
        }
    }

    /// The head of a call: the one that is kept, or a new one; `None` if its address is none.
    pub(super) fn of(&self, call: &Call<'_>) -> Option<Head> {
        let mut kept = self.kept.borrow_mut();
        if let Some(at) = kept.iter().position(|kept| kept.is_of(call)) {
            if let Some(before) = kept.get_mut(..=at) {
                before.rotate_right(1);
            }
        } else {
            let new = Kept {
                head: Head::new(call, self.agent)?,
                method: call.method.clone(),
                uri: call.uri.clone(),
                authorization: call.authorization.cloned(),
                content_type: call.content_type,
            };
            kept.truncate(MAX_KEPT - 1);
            kept.insert(0, new);
        }
        kept.first().map(|kept| kept.head.clone())
    }
}

impl Head {
    fn new(call: &Call<'_>, agent: &str) -> Option<Self> {
        let mut lines = BytesMut::with_capacity(512);
        let path = call.uri.path_and_query().map_or("/", |path| path.as_str());
        // A query alone is a URL, but no request target.
        let root = if path.starts_with('/') { "" } else { "/" };
        lines.extend_from_slice(format!("{} {root}{path} HTTP/1.1\r\n", call.method).as_bytes());
        let mut line = |name: &str, value: &[u8]| {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                lines.extend_from_slice(part);
            }
        };
        line("host", host(call.uri)?.as_bytes());
        line("user-agent", agent.as_bytes());
        line("accept", b"application/json");
        // Without it every coding is welcome (RFC 9110, 12.5.3).
        line("accept-encoding", b"identity");
        if let Some(authorization) = call.authorization {
            line("authorization", authorization.as_bytes());
        }
        if let Some(content_type) = call.content_type {
            line("content-type", content_type.as_bytes());
        }
        Some(Self {
            to: Origin::of(call.uri)?,
            lines: lines.freeze(),
            has_body: !matches!(call.method, Method::GET | Method::HEAD | Method::DELETE),
            echo: call.authorization.and_then(echo::finder).map(Rc::new),
        })
    }

    /// The whole request with this body.
    pub(super) fn with(&self, body: &[u8]) -> BytesMut {
        let mut request = BytesMut::with_capacity(self.lines.len() + LAST_BYTES + body.len());
        request.put_slice(&self.lines);
        if self.has_body || !body.is_empty() {
            request.put_slice(b"content-length: ");
            request.put_slice(itoa::Buffer::new().format(body.len()).as_bytes());
            request.put_slice(b"\r\n");
        }
        request.put_slice(b"\r\n");
        request.put_slice(body);
        request
    }
}

impl Kept {
    /// Whether a call has this head, byte for byte.
    fn is_of(&self, call: &Call<'_>) -> bool {
        self.method == call.method
            && is_same(&self.uri, call.uri)
            && self.authorization.as_ref() == call.authorization
            && self.content_type == call.content_type
    }
}

/// The spelling, too: that of an authority may differ and mean the same, but why should it.
fn is_same(one: &Uri, other: &Uri) -> bool {
    one.path_and_query().map(|p| p.as_str()) == other.path_and_query().map(|p| p.as_str())
        && one.authority().map(|a| a.as_str()) == other.authority().map(|a| a.as_str())
        && one.scheme_str() == other.scheme_str()
}

/// The value of `Host`: the port only where it is not the scheme's own (RFC 9110, 7.2).
fn host(uri: &Uri) -> Option<String> {
    let host = uri.host()?;
    Some(match (uri.scheme_str(), uri.port_u16()) {
        (_, None) | (Some("http"), Some(80)) | (Some("https"), Some(443)) => host.to_owned(),
        (_, Some(port)) => format!("{host}:{port}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads() -> Heads {
        Heads::new("message-webhook-proxy/test")
    }

    /// Whether the head had to be made: its lines are at none of the places where those of the others are.
    fn made(heads: &Heads, call: &Call<'_>) -> bool {
        let before: Vec<Bytes> = heads
            .kept
            .borrow()
            .iter()
            .map(|k| k.head.lines.clone())
            .collect();
        let lines = heads.of(call).unwrap().lines;
        before.iter().all(|kept| kept.as_ptr() != lines.as_ptr())
    }

    #[test]
    fn only_a_call_that_differs_in_its_body_alone_has_the_same_head() {
        let heads = heads();
        let uri = |text: &'static str| Uri::from_static(text);
        let (here, there) = (uri("http://chat:8065/a?b"), uri("http://chat:8065/a?c"));
        let (secure, other) = (uri("https://chat:8065/a?b"), uri("http://chat:8066/a?b"));
        let one = HeaderValue::from_static("Bearer 1");
        let two = HeaderValue::from_static("Bearer 2");
        let post = |uri, authorization, body| Call::post_json(uri, authorization, body);

        assert!(made(&heads, &post(&here, Some(&one), Bytes::new())));

        assert!(!made(&heads, &post(&here, Some(&one), "{}".into())));
        for uri in [&there, &secure, &other] {
            assert!(made(&heads, &post(uri, Some(&one), Bytes::new())), "{uri}");
        }
        assert!(made(&heads, &post(&here, Some(&two), Bytes::new())));
        assert!(made(&heads, &post(&here, None, Bytes::new())));
        assert!(made(
            &heads,
            &Call::post_form(&here, Some(&one), Bytes::new())
        ));
        assert!(made(&heads, &Call::get(&here, Some(&one))));
        assert!(!made(&heads, &post(&here, Some(&one), Bytes::new())));
    }

    #[test]
    fn few_are_kept_the_latest_among_them() {
        let heads = heads();
        let uris: Vec<Uri> = (0..MAX_KEPT + 1)
            .map(|n| format!("http://chat/{n}").parse().unwrap())
            .collect();
        let call = |n: usize| Call::get(&uris[n], None);
        (0..MAX_KEPT).for_each(|n| assert!(made(&heads, &call(n))));

        assert!(!made(&heads, &call(0)), "now the latest");
        assert!(made(&heads, &call(MAX_KEPT)), "instead of the oldest, 1");

        assert!(!made(&heads, &call(0)));
        assert!(made(&heads, &call(1)));
        assert_eq!(heads.kept.borrow().len(), MAX_KEPT);
    }

    #[test]
    fn the_host_has_a_port_only_if_it_is_not_the_schemes() {
        for (uri, want) in [
            ("http://chat/a", "chat"),
            ("http://chat:8065/a", "chat:8065"),
            ("http://chat:80/a", "chat"),
            ("https://chat:443", "chat"),
            ("https://chat:80", "chat:80"),
            ("http://chat:443", "chat:443"),
            ("http://[::1]:8065", "[::1]:8065"),
        ] {
            assert_eq!(host(&Uri::from_static(uri)).unwrap(), want);
        }
    }
}
