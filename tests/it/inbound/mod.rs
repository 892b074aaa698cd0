//! Contract section 6: requests that a platform has signed are let in, everything else is dropped.
//!
//! `cargo test --test it inbound` runs these alone.

mod install;
mod mattermost;
mod relay;
