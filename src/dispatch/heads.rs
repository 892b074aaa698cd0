//! The heads of the last requests, ready to be sent again: most posts differ from the one before in their body alone,
//! and making a head was a twentieth of what a delivered post costs.
//!
//! What is kept is only memory of what a call says anyway; it must not decide what is sent.

use std::cell::RefCell;
use std::rc::Rc;

use awc::error::FreezeRequestError;
use awc::{ClientRequest, FrozenClientRequest};
use http::Uri;
use http::header::{self, HeaderValue};
use memchr::memmem::Finder;

use super::echo;
use crate::backends::wire::{Call, WireError};

/// Few platforms and webhooks are posted to at once; a head that was forgotten is made again.
const MAX_KEPT: usize = 8;

/// Heads of one client, the latest first.
#[derive(Default)]
pub(super) struct Heads(RefCell<Vec<Kept>>);

/// What calls to one address with one credential have in common.
#[derive(Clone)]
pub(super) struct Head {
    /// Everything but the body.
    pub request: FrozenClientRequest,
    /// Finds the credential in an answer.
    pub echo: Option<Rc<Finder<'static>>>,
}

struct Kept {
    head: Head,
    authorization: Option<HeaderValue>,
    content_type: Option<&'static str>,
}

impl Heads {
    /// The head of a call: the one that is kept, or a new one, of a request with its method and address.
    pub(super) fn of(
        &self,
        call: &Call<'_>,
        request: impl FnOnce() -> ClientRequest,
    ) -> Result<Head, WireError> {
        let mut kept = self.0.borrow_mut();
        if let Some(at) = kept.iter().position(|kept| kept.is_of(call)) {
            if let Some(before) = kept.get_mut(..=at) {
                before.rotate_right(1);
            }
        } else {
            let new = Kept {
                head: Head::new(call, request())?,
                authorization: call.authorization.cloned(),
                content_type: call.content_type,
            };
            kept.truncate(MAX_KEPT - 1);
            kept.insert(0, new);
        }
        let first = kept.first().map(|kept| kept.head.clone());
        first.ok_or(WireError::Connect)
    }

    /// The client of these heads is used no more.
    pub(super) fn forget(&self) {
        self.0.borrow_mut().clear();
    }
}

impl Head {
    fn new(call: &Call<'_>, request: ClientRequest) -> Result<Self, WireError> {
        let mut request = request.insert_header((header::ACCEPT, "application/json"));
        // awc would write it anew for every request.
        if let Some(host) = host(call.uri) {
            request = request.insert_header((header::HOST, host));
        }
        if let Some(authorization) = call.authorization {
            request = request.insert_header((header::AUTHORIZATION, authorization.clone()));
        }
        if let Some(content_type) = call.content_type {
            request = request.insert_header((header::CONTENT_TYPE, content_type));
        }
        Ok(Self {
            request: request.freeze().map_err(not_sent)?,
            echo: call.authorization.and_then(echo::finder).map(Rc::new),
        })
    }
}

impl Kept {
    /// Whether a call has this head, byte for byte.
    fn is_of(&self, call: &Call<'_>) -> bool {
        self.head.request.get_method() == call.method
            && is_same(self.head.request.get_uri(), call.uri)
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
fn host(uri: &Uri) -> Option<HeaderValue> {
    let host = uri.host()?;
    let text = match (uri.scheme_str(), uri.port_u16()) {
        (_, None) | (Some("http"), Some(80)) | (Some("https"), Some(443)) => host.to_owned(),
        (_, Some(port)) => format!("{host}:{port}"),
    };
    HeaderValue::try_from(text).ok()
}

/// A request that cannot be made was not sent.
fn not_sent(_: FreezeRequestError) -> WireError {
    WireError::Connect
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};
    use crate::dispatch::{ClientSettings, HttpWire};
    use bytes::Bytes;
    use std::sync::Arc;
    use std::time::Duration;

    fn made(heads: &Heads, call: &Call<'_>) -> bool {
        let settings = ClientSettings {
            timeout: Duration::from_secs(1),
            tls: None,
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let now = clock.now();
        let client = HttpWire::new(&settings, clock, now).client();
        let mut is_new = false;
        let request = || {
            is_new = true;
            client.request(call.method.clone(), call.uri)
        };
        heads.of(call, request).unwrap();
        is_new
    }

    #[test]
    fn only_a_call_that_differs_in_its_body_alone_has_the_same_head() {
        let heads = Heads::default();
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
        let heads = Heads::default();
        let uris: Vec<Uri> = (0..MAX_KEPT + 1)
            .map(|n| format!("http://chat/{n}").parse().unwrap())
            .collect();
        let call = |n: usize| Call::get(&uris[n], None);
        (0..MAX_KEPT).for_each(|n| assert!(made(&heads, &call(n))));

        assert!(!made(&heads, &call(0)), "now the latest");
        assert!(made(&heads, &call(MAX_KEPT)), "instead of the oldest, 1");

        assert!(!made(&heads, &call(0)));
        assert!(made(&heads, &call(1)));
        assert_eq!(heads.0.borrow().len(), MAX_KEPT);
        heads.forget();
        assert!(made(&heads, &call(0)));
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
