//! N-3, N-4 and B12: everything that is waited for has a deadline. All of it in one test, at the same time, because the
//! deadlines are real. What 500 slow clients do to the latency of the others is measured by `tests/bench/slow`.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{DEADLINE, Proxy, unlimited};

use super::{count, good, post};

/// What comes back until the server closes: the statuses in order.
type Case = (&'static str, fn(&Proxy) -> Vec<u16>, &'static [u16]);

const CASES: &[Case] = &[
    // B12: the first head, the second, and one far behind.
    ("no byte at all", |proxy| hold(proxy, b""), &[]),
    ("half a head", |proxy| hold(proxy, &good("x")[..40]), &[408]),
    (
        "half a second head",
        |proxy| hold(proxy, &[good("a"), good("x")[..40].to_vec()].concat()),
        &[200, 408],
    ),
    (
        "one byte of a second head",
        |proxy| hold(proxy, &[good("a"), b"P".to_vec()].concat()),
        &[200, 408],
    ),
    (
        "a trickled first head",
        |proxy| trickle(proxy, b"", &good("x")),
        &[408],
    ),
    (
        "a trickled second head",
        |proxy| trickle(proxy, &good("a"), &good("x")),
        &[200, 408],
    ),
    (
        "a trickled sixth head",
        |proxy| trickle(proxy, &good("a").repeat(5), &good("x")),
        &[200, 200, 200, 200, 200, 408],
    ),
    (
        "trickled fields",
        |proxy| {
            trickle(
                proxy,
                &good("x")[..45],
                b"X-A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
            )
        },
        &[408],
    ),
    (
        "trickled empty lines",
        |proxy| trickle(proxy, b"\r", b"\nPOST / HTTP/1.1 and more of it"),
        &[408],
    ),
    // Contract 1.1: a body within 5 s, declared or chunked.
    (
        "half a body",
        |proxy| {
            hold(
                proxy,
                &[
                    post("x", "Host: proxy\r\nContent-Length: 50\r\n"),
                    b"hello".to_vec(),
                ]
                .concat(),
            )
        },
        &[408],
    ),
    (
        "no body",
        |proxy| hold(proxy, &post("x", "Host: proxy\r\nContent-Length: 50\r\n")),
        &[408],
    ),
    (
        "half a chunk",
        |proxy| hold(proxy, &[post("x", CHUNKED), b"5\r\nhel".to_vec()].concat()),
        &[408],
    ),
    (
        "a trickled body",
        |proxy| {
            trickle(
                proxy,
                &post("x", "Host: proxy\r\nContent-Length: 50\r\n"),
                &[b'z'; 40],
            )
        },
        &[408],
    ),
    (
        "trickled chunks",
        |proxy| trickle(proxy, &post("x", CHUNKED), &b"1\r\nz\r\n".repeat(8)),
        &[408],
    ),
    // N-4: answered early, and the body goes on without end.
    (
        "chunks behind a 404",
        |proxy| {
            hold(proxy, b"POST /nothing HTTP/1.1\r\nHost: proxy\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
        },
        &[404],
    ),
    (
        "chunks behind a 400",
        |proxy| {
            hold(
                proxy,
                &[post("%00", CHUNKED), b"5\r\nhello\r\n".to_vec()].concat(),
            )
        },
        &[400],
    ),
    (
        "trickled chunks behind a 400",
        |proxy| trickle(proxy, &post("%00", CHUNKED), &b"1\r\nz\r\n".repeat(8)),
        &[400],
    ),
    (
        "a body behind a 404",
        |proxy| {
            hold(
                proxy,
                b"POST /nothing HTTP/1.1\r\nHost: proxy\r\nContent-Length: 50\r\n\r\nhello",
            )
        },
        &[404],
    ),
];

const CHUNKED: &str = "Host: proxy\r\nTransfer-Encoding: chunked\r\n";

#[test]
fn slow_requests_get_408_and_their_connections_end() {
    let proxy = unlimited().start();

    let outcomes: Vec<Vec<u16>> = std::thread::scope(|scope| {
        let running: Vec<_> = CASES
            .iter()
            .map(|(_, run, _)| scope.spawn(|| run(&proxy)))
            .collect();
        // Meanwhile the others are served.
        assert_eq!(proxy.post("/post/channel/demo/msg/meanwhile").status, 200);
        running
            .into_iter()
            .map(|case| case.join().unwrap())
            .collect()
    });

    for ((name, _, statuses), seen) in CASES.iter().zip(&outcomes) {
        assert_eq!(seen, statuses, "{name}");
    }
    let delivered = outcomes.iter().flatten().filter(|s| **s == 200).count();
    assert_eq!(count(&proxy), delivered + 1);
}

/// Sends `bytes` and then nothing.
fn hold(proxy: &Proxy, bytes: &[u8]) -> Vec<u16> {
    let mut stream = connect(proxy);
    stream.write_all(bytes).unwrap();
    statuses(read_until(&mut stream, DEADLINE).expect("it is still open"))
}

/// Sends `first` at once and then two bytes a second of `rest`, until the server has had enough.
fn trickle(proxy: &Proxy, first: &[u8], rest: &[u8]) -> Vec<u16> {
    let mut stream = connect(proxy);
    stream.write_all(first).unwrap();
    let mut seen = Vec::new();
    for byte in rest {
        // A peer that has closed may answer this with a reset; what it said before is there all the same.
        stream.write_all(&[*byte]).ok();
        match read_until(&mut stream, Duration::from_millis(500)) {
            Ok(last) => {
                seen.extend(last);
                return statuses(seen);
            }
            Err(more) => seen.extend(more),
        }
    }
    panic!(
        "all of {} bytes were taken: {:?}",
        rest.len(),
        String::from_utf8_lossy(&seen)
    )
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.addr()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Everything up to the end of the connection, or `Err` with what came if it stays silent that long.
fn read_until(stream: &mut TcpStream, silence: Duration) -> Result<Vec<u8>, Vec<u8>> {
    stream.set_read_timeout(Some(silence)).unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(seen),
            Ok(len) => seen.extend(&buffer[..len]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(seen);
            }
            Err(_) => return Ok(seen),
        }
    }
}

fn statuses(bytes: Vec<u8>) -> Vec<u16> {
    let text = String::from_utf8(bytes).unwrap();
    let answers = text.split("HTTP/1.1 ").skip(1);
    answers
        .map(|answer| {
            let status = answer[..3].parse().unwrap();
            // Ours, not actix's bare ones.
            assert!(answer.contains("x-request-id: "), "{answer}");
            assert_eq!(
                answer.contains("\"request-timeout\""),
                status == 408,
                "{answer}"
            );
            status
        })
        .collect()
}
