//! What every sub-command has in common: help, codes, pipes, terminals, completions.

use std::fs::OpenOptions;
use std::process::{Command, Output, Stdio};

use super::{ALL, run};
use crate::support::{Proxy, peers};

const PROGRAM: &str = env!("CARGO_BIN_EXE_message-webhook-proxy");

/// The program with an environment of its own and this standard output.
fn into(stdout: impl Into<Stdio>, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.env_clear().args(arguments).stdin(Stdio::null());
    let child = command.stdout(stdout).stderr(Stdio::piped()).spawn();
    child.unwrap().wait_with_output().unwrap()
}

/// Everything a person sees at a terminal.
fn at_a_terminal(env: &[(&str, &str)], arguments: &[&str]) -> String {
    let script = "import pty, sys; pty.spawn(sys.argv[1:])";
    let mut command = Command::new(peers::python());
    command.env_clear().envs(env.iter().copied());
    command.args(["-c", script, PROGRAM]).args(arguments);
    let output = command.stdin(Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_has_help_with_an_example() {
    for arguments in ALL {
        let name = arguments[0];
        let help = run(&[name, "--help"]);

        assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{name}");
        assert!(help.stdout.contains("Example"), "{}", help.stdout);
        let typed = format!("message-webhook-proxy {name}");
        let in_a_dockerfile = name == "healthcheck";
        assert!(
            help.stdout.contains(&typed) || in_a_dockerfile,
            "{}",
            help.stdout
        );
    }
}

#[test]
fn the_help_names_every_command() {
    let help = run(&["--help"]);

    let known: Vec<&str> = ALL.iter().map(|arguments| arguments[0]).collect();
    let (_, rest) = help.stdout.split_once("Commands:\n").unwrap();
    let (list, _) = rest.split_once("\n\n").unwrap();
    let named = list
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let named: Vec<&str> = named.filter(|name| *name != "help").collect();
    assert_eq!(named, known);
}

#[test]
fn an_unknown_option_is_usage_everywhere() {
    for arguments in ALL {
        let ended = run(&[arguments, &["--frobnicate"]].concat());

        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (64, ""),
            "{arguments:?}"
        );
        assert!(ended.stderr.contains("--frobnicate"), "{}", ended.stderr);
    }
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    for arguments in [
        &["--help"][..],
        &["completions", "bash"],
        &["check"],
        &["check", "--json"],
        &["url", "demo", "x"],
        &["send", "demo", "x", "--dry"],
        &["slack-manifest", "--host", "proxy.example.org"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = into(writer, arguments);

        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "",
            "{arguments:?}"
        );
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    for arguments in [
        &["url", "demo", "x"][..],
        &["check"],
        &["check", "--json"],
        &["send", "demo", "x", "--dry"],
        &["slack-manifest", "--host", "proxy.example.org"],
        &["completions", "bash"],
        &["--help"],
        &["url", "--help"],
        &["--version"],
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();

        let output = into(full, arguments);

        assert_eq!(output.status.code(), Some(69), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("standard output"), "{arguments:?}: {said}");
    }
}

#[test]
fn completions_are_accepted_by_bash() {
    let script = run(&["completions", "bash"]);
    let check = Proxy::setup()
        .program("bash")
        .args(&["-n", "-"])
        .stdin(format!("{}\n", script.stdout));

    let ended = check.run();

    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    for arguments in ALL {
        assert!(script.stdout.contains(arguments[0]), "{}", arguments[0]);
    }
}

/// What a person gets who presses the key: bash itself runs the script.
#[test]
fn bash_completes_commands_and_options() {
    let complete = r#"
        source /dev/stdin
        how=$(complete -p "$1"); function=${how#*-F }; function=${function%% *}
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        "$function" "$1" "${!#}" "${COMP_WORDS[COMP_CWORD-1]}"
        echo "${COMPREPLY[*]}"
    "#;
    let script = run(&["completions", "bash"]).stdout;
    let completed = |words: &[&str]| {
        let own = Proxy::setup()
            .program("bash")
            .args(&["-c", complete, "bash"]);
        own.args(&[&["message-webhook-proxy"], words].concat())
            .stdin(script.clone())
            .run()
            .stdout
    };

    assert_eq!(completed(&["deliv"]), "deliveries");
    assert!(completed(&["url", "--"]).contains("--expires"));
    assert!(completed(&["slack-manifest", "--h"]).contains("--host"));
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = run(&["completions", shell]);

        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{shell}");
        assert!(
            ended.stdout.contains("message-webhook-proxy") && ended.stdout.contains("deliveries")
        );
    }
    assert_eq!(run(&["completions", "cmd"]).code, 64);
    assert_eq!(run(&["completions"]).code, 64);
}

/// <https://no-color.org>; a pipe never gets colour, which the other tests see.
#[test]
fn a_terminal_gets_a_header_and_colour_unless_told_otherwise() {
    let colour = at_a_terminal(&[("TERM", "xterm")], &["check"]);
    let plain = at_a_terminal(&[("TERM", "xterm"), ("NO_COLOR", "1")], &["check"]);
    let empty = at_a_terminal(&[("TERM", "xterm"), ("NO_COLOR", "")], &["check"]);
    let dumb = at_a_terminal(&[("TERM", "dumb")], &["check"]);

    let green = "\u{1b}[32mok\u{1b}[0m";
    assert!(colour.contains(green) && empty.contains(green), "{colour}");
    for text in [plain, dumb] {
        assert!(
            text.contains("name ") && !text.contains("\u{1b}[32m"),
            "{text}"
        );
    }
}

/// A message may look like an option behind `--`.
#[test]
fn two_dashes_end_the_options() {
    let ended = run(&["send", "demo", "--", "--help"]);

    assert_eq!(ended.code, 0);
    assert!(
        ended.stdout.starts_with("[demo] --help\n"),
        "{}",
        ended.stdout
    );
}
