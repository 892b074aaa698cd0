//! Black-box tests: one crate, files named after the contract, real sockets only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a test ends by panicking, owns its clock, and has no reader outside this crate"
)]

mod answers;
mod architecture;
mod callers;
mod channels;
mod cli;
mod config;
mod connections;
mod delivery;
mod deploy;
mod diagrams;
mod docs;
mod fixture;
mod inbound;
mod ledger;
mod limits;
mod long_answers;
mod mattermost;
mod openapi;
mod operating;
mod outbox;
mod page;
mod posting;
mod process;
mod raw;
mod readme;
mod setup;
mod shortage;
mod slack;
mod store;
mod supply;
mod support;
mod teams;
mod threats;
mod tls;
