//! How the files that a process may have open are shared out: to itself, to those who connect, and to what it connects to.
//!
//! Without that, idle connections take all of them: then no new one can be accepted or even refused, and nothing is delivered.

use crate::env::Files;
use crate::http::settings::MAX_CONNECTIONS;

/// The outbox, the listener, signals, the runtimes of the courier and the acceptor; and a reserve for what is open for a
/// moment, such as a look-up.
const OF_PROCESS: usize = 17;
/// A worker's runtime, and the connections that were accepted beyond the cap, to be refused.
const OF_WORKER: usize = 10;

/// What the files are for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs {
    /// The limit, and what is open already.
    pub(super) files: Files,
    /// How many workers there are to be.
    pub(super) workers: usize,
    /// Whether somebody has asked for so many; else there may be fewer.
    pub(super) is_given: bool,
    /// Whether the internal API is called, too, which takes a second client.
    pub(super) has_relay: bool,
}

/// Who may have how many connections open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    /// `WORKERS`, or as many as the limit allows.
    pub(super) workers: usize,
    /// From callers.
    pub(super) connections: usize,
    /// Of each client to where it calls, idle ones included.
    pub(super) of_client: usize,
    /// The limit, if callers have fewer than usual because of it.
    pub(super) short: Option<Short>,
}

/// A limit that is lower than it might be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short {
    /// What `ulimit -n` is.
    pub limit: usize,
    /// From where on it would be no limit.
    pub enough: usize,
}

impl Needs {
    /// Shares the files out.
    ///
    /// # Errors
    /// A line that says how many files are needed.
    pub(super) fn share(self) -> Result<Shares, String> {
        let Some(limit) = self.files.limit else {
            return Ok(Shares {
                workers: self.workers,
                connections: MAX_CONNECTIONS,
                of_client: usize::MAX,
                short: None,
            });
        };
        let fewest = if self.is_given { self.workers } else { 1 };
        let mut possible = (fewest..=self.workers).rev();
        let Some(workers) = possible.find(|workers| self.least(*workers) <= limit) else {
            return Err(self.too_low(limit, fewest));
        };
        let left = limit - self.own(workers);
        let connections = (left / 2).min(MAX_CONNECTIONS);
        let enough = self.own(workers) + 2 * MAX_CONNECTIONS;
        Ok(Shares {
            workers,
            connections,
            of_client: (left - connections) / self.clients(workers),
            short: (limit < enough).then_some(Short { limit, enough }),
        })
    }

    /// What the program has open without a single connection.
    fn own(&self, workers: usize) -> usize {
        self.files.open + OF_PROCESS + OF_WORKER * workers
    }

    /// Each worker has its own, and the courier.
    fn clients(&self, workers: usize) -> usize {
        (workers + 1) * (1 + usize::from(self.has_relay))
    }

    /// One connection for each client, and as many from callers.
    fn least(&self, workers: usize) -> usize {
        self.own(workers) + 2 * self.clients(workers)
    }

    fn too_low(&self, limit: usize, workers: usize) -> String {
        let needed = self.least(workers);
        let with = match self.is_given {
            true => format!(" with WORKERS={workers}"),
            false => String::new(),
        };
        format!(
            "ulimit -n: this process may have {limit} files open and needs at least {needed}{with}; raise the limit (`ulimit -n`, LimitNOFILE in systemd, ulimits.nofile in Compose)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(limit: usize, workers: usize) -> Needs {
        Needs {
            files: Files {
                limit: Some(limit),
                ..Files::default()
            },
            workers,
            is_given: true,
            has_relay: false,
        }
    }

    #[test]
    fn without_a_limit_nothing_is_made_smaller() {
        let unlimited = Needs {
            files: Files::default(),
            ..needs(0, 8)
        };

        let shares = unlimited.share().unwrap();

        assert_eq!((shares.connections, shares.short), (4096, None));
        assert_eq!((shares.workers, shares.of_client), (8, usize::MAX));
    }

    /// I6: no more than two for each connection, and 64.
    #[test]
    fn what_is_shared_out_is_never_more_than_the_limit() {
        for (workers, has_relay) in [1, 2, 3, 4, 8, 64]
            .map(|n| [(n, false), (n, true)])
            .concat()
        {
            let needs = |limit| Needs {
                has_relay,
                ..needs(limit, workers)
            };
            let least = needs(0).least(workers);
            assert!(needs(least - 1).share().is_err(), "{workers}");
            for limit in [least, least + 1, 1024, 4096, 8192, 20_000, 65_536] {
                let Ok(shares) = needs(limit).share() else {
                    assert!(limit < least, "{limit} with {workers}");
                    continue;
                };
                let outgoing = shares.of_client * needs(limit).clients(workers);
                let own = needs(limit).own(workers);
                assert!(own + shares.connections + outgoing <= limit, "{shares:?}");
                assert!(shares.of_client >= 1 && shares.connections <= 4096);
                assert!(workers > 4 || 2 * shares.connections + 65 >= limit.min(8192));
                assert_eq!(shares.connections < 4096, shares.short.is_some());
            }
        }
    }

    #[test]
    fn what_is_enough_is_not_short() {
        let short = needs(1024, 2).share().unwrap().short.unwrap();

        let shares = needs(short.enough, 2).share().unwrap();

        assert_eq!(short.limit, 1024);
        assert_eq!((shares.connections, shares.short), (4096, None));
    }

    #[test]
    fn there_are_fewer_workers_where_nobody_has_asked_for_so_many() {
        let workers = |limit, workers| {
            let any = Needs {
                is_given: false,
                ..needs(limit, workers)
            };
            any.share().map(|shares| shares.workers)
        };

        assert_eq!(workers(64, 64), Ok(3));
        assert_eq!(workers(1024, 16), Ok(16));
        assert_eq!(workers(34, 2), Ok(1));
        assert!(needs(64, 64).share().is_err());
    }

    #[test]
    fn too_low_a_limit_is_a_line_with_the_least_number() {
        let any = Needs {
            is_given: false,
            ..needs(33, 8)
        };
        let inherited = Needs {
            files: Files {
                limit: Some(40),
                open: 10,
            },
            ..needs(0, 1)
        };
        let [any, given, inherited] =
            [any, needs(33, 2), inherited].map(|needs| needs.share().unwrap_err());

        assert!(
            any.starts_with("ulimit -n: ") && any.contains("33 files"),
            "{any}"
        );
        assert!(any.contains("at least 34;"), "{any}");
        assert!(given.contains("at least 46 with WORKERS=2;"), "{given}");
        assert!(inherited.contains("at least 41 "), "{inherited}");
    }
}
