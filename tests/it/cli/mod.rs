//! Contract section 7: the sub-commands, as whoever types them sees them. `slack-manifest` and `teams-package` are in
//! `setup.rs`, `healthcheck` is in `operating.rs`.

mod channels;
mod check;
mod deliveries;
mod send;
mod url;
mod usage;

use serde_json::Value;

use crate::support::{Proxy, Refused};

/// Every one of them, with arguments that it takes.
const ALL: [&[&str]; 10] = [
    &["serve"],
    &["check"],
    &["channels"],
    &["url", "demo", "hello"],
    &["send", "demo", "hello"],
    &["deliveries"],
    &["slack-manifest", "--host", "proxy.example.org"],
    &[
        "teams-package",
        "--host",
        "proxy.example.org",
        "--out",
        "app.zip",
    ],
    &["completions", "bash"],
    &["healthcheck"],
];

/// Runs a command where nothing is configured.
#[track_caller]
fn run(arguments: &[&str]) -> Refused {
    Proxy::setup().args(arguments).run()
}

/// What it printed, as JSON; it has ended well.
#[track_caller]
fn json(ended: &Refused) -> Value {
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    serde_json::from_str(&ended.stdout).unwrap()
}

/// Exactly one line on standard error, and nothing on standard output; the line without the program's name.
#[track_caller]
fn line(ended: &Refused, code: i32) -> &str {
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (code, ""),
        "{}",
        ended.stderr
    );
    let line = ended
        .stderr
        .strip_prefix("message-webhook-proxy: ")
        .unwrap();
    assert!(!line.contains('\n'), "{line}");
    line
}

/// The row of a table that begins with this, without the spaces between its columns.
#[track_caller]
fn row<'t>(table: &'t str, name: &str) -> Vec<&'t str> {
    let mut lines = table.lines().map(|line| line.split("  ").map(str::trim));
    let row = lines.find_map(|mut cells| (cells.next() == Some(name)).then_some(cells));
    let cells = row.unwrap_or_else(|| panic!("no {name} in:\n{table}"));
    cells.filter(|cell| !cell.is_empty()).collect()
}
