//! Requests byte by byte: the N-list of the threats (section 3), and deadlines of the socket (B10, B11, B12).
//!
//! Each row says what is answered and whether the connection can be used again; at the end of each table, what was printed
//! is as many lines as there were 200s.

mod framing;
mod heads;
mod pipelines;
mod slow;

use std::io::ErrorKind;

use crate::support::{Connection, Proxy, Response, printed, unlimited};

/// What becomes of the connection behind the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Another request is answered on it.
    Usable,
    /// The server closes it.
    Closed,
}

use Then::{Closed, Usable};

/// A name, the bytes of one request, its status, and what follows.
type Row<'a> = (&'a str, Vec<u8>, u16, Then);

/// A post with these header lines; `Host` is among them or is not.
fn post(text: &str, fields: &str) -> Vec<u8> {
    format!("POST /post/channel/demo/msg/{text} HTTP/1.1\r\n{fields}\r\n").into_bytes()
}

/// A well-formed post.
fn good(text: &str) -> Vec<u8> {
    post(text, "Host: proxy\r\n")
}

/// Sends each row on a connection of its own.
#[track_caller]
fn check(rows: &[Row<'_>]) {
    let proxy = unlimited().start();
    let mut delivered = 0;

    for (name, bytes, status, then) in rows {
        let mut connection = proxy.connect();
        connection.send(bytes);
        let answer = connection.read_response();

        assert_eq!(answer.status, *status, "{name}: {}", answer.text());
        // Ours, not one of actix's bare ones.
        assert!(answer.header("x-request-id").is_some(), "{name}");
        delivered += usize::from(posted(&answer));
        let after = after(&mut connection);
        assert_eq!(after, *then, "{name}");
        delivered += usize::from(after == Usable);
    }
    assert_eq!(count(&proxy), delivered);
}

/// Whether another post is answered, or the connection is closed without another byte.
fn after(connection: &mut Connection) -> Then {
    connection.send(&good("next"));
    match connection.try_read_response() {
        Ok(answer) if answer.status == 200 => Usable,
        Ok(answer) => panic!("the next post was answered {}", answer.status),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("the connection is neither used nor closed")
        }
        Err(_) => Closed,
    }
}

fn posted(answer: &Response) -> bool {
    answer.status == 200 && answer.text().contains("\"delivered\"")
}

fn count(proxy: &Proxy) -> usize {
    printed(proxy).len()
}
