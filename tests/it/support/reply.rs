//! What an `Upstream` answers, well-behaved or not.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A door the test opens when it is ready: the alternative to a sleep. Clones are the same door.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    pub fn is_open(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Whether the gate was open before `limit` passed.
    pub fn wait(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !*open {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            open = self
                .0
                .1
                .wait_timeout(open, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }
}

/// What happens to the connection after the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    KeepAlive,
    Close,
    /// Ends with RST: a peer that crashed.
    Reset,
    /// Stays open and silent until the `Upstream` is dropped.
    Stall,
}

#[derive(Clone, Debug)]
enum Content {
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    Raw(Vec<u8>),
    Drip(Vec<u8>, Duration),
    Endless,
}

/// One reply. Start with a constructor, add with the methods: `Reply::json(200, v).header("Date", d).held(&gate)`.
#[derive(Clone, Debug)]
pub struct Reply {
    content: Content,
    gate: Option<Gate>,
    then: Then,
}

impl Reply {
    fn new(content: Content, then: Then) -> Self {
        Self {
            content,
            gate: None,
            then,
        }
    }

    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self::new(
            Content::Answer {
                status,
                headers: Vec::new(),
                body: Vec::new(),
            },
            Then::KeepAlive,
        )
    }

    pub fn json(status: u16, value: Value) -> Self {
        Self::status(status)
            .header("Content-Type", "application/json")
            .body(value.to_string())
    }

    pub fn text(status: u16, text: &str) -> Self {
        Self::status(status)
            .header("Content-Type", "text/plain; charset=utf-8")
            .body(text)
    }

    pub fn html(status: u16, text: &str) -> Self {
        Self::status(status)
            .header("Content-Type", "text/html")
            .body(text)
    }

    /// These bytes and nothing else, then close; `then` changes what follows.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Content::Raw(bytes.into()), Then::Close)
    }

    /// Takes the request and never answers.
    pub fn stall() -> Self {
        Self::raw("").then(Then::Stall)
    }

    /// Takes the request, then RST.
    pub fn reset_after_request() -> Self {
        Self::raw("").then(Then::Reset)
    }

    /// Takes the request, then FIN.
    pub fn close_after_request() -> Self {
        Self::raw("")
    }

    /// These bytes, one every `every_byte`, then close.
    pub fn drip(bytes: impl Into<Vec<u8>>, every_byte: Duration) -> Self {
        Self::new(Content::Drip(bytes.into(), every_byte), Then::Close)
    }

    /// 200 and chunks of JSON-like text until the peer closes or the `Upstream` is dropped.
    pub fn endless_body() -> Self {
        Self::new(Content::Endless, Then::Close)
    }

    /// Adds a field; `Content-Length` given here is sent instead of the true one. Panics on replies that are bytes.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let Content::Answer { headers, .. } = &mut self.content else {
            panic!("only an answer has fields")
        };
        headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[track_caller]
    fn body(mut self, text: impl Into<Vec<u8>>) -> Self {
        let Content::Answer { body, .. } = &mut self.content else {
            panic!("only an answer has a body")
        };
        *body = text.into();
        self
    }

    /// Is sent only after the test has opened `gate`; the request is recorded before.
    pub fn held(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    pub fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }

    /// Writes the reply and says what to do with the connection. `stop` ends waits of any kind.
    pub fn write(&self, out: &mut dyn Write, stop: &Gate, bodiless: bool) -> io::Result<Then> {
        if let Some(gate) = &self.gate {
            while !gate.wait(Duration::from_millis(20)) {
                if stop.is_open() {
                    return Ok(Then::Close);
                }
            }
        }
        match &self.content {
            Content::Answer {
                status,
                headers,
                body,
            } => {
                let mut bytes = self.head(*status, headers, body.len()).into_bytes();
                bytes.extend(body.iter().filter(|_| !bodiless));
                out.write_all(&bytes)?;
            }
            Content::Raw(bytes) => out.write_all(bytes)?,
            Content::Drip(bytes, every) => {
                for byte in bytes {
                    out.write_all(&[*byte])?;
                    out.flush()?;
                    if stop.wait(*every) {
                        return Ok(Then::Close);
                    }
                }
            }
            Content::Endless => {
                out.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                let chunk = format!("2000\r\n{}\r\n", "[".repeat(0x2000));
                while !stop.is_open() {
                    out.write_all(chunk.as_bytes())?;
                }
            }
        }
        out.flush()?;
        if self.then == Then::Stall {
            // Ends when the server does; a day stands for "never".
            stop.wait(Duration::from_secs(86_400));
        }
        Ok(self.then)
    }

    fn head(&self, status: u16, headers: &[(String, String)], length: usize) -> String {
        let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let framed = |(name, _): &(String, String)| {
            name.eq_ignore_ascii_case("content-length")
                || name.eq_ignore_ascii_case("transfer-encoding")
        };
        if !headers.iter().any(framed) && !matches!(status, 100..=199 | 204 | 304) {
            head.push_str(&format!("Content-Length: {length}\r\n"));
        }
        if self.then != Then::KeepAlive {
            head.push_str("Connection: close\r\n");
        }
        head + "\r\n"
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
