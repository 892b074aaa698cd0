//! Whether the system lets this process start as many threads as it needs. actix-web does not ask: it panics.

use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};

/// Beside the workers: the outbox, the acceptor, and one that may block, for look-ups and for what is printed.
const OTHERS: usize = 3;

/// How many threads a server with so many workers starts.
pub(super) fn needed(workers: usize) -> usize {
    workers + OTHERS
}

/// Starts as many threads at the same time, and ends them again.
///
/// # Errors
/// What the system says.
pub(super) fn try_to_start(count: usize) -> std::io::Result<()> {
    let (end, ended) = mpsc::channel::<()>();
    let ended = Arc::new(Mutex::new(ended));
    let start = |_| {
        let ended = Arc::clone(&ended);
        // Each waits for the one before it, and the first until there is nobody left to send.
        thread::Builder::new().spawn(move || drop(ended.lock().map(|ended| ended.recv())))
    };
    let started: std::io::Result<Vec<JoinHandle<()>>> = (0..count).map(start).collect();
    drop(end);
    for thread in started? {
        thread.join().ok();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_started_and_ended() {
        assert!(try_to_start(needed(2)).is_ok());
        assert!(try_to_start(0).is_ok());
    }
}
