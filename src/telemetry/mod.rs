//! What an operator sees: log lines and metrics. Neither ever holds a message, a path, a query or a secret.

mod json;
mod labelled;
mod log;
mod metrics;
mod sink;
mod stamp;

pub use log::{LogFormat, Settings, VARS, init};
pub use metrics::Metrics;
pub use sink::{Sink, SinkGuard};
