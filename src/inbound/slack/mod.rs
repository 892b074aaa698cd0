//! Slack's requests: the signature over the raw body, and what a body is once it is verified.

mod signature;

pub use signature::{Mark, Proof, verify};
