//! `serve`: the proxy itself, until a signal ends it.

use clap::Command;

use super::{Exit, refuse, say};
use crate::app::App;
use crate::config;
use crate::env::Env;
use crate::telemetry;

pub(super) const NAME: &str = "serve";

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Serve (the default)")
        .after_help("Example:\n  MATTERMOST_URL=https://chat.example.com MATTERMOST_TOKEN_FILE=/run/secrets/bot message-webhook-proxy serve")
}

pub(super) fn run(env: Env) -> Exit {
    let (log, _guard) = match telemetry::init(&config::read_log(&env)) {
        Ok((_, guard)) if !guard.is_writing() => {
            say(
                "no thread can be started for the log; raise the limit (`ulimit -u`, TasksMax in systemd, pids_limit in Compose)",
            );
            return Exit::Unavailable;
        }
        Ok((log, guard)) => (Some(log), Some(guard)),
        Err(_) => (None, None),
    };
    let settings = match config::parse(env) {
        Ok(settings) => settings,
        Err(faults) => return refuse(&faults),
    };
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(short) = settings.short {
        let of_one_address = (settings.callers.trusted_hops == 0)
            .then(|| settings.http.max_connections_per_address());
        tracing::info!(
            open_files = short.limit,
            connections = settings.http.max_connections,
            of_one_address,
            workers = settings.http.workers,
            "fewer than 4096 connections at a time, because few files may be open; from {} on there would be as many (`ulimit -n`, LimitNOFILE in systemd)",
            short.enough
        );
    }
    let ended = actix_web::rt::System::new().block_on(async move {
        // Before anybody can read that it listens, and stop it.
        let unavailable = |error: String| (Exit::Unavailable, error);
        let shutdown =
            shutdown_signal().map_err(|error| unavailable(format!("signals: {error}")))?;
        let app = App::build(settings, log).map_err(|error| match error {
            error if error.is_of_the_configuration() => (Exit::Configuration, error.to_string()),
            error => unavailable(error.to_string()),
        })?;
        tracing::info!(address = %app.address(), version = env!("CARGO_PKG_VERSION"), "listening");
        let ended = app.run(shutdown).await;
        ended.map_err(|error| unavailable(error.to_string()))
    });
    match ended {
        Ok(()) => {
            tracing::info!("stopped");
            Exit::Done
        }
        Err((exit, error)) => {
            tracing::error!("{error}");
            // Whatever RUST_LOG says, the person who started it is told why it did not.
            if !tracing::enabled!(tracing::Level::ERROR) {
                say(&error);
            }
            exit
        }
    }
}

/// What a write beyond `ulimit -f` raises, by its number on Linux (but MIPS), macOS and the BSDs.
const SIGXFSZ: i32 = 25;

/// Ready at the first SIGTERM or SIGINT.
fn shutdown_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // It would end the process without a word; caught, the write fails, and the outbox is full.
    drop(signal(SignalKind::from_raw(SIGXFSZ))?);
    Ok(async move {
        let (terminated, interrupted) = (Box::pin(terminate.recv()), Box::pin(interrupt.recv()));
        futures_util::future::select(terminated, interrupted).await;
    })
}
