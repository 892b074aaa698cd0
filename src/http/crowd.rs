//! Connections beyond the cap: each is told so and closed at once (threats.md P-4).
//!
//! It must not wait for the peer: what waited here would be one connection more. So nothing is awaited, and what the socket
//! does not take at once is not sent.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::rt::net::TcpStream;
use governor::clock::DefaultClock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::State;
use super::guard::Full;
use super::problem::{Code, Problem};
use crate::domain::delivery::DeliveryId;

/// How often the log tells of it.
const LINES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(6).unwrap();
/// The most that is read and thrown away of what has arrived already.
const DISCARD_BYTES: usize = 64 * 1024;

/// Refuses connections, and counts them for the log.
pub(super) struct Crowd {
    limiter: RateLimiter<NotKeyed, InMemoryState, DefaultClock>,
    refused: AtomicU64,
}

impl Default for Crowd {
    fn default() -> Self {
        let quota = Quota::per_minute(LINES_PER_MINUTE).allow_burst(NonZeroU32::MIN);
        Self {
            limiter: RateLimiter::direct(quota),
            refused: AtomicU64::new(0),
        }
    }
}

impl Crowd {
    /// Tells the peer why, and closes.
    pub(super) fn refuse(&self, io: TcpStream, full: Full, state: &State) {
        // One that has gone already needs no answer.
        tell(io, &answer(full, &state.settings.public_url)).ok();
        state.metrics.connection_refused();
        self.refused.fetch_add(1, Ordering::Relaxed);
        if self.limiter.check().is_ok() {
            self.report();
        }
    }

    /// Logs how many were refused since the last time, if any.
    pub(super) fn report(&self) {
        let refused = self.refused.swap(0, Ordering::Relaxed);
        if refused > 0 {
            tracing::warn!(
                refused,
                "connections were refused: as many were open as may be"
            );
        }
    }
}

fn tell(io: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    // Tokio writes only after its poll has said that it may; the system's own socket, which does not block, writes now.
    let mut io = io.into_std()?;
    // It fits into the empty buffer of a new socket.
    let written = io.write(answer)?;
    if written == answer.len() {
        io.shutdown(Shutdown::Write)?;
    }
    // What lies unread when a socket is closed has the system send a reset, which may overtake the answer.
    let mut discarded = 0;
    let mut scratch = [0; 4096];
    while discarded < DISCARD_BYTES {
        match io.read(&mut scratch) {
            Ok(0) => break,
            Ok(read) => discarded += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The whole answer. It is JSON whatever is asked for: the request is not read.
fn answer(full: Full, base: &str) -> Vec<u8> {
    let detail = match full {
        Full::All => {
            "the proxy has as many connections open as it may; nothing was posted; try again in a moment"
        }
        Full::Peer => {
            "this address has as many connections open as one may; nothing was posted; close some that are idle, and try again in a moment"
        }
    };
    let problem = Problem {
        id: DeliveryId::generate().to_string(),
        ..Problem::new(Code::TooManyConnections, detail).retry_after_s(1)
    };
    let body = problem.to_json(base);
    let mut answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\n\
         content-length: {}\r\n\
         connection: close\r\n\
         content-type: application/problem+json\r\n\
         content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n\
         cache-control: no-store\r\n\
         retry-after: 1\r\n\
         x-request-id: {}\r\n\
         x-content-type-options: nosniff\r\n\r\n",
        body.len(),
        problem.id,
    )
    .into_bytes();
    answer.extend(body);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_a_whole_problem() {
        for (full, who) in [(Full::All, "the proxy"), (Full::Peer, "this address")] {
            let answer = String::from_utf8(answer(full, "https://p")).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let problem: serde_json::Value = serde_json::from_str(body).unwrap();

            assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
            assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())));
            assert_eq!(problem["type"], "https://p/problems#too-many-connections");
            assert_eq!(problem["status"], 503);
            assert!(problem["detail"].as_str().unwrap().starts_with(who));
        }
    }
}
