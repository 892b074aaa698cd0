//! Request heads, whole, split and hostile.

use proptest::prelude::*;

use super::super::refusal as why;
use super::*;

fn verdict(head: &str) -> Progress {
    check(head.as_bytes(), &Limits::default())
}

fn refused(head: &str) -> &'static str {
    match verdict(head) {
        Progress::Refused(Refusal::Malformed(reason)) => reason,
        Progress::Refused(Refusal::TargetTooLong) => "414",
        Progress::Refused(Refusal::HeadersTooLarge) => "431",
        Progress::Refused(Refusal::HeadTimeout) => "408",
        Progress::NeedMore => "need more",
        Progress::Accepted { .. } => "accepted",
    }
}

fn framing(head: &str) -> Option<Framing> {
    match verdict(head) {
        Progress::Accepted { head_len, body, .. } if head_len == head.len() => Some(body),
        _ => None,
    }
}

fn with_fields(fields: &str) -> String {
    format!("POST /post HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn rewritten(head: &[u8]) -> Option<String> {
    match check(head, &Limits::default()) {
        Progress::Accepted { rewritten, .. } => {
            rewritten.map(|head| String::from_utf8(head).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

/// The target that goes downstream for this one.
fn forwarded_target(target: &[u8]) -> Vec<u8> {
    let head = [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
    let head = rewritten(&head).map_or(head, String::into_bytes);
    head.split(|byte| *byte == b' ').nth(1).unwrap().to_vec()
}

#[test]
fn n6_a_post_without_a_length_has_no_body() {
    assert_eq!(
        framing("POST /post HTTP/1.1\r\nHost: a\r\n\r\n"),
        Some(Framing::None)
    );
}

#[test]
fn n1_the_framing_fields_decide_the_body() {
    for (fields, body) in [
        ("Content-Length: 0\r\n", Framing::None),
        ("content-length: 5\r\n", Framing::Length(5)),
        ("Content-Length:5\r\n", Framing::Length(5)),
        ("Content-Length: \t5 \r\n", Framing::Length(5)),
        ("Content-Length: 0005\r\n", Framing::Length(5)),
        (
            "Content-Length: 18446744073709551615\r\n",
            Framing::Length(u64::MAX),
        ),
        ("Transfer-Encoding: chunked\r\n", Framing::Chunked),
        ("transfer-encoding:\tCHUNKED\t\r\n", Framing::Chunked),
    ] {
        assert_eq!(framing(&with_fields(fields)), Some(body), "{fields}");
    }
}

#[test]
fn n1_b10_ambiguous_framing_is_malformed() {
    for (fields, reason) in [
        (
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            why::TWO_LENGTHS,
        ),
        (
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            why::TWO_LENGTHS,
        ),
        ("Content-Length: 5, 5\r\n", why::LENGTH),
        ("Content-Length: +5\r\n", why::LENGTH),
        ("Content-Length: -1\r\n", why::LENGTH),
        ("Content-Length: 0x5\r\n", why::LENGTH),
        ("Content-Length: 5 5\r\n", why::LENGTH),
        ("Content-Length:\r\n", why::LENGTH),
        ("Content-Length: 18446744073709551616\r\n", why::LENGTH),
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            why::LENGTH_AND_ENCODING,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
            why::LENGTH_AND_ENCODING,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            why::ENCODING,
        ),
        ("Transfer-Encoding: chunked, identity\r\n", why::ENCODING),
        ("Transfer-Encoding: identity\r\n", why::ENCODING),
        ("Transfer-Encoding: gzip, chunked\r\n", why::ENCODING),
        ("Transfer-Encoding: xchunked\r\n", why::ENCODING),
        ("Transfer-Encoding: chunked;x\r\n", why::ENCODING),
        ("Transfer-Encoding:\r\n", why::ENCODING),
        ("Transfer-Encoding: \u{b}chunked\r\n", why::FIELD_VALUE),
    ] {
        assert_eq!(refused(&with_fields(fields)), reason, "{fields}");
    }
}

#[test]
fn n1_header_lines_are_read_strictly() {
    for (fields, reason) in [
        ("X : a\r\n", why::FIELD_NAME),
        ("X\t: a\r\n", why::FIELD_NAME),
        ("X\r\n", why::FIELD_NAME),
        (": a\r\n", why::FIELD_NAME),
        ("X(: a\r\n", why::FIELD_NAME),
        ("Ü: a\r\n", why::FIELD_NAME),
        ("X: a\r\n b\r\n", why::FOLDED),
        ("X: a\r\n\tb\r\n", why::FOLDED),
        ("X: a\n", why::BARE_LF),
        ("\n", why::BARE_LF),
        ("X: a\rb\r\n", why::BARE_CR),
        ("\rX: a\r\n", why::BARE_CR),
        ("X: a\0\r\n", why::FIELD_VALUE),
        ("X: a\u{1b}[31m\r\n", why::FIELD_VALUE),
        ("X: a\u{7f}\r\n", why::FIELD_VALUE),
    ] {
        assert_eq!(refused(&with_fields(fields)), reason, "{fields:?}");
    }
    for fine in [
        "X:\r\n",
        "X: a\tb\r\n",
        "X: ü\r\n",
        "X:  a  \r\n",
        "!#$%&'*+-.^_`|~09: a\r\n",
    ] {
        assert!(framing(&with_fields(fine)).is_some(), "{fine:?}");
    }
}

#[test]
fn n2_the_host_header() {
    assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), why::NO_HOST);
    assert_eq!(
        refused("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
        why::TWO_HOSTS
    );
    assert_eq!(
        refused("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n"),
        why::TWO_HOSTS
    );
    for fine in [
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(framing(fine), Some(Framing::None), "{fine}");
    }
    let chunked = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refused(chunked), why::ENCODING_1_0);
}

#[test]
fn n2_request_lines_that_are_none() {
    for (line, reason) in [
        ("PRI * HTTP/2.0", why::TARGET_FORM),
        ("GET / HTTP/2", why::VERSION),
        ("GET / HTTP/1.2", why::VERSION),
        ("GET / HTTP/1.10", why::VERSION),
        ("GET / http/1.1", why::VERSION),
        ("GET / ", why::VERSION),
        ("GET /", why::TARGET_BYTE),
        ("GET", why::METHOD),
        ("GET  / HTTP/1.1", why::TARGET_BYTE),
        ("GET /  HTTP/1.1", why::VERSION),
        ("GET / HTTP/1.1 ", why::VERSION),
        ("GET\t/ HTTP/1.1", why::METHOD),
        ("GET /\tHTTP/1.1", why::TARGET_BYTE),
        (" GET / HTTP/1.1", why::METHOD),
        ("GET /a\0b HTTP/1.1", why::TARGET_BYTE),
        ("GET /a b HTTP/1.1", why::VERSION),
        ("GE(T / HTTP/1.1", why::METHOD),
        ("\u{16}\u{3}\u{1}", why::METHOD),
        ("CONNECT a:443 HTTP/1.1", why::CONNECT),
        ("GET a:443 HTTP/1.1", why::TARGET_FORM),
        ("GET a HTTP/1.1", why::TARGET_FORM),
        ("GET * HTTP/1.1", why::TARGET_FORM),
        ("GET ftp://a/ HTTP/1.1", why::TARGET_FORM),
        ("GET http:///b HTTP/1.1", why::AUTHORITY),
        ("GET http://u:p@a/b HTTP/1.1", why::AUTHORITY),
        ("GET http://a\\b/ HTTP/1.1", why::AUTHORITY),
    ] {
        assert_eq!(
            refused(&format!("{line}\r\nHost: a\r\n\r\n")),
            reason,
            "{line}"
        );
    }
    assert_eq!(refused("GET / HTTP/1.1\nHost: a\n\n"), why::VERSION);
}

#[test]
fn n2_methods_are_the_applications_business() {
    let longest = "M".repeat(32);
    for method in ["GET", "get", "BREW", "M-SEARCH", &longest] {
        assert!(
            framing(&format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).is_some(),
            "{method}"
        );
    }
    assert!(framing("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").is_some());
    assert_eq!(refused(&"M".repeat(33)), why::METHOD);
}

#[test]
fn b7_a_target_over_the_limit_is_refused_as_soon_as_it_is_over() {
    let limits = Limits {
        max_target_bytes: 100,
        ..Limits::default()
    };
    let head = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(len - 1));

    assert!(matches!(
        check(head(100).as_bytes(), &limits),
        Progress::Accepted { .. }
    ));
    assert_eq!(
        check(head(101).as_bytes(), &limits),
        Progress::Refused(Refusal::TargetTooLong)
    );
    let cut = &head(1 << 20)[..4 + 101];
    assert_eq!(
        check(cut.as_bytes(), &limits),
        Progress::Refused(Refusal::TargetTooLong)
    );
    assert_eq!(check(&cut.as_bytes()[..104], &limits), Progress::NeedMore);
}

#[test]
fn b7_a_target_that_escapes_make_too_long_for_http_is_414() {
    let head = |chars: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "é".repeat(chars));
    let fits = rewritten(head(10_922).as_bytes()).unwrap();
    let target = fits.split(' ').nth(1).unwrap();

    assert!(
        target.parse::<actix_web::http::Uri>().is_ok(),
        "{}",
        target.len()
    );
    assert_eq!(refused(&head(10_923)), "414");
}

#[test]
fn n7_64_fields_pass_and_65_do_not() {
    let head = |count: usize| with_fields(&"X: a\r\n".repeat(count - 1));

    assert_eq!(framing(&head(64)), Some(Framing::None));
    assert_eq!(refused(&head(65)), "431");
}

#[test]
fn n7_16_kib_of_fields_pass_and_one_byte_more_does_not() {
    let head = |bytes: usize| {
        with_fields(&format!(
            "X: {}\r\n",
            "a".repeat(bytes - "Host: a\r\nX: \r\n".len())
        ))
    };

    assert_eq!(framing(&head(16_384)), Some(Framing::None));
    assert_eq!(refused(&head(16_385)), "431");
    let name = with_fields(&format!("{}: a\r\n", "n".repeat(1001)));
    assert_eq!(framing(&name), Some(Framing::None));
}

#[test]
fn a_head_that_needs_nothing_is_not_copied() {
    assert_eq!(
        rewritten(b"POST /a/%2F/100%/\"{|}^[]\\?b=%zz&c='`{}|^? HTTP/1.1\r\nHost: a\r\n\r\n"),
        None
    );
}

#[test]
fn bytes_that_actix_would_refuse_are_escaped() {
    for (target, forwarded) in [
        ("/msg/grüße", "/msg/gr%C3%BC%C3%9Fe"),
        ("/a#b?c#d", "/a%23b?c%23d"),
        ("/<`>?<`\">", "/%3C%60%3E?%3C`%22%3E"),
        ("/100%/\u{7f}", "/100%/%7F"),
        ("/%C3%BC/ü", "/%C3%BC/%C3%BC"),
    ] {
        assert_eq!(
            forwarded_target(target.as_bytes()),
            forwarded.as_bytes(),
            "{target}"
        );
    }
    assert_eq!(forwarded_target(b"/\x80\xFF"), b"/%80%FF");
}

#[test]
fn n2_an_absolute_target_becomes_its_path() {
    for (target, forwarded) in [
        ("http://other/a?b", "/a?b"),
        ("HTTPS://other:443/a", "/a"),
        ("http://other", "/"),
        ("http://other?b", "/?b"),
        ("http://[::1]:80//a", "//a"),
        ("http://other/ü", "/%C3%BC"),
    ] {
        assert_eq!(
            forwarded_target(target.as_bytes()),
            forwarded.as_bytes(),
            "{target}"
        );
    }
}

#[test]
fn an_upgrade_is_not_passed_on() {
    let head =
        with_fields("Upgrade: h2c\r\nX: a\r\nConnection: keep-alive, Upgrade\r\nUPGRADE: b\r\n");

    assert_eq!(
        rewritten(head.as_bytes()).unwrap(),
        "POST /post HTTP/1.1\r\nHost: a\r\nX: a\r\nconnection: keep-alive\r\n\r\n"
    );
}

#[test]
fn n2_an_http_1_0_post_without_a_length_gets_one() {
    let head = "POST /a HTTP/1.0\r\nX: a\r\n\r\n";

    assert_eq!(
        rewritten(head.as_bytes()).unwrap(),
        "POST /a HTTP/1.0\r\nX: a\r\ncontent-length: 0\r\n\r\n"
    );
    assert_eq!(
        rewritten(b"POST /a HTTP/1.0\r\ncontent-length: 2\r\n\r\n"),
        None
    );
}

fn tight() -> Limits {
    Limits {
        max_target_bytes: 24,
        max_header_bytes: 48,
        max_header_fields: 3,
        ..Limits::default()
    }
}

/// Bytes from which heads, and near misses of heads, are made.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(&b"GET "[..]),
        Just(&b"OPTIONS "[..]),
        Just(&b"POST "[..]),
        Just(&b"/a"[..]),
        Just(&b"*"[..]),
        Just(&b"http://a"[..]),
        Just(&b" HTTP/1.1\r\n"[..]),
        Just(&b" HTTP/1.0\r\n"[..]),
        Just(&b"Host: a\r\n"[..]),
        Just(&b"Content-Length: 3\r\n"[..]),
        Just(&b"Transfer-Encoding: chunked\r\n"[..]),
        Just(&b"Upgrade: x\r\n"[..]),
        Just(&b"\r\n"[..]),
        Just(&b"\r"[..]),
        Just(&b"\n"[..]),
        Just(&b": "[..]),
        Just(&b"\0"[..]),
        Just(&b"\xC3\xBC"[..]),
        Just(&b"?"[..]),
        Just(&b"#"[..]),
        Just(&b"aaaaaaaaaaaaaaaa"[..]),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_verdict_on_a_prefix_is_need_more_or_the_verdict_on_the_whole(
        head in prop_oneof![pieces(), pieces().prop_map(|tail| [b"GET / HTTP/1.1\r\nHost: a\r\n", &tail[..]].concat())],
    ) {
        let whole = check(&head, &tight());
        for len in 0..head.len() {
            let part = check(&head[..len], &tight());
            prop_assert!(part == Progress::NeedMore || part == whole, "{len}: {part:?} {whole:?}");
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(head in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&head, &tight());
    }

    #[test]
    fn b4_what_is_forwarded_decodes_to_the_same_bytes(tail in prop::collection::vec(0x21_u8.., 0..100)) {
        let target = [&b"/"[..], &tail].concat();
        let forwarded = forwarded_target(&target);

        let decode = |bytes: &[u8]| percent_encoding::percent_decode(bytes).collect::<Vec<u8>>();
        // An escape behind a stray `%` must not complete it.
        prop_assert_eq!(decode(&forwarded), decode(&target));
        prop_assert!(actix_web::http::Uri::try_from(forwarded).is_ok());
    }
}

#[test]
fn what_is_looked_at_sixteen_bytes_at_once_is_plain_by_the_table() {
    for byte in 0..=u8::MAX {
        let is_plain = TARGET[usize::from(byte)] == Class::Plain;
        for at in 0..16 {
            let mut chunk = [b'a'; 17];
            chunk[at] = byte;
            assert_eq!(
                plain_chunks(&chunk),
                if is_plain { 16 } else { 0 },
                "{byte}"
            );
        }
    }
    assert_eq!(plain_chunks(&[b'a'; 15]), 0);
}
