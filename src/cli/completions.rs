//! `completions`: what a shell needs to complete the command line, made of the parser's own list.

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::{Exit, print};

pub(super) const NAME: &str = "completions";

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Print completions for a shell")
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(value_parser!(Shell)),
        )
        .after_help(
            "Examples:\n  message-webhook-proxy completions bash > ~/.local/share/bash-completion/completions/message-webhook-proxy\n  \
             message-webhook-proxy completions fish > ~/.config/fish/completions/message-webhook-proxy.fish",
        )
}

pub(super) fn run(arguments: &ArgMatches) -> Exit {
    let Some(shell) = arguments.get_one::<Shell>("shell").copied() else {
        return Exit::Usage;
    };
    print(&script(shell))
}

fn script(shell: Shell) -> String {
    let mut command = super::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, &name, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    if shell != Shell::Bash {
        return script;
    }
    // A hyphen in the program's name is spelled in two ways, so that bash finds no sub-command's options (clap's issue
    // 6421, open on 2026-11-21); mended there, this changes nothing.
    script.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"))
}
