//! A payload-free `POST /post/channel/<id>/msg/<message>` becomes a Mattermost, Slack or Teams post.
//!
//! The layers, and who may call whom (`tests/it/architecture.rs` holds the line):
//!
//! | module | what it is for |
//! |---|---|
//! | [`cli`] | sub-commands and exit codes |
//! | [`app`] | wiring: settings in, a running server out; stopping it |
//! | [`http`] | the server: who calls, what they want, what they are told |
//! | [`dispatch`] | look-up, pace, attempts, what waits; the only outgoing client |
//! | [`inbound`] | who really sent a request: the platforms' signatures |
//! | [`outbox`] | what is promised and not yet delivered, on the disk |
//! | [`backends`] | one folder per chat platform, lent a wire |
//! | [`domain`] | pure types: what a message, a channel, an option, a limit is |
//! | [`config`] | gathers every module's settings and reports every fault |
//! | [`telemetry`] | log and metrics |
//! | [`env`](mod@env), [`clock`] | leaves: the environment as a value; time and chance |

pub mod app;
pub mod backends;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dispatch;
pub mod domain;
pub mod env;
pub mod http;
pub mod inbound;
pub mod outbox;
pub mod telemetry;
