//! Contract section 6: requests that a platform has signed are let in, everything else is dropped.
//!
//! `cargo test --test it inbound` runs these alone.

mod commands;
mod install;
mod mattermost;
mod relay;
mod slack;
mod teams;
mod teams_bot;
mod teams_keys;
mod teams_references;
