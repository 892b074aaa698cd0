//! Names to ids, remembered for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::pacing::with_least_pause;
use crate::backends::{Backend, Wire};
use crate::domain::delivery::{Failure, Later, Refusal};

/// How long a found id is used, unless it is refused. Ids outlive renames, so this only bounds a name that moved.
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
    /// One look-up at a time on each directory: a burst of posts to a new name asks the platform once, and a
    /// platform that is slow to answer holds up nobody else's.
    asking: Mutex<HashMap<Directory, Turn>>,
    /// Those that the platform has asked to be left alone for a while, whatever the name.
    paused: Mutex<HashMap<Directory, Pause>>,
}

/// Where a name is looked up: a backend, and the workspace where it has several.
type Directory = (&'static str, String);

struct Pause {
    until: Duration,
    failure: Failure,
    /// How often in a row.
    times: u32,
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
        if let Some(answer) = self.remembered(backend, name, wire.elapsed()) {
            return answer;
        }
        let directory = (
            backend,
            sender.workspace(name).unwrap_or_default().to_owned(),
        );
        let turn = self.turn(&directory);
        let _turn = turn.lock().await;
        if let Some(answer) = self.remembered(backend, name, wire.elapsed()) {
            return answer;
        }
        if let Some(failure) = self.pause_of(&directory, wire.elapsed()) {
            return Err(failure);
        }
        let answer = sender.find(wire, name).await;
        self.remember((backend, name.to_owned()), &answer, wire.elapsed());
        self.heed(directory, answer, wire.elapsed())
    }

    /// Why this directory is left alone, with what is left of the wait.
    fn pause_of(&self, directory: &Directory, now: Duration) -> Option<Failure> {
        let paused = lock(&self.paused);
        let pause = paused.get(directory).filter(|pause| pause.until > now)?;
        let mut failure = pause.failure.clone();
        if let Failure::Later { retry_after, .. } = &mut failure {
            *retry_after = Some(pause.until.saturating_sub(now));
        }
        Some(failure)
    }

    /// Keeps the wait that an answer asks for. One that says "not so fast" without a time gets one.
    fn heed(
        &self,
        directory: Directory,
        answer: Result<String, Failure>,
        now: Duration,
    ) -> Result<String, Failure> {
        let mut paused = lock(&self.paused);
        let times = paused.remove(&directory).map_or(0, |pause| pause.times) + 1;
        let failure = match answer {
            Err(failure) => with_least_pause(failure, times),
            found => return found,
        };
        if let Failure::Later {
            reason: Later::Throttled | Later::Unavailable,
            retry_after: Some(wait),
            ..
        } = failure
        {
            make_room(&mut paused, |pause| pause.until > now);
            let pause = Pause {
                until: now.saturating_add(wait),
                failure: failure.clone(),
                times,
            };
            if paused.len() < MAX_ENTRIES {
                paused.insert(directory, pause);
            }
        }
        Err(failure)
    }

    /// The id of a name that was found not long ago.
    pub(super) fn known_id(
        &self,
        backend: &'static str,
        name: &str,
        now: Duration,
    ) -> Option<String> {
        self.remembered(backend, name, now)?.ok()
    }

    /// The platform has just refused this id: its names may belong to another channel by now, and are soon looked up again. Not
    /// at once, since a caller that loops would have the platform asked for its channels each time.
    pub(super) fn doubt(&self, backend: &'static str, id: &str, now: Duration) {
        let leads_there = |entry: &Entry| entry.answer.as_deref().is_ok_and(|known| known == id);
        for (key, entry) in lock(&self.known).iter_mut() {
            if key.0 == backend && leads_there(entry) {
                entry.expires = entry.expires.min(now + UNKNOWN_FOR);
            }
        }
    }

    fn turn(&self, directory: &Directory) -> Turn {
        let mut asking = lock(&self.asking);
        make_room(&mut asking, |turn| Arc::strong_count(turn) > 1);
        Arc::clone(asking.entry(directory.clone()).or_default())
    }

    /// What was found of a name not long ago.
    pub(super) fn remembered(
        &self,
        backend: &'static str,
        name: &str,
        now: Duration,
    ) -> Option<Result<String, Failure>> {
        let known = lock(&self.known);
        known
            .get(&(backend, name.to_owned()))
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
        let mut known = lock(&self.known);
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

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets what is of no more use, should there be many: a caller can name any workspace.
fn make_room<T>(directories: &mut HashMap<Directory, T>, is_in_use: impl Fn(&T) -> bool) {
    if directories.len() >= MAX_ENTRIES {
        directories.retain(|_, entry| is_in_use(entry));
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
                is_answered: true,
                detail: String::new(),
            }),
            Duration::ZERO,
        );
        let at = |name: &str, s| {
            lookups
                .remembered("slack", name, Duration::from_secs(s))
                .map(|a| a.is_ok())
        };
        assert_eq!((at("a", 599), at("a", 600)), (Some(true), None));
        assert_eq!((at("b", 14), at("b", 15)), (Some(false), None));
        assert_eq!(at("c", 0), None);
    }

    #[test]
    fn the_names_of_an_id_that_is_refused_are_soon_looked_up_again() {
        let (lookups, at) = (Lookups::default(), Duration::from_secs);
        let names = [
            ("slack", "a", "C1"),
            ("slack", "b", "C2"),
            ("teams", "a", "C1"),
        ];
        for (backend, name, id) in names {
            lookups.remember((backend, name.to_owned()), &Ok(id.into()), at(0));
        }
        for seconds in [100, 110] {
            lookups.doubt("slack", "C1", at(seconds));
        }
        let known =
            |s| names.map(|(backend, name, _)| lookups.known_id(backend, name, at(s)).is_some());
        assert_eq!((known(114), known(115)), ([true; 3], [false, true, true]));
        assert_eq!(known(599), [false, true, true]);
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept_for_its_directory_alone() {
        let lookups = Lookups::default();
        let [one, other] = ["", "T0TEAM001"].map(|workspace| ("slack", workspace.to_owned()));
        let throttled = |asked| Err(Failure::later(Later::Throttled, asked, ""));
        let seconds = Duration::from_secs;
        let left = |directory, now| {
            let failure = lookups.pause_of(directory, seconds(now))?;
            Some(failure.retry_after()?.as_secs())
        };
        let heed = |answer, now| lookups.heed(one.clone(), answer, seconds(now)).is_ok();

        heed(throttled(Some(seconds(30))), 0);
        assert_eq!(left(&one, 10), Some(20));
        assert_eq!((left(&one, 30), left(&other, 10)), (None, None));
        // Without a time it is a second, then twice as long.
        heed(Ok("C1".into()), 30);
        heed(throttled(None), 30);
        assert_eq!((left(&one, 30), left(&one, 31)), (Some(1), None));
        heed(throttled(None), 31);
        assert_eq!(left(&one, 31), Some(2));
        heed(unknown(), 33);
        assert_eq!(left(&one, 33), None);
    }

    #[test]
    fn the_directories_that_are_remembered_are_bounded() {
        let lookups = Lookups::default();
        for n in 0..MAX_ENTRIES * 2 + 5 {
            drop(lookups.turn(&("slack", n.to_string())));
        }
        assert!(lookups.asking.lock().unwrap().len() <= MAX_ENTRIES);
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
