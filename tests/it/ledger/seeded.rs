//! The checker itself: histories with a violation that it must find, and clean ones that it must pass.

use super::checker::{
    Answer, Arrived, Excerpt, History, Outcome, Position, Sent, Signal, Stop, Violation, check,
};
use super::model;
use super::roll::Roll;

use Answer::{Delivered, None as Broken, Queued, Refused};
use Outcome::{Accepted, Recognised, Throttled, Unheard};

/// How many random histories each test looks at.
const HISTORIES: u64 = 300;
const STEPS: usize = 400;

fn sent(text: &str, sent_at: Position, answered_at: Position, answer: Answer) -> Sent {
    Sent {
        client: 0,
        channel: "builds".to_owned(),
        text: text.to_owned(),
        sent_at,
        answered_at,
        answer,
    }
}

fn arrived(text: &str, at: Position, outcome: Outcome) -> Arrived {
    Arrived {
        at,
        channel: "builds".to_owned(),
        text: text.to_owned(),
        outcome,
    }
}

fn stop(from: Position, to: Position, signal: Signal) -> Stop {
    Stop { from, to, signal }
}

fn kill(from: Position, to: Position) -> Stop {
    stop(from, to, Signal::Kill)
}

fn history<const S: usize, const A: usize, const K: usize>(
    sent: [Sent; S],
    arrived: [Arrived; A],
    stops: [Stop; K],
) -> History {
    History {
        sent: sent.into(),
        arrived: arrived.into(),
        stops: stops.into(),
        recognises_repeats: false,
    }
}

#[track_caller]
fn assert_found<const N: usize>(history: &History, expected: [Violation; N]) {
    assert_eq!(check(history), expected);
}

#[track_caller]
fn assert_clean(history: &History) {
    assert_found(history, []);
}

fn lost(text: &str) -> Violation {
    Violation::Lost { text: text.into() }
}

fn duplicate(text: &str) -> Violation {
    Violation::Duplicate { text: text.into() }
}

fn inversion(first: &str, second: &str) -> Violation {
    Violation::Inversion {
        first: first.into(),
        second: second.into(),
    }
}

#[test]
fn a_promise_that_never_arrives_is_lost() {
    for promise in [Delivered, Queued] {
        assert_found(&history([sent("a", 1, 2, promise)], [], []), [lost("a")]);
    }
    let refused = [
        arrived("a", 2, Outcome::Refused),
        arrived("a", 4, Throttled),
    ];
    assert_found(
        &history([sent("a", 1, 3, Queued)], refused, []),
        [lost("a")],
    );
    // The first try was promised; that the repeat was refused takes nothing back.
    let tries = [sent("a", 1, 2, Queued), sent("a", 3, 4, Refused(503))];
    assert_found(&history(tries, [], []), [lost("a")]);
}

#[test]
fn without_a_promise_a_message_may_come_or_not() {
    for answer in [Refused(503), Broken] {
        let stops = [kill(2, 4)];
        assert_clean(&history([sent("a", 1, 3, answer)], [], stops));
        let came = [arrived("a", 2, Accepted)];
        assert_clean(&history([sent("a", 1, 3, answer)], came, stops));
    }
}

#[test]
fn a_later_message_that_comes_first_is_an_inversion() {
    let sends = [sent("a", 1, 2, Queued), sent("b", 3, 6, Delivered)];
    let arrivals = [arrived("b", 4, Accepted), arrived("a", 7, Accepted)];
    assert_found(&history(sends, arrivals, []), [inversion("a", "b")]);
    // Nobody was told of the second one, but everybody can see the order.
    let sends = [sent("a", 1, 2, Queued), sent("b", 3, 6, Broken)];
    let arrivals = [arrived("b", 4, Unheard), arrived("a", 7, Accepted)];
    assert_found(
        &history(sends, arrivals, [kill(5, 6)]),
        [inversion("a", "b")],
    );
}

#[test]
fn the_inversion_that_is_named_is_with_the_latest_of_those_before() {
    let sends = [
        sent("a", 1, 2, Queued),
        sent("b", 3, 4, Queued),
        sent("c", 5, 6, Queued),
    ];
    let arrivals = [
        arrived("c", 7, Accepted),
        arrived("a", 9, Accepted),
        arrived("b", 8, Accepted),
    ];

    let found = check(&history(sends, arrivals, []));

    assert_eq!(found, [inversion("a", "b"), inversion("a", "c")]);
}

#[test]
fn what_overlaps_or_goes_elsewhere_has_no_order() {
    let sends = [sent("a", 1, 4, Queued), sent("b", 3, 6, Delivered)];
    let arrivals = [arrived("b", 5, Accepted), arrived("a", 7, Accepted)];
    assert_clean(&history(sends, arrivals, []));
    let mut elsewhere = sent("b", 3, 6, Delivered);
    elsewhere.channel = "deploys".to_owned();
    let mut there = arrived("b", 4, Accepted);
    there.channel = "deploys".to_owned();
    let sends = [sent("a", 1, 2, Queued), elsewhere];
    assert_clean(&history(sends, [there, arrived("a", 7, Accepted)], []));
    // A repeat that comes after the next message is a duplicate, not an inversion.
    let sends = [sent("a", 1, 3, Queued), sent("b", 4, 6, Delivered)];
    let arrivals = [
        arrived("a", 2, Unheard),
        arrived("b", 5, Accepted),
        arrived("a", 7, Accepted),
    ];
    assert_clean(&history(sends, arrivals, []));
}

#[test]
fn a_text_that_nobody_sent_is_wrong() {
    let wrong = |text: &str| Violation::WrongText { text: text.into() };
    let arrivals = [arrived("a", 2, Accepted), arrived("A", 3, Accepted)];
    let sends = [sent("a", 1, 4, Delivered)];
    assert_found(&history(sends, arrivals, []), [wrong("A")]);
    // Also one that the platform did not take.
    let arrivals = [arrived("", 2, Throttled)];
    assert_found(&history([], arrivals, []), [wrong("")]);
}

#[test]
fn a_text_in_another_channel_is_wrong() {
    let mut astray = arrived("a", 3, Accepted);
    astray.channel = "deploys".to_owned();
    let wrong = Violation::WrongChannel {
        text: "a".into(),
        channel: "deploys".into(),
    };
    let arrivals = [arrived("a", 2, Accepted), astray.clone()];
    let sends = [sent("a", 1, 4, Delivered)];
    assert_found(&history(sends, arrivals, []), [wrong.clone()]);
    // What went astray has not arrived.
    let sends = [sent("a", 1, 4, Queued)];
    assert_found(&history(sends, [astray], []), [lost("a"), wrong]);
}

#[test]
fn a_second_post_needs_an_excuse() {
    let sends = || [sent("a", 1, 3, Delivered)];
    let twice = || [arrived("a", 2, Accepted), arrived("a", 4, Accepted)];
    assert_found(&history(sends(), twice(), []), [duplicate("a")]);
    // Neither a kill before or after both, nor SIGTERM between, is one.
    assert_found(&history(sends(), twice(), [kill(0, 1)]), [duplicate("a")]);
    assert_found(&history(sends(), twice(), [kill(5, 6)]), [duplicate("a")]);
    let term = stop(2, 4, Signal::Term);
    assert_found(&history(sends(), twice(), [term]), [duplicate("a")]);
    // One lost answer excuses one repeat.
    let thrice = [
        arrived("a", 2, Unheard),
        arrived("a", 4, Accepted),
        arrived("a", 5, Accepted),
    ];
    assert_found(&history(sends(), thrice, []), [duplicate("a")]);
}

#[test]
fn a_lost_answer_or_a_kill_excuses_a_second_post() {
    let sends = || [sent("a", 1, 3, Queued)];
    let unheard = [arrived("a", 2, Unheard), arrived("a", 4, Accepted)];
    assert_clean(&history(sends(), unheard, []));
    let heard = || [arrived("a", 2, Accepted), arrived("a", 7, Accepted)];
    assert_clean(&history(sends(), heard(), [kill(4, 5)]));
    // Nobody knows whether the first one came before the signal.
    assert_clean(&history(sends(), heard(), [kill(1, 5)]));
    let often = [
        arrived("a", 2, Unheard),
        arrived("a", 4, Unheard),
        arrived("a", 5, Throttled),
        arrived("a", 6, Accepted),
    ];
    assert_clean(&history(sends(), often, []));
}

#[test]
fn a_kill_excuses_one_repeat_in_each_channel() {
    let sends = || [sent("a", 1, 4, Delivered), sent("b", 2, 5, Delivered)];
    let twice = |channel: &str| {
        let mut all = [
            arrived("a", 2, Accepted),
            arrived("b", 3, Accepted),
            arrived("a", 10, Accepted),
            arrived("b", 11, Accepted),
        ];
        all[1].channel = channel.to_owned();
        all[3].channel = channel.to_owned();
        all
    };
    assert_found(
        &history(sends(), twice("builds"), [kill(6, 7)]),
        [duplicate("b")],
    );
    assert_clean(&history(sends(), twice("builds"), [kill(6, 7), kill(8, 9)]));
    let mut elsewhere = sends();
    elsewhere[1].channel = "deploys".to_owned();
    assert_clean(&history(elsewhere, twice("deploys"), [kill(6, 7)]));
}

#[test]
fn kills_are_shared_out_so_that_as_many_repeats_as_possible_are_excused() {
    // The first kill could excuse either, the second only `b`.
    let sends = [sent("a", 1, 4, Delivered), sent("b", 1, 4, Delivered)];
    let arrivals = [
        arrived("b", 2, Accepted),
        arrived("a", 3, Accepted),
        arrived("a", 7, Accepted),
        arrived("b", 11, Accepted),
    ];
    assert_clean(&history(sends, arrivals, [kill(8, 9), kill(5, 6)]));
}

#[test]
fn nothing_excuses_a_second_post_where_repeats_are_recognised() {
    let mut seen = history(
        [sent("a", 1, 3, Queued)],
        [arrived("a", 2, Unheard), arrived("a", 7, Accepted)],
        [kill(4, 5)],
    );
    seen.recognises_repeats = true;
    assert_found(&seen, [duplicate("a")]);
    seen.arrived[1].outcome = Recognised;
    assert_clean(&seen);
}

#[test]
fn delivered_is_said_after_the_platform_has_it() {
    let early = Violation::Early { text: "a".into() };
    let arrivals = [arrived("a", 4, Accepted)];
    assert_found(
        &history([sent("a", 1, 3, Delivered)], arrivals.clone(), []),
        [early.clone()],
    );
    let tries = [sent("a", 1, 2, Queued), sent("a", 3, 3, Delivered)];
    assert_found(&history(tries, arrivals.clone(), []), [early]);
    assert_clean(&history([sent("a", 1, 5, Delivered)], arrivals.clone(), []));
    assert_clean(&history([sent("a", 1, 3, Queued)], arrivals, []));
}

#[test]
fn only_a_stop_leaves_a_request_unanswered() {
    let unanswered = Violation::Unanswered { text: "a".into() };
    let broken = || [sent("a", 3, 6, Broken)];
    for stops in [vec![], vec![kill(1, 2)], vec![kill(7, 8)]] {
        let mut seen = history(broken(), [], []);
        seen.stops = stops;
        assert_found(&seen, [unanswered.clone()]);
    }
    for (from, to) in [(1, 3), (4, 5), (6, 8), (1, 8)] {
        for signal in [Signal::Kill, Signal::Term] {
            assert_clean(&history(broken(), [], [stop(from, to, signal)]));
        }
    }
}

#[test]
fn sigterm_leaves_nothing_unanswered_that_was_taken() {
    let unanswered = Violation::Unanswered { text: "a".into() };
    let broken = || [sent("a", 3, 6, Broken)];
    let term = || [stop(4, 8, Signal::Term)];
    for outcome in [Accepted, Throttled] {
        let came = [arrived("a", 5, outcome)];
        assert_found(
            &history(broken(), came.clone(), term()),
            [unanswered.clone()],
        );
        assert_clean(&history(broken(), came, [kill(4, 8)]));
    }
    // What the platform saw may be the first try, of which the repeat was not to be taken.
    let tries = [sent("a", 1, 2, Queued), sent("a", 3, 6, Broken)];
    assert_clean(&history(tries, [arrived("a", 5, Accepted)], term()));
    // It came by a repeat, to the next process.
    let tries = [sent("a", 3, 6, Broken), sent("a", 9, 11, Delivered)];
    assert_clean(&history(tries, [arrived("a", 10, Accepted)], term()));
}

#[test]
fn a_clean_random_history_passes() {
    for seed in 0..HISTORIES {
        let history = model::clean(seed, STEPS);

        let found = check(&history);

        assert!(found.is_empty(), "seed {seed}: {found:?}");
        let promised = |sent: &&Sent| matches!(sent.answer, Delivered | Queued);
        assert!(history.sent.iter().filter(promised).count() > 10);
    }
}

#[test]
fn a_violation_put_into_a_clean_random_history_is_found() {
    type Injection = fn(&mut History, &mut Roll) -> Option<Violation>;
    let injections: [Injection; 7] = [
        inject_loss,
        inject_inversion,
        inject_wrong_text,
        inject_wrong_channel,
        inject_duplicate,
        inject_early,
        inject_silence,
    ];
    for (kind, inject) in injections.into_iter().enumerate() {
        let mut injected = 0;
        for seed in 0..HISTORIES {
            let mut history = model::clean(seed, STEPS);
            let Some(expected) = inject(&mut history, &mut Roll::new(seed)) else {
                continue;
            };
            injected += 1;

            let found = check(&history);

            assert!(found.contains(&expected), "seed {seed}: not {expected:?}");
        }
        assert!(injected > HISTORIES / 2, "kind {kind}: only {injected}");
    }
}

#[test]
fn an_excerpt_shows_the_messages_and_the_stops_between() {
    let history = history(
        [
            sent("a", 2, 3, Queued),
            sent("b", 6, 9, Delivered),
            sent("x", 1, 9, Refused(503)),
        ],
        [arrived("b", 8, Accepted), arrived("a", 10, Accepted)],
        [kill(4, 5), kill(11, 12)],
    );
    let violation = check(&history).remove(0);

    let shown = Excerpt {
        history: &history,
        violation: &violation,
    };

    let positions: Vec<u64> = shown
        .to_string()
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(positions, [2, 3, 4, 6, 8, 9, 10]);
}

/// Any of those that are wanted.
fn any<T: Clone>(roll: &mut Roll, all: &[T], wanted: impl Fn(&T) -> bool) -> Option<T> {
    let candidates: Vec<&T> = all.iter().filter(|item| wanted(item)).collect();
    (!candidates.is_empty()).then(|| (*roll.pick(&candidates)).clone())
}

fn first_post(history: &History, text: &str) -> Option<usize> {
    let is_post = |a: &Arrived| a.text == text && matches!(a.outcome, Accepted | Unheard);
    history.arrived.iter().position(is_post)
}

fn inject_loss(history: &mut History, roll: &mut Roll) -> Option<Violation> {
    let promised = |sent: &Sent| matches!(sent.answer, Delivered | Queued);
    let victim = any(roll, &history.sent, promised)?;
    let is_post = |a: &Arrived| matches!(a.outcome, Accepted | Unheard);
    history
        .arrived
        .retain(|arrived| arrived.text != victim.text || !is_post(arrived));
    Some(lost(&victim.text))
}

fn inject_inversion(history: &mut History, roll: &mut Roll) -> Option<Violation> {
    let victim = any(roll, &history.sent, |sent| sent.answer == Queued)?;
    let later = any(roll, &history.sent, |sent| {
        sent.channel == victim.channel
            && sent.sent_at > victim.answered_at
            && first_post(history, &sent.text).is_some()
    })?;
    // Behind everything, so that no other message is the latest before `later`.
    let end = 1 + history.arrived.iter().map(|a| a.at).max()?;
    history
        .arrived
        .retain(|arrived| arrived.text != victim.text);
    history.arrived.push(Arrived {
        at: end,
        channel: victim.channel,
        text: victim.text.clone(),
        outcome: Accepted,
    });
    Some(inversion(&victim.text, &later.text))
}

fn inject_wrong_text(history: &mut History, roll: &mut Roll) -> Option<Violation> {
    let at = roll.below(history.arrived.len());
    let text = &mut history.arrived[at].text;
    text.push('!');
    Some(Violation::WrongText { text: text.clone() })
}

fn inject_wrong_channel(history: &mut History, roll: &mut Roll) -> Option<Violation> {
    let at = roll.below(history.arrived.len());
    let arrived = &mut history.arrived[at];
    arrived.channel.push('2');
    Some(Violation::WrongChannel {
        text: arrived.text.clone(),
        channel: arrived.channel.clone(),
    })
}

/// Right behind the last post of a message, where no kill is between.
fn inject_duplicate(history: &mut History, roll: &mut Roll) -> Option<Violation> {
    let stops = history.stops.clone();
    let mut victim = any(roll, &history.arrived, |arrived| {
        let same = |other: &&Arrived| other.text == arrived.text;
        let calm = |stop: &Stop| stop.to <= arrived.at || arrived.at < stop.from;
        arrived.outcome == Accepted
            && history.arrived.iter().filter(same).count() == 1
            && stops.iter().all(calm)
    })?;
    victim.at += 1;
    let found = duplicate(&victim.text);
    history.arrived.push(victim);
    Some(found)
}

fn inject_early(history: &mut History, roll: &mut Roll) -> Option<Violation> {
    let told = any(roll, &history.sent, |sent| sent.answer == Delivered)?;
    let first = first_post(history, &told.text)?;
    let end = history.arrived.iter().map(|arrived| arrived.at).max()?;
    history.arrived[first].at = told.answered_at + 1;
    history
        .arrived
        .iter_mut()
        .skip(first + 1)
        .filter(|arrived| arrived.text == told.text)
        .for_each(|arrived| arrived.at = arrived.at.max(end));
    Some(Violation::Early { text: told.text })
}

fn inject_silence(history: &mut History, roll: &mut Roll) -> Option<Violation> {
    let stops = history.stops.clone();
    let calm = |sent: &Sent| {
        let apart = |stop: &Stop| stop.to < sent.sent_at || sent.answered_at < stop.from;
        sent.answer == Queued && stops.iter().all(apart)
    };
    let victim = any(roll, &history.sent, calm)?;
    let sent = history
        .sent
        .iter_mut()
        .find(|sent| sent.text == victim.text)?;
    sent.answer = Broken;
    Some(Violation::Unanswered { text: victim.text })
}
