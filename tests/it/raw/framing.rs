//! N-1 and N-4: where a body ends, and everything that could make two readers disagree about it (B10).

use super::{Closed, Row, Usable, check, good, post};

/// A second request that must never be seen: it stands inside the body of the first.
const SMUGGLED: &str = "POST /post/channel/demo/msg/smuggled HTTP/1.1\r\nHost: proxy\r\n\r\n";

fn with_body(fields: &str, body: &str) -> Vec<u8> {
    let head = post("x", &format!("Host: proxy\r\n{fields}"));
    [head, body.as_bytes().to_vec()].concat()
}

fn chunks(body: &str) -> Vec<u8> {
    with_body("Transfer-Encoding: chunked\r\n", body)
}

/// N-1: a length that is not one decimal number is refused, and nothing behind it is read as a request.
#[test]
fn ambiguous_lengths_are_refused_and_the_connection_closes() {
    let fields = [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 0\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\ncontent-length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5,6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5.0\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: five\r\n",
        "Content-Length: \r\n",
        "Content-Length: \u{665}\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
    ];
    let rows: Vec<Row<'_>> = fields
        .iter()
        .map(|fields| {
            let body = format!("0\r\n\r\n{SMUGGLED}");
            (*fields, with_body(fields, &body), 400, Closed)
        })
        .collect();

    check(&rows);
}

/// N-1: the only transfer encoding is `chunked`, once, in HTTP/1.1.
#[test]
fn other_transfer_encodings_are_refused_and_the_connection_closes() {
    let encodings = [
        "chunked, identity",
        "identity, chunked",
        "gzip, chunked",
        "chunked, chunked",
        "identity",
        "gzip",
        "xchunked",
        "chunkedx",
        "chunked;x",
        "chunked;q=1",
        "\"chunked\"",
        "chunked,",
        ",chunked",
        "",
        "\u{b}chunked",
        "chunked\u{c}",
        "chunked\u{a0}",
    ];
    let mut rows: Vec<Row<'_>> = encodings
        .iter()
        .map(|encoding| {
            let fields = format!("Transfer-Encoding: {encoding}\r\n");
            let body = format!("0\r\n\r\n{SMUGGLED}");
            (*encoding, with_body(&fields, &body), 400, Closed)
        })
        .collect();
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    let split = "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n";
    let old =
        b"POST /post/channel/demo/msg/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    rows.extend([
        ("twice", with_body(twice, "0\r\n\r\n"), 400, Closed),
        ("split", with_body(split, "0\r\n\r\n"), 400, Closed),
        ("HTTP/1.0", old.to_vec(), 400, Closed),
        (
            "any case",
            with_body("transfer-ENCODING: \tChunKed \t\r\n", "0\r\n\r\n"),
            200,
            Usable,
        ),
    ]);

    check(&rows);
}

/// N-1: white space and line ends that some parsers take and others do not.
#[test]
fn odd_white_space_around_fields_is_refused_and_the_connection_closes() {
    let rows: Vec<Row<'_>> = [
        (
            "space before the colon",
            "Host: proxy\r\nContent-Length : 5\r\n",
        ),
        (
            "tab before the colon",
            "Host: proxy\r\nContent-Length\t: 5\r\n",
        ),
        (
            "space before the colon of chunked",
            "Host: proxy\r\nTransfer-Encoding : chunked\r\n",
        ),
        ("space before the colon of Host", "Host : proxy\r\n"),
        ("folded value", "Host: proxy\r\nX-A: a\r\n b\r\n"),
        (
            "folded with a tab",
            "Host: proxy\r\nTransfer-Encoding:\r\n\tchunked\r\n",
        ),
        ("space before the first field", " Host: proxy\r\n"),
        ("no colon", "Host: proxy\r\nX-A\r\n"),
        ("no name", "Host: proxy\r\n: a\r\n"),
        ("a name with a space", "Host: proxy\r\nX A: a\r\n"),
        ("a name that is no token", "Host: proxy\r\nX(A): a\r\n"),
        ("a name beyond ASCII", "Host: proxy\r\nX-\u{e9}: a\r\n"),
        ("NUL in a name", "Host: proxy\r\nX-\0A: a\r\n"),
        ("NUL in a value", "Host: proxy\r\nX-A: a\0b\r\n"),
        (
            "a control character in a value",
            "Host: proxy\r\nX-A: a\u{1}b\r\n",
        ),
        ("DEL in a value", "Host: proxy\r\nX-A: a\u{7f}b\r\n"),
        (
            "a bare CR in a value",
            "Host: proxy\r\nX-A: a\rContent-Length: 5\r\n",
        ),
        ("a bare LF behind a field", "Host: proxy\nX-A: a\r\n"),
        (
            "a bare LF in a value",
            "Host: proxy\r\nX-A: a\nContent-Length: 5\r\n",
        ),
        (
            "a bare LF at the end",
            "Host: proxy\r\n\nPOST / HTTP/1.1\r\n",
        ),
    ]
    .iter()
    .map(|(name, fields)| (*name, post("x", fields), 400, Closed))
    .collect();

    check(&rows);
}

/// N-1: chunk sizes; a body that is not chunked as it says is never taken for a whole one.
#[test]
fn malformed_chunks_post_nothing_and_the_connection_closes() {
    let rows: Vec<Row<'_>> = [
        "+1\r\na\r\n0\r\n\r\n",
        "-1\r\na\r\n0\r\n\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        " 1\r\na\r\n0\r\n\r\n",
        "1 \r\na\r\n0\r\n\r\n",
        "\t1\r\na\r\n0\r\n\r\n",
        "1_0\r\na\r\n0\r\n\r\n",
        "g\r\na\r\n0\r\n\r\n",
        "\r\na\r\n0\r\n\r\n",
        ";a=b\r\na\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFF1\r\na\r\n0\r\n\r\n",
        "10000000000000001\r\na\r\n0\r\n\r\n",
        "000000001\r\na\r\n0\r\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "1\r\na\r\n0\n\n",
        "1\r\na\r\n0\r\n\n",
        "1\r\nab\r\n0\r\n\r\n",
        "2\r\na\r\n0\r\n\r\n",
        "1\ra\r\n0\r\n\r\n",
        "1;\u{1}\r\na\r\n0\r\n\r\n",
        "1;a=\n\r\na\r\n0\r\n\r\n",
        "0\r\nX-A : b\r\n\r\n",
        "0\r\n folded\r\n\r\n",
        "0\r\nX-A\r\n\r\n",
        "0\r\nX-A: b\n\r\n",
        "0\r\n: b\r\n\r\n",
    ]
    .iter()
    .map(|body| (*body, chunks(&format!("{body}{SMUGGLED}")), 400, Closed))
    .collect();
    let long = format!("1;{}\r\na\r\n0\r\n\r\n", "e".repeat(5000));
    let fields = "X-A: b\r\n".repeat(1000);
    let trailers = format!("0\r\n{fields}\r\n");
    let more: [Row<'_>; 2] = [
        ("a long extension", chunks(&long), 400, Closed),
        ("many trailers", chunks(&trailers), 400, Closed),
    ];

    check(&[rows, more.to_vec()].concat());
}

#[test]
fn well_formed_chunks_are_read_to_their_end() {
    let rows: Vec<Row<'_>> = [
        "0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "1\r\na\r\nA\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        "00000005\r\nhello\r\n000\r\n\r\n",
        "5;a=b\r\nhello\r\n0;c\r\n\r\n",
        "5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n",
        // Trailers are dropped: none of them changes the request.
        "5\r\nhello\r\n0\r\nX-A: b\r\n\r\n",
        "0\r\nContent-Length: 50\r\nTransfer-Encoding: gzip\r\nHost: other\r\nAuthorization: Bearer x\r\n\r\n",
    ]
    .iter()
    .map(|body| (*body, chunks(body), 200, Usable))
    .collect();

    // What looks like a request is the body's.
    let hidden = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    let hidden = [("a request in a chunk", chunks(&hidden), 200, Usable)];

    check(&[rows, hidden.to_vec()].concat());
}

/// N-4: a body that a request is not expected to have is not the next request.
#[test]
fn a_body_with_get_head_and_options_is_not_a_request() {
    let with = |method: &str, target: &str| {
        let length = SMUGGLED.len();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: proxy\r\nContent-Length: {length}\r\n\r\n"
        );
        format!("{head}{SMUGGLED}").into_bytes()
    };

    check(&[
        (
            "GET that posts",
            with("GET", "/post/channel/demo/msg/x"),
            200,
            Usable,
        ),
        ("PUT", with("PUT", "/post/channel/demo/msg/x"), 200, Usable),
    ]);
    // Refused before the body has been read: whether the connection stays is not promised, the smuggled post is.
    for (name, bytes, status) in [
        ("GET of a probe", with("GET", "/health"), 200),
        ("OPTIONS", with("OPTIONS", "/post/channel/demo/msg/x"), 204),
        ("DELETE", with("DELETE", "/post/channel/demo/msg/x"), 405),
        ("an unknown path", with("POST", "/nothing"), 404),
        (
            "an option that is wrong",
            with("POST", "/post/channel/demo/msg/x?dry"),
            400,
        ),
    ] {
        let proxy = crate::support::unlimited().start();
        let mut connection = proxy.connect();
        connection.send(&bytes);

        assert_eq!(connection.read_response().status, status, "{name}");
        assert_eq!(super::count(&proxy), 0, "{name}");
    }
}

#[test]
fn upgrades_are_not_taken_up() {
    let h2c = "Host: proxy\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    let websocket = "Host: proxy\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    check(&[
        ("HTTP/2", post("x", h2c), 200, Usable),
        ("WebSocket", post("x", websocket), 200, Usable),
        ("plain", good("x"), 200, Usable),
    ]);
}
