//! When keys are fetched, with the time moved by hand: reference/teams.md 4 (key cache), threats.md F5.

use super::*;
use crate::clock::{Clock as _, ManualClock};

fn set() -> Arc<KeySet> {
    let body = br#"{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}]}"#;
    Arc::new(KeySet::parse("https://issuer.test".to_owned(), body).unwrap())
}

fn is_fetch(plan: &Plan) -> bool {
    matches!(plan, Plan::Fetch | Plan::Renew(_))
}

/// The end of a fetch.
fn ended(state: &mut State, found: Option<&Arc<KeySet>>, clock: &ManualClock) {
    state.end(found.cloned(), clock.now());
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn while_there_are_none_one_fetch_is_made_every_five_seconds() {
    let (clock, mut state) = (ManualClock::default(), State::default());

    assert!(matches!(state.plan(clock.now()), Plan::Fetch));
    assert!(matches!(state.plan(clock.now()), Plan::Wait));
    ended(&mut state, None, &clock);
    clock.advance(FIRST_RETRY_AFTER - SECOND);
    assert!(matches!(state.plan(clock.now()), Plan::None));
    clock.advance(SECOND);
    assert!(matches!(state.plan(clock.now()), Plan::Fetch));
}

#[test]
fn known_keys_are_renewed_after_a_day_and_good_for_five() {
    let (clock, mut state, set) = (ManualClock::default(), State::default(), set());
    assert!(is_fetch(&state.plan(clock.now())));
    ended(&mut state, Some(&set), &clock);

    clock.advance(RENEW_AFTER - SECOND);
    assert!(matches!(state.plan(clock.now()), Plan::Go(_)));
    clock.advance(SECOND);
    assert!(matches!(state.plan(clock.now()), Plan::Renew(_)));
    // Meanwhile, and after it has failed, the old ones do.
    assert!(matches!(state.plan(clock.now()), Plan::Go(_)));
    ended(&mut state, None, &clock);
    assert!(matches!(state.plan(clock.now()), Plan::Go(_)));
    clock.advance(RETRY_AFTER);
    assert!(matches!(state.plan(clock.now()), Plan::Renew(_)));
    ended(&mut state, None, &clock);
    clock.advance(GOOD_FOR - RENEW_AFTER - RETRY_AFTER - SECOND);
    assert!(matches!(state.plan(clock.now()), Plan::Renew(_)));
    ended(&mut state, None, &clock);
    clock.advance(SECOND);
    assert!(matches!(state.plan(clock.now()), Plan::None));
    clock.advance(FIRST_RETRY_AFTER);
    assert!(matches!(state.plan(clock.now()), Plan::Fetch));
}

/// F5: beside the daily renewal, one fetch an hour.
#[test]
fn unknown_keys_make_one_fetch_an_hour() {
    let (clock, mut state, seen) = (ManualClock::default(), State::default(), set());
    state.plan(clock.now());
    ended(&mut state, Some(&seen), &clock);
    let mut fetches = 0;

    for _ in 0..10_000 {
        if is_fetch(&state.plan_for_unknown(&seen, clock.now())) {
            fetches += 1;
            ended(&mut state, Some(&seen), &clock);
        }
    }
    assert_eq!(fetches, 1);
    clock.advance(RETRY_AFTER - SECOND);
    assert!(!is_fetch(&state.plan_for_unknown(&seen, clock.now())));
    clock.advance(SECOND);
    assert!(is_fetch(&state.plan_for_unknown(&seen, clock.now())));
    // One under way is waited for, and one that has ended is looked at.
    assert!(matches!(
        state.plan_for_unknown(&seen, clock.now()),
        Plan::Wait
    ));
    let newer = set();
    ended(&mut state, Some(&newer), &clock);
    let plan = state.plan_for_unknown(&seen, clock.now());
    assert!(matches!(plan, Plan::Go(set) if Arc::ptr_eq(&set, &newer)));
}

/// F5: a fetch that failed has not shown that there is no such key.
#[test]
fn an_unknown_key_is_asked_for_again_soon_after_a_failure() {
    let (clock, mut state, seen) = (ManualClock::default(), State::default(), set());
    state.plan(clock.now());
    ended(&mut state, Some(&seen), &clock);
    assert!(is_fetch(&state.plan_for_unknown(&seen, clock.now())));
    ended(&mut state, None, &clock);

    let mut fetches = 0;
    for _ in 0..4 * FIRST_RETRY_AFTER.as_secs() {
        clock.advance(SECOND);
        for _ in 0..1000 {
            match state.plan_for_unknown(&seen, clock.now()) {
                Plan::Go(set) => assert!(Arc::ptr_eq(&set, &seen)),
                plan => {
                    assert!(is_fetch(&plan));
                    fetches += 1;
                    ended(&mut state, None, &clock);
                }
            }
        }
    }
    assert_eq!(fetches, 4);

    // One that succeeds without it is good for the hour again.
    clock.advance(FIRST_RETRY_AFTER);
    assert!(is_fetch(&state.plan_for_unknown(&seen, clock.now())));
    ended(&mut state, Some(&seen), &clock);
    clock.advance(RETRY_AFTER - SECOND);
    assert!(!is_fetch(&state.plan_for_unknown(&seen, clock.now())));
}
