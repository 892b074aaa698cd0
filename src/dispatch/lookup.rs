//! Names to ids, remembered for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::backends::{Backend, Wire};
use crate::domain::delivery::{Failure, Refusal};

/// How long a found id is used. Ids outlive renames, so this only bounds a name that moved.
const FOUND_FOR: Duration = Duration::from_secs(600);
/// How long an unknown name is refused without asking again: long enough to shield the platform from a
/// loop, short enough that a channel made just now works.
const UNKNOWN_FOR: Duration = Duration::from_secs(15);
/// The most names that are remembered.
const MAX_ENTRIES: usize = 10_000;

type Key = (&'static str, String);

/// The names that were looked up. Bounded; entries expire.
#[derive(Default)]
pub(super) struct Lookups {
    known: Mutex<HashMap<Key, Entry>>,
    /// One look-up at a time on each backend: a burst of posts to a new name asks the platform once, and a
    /// platform that is slow to answer holds up nobody else's.
    asking: Mutex<HashMap<&'static str, Turn>>,
}

type Turn = Arc<tokio::sync::Mutex<()>>;

struct Entry {
    answer: Result<String, Failure>,
    expires: Duration,
}

impl Lookups {
    /// The id of a name: remembered, or asked for.
    pub(super) async fn find(
        &self,
        backend: &'static str,
        name: &str,
        sender: &dyn Backend,
        wire: &dyn Wire,
    ) -> Result<String, Failure> {
        let key = (backend, name.to_owned());
        if let Some(answer) = self.remembered(&key, wire.elapsed()) {
            return answer;
        }
        let turn = self.turn(backend);
        let _turn = turn.lock().await;
        if let Some(answer) = self.remembered(&key, wire.elapsed()) {
            return answer;
        }
        let answer = sender.find(wire, name).await;
        self.remember(key, &answer, wire.elapsed());
        answer
    }

    /// The id of a name that was found not long ago.
    pub(super) fn known_id(
        &self,
        backend: &'static str,
        name: &str,
        now: Duration,
    ) -> Option<String> {
        self.remembered(&(backend, name.to_owned()), now)?.ok()
    }

    fn turn(&self, backend: &'static str) -> Turn {
        let mut asking = self
            .asking
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(asking.entry(backend).or_default())
    }

    fn remembered(&self, key: &Key, now: Duration) -> Option<Result<String, Failure>> {
        let known = self
            .known
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        known
            .get(key)
            .filter(|entry| entry.expires > now)
            .map(|entry| entry.answer.clone())
    }

    fn remember(&self, key: Key, answer: &Result<String, Failure>, now: Duration) {
        let keep = match answer {
            Ok(_) => FOUND_FOR,
            Err(Failure::Refused {
                reason: Refusal::UnknownChannel,
                ..
            }) => UNKNOWN_FOR,
            Err(_) => return,
        };
        let mut known = self
            .known
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.len() >= MAX_ENTRIES {
            known.retain(|_, entry| entry.expires > now);
        }
        if known.len() >= MAX_ENTRIES {
            known.clear();
        }
        known.insert(
            key,
            Entry {
                answer: answer.clone(),
                expires: now + keep,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown() -> Result<String, Failure> {
        Err(Failure::refused(Refusal::UnknownChannel, "", "no"))
    }

    #[test]
    fn answers_expire_and_passing_failures_are_not_kept() {
        let lookups = Lookups::default();
        let key = |name: &str| ("slack", name.to_owned());
        lookups.remember(key("a"), &Ok("C1".into()), Duration::ZERO);
        lookups.remember(key("b"), &unknown(), Duration::ZERO);
        lookups.remember(
            key("c"),
            &Err(Failure::Unknown {
                detail: String::new(),
            }),
            Duration::ZERO,
        );
        let at = |name: &str, s| {
            lookups
                .remembered(&key(name), Duration::from_secs(s))
                .map(|a| a.is_ok())
        };
        assert_eq!((at("a", 599), at("a", 600)), (Some(true), None));
        assert_eq!((at("b", 14), at("b", 15)), (Some(false), None));
        assert_eq!(at("c", 0), None);
    }

    #[test]
    fn memory_is_bounded() {
        let lookups = Lookups::default();
        for n in 0..MAX_ENTRIES * 2 + 5 {
            lookups.remember(("slack", n.to_string()), &Ok("C".into()), Duration::ZERO);
        }
        assert!(lookups.known.lock().unwrap().len() <= MAX_ENTRIES);
    }
}
