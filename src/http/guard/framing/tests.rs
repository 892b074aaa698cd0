//! Where one request ends and the next begins.

use proptest::prelude::*;

use super::*;

/// What is forwarded of a body, what is left behind its end, and whether it was cut.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Ended(String, usize),
    Open(String),
    Cut(String),
}

fn run(input: &[u8], split: usize) -> Outcome {
    let mut body = Chunked::default();
    let mut forwarded = Vec::new();
    let mut at = 0;
    while at < input.len() {
        let Ok(piece) = body.advance(&input[at..input.len().min(at + split)]) else {
            return Outcome::Cut(String::from_utf8_lossy(&forwarded).into_owned());
        };
        assert!(piece.len > 0);
        if piece.forward {
            forwarded.extend_from_slice(&input[at..at + piece.len]);
        }
        at += piece.len;
        if piece.ended {
            return Outcome::Ended(
                String::from_utf8_lossy(&forwarded).into_owned(),
                input.len() - at,
            );
        }
    }
    Outcome::Open(String::from_utf8_lossy(&forwarded).into_owned())
}

fn ended(input: &str) -> Option<(String, usize)> {
    match run(input.as_bytes(), usize::MAX / 2) {
        Outcome::Ended(forwarded, rest) => Some((forwarded, rest)),
        _ => None,
    }
}

fn is_cut(input: &str) -> bool {
    matches!(run(input.as_bytes(), usize::MAX / 2), Outcome::Cut(_))
}

#[test]
fn chunks_pass_as_they_are_and_the_end_is_found() {
    for body in [
        "0\r\n\r\n",
        "3\r\nabc\r\n0\r\n\r\n",
        "a\r\n0\r\n\r\n01234\r\n00\r\n\r\n",
        "3;x=\"y z\"\r\nabc\r\n0;e\r\n\r\n",
    ] {
        assert_eq!(ended(body), Some((body.to_owned(), 0)), "{body:?}");
        assert_eq!(
            ended(&format!("{body}GET /")),
            Some((body.to_owned(), 5)),
            "{body:?}"
        );
    }
}

#[test]
fn n1_trailers_end_here() {
    for trailer in ["X: a\r\n", "X:\r\n", "X: a\r\nContent-Length: 7\r\n"] {
        let body = format!("3\r\nabc\r\n0\r\n{trailer}\r\n");
        assert_eq!(
            ended(&body),
            Some(("3\r\nabc\r\n0\r\n\r\n".to_owned(), 0)),
            "{body:?}"
        );
    }
}

#[test]
fn n1_chunks_are_read_strictly() {
    for body in [
        "+1\r\na\r\n",
        "0x1\r\na\r\n",
        " 1\r\na\r\n",
        "1 \r\na\r\n",
        "1 ;x\r\na\r\n",
        "\r\n",
        ";x\r\n",
        "g\r\n",
        "-1\r\n",
        "1\na\r\n",
        "1\r\na\n",
        "1\rXa",
        "1\r\nab\r\n",
        "1\r\na\rX",
        "100000000\r\n",
        "000000000\r\n",
        "1;\0\r\na\r\n",
        "1;\t\r\na\r\n",
        "1;\n\r\n",
        "0\r\n\n",
        "0\r\n\rX",
        "0\r\nX\r\n\r\n",
        "0\r\n X: a\r\n",
        "0\r\nX : a\r\n",
        "0\r\nX: a\n\r\n",
        "0\r\nX: \0\r\n",
        "0\r\n: a\r\n",
    ] {
        assert!(is_cut(body), "{body:?}");
    }
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let extension = |len: usize| format!("1;{}\r\na\r\n0\r\n\r\n", "e".repeat(len - 1));
    assert!(ended(&extension(256)).is_some());
    assert!(is_cut(&extension(257)));

    let fields = |count: usize| format!("0\r\n{}\r\n", "X: a\r\n".repeat(count));
    assert!(ended(&fields(16)).is_some());
    assert!(is_cut(&fields(17)));

    let trailer = |len: usize| format!("0\r\nX:{}\r\n\r\n", "a".repeat(len - 4));
    assert!(ended(&trailer(4096)).is_some());
    assert!(is_cut(&trailer(4097)));
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(&b"3\r\nabc\r\n"[..]),
        Just(&b"1;x\r\na\r\n"[..]),
        Just(&b"0\r\n"[..]),
        Just(&b"X: a\r\n"[..]),
        Just(&b"\r\n"[..]),
        Just(&b"\r"[..]),
        Just(&b"\n"[..]),
        Just(&b"2"[..]),
        Just(&b";"[..]),
        Just(&b"\0"[..]),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_outcome_does_not_depend_on_how_bytes_are_split(body in bodies(), split in 1_usize..9) {
        prop_assert_eq!(run(&body, split), run(&body, body.len() + 1));
    }

    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        run(&body, 7);
    }
}
