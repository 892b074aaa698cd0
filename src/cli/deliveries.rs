//! `deliveries`: what waits in a proxy's outbox and what became of it, asked of the running proxy: the file is its own.

use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Arg, ArgMatches, Command, value_parser};
use http::Method;
use serde_json::{Value, json};

use super::output::{Look, Table, Tint, entries, is_json, json_arg, place, print_json, word};
use super::proxy::{self, Proxy, Told};
use super::{Exit, Fault, print, text, wait_for};
use crate::config;
use crate::domain::delivery::DeliveryId;
use crate::domain::percent::encode;
use crate::env::Env;

pub(super) const NAME: &str = "deliveries";

/// The most that a proxy shows on one page.
const PAGE: u64 = 200;
const DEFAULT_LIMIT: u64 = 50;
const MAX_LIMIT: u64 = 100_000;
/// Longer than the proxy waits for its own store.
const LONGEST: Duration = Duration::from_secs(10);

/// What is done with one message.
#[derive(Clone, Copy)]
enum Action {
    Show,
    Retry,
    Drop,
}

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("List, show, retry or drop what a running proxy keeps in its outbox")
        .arg(
            Arg::new("action")
                .value_name("ACTION")
                .default_value("list")
                .value_parser([
                    PossibleValue::new("list").help("The messages, newest first"),
                    PossibleValue::new("show").help("One message, destination by destination"),
                    PossibleValue::new("retry").help("Try what waits or has failed again, now"),
                    PossibleValue::new("drop").help("Take out what was not sent yet"),
                ])
                .help("What to do: list, show, retry or drop"),
        )
        .arg(
            Arg::new("id")
                .value_name("ID")
                .help("The message, for show, retry and drop"),
        )
        .arg(
            Arg::new("status")
                .long("status")
                .value_name("STATUS")
                .value_parser(["queued", "delivered", "failed"])
                .help("Only messages that stand so"),
        )
        .arg(
            Arg::new("channel")
                .long("channel")
                .value_name("CHANNEL")
                .help("Only messages to this channel, written as in a post: an alias, an id or a name"),
        )
        .arg(
            Arg::new("limit")
                .long("limit")
                .value_name("N")
                .value_parser(value_parser!(u64).range(1..=MAX_LIMIT))
                .help("The most messages to list [default: 50]"),
        )
        .arg(proxy::to_arg(
            "The proxy's address; without it http://HOST:PORT of this environment",
        ))
        .arg(json_arg())
        .after_help(
            "The credential is PROXY_TOKEN, or PROXY_TOKEN_FILE; without --to also a secret of PROXY_TOKENS.\n\n\
             Examples:\n  message-webhook-proxy deliveries --status queued\n  \
             message-webhook-proxy deliveries retry 0199a2f4-7c1e-7d0a-9b54-3f6f1c2d4e5f --to https://proxy.example.org\n\n\
             Exit codes: 0 done, 69 the proxy is not available, 77 refused, or no such message.",
        )
}

pub(super) fn run(arguments: &ArgMatches, env: Env) -> Result<Exit, Fault> {
    let look = Look::of(&env);
    let settings = config::parse_for_commands(env)?;
    let action = match text::value(arguments, "action") {
        "show" => Some(Action::Show),
        "retry" => Some(Action::Retry),
        "drop" => Some(Action::Drop),
        _ => None,
    };
    let id = text::value(arguments, "id");
    let Some(action) = action else {
        if !id.is_empty() {
            return Err(Fault::usage("list takes no ID; show ID shows one message"));
        }
        return wait_for(async {
            let proxy = Proxy::of(arguments, &settings, LONGEST)?;
            list(arguments, &proxy, look).await
        });
    };
    let filters = ["status", "channel", "limit"];
    if filters.iter().any(|name| arguments.contains_id(name)) {
        return Err(Fault::usage("--status, --channel and --limit are for list"));
    }
    let id = DeliveryId::parse(id).ok_or_else(|| {
        Fault::usage("ID: expected a message's id, as its receipt and the list show it")
    })?;
    let told = wait_for(async {
        let proxy = Proxy::of(arguments, &settings, LONGEST)?;
        let maybe = "; it may or may not have been done (deliveries show tells)";
        let (method, target, unanswered) = match action {
            Action::Show => (Method::GET, format!("/deliveries/{id}"), ""),
            Action::Retry => (Method::POST, format!("/deliveries/{id}/retry"), maybe),
            Action::Drop => (Method::DELETE, format!("/deliveries/{id}"), maybe),
        };
        proxy.call(method, &target, unanswered).await
    })?;
    let receipt = good(told)?;
    if is_json(arguments) {
        return Ok(print_json(&receipt));
    }
    let mut table = table();
    add(&mut table, &receipt);
    let places = entries(&receipt).iter();
    let lines = places.map(|entry| {
        let link = word(entry, "link");
        let mut words = vec![place(entry), word(entry, "status"), why(entry), link];
        words.retain(|word| !word.is_empty());
        format!("  {}\n", words.join("  "))
    });
    Ok(print(&format!(
        "{}{}",
        table.text(look),
        lines.collect::<String>()
    )))
}

async fn list(arguments: &ArgMatches, proxy: &Proxy, look: Look) -> Result<Exit, Fault> {
    let limit = arguments.get_one("limit").copied().unwrap_or(DEFAULT_LIMIT);
    let mut receipts: Vec<Value> = Vec::new();
    let mut after = String::new();
    loop {
        let left = limit.saturating_sub(receipts.len() as u64);
        if left == 0 {
            break;
        }
        let target = target(arguments, left.min(PAGE), &after);
        let page = good(proxy.call(Method::GET, &target, "").await?)?;
        let found = entries(&page);
        receipts.extend(found.iter().cloned());
        let next = page.get("next").and_then(Value::as_str);
        match next.filter(|_| !found.is_empty()) {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    receipts.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    if is_json(arguments) {
        return Ok(print_json(&json!(receipts)));
    }
    let mut table = table();
    receipts.iter().for_each(|receipt| add(&mut table, receipt));
    Ok(print(&table.text(look)))
}

fn target(arguments: &ArgMatches, limit: u64, after: &str) -> String {
    let mut target = format!("/deliveries?limit={limit}");
    let filters = ["status", "channel"].map(|name| (name, text::value(arguments, name)));
    for (name, value) in filters.into_iter().chain([("after", after)]) {
        if !value.is_empty() {
            target.push_str(&format!("&{name}={}", encode(value)));
        }
    }
    target
}

/// The answer, or the line that says what is wrong.
fn good(told: Told) -> Result<Value, Fault> {
    match told.exit {
        Exit::Done => Ok(told.body),
        exit => Err(Fault::Line(exit, told.line)),
    }
}

fn table() -> Table {
    Table::new(&["id", "created", "status", "tries", "to", "why"])
}

fn add(table: &mut Table, receipt: &Value) {
    let status = word(receipt, "status");
    let tint = match status.as_str() {
        "delivered" => Tint::Green,
        "queued" => Tint::Yellow,
        "failed" => Tint::Red,
        _ => Tint::None,
    };
    let tries = receipt.get("attempts").and_then(Value::as_u64);
    let places: Vec<String> = entries(receipt).iter().map(place).collect();
    table.row([
        (&word(receipt, "id"), Tint::None),
        (&word(receipt, "created_at"), Tint::None),
        (&status, tint),
        (&tries.unwrap_or_default().to_string(), Tint::None),
        (&places.join(","), Tint::None),
        (&why(receipt), Tint::None),
    ]);
}

/// Why it waits or has failed, as far as the proxy knows.
fn why(entry: &Value) -> String {
    let told = ["detail", "error", "reason"].map(|name| word(entry, name));
    told.into_iter()
        .find(|word| !word.is_empty())
        .unwrap_or_default()
}
