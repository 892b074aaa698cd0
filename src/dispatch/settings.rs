//! What the outbox is told by the environment.

use std::path::PathBuf;
use std::time::Duration;

use envconfig::Envconfig;

use crate::domain::seal::StoreKeys;
use crate::env::{Reader, Var, parse_bool, parse_duration};
use crate::outbox::Retention;

use super::CourierSettings;

/// Where promised messages are kept, and how long.
#[derive(Debug, Clone)]
pub struct OutboxSettings {
    /// `DATABASE_URL`: the file, or `None` for no outbox.
    pub path: Option<PathBuf>,
    /// `OUTBOX_MAX`
    pub max: usize,
    /// What the courier goes by.
    pub courier: CourierSettings,
    /// `STORE_KEY`
    pub keys: StoreKeys,
}

/// The variables of the outbox.
pub const VARS: &[Var] = &[
    Var {
        name: "DATABASE_URL",
        default: "sqlite:message-webhook-proxy.db (on Heroku `none`)",
        secret: true,
        doc: "where promised messages are kept: `sqlite:PATH`, a file on a disk that lasts, or `none`: no outbox, so a post is answered only when the platform has answered",
    },
    Var {
        name: "OUTBOX_MAX",
        default: "100000",
        secret: false,
        doc: "deliveries that may wait, 1 to 10000000; beyond, posts that would have to wait are refused",
    },
    Var {
        name: "DELIVER_MAX_AGE",
        default: "24h",
        secret: false,
        doc: "how long a message is tried, 1s to 30d; then it ends `failed`",
    },
    Var {
        name: "RECEIPT_RETENTION",
        default: "7d",
        secret: false,
        doc: "how long receipts are kept after the delivery ended, 1s to 365d; at most a million are",
    },
    Var {
        name: "FOLD_BACKLOG",
        default: "false",
        secret: false,
        doc: "`true`: what waits for a throttled destination is folded into as few posts as fit",
    },
    Var {
        name: "STORE_KEY",
        default: "",
        secret: true,
        doc: "seals the tokens of workspaces that have installed the app: a secret of at least 32 characters (`openssl rand -hex 32`); several by spaces while one is replaced, the new one first",
    },
];

#[derive(Envconfig, Default)]
struct Vars {
    #[envconfig(from = "DATABASE_URL")]
    database_url: Option<String>,
    #[envconfig(from = "OUTBOX_MAX")]
    outbox_max: Option<String>,
    #[envconfig(from = "DELIVER_MAX_AGE")]
    deliver_max_age: Option<String>,
    #[envconfig(from = "RECEIPT_RETENTION")]
    receipt_retention: Option<String>,
    #[envconfig(from = "FOLD_BACKLOG")]
    fold_backlog: Option<String>,
    #[envconfig(from = "STORE_KEY")]
    store_key: Option<String>,
}

const DEFAULT_PATH: &str = "message-webhook-proxy.db";
/// The most receipts that are kept: some 300 bytes each.
const MAX_SETTLED: u64 = 1_000_000;
const DAY: Duration = Duration::from_secs(24 * 3600);

impl OutboxSettings {
    /// Reads the variables, and says what an operator should know of what they mean here.
    pub fn read(reader: &mut Reader<'_>, warnings: &mut Vec<String>) -> Self {
        let vars: Vars = reader.vars();
        // A dyno's disk is wiped at every restart: what is stored there is no promise.
        let on_heroku = reader.has("DYNO");
        let default = (!on_heroku).then(|| PathBuf::from(DEFAULT_PATH));
        if on_heroku && vars.database_url.is_none() {
            warnings.push(
                "DATABASE_URL: none, because a dyno's disk is wiped at every restart; posts are answered when the platform has answered, and never queued".to_owned(),
            );
        }
        let path = reader.value(
            "DATABASE_URL",
            vars.database_url.as_deref(),
            default,
            parse_url,
        );
        let max = reader.value("OUTBOX_MAX", vars.outbox_max.as_deref(), 100_000, |text| {
            text.parse()
                .ok()
                .filter(|n| (1..=10_000_000).contains(n))
                .ok_or("expected a number from 1 to 10000000")
        });
        let max_age = reader.value(
            "DELIVER_MAX_AGE",
            vars.deliver_max_age.as_deref(),
            DAY,
            |text| within(text, DAY * 30, "expected 1s to 30d"),
        );
        let age = reader.value(
            "RECEIPT_RETENTION",
            vars.receipt_retention.as_deref(),
            DAY * 7,
            |text| within(text, DAY * 365, "expected 1s to 365d"),
        );
        let fold = reader.value(
            "FOLD_BACKLOG",
            vars.fold_backlog.as_deref(),
            false,
            parse_bool,
        );
        let retention = Retention {
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            max_settled: MAX_SETTLED,
        };
        Self {
            path,
            max,
            courier: CourierSettings {
                max_age,
                fold,
                retention,
            },
            keys: reader.value(
                "STORE_KEY",
                vars.store_key.as_deref(),
                StoreKeys::default(),
                StoreKeys::parse,
            ),
        }
    }
}

fn within(text: &str, longest: Duration, expected: &'static str) -> Result<Duration, &'static str> {
    let range = Duration::from_secs(1)..=longest;
    parse_duration(text).and_then(|d| range.contains(&d).then_some(d).ok_or(expected))
}

/// `sqlite:PATH`, also as `sqlite://PATH`.
fn parse_url(text: &str) -> Result<Option<PathBuf>, &'static str> {
    if text == "none" {
        return Ok(None);
    }
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return Err(
            "this version keeps its outbox in SQLite only; write sqlite:PATH for a disk that lasts, or none",
        );
    }
    let path = text
        .strip_prefix("sqlite:")
        .ok_or("expected none or sqlite:PATH")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.contains(":memory:") || path.contains('?') || path.ends_with('/') {
        return Err("expected the path of a file after sqlite:");
    }
    Ok(Some(PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_file_or_none() {
        for (text, path) in [
            ("none", None),
            ("sqlite:x.db", Some("x.db")),
            ("sqlite:/data/x.db", Some("/data/x.db")),
            ("sqlite:///data/x.db", Some("/data/x.db")),
            ("sqlite://x.db", Some("x.db")),
        ] {
            assert_eq!(parse_url(text), Ok(path.map(PathBuf::from)), "{text}");
        }
        for text in [
            "",
            "x.db",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:x.db?mode=ro",
            "sqlite:/data/",
            "mysql://h/d",
            "postgres://u:p@h/d",
        ] {
            assert!(parse_url(text).is_err(), "{text}");
        }
    }
}
