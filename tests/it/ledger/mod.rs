//! The ledger test: clients write down every answer, the platform every post; faults and signals strike between; then
//! the [`checker`] proves what threats, section 5, promises: nothing accepted is lost (I1), nothing arrives changed or
//! astray (I2), the order holds (I3), duplicates come only where a kill or a lost answer allows it (I4), no answer is
//! untrue or missing (I8). On the way: P-1 (killed anywhere), P-2 (SIGTERM under load), F-4, F-14, F-15.
//!
//! `cargo test --test it ledger` runs 20 stops in each of the tests below. The long run, one seed for all:
//! `LEDGER_KILLS=300 LEDGER_SEED=7 cargo test --test it ledger -- --nocapture`.
//! A failure prints its seed, which makes the same plan again, and the part of the history that shows it. Threads and
//! signals still race, so a rare failure may take several runs of the seed.

mod chat;
mod checker;
mod clients;
mod faults;
mod model;
mod roll;
mod seeded;

use std::collections::BTreeMap;

use checker::{Answer, Excerpt, History, check};
use clients::Manner;

/// Violations and other faults that are shown; all are counted.
const SHOWN: usize = 3;

const EVERY_MANNER: &[Manner] = &[
    Manner::Plain,
    Manner::AtOnce,
    Manner::Briefly,
    Manner::Async,
    Manner::Once,
];
/// Without an outbox nothing can be stored, and a key ends with its process.
const WITHOUT_OUTBOX: &[Manner] = &[Manner::Plain, Manner::Briefly, Manner::Async];

/// What a run is made of.
#[derive(Debug)]
pub struct Plan {
    seed: u64,
    stops: usize,
    every_other_is_term: bool,
    recognises_repeats: bool,
    outbox: bool,
    manners: &'static [Manner],
}

impl Plan {
    /// SIGKILL only, with an outbox, on a platform that recognises repeats.
    fn new(seed: u64) -> Self {
        Self {
            seed: from_env("LEDGER_SEED").unwrap_or(seed),
            stops: from_env("LEDGER_KILLS").map_or(20, |kills| kills as usize),
            every_other_is_term: false,
            recognises_repeats: true,
            outbox: true,
            manners: EVERY_MANNER,
        }
    }

    #[track_caller]
    fn prove(self) -> History {
        println!("{self:?}");

        let record = faults::run(&self);

        println!("{}", summary(&record.history));
        let violations = check(&record.history);
        let excerpts = violations.iter().map(|violation| {
            let history = &record.history;
            Excerpt { history, violation }.to_string()
        });
        let shown = excerpts
            .take(SHOWN)
            .chain(record.faults.iter().take(SHOWN).cloned());
        assert!(
            violations.is_empty() && record.faults.is_empty(),
            "LEDGER_SEED={} LEDGER_KILLS={}: {} violations, {} other faults\n{}",
            self.seed,
            self.stops,
            violations.len(),
            record.faults.len(),
            shown.collect::<Vec<_>>().join("\n"),
        );
        record.history
    }
}

fn from_env(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

/// How often each answer and outcome came, so that a run that proved nothing shows itself.
fn summary(history: &History) -> String {
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    for sent in &history.sent {
        *answers.entry(format!("{:?}", sent.answer)).or_default() += 1;
    }
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for arrived in &history.arrived {
        *outcomes
            .entry(format!("{:?}", arrived.outcome))
            .or_default() += 1;
    }
    format!(
        "{} stops; told {answers:?}; saw {outcomes:?}",
        history.stops.len()
    )
}

fn count(history: &History, wanted: Answer) -> usize {
    let told = history.sent.iter().filter(|sent| sent.answer == wanted);
    told.count()
}

#[test]
fn nothing_is_lost_over_kills_where_repeats_are_recognised() {
    let history = Plan::new(1).prove();

    assert!(count(&history, Answer::Delivered) > 0);
    assert!(count(&history, Answer::Queued) > 0);
}

#[test]
fn duplicates_come_only_from_doubt_where_repeats_are_not_recognised() {
    let plan = Plan {
        recognises_repeats: false,
        ..Plan::new(2)
    };

    let history = plan.prove();

    assert!(count(&history, Answer::Delivered) > 0);
    assert!(count(&history, Answer::Queued) > 0);
}

#[test]
fn sigterm_and_kills_in_turn_lose_nothing() {
    let plan = Plan {
        every_other_is_term: true,
        recognises_repeats: false,
        ..Plan::new(3)
    };

    let history = plan.prove();

    assert!(count(&history, Answer::Delivered) > 0);
    assert!(count(&history, Answer::Queued) > 0);
}

#[test]
fn without_an_outbox_delivered_is_true_and_nothing_is_queued() {
    let plan = Plan {
        outbox: false,
        manners: WITHOUT_OUTBOX,
        every_other_is_term: true,
        ..Plan::new(4)
    };

    let history = plan.prove();

    assert!(count(&history, Answer::Delivered) > 0);
    assert_eq!(count(&history, Answer::Queued), 0);
}
