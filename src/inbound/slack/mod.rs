//! Slack's requests: the signature over the raw body, and what a body is once it is verified. What is read of a body
//! is what the proxy itself acts on; it must not be a reason to refuse what Slack has signed.

mod event;
mod fields;
mod form;
mod mention;
mod signature;

pub use event::{Challenge, Event, NotJson, repeat_key};
pub use form::{Slash, is_ssl_check};
pub use mention::Mention;
pub use signature::{Proof, verify};
