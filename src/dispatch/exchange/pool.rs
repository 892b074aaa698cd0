//! The connections that are kept open between requests: of a worker, by where they lead.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::connection::Connection;

/// Below the idle timeout of Mattermost (60 s), so that we close first.
const MAX_IDLE: Duration = Duration::from_secs(30);
/// A connection that lives on would never notice that the name leads elsewhere now.
const MAX_AGE: Duration = Duration::from_secs(600);
/// The most that are kept: one that was not kept is made again.
const MAX_KEPT: usize = 512;

/// Open connections of which no answer is outstanding. Those that have grown old are closed when another is kept.
pub(super) struct Pool(RefCell<Kept>);

struct Kept {
    /// Of each origin the one used last at the end. The origins are few: a list is found faster than a hash.
    by_origin: Vec<(Rc<str>, Vec<Idle>)>,
    count: usize,
    swept: Instant,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// An empty one.
    pub(super) fn new(now: Instant) -> Self {
        Self(RefCell::new(Kept {
            by_origin: Vec::new(),
            count: 0,
            swept: now,
        }))
    }

    /// The connection to this origin that was used last, if the other side has left it alone since.
    pub(super) fn take(&self, origin: &str, now: Instant) -> Option<Connection> {
        let mut kept = self.0.borrow_mut();
        loop {
            let mut idle = kept.of(origin)?.pop()?;
            kept.count -= 1;
            if idle.is_fresh(now) && idle.connection.is_quiet() {
                return Some(idle.connection);
            }
        }
    }

    /// Closes those that were idle for the longest until no more than `most` are kept.
    pub(super) fn shrink_to(&self, most: usize) {
        let mut kept = self.0.borrow_mut();
        while kept.count > most {
            kept.close_oldest();
        }
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(&self, origin: &Rc<str>, connection: Connection, now: Instant) {
        let mut kept = self.0.borrow_mut();
        if now.saturating_duration_since(kept.swept) >= MAX_IDLE {
            kept.sweep(now);
        }
        if kept.count >= MAX_KEPT {
            return;
        }
        kept.count += 1;
        let idle = Idle {
            connection,
            since: now,
        };
        match kept.of(origin) {
            Some(of_origin) => of_origin.push(idle),
            None => kept.by_origin.push((Rc::clone(origin), vec![idle])),
        }
    }
}

impl Kept {
    fn of(&mut self, origin: &str) -> Option<&mut Vec<Idle>> {
        let mut all = self.by_origin.iter_mut();
        all.find_map(|(of, idle)| (**of == *origin).then_some(idle))
    }

    fn close_oldest(&mut self) {
        let longest =
            |(_, idle): &(usize, &(Rc<str>, Vec<Idle>))| idle.1.first().map(|idle| idle.since);
        let origins = self.by_origin.iter().enumerate();
        let with_some = origins.filter(|(_, (_, idle))| !idle.is_empty());
        match with_some.min_by_key(longest).map(|(at, _)| at) {
            Some(at) => {
                drop(self.by_origin[at].1.remove(0));
                self.count -= 1;
            }
            None => self.count = 0,
        }
    }

    fn sweep(&mut self, now: Instant) {
        self.swept = now;
        self.by_origin.retain_mut(|(_, idle)| {
            idle.retain(|idle| idle.is_fresh(now));
            !idle.is_empty()
        });
        self.count = self.by_origin.iter().map(|(_, idle)| idle.len()).sum();
    }
}

impl Idle {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < MAX_IDLE
            && now.saturating_duration_since(self.connection.made()) < MAX_AGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

    fn run<T>(future: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.build().unwrap().block_on(future)
    }

    fn start() -> Instant {
        use crate::clock::{Clock as _, SystemClock};
        SystemClock.now()
    }

    fn connection(made: Instant) -> (Connection, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(64);
        (Connection::new(Box::new(ours), made), theirs)
    }

    #[test]
    fn a_connection_is_kept_for_its_origin_the_latest_first() {
        let (now, here) = (start(), Rc::from("http://here:80"));
        let pool = Pool::new(now);
        let (first, _theirs) = connection(now);
        let (second, _others) = connection(now + Duration::from_secs(1));
        pool.put(&here, first, now);
        pool.put(&here, second, now);

        assert!(pool.take("http://there:80", now).is_none());
        assert!(pool.take(&here, now).unwrap().made() > now);
        assert!(pool.take(&here, now).unwrap().made() == now);
        assert!(pool.take(&here, now).is_none());
    }

    #[test]
    fn what_was_idle_or_open_for_long_is_closed() {
        let (now, here) = (start(), Rc::from("http://here:80"));
        let pool = Pool::new(now);
        let (idle, _theirs) = connection(now);
        pool.put(&here, idle, now);
        assert!(pool.take(&here, now + MAX_IDLE).is_none());

        let (old, _theirs) = connection(now);
        pool.put(&here, old, now + MAX_AGE);
        assert!(pool.take(&here, now + MAX_AGE).is_none());
    }

    #[test]
    fn the_old_are_swept_out_when_another_comes() {
        let (now, here) = (start(), Rc::from("http://here:80"));
        let pool = Pool::new(now);
        let (idle, mut theirs) = connection(now);
        pool.put(&here, idle, now);
        let (next, _theirs) = connection(now + MAX_IDLE);

        pool.put(&Rc::from("http://there:80"), next, now + MAX_IDLE);

        assert!(run(theirs.write_all(b"x")).is_err(), "still open");
    }

    /// P-4: where few files may be open, one that is needed takes the place of one that is not.
    #[test]
    fn those_that_were_idle_for_the_longest_make_room() {
        let (now, second) = (start(), Duration::from_secs(1));
        let [here, there] = ["http://here:80", "http://there:80"].map(Rc::<str>::from);
        let pool = Pool::new(now);
        let mut theirs = Vec::new();
        for (origin, after) in [(&here, 1), (&there, 0), (&here, 2)] {
            let (ours, other) = connection(now);
            pool.put(origin, ours, now + after * second);
            theirs.push(other);
        }

        pool.shrink_to(3);
        assert!(run(theirs[1].write_all(b"")).is_ok());
        pool.shrink_to(1);

        assert!(pool.take(&there, now).is_none());
        assert!(pool.take(&here, now).is_some() && pool.take(&here, now).is_none());
        assert!(run(theirs[0].write_all(b"x")).is_err(), "still open");
        pool.shrink_to(0);
    }

    #[test]
    fn so_many_are_kept_and_no_more() {
        let (now, here) = (start(), Rc::from("http://here:80"));
        let pool = Pool::new(now);
        let theirs: Vec<_> = (0..MAX_KEPT + 3)
            .map(|_| {
                let (ours, theirs) = connection(now);
                pool.put(&here, ours, now);
                theirs
            })
            .collect();

        let kept = std::iter::from_fn(|| pool.take(&here, now)).count();

        assert_eq!((kept, theirs.len()), (MAX_KEPT, MAX_KEPT + 3));
    }

    /// F-22, F-23: closed meanwhile, or with an answer that nobody asked for.
    #[test]
    fn a_connection_that_was_not_left_alone_is_not_used_again() {
        let (now, here) = (start(), Rc::from("http://here:80"));
        let pool = Pool::new(now);
        let (closed, theirs) = connection(now);
        drop(theirs);
        let (chatty, mut theirs) = connection(now);
        run(theirs.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n")).unwrap();
        pool.put(&here, closed, now);
        pool.put(&here, chatty, now);

        assert!(pool.take(&here, now).is_none());
    }

    /// The platform restarts after a burst: tokio would show a task no more than 128 of the ends at once.
    #[test]
    fn of_many_that_were_closed_none_is_used_again() {
        let (now, here) = (start(), Rc::from("http://here:80"));
        let pool = Pool::new(now);
        (0..MAX_KEPT).for_each(|_| pool.put(&here, connection(now).0, now));

        let taken = run(async { pool.take(&here, now) });

        assert!(taken.is_none());
    }
}
