//! A programmable HTTP/1.1 server on a real socket: it records what it is asked and answers what the test says.

use std::collections::HashMap;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use super::encoding::form_decode;
use super::reply::{Gate, Reply, Then};
use super::wire::{self, Headers};
use super::{DEADLINE, Ledger};

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query, byte for byte.
    pub target: String,
    pub version: String,
    pub headers: Headers,
    pub body: Vec<u8>,
    /// Counts connections from 0: equal numbers mean the same connection.
    pub connection: usize,
}

impl Request {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The query, decoded.
    pub fn query(&self) -> Vec<(String, String)> {
        form_decode(self.target.split_once('?').map_or("", |(_, query)| query))
    }

    pub fn param(&self, name: &str) -> Option<String> {
        self.query()
            .into_iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("request body is not JSON ({error}): {}", self.text()))
    }

    /// The body as form fields.
    pub fn form(&self) -> Vec<(String, String)> {
        form_decode(&self.text())
    }
}

type Handler = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

struct Shared {
    handler: Handler,
    requests: Ledger<Request>,
    faults: Ledger<String>,
    connections: AtomicUsize,
    tls: Option<Arc<ServerConfig>>,
}

/// The server. Dropping it ends its threads, and fails the test if somebody sent malformed HTTP.
pub struct Upstream {
    shared: Arc<Shared>,
    addr: SocketAddr,
    running: Mutex<Option<Running>>,
}

impl Upstream {
    pub fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(None, handler)
    }

    /// Answers in this order; the last reply repeats.
    pub fn script(replies: Vec<Reply>) -> Self {
        let next = AtomicUsize::new(0);
        Self::start(move |_| {
            replies[next.fetch_add(1, Ordering::SeqCst).min(replies.len() - 1)].clone()
        })
    }

    pub fn start_with(
        tls: Option<Arc<ServerConfig>>,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            requests: Ledger::default(),
            faults: Ledger::default(),
            connections: AtomicUsize::new(0),
            tls,
        });
        let running = Running::start(&shared, "127.0.0.1:0".parse().unwrap());
        Self {
            shared,
            addr: running.addr,
            running: Mutex::new(Some(running)),
        }
    }

    /// A loopback address where nothing listens: port 1 is below every ephemeral range, so no test can be given it.
    pub fn refused_addr() -> SocketAddr {
        "127.0.0.1:1".parse().unwrap()
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:port`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.all()
    }

    /// Waits until `n` requests have arrived (not: been answered) and returns all of them.
    #[track_caller]
    pub fn wait_for(&self, n: usize) -> Vec<Request> {
        self.wait_for_within(n, DEADLINE)
    }

    #[track_caller]
    pub fn wait_for_within(&self, n: usize, limit: Duration) -> Vec<Request> {
        let seen = self.shared.requests.wait_for(n, limit);
        assert!(
            seen.len() >= n,
            "waited for {n} requests, saw {}",
            seen.len()
        );
        seen
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Malformed requests so far; taking them keeps the drop quiet.
    pub fn take_faults(&self) -> Vec<String> {
        self.shared.faults.take()
    }

    /// Closes the listener and every connection: connects are refused until `up`. What was recorded stays.
    pub fn down(&self) {
        drop(self.lock().take());
    }

    /// Listens on the same port again.
    pub fn up(&self) {
        let mut running = self.lock();
        if running.is_none() {
            *running = Some(Running::start(&self.shared, self.addr));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.down();
        let faults = self.take_faults();
        assert!(
            faults.is_empty() || std::thread::panicking(),
            "an upstream was sent malformed requests: {faults:?}"
        );
    }
}

type Sockets = Arc<Mutex<HashMap<usize, TcpStream>>>;

/// One span of listening, from `up` to `down`.
struct Running {
    addr: SocketAddr,
    stop: Gate,
    sockets: Sockets,
    acceptor: Option<JoinHandle<()>>,
}

impl Running {
    fn start(shared: &Arc<Shared>, addr: SocketAddr) -> Self {
        let listener = TcpListener::bind(addr).expect("cannot bind a loopback port");
        let addr = listener.local_addr().unwrap();
        let (stop, sockets) = (Gate::new(), Sockets::default());
        let acceptor = {
            let (shared, stop, sockets) = (shared.clone(), stop.clone(), sockets.clone());
            std::thread::spawn(move || accept(&listener, &shared, &stop, &sockets))
        };
        Self {
            addr,
            stop,
            sockets,
            acceptor: Some(acceptor),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.open();
        // Wakes the acceptor, which then sees that it has to stop.
        drop(TcpStream::connect_timeout(&self.addr, DEADLINE));
        for socket in self
            .sockets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
        {
            socket.shutdown(Shutdown::Both).ok();
        }
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().ok();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, stop: &Gate, sockets: &Sockets) {
    let mut workers = Vec::new();
    for socket in listener.incoming().map_while(Result::ok) {
        let handle = socket.try_clone().expect("cannot clone a socket");
        let (shared, stop, sockets) = (shared.clone(), stop.clone(), sockets.clone());
        {
            // Under the lock, so that a socket is either refused here or found and shut by `drop`.
            let mut open = sockets.lock().unwrap_or_else(PoisonError::into_inner);
            if stop.is_open() {
                break;
            }
            let id = shared.connections.fetch_add(1, Ordering::SeqCst);
            open.insert(id, handle);
            drop(open);
            workers.push(std::thread::spawn(move || {
                Worker {
                    shared,
                    stop,
                    sockets,
                    id,
                }
                .run(socket)
            }));
        }
        workers.retain(|worker| !worker.is_finished());
    }
    for socket in sockets
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .values()
    {
        socket.shutdown(Shutdown::Both).ok();
    }
    workers.into_iter().for_each(|worker| drop(worker.join()));
}

struct Worker {
    shared: Arc<Shared>,
    stop: Gate,
    sockets: Sockets,
    id: usize,
}

impl Worker {
    fn run(self, socket: TcpStream) {
        socket.set_nodelay(true).ok();
        let socket = Holdback {
            socket,
            held: false,
        };
        let (then, mut socket) = match self.shared.tls.clone() {
            None => {
                let mut reader = BufReader::new(socket);
                (self.serve(&mut reader), reader.into_inner())
            }
            Some(config) => {
                let session =
                    ServerConnection::new(config).expect("a TLS configuration that starts");
                let mut reader = BufReader::new(StreamOwned::new(session, socket));
                let then = self.serve(&mut reader);
                let mut stream = reader.into_inner();
                if !matches!(then, Ok(Then::Reset)) {
                    stream.conn.send_close_notify();
                    stream.flush().ok();
                }
                (then, stream.sock)
            }
        };
        // The clone kept for `down` would keep the connection open, so it goes first.
        self.sockets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
        match then {
            // Linux answers a close with unread input by RST, and the held byte is unread.
            Ok(Then::Reset) => {}
            Err(error) if error.kind() == ErrorKind::InvalidData && self.shared.tls.is_none() => {
                self.shared.faults.push(error.to_string());
                socket.release();
            }
            _ => socket.release(),
        }
    }

    fn serve<S: Read + Write>(&self, reader: &mut BufReader<S>) -> io::Result<Then> {
        while let Some(head) = wire::read_head(reader)? {
            let malformed = || {
                io::Error::new(
                    ErrorKind::InvalidData,
                    format!("bad request line: {}", head.line),
                )
            };
            let [method, target, version] = head.line.split(' ').collect::<Vec<_>>()[..] else {
                return Err(malformed());
            };
            if !matches!(version, "HTTP/1.1" | "HTTP/1.0")
                || head.headers.get_all("host").len() != 1
            {
                return Err(malformed());
            }
            if head
                .headers
                .get("expect")
                .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
            {
                reader
                    .get_mut()
                    .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let request = Request {
                method: method.to_owned(),
                target: target.to_owned(),
                version: version.to_owned(),
                body: wire::read_body(reader, &head.headers, false)?,
                headers: head.headers,
                connection: self.id,
            };
            let last = request.version == "HTTP/1.0"
                || request
                    .header("connection")
                    .is_some_and(|value| value.eq_ignore_ascii_case("close"));
            self.shared.requests.push(request.clone());
            let reply = catch_unwind(AssertUnwindSafe(|| (self.shared.handler)(&request)))
                .unwrap_or_else(|_| {
                    self.shared.faults.push(format!(
                        "the handler panicked at {} {}",
                        request.method, request.target
                    ));
                    Reply::status(500)
                });
            match reply.write(reader.get_mut(), &self.stop, request.method == "HEAD")? {
                Then::KeepAlive if !last => {}
                Then::KeepAlive => return Ok(Then::Close),
                then => return Ok(then),
            }
        }
        Ok(Then::Close)
    }
}

/// Leaves the last byte it has handed out unread in the kernel, so that closing can mean RST: std cannot set `SO_LINGER`.
struct Holdback {
    socket: TcpStream,
    held: bool,
}

impl Holdback {
    fn release(&mut self) {
        if std::mem::take(&mut self.held) {
            self.socket.read_exact(&mut [0]).ok();
        }
    }
}

impl Read for Holdback {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.release();
        let n = self.socket.peek(buffer)?;
        if n > 0 {
            self.socket.read_exact(&mut buffer[..n - 1])?;
            self.held = true;
        }
        Ok(n)
    }
}

impl Write for Holdback {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}
