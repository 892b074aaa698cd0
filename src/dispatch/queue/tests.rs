//! Room, holds, and who is told.

use std::time::Duration;

use super::*;
use crate::clock::{Clock as _, ManualClock};

const BOT: Gateway = Gateway {
    backend: "mattermost",
    webhooks: false,
};
const LANE: Lane = Lane(2);

fn key() -> Key {
    (DeliveryId::generate(), 0)
}

fn ended() -> Ended {
    Ended::Delivered(Posted::default())
}

#[test]
fn what_does_not_fit_reserves_nothing() {
    let queue = Queue::new(3);
    assert_eq!(
        queue.reserve(&[(LANE, BOT), (LANE, BOT)], Room::Max),
        Ok(())
    );

    let beyond = queue.reserve(&[(LANE, BOT), (LANE, BOT)], Room::Max);

    assert_eq!((beyond, queue.waiting()), (Err(OutboxFull), 2));
    queue.leave(LANE, 1);
    assert_eq!(
        queue.reserve(&[(LANE, BOT), (LANE, BOT)], Room::Max),
        Ok(())
    );
}

/// With the outbox full, what has a key is still tried where nothing is in its way, and only so much of it.
#[test]
fn what_goes_at_once_has_a_little_room_of_its_own() {
    let (queue, now) = (Queue::new(1), ManualClock::default().now());
    queue.reserve(&[(LANE, BOT)], Room::Max).unwrap();
    let lanes = || (0..i64::MAX).map(|n| [(Lane(100 + 2 * n), BOT)]);

    let behind = queue.reserve(&[(LANE, BOT)], Room::Spare);
    queue.note(BOT, Sign::Unreachable, now);
    let held_back = queue.reserve(&[(Lane(4), BOT)], Room::Spare);
    queue.note(BOT, Sign::Works, now);
    let spare = lanes().take_while(|lane| queue.reserve(lane, Room::Spare).is_ok());
    let spare = spare.count();

    assert_eq!((behind, held_back), (Err(OutboxFull), Err(OutboxFull)));
    assert_eq!((spare, queue.waiting()), (SPARE, SPARE + 1));
}

#[test]
fn from_its_reservation_on_others_queue_behind_it() {
    let (queue, now) = (Queue::new(9), ManualClock::default().now());
    assert!(queue.is_clear(LANE));

    let reserved = queue.reserve(&[(LANE, BOT)], Room::Max);

    assert_eq!(reserved, Ok(()));
    assert!(!queue.is_clear(LANE));
    assert_eq!(queue.next(now), Next::Idle);
    queue.stored(LANE, Release::Go, now);
    assert_eq!(queue.next(now), Next::Take(LANE));
}

#[test]
fn a_hold_is_for_all_or_none() {
    let (queue, one, other) = (Queue::new(9), key(), key());

    assert!(queue.hold(&[one]));
    assert!(!queue.hold(&[other, one]));
    assert!(queue.hold(&[other]), "a failed hold has held something");
    queue.let_go(&[one, other]);
    assert!(queue.hold(&[other, one]));
}

#[test]
fn what_was_read_before_something_was_taken_out_is_not_tried() {
    let (queue, key) = (Queue::new(9), key());
    assert_eq!(queue.reserve(&[(LANE, BOT)], Room::Max), Ok(()));
    let read = queue.withdrawn(LANE);

    assert!(queue.withdraw(&[(key, LANE)]));
    queue.let_go(&[key]);

    assert!(!queue.hold_unchanged(LANE, read, &[key]));
    assert!(queue.hold_unchanged(LANE, queue.withdrawn(LANE), &[key]));
    assert!(!queue.withdraw(&[(key, LANE)]), "it is being tried");
}

#[test]
fn who_waits_is_told_or_promised_and_never_both() {
    let (queue, told, promised) = (Queue::new(9), key(), key());
    let (mut first, mut second) = (queue.expect(told), queue.expect_again(told));
    let mut third = queue.expect(promised);

    let callers = queue.callers(told);
    assert!(!queue.promise(&first), "its end is just being told");
    assert!(!callers.is_promised);
    callers.tell(&ended());

    assert!(first.ended.try_recv().is_ok() && second.ended.try_recv().is_ok());
    assert!(queue.promise(&third));
    let callers = queue.callers(promised);
    assert!(callers.waiting.is_empty() && callers.is_promised);
    assert!(third.ended.try_recv().is_err());
}

/// Each waits as long as it likes, whichever came first.
#[test]
fn who_stops_waiting_stops_nobody_else() {
    let queue = Queue::new(9);
    for stops_first in [true, false] {
        let key = key();
        let (first, repeat) = (queue.expect(key), queue.expect_again(key));
        let (stops, mut waits) = match stops_first {
            true => (first, repeat),
            false => (repeat, first),
        };

        assert!(queue.promise(&stops));
        drop(stops);

        let callers = queue.callers(key);
        assert!(callers.is_promised);
        callers.tell(&ended());
        assert!(waits.ended.try_recv().is_ok_and(|told| told.is_promised));
    }
}

/// A repeat that comes while an end is being told is not taken for the caller who is told it.
#[test]
fn who_is_just_told_promises_nothing_for_who_came_later() {
    let (queue, key) = (Queue::new(9), key());
    let first = queue.expect(key);
    let _told = queue.callers(key);

    let _later = queue.expect_again(key);

    assert!(!queue.promise(&first));
    assert_eq!(queue.callers(key).waiting.len(), 1);
}

/// A repeat of an idempotency key waits for a message that was answered 202 before.
#[test]
fn a_repeat_that_waits_takes_no_promise_back() {
    let (queue, key) = (Queue::new(9), key());
    let first = queue.expect(key);
    assert!(queue.promise(&first));
    drop(first);

    let _repeat = queue.expect_again(key);

    assert!(queue.callers_unless_promised(key).waiting.is_empty());
    let callers = queue.callers(key);
    assert_eq!((callers.waiting.len(), callers.is_promised), (1, true));
}

#[test]
fn what_nobody_was_promised_may_end_for_whoever_waits() {
    let (queue, key) = (Queue::new(9), key());
    let _first = queue.expect(key);
    let _repeat = queue.expect_again(key);

    let callers = queue.callers_unless_promised(key);

    assert_eq!((callers.waiting.len(), callers.is_promised), (2, false));
}

#[test]
fn who_has_gone_away_does_not_wait() {
    let (queue, key) = (Queue::new(9), key());

    drop(queue.expect(key));

    let callers = queue.callers(key);
    assert!(callers.waiting.is_empty() && callers.is_promised);
}

#[test]
fn a_process_that_stops_begins_nothing() {
    let (queue, now) = (Queue::new(9), ManualClock::default().now());
    queue.load(LANE, BOT, 1, Release::Go, now);

    queue.enter_phase(Phase::Stopping);

    assert_eq!(queue.next(now + Duration::from_secs(9)), Next::Idle);
    queue.enter_phase(Phase::Serving);
    assert_eq!(queue.phase(), Phase::Stopping, "there is no way back");
}

#[test]
fn what_an_earlier_process_left_keeps_its_pause() {
    let (queue, now) = (Queue::new(1), ManualClock::default().now());
    let pause = Duration::from_secs(30);

    queue.load(LANE, BOT, 5, Release::Pause(pause), now);
    queue.hurry(LANE);

    assert_eq!(queue.waiting(), 5);
    assert_eq!(queue.next(now), Next::At(now + pause));
    assert!(queue.is_throttled(LANE));
}

#[test]
fn a_doubt_is_of_one_message_whatever_comes_before_or_after_it() {
    let queue = Queue::new(9);
    queue.doubt(LANE, 5);

    let moved_before = queue.take_doubt(LANE, 3);
    let doubtful = queue.take_doubt(LANE, 5);
    let next = queue.take_doubt(LANE, 8);

    assert_eq!((moved_before, doubtful, next), (false, true, false));
    queue.doubt(LANE, 5);
    assert!(!queue.take_doubt(LANE, 8), "it has ended before");
    assert!(!queue.is_anything_doubtful());
    queue.doubt(LANE, 5);
    queue.forget_doubt(LANE, 8);
    assert!(queue.is_anything_doubtful(), "another was dropped");
    queue.forget_doubt(LANE, 5);
    assert!(!queue.is_anything_doubtful());
}

/// What is known without the lock must be what the lock says, whatever happened last.
#[test]
fn calm_is_only_a_queue_with_nothing_waiting_and_no_trouble() {
    let (queue, now) = (Queue::new(10), ManualClock::default().now());
    let is_calm = || {
        let calm = queue.state.is_calm();
        assert_eq!(calm, queue.lock().schedule.is_calm());
        calm
    };
    assert!(is_calm());

    queue.reserve(&[(LANE, BOT)], Room::Max).unwrap();
    assert!(!is_calm() && !queue.is_open(LANE, BOT) && !queue.is_clear(LANE));
    queue.stored(LANE, Release::Go, now);
    assert!(!is_calm());
    queue.leave(LANE, 1);
    assert!(is_calm() && queue.is_open(LANE, BOT));

    queue.note(BOT, Sign::Unreachable, now);
    assert!(!is_calm());
    queue.note(BOT, Sign::Works, now);
    assert!(is_calm());
}
