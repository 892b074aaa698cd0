//! One HTTP/1.1 exchange with a platform, on connections that are kept open.
//!
//! Not awc's, for three things that a post needs: the answer that counts is the one after all interim ones (threats.md
//! F-21), a request of which a part could not be written is known not to have been carried out, and a body that breaks
//! off is told from a whole one. It costs a seventh of a post's instructions less, too (tests/bench/README.md). What the
//! fields of a head are is left to httparse, TLS to rustls; redirects, compression and HTTP/2 are not spoken.

mod body;
mod connect;
mod connection;
mod head;
mod origin;
mod pool;
mod trace;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};

pub(super) use connect::Connect;
pub(super) use connection::Response;
pub(super) use head::Head;
pub(super) use origin::Origin;
pub use trace::fuzz_answer;

use crate::backends::wire::WireError;
use crate::clock::Clock;
use crate::dispatch::wire::ClientSettings;
use connect::Connector;
use connection::Connection;
use pool::Pool;

/// Requests at once per worker. A hung platform holds one for `UPSTREAM_TIMEOUT`; others still get through.
const MAX_AT_ONCE: usize = 2048;

/// A worker's connections to platforms.
pub(super) struct Exchange {
    connector: Connector,
    pool: Pool,
    turns: Semaphore,
    at_once: usize,
    max_open: usize,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

/// A request as it is written, and what is read of its answer.
pub(super) struct Request<'a> {
    /// Where to.
    pub(super) to: &'a Origin,
    /// All of it.
    pub(super) bytes: &'a [u8],
    /// The most bytes of the answer's body.
    pub(super) max_answer_bytes: usize,
}

impl Exchange {
    /// No connection yet. Each request has so much time, from its turn to the answer's end; without TLS, because the
    /// trusted authorities could not be read, nothing is sent where it is needed.
    pub(super) fn new(settings: &ClientSettings, clock: Arc<dyn Clock>) -> Self {
        let at_once = MAX_AT_ONCE.min(settings.max_open);
        let connect_timeout = connect_timeout(settings.timeout);
        Self {
            connector: Connector::new(settings.tls.clone(), connect_timeout),
            pool: Pool::new(clock.now()),
            turns: Semaphore::new(at_once),
            at_once,
            max_open: settings.max_open,
            timeout: settings.timeout,
            clock,
        }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// [`WireError::NoAnswer`] once all of the request was written; any other says that it was not carried out.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Response, WireError> {
        let is_written = Cell::new(false);
        let until = Instant::from(self.clock.now() + self.timeout);
        match timeout_at(until, self.attempt(&request, until, &is_written)).await {
            Ok(ended) => ended,
            Err(_) if is_written.get() => Err(WireError::NoAnswer),
            Err(_) => Err(WireError::Connect),
        }
    }

    async fn attempt(
        &self,
        request: &Request<'_>,
        until: Instant,
        is_written: &Cell<bool>,
    ) -> Result<Response, WireError> {
        // It is never closed.
        let _turn = self.turns.acquire().await;
        let origin = request.to.key();
        // A kept connection may close while it is written to (F-23). What was not written whole was not carried out.
        while let Some(kept) = self.pool.take(origin, self.clock.now()) {
            match self.over(kept, request, until, is_written).await {
                Err(WireError::Connect) => {}
                ended => return ended,
            }
        }
        // Those that are kept must not take the place of one that is needed.
        let in_use = self.at_once - self.turns.available_permits();
        self.pool.shrink_to(self.max_open.saturating_sub(in_use));
        // Boxed: a handshake is large, and most requests have none.
        let stream = Box::pin(self.connector.connect(request.to)).await?;
        let connection = Connection::new(stream, self.clock.now());
        self.over(connection, request, until, is_written).await
    }

    /// Over this connection, which is kept if it can be used again.
    async fn over(
        &self,
        mut connection: Connection,
        request: &Request<'_>,
        until: Instant,
        is_written: &Cell<bool>,
    ) -> Result<Response, WireError> {
        // Most answers come whole, and then no timer is needed.
        let late = async { sleep_until(until).await };
        let answer = connection
            .exchange(request.bytes, request.max_answer_bytes, late, is_written)
            .await;
        match answer {
            Ok(response) => {
                if response.keeps_alive {
                    let now = self.clock.now();
                    self.pool.put(request.to.key(), connection, now);
                }
                Ok(response)
            }
            Err(_) if is_written.get() => Err(WireError::NoAnswer),
            Err(_) => Err(WireError::Connect),
        }
    }
}

/// How long it may take to open a connection, and again as long for its handshake.
pub(super) fn connect_timeout(timeout: Duration) -> Duration {
    timeout.min(Duration::from_secs(5))
}

#[cfg(test)]
mod tests;
