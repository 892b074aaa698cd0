//! Reads a request's body within its cap and its time: to be thrown away, or to be verified byte for byte.

use std::time::Duration;

use actix_web::http::header::{self, HeaderMap};
use actix_web::web;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use super::problem::{Code, Problem};

/// How long a body may take to arrive.
const DEADLINE: Duration = Duration::from_secs(5);

/// What is done with a body.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// The most bytes.
    pub max: usize,
    /// Whether the bytes are kept.
    pub keep: bool,
    /// What is said of one that is larger.
    pub too_large: fn(max: usize) -> String,
}

impl Rules {
    /// A body that is kept.
    pub(super) fn keeping(max: usize) -> Self {
        Self {
            max,
            keep: true,
            too_large: |max| format!("the body is larger than {max} bytes"),
        }
    }
}

/// The body, empty unless the rules keep it.
pub(super) async fn read(
    headers: &HeaderMap,
    mut payload: web::Payload,
    rules: Rules,
) -> Result<Bytes, Problem> {
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_none_or(|length| length == 0) && !headers.contains_key(header::TRANSFER_ENCODING)
    {
        return Ok(Bytes::new());
    }
    let too_large = || Problem::new(Code::BodyTooLarge, (rules.too_large)(rules.max)).closing();
    if declared.is_some_and(|length| length > rules.max as u64) {
        return Err(too_large());
    }
    let read = async {
        let (mut body, mut total) = (BytesMut::new(), 0);
        while let Some(chunk) = payload.next().await {
            let broken = "the body broke off or its framing is wrong";
            let chunk = chunk.map_err(|_| Problem::new(Code::BadRequest, broken).closing())?;
            total += chunk.len();
            if total > rules.max {
                return Err(too_large());
            }
            if rules.keep {
                body.extend_from_slice(&chunk);
            }
        }
        Ok(body.freeze())
    };
    // Boxed: few posts have a body.
    Box::pin(tokio::time::timeout(DEADLINE, read))
        .await
        .unwrap_or_else(|_| {
            let detail = "the body did not arrive within 5 seconds";
            Err(Problem::new(Code::RequestTimeout, detail).closing())
        })
}
