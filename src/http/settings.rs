//! What the server is told by its environment.

use std::net::IpAddr;
use std::time::Duration;

use envconfig::Envconfig;

use crate::domain::own_url::OwnUrl;
use crate::domain::secret::Secret;
use crate::domain::web_url::WebUrl;
use crate::env::{Reader, Var, parse_bool, parse_bytes, parse_duration};

use super::caller;

/// How the server listens and what it accepts.
pub struct Settings {
    /// `HOST`
    pub host: IpAddr,
    /// `PORT`
    pub port: u16,
    /// `WORKERS`
    pub workers: usize,
    /// Open connections at a time.
    pub max_connections: usize,
    /// `PUBLIC_URL` without a slash at its end, or empty.
    pub public_url: String,
    /// The same where GET posts: there a message must not link to a post.
    pub own_url: Option<OwnUrl>,
    /// `MAX_BODY`
    pub max_body_bytes: usize,
    /// `MAX_URL`
    pub max_url_bytes: usize,
    /// Whether GET posts: `ALLOW_GET`, or its default.
    pub get_posts: bool,
    /// `METRICS_TOKEN`
    pub metrics_token: Option<Secret>,
    /// `SHUTDOWN_GRACE`
    pub shutdown_grace: Duration,
}

/// Open connections in all, where the limit of open files allows it; more are refused.
pub const MAX_CONNECTIONS: usize = 4096;
/// Open connections from one address, unless a trusted proxy stands in front.
const MAX_CONNECTIONS_PER_ADDRESS: usize = 1024;

/// The variables of this module.
pub const VARS: &[Var] = &[
    Var {
        name: "HOST",
        default: "127.0.0.1 (in the container 0.0.0.0)",
        secret: false,
        doc: "the address to listen on; beyond loopback it needs `PROXY_TOKENS`, `SIGNING_KEYS` or `ALLOW_ANONYMOUS=true`",
    },
    Var {
        name: "PORT",
        default: "3000",
        secret: false,
        doc: "the port; 0 takes a free one, and the log names it",
    },
    Var {
        name: "PUBLIC_URL",
        default: "",
        secret: false,
        doc: "where callers reach the proxy, for the links in answers; where GET posts, a message cannot link to a post there",
    },
    Var {
        name: "WORKERS",
        default: "one per core",
        secret: false,
        doc: "worker threads, 1 to 64",
    },
    Var {
        name: "MAX_BODY",
        default: "64KiB",
        secret: false,
        doc: "the largest request body; it is read and thrown away",
    },
    Var {
        name: "MAX_URL",
        default: "32KiB",
        secret: false,
        doc: "the longest request target, at most 64KiB",
    },
    Var {
        name: "ALLOW_GET",
        default: "`true` while posting is open on loopback, else `false`",
        secret: false,
        doc: "whether GET posts; the same GET within 10 minutes answers the first receipt again",
    },
    Var {
        name: "METRICS_TOKEN",
        default: "",
        secret: true,
        doc: "the bearer token of `/metrics`; without it the counters are public",
    },
    Var {
        name: "SHUTDOWN_GRACE",
        default: "25s",
        secret: false,
        doc: "how long requests under way may take after SIGTERM",
    },
];

#[derive(Envconfig, Default)]
struct Vars {
    #[envconfig(from = "HOST")]
    host: Option<String>,
    #[envconfig(from = "PORT")]
    port: Option<String>,
    #[envconfig(from = "PUBLIC_URL")]
    public_url: Option<String>,
    #[envconfig(from = "WORKERS")]
    workers: Option<String>,
    #[envconfig(from = "MAX_BODY")]
    max_body: Option<String>,
    #[envconfig(from = "MAX_URL")]
    max_url: Option<String>,
    #[envconfig(from = "ALLOW_GET")]
    allow_get: Option<String>,
    #[envconfig(from = "METRICS_TOKEN")]
    metrics_token: Option<String>,
    #[envconfig(from = "SHUTDOWN_GRACE")]
    shutdown_grace: Option<String>,
}

/// What the guard below actix can hold: it keeps a whole head in memory.
const MAX_URL_CEILING: usize = 64 * 1024;

impl Settings {
    /// Open connections from one address: never all that there are.
    #[must_use]
    pub fn max_connections_per_address(&self) -> usize {
        MAX_CONNECTIONS_PER_ADDRESS.min(self.max_connections - self.max_connections / 4)
    }

    /// Reads the variables; who may post decides what an unset `ALLOW_GET` and an open `HOST` mean.
    #[must_use]
    pub fn read(reader: &mut Reader<'_>, callers: &caller::Settings) -> Self {
        let vars: Vars = reader.vars();
        let host = reader.value(
            "HOST",
            vars.host.as_deref(),
            IpAddr::from([127, 0, 0, 1]),
            parse_host,
        );
        let open = callers.is_open();
        let unsure = ["PROXY_TOKENS", "SIGNING_KEYS", "ALLOW_ANONYMOUS"]
            .iter()
            .any(|name| reader.is_faulty(name));
        if open && !unsure && !host.is_loopback() && !callers.allow_anonymous {
            reader.fault(
                "HOST",
                "anybody who reaches this address could post; set PROXY_TOKENS (ci=<secret of at least 16 characters>) or SIGNING_KEYS, or HOST=127.0.0.1, or ALLOW_ANONYMOUS=true if that is meant",
            );
        }
        let workers = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(64);
        let public_url = reader.value(
            "PUBLIC_URL",
            vars.public_url.as_deref(),
            String::new(),
            |text| WebUrl::parse(text).map(|url| url.base().to_owned()),
        );
        let get_posts = reader.value(
            "ALLOW_GET",
            vars.allow_get.as_deref(),
            open && host.is_loopback(),
            parse_bool,
        );
        Self {
            host,
            port: reader.value("PORT", vars.port.as_deref(), 3000, |text| {
                text.parse().map_err(|_| "expected a port from 0 to 65535")
            }),
            workers: reader.value("WORKERS", vars.workers.as_deref(), workers, |text| {
                text.parse()
                    .ok()
                    .filter(|n| (1..=64).contains(n))
                    .ok_or("expected a number from 1 to 64")
            }),
            max_connections: MAX_CONNECTIONS,
            own_url: OwnUrl::parse(&public_url).filter(|_| get_posts),
            public_url,
            max_body_bytes: reader.value(
                "MAX_BODY",
                vars.max_body.as_deref(),
                64 * 1024,
                parse_bytes,
            ),
            max_url_bytes: reader.value("MAX_URL", vars.max_url.as_deref(), 32 * 1024, |text| {
                parse_bytes(text).and_then(|n| {
                    (n <= MAX_URL_CEILING)
                        .then_some(n)
                        .ok_or("expected at most 64KiB")
                })
            }),
            get_posts,
            metrics_token: vars
                .metrics_token
                .map(|token| Secret::new(token.trim().to_owned())),
            shutdown_grace: reader.value(
                "SHUTDOWN_GRACE",
                vars.shutdown_grace.as_deref(),
                Duration::from_secs(25),
                parse_duration,
            ),
        }
    }
}

fn parse_host(text: &str) -> Result<IpAddr, &'static str> {
    if text == "localhost" {
        return Ok(IpAddr::from([127, 0, 0, 1]));
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse()
        .map_err(|_| "expected an IP address such as 127.0.0.1, 0.0.0.0 or ::")
}
