//! The exchange with the internal API: raw bytes both ways, at most one connection's worth of trust.

use awc::ClientResponse;
use awc::error::PayloadError;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use http::header::{self, HeaderName, HeaderValue};
use http::{Uri, Version};

use super::{RelayAnswer, RelayError, RelayRequest, end_to_end};
use crate::backends::wire::WireError;
use crate::dispatch::wire::{HttpWire, leaves_more, without_answer};

/// The most of an answer that is passed on; a modal of Slack or a card of Teams has some 100 KB at most.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

impl HttpWire {
    /// Sends a request to the internal API and reads the whole answer. The caller keeps the deadline.
    pub(super) async fn relay(
        &self,
        request: &RelayRequest,
        uri: &Uri,
    ) -> Result<RelayAnswer, RelayError> {
        let mut call = self.client().request(request.method.clone(), uri);
        for (name, value) in &request.headers {
            call.headers_mut().append(name.clone(), value.clone());
        }
        let sent = call.send_body(request.body.clone()).await;
        let mut response = sent.map_err(|error| match without_answer(&error) {
            WireError::Connect | WireError::Resolve | WireError::OffLimits | WireError::Tls => {
                RelayError::Unreachable
            }
            WireError::NoAnswer => RelayError::Unusable,
        })?;
        self.renew_after(&response);
        if response.status().is_informational() {
            return Err(RelayError::Unusable);
        }
        let (body, is_whole) = read(&mut response).await;
        Ok(RelayAnswer {
            status: response.status().as_u16(),
            headers: without_origin(end_to_end(response.headers()), uri),
            retry_after: self.retry_after(&response),
            body,
            is_whole,
        })
    }
}

/// The body, and whether that is all of it. awc does not tell when a body breaks off, so it is measured; one in chunks that
/// breaks off passes for whole.
async fn read<S>(response: &mut ClientResponse<S>) -> (Bytes, bool)
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    let length = response.headers().get(header::CONTENT_LENGTH);
    let announced = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    // Of an answer that only the connection's end would end, awc reads no body.
    let is_readable = !leaves_more(response) || response.version() == Version::HTTP_10;
    let mut body = BytesMut::new();
    while let Some(chunk) = response.next().await {
        match chunk {
            Ok(chunk) if body.len() + chunk.len() <= MAX_ANSWER_BYTES => {
                body.extend_from_slice(&chunk);
            }
            _ => return (Bytes::new(), false),
        }
    }
    let is_bodiless = matches!(response.status().as_u16(), 204 | 304);
    let is_whole = is_bodiless || announced.is_none_or(|length| length == body.len());
    (body.freeze(), is_readable && is_whole)
}

/// A redirect of the internal API to itself is passed back as one to the same host, which then is the proxy's: nobody is to
/// learn where the internal API is.
fn without_origin(
    mut headers: Vec<(HeaderName, HeaderValue)>,
    asked: &Uri,
) -> Vec<(HeaderName, HeaderValue)> {
    let named = [header::LOCATION, header::CONTENT_LOCATION];
    for (_, value) in headers.iter_mut().filter(|(name, _)| named.contains(name)) {
        let to = Uri::try_from(value.as_bytes()).ok();
        let own = to.filter(|to| to.authority().is_some() && to.authority() == asked.authority());
        let path = own.as_ref().and_then(Uri::path_and_query);
        if let Some(path) = path.and_then(|path| HeaderValue::try_from(path.as_str()).ok()) {
            *value = path;
        }
    }
    headers
}
