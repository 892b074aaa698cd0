//! The guard between the socket and actix: strict HTTP/1.x framing, limits, and a deadline for every head and write.
//!
//! actix's own parser tells no problem documents, refuses raw UTF-8 in a target, bounds in time only the first head of
//! a connection, and reads more header fields than the contract allows. Layers: `head` and `framing` judge bytes,
//! `flow` follows a connection, `stream` does the I/O, `admission` counts, `refusal` tells the application.
//! The guard must not decode, route or answer: what it refuses reaches the application as a request of its own
//! ([`refusal_of`]), so that answers keep their order.

use std::time::Duration;

mod admission;
mod fields;
mod flow;
mod framing;
mod head;
mod refusal;
mod rewrite;
mod stream;
mod trace;

pub use admission::{ConnectionCap, Full, HeadBudget, Permit};
pub use framing::{Broken, Chunked, Piece};
pub use head::{Framing, Progress, check};
pub use refusal::{Refusal, refusal_of};
pub use stream::Guarded;
pub use trace::{Traced, fuzz_head, trace};

/// What one connection may ask of us.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest request target; a longer one is 414, and so is one beyond 65,533 bytes once it has been escaped.
    pub max_target_bytes: usize,
    /// Most bytes of header lines, line ends included; more are 431.
    pub max_header_bytes: usize,
    /// Most header fields, `Host` included; more are 431. actix itself takes no more than 96.
    pub max_header_fields: usize,
    /// From the first byte of a head to its last; for the first head, from the connection's start.
    pub head_deadline: Duration,
    /// How long a write may make no progress at all.
    pub write_deadline: Duration,
    /// A head that is refused for its size is read on so far, unless it ends before: the fields on which its answer depends
    /// may come last.
    pub max_refused_bytes: usize,
    /// And for so long: enough for what is on its way, not for anybody to be made to send more.
    pub refused_deadline: Duration,
    /// How long a closing connection is kept so that the peer can read the last answer, and how long the rest of a body may
    /// take whose request has been answered already.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_target_bytes: 32_768,
            max_header_bytes: 16_384,
            max_header_fields: 64,
            head_deadline: Duration::from_secs(5),
            write_deadline: Duration::from_secs(10),
            max_refused_bytes: 131_072,
            refused_deadline: Duration::from_millis(200),
            linger: Duration::from_secs(2),
        }
    }
}
