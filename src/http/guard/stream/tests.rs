//! Both ends of a guarded connection.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::super::{ConnectionCap, refusal_of};
use super::write::CONTINUE;
use super::*;

const REQUEST: &[u8] = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

fn limits() -> Limits {
    Limits {
        head_deadline: Duration::from_millis(20),
        write_deadline: Duration::from_millis(20),
        linger: Duration::from_millis(20),
        refused_deadline: Duration::from_millis(20),
        ..Limits::default()
    }
}

/// A guarded end and the peer's end; `room` bytes fit between them.
fn pair(limits: Limits, room: usize) -> (Guarded<DuplexStream>, DuplexStream) {
    let (ours, peer) = duplex(room);
    (Guarded::new(ours, limits, Arc::default(), None), peer)
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(test);
}

async fn read(stream: &mut Guarded<DuplexStream>) -> Vec<u8> {
    let mut bytes = vec![0; 8192];
    let len = stream.read(&mut bytes).await.unwrap();
    bytes.truncate(len);
    bytes
}

/// Whether a read has nothing to give now.
async fn reads_nothing(stream: &mut Guarded<DuplexStream>) -> bool {
    let mut bytes = [0; 64];
    std::future::poll_fn(|cx| {
        let mut out = ReadBuf::new(&mut bytes);
        Poll::Ready(Pin::new(&mut *stream).poll_read(cx, &mut out).is_pending())
    })
    .await
}

async fn refusal(stream: &mut Guarded<DuplexStream>) -> Option<Refusal> {
    let request = String::from_utf8(read(stream).await).unwrap();
    let path = request.split(' ').nth(1)?.to_owned();
    assert!(request.ends_with("connection: close\r\n\r\n"), "{request}");
    refusal_of(&path)
}

async fn answer(stream: &mut Guarded<DuplexStream>) {
    stream
        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        .await
        .unwrap();
    stream.flush().await.unwrap();
}

#[test]
fn a_whole_request_passes_without_a_timer_or_a_copy() {
    run(async {
        let (mut stream, mut peer) = pair(limits(), 1024);
        peer.write_all(REQUEST).await.unwrap();

        assert_eq!(read(&mut stream).await, REQUEST);

        assert!(!stream.head_alarm.is_set());
        assert!(stream.held.is_empty());
    });
}

#[test]
fn n5_pipelined_requests_pass_one_by_one_and_a_malformed_one_is_the_last() {
    run(async {
        let (mut stream, mut peer) = pair(limits(), 4096);
        let bad = b"GET /b HTTP/1.1\r\n\r\n".to_vec();
        peer.write_all(&[REQUEST, REQUEST, &bad, REQUEST].concat())
            .await
            .unwrap();

        for _ in 0..2 {
            assert_eq!(read(&mut stream).await, REQUEST);
            assert!(reads_nothing(&mut stream).await);
            answer(&mut stream).await;
        }

        assert!(matches!(
            refusal(&mut stream).await,
            Some(Refusal::Malformed(_))
        ));
        answer(&mut stream).await;
        assert!(
            reads_nothing(&mut stream).await,
            "what is behind a refused head is thrown away"
        );
    });
}

#[test]
fn an_interim_answer_does_not_let_the_next_request_go() {
    run(async {
        let (mut stream, mut peer) = pair(limits(), 4096);
        peer.write_all(&REQUEST.repeat(2)).await.unwrap();
        read(&mut stream).await;

        stream.write_all(CONTINUE).await.unwrap();
        stream.flush().await.unwrap();

        assert!(reads_nothing(&mut stream).await);
    });
}

#[test]
fn n3_b12_a_first_head_that_never_comes_ends_the_connection() {
    run(async {
        let (mut stream, _peer) = pair(limits(), 64);

        assert_eq!(read(&mut stream).await, b"");
    });
}

#[test]
fn n3_b12_a_slow_head_is_refused_as_first_and_as_second() {
    run(async {
        for earlier in [0, 1] {
            let (mut stream, mut peer) = pair(limits(), 1024);
            for _ in 0..earlier {
                peer.write_all(REQUEST).await.unwrap();
                assert_eq!(read(&mut stream).await, REQUEST);
                answer(&mut stream).await;
                assert!(reads_nothing(&mut stream).await);
            }

            peer.write_all(&REQUEST[..10]).await.unwrap();

            if earlier > 0 {
                assert_eq!(
                    read(&mut stream).await,
                    b"\r\n",
                    "ends the keep-alive timer downstream"
                );
            }
            assert_eq!(refusal(&mut stream).await, Some(Refusal::HeadTimeout));
        }
    });
}

#[test]
fn idle_time_between_requests_is_not_limited_here() {
    run(async {
        let (mut stream, mut peer) = pair(limits(), 1024);
        peer.write_all(REQUEST).await.unwrap();
        read(&mut stream).await;
        answer(&mut stream).await;

        assert!(reads_nothing(&mut stream).await);

        assert!(!stream.head_alarm.is_set());
    });
}

#[test]
fn an_empty_line_in_two_parts_starts_no_deadline() {
    run(async {
        let (mut stream, mut peer) = pair(limits(), 1024);
        peer.write_all(&[REQUEST, b"\r"].concat()).await.unwrap();
        assert_eq!(read(&mut stream).await, REQUEST);
        answer(&mut stream).await;
        assert_eq!(read(&mut stream).await, b"\r\n");

        peer.write_all(b"\n").await.unwrap();

        assert!(reads_nothing(&mut stream).await);
        assert!(!stream.head_alarm.is_set());
    });
}

#[test]
fn a_head_in_two_parts_passes_and_its_deadline_ends() {
    run(async {
        let (mut stream, mut peer) = pair(limits(), 1024);
        peer.write_all(&REQUEST[..10]).await.unwrap();
        assert!(reads_nothing(&mut stream).await);
        assert!(stream.head_alarm.is_set());

        peer.write_all(&REQUEST[10..]).await.unwrap();

        assert_eq!(read(&mut stream).await, REQUEST);
        assert!(!stream.head_alarm.is_set());
        assert!(stream.held.is_empty());
    });
}

#[test]
fn b7_a_target_without_end_is_refused_and_not_kept() {
    run(async {
        let (mut stream, mut peer) = pair(limits(), 1 << 20);
        peer.write_all(&[b"GET /", &[b'a'; 1_000_000][..]].concat())
            .await
            .unwrap();

        assert_eq!(refusal(&mut stream).await, Some(Refusal::TargetTooLong));
        for _ in 0..100 {
            assert!(reads_nothing(&mut stream).await);
            tokio::task::yield_now().await;
        }

        assert_eq!(stream.discarded, DISCARD_BYTES);
        assert!(stream.held.is_empty());
    });
}

#[test]
fn a_head_that_is_too_large_is_refused_at_its_end_or_soon() {
    run(async {
        let limits = Limits {
            max_target_bytes: 10,
            head_deadline: Duration::from_secs(3600),
            ..limits()
        };
        for (end, id) in [(" HTTP/1.1\r\nX-Request-Id: a\r\n\r\n", true), ("", false)] {
            let (mut stream, mut peer) = pair(limits, 1024);
            peer.write_all(b"GET /aaaaaaaaaa").await.unwrap();
            assert!(reads_nothing(&mut stream).await);
            peer.write_all(end.as_bytes()).await.unwrap();

            let request = String::from_utf8(read(&mut stream).await).unwrap();

            let path = request.split(' ').nth(1).unwrap();
            assert_eq!(refusal_of(path), Some(Refusal::TargetTooLong));
            assert_eq!(request.contains("x-request-id: a\r\n"), id, "{request}");
        }
    });
}

#[test]
fn unfinished_heads_beyond_the_budget_are_refused() {
    run(async {
        let budget = Arc::new(HeadBudget::new(15));
        let (ours, mut peer) = duplex(64);
        let (other, mut other_peer) = duplex(64);
        let mut stream = Guarded::new(ours, limits(), Arc::clone(&budget), None);
        let mut other = Guarded::new(other, limits(), Arc::clone(&budget), None);
        peer.write_all(&REQUEST[..10]).await.unwrap();
        other_peer.write_all(&REQUEST[..10]).await.unwrap();

        assert!(reads_nothing(&mut stream).await);
        assert_eq!(refusal(&mut other).await, Some(Refusal::HeadTimeout));

        assert_eq!(budget.held(), 10);
        drop(stream);
        assert_eq!(budget.held(), 0);
    });
}

#[test]
fn n8_a_half_closed_request_is_answered_before_the_end_is_told() {
    run(async {
        let (mut stream, mut peer) = pair(limits(), 1024);
        peer.write_all(REQUEST).await.unwrap();
        peer.shutdown().await.unwrap();

        assert_eq!(read(&mut stream).await, REQUEST);
        assert!(reads_nothing(&mut stream).await);
        answer(&mut stream).await;

        assert_eq!(read(&mut stream).await, b"");
    });
}

#[test]
fn a_head_or_body_that_is_cut_off_does_not_pass_for_whole() {
    run(async {
        let (mut stream, mut peer) = pair(limits(), 1024);
        peer.write_all(&REQUEST[..20]).await.unwrap();
        peer.shutdown().await.unwrap();
        assert_eq!(
            refusal(&mut stream).await,
            Some(Refusal::Malformed(refusal::TRUNCATED))
        );

        for body in [
            "Content-Length: 9\r\n\r\nabc",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX",
        ] {
            let (mut stream, mut peer) = pair(limits(), 1024);
            let request = format!("POST /a HTTP/1.1\r\nHost: a\r\n{body}");
            peer.write_all(request.as_bytes()).await.unwrap();
            peer.shutdown().await.unwrap();

            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();

            assert_eq!(
                String::from_utf8(all).unwrap(),
                request.trim_end_matches('X')
            );
        }
    });
}

#[test]
fn n4_the_rest_of_a_body_has_a_deadline_once_its_request_is_answered() {
    run(async {
        let (mut stream, mut peer) = pair(limits(), 1024);
        let head = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        peer.write_all(head).await.unwrap();
        peer.write_all(b"5\r\nhel").await.unwrap();

        assert_eq!(read(&mut stream).await, head);
        assert_eq!(read(&mut stream).await, b"5\r\nhel");
        assert!(reads_nothing(&mut stream).await && !stream.rest_alarm.is_set());
        answer(&mut stream).await;

        assert_eq!(read(&mut stream).await, b"");
        peer.write_all(b"lo\r\n0\r\n\r\n").await.unwrap();
        assert_eq!(read(&mut stream).await, b"");
    });
}

#[test]
fn b11_the_rest_of_a_body_has_a_limit_once_its_request_is_answered() {
    run(async {
        let patient = Limits {
            linger: Duration::from_secs(600),
            ..limits()
        };
        let (mut stream, mut peer) = pair(patient, 2 * DISCARD_BYTES);
        let head = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        peer.write_all(head).await.unwrap();
        assert_eq!(read(&mut stream).await, head);
        answer(&mut stream).await;

        peer.write_all(b"fffffff\r\n").await.unwrap();
        peer.write_all(&vec![b'z'; DISCARD_BYTES + 8192])
            .await
            .unwrap();

        let mut taken = 0;
        loop {
            match read(&mut stream).await.len() {
                0 => break,
                len => taken += len,
            }
        }
        assert!(
            (DISCARD_BYTES..DISCARD_BYTES + 16_384).contains(&taken),
            "{taken}"
        );
    });
}

#[test]
fn b12_an_answer_that_is_never_read_ends_the_connection() {
    run(async {
        let (mut stream, _peer) = pair(limits(), 16);

        let error = stream.write_all(&[b'a'; 64]).await.unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn closing_tells_the_peer_first_and_takes_what_it_still_sends() {
    run(async {
        let (mut stream, mut peer) = pair(
            Limits {
                linger: Duration::from_secs(60),
                ..limits()
            },
            64,
        );
        let sending = async {
            peer.write_all(&[b'a'; 100_000]).await.unwrap();
            assert_eq!(peer.read(&mut [0; 8]).await.unwrap(), 0);
            peer.shutdown().await.unwrap();
        };
        let closing = async { stream.shutdown().await.unwrap() };

        futures_util::future::join(closing, sending).await;

        assert_eq!(stream.discarded, 100_000);
    });
}

#[test]
fn closing_does_not_wait_for_ever() {
    run(async {
        let (mut stream, _peer) = pair(limits(), 64);

        stream.shutdown().await.unwrap();
    });
}

#[test]
fn bytes_pass_through_narrow_reads_unchanged() {
    run(async {
        let all = [
            "POST /ü HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
            "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
        ];
        let passed = [
            "POST /%C3%BC HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            all[1],
        ];
        for width in [1, 2, 7, 4096] {
            let (mut stream, mut peer) = pair(Limits::default(), 4096);
            peer.write_all(all.concat().as_bytes()).await.unwrap();

            for passed in passed {
                let mut read = Vec::new();
                while read.trim_ascii_start().len() < passed.len() {
                    let mut bytes = vec![0; width];
                    let len = stream.read(&mut bytes).await.unwrap();
                    read.extend_from_slice(&bytes[..len]);
                }
                answer(&mut stream).await;
                assert_eq!(
                    String::from_utf8(read).unwrap().trim_start(),
                    passed,
                    "{width}"
                );
            }
        }
    });
}

#[test]
fn a_dropped_connection_gives_its_permit_back() {
    let cap = Arc::new(ConnectionCap::new(1, None));
    let (ours, _peer) = duplex(1);

    let stream = Guarded::new(ours, limits(), Arc::default(), cap.try_admit(None).ok());
    assert!(cap.try_admit(None).is_err());
    drop(stream);

    assert!(cap.try_admit(None).is_ok());
}
