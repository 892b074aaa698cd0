//! Who goes next, and when. Even lanes are ids, odd ones names.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::clock::{Clock as _, ManualClock};

const S: Duration = Duration::from_secs(1);
const BOT: Gateway = Gateway {
    backend: "mattermost",
    webhooks: false,
};
const HOOKS: Gateway = Gateway {
    backend: "mattermost",
    webhooks: true,
};
const OTHER: Gateway = Gateway {
    backend: "slack",
    webhooks: false,
};
const A: Lane = Lane(2);
const B: Lane = Lane(4);
const C: Lane = Lane(6);
const NAME: Lane = Lane(7);

/// A schedule in which so much waits, one in each lane, ready now; and now.
fn with(lanes: &[(Lane, Gateway)]) -> (Schedule, Instant) {
    let (mut schedule, now) = (Schedule::default(), ManualClock::default().now());
    for (lane, gateway) in lanes {
        schedule.enter(*lane, *gateway, 1);
        schedule.offer(*lane, Release::Go, now);
    }
    (schedule, now)
}

/// The lane that goes now fails so, and waits for its backoff.
#[track_caller]
fn fail(schedule: &mut Schedule, sign: Sign, backoff: Duration, now: Instant) -> Lane {
    let Next::Take(lane) = schedule.next(now) else {
        panic!("nothing goes now");
    };
    let gateway = schedule.lanes[&lane].gateway;
    schedule.note(gateway, sign, now);
    schedule.attempted(lane, true, now);
    schedule.release(lane, Release::After(backoff), now);
    lane
}

/// All that goes now, none of it released.
fn all(schedule: &mut Schedule, now: Instant) -> Vec<Lane> {
    let taken = std::iter::from_fn(|| match schedule.next(now) {
        Next::Take(lane) => Some(lane),
        _ => None,
    });
    taken.collect()
}

#[test]
fn a_gateway_that_cannot_be_reached_is_probed_by_one() {
    let (mut schedule, start) = with(&[(A, BOT), (B, BOT), (C, BOT)]);
    fail(&mut schedule, Sign::Unreachable, Duration::ZERO, start);

    let mut now = start;
    let mut pauses = Vec::new();
    for _ in 0..6 {
        let Next::At(at) = schedule.next(now) else {
            panic!("something goes at once");
        };
        pauses.push((at - now).as_secs());
        now = at;
        let Next::Take(probe) = schedule.next(now) else {
            panic!("nothing probes");
        };
        assert_eq!(schedule.next(now), Next::Idle, "two probe");
        schedule.note(BOT, Sign::Unreachable, now);
        schedule.release(probe, Release::After(S * 300), now);
    }

    assert_eq!(pauses, [1, 2, 4, 5, 5, 5]);
}

#[test]
fn a_gateway_that_refuses_is_tried_once_a_minute() {
    let (mut schedule, now) = with(&[(A, BOT), (B, BOT)]);

    fail(&mut schedule, Sign::Refusing, S * 60, now);

    assert_eq!(schedule.next(now), Next::At(now + S * 60));
    assert_eq!(all(&mut schedule, now + S * 60).len(), 1);
}

#[test]
fn a_gateway_in_trouble_holds_nobody_back() {
    let (mut schedule, now) = with(&[(A, BOT), (B, BOT)]);

    fail(&mut schedule, Sign::Troubled, S * 300, now);
    let other = fail(&mut schedule, Sign::Troubled, S * 300, now);

    assert_eq!(other, B);
    assert_eq!(schedule.next(now), Next::At(now + S * 5));
    assert_eq!(all(&mut schedule, now + S * 5).len(), 1);
}

/// F-9: each try may post it once more.
#[test]
fn what_was_answered_with_nonsense_waits_for_its_own_time() {
    let (mut schedule, now) = with(&[(A, BOT), (B, BOT)]);

    for _ in 0..2 {
        fail(&mut schedule, Sign::Unclear, S * 300, now);
    }

    assert_eq!(schedule.next(now), Next::At(now + S * 300));
}

/// The platform's own trouble is looked after all the same, and not as fast as it answers nonsense.
#[test]
fn nonsense_from_a_gateway_in_trouble_is_probed_like_its_trouble() {
    let (mut schedule, now) = with(&[(A, BOT), (B, BOT)]);

    fail(&mut schedule, Sign::Troubled, S * 300, now);
    fail(&mut schedule, Sign::Unclear, S * 300, now);

    assert_eq!(schedule.next(now), Next::At(now + S * 5));
    assert_eq!(all(&mut schedule, now + S * 5).len(), 1);
}

#[test]
fn others_go_as_soon_as_the_gateway_works() {
    let (mut schedule, now) = with(&[(A, BOT), (B, BOT), (C, BOT)]);
    let first = fail(&mut schedule, Sign::Unreachable, S * 300, now);

    schedule.note(BOT, Sign::Works, now + S);

    let others: Vec<Lane> = [A, B, C].into_iter().filter(|one| *one != first).collect();
    assert_eq!(all(&mut schedule, now + S), others);
    // The one that failed does not go faster than a probe would.
    assert_eq!(schedule.next(now + S), Next::At(now + S * 5));
    assert_eq!(schedule.next(now + S * 5), Next::Take(first));
}

#[test]
fn a_pause_is_shortened_by_nothing() {
    let (mut schedule, now) = with(&[(A, BOT)]);
    assert_eq!(schedule.next(now), Next::Take(A));
    schedule.note(BOT, Sign::Unreachable, now);
    schedule.release(A, Release::Pause(S * 30), now);

    schedule.note(BOT, Sign::Works, now + S);
    schedule.hurry(A);
    schedule.offer(A, Release::Go, now + S);
    let works = schedule.next(now + S * 29);
    schedule.note(BOT, Sign::Unreachable, now + S);
    let probed = schedule.next(now + S * 29);

    assert_eq!(
        (works, probed),
        (Next::At(now + S * 30), Next::At(now + S * 30))
    );
    assert_eq!(schedule.next(now + S * 30), Next::Take(A));
}

#[test]
fn a_backoff_is_ended_by_a_hurry() {
    let (mut schedule, now) = with(&[(A, BOT)]);
    fail(&mut schedule, Sign::Works, S * 300, now);
    assert_eq!(schedule.next(now), Next::At(now + S * 300));

    schedule.hurry(A);

    assert_eq!(schedule.next(now + S), Next::Take(A));
}

#[test]
fn webhooks_and_other_backends_are_not_held_back() {
    let (mut schedule, now) = with(&[(A, BOT), (B, HOOKS), (C, OTHER)]);
    schedule.note(BOT, Sign::Unreachable, now);
    schedule.note(HOOKS, Sign::Unreachable, now);

    assert_eq!(all(&mut schedule, now), [B, C]);
}

#[test]
fn what_is_stored_while_its_lane_is_served_is_seen() {
    let (mut schedule, now) = with(&[(A, BOT)]);
    assert_eq!(schedule.next(now), Next::Take(A));

    schedule.enter(A, BOT, 1);
    schedule.offer(A, Release::Go, now);
    schedule.leave(A, 1);
    schedule.release(A, Release::Absent, now);

    assert_eq!(schedule.next(now), Next::Take(A));
}

#[test]
fn what_cannot_be_read_yet_waits_for_its_offer() {
    let (mut schedule, now) = with(&[]);
    schedule.enter(A, BOT, 1);
    assert_eq!(schedule.next(now), Next::Idle);

    schedule.offer(A, Release::After(S), now);

    assert_eq!(schedule.next(now), Next::At(now + S));
    assert_eq!(schedule.next(now + S), Next::Take(A));
}

#[test]
fn who_was_due_first_goes_first() {
    let (mut schedule, now) = with(&[(C, OTHER)]);
    for (lane, delay) in [(A, S * 3), (B, S * 2)] {
        schedule.enter(lane, BOT, 1);
        schedule.offer(lane, Release::After(delay), now);
    }

    assert_eq!(all(&mut schedule, now + S * 9), [C, B, A]);
}

#[test]
fn a_lane_that_goes_on_lets_others_have_their_turn() {
    let (mut schedule, now) = with(&[(A, BOT)]);
    schedule.enter(A, BOT, 9);
    assert_eq!(schedule.next(now), Next::Take(A));
    schedule.enter(B, BOT, 1);
    schedule.offer(B, Release::Go, now);

    schedule.release(A, Release::Go, now + S);

    assert_eq!(all(&mut schedule, now + S), [B, A]);
}

#[test]
fn a_name_goes_before_the_channel_that_it_may_be() {
    let (mut schedule, now) = with(&[(A, BOT), (NAME, BOT), (C, OTHER)]);
    assert!(!schedule.is_open(B, BOT) && schedule.is_open(B, OTHER));

    let first = all(&mut schedule, now);
    schedule.enter(A, BOT, 1);
    schedule.leave(NAME, 1);
    schedule.release(NAME, Release::Absent, now);

    assert!(first.contains(&NAME) && !first.contains(&A), "{first:?}");
    assert_eq!(schedule.next(now), Next::Take(A));
    assert!(schedule.is_open(B, BOT));
}

#[test]
fn a_name_probes_before_a_channel() {
    let (mut schedule, now) = with(&[(A, BOT), (NAME, BOT)]);
    let probe = fail(&mut schedule, Sign::Unreachable, S * 300, now);

    assert_eq!(probe, NAME);
    assert_eq!(all(&mut schedule, now + S), [NAME]);
}

#[test]
fn a_name_that_has_to_wait_holds_no_channel_up() {
    let (mut schedule, now) = with(&[(A, BOT), (NAME, BOT)]);

    fail(&mut schedule, Sign::Works, S * 300, now);

    assert_eq!(schedule.next(now), Next::Take(A));
}

#[test]
fn a_gateway_that_hangs_leaves_room_for_others() {
    let bots = (1..=100).map(|n| (Lane(n * 2), BOT));
    let lanes: Vec<_> = bots.chain([(Lane(1000), OTHER)]).collect();
    let (mut schedule, now) = with(&lanes);

    let taken = all(&mut schedule, now);
    schedule.release(taken[0], Release::After(S), now);
    let more = all(&mut schedule, now);

    assert_eq!((taken.len(), more.len()), (MAX_BUSY + 1, 1));
    assert!(taken.contains(&Lane(1000)));
}

/// Looking up may be all that does not work.
#[test]
fn a_name_that_has_failed_holds_no_channel_up_when_it_is_looked_up_again() {
    let (mut schedule, now) = with(&[(A, BOT), (NAME, BOT)]);
    fail(&mut schedule, Sign::Troubled, Duration::ZERO, now);

    assert_eq!(all(&mut schedule, now), [NAME, A]);
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Enter(u8, u8),
    Offer(u8),
    Leave(u8, u8),
    Take,
    Release(u8, u8),
    Sign(u8),
    Hurry(u8),
    Later(u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (any::<u8>(), 1..4_u8).prop_map(|(lane, count)| Event::Enter(lane, count)),
        any::<u8>().prop_map(Event::Offer),
        (any::<u8>(), 1..4_u8).prop_map(|(lane, count)| Event::Leave(lane, count)),
        Just(Event::Take),
        (any::<u8>(), any::<u8>()).prop_map(|(lane, how)| Event::Release(lane, how)),
        any::<u8>().prop_map(Event::Sign),
        any::<u8>().prop_map(Event::Hurry),
        (0..120_u8).prop_map(Event::Later),
    ]
}

/// Eight lanes: ids and names of a bot, and webhooks.
fn lane_of(n: u8) -> (Lane, Gateway) {
    let n = n % 8;
    (
        Lane(i64::from(n)),
        if n < 6 || n % 2 == 1 { BOT } else { HOOKS },
    )
}

fn apply(schedule: &mut Schedule, busy: &mut Vec<Lane>, now: &mut Instant, event: Event) {
    match event {
        Event::Enter(n, count) => {
            let (lane, gateway) = lane_of(n);
            schedule.enter(lane, gateway, u32::from(count));
        }
        Event::Offer(n) => {
            schedule.offer(lane_of(n).0, Release::Go, *now);
        }
        Event::Leave(n, count) => schedule.leave(lane_of(n).0, u32::from(count)),
        Event::Take => {
            if let Next::Take(lane) = schedule.next(*now) {
                assert!(!busy.contains(&lane), "served twice");
                busy.push(lane);
            }
        }
        Event::Release(n, how) if !busy.is_empty() => {
            let lane = busy.remove(usize::from(n) % busy.len());
            let release = match how % 4 {
                0 => Release::Go,
                1 => Release::After(S * u32::from(how)),
                2 => Release::Pause(S * u32::from(how)),
                _ => Release::Absent,
            };
            schedule.release(lane, release, *now);
        }
        Event::Release(..) => {}
        Event::Sign(n) => {
            let signs = [
                Sign::Works,
                Sign::Troubled,
                Sign::Unclear,
                Sign::Unreachable,
                Sign::Refusing,
            ];
            schedule.note(BOT, signs[usize::from(n) % signs.len()], *now);
        }
        Event::Hurry(n) => schedule.hurry(lane_of(n).0),
        Event::Later(s) => *now += S * u32::from(s),
    }
}

/// What must hold of any schedule.
fn check(schedule: &Schedule, busy: &[Lane]) {
    let waiting: usize = schedule
        .lanes
        .values()
        .map(|lane| lane.waiting as usize)
        .sum();
    assert_eq!(schedule.waiting(), waiting);
    let mut queued: BTreeMap<Lane, usize> = BTreeMap::new();
    for state in schedule.gateways.values() {
        for (_, lane) in state.names.iter().chain(&state.ready).chain(&state.paused) {
            *queued.entry(*lane).or_default() += 1;
        }
    }
    for (lane, state) in &schedule.lanes {
        let is_busy = busy.contains(lane);
        assert!(state.waiting > 0 || is_busy, "{lane:?} is kept for nothing");
        assert_eq!(state.place == Place::Busy, is_busy, "{lane:?}");
        let times = usize::from(matches!(state.place, Place::Ready(_) | Place::Paused(_)));
        assert_eq!(queued.remove(lane).unwrap_or_default(), times, "{lane:?}");
    }
    assert!(queued.is_empty(), "{queued:?} are scheduled for nothing");
    let names = |lane: &&Lane| is_of_name(**lane);
    let served: usize = schedule.gateways.values().map(|state| state.busy).sum();
    assert_eq!(served, busy.len());
    let bot = schedule.gateways.get(&BOT);
    let named = bot.map_or(0, |state| state.named);
    assert_eq!(named, schedule.lanes.keys().filter(names).count());
    let mut looking_up = bot.iter().flat_map(|state| &state.looking_up);
    assert!(looking_up.all(|lane| is_of_name(*lane) && busy.contains(lane)));
}

/// The lane that goes next, whenever that is. Time may pass in steps: a pause can end while a gateway is held back.
#[track_caller]
fn turn(schedule: &mut Schedule, now: &mut Instant) -> Lane {
    loop {
        match schedule.next(*now) {
            Next::Take(lane) => return lane,
            Next::At(at) => {
                assert!(at > *now, "it is asked for no time at all");
                *now = at;
            }
            Next::Idle => panic!("{} wait for nothing", schedule.waiting()),
        }
    }
}

proptest! {
    /// Nothing that waits is forgotten, whatever happens in whatever order.
    #[test]
    fn what_waits_is_counted_and_comes_to_its_turn(events in proptest::collection::vec(event(), 0..120)) {
        let (mut schedule, mut now) = with(&[]);
        let mut busy = Vec::new();
        for event in events {
            apply(&mut schedule, &mut busy, &mut now, event);
            check(&schedule, &busy);
        }

        // In the end everything is offered, and every probe works.
        for lane in std::mem::take(&mut busy) {
            schedule.release(lane, Release::Go, now);
        }
        for n in 0..8 {
            schedule.offer(lane_of(n).0, Release::Go, now);
        }
        let left = schedule.lanes.len();
        for _ in 0..left {
            let lane = turn(&mut schedule, &mut now);
            let (gateway, count) = (schedule.lanes[&lane].gateway, schedule.lanes[&lane].waiting);
            schedule.note(gateway, Sign::Works, now);
            schedule.leave(lane, count);
            schedule.release(lane, Release::Absent, now);
        }
        prop_assert_eq!(schedule.waiting(), 0);
        prop_assert!(schedule.lanes.is_empty());
    }
}
