//! How results look: columns, colour on a terminal alone, a line of progress. Foreign words are cleaned before they
//! are shown: a terminal acts on what it is sent.

use std::io::{IsTerminal as _, Write as _};

use clap::{Arg, ArgAction, ArgMatches};
use serde_json::Value;

use super::{Exit, print};
use crate::domain::message::clean_line;
use crate::env::Env;

/// `--json`
pub(super) fn json_arg() -> Arg {
    Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print JSON instead of text")
}

/// Whether [`json_arg`] was given.
pub(super) fn is_json(arguments: &ArgMatches) -> bool {
    arguments.get_flag("json")
}

/// The colour of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tint {
    None,
    Green,
    Yellow,
    Red,
}

/// What a reader at a terminal gets, and nobody else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    is_terminal: bool,
    has_colour: bool,
}

impl Look {
    /// That of standard output. `NO_COLOR` is <https://no-color.org>: set and not empty.
    pub(super) fn of(env: &Env) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let has_colour = is_terminal && !env.is_set("NO_COLOR") && !env.is("TERM", "dumb");
        Self {
            is_terminal,
            has_colour,
        }
    }
}

/// Rows in columns. The header is for people: a program counts columns.
pub(super) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<(String, Tint)>>,
}

impl Table {
    pub(super) fn new(header: &[&'static str]) -> Self {
        Self {
            header: header.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; each cell is made one line of harmless text.
    pub(super) fn row<const N: usize>(&mut self, cells: [(&str, Tint); N]) {
        let row = cells.into_iter().map(|(text, tint)| (plain(text), tint));
        self.rows.push(row.collect());
    }

    /// The table as text.
    pub(super) fn text(&self, look: Look) -> String {
        let mut rows = Vec::new();
        if look.is_terminal && !self.rows.is_empty() {
            let header = self
                .header
                .iter()
                .map(|name| ((*name).to_owned(), Tint::None));
            rows.push(header.collect());
        }
        rows.extend(self.rows.iter().cloned());
        let mut widths = vec![0; self.header.len()];
        for row in &rows {
            for (width, (cell, _)) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let lines = rows.iter().map(|row| line(row, &widths, look.has_colour));
        lines.collect()
    }
}

fn line(row: &[(String, Tint)], widths: &[usize], has_colour: bool) -> String {
    let mut line = String::new();
    for ((cell, tint), width) in row.iter().zip(widths) {
        let code = match tint {
            _ if !has_colour => None,
            Tint::None => None,
            Tint::Green => Some(32),
            Tint::Yellow => Some(33),
            Tint::Red => Some(31),
        };
        match code {
            Some(code) => line.push_str(&format!("\x1b[{code}m{cell}\x1b[0m")),
            None => line.push_str(cell),
        }
        let padding = width + 2 - cell.chars().count();
        line.extend(std::iter::repeat_n(' ', padding));
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

/// A foreign text as one line that a terminal only shows.
pub(super) fn plain(text: &str) -> String {
    clean_line(text).unwrap_or_default()
}

/// A foreign text of a JSON object as one harmless line; empty if it is not there.
pub(super) fn word(value: &Value, name: &str) -> String {
    plain(value.get(name).and_then(Value::as_str).unwrap_or_default())
}

/// The destinations of a receipt.
pub(super) fn entries(receipt: &Value) -> &[Value] {
    let entries = receipt.get("deliveries").and_then(Value::as_array);
    entries.map_or(&[], Vec::as_slice)
}

/// `mattermost:<id>`
pub(super) fn place(entry: &Value) -> String {
    format!("{}:{}", word(entry, "backend"), word(entry, "channel"))
}

/// A value as JSON for people and programs.
pub(super) fn print_json(value: &Value) -> Exit {
    print(&format!("{value:#}\n"))
}

/// A line on standard error while something takes long, and only where somebody watches; it is gone when this is.
pub(super) struct Progress {
    is_shown: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            is_shown: std::io::stderr().is_terminal(),
        }
    }

    pub(super) fn show(&self, line: &str) {
        self.write(&format!("\r\x1b[2K{}", plain(line)));
    }

    fn write(&self, text: &str) {
        if self.is_shown {
            let mut err = std::io::stderr();
            // Without standard error nobody watches.
            err.write_all(text.as_bytes())
                .and_then(|()| err.flush())
                .ok();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.write("\r\x1b[2K");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["name", "state", "detail"]);
        table.row([
            ("slack", Tint::None),
            ("refused", Tint::Red),
            ("a\u{1b}[31m b\nc", Tint::None),
        ]);
        table.row([("é", Tint::None), ("ok", Tint::Green), ("", Tint::None)]);
        table
    }

    #[test]
    fn columns_are_aligned_and_foreign_text_does_nothing_to_a_terminal() {
        let look = Look {
            is_terminal: false,
            has_colour: false,
        };

        assert_eq!(table().text(look), "slack  refused  a b c\né      ok\n");
    }

    #[test]
    fn a_terminal_gets_a_header_and_colour_that_takes_no_room() {
        let look = Look {
            is_terminal: true,
            has_colour: true,
        };

        assert_eq!(
            table().text(look),
            "name   state    detail\nslack  \x1b[31mrefused\x1b[0m  a b c\né      \x1b[32mok\x1b[0m\n"
        );
    }
}
