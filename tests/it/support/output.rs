//! Lines a child prints, collected by threads, and log events read from them.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use std::thread::JoinHandle;

use serde_json::Value;

use super::Ledger;

/// Collects lines until the stream ends, then closes the ledger.
pub fn collect(stream: impl Read + Send + 'static) -> (Arc<Ledger<String>>, JoinHandle<()>) {
    let lines = Arc::new(Ledger::default());
    let into = lines.clone();
    let reader = std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            // Lossy on purpose: a log that is not UTF-8 must still be shown by the failing test.
            into.push(
                String::from_utf8_lossy(&line)
                    .trim_end_matches(['\n', '\r'])
                    .to_owned(),
            );
            line.clear();
        }
        into.close();
    });
    (lines, reader)
}

/// Every line as JSON; panics at the first that is not.
#[track_caller]
pub fn events(lines: &[String]) -> Vec<Value> {
    let event = |line: &String| {
        serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("not a JSON log line ({error}): {line}"))
    };
    lines.iter().map(event).collect()
}

/// A field of a log event, at the top or under `fields`.
pub fn log_field<'a>(event: &'a Value, name: &str) -> Option<&'a Value> {
    event.get(name).or_else(|| event.get("fields")?.get(name))
}

/// The message of a log event.
pub fn log_message(event: &Value) -> &str {
    log_field(event, "message")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The address in a `listening` line, of the JSON form or of the text form.
pub fn listening(line: &str) -> Option<String> {
    match serde_json::from_str::<Value>(line) {
        Ok(event) if log_message(&event) == "listening" => {
            Some(log_field(&event, "address")?.as_str()?.to_owned())
        }
        Ok(_) => None,
        Err(_) => {
            let (_, rest) = line.split_once("listening")?;
            let address = rest.split_once("address=")?.1.split_whitespace().next()?;
            Some(address.trim_matches('"').to_owned())
        }
    }
}
