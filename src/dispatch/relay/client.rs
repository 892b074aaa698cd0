//! The exchange with the internal API: raw bytes both ways, at most one connection's worth of trust.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use awc::error::{ConnectError, PayloadError, SendRequestError};
use awc::{Client, ClientResponse, Connector};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use http::header::{self, HeaderName, HeaderValue};
use http::{Uri, Version};
use tokio::time::{Instant, timeout_at};

use super::{RelayAnswer, RelayError, RelayRequest, end_to_end};
use crate::clock::Clock;
use crate::dispatch::exchange::{Connect, connect_timeout};
use crate::dispatch::wire::{ClientSettings, asked};

/// The most of an answer that is passed on; a modal of Slack or a card of Teams has some 100 KB at most.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Below the idle timeouts of usual servers (60 s), so that we close first.
const IDLE: Duration = Duration::from_secs(30);
/// Requests at once per worker.
const MAX_AT_ONCE: usize = 2048;

/// A worker's client of the internal API: awc, with no redirects and no decompression.
pub(in crate::dispatch) struct RelayClient {
    client: RefCell<Client>,
    settings: ClientSettings,
    clock: Arc<dyn Clock>,
}

impl RelayClient {
    pub(in crate::dispatch) fn new(settings: &ClientSettings, clock: Arc<dyn Clock>) -> Self {
        Self {
            client: RefCell::new(client(settings)),
            settings: settings.clone(),
            clock,
        }
    }

    /// Sends a request to the internal API and reads the answer, or what there is of it when the time is over.
    pub(super) async fn send(
        &self,
        request: &RelayRequest,
        uri: &Uri,
        time: Duration,
    ) -> Result<RelayAnswer, RelayError> {
        let until = Instant::from(self.clock.now() + time);
        let client = self.client.borrow().clone();
        // With it, awc adds an Accept-Encoding that the sender has not sent.
        let mut call = client.request(request.method.clone(), uri).no_decompress();
        for (name, value) in &request.headers {
            call.headers_mut().append(name.clone(), value.clone());
        }
        let sent = timeout_at(until, call.send_body(request.body.clone())).await;
        let sent = sent.map_err(|_| RelayError::TimedOut)?;
        let mut response = sent.map_err(|error| without_answer(&error))?;
        self.renew_after(&response);
        if response.status().is_informational() {
            return Err(RelayError::Unusable);
        }
        let read = timeout_at(until, read(&mut response)).await;
        let (body, cut) = match read.unwrap_or(Err(RelayError::TimedOut)) {
            Ok(body) => (body, None),
            Err(error) => (Bytes::new(), Some(error)),
        };
        Ok(RelayAnswer {
            status: response.status().as_u16(),
            headers: without_origin(end_to_end(response.headers()), uri),
            retry_after: asked(response.status().as_u16(), response.headers(), || {
                self.clock.unix()
            }),
            body,
            cut,
        })
    }

    /// Begins with new connections if this answer has left something behind on its own.
    fn renew_after<S>(&self, response: &ClientResponse<S>) {
        if leaves_more(response) {
            // awc has put the connection back already, and the next request would take the rest for its answer.
            self.client.replace(client(&self.settings));
        }
    }
}

/// A client with no connection yet.
fn client(settings: &ClientSettings) -> Client {
    let connector = match &settings.tls {
        Some(tls) => Connector::new().rustls_0_23(Arc::clone(tls)),
        None => Connector::new(),
    }
    .connector(Connect::new())
    .timeout(connect_timeout(settings.timeout))
    .handshake_timeout(connect_timeout(settings.timeout))
    .conn_keep_alive(IDLE)
    .conn_lifetime(Duration::from_secs(600))
    .limit(MAX_AT_ONCE.min(settings.max_open));
    Client::builder()
        .connector(connector)
        .disable_redirects()
        .disable_timeout()
        .no_default_headers()
        .finish()
}

/// Whether more may follow on this connection than awc reads: the answer after an interim one (RFC 9110, 15.2),
/// or a body that ends with the connection (RFC 9112, 6.3), which awc takes for none.
fn leaves_more<S>(response: &ClientResponse<S>) -> bool {
    let status = response.status();
    let bodiless = matches!(status.as_u16(), 204 | 304);
    status.is_informational() || !(bodiless || is_framed(response))
}

/// Whether the answer says where its body ends.
fn is_framed<S>(response: &ClientResponse<S>) -> bool {
    response.headers().contains_key(header::CONTENT_LENGTH)
        || response.headers().contains_key(header::TRANSFER_ENCODING)
}

/// What a client error says about the request: surely not carried out, or unknown.
fn without_answer(error: &SendRequestError) -> RelayError {
    match error {
        // awc says so when the peer closes instead of answering.
        SendRequestError::Connect(ConnectError::Disconnected) => RelayError::Unusable,
        SendRequestError::Connect(_) | SendRequestError::Url(_) | SendRequestError::Http(_) => {
            RelayError::Unreachable
        }
        _ => RelayError::Unusable,
    }
}

/// The whole body. awc does not tell when a body breaks off, so it is measured; one in chunks that breaks off passes for
/// whole.
async fn read<S>(response: &mut ClientResponse<S>) -> Result<Bytes, RelayError>
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
            _ => return Err(RelayError::Unusable),
        }
    }
    let is_bodiless = matches!(response.status().as_u16(), 204 | 304);
    let is_whole = is_bodiless || announced.is_none_or(|length| length == body.len());
    match is_readable && is_whole {
        true => Ok(body.freeze()),
        false => Err(RelayError::Unusable),
    }
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
