//! How long a target and how large a head may be (contract 1.1, B7, N-7).

use crate::support::{Client, Proxy, Response, printed, unlimited};

const MAX_URL: usize = 32 * 1024;
const PREFIX: &str = "/post/channel/demo/msg/";

/// A target of exactly so many bytes.
fn target(bytes: usize) -> String {
    format!("{PREFIX}{}", "u".repeat(bytes - PREFIX.len()))
}

/// The request line and these header lines, and whether the connection is closed behind the answer.
fn ask(proxy: &Proxy, target: &[u8], fields: &str) -> (Response, bool) {
    let mut connection = proxy.connect();
    let head = [
        b"POST ",
        target,
        b" HTTP/1.1\r\n",
        fields.as_bytes(),
        b"\r\n",
    ];
    connection.send(&head.concat());
    let answer = connection.read_response();
    let closes = answer.header("connection") == Some("close");
    if closes {
        assert!(connection.is_closed());
    }
    (answer, closes)
}

#[test]
fn a_target_may_be_as_long_as_max_url() {
    for (setting, max) in [
        (None, MAX_URL),
        (Some("100"), 100),
        (Some("64KiB"), 64 * 1024 - 3),
    ] {
        let setup = setting.map_or(unlimited(), |max| unlimited().set("MAX_URL", max));
        let proxy = setup.start();

        for (bytes, status) in [(max - 1, 200), (max, 200), (max + 1, 414), (4 * max, 414)] {
            let fields = "Host: proxy\r\n";
            let (answer, closes) = ask(&proxy, target(bytes).as_bytes(), fields);

            // The URI type holds 65,534 bytes, so a limit of 64 KiB ends a little earlier.
            assert_eq!(answer.status, status, "{bytes} of {max}");
            assert_eq!(closes, status == 414, "{bytes} of {max}");
            if status == 414 {
                assert_eq!(answer.verdict().1, "uri-too-long");
                assert!(answer.text().contains("MAX_URL"));
            }
        }
        assert_eq!(printed(&proxy).len(), 2, "{max}");
    }
}

#[test]
fn the_query_counts_as_well() {
    let proxy = unlimited().set("MAX_URL", "100").start();
    let long = |bytes: usize| {
        let base = "/post/channel/demo/msg/x?ignored=";
        format!("{base}{}", "q".repeat(bytes - base.len()))
    };

    assert_eq!(proxy.post(long(100)).status, 200);
    assert_eq!(
        proxy.post(long(101)).verdict(),
        (414, "uri-too-long".into())
    );
}

#[test]
fn a_head_without_end_is_refused_before_it_ends() {
    let proxy = unlimited().start();
    let before = proxy.rss_kib();

    for (start, status) in [
        (&b"POST /post/channel/demo/msg/"[..], 414),
        (b"POST / HTTP/1.1\r\nHost: proxy\r\nX-Long: ", 431),
        (b"POST / HTTP/1.1\r\nHost: proxy\r\n", 431),
    ] {
        let mut connection = proxy.connect();
        connection.send(start);
        let piece = if start.ends_with(b"\r\n") {
            b"X-Many: fields\r\n".repeat(4096)
        } else {
            vec![b'a'; 1 << 16]
        };
        (0..16).take_while(|_| connection.send(&piece)).count();

        assert_eq!(connection.read_response().status, status);
    }
    assert!(
        proxy.rss_kib() < before + 16 * 1024,
        "it was kept in memory"
    );
}

/// `Host` and so many fields beside it.
fn fields(count: usize) -> String {
    let more: String = (1..count).map(|n| format!("X-Field-{n}: v\r\n")).collect();
    format!("Host: proxy\r\n{more}")
}

/// Header lines of exactly so many bytes together.
fn field_bytes(bytes: usize) -> String {
    let base = "Host: proxy\r\nX-Long: ";
    format!("{base}{}\r\n", "v".repeat(bytes - base.len() - 2))
}

#[test]
fn a_head_may_have_64_fields_and_16_kib_of_them() {
    let proxy = unlimited().start();

    for (name, fields, status) in [
        ("63 fields", fields(63), 200),
        ("64 fields", fields(64), 200),
        ("65 fields", fields(65), 431),
        ("500 fields", fields(500), 431),
        ("16,383 bytes", field_bytes(16_383), 200),
        ("16,384 bytes", field_bytes(16_384), 200),
        ("16,385 bytes", field_bytes(16_385), 431),
        ("1 MiB", field_bytes(1 << 20), 431),
        (
            "a name of 1,001 bytes",
            format!("Host: proxy\r\n{}: v\r\n", "n".repeat(1001)),
            200,
        ),
    ] {
        let (answer, closes) = ask(&proxy, target(100).as_bytes(), &fields);

        assert_eq!(answer.status, status, "{name}");
        assert_eq!(closes, status == 431, "{name}");
        if closes {
            assert_eq!(answer.verdict().1, "headers-too-large", "{name}");
        }
    }
    assert_eq!(printed(&proxy).len(), 5);
}

/// Both at once, and on a connection that has been used: the limits are per request.
#[test]
fn the_largest_request_passes_again_and_again() {
    let proxy = unlimited().start();
    let mut connection = Client::new(proxy.addr()).connect();
    let largest = format!(
        "POST {} HTTP/1.1\r\n{}\r\n",
        target(MAX_URL),
        field_bytes(16_384)
    );

    for _ in 0..3 {
        connection.send(largest.as_bytes());

        assert_eq!(connection.read_response().status, 200);
    }
}

#[test]
fn raw_utf8_in_the_target_counts_by_its_bytes() {
    let proxy = unlimited().set("MAX_URL", "100").start();
    let raw = |bytes: usize| {
        let chars = "\u{e9}".repeat((bytes - PREFIX.len()) / 2);
        format!("{PREFIX}{chars}{}", "x".repeat((bytes - PREFIX.len()) % 2))
    };

    assert_eq!(proxy.post(raw(100)).status, 200);
    assert_eq!(proxy.post(raw(101)).status, 414);
}
