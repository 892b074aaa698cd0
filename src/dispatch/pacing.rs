//! The outgoing pace: when the next part may go to a destination.
//!
//! A lane is a destination's queue ticket machine: each reservation gets the next free moment, so waiting
//! parts leave in the order they came. A platform's `Retry-After` pauses the lane and always wins; a limit of an
//! [`Account`] holds all of its lanes.

mod accounts;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::delivery::{Failure, Later};
use crate::domain::quota::Limit;
use crate::outbox::Lane;

use accounts::Accounts;
pub(super) use accounts::{Account, Slowed};

/// The most lanes that are kept: idle ones are forgotten first, and they lose nothing by it.
const MAX_LANES: usize = 10_000;
/// What a new destination is told when all lanes are busy.
const WHEN_FULL: Duration = Duration::from_secs(1);

/// All destinations that were posted to lately.
#[derive(Default)]
pub struct Lanes {
    lanes: Mutex<HashMap<Lane, State>>,
    accounts: Accounts,
    /// Whether there ever was one: mostly no platform has a pace or asks for a pause, and every post asks.
    are_any: AtomicBool,
}

#[derive(Clone, Copy)]
struct State {
    /// The theoretical arrival time of GCRA: when the pace is fully recovered.
    recovered: Instant,
    paused_until: Instant,
}

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, HashMap<Lane, State>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moment at which the next part may go, not before `not_before`; it is then taken. A pause may begin
    /// while one waits for it: ask [`Lanes::is_paused`] then.
    ///
    /// # Errors
    /// The time to wait when that moment is not before the deadline; nothing is taken then.
    pub fn reserve(
        &self,
        lane: Lane,
        pace: Limit,
        now: Instant,
        not_before: Instant,
        deadline: Instant,
    ) -> Result<Instant, Duration> {
        if pace.is_none() && !self.are_any.load(Ordering::Acquire) {
            return Ok(now.max(not_before));
        }
        let mut lanes = self.lock();
        let known = lanes.get(&lane).copied();
        if pace.is_none() && known.is_none() && not_before <= now {
            return Ok(now);
        }
        let State {
            recovered,
            paused_until,
        } = known.unwrap_or(State {
            recovered: now,
            paused_until: now,
        });
        let (interval, burst) =
            pace.map_or((Duration::ZERO, 1), |q| (q.interval(), q.count().get()));
        let paced = recovered.checked_sub(interval * (burst - 1)).unwrap_or(now);
        let turn = now.max(not_before).max(paced).max(paused_until);
        if turn > now && turn >= deadline {
            return Err(turn - now);
        }
        if !make_room(&mut lanes, lane, now) {
            return Err(WHEN_FULL);
        }
        self.are_any.store(true, Ordering::Release);
        lanes.insert(
            lane,
            State {
                recovered: recovered.max(turn) + interval,
                paused_until,
            },
        );
        Ok(turn)
    }

    /// When the last of so many parts could go if nobody else came; nothing is taken.
    pub fn last_turn(&self, lane: Lane, pace: Limit, parts: usize, now: Instant) -> Instant {
        let lanes = self.lock();
        let known = lanes.get(&lane).copied();
        let start = known.map_or(now, |known| now.max(known.paused_until));
        let Some(pace) = pace else { return start };
        let recovered = known.map_or(now, |known| known.recovered).max(now);
        let behind = u32::try_from(parts).unwrap_or(u32::MAX).saturating_sub(1);
        let burst = pace.interval() * (pace.count().get() - 1);
        let paced = recovered + pace.interval().saturating_mul(behind);
        start.max(paced.checked_sub(burst).unwrap_or(now))
    }

    /// Whether the platform has asked for a pause that is not over.
    pub fn is_paused(&self, lane: Lane, now: Instant) -> bool {
        let lanes = self.lock();
        lanes
            .get(&lane)
            .is_some_and(|known| known.paused_until > now)
    }

    /// The moment from which on the limits of an account let posts through; `now` where nothing is known of any.
    pub fn opens_at(&self, account: &Account, now: Instant) -> Instant {
        if !self.are_any.load(Ordering::Acquire) {
            return now;
        }
        self.accounts.opens_at(account, now)
    }

    /// A post that was begun then was taken. If it has used up a limit, nothing goes through its account before `wait` has
    /// passed. Webhooks are many servers, so there it is the lane alone.
    pub fn took(
        &self,
        lane: Lane,
        account: &Account,
        begun: Instant,
        now: Instant,
        wait: Option<Duration>,
    ) {
        if account.gateway.webhooks {
            return self.pause(lane, now, wait);
        }
        if let Some(wait) = wait {
            self.are_any.store(true, Ordering::Release);
            self.accounts.hold(account, now, now + wait);
        }
        if self.are_any.load(Ordering::Acquire) {
            self.accounts.took(account, begun);
        }
    }

    /// The platform said "not so fast" to a post: its lane waits. So does its whole workspace, where there are such, if the
    /// platform has said so to another lane before this post was begun, and taken nothing since.
    pub fn slow_down(&self, account: &Account, slowed: Slowed, begun: Instant) {
        self.pause(slowed.lane, slowed.at, Some(slowed.wait));
        if account.workspace.is_some() {
            self.accounts.slow_down(account, slowed, begun);
        }
    }

    /// Nothing goes to this lane before `retry_after` has passed.
    pub fn pause(&self, lane: Lane, now: Instant, retry_after: Option<Duration>) {
        let Some(wait) = retry_after else { return };
        let mut lanes = self.lock();
        if make_room(&mut lanes, lane, now) {
            self.are_any.store(true, Ordering::Release);
            let entry = lanes.entry(lane).or_insert(State {
                recovered: now,
                paused_until: now,
            });
            entry.paused_until = entry.paused_until.max(now + wait);
        }
    }
}

/// Whether there is room for this lane, after idle ones are forgotten.
fn make_room(lanes: &mut HashMap<Lane, State>, lane: Lane, now: Instant) -> bool {
    if lanes.len() >= MAX_LANES && !lanes.contains_key(&lane) {
        lanes.retain(|_, l| l.recovered > now || l.paused_until > now);
    }
    lanes.len() < MAX_LANES || lanes.contains_key(&lane)
}

/// A platform that says "not so fast" without a time is left alone for a second, doubling up to a minute (F-13).
pub(super) fn with_least_pause(mut failure: Failure, attempt: u32) -> Failure {
    if let Failure::Later {
        reason: Later::Throttled,
        retry_after: retry_after @ None,
        ..
    } = &mut failure
    {
        *retry_after = Some(
            Duration::from_secs(1 << attempt.saturating_sub(1).min(6)).min(Duration::from_secs(60)),
        );
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, ManualClock};
    use crate::domain::quota::parse_limit;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn parts_leave_at_the_pace_in_the_order_they_came() {
        let (lanes, now) = (Lanes::default(), ManualClock::default().now());
        let pace = parse_limit("1/s").unwrap();
        let far = now + S * 100;
        let turns: Vec<_> = (0..4)
            .map(|_| lanes.reserve(Lane(1), pace, now, now, far).unwrap() - now)
            .collect();
        assert_eq!(turns, [Duration::ZERO, S, S * 2, S * 3]);
        assert_eq!(
            lanes.reserve(Lane(1), pace, now, now, now + S * 4),
            Err(S * 4)
        );
        assert_eq!(
            lanes.reserve(Lane(1), pace, now + S * 4, now + S * 4, now + S * 5),
            Ok(now + S * 4)
        );
        assert_eq!(lanes.reserve(Lane(2), pace, now, now, now), Ok(now));
    }

    #[test]
    fn n_is_also_the_burst() {
        let (lanes, now) = (Lanes::default(), ManualClock::default().now());
        let pace = parse_limit("3/s").unwrap();
        let turns: Vec<_> = (0..5)
            .map(|_| lanes.reserve(Lane(1), pace, now, now, now + S * 9).unwrap() - now)
            .collect();
        assert_eq!(turns[..3], [Duration::ZERO; 3]);
        assert!(turns[3] > S / 4 && turns[4] > turns[3]);
    }

    #[test]
    fn the_last_turn_of_several_parts_is_known_before_the_first() {
        let (lanes, now) = (Lanes::default(), ManualClock::default().now());
        let pace = parse_limit("1/s").unwrap();
        assert_eq!(lanes.last_turn(Lane(1), pace, 3, now), now + S * 2);
        lanes.reserve(Lane(1), pace, now, now, now + S).unwrap();
        assert_eq!(lanes.last_turn(Lane(1), pace, 3, now), now + S * 3);
        assert_eq!(lanes.last_turn(Lane(1), None, 3, now), now);
        assert_eq!(
            lanes.last_turn(Lane(2), parse_limit("3/s").unwrap(), 3, now),
            now
        );
        lanes.pause(Lane(3), now, Some(S * 9));
        assert_eq!(lanes.last_turn(Lane(3), None, 1, now), now + S * 9);
    }

    #[test]
    fn a_pause_wins_over_the_pace_and_without_one_nothing_waits() {
        let (lanes, now) = (Lanes::default(), ManualClock::default().now());
        assert_eq!(lanes.reserve(Lane(1), None, now, now, now), Ok(now));
        lanes.pause(Lane(1), now, Some(S * 30));
        lanes.pause(Lane(1), now, Some(S * 5));
        assert_eq!(
            lanes.reserve(Lane(1), None, now, now, now + S * 10),
            Err(S * 30)
        );
        assert_eq!(
            lanes.reserve(Lane(1), None, now, now, now + S * 31),
            Ok(now + S * 30)
        );
        assert_eq!(
            lanes.reserve(Lane(1), None, now + S * 31, now + S * 31, now + S * 31),
            Ok(now + S * 31)
        );
    }

    #[test]
    fn a_repeat_takes_its_turn_before_those_who_come_while_it_waits() {
        let (lanes, now) = (Lanes::default(), ManualClock::default().now());
        let (pace, far) = (parse_limit("1/s").unwrap(), now + S * 100);
        let waiting = [
            lanes.reserve(Lane(1), pace, now, now, far).unwrap(),
            lanes.reserve(Lane(1), pace, now, now, far).unwrap(),
        ];
        lanes.pause(Lane(1), now, Some(S * 30));
        let repeat = lanes.reserve(Lane(1), pace, now, now + S * 30, far);
        assert_eq!(waiting, [now, now + S]);
        assert_eq!(repeat, Ok(now + S * 30));
        assert!(lanes.is_paused(Lane(1), waiting[1]) && !lanes.is_paused(Lane(1), now + S * 30));
        let later = now + S;
        assert_eq!(
            lanes.reserve(Lane(1), pace, later, later, far),
            Ok(now + S * 31)
        );
        assert_eq!(lanes.reserve(Lane(2), None, now, now + S, far), Ok(now + S));
    }

    fn account(webhooks: bool) -> Account {
        let gateway = crate::dispatch::queue::schedule::Gateway {
            backend: "mattermost",
            webhooks,
        };
        Account {
            gateway,
            workspace: None,
        }
    }

    #[test]
    fn a_limit_that_is_used_up_holds_the_account_and_of_webhooks_the_lane() {
        let (lanes, now) = (Lanes::default(), ManualClock::default().now());
        let (bot, hooks) = (account(false), account(true));
        let reserve = |lane, account: &Account, now| {
            let opens = lanes.opens_at(account, now);
            lanes.reserve(Lane(lane), None, now, opens, now)
        };
        lanes.took(Lane(1), &bot, now, now, None);
        let before = reserve(1, &bot, now);
        lanes.took(Lane(1), &bot, now, now, Some(S * 9));
        lanes.took(Lane(1), &bot, now, now, Some(S * 5));
        lanes.took(Lane(3), &hooks, now, now, Some(S * 7));

        assert_eq!(before, Ok(now));
        assert_eq!([1, 2].map(|lane| reserve(lane, &bot, now)), [Err(S * 9); 2]);
        assert_eq!(reserve(2, &bot, now + S * 9), Ok(now + S * 9));
        assert_eq!(reserve(3, &hooks, now), Err(S * 7));
        assert_eq!(reserve(4, &hooks, now), Ok(now));
    }

    #[test]
    fn where_channels_are_limited_alone_those_told_to_wait_hold_up_no_other() {
        let (lanes, now) = (Lanes::default(), ManualClock::default().now());
        for lane in [1, 2, 3] {
            let slowed = Slowed {
                lane: Lane(lane),
                at: now,
                wait: S * 9,
            };
            lanes.slow_down(&account(false), slowed, now);
        }

        assert!(lanes.is_paused(Lane(3), now));
        assert_eq!(lanes.opens_at(&account(false), now), now);
    }

    #[test]
    fn memory_is_bounded_and_busy_lanes_are_kept() {
        let (lanes, now) = (Lanes::default(), ManualClock::default().now());
        for lane in 0..20_000 {
            lanes.pause(Lane(lane), now, Some(S));
        }
        assert_eq!(lanes.lock().len(), MAX_LANES);
        assert_eq!(
            lanes.reserve(Lane(50_000), parse_limit("1/s").unwrap(), now, now, now),
            Err(WHEN_FULL)
        );
        assert!(
            lanes
                .reserve(
                    Lane(50_000),
                    parse_limit("1/s").unwrap(),
                    now + S * 2,
                    now + S * 2,
                    now + S * 3
                )
                .is_ok()
        );
    }

    /// F-13: without a time the pause doubles from a second to a minute; a given time stays as it is.
    #[test]
    fn a_platform_that_names_no_time_is_left_alone_for_a_while() {
        let throttled = |asked| Failure::later(Later::Throttled, asked, "");
        let pause = |attempt| with_least_pause(throttled(None), attempt).retry_after();
        let seconds: Vec<_> = (1..=8)
            .filter_map(pause)
            .map(|wait| wait.as_secs())
            .collect();
        let asked = Some(Duration::from_secs(90));
        let unavailable = Failure::later(Later::Unavailable, None, "");

        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(with_least_pause(throttled(asked), 1).retry_after(), asked);
        assert_eq!(with_least_pause(unavailable, 3).retry_after(), None);
    }
}
