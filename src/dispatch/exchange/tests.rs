//! Answers as they may come, over a connection and through the client.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::connection::Response;
use super::head::Unusable;
use super::trace::{self, fuzz_answer};
use super::*;
use crate::clock::SystemClock;

fn read(bytes: &str) -> Result<Response, Unusable> {
    trace::read(bytes.as_bytes(), bytes.len(), 1000).unwrap()
}

fn ok(bytes: &str) -> (u16, String, bool, bool) {
    let answer = read(bytes).unwrap();
    let body = String::from_utf8(answer.body.to_vec()).unwrap();
    (
        answer.head.status,
        body,
        answer.truncated,
        answer.keeps_alive,
    )
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";

/// F-21: the final status counts, after at most eight interim ones.
#[test]
fn the_answer_is_the_one_after_interim_ones() {
    let whole = (200, "ok".to_owned(), false, true);
    assert_eq!(ok(OK), whole);
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102\r\n\r\n",
        HINTS,
    ] {
        assert_eq!(ok(&(interim.to_owned() + OK)), whole);
        assert_eq!(ok(&(interim.repeat(8) + OK)), whole);
        assert!(read(&(interim.repeat(9) + OK)).is_err());
        assert!(read(interim).is_err());
    }
    assert!(
        read(&("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n".to_owned() + OK)).is_err()
    );
}

/// F-22: what follows the answer is nobody's, so the connection ends with it.
#[test]
fn a_connection_with_more_to_come_is_left() {
    for (bytes, keeps_alive) in [
        (OK.to_owned(), true),
        (OK.repeat(2), false),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), true),
        (
            "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok".to_owned(),
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned(),
            false,
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            true,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nto the end".to_owned(), false),
    ] {
        assert_eq!(ok(&bytes).3, keeps_alive, "{bytes}");
    }
}

/// F-7, F-8.
#[test]
fn a_body_that_breaks_off_is_told_from_a_whole_one() {
    for (bytes, body, truncated) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "ok", true),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
            "ok",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "ok",
            false,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nok", "ok", false),
        ("HTTP/1.0 200 OK\r\n\r\nok", "ok", false),
    ] {
        let (status, came, is_cut, _) = ok(bytes);
        assert_eq!((status, &*came, is_cut), (200, body, truncated), "{bytes}");
    }
}

#[test]
fn what_is_no_answer_is_none() {
    for bytes in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\n", "hello\r\n\r\n"] {
        assert!(read(bytes).is_err(), "{bytes}");
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(future)
}

fn exchange(millis: u64) -> Exchange {
    exchange_with(millis, usize::MAX)
}

fn exchange_with(millis: u64, max_open: usize) -> Exchange {
    let settings = ClientSettings {
        timeout: Duration::from_millis(millis),
        tls: None,
        max_open,
    };
    Exchange::new(&settings, Arc::new(SystemClock))
}

fn request(to: &Origin) -> Request<'_> {
    Request {
        to,
        bytes: b"POST / HTTP/1.1\r\n\r\n",
        max_answer_bytes: 1000,
    }
}

fn origin(listener: &TcpListener) -> Origin {
    let address = listener.local_addr().unwrap();
    Origin::of(&format!("http://{address}/").parse().unwrap()).unwrap()
}

/// Whoever sends too much is refused before all of it was written, and the refusal is read.
#[test]
fn an_answer_before_the_requests_end_counts() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = origin(&listener);
    let large = vec![b'x'; 64 << 20];
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let refusal = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(refusal).unwrap();
        // Not reset, or what was written would be lost with it: the sending side closes, the rest is read.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
    });

    let answer = run(exchange(10_000).send(Request {
        bytes: &large,
        ..request(&to)
    }));

    assert_eq!(answer.ok().map(|answer| answer.head.status), Some(413));
    server.join().unwrap();
}

/// The same where the rest of the request is never read.
#[test]
fn an_answer_of_who_reads_no_further_counts() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = origin(&listener);
    let large = vec![b'x'; 64 << 20];
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(HINTS.as_bytes()).unwrap();
        let refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(refusal).unwrap();
        wait.recv().unwrap_err();
    });

    let answer = run(exchange(10_000).send(Request {
        bytes: &large,
        ..request(&to)
    }));

    drop(done);
    let answer = answer.ok().unwrap();
    assert_eq!((answer.head.status, answer.keeps_alive), (401, false));
    server.join().unwrap();
}

/// F-3: what was not written whole was not carried out, so it is no doubtful case.
#[test]
fn a_request_that_was_never_whole_was_not_carried_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = origin(&listener);
    let large = vec![b'x'; 64 << 20];
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 10]).unwrap();
    });

    let ended = run(exchange(10_000).send(Request {
        bytes: &large,
        ..request(&to)
    }));

    assert_eq!(ended.err(), Some(WireError::Connect));
    server.join().unwrap();
}

/// F-5: the deadline ends both, and says which.
#[test]
fn the_deadline_tells_a_request_that_was_taken_from_one_that_was_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = origin(&listener);
    let large = vec![b'x'; 64 << 20];

    let taken = run(exchange(500).send(request(&to)));
    let stuck = run(exchange(500).send(Request {
        bytes: &large,
        ..request(&to)
    }));

    assert_eq!(taken.err(), Some(WireError::NoAnswer));
    assert_eq!(stuck.err(), Some(WireError::Connect));
}

#[test]
fn a_connection_is_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = origin(&listener);
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for _ in 0..3 {
            stream.read_exact(&mut [0; 19]).unwrap();
            stream.write_all(OK.as_bytes()).unwrap();
        }
    });
    let exchange = exchange(10_000);

    run(async {
        for _ in 0..3 {
            assert!(exchange.send(request(&to)).await.is_ok());
        }
    });

    server.join().unwrap();
}

/// P-4: where only one may be open, a kept one is closed before another is made.
#[test]
fn a_kept_connection_makes_room_for_another() {
    let [here, there] = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [to_here, to_there] = [&here, &there].map(origin);
    let answered = |listener: &TcpListener| {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 19]).unwrap();
        stream.write_all(OK.as_bytes()).unwrap();
        stream
    };
    let server = std::thread::spawn(move || {
        let mut first = answered(&here);
        let _second = answered(&there);
        // It was closed by then, or this would wait for good.
        assert_eq!(first.read(&mut [0]).unwrap(), 0);
    });
    let exchange = exchange_with(10_000, 1);

    run(async {
        assert!(exchange.send(request(&to_here)).await.is_ok());
        assert!(exchange.send(request(&to_there)).await.is_ok());
        server.join().unwrap();
    });
}

proptest! {
    #[test]
    fn bytes_are_the_same_answer_however_they_are_split(
        head in prop::sample::select(vec![
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            HINTS,
            "",
        ]),
        body in prop::collection::vec(prop::sample::select(vec!["\r\n", "3", "abc", "0", ";", OK]), 0..12),
        split: u8,
    ) {
        let mut data = head.as_bytes().to_vec();
        data.extend(body.concat().bytes());
        data.push(split);
        prop_assert!(fuzz_answer(&data));
    }
}
