//! The log: one event a line on standard error; pretty on a terminal, JSON otherwise.

use std::io::IsTerminal as _;
use std::sync::Arc;

use envconfig::Envconfig;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt;

use super::json::JsonLines;
use super::sink::{Sink, SinkGuard};
use crate::env::{Reader, Var};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `LOG_FORMAT`; `None`: text on a terminal, else JSON.
    pub format: Option<LogFormat>,
    /// `RUST_LOG`
    pub filter: String,
}

/// The variables of this module.
pub const VARS: &[Var] = &[
    Var {
        name: "LOG_FORMAT",
        default: "`text` on a terminal, else `json`",
        secret: false,
        doc: "how log lines on standard error look: `text` or `json`",
    },
    Var {
        name: "RUST_LOG",
        default: "info,actix_server=warn",
        secret: false,
        doc: "what is logged, such as `warn` or `info,message_webhook_proxy=debug`",
    },
];

/// actix says at every start and stop what our own lines say better.
const DEFAULT_FILTER: &str = "info,actix_server=warn";

#[derive(Envconfig, Default)]
struct Vars {
    #[envconfig(from = "LOG_FORMAT")]
    format: Option<String>,
    #[envconfig(from = "RUST_LOG")]
    filter: Option<String>,
}

impl Settings {
    /// Reads the variables.
    #[must_use]
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let vars: Vars = reader.vars();
        let format = reader.value(
            "LOG_FORMAT",
            vars.format.as_deref(),
            None,
            |text| match text {
                "text" => Ok(Some(LogFormat::Text)),
                "json" => Ok(Some(LogFormat::Json)),
                _ => Err("expected text or json"),
            },
        );
        let filter = reader.value(
            "RUST_LOG",
            vars.filter.as_deref(),
            DEFAULT_FILTER.to_owned(),
            |text| {
                EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(
                    |_| "expected a filter such as info or warn,message_webhook_proxy=debug",
                )
            },
        );
        Self { format, filter }
    }
}

/// Starts the log of this process. The guard writes the last lines when it is dropped.
///
/// # Errors
/// When a log was started already.
pub fn init(
    settings: &Settings,
) -> Result<(Sink, SinkGuard), tracing_subscriber::util::TryInitError> {
    use tracing_subscriber::util::SubscriberInitExt as _;
    let terminal = std::io::stderr().is_terminal();
    let format = settings.format.unwrap_or(if terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    let (sink, guard) = Sink::spawn(std::io::stderr());
    let filter =
        EnvFilter::try_new(&settings.filter).unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let builder = fmt::Subscriber::builder()
        .with_env_filter(filter)
        .with_writer(Arc::new(sink.clone()));
    match format {
        LogFormat::Text => builder
            .with_ansi(terminal)
            .with_target(false)
            .finish()
            .try_init()?,
        LogFormat::Json => {
            builder.event_format(JsonLines).finish().try_init()?;
        }
    }
    std::panic::set_hook(Box::new(log_panic));
    Ok((sink, guard))
}

/// A panic's place, without its message: that may hold anything.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    tracing::error!(place, "panic");
}
