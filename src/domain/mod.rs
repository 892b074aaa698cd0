//! The pure layer: what a message, a channel, an option, a limit and a credential *are*.
//!
//! Nothing in here does I/O, reads a clock or the environment, is async, or knows a framework; chance and
//! time come in as arguments. Every type is made by `parse`/`try_new`, so a bad state has no name.
//!
//! # Glossary
//! One word for one idea, in code, logs, docs and URLs.
//!
//! | word | meaning |
//! |---|---|
//! | message | the text a caller wants shown, cleaned of what must not reach a screen |
//! | channel | where the caller wants it, as written in the URL: `[backend:]target` or an alias |
//! | alias | an operator's name for one or more destinations (`CHANNELS`) |
//! | backend | a chat platform the proxy holds credentials for |
//! | target | what that platform calls a channel |
//! | destination | a backend and an address on it: a target or an incoming webhook |
//! | part | one platform message; a long message is delivered as several |
//! | delivery | one message to one destination |
//! | attempt | one try at a delivery |
//! | receipt | what the caller is told about a message |
//! | caller | who posts: a token's name, or a client address |

pub mod address;
mod alias;
pub mod channel;
pub mod delivery;
pub mod digest;
pub mod guid;
pub mod json;
pub mod look;
pub mod mention;
pub mod message;
pub mod options;
pub mod own_url;
pub mod percent;
pub mod quota;
pub mod retry;
pub mod scan;
pub mod seal;
pub mod secret;
pub mod signing;
pub mod split;
pub mod token;
pub mod web_url;
mod webhook;
