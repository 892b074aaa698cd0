//! Contract section 4 with an outbox: nothing accepted is ever lost, whatever breaks.
//!
//! `cargo test --test it store` runs these alone. Broken disks and clocks need Linux with glibc and a `cc`
//! (`support/shim.rs`); what the outbox costs is measured by `tests/bench/outbox`.
//!
//! Messages are made to wait by holding the answer to the one before them, so that nothing depends on how fast a
//! platform that was away is found to be back.

mod backlog;
mod clock;
mod crash;
mod damage;
mod disk;
mod gone;
mod opening;
mod shim;
mod stop;
mod upstream;

pub use disk::fill;

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Folder, Gate, Mattermost, Proxy, Response, Setup};

/// A platform that was away is found to be back within 10 s; this leaves room for the messages themselves.
const BACK: Duration = Duration::from_secs(30);

pub fn setup(chat: &Mattermost) -> Setup {
    Proxy::setup()
        .without_limits()
        // A held answer is not to be mistaken for one that does not come.
        .set("UPSTREAM_TIMEOUT", "1m")
        .set("SHUTDOWN_GRACE", "1s")
        .with(chat)
}

fn start(chat: &Mattermost, folder: &Folder) -> Proxy {
    setup(chat).outbox(folder).start()
}

/// Posts without waiting for the platform.
#[track_caller]
pub fn post(proxy: &Proxy, channel: &str, text: &str) -> Response {
    proxy.post_message(channel, text, &[("wait", "0")])
}

/// The same, and it is promised; its id.
#[track_caller]
pub fn queue(proxy: &Proxy, channel: &str, text: &str) -> String {
    let answer = post(proxy, channel, text);
    assert_eq!(answer.status, 202, "{text}: {}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// Queues numbered messages; their texts.
#[track_caller]
pub fn queue_all(proxy: &Proxy, channel: &str, prefix: &str, count: usize) -> Vec<String> {
    let texts: Vec<String> = (0..count)
        .map(|n| format!("{prefix} number {n:04}"))
        .collect();
    for text in &texts {
        queue(proxy, channel, text);
    }
    texts
}

/// The platform takes a first message and answers when the gate opens; until then everything behind it waits.
#[track_caller]
pub fn hold(proxy: &Proxy, chat: &Mattermost, channel: &str) -> (Gate, String) {
    let (gate, text, before) = (Gate::new(), "holds the others up", chat.posts().len());
    chat.hold_next(&gate);
    queue(proxy, channel, text);
    chat.wait_for_posts(before + 1);
    (gate, text.to_owned())
}

/// What a channel shows, in order.
pub fn shown(chat: &Mattermost, channel: &str) -> Vec<String> {
    chat.posts()
        .into_iter()
        .filter(|post| post.channel_id == channel)
        .map(|post| post.message)
        .collect()
}

/// The channel shows these messages in this order, once each, as soon as the proxy has come to the last.
#[track_caller]
pub fn assert_shown(chat: &Mattermost, channel: &str, texts: &[String]) {
    eventually("every message is delivered", || {
        shown(chat, channel).len() >= texts.len()
    });
    assert_eq!(shown(chat, channel), texts);
}

/// Asks until the answer is yes: for what only the proxy or the fake can tell.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let (end, never) = (Instant::now() + BACK, Gate::new());
    while !is_so() {
        assert!(Instant::now() < end, "not in time: {what}");
        // Leaves the processor to those who are waited for.
        never.wait(Duration::from_millis(5));
    }
}

/// The receipt of a message.
#[track_caller]
pub fn receipt(proxy: &Proxy, id: &str) -> Value {
    let answer = proxy.get(format!("/deliveries/{id}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[track_caller]
pub fn wait_for_status(proxy: &Proxy, id: &str, status: &str) -> Value {
    eventually(status, || receipt(proxy, id)["status"] == status);
    receipt(proxy, id)
}

/// The ids of everything in this state, newest first, all pages.
#[track_caller]
pub fn listed(proxy: &Proxy, status: &str) -> Vec<String> {
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let page = proxy.get(format!("/deliveries?status={status}{after}"));
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        let receipts = page["deliveries"].as_array().unwrap();
        ids.extend(
            receipts
                .iter()
                .map(|one| one["id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return ids,
        }
    }
}

/// The store's entry in `/ready`, and the status of the answer.
#[track_caller]
fn store_state(proxy: &Proxy) -> (u16, String, String) {
    let ready = proxy.get("/ready");
    let store = ready.json()["store"].clone();
    let word = |name: &str| store[name].as_str().unwrap_or_default().to_owned();
    (ready.status, word("name"), word("status"))
}

#[track_caller]
pub fn assert_refused(answer: &Response, code: &str) {
    assert_eq!(
        answer.verdict(),
        (503, code.to_owned()),
        "{}",
        answer.text()
    );
    let seconds = answer.header("Retry-After").expect("no Retry-After");
    assert!(seconds.parse::<u64>().unwrap() >= 1, "{seconds}");
}

/// The texts that were promised, among those a channel shows: what was not promised may be there or not.
fn promised(shown: Vec<String>, texts: &[String]) -> Vec<String> {
    shown
        .into_iter()
        .filter(|text| texts.contains(text))
        .collect()
}

/// How often somebody tried to post.
pub fn sends(chat: &Mattermost) -> usize {
    let all = chat.requests();
    all.iter()
        .filter(|one| one.path() == "/api/v4/posts")
        .count()
}

/// How many attempts a receipt tells of.
pub fn attempts(receipt: &Value) -> u64 {
    let first = receipt["deliveries"][0]["attempts"].as_u64();
    first.or(receipt["attempts"].as_u64()).unwrap_or_default()
}

/// Whether the outbox knows how an attempt ended, also one that does not count.
fn is_noted(receipt: &Value) -> bool {
    attempts(receipt) > 0
        || receipt["status"] != "queued"
        || receipt.to_string().contains("backend-throttled")
}
