//! The file and the model give the same answers to the same questions, in any order.

use proptest::prelude::*;

use super::memory::Memory;
use super::sample::{Folder, NOW, delivery, id, message};
use super::sqlite::Sqlite;
use super::{
    Appended, Filter, Kind, Lane, Message, Note, Once, Outbox, Progress, Retention, Row, Space,
    State, StoreError, Waiting,
};

#[derive(Debug, Clone)]
enum Step {
    Append(Message),
    Head(i64, usize),
    Settle(u32, u16, State, Progress),
    Relane(i64, i64),
    Find(u32),
    FindOnce(Once),
    ReleaseOnce(u32),
    List(Filter, usize),
    Requeue(u32),
    Expire(Retention, usize),
    Waiting,
    PutNote(Note, usize),
    DeleteNote(Space, String),
    Notes(Space),
    /// All of these in one transaction, which is then rolled back.
    Undone(Vec<Step>),
    Reopen,
    /// The clock moves by so many seconds.
    Jump(i64),
}

#[derive(Debug, PartialEq)]
enum Answer {
    Appended(Appended),
    Known(Option<Appended>),
    Rows(Vec<Row>),
    Pages(Vec<Vec<Row>>),
    Lanes(Vec<Lane>),
    Waiting(Vec<Waiting>),
    Notes(Vec<Note>),
    Found(bool),
    Count(usize),
    Nothing,
    Refused,
}

fn lane() -> impl Strategy<Value = i64> {
    -1..3i64
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        3 => Just(State::Waiting),
        2 => Just(State::Delivered),
        2 => Just(State::Failed),
    ]
}

fn once() -> impl Strategy<Value = Once> {
    (0..3u8, 0..2u8, 0..90_000_000u64).prop_map(|(key, fingerprint, ms)| Once {
        key: [key; 32],
        fingerprint: [fingerprint; 16],
        expires_ms: NOW + ms,
    })
}

fn progress() -> impl Strategy<Value = Progress> {
    let text = || proptest::option::of("[a-zü]{0,3}");
    let numbers = (0..9u32, 0..9u32, 0..5u16, 0..3u64, 0..100_000u64);
    (numbers, text(), text()).prop_map(|(numbers, channel, error)| {
        let (attempts, ambiguous, parts_taken, later, settled) = numbers;
        Progress {
            attempts,
            ambiguous,
            parts_taken,
            not_before_ms: later * NOW,
            settled_ms: if settled % 3 == 0 { 0 } else { NOW + settled },
            link: error.clone(),
            message_id: channel.clone(),
            reason: error.clone(),
            platform_code: channel.clone(),
            channel,
            error,
        }
    })
}

fn append() -> impl Strategy<Value = Step> {
    let places = proptest::collection::btree_map(0..3u16, (lane(), 0..4u8, state()), 1..3);
    let post = proptest::collection::vec(any::<u8>(), 0..40);
    let once = proptest::option::weighted(0.4, once());
    let ignored = proptest::collection::vec("[a-z\"]{0,3}", 0..3);
    let rest = ("[ab]", 0..3u32, ignored);
    (0..12u32, places, post, once, rest, progress()).prop_map(
        |(number, places, post, once, (caller, replaced, ignored), progress)| {
            let deliveries = places.into_iter().map(|(place, (lane, kind, state))| {
                let mut delivery = delivery(place, lane);
                delivery.to.kind = match kind {
                    0 => Kind::Id,
                    1 => Kind::Name,
                    2 => Kind::Relay,
                    _ => Kind::Webhook([9; 16]),
                };
                delivery.state = state;
                delivery.progress = progress.clone();
                delivery
            });
            Step::Append(Message {
                deliveries: deliveries.collect(),
                caller,
                replaced,
                ignored,
                once,
                created_ms: NOW + u64::from(number),
                ..message(number, 0, &post)
            })
        },
    )
}

fn filter() -> impl Strategy<Value = Filter> {
    let channels = proptest::collection::vec("C[012]|a", 0..3);
    let caller = proptest::option::of("[abc]");
    (proptest::option::of(state()), channels, caller).prop_map(|(state, channels, caller)| Filter {
        state,
        channels,
        caller,
    })
}

fn retention() -> impl Strategy<Value = Retention> {
    (0..200_000u64, 0..20u64).prop_map(|(age_ms, max_settled)| Retention {
        age_ms,
        max_settled,
    })
}

fn space() -> impl Strategy<Value = Space> {
    prop_oneof![Just(Space::Conversation), Just(Space::Installation)]
}

fn note() -> impl Strategy<Value = Note> {
    let value = proptest::collection::vec(any::<u8>(), 0..9);
    (space(), "[a-eü]", value).prop_map(|(space, key, value)| Note { space, key, value })
}

fn operation() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => append(),
        3 => (lane(), 0..5usize).prop_map(|(lane, max)| Step::Head(lane, max)),
        6 => (0..12u32, 0..3u16, state(), progress()).prop_map(|(number, place, state, progress)| {
            Step::Settle(number, place, state, progress)
        }),
        1 => (lane(), lane()).prop_map(|(from, to)| Step::Relane(from, to)),
        2 => (0..12u32).prop_map(Step::Find),
        1 => once().prop_map(Step::FindOnce),
        1 => (0..12u32).prop_map(Step::ReleaseOnce),
        3 => (filter(), 1..4usize).prop_map(|(filter, limit)| Step::List(filter, limit)),
        2 => (0..12u32).prop_map(Step::Requeue),
        1 => (retention(), 0..4usize).prop_map(|(retention, max)| Step::Expire(retention, max)),
        1 => Just(Step::Waiting),
        4 => (note(), 0..5usize).prop_map(|(note, max)| Step::PutNote(note, max)),
        1 => (space(), "[a-eü]").prop_map(|(space, key)| Step::DeleteNote(space, key)),
        2 => space().prop_map(Step::Notes),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => operation(),
        1 => proptest::collection::vec(operation(), 1..5).prop_map(Step::Undone),
        1 => Just(Step::Reopen),
        1 => (-100..100i64).prop_map(Step::Jump),
        1 => (-400..400i64).prop_map(|days| Step::Jump(days * 86_400)),
    ]
}

/// Numbers that were given in a transaction that failed are not given again; only their order counts.
fn unnumbered(mut rows: Vec<Row>) -> Vec<Row> {
    for row in &mut rows {
        row.seq = 0;
    }
    rows
}

/// All pages, one after the other.
fn pages(
    outbox: &mut dyn Outbox,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<Vec<Row>>, StoreError> {
    let mut messages = Vec::new();
    let mut after = None;
    loop {
        let page = outbox.list(filter, after, limit)?;
        assert!(page.messages.len() <= limit);
        messages.extend(page.messages.into_iter().map(unnumbered));
        after = page.next;
        if after.is_none() {
            return Ok(messages);
        }
    }
}

fn ask(outbox: &mut dyn Outbox, step: &Step, now_ms: u64) -> Result<Answer, StoreError> {
    Ok(match step {
        Step::Append(message) => Answer::Appended(outbox.append(message, now_ms)?),
        Step::Head(lane, max) => Answer::Rows(unnumbered(outbox.head(Lane(*lane), *max)?)),
        Step::Settle(number, place, state, progress) => {
            Answer::Found(outbox.settle(id(*number), *place, *state, progress)?)
        }
        Step::Relane(from, to) => {
            let moved = outbox.relane(Lane(*from), Lane(*to), "C1")?;
            Answer::Count(usize::try_from(moved).unwrap())
        }
        Step::Find(number) => Answer::Rows(unnumbered(outbox.find(id(*number))?)),
        Step::FindOnce(once) => Answer::Known(outbox.find_once(once, now_ms)?),
        Step::ReleaseOnce(number) => {
            outbox.release_once(id(*number))?;
            Answer::Nothing
        }
        Step::List(filter, limit) => Answer::Pages(pages(outbox, filter, *limit)?),
        Step::Requeue(number) => Answer::Lanes(outbox.requeue(id(*number), now_ms)?),
        Step::Expire(retention, max) => Answer::Count(outbox.expire(now_ms, *retention, *max)?),
        Step::Waiting => {
            let mut lanes = outbox.waiting()?;
            for found in &mut lanes {
                let head = outbox.head(found.lane, 1)?;
                // Numbers differ; that it is the first one's does not.
                found.first_seq -= head[0].seq;
            }
            Answer::Waiting(lanes)
        }
        Step::PutNote(note, max) => {
            outbox.put_note(note, now_ms, *max)?;
            Answer::Nothing
        }
        Step::DeleteNote(space, key) => {
            outbox.delete_note(*space, key)?;
            Answer::Nothing
        }
        Step::Notes(space) => Answer::Notes(outbox.notes(*space)?),
        Step::Undone(_) | Step::Reopen | Step::Jump(_) => Answer::Nothing,
    })
}

/// One step in a transaction of its own.
fn alone(outbox: &mut dyn Outbox, step: &Step, now_ms: u64) -> Answer {
    outbox.begin().unwrap();
    let answer = ask(outbox, step, now_ms);
    match answer {
        Ok(answer) => {
            outbox.commit().unwrap();
            answer
        }
        Err(_) => {
            outbox.rollback();
            Answer::Refused
        }
    }
}

fn undone(outbox: &mut dyn Outbox, steps: &[Step], now_ms: u64) -> Vec<Answer> {
    outbox.begin().unwrap();
    let mut answers = Vec::new();
    for step in steps {
        let answer = ask(outbox, step, now_ms);
        let is_over = answer.is_err();
        answers.push(answer.unwrap_or(Answer::Refused));
        if is_over {
            break;
        }
    }
    outbox.rollback();
    answers
}

proptest! {
    // Every commit waits for the disk.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_file_answers_as_the_model_does(steps in proptest::collection::vec(step(), 1..60)) {
        let folder = Folder::new();
        let mut now_ms = NOW;
        let mut model = Memory::default();
        model.reopen(now_ms);
        let mut file = Sqlite::open(&folder.file(), now_ms).unwrap();

        for step in steps {
            now_ms += 7;
            match &step {
                Step::Undone(steps) => prop_assert_eq!(
                    undone(&mut file, steps, now_ms),
                    undone(&mut model, steps, now_ms)
                ),
                Step::Reopen => {
                    file.close(false);
                    file = Sqlite::open(&folder.file(), now_ms).unwrap();
                    model.reopen(now_ms);
                }
                Step::Jump(seconds) => now_ms = now_ms.saturating_add_signed(seconds * 1000),
                step => {
                    let (found, expected) = (alone(&mut file, step, now_ms), alone(&mut model, step, now_ms));
                    prop_assert_eq!(found, expected, "{:?}", step);
                }
            }
        }
        let everything = [
            Step::List(Filter::default(), 100),
            Step::Notes(Space::Conversation),
            Step::Notes(Space::Installation),
        ];
        for step in &everything {
            prop_assert_eq!(alone(&mut file, step, now_ms), alone(&mut model, step, now_ms));
        }
    }
}
