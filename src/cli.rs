//! The command line: sub-commands, and what each exit code means.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{ArgMatches, Command, error::ErrorKind};

mod channels;
mod check;
mod completions;
mod deliveries;
mod healthcheck;
mod named;
mod output;
mod proxy;
mod send;
mod serve;
mod slack_manifest;
mod teams_package;
mod text;
mod url;

use crate::domain::delivery::Failure;
use crate::env::{Env, Faults};

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

impl Exit {
    /// What a failed delivery, or question, means for the one who asked.
    fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Refused { .. } => Self::Refused,
            Failure::Later { .. } | Failure::Unknown { .. } => Self::Unavailable,
        }
    }

    /// Of two, the one that a person must act on: waiting mends no refusal.
    fn worse(self, other: Self) -> Self {
        const ORDER: [Exit; 5] = [
            Exit::Refused,
            Exit::Configuration,
            Exit::Usage,
            Exit::Unavailable,
            Exit::Done,
        ];
        let mut order = ORDER.into_iter();
        let worst = order.find(|exit| [self, other].contains(exit));
        worst.unwrap_or(self)
    }
}

/// Why a command has not done its work.
enum Fault {
    /// One line for the person who typed it.
    Line(Exit, String),
    /// The environment.
    Configuration(Faults),
}

impl Fault {
    fn usage(line: impl Into<String>) -> Self {
        Self::Line(Exit::Usage, line.into())
    }
}

impl From<Faults> for Fault {
    fn from(faults: Faults) -> Self {
        Self::Configuration(faults)
    }
}

/// A sub-command.
struct Sub {
    command: fn() -> Command,
    run: fn(&ArgMatches, Env) -> Exit,
}

/// All of them, in the order of the help; the first is the default.
const SUBS: &[Sub] = &[
    Sub {
        command: serve::command,
        run: |_, env| serve::run(env),
    },
    Sub {
        command: check::command,
        run: |arguments, env| ended(check::run(arguments, env)),
    },
    Sub {
        command: channels::command,
        run: |arguments, env| ended(channels::run(arguments, env)),
    },
    Sub {
        command: url::command,
        run: |arguments, env| ended(url::run(arguments, env)),
    },
    Sub {
        command: send::command,
        run: |arguments, env| ended(send::run(arguments, env)),
    },
    Sub {
        command: deliveries::command,
        run: |arguments, env| ended(deliveries::run(arguments, env)),
    },
    Sub {
        command: slack_manifest::command,
        run: |arguments, _| ended(slack_manifest::run(arguments)),
    },
    Sub {
        command: teams_package::command,
        run: |arguments, env| ended(teams_package::run(arguments, env)),
    },
    Sub {
        command: completions::command,
        run: |arguments, _| completions::run(arguments),
    },
    Sub {
        command: healthcheck::command,
        run: |_, env| healthcheck::run(env),
    },
];

/// What a command has open at most: a runtime, which panics without, a look-up, a connection, a file.
const FILES: usize = 8;

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
            let printed = error.print();
            return if asked { written(printed) } else { Exit::Usage };
        }
    };
    let Some((name, arguments)) = matches.subcommand() else {
        return serve::run(env);
    };
    // The server has a line of its own, which knows what it needs.
    if name != serve::NAME
        && let Some((limit, least)) = env.files().without_room_for(FILES)
    {
        say(&format!(
            "ulimit -n: this process may have {limit} files open and needs at least {least}; raise the limit"
        ));
        return Exit::Configuration;
    }
    let mut subs = SUBS.iter();
    match subs.find(|sub| (sub.command)().get_name() == name) {
        Some(sub) => (sub.run)(arguments, env),
        None => serve::run(env),
    }
}

/// The command line as clap knows it: the parser, the completions and the README read this one list.
#[must_use]
pub fn command() -> Command {
    Command::new("message-webhook-proxy")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Turns POST /post/channel/<id>/msg/<message> into a Mattermost, Slack or Teams post.")
        .after_help("It is configured by environment variables; the README lists them all. Without any it listens on 127.0.0.1:3000 and prints messages here.\n\nExample:\n  message-webhook-proxy check && message-webhook-proxy serve\n\nExit codes: 0 done, 64 usage, 69 not available, 77 refused, 78 configuration.")
        .subcommands(SUBS.iter().map(|sub| (sub.command)()))
}

/// Says why a command has not done its work, if so.
fn ended(result: Result<Exit, Fault>) -> Exit {
    match result {
        Ok(exit) => exit,
        Err(Fault::Line(exit, line)) => {
            say(&line);
            exit
        }
        Err(Fault::Configuration(faults)) => refuse(&faults),
    }
}

/// Runs what waits for sockets and timers, to its end.
fn wait_for<T>(future: impl Future<Output = T>) -> T {
    actix_web::rt::System::new().block_on(future)
}

/// One line on standard error; without it there is nobody to tell.
fn say(line: &str) {
    let line = format!("message-webhook-proxy: {line}\n");
    std::io::stderr().write_all(line.as_bytes()).ok();
}

/// A result on standard output.
fn print(text: &str) -> Exit {
    let mut out = std::io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// What it means that standard output took the result, or did not.
fn written(result: std::io::Result<()>) -> Exit {
    match result {
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
