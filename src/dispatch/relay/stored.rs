//! A relayed request as it is stored: a version, then each piece behind its length, and the body byte for byte. The headers
//! include the platform's signature, which says nothing without its secret.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};

use super::RelayRequest;

const VERSION: u8 = 1;

/// The bytes of a request.
pub(super) fn to_bytes(request: &RelayRequest) -> Vec<u8> {
    let mut out = vec![VERSION];
    put(&mut out, request.method.as_str().as_bytes());
    put(&mut out, request.target.as_bytes());
    out.extend(length(request.headers.len()));
    for (name, value) in &request.headers {
        put(&mut out, name.as_str().as_bytes());
        put(&mut out, value.as_bytes());
    }
    out.extend_from_slice(&request.body);
    out
}

/// The request of these bytes; `None` if a later version wrote them, or a fault.
pub(in crate::dispatch) fn from_bytes(bytes: &[u8]) -> Option<RelayRequest> {
    let (&VERSION, mut rest) = bytes.split_first()? else {
        return None;
    };
    let method = Method::from_bytes(take(&mut rest)?).ok()?;
    let target = std::str::from_utf8(take(&mut rest)?).ok()?.to_owned();
    let mut headers = Vec::new();
    for _ in 0..take_length(&mut rest)? {
        let name = HeaderName::from_bytes(take(&mut rest)?).ok()?;
        let value = HeaderValue::from_bytes(take(&mut rest)?).ok()?;
        headers.push((name, value));
    }
    Some(RelayRequest {
        method,
        target,
        headers,
        body: Bytes::copy_from_slice(rest),
    })
}

fn length(of: usize) -> [u8; 4] {
    u32::try_from(of).unwrap_or(u32::MAX).to_le_bytes()
}

fn put(out: &mut Vec<u8>, piece: &[u8]) {
    out.extend(length(piece.len()));
    out.extend_from_slice(piece);
}

fn take_length(rest: &mut &[u8]) -> Option<usize> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    usize::try_from(u32::from_le_bytes(*length)).ok()
}

fn take<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = take_length(rest)?;
    let (piece, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(piece)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request() -> RelayRequest {
        let header = |name, value| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_bytes(value).unwrap())
        };
        RelayRequest {
            method: Method::POST,
            target: "/no-auth/provider-action/slack-events?a=%2F".to_owned(),
            headers: vec![
                header("x-slack-signature", b"v0=00"),
                header("x-twice", b"one"),
                header("x-twice", b"tw\xf6"),
                header("x-empty", b""),
            ],
            body: Bytes::from_static(b"{\"a\":\"\xff\0\"}\r\n"),
        }
    }

    #[test]
    fn a_request_is_read_back_byte_for_byte() {
        let request = request();

        assert_eq!(from_bytes(&to_bytes(&request)), Some(request));
    }

    /// P-6: what another version wrote is not guessed at.
    #[test]
    fn another_version_and_a_part_are_no_request() {
        let bytes = to_bytes(&request());
        let head = bytes.len() - request().body.len();
        let mut newer = bytes.clone();
        newer[0] = VERSION + 1;

        assert_eq!(from_bytes(&newer), None);
        assert!((0..head).all(|end| from_bytes(&bytes[..end]).is_none()));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(mut bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            drop(from_bytes(&bytes));
        }
    }
}
