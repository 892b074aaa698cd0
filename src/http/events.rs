//! `GET /events`: the receipts of stored messages as they change, as server-sent events, for whoever may see them.
//!
//! It must not hold anything for a reader that does not keep up, nor show a message's text: an event is the receipt
//! that `/deliveries/{id}` shows, read from the outbox when it is sent.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::stream::{self, LocalBoxStream, StreamExt as _};
use tokio::sync::{broadcast, watch};

use crate::domain::delivery::DeliveryId;
use crate::outbox::{Row, Store};

use super::Context;
use super::deliveries::{desk, in_time};
use super::problem::{Code, Problem};
use super::reader::Reader;
use super::receipt::{Receipt, json_line};
use super::reply::Reply;

/// A stream that has nothing to tell says so, for routers that end silent connections. Only by writing is it noticed that
/// a reader has gone, whose place others may want.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// What changes within this time is one look into the outbox: a reader costs it at most twenty a second.
const GATHER: Duration = Duration::from_millis(50);
/// The most messages of one look.
const MAX_AT_ONCE: usize = 128;
/// Open streams in all, and of one caller.
const MAX_STREAMS: usize = 32;
const MAX_STREAMS_PER_CALLER: usize = 8;
/// Then the reader comes again, and shows its token again.
const MAX_AGE: Duration = Duration::from_secs(3600);
/// What whoever finds no place is told.
const RETRY_AFTER_S: u64 = 30;

/// The streams that are open, by the names of their readers.
#[derive(Default)]
pub(super) struct Streams(Mutex<Vec<String>>);

/// One place among them, until it is dropped.
struct Place {
    streams: Arc<Streams>,
    name: String,
}

impl Streams {
    fn admit(self: &Arc<Self>, name: &str) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.iter().filter(|other| *other == name).count();
        if open.len() >= MAX_STREAMS || own >= MAX_STREAMS_PER_CALLER {
            return None;
        }
        open.push(name.to_owned());
        Some(Place {
            streams: Arc::clone(self),
            name: name.to_owned(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let open = self.streams.0.lock();
        let mut open = open.unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|name| *name == self.name) {
            open.swap_remove(at);
        }
    }
}

/// The body of an answer that goes on.
pub(super) type Body = LocalBoxStream<'static, Result<Bytes, Infallible>>;

/// `GET /events`
pub(super) fn open(context: &Context<'_>) -> Result<Reply, Problem> {
    let reader = Reader::of(context)?;
    let desk = desk(context)?;
    let state = context.state;
    let place = state.streams.admit(reader.name()).ok_or_else(|| {
        let detail = "too many of these streams are open (8 for one caller, 32 in all); close one, or read /deliveries";
        Problem::new(Code::RateLimited, detail).retry_after_s(RETRY_AFTER_S)
    })?;
    let listener = Listener {
        // Before the answer begins: what changes after that is told.
        changes: desk.store.changes(),
        store: desk.store.clone(),
        own: reader.own().map(str::to_owned),
        stopping: state.stopping.subscribe(),
        until: state.clock.now() + MAX_AGE,
        heartbeat: HEARTBEAT,
        _place: place,
    };
    Ok(Reply::Stream(listener.body()))
}

struct Listener {
    changes: broadcast::Receiver<DeliveryId>,
    store: Store,
    own: Option<String>,
    stopping: watch::Receiver<bool>,
    until: Instant,
    heartbeat: Duration,
    _place: Place,
}

impl Listener {
    fn body(self) -> Body {
        let hello =
            stream::once(async { Ok(Bytes::from_static(b": the receipts that change\n\n")) });
        let rest = stream::unfold(self, |mut listener| async {
            let chunk = listener.next().await?;
            Some((Ok(chunk), listener))
        });
        hello.chain(rest).boxed_local()
    }

    /// What is written next; `None` is the end. It is not asked while the reader takes nothing, so that a slow one falls
    /// behind, and falls off.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let until = tokio::time::Instant::from_std(self.until);
            let mut stopping = self.stopping.clone();
            let stopped = std::pin::pin!(stopping.wait_for(|stopping| *stopping));
            let expired = std::pin::pin!(tokio::time::sleep_until(until));
            let over = select(stopped, expired);
            let change = tokio::time::timeout(self.heartbeat, self.changes.recv());
            let first = match select(std::pin::pin!(change), over).await {
                Either::Left((Ok(Ok(id)), _)) => id,
                Either::Left((Err(_), _)) => return Some(Bytes::from_static(b":\n\n")),
                Either::Left((Ok(Err(_)), _)) | Either::Right(_) => return None,
            };
            tokio::time::sleep(GATHER).await;
            let ids = self.gathered(first)?;
            let rows = in_time(self.store.find_all(ids)).await.ok()?;
            let events = self.events(rows);
            if !events.is_empty() {
                return Some(events.into());
            }
        }
    }

    /// What else has changed meanwhile; `None` if some of it was missed.
    fn gathered(&mut self, first: DeliveryId) -> Option<Vec<DeliveryId>> {
        let mut ids = vec![first];
        while ids.len() < MAX_AT_ONCE {
            match self.changes.try_recv() {
                Ok(id) if ids.contains(&id) => {}
                Ok(id) => ids.push(id),
                Err(broadcast::error::TryRecvError::Lagged(_)) => return None,
                Err(_) => break,
            }
        }
        Some(ids)
    }

    fn events(&self, found: Vec<Vec<Row>>) -> Vec<u8> {
        let is_seen = |rows: &Vec<Row>| {
            rows.first()
                .is_some_and(|row| self.own.as_ref().is_none_or(|own| row.caller == *own))
        };
        let mut events = Vec::new();
        for rows in found.into_iter().filter(is_seen) {
            events.extend(b"event: receipt\ndata: ");
            // JSON on one line, as an event's data must be.
            events.extend(json_line(&Receipt::of_rows(rows)));
            events.push(b'\n');
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};
    use crate::outbox::Open;

    /// A listener to changes of a channel that holds two, and what it lives by.
    struct Bench {
        listener: Listener,
        changes: broadcast::Sender<DeliveryId>,
        stopping: watch::Sender<bool>,
        path: std::path::PathBuf,
    }

    impl Bench {
        fn new() -> Self {
            let name = format!("message-webhook-proxy-{}.db", DeliveryId::generate());
            let path = std::env::temp_dir().join(name);
            let open = Open {
                path: &path,
                now_ms: 1,
                clock: Arc::new(SystemClock),
            };
            let (changes, stopping) = (broadcast::Sender::new(2), watch::Sender::new(false));
            let listener = Listener {
                changes: changes.subscribe(),
                store: Store::open(&open).unwrap().store,
                own: None,
                stopping: stopping.subscribe(),
                until: SystemClock.now() + MAX_AGE,
                heartbeat: HEARTBEAT,
                _place: Arc::<Streams>::default().admit("ci").unwrap(),
            };
            Self {
                listener,
                changes,
                stopping,
                path,
            }
        }

        fn next(&mut self) -> Option<Bytes> {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_time().build().unwrap();
            runtime.block_on(self.listener.next())
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            self.listener.store.close(false);
            for end in ["", "-wal", "-shm", ".reserve"] {
                std::fs::remove_file(format!("{}{end}", self.path.display())).ok();
            }
        }
    }

    #[test]
    fn a_silent_stream_beats() {
        let mut bench = Bench::new();
        bench.listener.heartbeat = Duration::ZERO;

        assert_eq!(bench.next().unwrap(), ":\n\n");
    }

    /// Nothing is held for a reader that does not keep up.
    #[test]
    fn a_reader_that_falls_behind_falls_off() {
        let mut bench = Bench::new();
        for _ in 0..3 {
            bench.changes.send(DeliveryId::generate()).unwrap();
        }

        assert_eq!(bench.next(), None);
    }

    #[test]
    fn a_stream_ends_with_its_time_and_with_the_process() {
        let (mut old, mut stopped) = (Bench::new(), Bench::new());
        old.listener.until = SystemClock.now();
        stopped.stopping.send_replace(true);

        assert_eq!((old.next(), stopped.next()), (None, None));
    }

    #[test]
    fn places_are_counted_by_name_and_given_back() {
        let streams: Arc<Streams> = Arc::default();
        let take = |name: &str, count: usize| -> Vec<_> {
            (0..count).map_while(|_| streams.admit(name)).collect()
        };

        let own = take("ci", 100);
        let others: Vec<_> = ["a", "b", "c", "d"].map(|name| take(name, 100)).into();

        assert_eq!(own.len(), MAX_STREAMS_PER_CALLER);
        assert_eq!(
            others.iter().map(Vec::len).sum::<usize>(),
            MAX_STREAMS - own.len()
        );
        drop(others);
        assert!(streams.admit("ci").is_none());
        drop(own);
        assert!(streams.admit("ci").is_some());
    }
}
