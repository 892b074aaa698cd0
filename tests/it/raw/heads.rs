//! N-2: request lines and hosts.

use super::{Closed, Row, Usable, check, post};

fn line(line: &str) -> Vec<u8> {
    format!("{line}\r\nHost: proxy\r\n\r\n").into_bytes()
}

#[test]
fn a_request_has_one_host() {
    check(&[
        ("no Host", post("x", ""), 400, Closed),
        (
            "no Host but others",
            post("x", "X-Host: proxy\r\n"),
            400,
            Closed,
        ),
        (
            "two Hosts",
            post("x", "Host: a\r\nHost: b\r\n"),
            400,
            Closed,
        ),
        (
            "the same twice",
            post("x", "Host: a\r\nhost: a\r\n"),
            400,
            Closed,
        ),
        ("an empty Host", post("x", "Host:\r\n"), 200, Usable),
        (
            "any Host",
            post("x", "hOsT: \tother.example:80\r\n"),
            200,
            Usable,
        ),
    ]);
}

#[test]
fn a_target_is_a_path_or_a_url() {
    let rows: [Row<'_>; 18] = [
        (
            "a URL",
            line("POST http://proxy/post/channel/demo/msg/x HTTP/1.1"),
            200,
            Usable,
        ),
        (
            "of another host",
            line("POST https://other.example:8443/post/channel/demo/msg/x HTTP/1.1"),
            200,
            Usable,
        ),
        (
            "in capitals",
            line("POST HTTP://PROXY/post/channel/demo/msg/x HTTP/1.1"),
            200,
            Usable,
        ),
        (
            "with a query",
            line("POST http://proxy/post/channel/demo?message=x HTTP/1.1"),
            200,
            Usable,
        ),
        (
            "without a path",
            line("GET http://proxy HTTP/1.1"),
            200,
            Usable,
        ),
        (
            "with user information",
            line("POST http://proxy@other.example/post/channel/demo/msg/x HTTP/1.1"),
            400,
            Closed,
        ),
        (
            "without a host",
            line("POST http:///post/channel/demo/msg/x HTTP/1.1"),
            400,
            Closed,
        ),
        (
            "of another scheme",
            line("POST ftp://proxy/post/channel/demo/msg/x HTTP/1.1"),
            400,
            Closed,
        ),
        (
            "authority form",
            line("POST proxy:80 HTTP/1.1"),
            400,
            Closed,
        ),
        ("CONNECT", line("CONNECT proxy:80 HTTP/1.1"), 400, Closed),
        (
            "CONNECT with a path",
            line("CONNECT /post/channel/demo/msg/x HTTP/1.1"),
            400,
            Closed,
        ),
        (
            "a bare path",
            line("POST post/channel/demo/msg/x HTTP/1.1"),
            400,
            Closed,
        ),
        (
            "a query alone",
            line("POST ?message=x HTTP/1.1"),
            400,
            Closed,
        ),
        ("the star of a POST", line("POST * HTTP/1.1"), 400, Closed),
        (
            "the star of OPTIONS",
            line("OPTIONS * HTTP/1.1"),
            404,
            Usable,
        ),
        ("none", line("POST  HTTP/1.1"), 400, Closed),
        ("none at all", line("POST HTTP/1.1"), 400, Closed),
        (
            "two slashes",
            line("POST //post/channel/demo/msg/x HTTP/1.1"),
            404,
            Usable,
        ),
    ];

    check(&rows);
}

#[test]
fn bytes_that_no_target_holds_are_refused_and_the_connection_closes() {
    let mut rows: Vec<Row<'_>> = [
        ("NUL", &b"\0"[..]),
        ("a tab", b"\t"),
        ("ESC", b"\x1B"),
        ("a bare CR", b"\r"),
        ("a bare LF", b"\n"),
        ("a raw space", b" y"),
    ]
    .iter()
    .map(|(name, byte)| {
        let bytes = [
            &b"POST /post/channel/demo/msg/a"[..],
            byte,
            b"z HTTP/1.1\r\nHost: proxy\r\n\r\n",
        ];
        (*name, bytes.concat(), 400, Closed)
    })
    .collect();
    // Bytes beyond ASCII are text; whether they are UTF-8 is the extractor's question.
    for (name, byte, status) in [
        ("0x80", &b"\x80"[..], 400),
        ("0xFF", b"\xFF", 400),
        ("UTF-8", b"\xC3\xA9", 200),
    ] {
        let bytes = [
            &b"POST /post/channel/demo/msg/a"[..],
            byte,
            b" HTTP/1.1\r\nHost: proxy\r\n\r\n",
        ];
        rows.push((name, bytes.concat(), status, Usable));
    }

    check(&rows);
}

#[test]
fn versions_other_than_1_0_and_1_1_are_refused_and_the_connection_closes() {
    let target = "/post/channel/demo/msg/x";
    let versions = [
        "HTTP/2",
        "HTTP/2.0",
        "HTTP/1.2",
        "HTTP/0.9",
        "HTTP/1.10",
        "HTTP/01.1",
        "http/1.1",
        "HTTP/1.1 ",
        "HTTP",
        "HTTPS/1.1",
        "ICY",
    ];
    let mut rows: Vec<Row<'_>> = versions
        .iter()
        .map(|version| {
            (
                *version,
                line(&format!("POST {target} {version}")),
                400,
                Closed,
            )
        })
        .collect();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    rows.extend([
        ("the preface of HTTP/2", preface.to_vec(), 400, Closed),
        (
            "HTTP/0.9",
            format!("GET {target}\r\n").into_bytes(),
            400,
            Closed,
        ),
        (
            "a TLS handshake",
            b"\x16\x03\x01\x02\0\x01\0\x01\xFC\x03\x03".to_vec(),
            400,
            Closed,
        ),
        (
            "a line end of one LF",
            format!("POST {target} HTTP/1.1\nHost: proxy\n\n").into_bytes(),
            400,
            Closed,
        ),
    ]);

    check(&rows);
}

#[test]
fn http_1_0_is_answered_and_closes_unless_it_asks_to_stay() {
    let target = "/post/channel/demo/msg/x";
    let old = |method: &str, fields: &str| {
        format!("{method} {target} HTTP/1.0\r\n{fields}\r\n").into_bytes()
    };

    check(&[
        ("POST", old("POST", ""), 200, Closed),
        ("PUT", old("PUT", ""), 200, Closed),
        ("GET", old("GET", ""), 200, Closed),
        ("with Host", old("POST", "Host: proxy\r\n"), 200, Closed),
        (
            "with two",
            old("POST", "Host: a\r\nHost: b\r\n"),
            400,
            Closed,
        ),
        (
            "with a body",
            [old("POST", "Content-Length: 5\r\n"), b"hello".to_vec()].concat(),
            200,
            Closed,
        ),
        (
            "kept alive",
            old("POST", "Connection: keep-alive\r\n"),
            200,
            Usable,
        ),
    ]);
}

#[test]
fn a_method_is_a_token_and_only_known_ones_do_something() {
    let target = "/post/channel/demo/msg/x";
    let with = |method: &str| line(&format!("{method} {target} HTTP/1.1"));

    check(&[
        ("lower case", with("post"), 405, Usable),
        ("unknown", with("SEND"), 405, Usable),
        (
            "letters, digits and signs",
            with("!*+-.^_`|~09azAZ"),
            405,
            Usable,
        ),
        ("a long one", with(&"M".repeat(100)), 400, Closed),
        ("a sign that is in no method", with("P$ST"), 400, Closed),
        ("no token", with("PO(ST"), 400, Closed),
        ("beyond ASCII", with("P\u{d6}ST"), 400, Closed),
        ("none", with(""), 400, Closed),
        ("a space in front", with(" POST"), 400, Closed),
        (
            "a tab behind",
            line(&format!("POST\t{target} HTTP/1.1")),
            400,
            Closed,
        ),
        (
            "a tab before the version",
            line(&format!("POST {target}\tHTTP/1.1")),
            400,
            Closed,
        ),
        (
            "two spaces",
            line(&format!("POST  {target} HTTP/1.1")),
            400,
            Closed,
        ),
        (
            "two spaces before the version",
            line(&format!("POST {target}  HTTP/1.1")),
            400,
            Closed,
        ),
    ]);
}

#[test]
fn one_empty_line_may_stand_before_a_request() {
    let behind = |blank: &str| [blank.as_bytes(), &super::good("x")].concat();

    check(&[
        ("one", behind("\r\n"), 200, Usable),
        ("many", behind(&"\r\n".repeat(20)), 400, Closed),
        ("a bare LF", behind("\n"), 400, Closed),
        ("a bare CR", behind("\r"), 400, Closed),
    ]);
}

#[test]
fn connection_close_closes() {
    check(&[
        (
            "close",
            post("x", "Host: proxy\r\nConnection: close\r\n"),
            200,
            Closed,
        ),
        (
            "CLOSE",
            post("x", "Host: proxy\r\nconnection: CLOSE\r\n"),
            200,
            Closed,
        ),
        (
            "in a list",
            post("x", "Host: proxy\r\nConnection: x, close\r\n"),
            200,
            Closed,
        ),
        (
            "keep-alive",
            post("x", "Host: proxy\r\nConnection: keep-alive\r\n"),
            200,
            Usable,
        ),
    ]);
}
