//! A raw HTTP/1.1 client: it sends exactly the bytes it is given.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use super::DEADLINE;
use super::wire::{self, Headers};

/// An answer, as it came.
#[derive(Clone, Debug)]
pub struct Response {
    pub version: String,
    pub status: u16,
    pub reason: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The status, and the word that says what became of the request: a problem's `code`, else a receipt's `status`.
    #[track_caller]
    pub fn verdict(&self) -> (u16, String) {
        let body = self.json();
        let word = body["code"].as_str().or(body["status"].as_str());
        (self.status, word.unwrap_or_default().to_owned())
    }

    #[track_caller]
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("body is not UTF-8")
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!(
                "body is not JSON ({error}): {}",
                String::from_utf8_lossy(&self.body)
            )
        })
    }
}

/// Talks to one address; every request uses a new connection.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    pub addr: SocketAddr,
}

impl Client {
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr }
    }

    #[track_caller]
    pub fn get(&self, target: impl AsRef<[u8]>) -> Response {
        self.request("GET", target, &[])
    }

    /// A POST without a body and without `Content-Length`, as `curl -X POST` sends it.
    #[track_caller]
    pub fn post(&self, target: impl AsRef<[u8]>) -> Response {
        self.request("POST", target, &[])
    }

    #[track_caller]
    pub fn request(
        &self,
        method: &str,
        target: impl AsRef<[u8]>,
        headers: &[(&str, &str)],
    ) -> Response {
        self.exchange(method, target.as_ref(), headers, None)
    }

    /// The same with a body and its `Content-Length`.
    #[track_caller]
    pub fn send(
        &self,
        method: &str,
        target: impl AsRef<[u8]>,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Response {
        self.exchange(method, target.as_ref(), headers, Some(body.as_ref()))
    }

    /// A POST of JSON with `Content-Type: application/json; charset=utf-8`.
    #[track_caller]
    pub fn post_json(
        &self,
        target: impl AsRef<[u8]>,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Response {
        let mut all = vec![("Content-Type", "application/json; charset=utf-8")];
        all.extend_from_slice(headers);
        self.send("POST", target, &all, body.to_string())
    }

    /// Sends `bytes` and returns what comes back until the peer closes or one answer is complete.
    #[track_caller]
    pub fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut connection = self.connect();
        connection.send(bytes);
        let mut seen = Recording {
            inner: connection.reader.into_inner(),
            seen: Vec::new(),
        };
        let outcome = read_response(&mut BufReader::new(&mut seen), false);
        match outcome {
            Err(error) if is_timeout(&error) => panic!(
                "no complete answer, only {:?}",
                String::from_utf8_lossy(&seen.seen)
            ),
            // A torn or malformed answer is for the test to judge.
            _ => seen.seen,
        }
    }

    #[track_caller]
    pub fn connect(&self) -> Connection {
        let stream = TcpStream::connect_timeout(&self.addr, DEADLINE)
            .unwrap_or_else(|error| panic!("cannot connect to {}: {error}", self.addr));
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection {
            reader: BufReader::new(stream),
        }
    }

    /// Whether anybody accepts connections there.
    pub fn is_refused(&self) -> bool {
        matches!(TcpStream::connect_timeout(&self.addr, DEADLINE), Err(error) if error.kind() == ErrorKind::ConnectionRefused)
    }

    #[track_caller]
    fn exchange(
        &self,
        method: &str,
        target: &[u8],
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Response {
        let given = |name: &str| {
            headers
                .iter()
                .any(|(field, _)| field.eq_ignore_ascii_case(name))
        };
        let mut bytes = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\n"].concat();
        let mut field =
            |name: &str, value: &str| bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        if !given("host") {
            field("Host", &self.addr.to_string());
        }
        if !given("connection") {
            field("Connection", "close");
        }
        headers.iter().for_each(|(name, value)| field(name, value));
        if let Some(body) = body.filter(|_| !given("content-length") && !given("transfer-encoding"))
        {
            field("Content-Length", &body.len().to_string());
        }
        bytes.extend(b"\r\n");
        bytes.extend(body.unwrap_or_default());
        let mut connection = self.connect();
        connection.send(&bytes);
        if method == "HEAD" {
            connection.read_head_response()
        } else {
            connection.read_response()
        }
    }
}

/// One connection, for keep-alive, pipelining and half-sent requests.
pub struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// Sends bytes as they are; `false` if the peer stopped reading first, which an early refusal may do.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        match self.reader.get_mut().write_all(bytes) {
            Ok(()) => true,
            Err(error) if is_gone(&error) => false,
            Err(error) => panic!("cannot send: {error}"),
        }
    }

    /// The next answer; interim (1xx) ones are skipped.
    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        read_response(&mut self.reader, false).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// The next answer when it answers a HEAD, which has no body whatever its fields say.
    #[track_caller]
    pub fn read_head_response(&mut self) -> Response {
        read_response(&mut self.reader, true).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// The next answer, or the error that came instead of it.
    pub fn try_read_response(&mut self) -> io::Result<Response> {
        read_response(&mut self.reader, false)
    }

    pub fn shutdown_write(&mut self) {
        // The peer may have closed already; then there is nothing to shut.
        self.reader.get_mut().shutdown(Shutdown::Write).ok();
    }

    /// Waits for the peer to close: true if it does before sending another byte, false at the deadline.
    pub fn is_closed(&mut self) -> bool {
        match self.reader.read(&mut [0]) {
            Ok(n) => n == 0,
            Err(error) => is_gone(&error),
        }
    }
}

/// Reads one answer; `bodiless` for answers to HEAD.
pub fn read_response(reader: &mut impl io::BufRead, bodiless: bool) -> io::Result<Response> {
    loop {
        let head =
            wire::read_head(reader)?.ok_or_else(|| io::Error::from(ErrorKind::UnexpectedEof))?;
        let mut parts = head.line.splitn(3, ' ');
        let (version, status) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let status: u16 = status
            .parse()
            .map_err(|_| io::Error::new(ErrorKind::InvalidData, head.line.clone()))?;
        if (100..200).contains(&status) && status != 101 {
            continue;
        }
        let empty = bodiless || matches!(status, 101 | 204 | 304);
        let body = if empty {
            Vec::new()
        } else {
            wire::read_body(reader, &head.headers, true)?
        };
        let (version, reason) = (
            version.to_owned(),
            parts.next().unwrap_or_default().to_owned(),
        );
        return Ok(Response {
            version,
            status,
            reason,
            headers: head.headers,
            body,
        });
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
    )
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Keeps every byte that passes.
struct Recording<R> {
    inner: R,
    seen: Vec<u8>,
}

impl<R: Read> Read for Recording<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.seen.extend_from_slice(&buffer[..n]);
        Ok(n)
    }
}
