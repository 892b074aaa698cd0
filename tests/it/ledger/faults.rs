//! One run: clients post, the platform changes its moods, the proxy is stopped and started, and everything that was
//! promised is waited for.
//!
//! Nothing here waits for time to pass: a mood lasts until clients had some answers, or a moment at most, and neither
//! decides what the checker says.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Plan;
use super::chat::Chat;
use super::checker::{History, Position, Signal, Stop};
use super::clients::{Book, Clients, Order};
use super::roll::Roll;
use crate::support::proxy::Setup;
use crate::support::{Folder, Ledger, Proxy, percent_encode, unique};

const CLIENTS: usize = 7;
const CHANNELS: usize = 5;
/// Answers, and the time without them, that a mood lasts at most.
const MOOD_ANSWERS: usize = 60;
const MOOD_MS: u64 = 400;
/// How long promises may take once everything works: a wait that grew in an outage has to end first.
const PATIENCE: Duration = Duration::from_secs(120);
/// Of each process, how many messages are looked for in its log: each costs a search of all of it.
const WATCHED: usize = 4;

/// What a run has left behind.
pub struct Record {
    pub history: History,
    /// Faults that are not in the history: untrue answers, receipts that do not agree, processes that end badly.
    pub faults: Vec<String>,
}

/// Closes the book also when a test fails, so that the clients end.
struct Closing<'a>(&'a Book);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The proxy, from stop to start to stop.
struct Driver<'a> {
    plan: &'a Plan,
    setup: Setup,
    chat: &'a Chat,
    clients: &'a Clients<'a>,
    roll: Roll,
    stops: Vec<Stop>,
    faults: Vec<String>,
}

/// Carries a plan out.
pub fn run(plan: &Plan) -> Record {
    let (order, book, folder) = (Order::default(), Book::default(), Folder::new());
    let (sent, lies) = (Ledger::default(), Ledger::default());
    let chat = Chat::start(&order, CHANNELS, plan.recognises_repeats);
    let secret = unique("", 24);
    let setup = Proxy::setup()
        .with(&chat)
        .without_limits()
        .set("PROXY_TOKENS", format!("ledger={secret}"))
        // Longer than any mood: a slow answer is heard, and a busy machine makes no lost ones.
        .set("UPSTREAM_TIMEOUT", "5s")
        .set("SHUTDOWN_GRACE", "1s");
    let setup = if plan.outbox {
        setup.outbox(&folder)
    } else {
        setup
    };
    let clients = Clients {
        order: &order,
        book: &book,
        channels: &chat.channels,
        manners: plan.manners,
        secret: &secret,
        sent: &sent,
        lies: &lies,
    };
    let mut driver = Driver {
        plan,
        setup,
        chat: &chat,
        clients: &clients,
        roll: Roll::new(plan.seed),
        stops: Vec::new(),
        faults: Vec::new(),
    };
    std::thread::scope(|scope| {
        let _closing = Closing(&book);
        let (proxy, _) = driver.start();
        let posting: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (clients, roll) = (&clients, driver.roll.fork());
                scope.spawn(move || clients.run(client, roll))
            })
            .collect();
        let proxy = driver.strike(proxy);
        chat.calm();
        book.close();
        posting
            .into_iter()
            .for_each(|client| client.join().expect("a client failed"));
        driver.finish(&proxy);
    });
    let (stops, mut faults) = (driver.stops, driver.faults);
    faults.extend(lies.all());
    faults.extend(chat.take_faults());
    let history = History {
        sent: sent.all(),
        arrived: chat.arrived().all(),
        stops,
        recognises_repeats: plan.recognises_repeats,
    };
    Record { history, faults }
}

impl Driver<'_> {
    /// A new process, and a position at which clients know it.
    fn start(&self) -> (Proxy, Position) {
        let proxy = self.setup.clone().start();
        let at = self.clients.book.enter(proxy.addr(), self.clients.order);
        (proxy, at)
    }

    /// Moods and stops, as many as the plan says; returns the last process.
    fn strike(&mut self, mut proxy: Proxy) -> Proxy {
        for stop in 0..self.plan.stops {
            let begin = self.clients.sent.len();
            // None at all is a stop while the next process still recovers.
            for _ in 0..self.roll.between(0, 5) {
                self.chat.turn(&mut self.roll);
                let answers = self.roll.between(1, MOOD_ANSWERS);
                let limit = Duration::from_millis(self.roll.between(20, MOOD_MS as usize) as u64);
                let target = self.clients.sent.len() + answers;
                self.clients
                    .sent
                    .wait(limit, |sent| sent.get(target).cloned());
            }
            let signal = if self.plan.every_other_is_term && stop % 2 == 0 {
                Signal::Term
            } else {
                Signal::Kill
            };
            let from = self.clients.order.next();
            self.stop(&proxy, signal);
            self.watch(&proxy, begin);
            drop(proxy);
            let (next, to) = self.start();
            proxy = next;
            self.stops.push(Stop { from, to, signal });
        }
        proxy
    }

    fn stop(&mut self, proxy: &Proxy, signal: Signal) {
        match signal {
            Signal::Kill => drop(proxy.kill()),
            Signal::Term => {
                // A drain that can end, and one that is cut off.
                if self.roll.percent(50) {
                    self.chat.calm();
                }
                let status = proxy.terminate();
                if !status.success() {
                    self.faults.push(format!("SIGTERM ended in {status}"));
                }
            }
        }
    }

    /// The first messages since `begin` must not be in the log.
    fn watch(&self, proxy: &Proxy, begin: usize) {
        let texts: Vec<String> = self.clients.sent.change(|sent| {
            let new = sent.iter().skip(begin).take(WATCHED);
            new.map(|sent| sent.text.clone()).collect()
        });
        texts.iter().for_each(|text| proxy.add_message(text));
    }

    /// Waits until nothing is queued any more; what is still missing then is lost. Without an outbox there is nothing
    /// to wait for: 200 was said when the platform had it.
    fn finish(&mut self, proxy: &Proxy) {
        let end = Instant::now() + PATIENCE;
        let mut queued = self.listed(proxy, "queued");
        while self.plan.outbox && queued == Ok(true) && Instant::now() < end {
            let posts = self.chat.arrived().len();
            // The next post, or a moment in which a receipt may be written.
            self.chat
                .arrived()
                .wait(Duration::from_millis(50), |all| all.get(posts).cloned());
            queued = self.listed(proxy, "queued");
        }
        if self.plan.outbox {
            let failed = self.listed(proxy, "failed");
            for (status, any) in [("queued", queued), ("failed", failed)] {
                if any != Ok(false) {
                    self.faults.push(format!("{status} at the end: {any:?}"));
                }
            }
        }
        if !proxy.terminate().success() {
            self.faults
                .push("the last SIGTERM did not end in 0".to_owned());
        }
    }

    /// Whether any receipt has this status, or why that is not known.
    fn listed(&self, proxy: &Proxy, status: &str) -> Result<bool, String> {
        let bearer = format!("Bearer {}", self.clients.secret);
        let mut target = format!("/deliveries?status={status}");
        loop {
            let answer = proxy.request("GET", &target, &[("Authorization", &bearer)]);
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            let page: Value = serde_json::from_str(&body).unwrap_or_default();
            match (answer.status, page["deliveries"].as_array()) {
                (200, Some(receipts)) if !receipts.is_empty() => return Ok(true),
                (200, Some(_)) => {}
                (status, _) => return Err(format!("{status} {body}")),
            }
            // A page may be empty and still have a next one.
            let Some(next) = page["next"].as_str() else {
                return Ok(false);
            };
            target = format!("/deliveries?status={status}&after={}", percent_encode(next));
        }
    }
}
