//! What every test stands on: the real binary, a raw HTTP client, and strict fake chat servers.
//!
//! Nothing here asserts on behalf of a test, with two exceptions: `Proxy` proves when it is dropped that no secret and no
//! message reached its output, and `Upstream` that nobody sent it malformed HTTP.
#![allow(
    dead_code,
    unused_imports,
    reason = "the fixture is an interface: test files use parts of it"
)]

pub mod bot_framework;
pub mod browser;
pub mod canary;
pub mod client;
pub mod console;
pub mod documented;
pub mod encoding;
pub mod folder;
pub mod ledger;
pub mod mattermost;
pub mod mattermost_api;
pub mod output;
pub mod peers;
pub mod platforms;
pub mod proxy;
pub mod queue;
pub mod reply;
pub mod shim;
pub mod slack;
pub mod slack_api;
pub mod slack_oauth;
pub mod slack_sender;
pub mod teams;
pub mod teams_connector;
pub mod tls;
pub mod upstream;
pub mod wire;

pub use bot_framework::BotFramework;
pub use browser::Browser;
pub use client::{Client, Connection, Response};
pub use console::{printed, printed_for, unlimited};
pub use encoding::{message_path, percent_decode, percent_encode};
pub use folder::Folder;
pub use ledger::{DEADLINE, Ledger};
pub use mattermost::Mattermost;
pub use output::{log_field, log_message};
pub use platforms::Platforms;
pub use proxy::{Proxy, Refused, Setup};
pub use reply::{Gate, Reply};
pub use shim::Faults;
pub use slack::Slack;
pub use teams::Teams;
pub use tls::{Certificate, TlsUpstream};
pub use upstream::{Request, Upstream};

/// The variables that point the proxy at a fake.
pub trait Environment {
    fn env(&self) -> Vec<(String, String)>;
}

/// A value no other test has, so that finding it somewhere proves where it came from.
pub fn unique(prefix: &str, chars: usize) -> String {
    use std::hash::{BuildHasher, RandomState};
    // The alphabet of Mattermost ids (reference section 3); it suits every other credential as well.
    const ALPHABET: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";
    let mut text = prefix.to_owned();
    for _ in 0..chars {
        let roll = RandomState::new().hash_one(text.len()) as usize;
        text.push(char::from(ALPHABET[roll % ALPHABET.len()]));
    }
    text
}
