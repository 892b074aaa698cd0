//! Finds text that must never be printed, also where it was encoded on the way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::encoding::percent_encode;

/// Shorter secrets would be found by accident.
pub const SHORTEST_SECRET: usize = 6;
/// Messages are words people use, so it takes more of them to be a proof.
pub const SHORTEST_MESSAGE: usize = 8;

/// What is hidden in `text`, said without showing it: `secret 3 (8 bytes) as base64`, so that a CI log leaks nothing either.
pub fn find(canaries: &[String], text: &str) -> Option<String> {
    let text = readable(text);
    let lower = text.to_lowercase();
    // Both base64 alphabets are one here.
    let standard = text.replace('-', "+").replace('_', "/");
    canaries.iter().enumerate().find_map(|(at, canary)| {
        let folded = canary.to_lowercase();
        let reversed: String = canary.chars().rev().collect();
        let form = if text.contains(canary) {
            "itself"
        } else if lower.contains(&percent_encode(canary).to_lowercase())
            || lower.contains(&percent_all(canary))
        {
            "percent-encoded"
        } else if base64_cores(canary)
            .iter()
            .any(|core| standard.contains(core))
        {
            "base64"
        } else if lower.contains(&hex(canary)) {
            "hex"
        } else if text.contains(&reversed) {
            "reversed"
        } else if lower.contains(&folded) {
            "itself in another case"
        } else {
            return None;
        };
        Some(format!(
            "canary {at} ({} bytes, begins {:?}) as {form}",
            canary.len(),
            canary.chars().take(3).collect::<String>()
        ))
    })
}

/// The secrets among environment variables.
pub fn secrets(env: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in env {
        if let Some(name) = name.strip_suffix("_FILE") {
            if is_secret(name) {
                let content = std::fs::read_to_string(value).unwrap_or_default();
                found.extend(split(name, content.trim()));
            }
        } else if name == "CHANNELS" {
            found.extend(webhooks(value));
        } else if name == "DATABASE_URL" {
            let user = value
                .split_once("://")
                .and_then(|(_, rest)| rest.rsplit_once('@'))
                .map(|(user, _)| user);
            found.extend(
                user.and_then(|user| user.split_once(':'))
                    .map(|(_, password)| password.to_owned()),
            );
        } else if is_secret(name) {
            found.extend(split(name, value));
        }
    }
    found.retain(|secret| secret.len() >= SHORTEST_SECRET);
    found
}

fn is_secret(name: &str) -> bool {
    const ENDINGS: [&str; 7] = [
        "TOKEN", "TOKENS", "PASSWORD", "SECRET", "SECRETS", "KEY", "KEYS",
    ];
    // `ALLOW_QUERY_TOKEN` is a switch, `TLS_KEY` the path of a file.
    ENDINGS.iter().any(|ending| name.ends_with(ending))
        && !name.starts_with("ALLOW_")
        && name != "TLS_KEY"
}

fn split(name: &str, value: &str) -> Vec<String> {
    match name {
        "PROXY_TOKENS" => {
            let secret = |entry: &str| {
                entry
                    .split_once('=')
                    .map_or(entry, |(_, secret)| secret)
                    .to_owned()
            };
            value.split_whitespace().map(secret).collect()
        }
        _ if name.ends_with('S') => value.split_whitespace().map(str::to_owned).collect(),
        _ => vec![value.to_owned()],
    }
}

/// Each webhook URL in `CHANNELS`, whole and without its origin: the path is what opens the channel.
fn webhooks(channels: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in channels.split_whitespace() {
        for destination in entry
            .split_once('=')
            .map_or(entry, |(_, rest)| rest)
            .split(',')
        {
            let Some((_, url)) = destination
                .split_once('+')
                .filter(|(_, url)| url.contains("://"))
            else {
                continue;
            };
            found.push(url.to_owned());
            let path = url
                .split_once("://")
                .and_then(|(_, rest)| rest.split_once('/'));
            found.extend(path.map(|(_, path)| path.to_owned()));
        }
    }
    found
}

/// The text as printed, and below it every string that JSON lines hold, unescaped.
fn readable(text: &str) -> String {
    let mut all = text.to_owned();
    for value in text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        strings(&value, &mut all);
    }
    all
}

fn strings(value: &Value, into: &mut String) {
    match value {
        Value::String(text) => {
            into.push('\n');
            into.push_str(text);
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, into)),
        Value::Object(fields) => fields.iter().for_each(|(name, item)| {
            into.push('\n');
            into.push_str(name);
            strings(item, into);
        }),
        _ => {}
    }
}

fn percent_all(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// The characters that stand for `text` wherever it begins inside a longer base64 text: three alignments, edges cut off.
fn base64_cores(text: &str) -> Vec<String> {
    (0..3)
        .map(|offset: usize| {
            let padded = [&b"\0\0"[..offset], text.as_bytes()].concat();
            let encoded = STANDARD.encode(&padded);
            let (first, end) = ((offset * 8).div_ceil(6), padded.len() * 8 / 6);
            encoded[first..end].to_owned()
        })
        .filter(|core| core.len() >= SHORTEST_SECRET)
        .collect()
}
