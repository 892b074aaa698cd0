//! The faults of `threats.md`, F-1 to F-24, where a message was promised: what waits, what is given up, in what order.
//! What a caller that waits is told is in `delivery.rs`.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{
    assert_shown, attempts, eventually, hold, is_noted, listed, queue, queue_all, receipt, sends,
    setup, shown, start, wait_for_status,
};
use crate::support::mattermost::Access;
use crate::support::{Folder, Gate, Mattermost, Proxy, Reply, Upstream};

struct Stage {
    chat: Mattermost,
    builds: String,
    deploys: String,
    folder: Folder,
    proxy: Proxy,
}

impl Stage {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(env: &[(&str, &str)]) -> Self {
        let (chat, folder) = (Mattermost::start(), Folder::new());
        let own = setup(&chat).outbox(&folder);
        let proxy = env
            .iter()
            .fold(own, |own, (name, value)| own.set(name, *value))
            .start();
        Self {
            builds: chat.channel("builds"),
            deploys: chat.channel("deploys"),
            chat,
            folder,
            proxy,
        }
    }

    /// `/ready`'s word on the chat server.
    fn health(&self) -> Value {
        let ready = self.proxy.get("/ready").json();
        let backends = ready["backends"].as_array().unwrap();
        let ours = backends.iter().find(|one| one["name"] == "mattermost");
        ours.unwrap()["status"].clone()
    }
}

/// The next post is taken as if nothing were.
fn well(chat: &Mattermost) {
    let open = Gate::new();
    open.open();
    chat.hold_next(&open);
}

/// F-1: promised while the platform is away, delivered in order once it is back, and counted.
#[test]
fn a_platform_that_was_away_gets_everything_in_order() {
    let stage = Stage::new();
    stage.chat.down();
    let texts = queue_all(&stage.proxy, &stage.builds, "while it was away", 20);
    let last = queue(&stage.proxy, &stage.deploys, "to another channel");

    stage.chat.up();

    assert_shown(&stage.chat, &stage.builds, &texts);
    wait_for_status(&stage.proxy, &last, "delivered");
    assert_eq!(sends(&stage.chat), texts.len() + 1);
}

/// F-3: a connection that ends before anything is written costs a try and no post.
#[test]
fn a_connection_that_ends_at_once_is_tried_again() {
    let stage = Stage::new();
    stage.chat.down();
    let door = TcpListener::bind(stage.chat.addr()).unwrap();

    let id = queue(&stage.proxy, &stage.builds, "through a door that slams");
    drop(door.accept().unwrap());
    drop(door);
    stage.chat.up();

    wait_for_status(&stage.proxy, &id, "delivered");
    assert_eq!((sends(&stage.chat), stage.chat.posts().len()), (1, 1));
}

/// F-4, F-9: the post is there and nobody said so: sent again with its own id, which makes no second post, and counted.
#[test]
fn a_lost_answer_is_asked_for_again() {
    let lost = [
        ("F-4 reset", Reply::reset_after_request()),
        ("F-4 closed", Reply::close_after_request()),
        ("F-4 closed in the head", Reply::raw("HTTP/1.1 201 Cre")),
        ("F-9 empty", Reply::status(200)),
        ("F-9 no JSON", Reply::html(200, "<h1>welcome</h1>")),
    ];
    for (case, reply) in lost {
        let stage = Stage::new();
        stage.chat.accept_then(reply);

        let id = queue(&stage.proxy, &stage.builds, "heard and not answered");
        let next = queue(&stage.proxy, &stage.builds, "the one behind it");
        let receipt = wait_for_status(&stage.proxy, &id, "delivered");
        wait_for_status(&stage.proxy, &next, "delivered");

        assert_eq!(
            (sends(&stage.chat), stage.chat.posts().len()),
            (3, 2),
            "{case}"
        );
        assert_eq!(attempts(&receipt), 2, "{case}: {receipt}");
    }
}

/// F-5: silence is not waited for longer than `UPSTREAM_TIMEOUT`.
#[test]
fn silence_is_a_lost_answer() {
    let stage = Stage::with(&[("UPSTREAM_TIMEOUT", "300ms")]);
    stage.chat.accept_then(Reply::stall());

    let id = queue(&stage.proxy, &stage.builds, "heard and never answered");
    let receipt = wait_for_status(&stage.proxy, &id, "delivered");

    assert_eq!(stage.chat.posts().len(), 1);
    assert!(attempts(&receipt) >= 2, "{receipt}");
}

/// F-11, F-12: never early, in seconds or against the answer's own date; what is behind keeps its place.
#[test]
fn what_the_platform_asks_to_wait_is_waited() {
    const ASKED_S: u64 = 2;
    let now = "Sun, 06 Nov 1994 08:49:37 GMT";
    for value in ["2", "1.5", "Sun, 06 Nov 1994 08:49:39 GMT"] {
        let stage = Stage::new();
        let reply = Reply::status(429)
            .header("Date", now)
            .header("Retry-After", value);
        let begun = Instant::now();
        stage.chat.next(reply);
        let texts = queue_all(&stage.proxy, &stage.builds, "told to wait", 5);

        stage.chat.wait_for_posts(1);
        let waited = begun.elapsed();

        assert!(
            waited >= Duration::from_secs(ASKED_S),
            "{value}: {waited:?}"
        );
        assert_shown(&stage.chat, &stage.builds, &texts);
        assert_eq!(sends(&stage.chat), texts.len() + 1, "{value}");
    }
}

/// F-13, F-14: what means later is tried again until it is taken, without anybody waiting for it.
#[test]
fn what_means_later_is_tried_again() {
    let stage = Stage::new();
    let refusals = [408, 425, 429, 500, 502, 503, 504];
    let mut texts = Vec::new();
    for status in refusals {
        stage.chat.next(Reply::html(status, "<h1>sorry</h1>"));
        let text = format!("met by a {status}");
        let id = queue(&stage.proxy, &stage.builds, &text);
        wait_for_status(&stage.proxy, &id, "delivered");
        texts.push(text);
    }

    assert_eq!(shown(&stage.chat, &stage.builds), texts);
    assert_eq!(sends(&stage.chat), 2 * refusals.len());
}

/// F-15: every second attempt fails: order kept, one at a time, nothing twice.
#[test]
fn a_flapping_platform_gets_a_backlog_in_order() {
    const MESSAGES: usize = 4;
    let stage = Stage::new();
    let (gate, first) = hold(&stage.proxy, &stage.chat, &stage.builds);
    for _ in 0..MESSAGES {
        stage.chat.next(Reply::status(503));
        well(&stage.chat);
    }
    let texts = queue_all(
        &stage.proxy,
        &stage.builds,
        "every second attempt",
        MESSAGES,
    );

    gate.open();

    assert_shown(&stage.chat, &stage.builds, &[vec![first], texts].concat());
    assert_eq!(sends(&stage.chat), 1 + 2 * MESSAGES);
}

/// F-16: what the platform will never take is given up with its reason, and the next goes on.
#[test]
fn a_refused_message_does_not_hold_up_the_next() {
    for status in [400, 413, 422] {
        let stage = Stage::new();
        let (gate, first) = hold(&stage.proxy, &stage.chat, &stage.builds);
        stage.chat.next(Mattermost::error(
            status,
            "api.context.invalid_body_param.app_error",
        ));
        let never = queue(&stage.proxy, &stage.builds, "will never be taken");
        let next = queue(&stage.proxy, &stage.builds, "the one behind it");

        gate.open();
        let given_up = wait_for_status(&stage.proxy, &never, "failed");
        wait_for_status(&stage.proxy, &next, "delivered");

        assert_eq!(listed(&stage.proxy, "failed"), [never], "{status}");
        assert!(given_up.to_string().contains("error"), "{given_up}");
        let texts = [first, "the one behind it".to_owned()];
        assert_eq!(shown(&stage.chat, &stage.builds), texts);
        assert_eq!(sends(&stage.chat), 3, "{status}");
    }
}

/// F-17: a revoked token pauses the whole bot: nothing is given up, `/ready` says so, and the right token delivers all.
#[test]
fn a_revoked_token_buries_nothing() {
    let stage = Stage::new();
    let (gate, first) = hold(&stage.proxy, &stage.chat, &stage.builds);
    let texts = queue_all(
        &stage.proxy,
        &stage.builds,
        "before the token was revoked",
        5,
    );
    let other = queue_all(&stage.proxy, &stage.deploys, "in another channel", 1);
    stage.chat.replace_token();
    stage.chat.forget();
    gate.open();

    eventually("the refusal is noticed", || stage.health() == "failing");
    let tried = sends(&stage.chat);
    let failed = listed(&stage.proxy, "failed");
    assert_eq!(stage.proxy.terminate().code(), Some(0));
    let _again = start(&stage.chat, &stage.folder);

    assert_eq!(failed, [""; 0]);
    // The first, its successor, and the other channel: a paused bot does not try all that waits.
    assert!(tried <= 4, "{tried}");
    assert_shown(&stage.chat, &stage.builds, &[vec![first], texts].concat());
    assert_shown(&stage.chat, &stage.deploys, &other);
}

/// F-18: a channel that is not there for this bot holds up no other, and is never posted to.
#[test]
fn a_channel_that_is_closed_harms_itself_alone() {
    let stage = Stage::new();
    let closed = stage.chat.set_channel("secret", Access::PrivateNotMember);
    let refused = queue(&stage.proxy, &closed, "to where the bot is not");
    let texts = queue_all(&stage.proxy, &stage.builds, "to where it is", 5);

    assert_shown(&stage.chat, &stage.builds, &texts);
    eventually("the attempt is noted", || {
        is_noted(&receipt(&stage.proxy, &refused))
    });

    assert_eq!(shown(&stage.chat, &closed), [""; 0]);
    assert_ne!(receipt(&stage.proxy, &refused)["status"], "delivered");
}

/// F-19: a redirect is a fault of the configuration: not followed, nothing given up, `/ready` says so.
#[test]
fn a_redirect_is_not_followed_and_buries_nothing() {
    let elsewhere = Upstream::start(|_| Reply::status(200));
    let stage = Stage::new();
    let to = format!("{}/api/v4/posts", elsewhere.url());
    stage.chat.next(Reply::status(302).header("Location", &to));

    let id = queue(&stage.proxy, &stage.builds, "sent somewhere else");
    eventually("it was sent", || sends(&stage.chat) == 1);
    // The end waits for what is under way, so that the next run knows of it.
    assert_eq!(stage.proxy.terminate().code(), Some(0));
    let again = start(&stage.chat, &stage.folder);

    assert_ne!(receipt(&again, &id)["status"], "failed");
    assert_eq!(elsewhere.requests().len(), 0);
}

/// F-24: after an outage the backlog leaves in order, at the pace and not above it.
#[test]
fn a_backlog_drains_at_the_pace() {
    const PER_SECOND: usize = 20;
    const MESSAGES: usize = 80;
    let stage = Stage::with(&[("PACE_MATTERMOST", "20/s")]);
    let (gate, first) = hold(&stage.proxy, &stage.chat, &stage.builds);
    let texts = queue_all(
        &stage.proxy,
        &stage.builds,
        "waits for the end of the outage",
        MESSAGES,
    );
    let begun = Instant::now();

    gate.open();
    assert_shown(&stage.chat, &stage.builds, &[vec![first], texts].concat());
    let took = begun.elapsed();

    // A second's worth may leave at once.
    let least = Duration::from_millis(1000 / PER_SECOND as u64) * (MESSAGES - PER_SECOND) as u32;
    assert!(took >= least, "{took:?}");
}

/// F-24: a channel with a backlog does not make another one wait behind it.
#[test]
fn a_backlog_of_one_channel_is_not_anothers() {
    let stage = Stage::new();
    let (gate, _) = hold(&stage.proxy, &stage.chat, &stage.builds);
    queue_all(&stage.proxy, &stage.builds, "waits", 50);

    let other = stage
        .proxy
        .post_message(&stage.deploys, "nothing waits here", &[]);

    assert_eq!(other.status, 200, "{}", other.text());
    gate.open();
}
