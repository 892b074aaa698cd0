//! `GET /events`: what changes, as it changes, to whoever may see it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use super::{CI, DEPLOY, as_token};
use crate::store::{hold, post, queue, setup, wait_for_status};
use crate::support::{DEADLINE, Folder, Mattermost, Proxy};

/// A reader of the stream, on a connection of its own.
struct Stream {
    reader: BufReader<TcpStream>,
    status: u16,
}

impl Stream {
    #[track_caller]
    fn open(proxy: &Proxy, token: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(proxy.addr()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let bearer = token.map_or(String::new(), |token| {
            format!("Authorization: Bearer {token}\r\n")
        });
        let head = format!(
            "GET /events HTTP/1.1\r\nHost: {}\r\n{bearer}\r\n",
            proxy.addr()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut open = Self { reader, status };
        if status == 200 {
            // The first line of the body: from now on nothing is missed.
            open.line_with(": the receipts");
        }
        open
    }

    /// The next line that holds this text; empty at the end of the stream.
    #[track_caller]
    fn line_with(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self
                .reader
                .read_line(&mut line)
                .expect("the stream is silent");
            if read == 0 || line.contains(text) {
                return line;
            }
        }
    }

    /// Reads until the proxy ends the body: a process that has gone writes no last chunk.
    #[track_caller]
    fn read_to_end(&mut self) {
        loop {
            let line = self.line_with("\r\n");
            assert_ne!(line, "", "the connection broke off");
            if line == "0\r\n" {
                return;
            }
        }
    }

    /// The next receipt.
    #[track_caller]
    fn receipt(&mut self) -> Value {
        let line = self.line_with("data: ");
        serde_json::from_str(line.strip_prefix("data: ").expect("the stream has ended")).unwrap()
    }

    /// The statuses of a message until it is this one.
    #[track_caller]
    fn until(&mut self, id: &str, status: &str) -> Value {
        loop {
            let receipt = self.receipt();
            if receipt["id"] == id && receipt["status"] == status {
                return receipt;
            }
        }
    }
}

#[test]
fn a_receipt_is_told_when_it_changes() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let proxy = setup(&chat).outbox(&folder).start();
    let channel = chat.channel("builds");
    let mut stream = Stream::open(&proxy, None);

    let (gate, _) = hold(&proxy, &chat, &channel);
    let id = queue(&proxy, &channel, "a text that no event shows");
    let waiting = stream.until(&id, "queued");
    gate.open();
    let delivered = stream.until(&id, "delivered");

    assert_eq!(waiting["deliveries"][0]["status"], "queued");
    assert_eq!(delivered["deliveries"][0]["channel"], channel.as_str());
    assert!(delivered["deliveries"][0]["message_id"].is_string());
    assert!(!delivered.to_string().contains("a text that"));
    assert_eq!(delivered, wait_for_status(&proxy, &id, "delivered"));
}

#[test]
fn dropping_and_retrying_are_changes() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let proxy = setup(&chat).outbox(&folder).start();
    let channel = chat.channel("builds");
    let (gate, _) = hold(&proxy, &chat, &channel);
    let id = queue(&proxy, &channel, "waits behind the other");
    let mut stream = Stream::open(&proxy, None);

    proxy.request("DELETE", format!("/deliveries/{id}"), &[]);
    let dropped = stream.until(&id, "failed");
    proxy.post(format!("/deliveries/{id}/retry"));
    let again = stream.until(&id, "queued");
    gate.open();

    assert_eq!(dropped["deliveries"][0]["reason"], "dropped");
    assert_eq!(again["deliveries"][0]["status"], "queued");
    stream.until(&id, "delivered");
}

#[test]
fn a_bound_token_is_told_of_its_own_messages_alone() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let channel = chat.channel("builds");
    let proxy = setup(&chat)
        .outbox(&folder)
        .set(
            "PROXY_TOKENS",
            format!("ci={CI} deploy@mattermost:{channel}={DEPLOY}"),
        )
        .start();
    let (mut own, mut all) = (
        Stream::open(&proxy, Some(DEPLOY)),
        Stream::open(&proxy, Some(CI)),
    );
    let queue_as = |token, text| {
        let answer = proxy.post_message_as(token, &channel, text, &[("wait", "0")]);
        answer.json()["id"].as_str().unwrap().to_owned()
    };

    let others = queue_as(CI, "a message of the CI system");
    all.until(&others, "delivered");
    let mine = queue_as(DEPLOY, "a message of the deployer");

    let first = own.receipt();
    assert_eq!(first["id"], mine.as_str());
    all.until(&mine, "delivered");
}

#[test]
fn events_are_for_holders_of_a_token_and_for_get() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let proxy = setup(&chat)
        .outbox(&folder)
        .set("PROXY_TOKENS", format!("ci={CI}"))
        .start();

    assert_eq!(
        proxy.get("/events").verdict(),
        (401, "unauthorized".to_owned())
    );
    assert_eq!(as_token(&proxy, "GET", "/events", DEPLOY).status, 401);
    for method in ["HEAD", "POST", "DELETE"] {
        let answer = as_token(&proxy, method, "/events", CI);
        assert_eq!(
            (answer.status, answer.header("Allow")),
            (405, Some("GET, OPTIONS")),
            "{method}"
        );
    }
}

#[test]
fn without_an_outbox_there_is_nothing_to_follow() {
    let proxy = Proxy::start(&[]);

    let answer = proxy.get("/events");

    assert_eq!(answer.verdict(), (404, "not-found".to_owned()));
    assert!(answer.text().contains("DATABASE_URL"));
}

/// Everything a stranger can grow has a cap.
#[test]
fn streams_are_counted_and_a_place_is_free_again() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let channel = chat.channel("builds");
    let proxy = setup(&chat).outbox(&folder).start();
    let mut open: Vec<Stream> = (0..8).map(|_| Stream::open(&proxy, None)).collect();

    let refused = proxy.get("/events");
    drop(open.pop());
    // What is written to a connection that has gone tells the proxy so.
    crate::store::eventually("a place is free", || {
        post(&proxy, &channel, "something changes");
        Stream::open(&proxy, None).status == 200
    });

    assert_eq!(refused.verdict(), (429, "rate-limited".to_owned()));
    assert!(refused.header("Retry-After").is_some());
    assert!(open.iter().all(|stream| stream.status == 200));
}

/// P-2: an open stream does not hold the process up, and ends at once, although the process has work to end.
#[test]
fn a_stream_ends_when_the_proxy_stops() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let proxy = setup(&chat)
        .outbox(&folder)
        .set("SHUTDOWN_GRACE", "20s")
        .start();
    let mut stream = Stream::open(&proxy, None);
    let (gate, _) = hold(&proxy, &chat, &chat.channel("builds"));

    proxy.signal("TERM");
    // What is under way is not over before the gate opens, so the process lives.
    stream.read_to_end();
    gate.open();
    let ended = proxy.wait();

    assert!(ended.success(), "{ended}");
}
