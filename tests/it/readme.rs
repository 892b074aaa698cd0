//! The README's tables are made from the code: `UPDATE_README=1 cargo test --test it readme` rewrites them.

use std::fmt::Write as _;
use std::path::Path;

use message_webhook_proxy::cli;
use message_webhook_proxy::config::all_vars;
use message_webhook_proxy::domain::options::KNOWN;
use message_webhook_proxy::http::problem::CODES;

#[test]
fn the_table_of_variables_is_the_codes() {
    let mut table = String::from("| variable | default | meaning |\n|---|---|---|\n");
    for var in all_vars() {
        let default = match var.default {
            "" => "not set".to_owned(),
            plain if plain.contains([' ', '`']) => plain.to_owned(),
            value => format!("`{value}`"),
        };
        let file = if var.secret { " (or `_FILE`)" } else { "" };
        writeln!(table, "| `{}`{file} | {default} | {} |", var.name, var.doc).unwrap();
    }

    check("variables", &table);
}

#[test]
fn the_table_of_problems_is_the_codes() {
    let mut table =
        String::from("| status | `code` | what it means, and the cure |\n|---|---|---|\n");
    for row in CODES {
        writeln!(
            table,
            "| {} | `{}` | {}. {} |",
            row.status, row.text, row.title, row.fix
        )
        .unwrap();
    }

    check("problems", &table);
}

#[test]
fn the_table_of_options_is_the_codes() {
    let mut rows = String::new();
    for option in KNOWN {
        writeln!(rows, "| `{}` | {} |", option.name, option.doc).unwrap();
    }

    check("options", &rows);
}

#[test]
fn the_table_of_commands_is_the_codes() {
    let mut rows = String::new();
    for command in cli::command().get_subcommands() {
        let about = command.get_about().unwrap();
        writeln!(rows, "| `{}` | {about} |", command.get_name()).unwrap();
    }

    check("commands", &rows);
}

/// Compares what stands between `<!-- name -->` and `<!-- /name -->`, or writes it.
#[track_caller]
fn check(name: &str, want: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = text.split_once(&open).expect("the mark is there");
    let (have, after) = rest.split_once(&close).expect("the end mark is there");

    if std::env::var_os("UPDATE_README").is_some() && have != want {
        std::fs::write(&path, format!("{before}{open}{want}{close}{after}")).unwrap();
        return;
    }
    assert_eq!(
        have, want,
        "the README's table '{name}' is old; UPDATE_README=1 cargo test --test it readme"
    );
}
