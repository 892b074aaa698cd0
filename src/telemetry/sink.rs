//! Where log lines go: a bounded buffer that one thread writes out.
//!
//! A request never waits for the log: when its reader stands still, lines are dropped and counted. Lines are
//! written in batches, because waking a thread for each would cost more than the line.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Beyond this, lines are dropped.
const MAX_BUFFERED_BYTES: usize = 1024 * 1024;
/// A batch is written when it has this size …
const BATCH_BYTES: usize = 32 * 1024;
/// … or when its first line is this old.
const BATCH_AGE: Duration = Duration::from_millis(10);
/// How long the end of the process waits for the last lines: a reader that stands still gets none.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The writer that log lines are given to.
#[derive(Clone)]
pub struct Sink(Arc<Shared>);

/// Writes the last lines when it is dropped, if somebody reads them.
pub struct SinkGuard {
    sink: Sink,
    thread: Option<JoinHandle<()>>,
    /// Disconnected when the thread has ended.
    ended: mpsc::Receiver<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    filled: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    closed: bool,
}

impl SinkGuard {
    /// Whether anything is written: without a thread nothing is.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        self.thread.is_some()
    }
}

impl Sink {
    /// A sink in front of `target`, and the guard of its thread.
    #[must_use]
    pub fn spawn(target: impl Write + Send + 'static) -> (Self, SinkGuard) {
        let sink = Self(Arc::default());
        let shared = Arc::clone(&sink.0);
        let (alive, ended) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("log".into())
            .spawn(move || {
                shared.write_out(target);
                drop(alive);
            })
            .ok();
        let guard = SinkGuard {
            sink: sink.clone(),
            thread,
            ended,
        };
        (sink, guard)
    }

    /// How many lines were dropped because the reader stood still.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

/// tracing-subscriber gives one whole line to each call.
impl Write for &Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.lines.len() + line.len() > MAX_BUFFERED_BYTES {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        let before = state.lines.len();
        state.lines.extend_from_slice(line);
        let after = state.lines.len();
        drop(state);
        if before == 0 || (before < BATCH_BYTES && after >= BATCH_BYTES) {
            self.0.filled.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_out(&self, mut target: impl Write) {
        let mut batch = Vec::with_capacity(BATCH_BYTES);
        loop {
            let idle = |state: &mut State| state.lines.is_empty() && !state.closed;
            let state = self
                .filled
                .wait_while(self.lock(), idle)
                .unwrap_or_else(PoisonError::into_inner);
            let young = |state: &mut State| state.lines.len() < BATCH_BYTES && !state.closed;
            let (mut state, _) = self
                .filled
                .wait_timeout_while(state, BATCH_AGE, young)
                .unwrap_or_else(PoisonError::into_inner);
            let closed = state.closed;
            std::mem::swap(&mut state.lines, &mut batch);
            drop(state);
            // A log that cannot be written must not end the service; there is nowhere to say so.
            if target
                .write_all(&batch)
                .and_then(|()| target.flush())
                .is_err()
            {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            batch.clear();
            if closed && self.lock().lines.is_empty() {
                return;
            }
        }
    }
}

impl Drop for SinkGuard {
    fn drop(&mut self) {
        self.sink.0.lock().closed = true;
        self.sink.0.filled.notify_one();
        let Some(thread) = self.thread.take() else {
            return;
        };
        // P-7: a blocked write cannot be taken back; the process ends without it.
        let stuck = self.ended.recv_timeout(LAST_LINES) == Err(RecvTimeoutError::Timeout);
        if !stuck {
            // The thread does not panic; if it ever did, the lines are lost either way.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Channel(mpsc::Sender<Vec<u8>>);

    impl Write for Channel {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .send(bytes.to_vec())
                .map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Never takes anything until its gate opens.
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().ok();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_guard_writes_the_last_lines() {
        let (sender, lines) = mpsc::channel();
        let (sink, guard) = Sink::spawn(Channel(sender));
        (&sink).write_all(b"one\n").unwrap();
        (&sink).write_all(b"two\n").unwrap();
        drop(guard);
        assert_eq!(
            lines.into_iter().flatten().collect::<Vec<u8>>(),
            b"one\ntwo\n"
        );
    }

    /// P-7: a blocked log neither blocks nor grows; lines are dropped and counted.
    #[test]
    fn a_blocked_log_drops_lines_and_counts_them() {
        let (gate, stuck) = mpsc::channel();
        let (sink, guard) = Sink::spawn(Stuck(stuck));
        let line = vec![b'x'; 64 * 1024];
        for _ in 0..100 {
            (&sink).write_all(&line).unwrap();
        }
        assert!(sink.dropped() >= 60, "{}", sink.dropped());
        drop(gate);
        drop(guard);
    }
}
