//! Requests on one connection: how they are told apart and follow each other.

use proptest::prelude::*;

use super::super::{Traced, fuzz_head, trace};
use super::*;

fn traced(data: &str, split: usize) -> Traced {
    trace(data.as_bytes(), split, &Limits::default())
}

fn forwarded(data: &str) -> Option<String> {
    let traced = traced(data, usize::MAX);
    traced
        .complete
        .then(|| String::from_utf8(traced.forwarded).unwrap())
}

#[test]
fn n5_requests_of_every_framing_follow_each_other() {
    let none = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nGET /\n";
    let chunked =
        "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n0\r\n\r\n";
    let all = [none, length, chunked, length, none, chunked, none].concat();

    for split in [1, 2, 3, 5, 17, usize::MAX] {
        assert_eq!(
            traced(&all, split),
            Traced {
                forwarded: all.clone().into_bytes(),
                complete: true
            },
            "{split}"
        );
    }
}

#[test]
fn the_next_request_waits_for_the_answer_to_this_one() {
    let both = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n";
    let one = both.len() / 2;
    let mut flow = Flow::new(Limits::default());

    assert_eq!(flow.step(both, usize::MAX), Step::Pass(one));
    assert_eq!(flow.step(&both[one..], usize::MAX), Step::Hold);
    assert!(!flow.flushed(), "nothing has been written");
    flow.wrote();
    assert_eq!(flow.step(&both[one..], usize::MAX), Step::Hold);
    assert!(flow.flushed());
    assert_eq!(flow.step(&both[one..], usize::MAX), Step::Pass(one));
}

#[test]
fn two_empty_lines_before_a_request_are_skipped_and_a_third_is_not() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    assert_eq!(
        forwarded(&format!("\r\n\r\n{request}\r\n{request}\r\n")),
        Some(request.repeat(2))
    );
    assert_eq!(forwarded(&format!("\r\n\r\n\r\n{request}")), None);
    assert_eq!(forwarded(&format!("\n{request}")), None);
}

#[test]
fn n1_a_broken_chunk_cuts_the_body_and_all_behind_it() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let data = format!("{head}3\r\nabcX\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");

    for split in [1, 4, usize::MAX] {
        let expected = Traced {
            forwarded: format!("{head}3\r\nabc").into_bytes(),
            complete: false,
        };
        assert_eq!(traced(&data, split), expected, "{split}");
    }
}

#[test]
fn b12_a_head_in_single_bytes_is_not_looked_at_for_each_of_them() {
    let mut flow = Flow::new(Limits::default());
    let head = format!("GET /{}", "a".repeat(1000));

    let looks: std::collections::BTreeSet<_> = (1..=head.len())
        .map(|len| {
            assert_eq!(
                flow.step(&head.as_bytes()[..len], usize::MAX),
                Step::NeedMore
            );
            flow.looked_at
        })
        .collect();

    assert_eq!(looks.len(), 1 + 1005 / LOOK_AGAIN);
}

proptest! {
    #[test]
    fn splitting_changes_nothing(
        pieces in prop::collection::vec(prop_oneof![
            Just("GET /a HTTP/1.1\r\nHost: a\r\n\r\n"), Just("POST /ü HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"),
            Just("POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"),
            Just("\r\n"), Just("\r"), Just("x"), Just("GET "), Just("3\r\n"), Just("Host: b\r\n"),
        ], 0..8),
    ) {
        prop_assert!(fuzz_head(pieces.concat().as_bytes()));
    }

    #[test]
    fn splitting_arbitrary_bytes_changes_nothing(data in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(fuzz_head(&data));
    }
}
