//! The command line: sub-commands, and what each exit code means.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Command, error::ErrorKind};

mod named;
mod slack_manifest;
mod teams_package;

use crate::app::App;
use crate::config;
use crate::env::{Env, Faults};
use crate::telemetry;

/// What an exit code means (sysexits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The command line is wrong.
    Usage = 64,
    /// What was asked is not available, or a file cannot be written.
    Unavailable = 69,
    /// A platform has refused.
    Refused = 77,
    /// The configuration is wrong.
    Configuration = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Runs what the arguments ask for, in this environment.
#[must_use]
pub fn run(arguments: impl Iterator<Item = std::ffi::OsString>, env: Env) -> Exit {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            let asked = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            // A closed terminal is no reason to fail.
            error.print().ok();
            return if asked { Exit::Done } else { Exit::Usage };
        }
    };
    match matches.subcommand() {
        Some(("healthcheck", _)) => healthcheck(env),
        Some((slack_manifest::NAME, arguments)) => slack_manifest::run(arguments),
        Some((teams_package::NAME, arguments)) => teams_package::run(arguments, env),
        _ => serve(env),
    }
}

fn command() -> Command {
    Command::new("message-webhook-proxy")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Turns POST /post/channel/<id>/msg/<message> into a Mattermost, Slack or Teams post.")
        .after_help("It is configured by environment variables; the README lists them all. Without any it listens on 127.0.0.1:3000 and prints messages here.\n\nExit codes: 0 done, 64 usage, 69 not available, 77 refused, 78 configuration.")
        .subcommand(Command::new("serve").about("Serve (the default)"))
        .subcommand(Command::new("healthcheck").about("Ask the proxy on HOST and PORT whether it lives; for containers without a shell"))
        .subcommand(slack_manifest::command())
        .subcommand(teams_package::command())
}

fn serve(env: Env) -> Exit {
    let (log, _guard) = match telemetry::init(&config::read_log(&env)) {
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

/// One line on standard error; without it there is nobody to tell.
fn say(line: &str) {
    let line = format!("message-webhook-proxy: {line}\n");
    std::io::stderr().write_all(line.as_bytes()).ok();
}

/// A result on standard output.
fn print(text: &str) -> Exit {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Exit::Done,
        // `| head` has read what it wanted.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            say(&format!("cannot write to standard output: {error}"));
            Exit::Unavailable
        }
    }
}

/// One line per fault on standard error, whatever the log's format: this is for the person who started it.
fn refuse(faults: &Faults) -> Exit {
    let mut text =
        String::from("message-webhook-proxy: the configuration is wrong; nothing was started\n");
    for line in faults.lines() {
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
    }
    // Without standard error there is nobody to tell.
    std::io::stderr().write_all(text.as_bytes()).ok();
    Exit::Configuration
}

/// Ready at the first SIGTERM or SIGINT.
fn shutdown_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let (terminated, interrupted) = (Box::pin(terminate.recv()), Box::pin(interrupt.recv()));
        futures_util::future::select(terminated, interrupted).await;
    })
}

/// Asks `/health` of the proxy that this environment describes.
fn healthcheck(env: Env) -> Exit {
    let settings = match config::parse(env) {
        Ok(settings) => settings.http,
        Err(faults) => return refuse(&faults),
    };
    let host = match settings.host {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        other => other,
    };
    let address = SocketAddr::new(host, settings.port);
    match ask_health(address) {
        Ok(true) => return Exit::Done,
        Ok(false) => say(&format!("{address} does not answer /health with 200")),
        Err(error) => say(&format!("{address} does not answer /health: {error}")),
    }
    Exit::Unavailable
}

fn ask_health(address: SocketAddr) -> std::io::Result<bool> {
    let deadline = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, deadline)?;
    stream.set_read_timeout(Some(deadline))?;
    stream.set_write_timeout(Some(deadline))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    Ok(&head == b"HTTP/1.1 200")
}
