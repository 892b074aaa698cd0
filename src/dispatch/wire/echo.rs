//! PURE: answers without our own credential, so that no code or id made of one holds it (threats.md E7).

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use memchr::memmem::Finder;

/// A shorter credential would be found by accident, and no platform makes one.
const MIN_CREDENTIAL_BYTES: usize = 8;

/// What finds the credential of a value of `Authorization`, if it is one to look for.
pub(super) fn finder(authorization: &HeaderValue) -> Option<Finder<'static>> {
    let value = authorization.as_bytes();
    let start = value.iter().position(|&b| b == b' ').map_or(0, |at| at + 1);
    let credential = value.get(start..).unwrap_or_default();
    (credential.len() >= MIN_CREDENTIAL_BYTES).then(|| Finder::new(credential).into_owned())
}

/// The body with every echo of the credential starred out.
pub(super) fn without(body: Bytes, credential: &Finder<'_>) -> Bytes {
    if credential.find(&body).is_none() {
        return body;
    }
    let mut clean = BytesMut::from(&*body);
    for at in credential.find_iter(&body) {
        if let Some(echo) = clean.get_mut(at..at + credential.needle().len()) {
            echo.fill(b'*');
        }
    }
    clean.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E7.
    #[test]
    fn an_echo_of_the_credential_is_starred_out() {
        let credential = finder(&HeaderValue::from_static("Bearer canary-01")).unwrap();
        let clean = |body: &'static str| without(Bytes::from_static(body.as_bytes()), &credential);
        assert_eq!(
            clean("a canary-01, canary-01canary-01"),
            "a *********, ******************"
        );
        assert_eq!(clean("canary-0"), "canary-0");
        assert_eq!(clean(""), "");
    }

    #[test]
    fn what_would_be_found_by_accident_is_not_looked_for() {
        assert!(finder(&HeaderValue::from_static("Bearer aa")).is_none());
        assert!(finder(&HeaderValue::from_static("")).is_none());
        let bare = finder(&HeaderValue::from_static("canary-01")).unwrap();
        assert_eq!(bare.needle(), b"canary-01");
    }
}
