//! Clients that post one message after the other and write down what they were told.

use std::io::{self, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::checker::{Answer, Position, Sent};
use super::roll::Roll;
use crate::support::client::read_response;
use crate::support::{Ledger, Response, message_path};

/// I8: every request is answered within 25 s; beyond it the client hangs up, and the checker calls it unanswered.
const PATIENCE: Duration = Duration::from_secs(25);

/// Hostile on purpose. No sign that would be a mention, and nothing that the text's way in changes.
const TAILS: [&str; 8] = [
    "\"quoted\" and 'quoted'",
    "100% done, 50%25 and %zz",
    "\u{1F389} \u{1F469}\u{200D}\u{1F692} \u{E9}te\u{301}",
    "first line\nsecond line\n\n\tthird",
    "back\\slash \\n \\u0000 {\"json\": [1]}",
    "a/b//c/../d?e=f#g;h",
    "<b>bold</b> *bold* `code` ~~~",
    " spaces at both ends ",
];

/// The one order of everything that happens. Clones are the same order.
#[derive(Clone, Debug, Default)]
pub struct Order(Arc<AtomicU64>);

impl Order {
    pub fn next(&self) -> Position {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// Where the proxy can be reached now. Each start has a port of its own: an old one may be anybody's meanwhile.
#[derive(Default)]
pub struct Book {
    page: Mutex<Page>,
    turned: Condvar,
}

#[derive(Default)]
struct Page {
    address: Option<SocketAddr>,
    starts: u64,
    closed: bool,
}

impl Book {
    /// The next process listens; returns a position behind every request to the one before.
    pub fn enter(&self, address: SocketAddr, order: &Order) -> Position {
        let mut page = self.lock();
        page.address = Some(address);
        page.starts += 1;
        self.turned.notify_all();
        order.next()
    }

    /// Nothing more is to be sent.
    pub fn close(&self) {
        self.lock().closed = true;
        self.turned.notify_all();
    }

    /// The address of start `at_least` or a later one, its number, and the position at which it held; `None` once
    /// the book is closed.
    fn find(&self, at_least: u64, order: &Order) -> Option<(SocketAddr, u64, Position)> {
        let mut page = self.lock();
        loop {
            match page.address {
                _ if page.closed => return None,
                Some(address) if page.starts >= at_least => {
                    return Some((address, page.starts, order.next()));
                }
                _ => {
                    page = self
                        .turned
                        .wait(page)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Plain,
    /// `wait=0`
    AtOnce,
    /// `wait=1`
    Briefly,
    /// `Prefer: respond-async`
    Async,
    /// `once=…` and `wait=1`; sent again with the same key until it is answered.
    Once,
}

/// What all clients share.
pub struct Clients<'a> {
    pub order: &'a Order,
    pub book: &'a Book,
    pub channels: &'a [String],
    pub manners: &'a [Manner],
    pub secret: &'a str,
    /// What they were told.
    pub sent: &'a Ledger<Sent>,
    /// Answers that are not true or not complete.
    pub lies: &'a Ledger<String>,
}

impl Clients<'_> {
    /// Posts until the book is closed.
    pub fn run(&self, client: usize, mut roll: Roll) {
        let mut start = 0;
        for n in 0_u64.. {
            let channel = roll.pick(self.channels);
            let text = format!("{client}-{n} {:016x} {}", roll.next(), roll.pick(&TAILS));
            let manner = *roll.pick(self.manners);
            loop {
                let Some((address, found, sent_at)) = self.book.find(start, self.order) else {
                    return;
                };
                let response = exchange(address, &self.request(address, manner, channel, &text));
                let (answer, is_over) = response.map_or((Answer::None, true), |response| {
                    self.note(&response, manner)
                });
                self.sent.push(Sent {
                    client,
                    channel: channel.clone(),
                    text: text.clone(),
                    sent_at,
                    answered_at: self.order.next(),
                    answer,
                });
                start = found + u64::from(is_over);
                if manner != Manner::Once || matches!(answer, Answer::Delivered | Answer::Queued) {
                    break;
                }
            }
        }
    }

    /// What an answer says, and whether this process will answer no more.
    fn note(&self, response: &Response, manner: Manner) -> (Answer, bool) {
        let body = String::from_utf8_lossy(&response.body);
        let answer = judge(response).unwrap_or_else(|lie| {
            let status = response.status;
            self.lies
                .push(format!("{lie}: {manner:?}: {status} {body}"));
            Answer::Refused(status)
        });
        let is_over = answer == Answer::Refused(503) && body.contains("shutting-down");
        (answer, is_over)
    }

    fn request(&self, address: SocketAddr, manner: Manner, channel: &str, text: &str) -> String {
        let key = text.split(' ').take(2).collect::<Vec<_>>().join("-");
        let (query, more): (&[(&str, &str)], _) = match manner {
            Manner::Plain => (&[], ""),
            Manner::AtOnce => (&[("wait", "0")], ""),
            Manner::Briefly => (&[("wait", "1")], ""),
            Manner::Async => (&[], "Prefer: respond-async\r\n"),
            Manner::Once => (&[("once", &key), ("wait", "1")], ""),
        };
        let target = message_path(channel, text, query);
        let secret = self.secret;
        format!(
            "POST {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {secret}\r\n{more}\r\n"
        )
    }
}

/// One request on a connection of its own; unlike `support::Client` it lives with a peer that dies.
fn exchange(address: SocketAddr, request: &str) -> io::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    stream.write_all(request.as_bytes())?;
    read_response(&mut BufReader::new(stream), false)
}

/// What an answer says, if all of it says the same (contract, section 1.4).
fn judge(response: &Response) -> Result<Answer, String> {
    const REASONS: [&str; 4] = [
        "async",
        "backend-unavailable",
        "backend-throttled",
        "behind-earlier-messages",
    ];
    let body: serde_json::Value =
        serde_json::from_slice(&response.body).map_err(|error| format!("not JSON ({error})"))?;
    let word = |name: &str| body[name].as_str().unwrap_or_default();
    match response.status {
        200 if word("status") == "delivered" => Ok(Answer::Delivered),
        202 => {
            let location = format!("/deliveries/{}", word("id"));
            if word("status") != "queued" || !REASONS.contains(&word("reason")) {
                Err("a 202 without `queued` and a reason".to_owned())
            } else if response.header("location") != Some(&location) {
                Err("a 202 that does not say where to look".to_owned())
            } else {
                Ok(Answer::Queued)
            }
        }
        // All that can be refused here: a key that is under way, and whatever passes.
        409 if word("code") == "in-progress" => Ok(Answer::Refused(409)),
        503 if !word("code").is_empty() && response.header("retry-after").is_some() => {
            Ok(Answer::Refused(503))
        }
        status => Err(format!("a {status} that nothing explains")),
    }
}
