//! N-5 and N-8: several requests at once, and callers that close early.

use crate::support::{Connection, printed, unlimited};

use super::{count, good, post};

/// N-5: a hundred posts at once, the 50th malformed: 49 posted, one 400, closed.
#[test]
fn what_stands_behind_a_malformed_request_is_not_read() {
    let proxy = unlimited().start();
    let all: Vec<u8> = (1..=100)
        .flat_map(|n| match n {
            50 => post("bad", "Host: proxy\r\nContent-Length: x\r\n"),
            _ => good(&format!("n{n}")),
        })
        .collect();
    let mut connection = proxy.connect();
    connection.send(&all);

    let statuses: Vec<u16> = (0..50).map(|_| connection.read_response().status).collect();

    assert_eq!(statuses[..49], [200; 49]);
    assert_eq!(statuses[49], 400);
    assert!(connection.is_closed());
    let lines: Vec<String> = (1..50).map(|n| format!("[demo] n{n}")).collect();
    assert_eq!(printed(&proxy), lines);
}

#[test]
fn a_body_that_breaks_its_framing_ends_the_pipeline() {
    let proxy = unlimited().start();
    let chunked = post("bad", "Host: proxy\r\nTransfer-Encoding: chunked\r\n");
    let mut connection = proxy.connect();
    connection.send(&[good("one"), chunked, b"x\r\n".to_vec(), good("two")].concat());

    let statuses = [
        connection.read_response().status,
        connection.read_response().status,
    ];

    assert_eq!(statuses, [200, 400]);
    assert!(connection.is_closed());
    assert_eq!(printed(&proxy), ["[demo] one"]);
}

#[test]
fn pipelined_requests_are_answered_in_order_whatever_they_are() {
    let proxy = unlimited().start();
    let kinds: [(&[u8], u16); 7] = [
        (b"POST /post/channel/demo/msg/x HTTP/1.1\r\nHost: proxy\r\nContent-Length: 5\r\n\r\nhello", 200),
        (b"HEAD /health HTTP/1.1\r\nHost: proxy\r\n\r\n", 200),
        (b"OPTIONS /post/channel/demo/msg/x HTTP/1.1\r\nHost: proxy\r\n\r\n", 204),
        (b"GET /nothing HTTP/1.1\r\nHost: proxy\r\n\r\n", 404),
        (b"POST /post/channel/demo/msg/x HTTP/1.1\r\nHost: proxy\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200),
        (b"DELETE /post/channel/demo/msg/x HTTP/1.1\r\nHost: proxy\r\n\r\n", 405),
        (b"POST /post/channel/demo/msg/%00 HTTP/1.1\r\nHost: proxy\r\n\r\n", 400),
    ];
    let mut connection = proxy.connect();
    let all: Vec<u8> = kinds.iter().flat_map(|(bytes, _)| bytes.to_vec()).collect();

    for _ in 0..20 {
        connection.send(&all);
        for (bytes, status) in kinds {
            assert_eq!(answer_to(bytes, &mut connection), status);
        }
    }
    assert_eq!(count(&proxy), 40);
}

fn answer_to(bytes: &[u8], connection: &mut Connection) -> u16 {
    if bytes.starts_with(b"HEAD") {
        connection.read_head_response().status
    } else {
        connection.read_response().status
    }
}

/// The same requests arrive byte by byte as at once.
#[test]
fn where_segments_end_does_not_matter() {
    let proxy = unlimited().start();
    let chunked = post("x", "Host: proxy\r\nTransfer-Encoding: chunked\r\n");
    let all = [
        good("caf%C3%A9"),
        chunked,
        b"5;a=b\r\nhello\r\n0\r\nX-A: b\r\n\r\n".to_vec(),
        good("last"),
    ]
    .concat();

    for size in [1, 2, 3, 7, 64] {
        let mut connection = proxy.connect();
        for piece in all.chunks(size) {
            connection.send(piece);
        }

        for _ in 0..3 {
            assert_eq!(connection.read_response().status, 200, "{size}");
        }
    }
    let lines = ["[demo] caf\u{e9}", "[demo] x", "[demo] last"];
    assert_eq!(printed(&proxy), lines.repeat(5));
}

/// N-8: whoever closes its half behind its requests still gets the answers.
#[test]
fn a_half_closed_connection_is_answered_and_closed() {
    let proxy = unlimited().start();
    let chunked = post("x", "Host: proxy\r\nTransfer-Encoding: chunked\r\n");
    let whole = [chunked, b"5\r\nhello\r\n0\r\n\r\n".to_vec()].concat();

    for (name, bytes, statuses) in [
        ("one", good("x"), &[200][..]),
        ("three", good("x").repeat(3), &[200, 200, 200]),
        ("with a body", whole, &[200]),
        ("half a head", good("x")[..30].to_vec(), &[400]),
        (
            "one and half a head",
            [good("x"), good("x")[..30].to_vec()].concat(),
            &[200, 400],
        ),
        ("nothing", Vec::new(), &[]),
    ] {
        let mut connection = proxy.connect();
        connection.send(&bytes);
        connection.shutdown_write();

        for status in statuses {
            assert_eq!(connection.read_response().status, *status, "{name}");
        }
        assert!(connection.is_closed(), "{name}");
    }
    assert_eq!(count(&proxy), 6);
}

/// N-8: the caller is gone before its answer; the post is made, and the server goes on.
#[test]
fn a_caller_that_does_not_wait_for_its_answer_harms_nobody() {
    let proxy = unlimited().start();

    for n in 0..50 {
        let mut connection = proxy.connect();
        connection.send(&good(&format!("n{n}")));
        assert_eq!(proxy.stdout_line(), format!("[demo] n{n}"));
        // Dropped with an answer unread, which resets the connection.
    }

    assert_eq!(proxy.post("/post/channel/demo/msg/last").status, 200);
    assert_eq!(printed(&proxy), ["[demo] last"]);
}
