//! The exchange with the internal API: raw bytes both ways, at most one connection's worth of trust.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::Uri;
use http::header::{self, HeaderName};

use super::{RelayAnswer, RelayError, RelayRequest};
use crate::dispatch::wire::HttpWire;

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
        let mut response = sent.map_err(|_| RelayError::Unreachable)?;
        self.renew_after(&response);
        if response.status().is_informational() {
            return Err(RelayError::Unusable);
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.next().await {
            body.extend_from_slice(&chunk.map_err(|_| RelayError::Unusable)?);
            if body.len() > MAX_ANSWER_BYTES {
                return Err(RelayError::Unusable);
            }
        }
        let headers = response
            .headers()
            .iter()
            .filter(|(name, _)| is_end_to_end(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Ok(RelayAnswer {
            status: response.status().as_u16(),
            headers,
            retry_after: self.retry_after(&response),
            body: Bytes::from(body),
        })
    }
}

/// Whether a header is for the other end rather than for the connection (RFC 9110, 7.6.1). `Content-Length` is
/// written anew from the body.
#[must_use]
pub fn is_end_to_end(name: &HeaderName) -> bool {
    let hop_by_hop = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    !hop_by_hop.contains(name) && !["keep-alive", "proxy-connection"].contains(&name.as_str())
}
