//! Contract sections 1.3, 1.4 and 4 with an outbox: what a caller is answered, what becomes of the message, and what an
//! operator sees of it.
//!
//! `cargo test --test it outbox` runs these alone. That nothing is lost when disks, clocks, platforms or processes fail
//! is shown in `store`.

mod counted;
mod deliveries;
mod folding;
mod kept;
mod keys;
mod order;
mod receipts;
mod retries;
mod waiting;

use serde_json::Value;

use crate::store::{eventually, setup};
use crate::support::{Folder, Mattermost, Proxy, Response, Setup, Slack};

/// One chat server, and a proxy with an outbox before it.
struct Stage {
    chat: Mattermost,
    builds: String,
    deploys: String,
    own: Setup,
    proxy: Proxy,
    folder: Folder,
}

impl Stage {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(env: &[(&str, &str)]) -> Self {
        let (chat, folder) = (Mattermost::start(), Folder::new());
        let own = env
            .iter()
            .fold(setup(&chat).outbox(&folder), |own, (name, value)| {
                own.set(name, *value)
            });
        Self {
            builds: chat.channel("builds"),
            deploys: chat.channel("deploys"),
            proxy: own.clone().start(),
            chat,
            own,
            folder,
        }
    }

    /// A post whose caller waits so many seconds at most.
    #[track_caller]
    fn patient(&self, channel: &str, text: &str, wait: &str) -> Response {
        self.proxy.post_message(channel, text, &[("wait", wait)])
    }

    /// Another process takes the place of this one.
    fn restart(&mut self) {
        self.proxy.kill();
        self.proxy = self.own.clone().start();
    }
}

/// An alias `both` for a channel on each of two chat servers.
struct Pair {
    chat: Mattermost,
    slack: Slack,
    proxy: Proxy,
    _folder: Folder,
}

impl Pair {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(env: &[(&str, &str)]) -> Self {
        let (chat, slack, folder) = (Mattermost::start(), Slack::start(), Folder::new());
        let both = format!(
            "both=mattermost:{},slack:{}",
            chat.channel("builds"),
            slack.channel("ops")
        );
        let own = setup(&chat)
            .with(&slack)
            .set("CHANNELS", both)
            .outbox(&folder);
        let proxy = env
            .iter()
            .fold(own, |own, (name, value)| own.set(name, *value))
            .start();
        Self {
            chat,
            slack,
            proxy,
            _folder: folder,
        }
    }

    /// How many posts each server took.
    fn posts(&self) -> (usize, usize) {
        (self.chat.posts().len(), self.slack.posts().len())
    }
}

/// The status, and the reason of what is queued.
#[track_caller]
fn reason(answer: &Response) -> (u16, String) {
    let reason = answer.json()["reason"].clone();
    (
        answer.status,
        reason.as_str().unwrap_or_default().to_owned(),
    )
}

#[track_caller]
fn id(answer: &Response) -> String {
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// The entries of a receipt: backend, status.
#[track_caller]
fn entries(receipt: &Value) -> Vec<(String, String)> {
    let word = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let all = receipt["deliveries"].as_array().unwrap();
    all.iter()
        .map(|entry| (word(entry, "backend"), word(entry, "status")))
        .collect()
}

/// How many deliveries wait, as `/ready` says.
#[track_caller]
fn waiting(proxy: &Proxy) -> u64 {
    let ready = proxy.get("/ready").json();
    ready["store"]["waiting"].as_u64().unwrap()
}

#[track_caller]
fn wait_until_waiting(proxy: &Proxy, count: u64) {
    eventually("so many wait", || waiting(proxy) == count);
}
