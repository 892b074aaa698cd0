//! The only outgoing client: one awc client per worker, with every limit in one place.
//!
//! No redirects (they carry credentials away), no decompression (a bomb), no environment proxies, one deadline
//! around connection, request and whole answer, at most as much of an answer as the call asks for.

use std::cell::RefCell;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use awc::error::{ConnectError, PayloadError, SendRequestError};
use awc::{Client, ClientResponse, Connector};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use http::{HeaderName, StatusCode, header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::connect::{Connect, OffLimits};
use super::echo;
use super::heads::Heads;
use crate::backends::Wire;
use crate::backends::wire::{Answer, Call, WireError};
use crate::clock::Clock;

/// The longest wait that a platform may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// How many requests a limit still lets through, and the seconds until it lets all of them through
/// (reference/mattermost.md 7).
static REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
static RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// More seconds than any limit takes: what else goes by the name of `X-Ratelimit-Reset` is a time stamp.
const A_TIME_STAMP: u64 = 1_000_000_000;
/// Below the idle timeout of Mattermost (60 s), so that we close first.
const IDLE: Duration = Duration::from_secs(30);
/// Requests at once per worker. A hung platform holds one for `UPSTREAM_TIMEOUT`; others still get through.
const MAX_AT_ONCE: usize = 2048;
/// How this program names itself to platforms; also how it knows another of its kind.
pub const PRODUCT: &str = "message-webhook-proxy/";
const USER_AGENT: &str = concat!("message-webhook-proxy/", env!("CARGO_PKG_VERSION"));
/// A proxy refuses posts of another proxy; a person's command is none.
const COMMAND_AGENT: &str = concat!("message-webhook-proxy-cli/", env!("CARGO_PKG_VERSION"));

/// What a worker needs to make its client.
#[derive(Clone)]
pub struct ClientSettings {
    /// The deadline of one call.
    pub timeout: Duration,
    /// TLS: which authorities are trusted; `None` when that could not be read, and then nothing is sent.
    pub tls: Option<Arc<ClientConfig>>,
}

/// Why an extra CA bundle is refused.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read, or is not PEM.
    #[error("cannot read PEM certificates from the file: {0}")]
    Unreadable(rustls::pki_types::pem::Error),
    /// The file holds no certificate.
    #[error("the file holds no certificate (-----BEGIN CERTIFICATE-----)")]
    Empty,
    /// A certificate that TLS cannot use.
    #[error("a certificate in the file is not usable: {0}")]
    Unusable(rustls::Error),
}

/// The public authorities, and those of `UPSTREAM_CA`. Verification cannot be turned off.
///
/// # Errors
/// [`TrustError`] when the bundle is no PEM file with certificates.
pub fn trust(extra_ca: Option<&Path>) -> Result<Arc<ClientConfig>, TrustError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(path) = extra_ca {
        let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(TrustError::Unreadable)?;
        if certificates.is_empty() {
            return Err(TrustError::Empty);
        }
        for certificate in certificates {
            roots.add(certificate).map_err(TrustError::Unusable)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TrustError::Unusable)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A worker's client.
pub struct HttpWire {
    client: RefCell<Client>,
    heads: Heads,
    settings: ClientSettings,
    clock: Arc<dyn Clock>,
    started: Instant,
    agent: &'static str,
}

impl HttpWire {
    /// Makes the client of the worker thread that calls this.
    #[must_use]
    pub fn new(settings: &ClientSettings, clock: Arc<dyn Clock>, started: Instant) -> Self {
        Self {
            client: RefCell::new(client(settings)),
            heads: Heads::default(),
            settings: settings.clone(),
            clock,
            started,
            agent: USER_AGENT,
        }
    }

    /// The same for a command of a person, which may call a proxy.
    #[must_use]
    pub fn for_commands(self) -> Self {
        Self {
            agent: COMMAND_AGENT,
            ..self
        }
    }

    /// How long one call may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// The client, for one request.
    pub(super) fn client(&self) -> Client {
        self.client.borrow().clone()
    }

    /// Begins with new connections if this answer has left something behind on its own.
    pub(super) fn renew_after<S>(&self, response: &ClientResponse<S>) {
        if leaves_more(response) {
            // awc has put the connection back already, and the next request would take the rest for its answer.
            self.client.replace(self::client(&self.settings));
            self.heads.forget();
        }
    }

    async fn exchange(&self, call: Call<'_>) -> Result<Answer, WireError> {
        let head = self.heads.of(&call, || {
            self.client()
                .request(call.method.clone(), call.uri)
                .insert_header((header::USER_AGENT, self.agent))
        })?;
        let mut response = head
            .request
            .send_body(call.body)
            .await
            .map_err(|e| without_answer(&e))?;
        self.renew_after(&response);
        if response.status().is_informational() {
            return Err(WireError::NoAnswer);
        }
        let (body, truncated) = self.read(&mut response, call.max_answer_bytes).await;
        let body = match head.echo {
            Some(credential) => echo::without(body, &credential),
            None => body,
        };
        Ok(Answer {
            status: response.status().as_u16(),
            retry_after: self.retry_after(&response),
            body,
            truncated,
        })
    }

    /// Reads up to the cap, and says whether that is not all: because there is more, or because the body broke off.
    /// What came is kept, since the beginning of an answer may say for sure that a post was taken.
    async fn read<S>(&self, response: &mut ClientResponse<S>, max_bytes: usize) -> (Bytes, bool)
    where
        S: futures_util::Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    {
        let mut body: Option<Bytes> = None;
        let mut whole = BytesMut::new();
        let mut is_cut = false;
        while let Some(chunk) = response.next().await {
            let Ok(mut chunk) = chunk else {
                // Where the connection's end is the body's end, how it ended says nothing; what came is judged.
                is_cut = is_framed(response);
                break;
            };
            let room = max_bytes.saturating_sub(whole.len() + body.as_ref().map_or(0, Bytes::len));
            is_cut = chunk.len() > room;
            chunk.truncate(room);
            match body.take() {
                None if whole.is_empty() => body = Some(chunk),
                first => {
                    whole.extend_from_slice(first.as_deref().unwrap_or_default());
                    whole.extend_from_slice(&chunk);
                }
            }
            if is_cut {
                break;
            }
        }
        (body.unwrap_or_else(|| whole.freeze()), is_cut)
    }

    /// What `Retry-After` of an answer asks for, or else its limit headers, of which there may be several
    /// (reference/mattermost.md 7): used up is one of them, and the longest wait counts.
    pub(super) fn retry_after<S>(&self, response: &ClientResponse<S>) -> Option<Duration> {
        let (status, headers) = (response.status(), response.headers());
        let text = |name| headers.get(name)?.to_str().ok();
        let asked = text(header::RETRY_AFTER)
            .and_then(|asked| retry_after(asked, text(header::DATE), self.clock.unix()));
        asked.or_else(|| {
            let is_used_up = status == StatusCode::TOO_MANY_REQUESTS
                || status.is_success() && headers.get_all(&REMAINING).any(|left| left == "0");
            let resets = headers.get_all(is_used_up.then_some(&RESET)?);
            resets
                .filter_map(|reset| until_reset(reset.to_str().ok()?))
                .max()
        })
    }
}

impl Wire for HttpWire {
    fn call<'a>(&'a self, call: Call<'a>) -> LocalBoxFuture<'a, Result<Answer, WireError>> {
        Box::pin(async move {
            tokio::time::timeout(self.settings.timeout, self.exchange(call))
                .await
                .unwrap_or(Err(WireError::NoAnswer))
        })
    }

    fn print(&self, line: String) -> LocalBoxFuture<'_, std::io::Result<()>> {
        // A blocked terminal must not stop a worker.
        Box::pin(async move {
            let printed = tokio::task::spawn_blocking(move || {
                let mut out = std::io::stdout().lock();
                writeln!(out, "{line}").and_then(|()| out.flush())
            });
            printed
                .await
                .unwrap_or_else(|_| Err(std::io::ErrorKind::Interrupted.into()))
        })
    }

    fn elapsed(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.started)
    }
}

/// A client with no connection yet.
fn client(settings: &ClientSettings) -> Client {
    let connector = match &settings.tls {
        Some(tls) => Connector::new().rustls_0_23(Arc::clone(tls)),
        None => Connector::new(),
    }
    .connector(Connect::new())
    .timeout(settings.timeout.min(Duration::from_secs(5)))
    .handshake_timeout(settings.timeout.min(Duration::from_secs(5)))
    .conn_keep_alive(IDLE)
    .conn_lifetime(Duration::from_secs(600))
    .limit(MAX_AT_ONCE);
    Client::builder()
        .connector(connector)
        .disable_redirects()
        .disable_timeout()
        .no_default_headers()
        .finish()
}

/// Whether more may follow on this connection than awc reads: the answer after an interim one (RFC 9110, 15.2),
/// or a body that ends with the connection (RFC 9112, 6.3), which awc takes for none.
pub(super) fn leaves_more<S>(response: &ClientResponse<S>) -> bool {
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
pub(super) fn without_answer(error: &SendRequestError) -> WireError {
    match error {
        SendRequestError::Connect(connect) => match connect {
            ConnectError::Resolver(error) if error.is::<OffLimits>() => WireError::OffLimits,
            ConnectError::Resolver(_) | ConnectError::NoRecords => WireError::Resolve,
            // awc says so when the peer closes instead of answering.
            ConnectError::Disconnected => WireError::NoAnswer,
            ConnectError::Io(io) if is_tls(io) => WireError::Tls,
            _ => WireError::Connect,
        },
        SendRequestError::Url(_) | SendRequestError::Http(_) => WireError::Connect,
        _ => WireError::NoAnswer,
    }
}

/// rustls reports its errors inside an `io::Error` of this kind.
fn is_tls(error: &std::io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>())
}

/// Reads `Retry-After`: whole or decimal seconds rounded up, or an HTTP-date against the answer's own `Date`
/// (the two clocks may differ). What is unusable is as good as absent.
fn retry_after(value: &str, date: Option<&str>, unix: Duration) -> Option<Duration> {
    let wait = match value.trim().parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => {
            Duration::from_secs_f64(seconds.ceil().min(MAX_RETRY_AFTER.as_secs_f64()))
        }
        Ok(_) => return None,
        Err(_) => {
            let at = httpdate::parse_http_date(value.trim()).ok()?;
            let now = date
                .and_then(|d| httpdate::parse_http_date(d).ok())
                .unwrap_or(std::time::UNIX_EPOCH + unix);
            at.duration_since(now).unwrap_or(Duration::from_secs(1))
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// Reads `X-Ratelimit-Reset`, whole seconds. What is unusable is as good as absent.
fn until_reset(value: &str) -> Option<Duration> {
    let seconds: u64 = value.trim().parse().ok()?;
    let is_wait = (1..A_TIME_STAMP).contains(&seconds);
    is_wait.then(|| Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_seconds_and_no_time_stamp() {
        let secs = |value| until_reset(value).map(|wait| wait.as_secs());

        for (value, want) in [
            ("6", Some(6)),
            (" 1 ", Some(1)),
            ("7200", Some(3600)),
            ("0", None),
            ("-1", None),
            ("1.5", None),
            ("1795242173", None),
            ("", None),
        ] {
            assert_eq!(secs(value), want, "{value}");
        }
    }

    /// F-11 and F-12.
    #[test]
    fn retry_after_in_every_form() {
        let unix = Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        let secs = |value, date| retry_after(value, date, unix).map(|d| d.as_secs());
        for (value, want) in [
            ("30", Some(30)),
            ("0", Some(0)),
            ("1.2", Some(2)),
            ("-5", None),
            ("99999999999", Some(3600)),
            ("soon", None),
            ("", None),
            ("NaN", None),
            ("inf", None),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(1)),
            ("Sun, 06 Nov 2033 08:00:00 GMT", Some(3600)),
        ] {
            assert_eq!(secs(value, None), want, "{value}");
        }
        let skewed = Some("Sun, 06 Nov 1994 08:50:30 GMT");
        assert_eq!(secs("Sun, 06 Nov 1994 08:50:37 GMT", skewed), Some(7));
    }
}
