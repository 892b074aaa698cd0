//! The limits that all destinations of a bot share.
//!
//! Slack says "not so fast" of a method in a workspace, and of a single channel in the same words (reference/slack.md 1.5).
//! One channel is paused alone, so that it holds up no other. When another one, tried after that, is told the same with
//! nothing taken in between, it is the workspace.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::dispatch::queue::schedule::Gateway;
use crate::outbox::Lane;

/// The most accounts that are kept: idle ones are forgotten, and lose nothing by it.
const MAX_ACCOUNTS: usize = 2_000;

/// Whose limits a post counts against.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Account {
    /// A backend's bot; what its webhooks share is not known.
    pub gateway: Gateway,
    /// The workspace that is limited as a whole; `None` where a platform limits channels alone.
    pub workspace: Option<String>,
}

/// A "not so fast".
#[derive(Debug, Clone, Copy)]
pub struct Slowed {
    /// To whom.
    pub lane: Lane,
    /// When.
    pub at: Instant,
    /// For how long.
    pub wait: Duration,
}

/// What is known of the limits of accounts.
#[derive(Default)]
pub(super) struct Accounts(Mutex<HashMap<Account, State>>);

struct State {
    opens: Instant,
    /// The first one since a post was taken, as long as it lasts.
    slowed: Option<Slowed>,
}

impl Slowed {
    fn lasts(&self, now: Instant) -> bool {
        now < self.at + self.wait
    }
}

impl Accounts {
    fn lock(&self) -> MutexGuard<'_, HashMap<Account, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, account: &Account, now: Instant, change: impl FnOnce(&mut State)) {
        let mut accounts = self.lock();
        if accounts.len() >= MAX_ACCOUNTS && !accounts.contains_key(account) {
            accounts.retain(|_, state| {
                state.opens > now || state.slowed.is_some_and(|slowed| slowed.lasts(now))
            });
        }
        if accounts.len() < MAX_ACCOUNTS || accounts.contains_key(account) {
            let new = State {
                opens: now,
                slowed: None,
            };
            change(accounts.entry(account.clone()).or_insert(new));
        }
    }

    pub(super) fn opens_at(&self, account: &Account, now: Instant) -> Instant {
        let accounts = self.lock();
        accounts
            .get(account)
            .map_or(now, |state| now.max(state.opens))
    }

    pub(super) fn hold(&self, account: &Account, now: Instant, until: Instant) {
        self.change(account, now, |state| state.opens = state.opens.max(until));
    }

    pub(super) fn took(&self, account: &Account, begun: Instant) {
        if let Some(state) = self.lock().get_mut(account) {
            state.slowed = state.slowed.filter(|slowed| begun < slowed.at);
        }
    }

    pub(super) fn slow_down(&self, account: &Account, slowed: Slowed, begun: Instant) {
        self.change(account, slowed.at, |state| {
            let first = state.slowed.filter(|first| first.lasts(begun));
            if first.is_some_and(|first| first.lane != slowed.lane && first.at <= begun) {
                state.opens = state.opens.max(slowed.at + slowed.wait);
            }
            state.slowed = Some(first.unwrap_or(slowed));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, ManualClock};

    const S: Duration = Duration::from_secs(1);

    fn account(workspace: &str) -> Account {
        let gateway = Gateway {
            backend: "slack",
            webhooks: false,
        };
        Account {
            gateway,
            workspace: Some(workspace.to_owned()),
        }
    }

    fn slowed(lane: i64, at: Instant) -> Slowed {
        Slowed {
            lane: Lane(lane),
            at,
            wait: S * 30,
        }
    }

    #[test]
    fn two_lanes_one_after_the_other_are_the_whole_account_and_no_other() {
        let (accounts, now) = (Accounts::default(), ManualClock::default().now());
        let [one, other] = ["", "T0TEAM001"].map(account);

        accounts.slow_down(&one, slowed(1, now), now);
        let after_one = accounts.opens_at(&one, now);
        accounts.slow_down(&one, slowed(2, now + S), now);

        assert_eq!(after_one, now);
        assert_eq!(accounts.opens_at(&one, now), now + S * 31);
        assert_eq!(accounts.opens_at(&other, now), now);
    }

    #[test]
    fn what_may_be_of_single_lanes_holds_up_nobody() {
        let now = ManualClock::default().now() + S;
        let opens_after = |steps: &dyn Fn(&Accounts, &Account)| {
            let (accounts, one) = (Accounts::default(), account(""));
            steps(&accounts, &one);
            accounts.opens_at(&one, now)
        };
        let same_lane = opens_after(&|accounts, one| {
            accounts.slow_down(one, slowed(1, now), now);
            accounts.slow_down(one, slowed(1, now + S), now);
        });
        let at_once = opens_after(&|accounts, one| {
            accounts.slow_down(one, slowed(1, now), now - S);
            accounts.slow_down(one, slowed(2, now), now - S);
        });
        let with_a_post_between = opens_after(&|accounts, one| {
            accounts.slow_down(one, slowed(1, now), now);
            accounts.took(one, now + S);
            accounts.slow_down(one, slowed(2, now + S * 3), now + S * 2);
        });
        let later = opens_after(&|accounts, one| {
            accounts.slow_down(one, slowed(1, now), now);
            accounts.slow_down(one, slowed(2, now + S * 40), now + S * 40);
        });

        assert_eq!(
            [same_lane, at_once, with_a_post_between, later],
            [now; 4],
            "same lane, at once, with a post between, later"
        );
    }

    #[test]
    fn a_post_that_was_begun_before_says_nothing_of_what_came_after() {
        let (accounts, now) = (Accounts::default(), ManualClock::default().now());
        let one = account("");

        accounts.slow_down(&one, slowed(1, now + S), now);
        accounts.took(&one, now);
        accounts.slow_down(&one, slowed(2, now + S * 2), now + S);

        assert_eq!(accounts.opens_at(&one, now), now + S * 32);
    }

    #[test]
    fn memory_is_bounded() {
        let (accounts, now) = (Accounts::default(), ManualClock::default().now());
        for n in 0..MAX_ACCOUNTS * 3 {
            accounts.slow_down(&account(&n.to_string()), slowed(1, now), now);
        }

        assert_eq!(accounts.lock().len(), MAX_ACCOUNTS);
        accounts.slow_down(&account("new"), slowed(1, now + S * 60), now + S * 60);
        assert_eq!(accounts.lock().len(), 1);
    }
}
