//! The guard without a socket: what would go downstream for given bytes. For fuzzing and properties.
//!
//! It must not be used to serve: it answers every request at once and keeps no time.

use super::Limits;
use super::flow::{Flow, Step};

/// What the guard made of some bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// What went downstream, without synthetic requests.
    pub forwarded: Vec<u8>,
    /// Whether everything was taken: no refusal, no broken body, no unfinished head.
    pub complete: bool,
}

/// Sends `data` through the guard in reads of `split` bytes.
pub fn trace(data: &[u8], split: usize, limits: &Limits) -> Traced {
    let mut flow = Flow::new(*limits);
    let mut traced = Traced::default();
    let mut held = Vec::new();
    for read in data.chunks(split.max(1)) {
        held.extend_from_slice(read);
        loop {
            flow.wrote();
            flow.flushed();
            let used = match flow.step(&held, usize::MAX) {
                Step::Pass(0) | Step::Skip(0) | Step::NeedMore | Step::Hold => break,
                Step::Refuse(_) | Step::Cut => return traced,
                Step::Skip(used) => used,
                Step::Pass(used) => {
                    traced.forwarded.extend_from_slice(&held[..used]);
                    used
                }
                Step::Replace { used, with } => {
                    traced.forwarded.extend_from_slice(&with);
                    used
                }
            };
            held.drain(..used);
        }
    }
    traced.complete = held.is_empty() && flow.is_between_requests();
    traced
}

/// Entry of the fuzz target: whether the same bytes give the same result however they are split.
pub fn fuzz_head(data: &[u8]) -> bool {
    let limits = Limits {
        max_target_bytes: 512,
        max_header_bytes: 512,
        max_header_fields: 8,
        ..Limits::default()
    };
    let whole = trace(data, data.len(), &limits);
    [1, 2, 7]
        .into_iter()
        .all(|split| trace(data, split, &limits) == whole)
}
