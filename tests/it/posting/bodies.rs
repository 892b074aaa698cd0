//! Bodies: read, thrown away, and never allowed to be large (contract 1.1). A body that is too slow is in `raw`, beside the
//! other deadlines.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::{DEADLINE, Proxy, printed, unlimited};

const MAX_BODY: usize = 64 * 1024;

/// The head of a post of `text`, with these fields.
fn head(text: &str, fields: &str) -> String {
    format!("POST /post/channel/demo/msg/{text} HTTP/1.1\r\nHost: proxy\r\n{fields}\r\n")
}

fn chunked(size: usize, chunk: usize) -> Vec<u8> {
    let data = vec![b'z'; size];
    let mut body: Vec<u8> = data
        .chunks(chunk)
        .flat_map(|chunk| {
            let size = format!("{:x}\r\n", chunk.len());
            [size.as_bytes(), chunk, b"\r\n"].concat()
        })
        .collect();
    body.extend(b"0\r\n\r\n");
    body
}

#[test]
fn a_body_is_read_and_thrown_away() {
    let proxy = unlimited().start();

    for (at, (media, body)) in [
        ("application/json", &b"{\"text\":\"not this\"}"[..]),
        (
            "application/x-www-form-urlencoded",
            b"message=not+this&dry=1",
        ),
        ("text/plain", b"not this"),
        (
            "application/octet-stream",
            b"\0\xFF\r\n\r\nPOST / HTTP/1.1\r\n\r\n",
        ),
        ("text/plain", b""),
    ]
    .into_iter()
    .enumerate()
    {
        // B11: never decompressed either, whatever it claims to be.
        let headers = [("Content-Type", media), ("Content-Encoding", "gzip")];
        let answer = proxy.send(
            "POST",
            format!("/post/channel/demo/msg/n{at}"),
            &headers,
            body,
        );

        assert_eq!(answer.verdict(), (200, "delivered".into()), "{media}");
        assert_eq!(proxy.stdout_line(), format!("[demo] n{at}"));
    }
}

/// N-6: what `curl -X POST` sends.
#[test]
fn a_post_without_a_body_and_a_length_is_accepted() {
    let proxy = unlimited().start();
    let mut connection = proxy.connect();

    for fields in ["", "Content-Length: 0\r\n", "Content-Type: text/plain\r\n"] {
        connection.send(head("text", fields).as_bytes());

        assert_eq!(connection.read_response().status, 200, "{fields}");
    }
}

#[test]
fn a_body_of_exactly_max_body_is_accepted_and_one_byte_more_is_not() {
    let proxy = unlimited().start();

    for (size, chunk) in [
        (MAX_BODY, None),
        (MAX_BODY, Some(MAX_BODY)),
        (MAX_BODY, Some(1000)),
        (MAX_BODY + 1, None),
        (MAX_BODY + 1, Some(MAX_BODY + 1)),
        (MAX_BODY + 1, Some(1000)),
        (1 << 20, Some(1 << 16)),
    ] {
        let (status, closes) = if size > MAX_BODY {
            (413, true)
        } else {
            (200, false)
        };
        let bytes = match chunk {
            None => {
                let fields = format!("Content-Length: {size}\r\n");
                [head("text", &fields).into_bytes(), vec![b'z'; size]].concat()
            }
            Some(chunk) => {
                let head = head("text", "Transfer-Encoding: chunked\r\n");
                [head.into_bytes(), chunked(size, chunk)].concat()
            }
        };
        let mut connection = proxy.connect();
        connection.send(&bytes);
        let answer = connection.read_response();

        let case = format!("{size} bytes in chunks of {chunk:?}");
        assert_eq!(answer.status, status, "{case}");
        if closes {
            assert_eq!(answer.verdict().1, "body-too-large", "{case}");
            assert!(connection.is_closed(), "{case}");
        } else {
            connection.send(head("next", "").as_bytes());
            assert_eq!(connection.read_response().status, 200, "{case}");
        }
    }
    assert_eq!(printed(&proxy), ["[demo] text", "[demo] next"].repeat(3));
}

/// N-4: what is declared too large is refused before it comes.
#[test]
fn a_declared_size_alone_is_enough_to_refuse() {
    let proxy = unlimited().start();

    for size in ["65537", "10737418240", "18446744073709551615"] {
        let mut connection = proxy.connect();
        connection.send(head("text", &format!("Content-Length: {size}\r\n")).as_bytes());

        let answer = connection.read_response();

        assert_eq!(answer.verdict(), (413, "body-too-large".into()), "{size}");
        assert!(connection.is_closed(), "{size}");
    }
    assert_eq!(printed(&proxy), [""; 0]);
}

/// B11: a body without end is cut at the limit; what the peer goes on sending is not read for ever.
#[test]
fn a_body_without_end_is_cut_off() {
    let proxy = unlimited().start();
    let before = proxy.rss_kib();
    let mut connection = proxy.connect();
    let chunk = [b"8000\r\n", &vec![b'z'; 0x8000][..], b"\r\n"].concat();

    connection.send(head("text", "Transfer-Encoding: chunked\r\n").as_bytes());
    let sent = (0..10_000).take_while(|_| connection.send(&chunk)).count();

    assert!(sent < 10_000, "320 MiB were taken");
    assert!(
        proxy.rss_kib() < before + 16 * 1024,
        "it was kept in memory"
    );
    assert_eq!(printed(&proxy), [""; 0]);
}

#[test]
fn the_limit_is_max_body() {
    for (max, size, status) in [("10", 10, 200), ("10", 11, 413), ("1MiB", 1 << 20, 200)] {
        let proxy = unlimited().set("MAX_BODY", max).start();

        let answer = proxy.send("POST", "/post/channel/demo/msg/text", &[], vec![b'z'; size]);

        assert_eq!(answer.status, status, "{max}");
        assert_eq!(answer.text().contains("MAX_BODY"), status == 413, "{max}");
    }
}

/// Read before anything is posted: a request that did not arrive whole posts nothing.
#[test]
fn a_body_that_breaks_off_posts_nothing() {
    let proxy = unlimited().start();

    for (fields, body) in [
        ("Content-Length: 10\r\n", "hello"),
        ("Content-Length: 10\r\n", ""),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhel"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n"),
        ("Transfer-Encoding: chunked\r\n", ""),
    ] {
        let mut connection = proxy.connect();
        connection.send(&[head("text", fields).as_bytes(), body.as_bytes()].concat());
        connection.shutdown_write();

        let answer = connection.read_response();

        assert_eq!(answer.verdict(), (400, "bad-request".into()), "{body:?}");
        assert!(connection.is_closed(), "{body:?}");
    }
    assert_eq!(printed(&proxy), [""; 0]);
}

/// N-4: the interim answer comes before the body is sent, and the real one after it.
#[test]
fn a_caller_that_waits_for_100_continue_is_told_to_go_on() {
    let proxy = unlimited().start();
    let mut stream = connect(&proxy);

    stream
        .write_all(head("text", "Expect: 100-continue\r\nContent-Length: 5\r\n").as_bytes())
        .unwrap();
    let interim = read_head(&mut stream);
    stream.write_all(b"hello").unwrap();
    let last = read_head(&mut stream);

    assert_eq!(interim, "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(last.starts_with("HTTP/1.1 200 OK\r\n"), "{last}");
    assert_eq!(printed(&proxy), ["[demo] text"]);
}

#[test]
fn an_expectation_without_a_body_or_with_too_much_of_it_is_answered() {
    let proxy = unlimited().start();

    for (fields, status) in [
        ("Expect: 100-continue\r\n", 200),
        ("Expect: 100-continue\r\nContent-Length: 0\r\n", 200),
        ("Expect: 100-continue\r\nContent-Length: 65537\r\n", 413),
    ] {
        let mut connection = proxy.connect();
        connection.send(head("text", fields).as_bytes());

        assert_eq!(connection.read_response().status, status, "{fields}");
    }
    assert_eq!(printed(&proxy), ["[demo] text"; 2]);
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.addr()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("no answer");
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}
