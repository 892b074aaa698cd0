//! Contract sections 5 and 7: what the environment and the arguments may say, and what is said when they are wrong.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{Folder, Proxy, Refused, Setup, log_message, unique};

const SECRET: &str = "Kq3vT8wZpL5nX2rY";
const KEY: &str = "3f9a1c7be2d84056a1b7c3d9e5f20864";

/// The fault lines, as (variable, what is wrong).
#[track_caller]
fn faults(refused: &Refused) -> Vec<(String, String)> {
    assert_eq!(refused.code, 78, "{}", refused.stderr);
    assert_eq!(refused.stdout, "");
    let line = |line: &str| {
        let (variable, what) = line
            .split_once(": ")
            .unwrap_or_else(|| panic!("names no variable: {line:?}"));
        (variable.trim_start().to_owned(), what.to_owned())
    };
    // The first line says what the others are.
    refused.stderr.lines().skip(1).map(line).collect()
}

/// The variables that are found wrong, in alphabetical order.
#[track_caller]
fn variables(refused: &Refused) -> Vec<String> {
    let mut names: Vec<String> = faults(refused).into_iter().map(|(name, _)| name).collect();
    names.sort();
    names
}

#[track_caller]
fn assert_fault(env: &[(&str, &str)], variable: &str, mentions: &str) {
    let refused = Proxy::refused(env);
    let found = faults(&refused);
    assert_eq!(found.len(), 1, "{env:?}: {}", refused.stderr);
    assert_eq!(found[0].0, variable, "{env:?}");
    assert!(found[0].1.contains(mentions), "{env:?}: {}", found[0].1);
}

/// A file with a content, gone when dropped.
struct File(PathBuf);

impl File {
    fn holding(content: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(unique("proxy-config-", 16));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// Every variable that has a form, with values that break it.
const MALFORMED: &[(&str, &[&str])] = &[
    (
        "HOST",
        &[
            "example.com",
            "999.0.0.1",
            "127.0.0.1:3000",
            "http://127.0.0.1",
        ],
    ),
    ("PORT", &["x", "-1", "65536", "30 00", "0x50", "3000.0"]),
    (
        "PUBLIC_URL",
        &[
            "example.com",
            "ftp://example.com",
            "https://",
            "https://me:pass@example.com",
            "https://a b",
        ],
    ),
    ("WORKERS", &["0", "65", "-1", "two", "1.5"]),
    (
        "MAX_BODY",
        &["0", "64KB", "-1", "lots", "1GiB", "99999999999999999999"],
    ),
    ("MAX_URL", &["0", "65KiB", "1MiB", "x"]),
    ("ALLOW_GET", &["maybe", "2", "truee"]),
    ("SHUTDOWN_GRACE", &["25", "1w", "-1s", "1.5s", "s", "soon"]),
    (
        "PROXY_TOKENS",
        &[
            "ci=short",
            "=0123456789abcdef",
            "c i=0123456789abcdef",
            "a/b=0123456789abcdef",
            "x@=0123456789abcdef",
            "x@a,,b=0123456789abcdef",
        ],
    ),
    (
        "SIGNING_KEYS",
        &[
            "short",
            "3f9a1c7be2d84056a1b7c3d9e5f20864 short",
            "0123456789012345678901234567890",
        ],
    ),
    ("ALLOW_ANONYMOUS", &["maybe"]),
    ("ALLOW_QUERY_TOKEN", &["maybe"]),
    ("TRUSTED_PROXY_HOPS", &["-1", "17", "one", "1.0"]),
    (
        "RATE_LIMIT_CALLER",
        &[
            "120",
            "120/d",
            "0/s",
            "-1/m",
            "x/s",
            "1/s/s",
            "none",
            "99999999/s",
        ],
    ),
    ("RATE_LIMIT_CHANNEL", &["60"]),
    ("RATE_LIMIT_GLOBAL", &["100"]),
    ("PACE_MATTERMOST", &["1"]),
    ("PACE_SLACK", &["1"]),
    ("PACE_TEAMS", &["1"]),
    (
        "CHANNELS",
        &[
            "deploys",
            "=console:x",
            "a=nowhere:x",
            "a=console:",
            "a=",
            "a=console:x,",
            "a=console:x a=console:y",
            "a:b=console:x",
            "a=slack+ftp://x/y",
        ],
    ),
    ("DEFAULT_BACKEND", &["nowhere", "Console"]),
    ("ONLY_ALIASES", &["maybe"]),
    ("ALLOW_MENTIONS", &["@here", "here,,channel", "a b"]),
    ("MAX_PARTS", &["0", "101", "-1", "few"]),
    ("UPSTREAM_TIMEOUT", &["10", "99ms", "6m", "0s", "soon"]),
    ("UPSTREAM_CA", &["/nowhere/ca.pem", "/dev/null"]),
    (
        "DATABASE_URL",
        &[
            "mysql://me:pass-word@db/x",
            "postgres://me:pass-word@db/x",
            "/var/lib/x.db",
            "sqlite",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:x.db?mode=ro",
            "sqlite:/data/",
        ],
    ),
    ("OUTBOX_MAX", &["0", "10000001", "-1", "many"]),
    ("DELIVER_MAX_AGE", &["24", "0s", "999ms", "31d", "soon"]),
    ("RECEIPT_RETENTION", &["7", "0s", "366d", "ever"]),
    ("FOLD_BACKLOG", &["maybe"]),
    (
        "SLACK_SIGNING_SECRETS",
        &["tooshort", "äääääääääääääääääää"],
    ),
    ("MATTERMOST_COMMAND_TOKENS", &["tooshort"]),
    (
        "RELAY_URL",
        &[
            "api.internal",
            "ftp://api.internal",
            "http://api.internal/?a=b",
            "http://me:pass@api.internal",
        ],
    ),
    ("LOG_FORMAT", &["xml", "JSON5"]),
    ("RUST_LOG", &["info,a=loud", "=,=", "a=b=c"]),
    (
        "MATTERMOST_URL",
        &[
            "chat.example.com",
            "https://chat.example.com/hooks/xyz",
            "https://chat.example.com/?a=b",
        ],
    ),
    (
        "MATTERMOST_TOKEN",
        &[
            "Bearer kq3vt8wzpl5nx2ry7uhcb4mj9s",
            "kq3vt8wz ry7uhcb4mj9s",
            "kq3vt8wzpl5nx2rü",
        ],
    ),
    ("MM_URL", &["chat.example.com"]),
    ("MM_PROXY_TOKEN", &["Bearer kq3vt8wzpl5nx2ry7uhcb4mj9s"]),
    (
        "MM_PROXY_USERNAME",
        &[
            "x\u{200b}123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890",
        ],
    ),
    (
        "SLACK_BOT_TOKEN",
        &[
            "https://hooks.slack.com/services/T0/B0/abc",
            "xapp-1-A0-123456",
            "xoxe-1-abcdef",
            "Bearer xoxb-123456-abc",
        ],
    ),
    (
        "SLACK_API_URL",
        &[
            "slack.com/api",
            "http://slack.example/api",
            "https://slack.com/api?x=y",
        ],
    ),
    ("SLACK_CLIENT_ID", &["123 456", "https://slack.com/x"]),
    ("SLACK_CLIENT_SECRET", &["two words-of-secret"]),
    (
        "STORE_KEY",
        &["tooshort-0123456789", "too short to be a key but long"],
    ),
    (
        "TEAMS_APP_ID",
        &["my-bot", "28:aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"],
    ),
    ("TEAMS_APP_PASSWORD", &["two words-of-secret"]),
    ("TEAMS_TENANT_ID", &["example.com"]),
    (
        "TEAMS_SERVICE_URL",
        &[
            "smba.trafficmanager.net",
            "http://smba.trafficmanager.net/teams/",
            "https://smba.trafficmanager.net.evil.test/teams/",
        ],
    ),
    (
        "TEAMS_LOGIN_URL",
        &["login.microsoftonline.com", "http://login.example"],
    ),
    (
        "TEAMS_TRUSTED_SERVICE_HOSTS",
        &["https://x.example", "*.example"],
    ),
    (
        "TEAMS_OPENID_URL",
        &["login.example", "http://login.example/metadata"],
    ),
];
/// Good values of the variables that backends need together.
const BACKENDS: &[(&str, &str)] = &[
    ("MATTERMOST_URL", "https://chat.example.com"),
    ("MATTERMOST_TOKEN", "kq3vt8wzpl5nx2ry7uhcb4mj9s"),
    ("MM_URL", "https://chat.example.com"),
    ("MM_PROXY_TOKEN", "kq3vt8wzpl5nx2ry7uhcb4mj9s"),
    ("SLACK_BOT_TOKEN", "xoxb-294857-Kq3vT8wZpL5nX2rY"),
    ("TEAMS_APP_ID", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"),
    ("TEAMS_APP_PASSWORD", "uH7cB4mJ9sD6fG1a~Q"),
    ("TEAMS_TENANT_ID", "3b0f1c22-0000-4000-8000-000000000001"),
];
/// Variables that take any text.
const FREE: &[&str] = &["METRICS_TOKEN", "PROXY_TOKEN"];

#[test]
fn every_malformed_value_is_refused_by_the_name_of_its_variable() {
    for (variable, values) in MALFORMED {
        let kind = variable.split('_').next().unwrap_or_default();
        let beside = BACKENDS
            .iter()
            .filter(|(name, _)| name.split('_').next() == Some(kind));
        for value in *values {
            let env: Vec<(&str, &str)> = beside
                .clone()
                .copied()
                .chain([(*variable, *value)])
                .collect();
            let refused = Proxy::refused(&env);
            let found = faults(&refused);
            assert_eq!(found.len(), 1, "{variable}={value}: {}", refused.stderr);
            assert_eq!(&found[0].0, variable, "{variable}={value}");
            assert!(!found[0].1.is_empty());
        }
    }
}

/// A variable that is added later must be given bad values here, or be said to have none.
#[test]
fn every_variable_with_a_form_is_in_the_table_of_malformed_values() {
    let tabled: BTreeSet<&str> = MALFORMED
        .iter()
        .map(|(name, _)| *name)
        .chain(FREE.iter().copied())
        .collect();
    let known: BTreeSet<&str> = message_webhook_proxy::config::all_vars()
        .map(|var| var.name)
        .collect();

    assert_eq!(tabled, known);
}

#[test]
fn every_fault_is_told_at_once_one_line_each_and_nothing_starts() {
    let all: Vec<(&str, &str)> = MALFORMED
        .iter()
        .map(|(name, values)| (*name, values[0]))
        .collect();
    let mut expected: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    expected.sort_unstable();

    let refused = Proxy::refused(&all);

    assert_eq!(variables(&refused), expected, "{}", refused.stderr);
    assert!(!refused.stderr.contains("listening"), "{}", refused.stderr);
}

/// Contract 5: one line per fault. Neither is what the file would have held missing, nor does the file hide what is.
#[test]
fn a_secret_whose_file_cannot_be_used_is_one_fault() {
    const NOWHERE: &str = "/nowhere/secret";
    type Case = (
        &'static [(&'static str, &'static str)],
        &'static [&'static str],
    );
    let cases: [Case; 6] = [
        (
            &[
                ("MATTERMOST_URL", "https://chat.example.com"),
                ("MATTERMOST_TOKEN_FILE", NOWHERE),
            ],
            &["MATTERMOST_TOKEN_FILE"],
        ),
        (
            &[("MATTERMOST_TOKEN_FILE", NOWHERE)],
            &["MATTERMOST_TOKEN_FILE", "MATTERMOST_URL"],
        ),
        (
            &[
                ("SLACK_API_URL", "https://slack.com/api"),
                ("SLACK_BOT_TOKEN_FILE", NOWHERE),
            ],
            &["SLACK_BOT_TOKEN_FILE"],
        ),
        (
            &[
                ("SLACK_CLIENT_ID", "1.2"),
                ("SLACK_CLIENT_SECRET_FILE", NOWHERE),
                ("STORE_KEY", KEY),
            ],
            &["SLACK_CLIENT_SECRET_FILE"],
        ),
        (
            &[
                ("TEAMS_APP_ID", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"),
                ("TEAMS_TENANT_ID", "botframework.com"),
                ("TEAMS_APP_PASSWORD_FILE", NOWHERE),
            ],
            &["TEAMS_APP_PASSWORD_FILE"],
        ),
        (
            &[("TEAMS_APP_PASSWORD_FILE", NOWHERE)],
            &["TEAMS_APP_ID", "TEAMS_APP_PASSWORD_FILE", "TEAMS_TENANT_ID"],
        ),
    ];

    for (env, want) in cases {
        assert_eq!(variables(&Proxy::refused(env)), want, "{env:?}");
    }
}

/// Each entry of a list is a fault of its own, told by its place.
#[test]
fn every_bad_entry_of_a_list_has_a_line() {
    let tokens = format!("a=tooshortsecret ok={SECRET} b=othershort");
    let keys = format!("tooshortkey {KEY} othershort");
    let env = [
        ("PROXY_TOKENS", tokens.as_str()),
        ("SIGNING_KEYS", keys.as_str()),
        ("CHANNELS", "a=nowhere:x b=console:y c d=nobody:z"),
    ];

    let refused = Proxy::refused(&env);

    assert_eq!(
        variables(&refused),
        [
            "CHANNELS",
            "CHANNELS",
            "CHANNELS",
            "PROXY_TOKENS",
            "PROXY_TOKENS",
            "SIGNING_KEYS",
            "SIGNING_KEYS"
        ],
        "{}",
        refused.stderr
    );
}

/// A fault must not bring others with it: the list is what an operator works through.
#[test]
fn one_mistake_is_one_line() {
    let scoped = format!("deploy@deploys={SECRET}");
    for (env, variable) in [
        (
            vec![("PROXY_TOKENS", "ci=short"), ("HOST", "0.0.0.0")],
            "PROXY_TOKENS",
        ),
        (
            vec![("SIGNING_KEYS", "short"), ("HOST", "0.0.0.0")],
            "SIGNING_KEYS",
        ),
        (
            vec![
                ("PROXY_TOKENS_FILE", "/nowhere/tokens"),
                ("HOST", "0.0.0.0"),
            ],
            "PROXY_TOKENS_FILE",
        ),
        (
            vec![("ALLOW_ANONYMOUS", "maybe"), ("HOST", "0.0.0.0")],
            "ALLOW_ANONYMOUS",
        ),
        (
            vec![
                ("PROXY_TOKENS", scoped.as_str()),
                ("CHANNELS", "deploys=nowhere:x"),
            ],
            "CHANNELS",
        ),
        (
            vec![
                ("PROXY_TOKENS", scoped.as_str()),
                ("DEFAULT_BACKEND", "nowhere"),
            ],
            "DEFAULT_BACKEND",
        ),
    ] {
        let refused = Proxy::refused(&env);

        assert_eq!(variables(&refused), [variable], "{}", refused.stderr);
    }
}

/// G1: what is wrong with a secret is said without it. (The fixture searches the output for every secret; these are
/// forms of values that it does not know by itself.)
#[test]
fn a_fault_shows_nothing_of_a_secret() {
    for (variable, value, hidden) in [
        (
            "CHANNELS",
            "a=slack+ftp://hooks.example/services/T0/B0/s3cret-path",
            "s3cret-path",
        ),
        (
            "CHANNELS",
            "slack+https://hooks.example/services/T0/B0/s3cret-path",
            "s3cret-path",
        ),
        (
            "CHANNELS",
            "a=https://hooks.example/services/T0/B0/s3cret-path",
            "s3cret-path",
        ),
        (
            "CHANNELS",
            "a=slack:https://hooks.example/services/T0/B0/s3cret-path",
            "s3cret-path",
        ),
        ("DATABASE_URL", "mysql://me:s3cret-word@db/x", "s3cret-word"),
        (
            "PUBLIC_URL",
            "https://me:s3cret-word@example.com",
            "s3cret-word",
        ),
        ("PROXY_TOKENS", "s3cret-short", "s3cret-short"),
        ("PROXY_TOKENS", "s3cret/name=0123456789abcdef", "s3cret"),
    ] {
        let refused = Proxy::setup().set(variable, value).canary(hidden).run();

        assert_eq!(variables(&refused), [variable], "{}", refused.stderr);
    }
}

/// D4: a line is a line, whatever the value.
#[test]
fn a_fault_is_one_line_although_the_value_has_several() {
    for (variable, value) in [
        ("DEFAULT_BACKEND", "no\nwhere\u{1b}[31m"),
        ("PORT", "30\n00"),
        ("CHANNELS", "a=no\u{1b}[31mwhere:x"),
        ("LOG_FORMAT", "x\ny: z"),
        ("PROXY_TOKENS", "deploy@no\u{1b}[31mwhere=0123456789abcdef"),
    ] {
        let refused = Proxy::refused(&[(variable, value)]);

        assert_eq!(variables(&refused), [variable], "{}", refused.stderr);
        assert!(!refused.stderr.contains('\u{1b}'), "{}", refused.stderr);
    }
}

#[test]
fn a_secret_may_stand_in_a_file() {
    let tokens = format!("ci={SECRET}");
    for content in [
        tokens.clone(),
        format!("{tokens}\n"),
        format!("{tokens}\r\n"),
        format!("{tokens}\n\n"),
        format!("a={SECRET}x\n{tokens}\n"),
    ] {
        let file = File::holding(&content);
        let proxy = Proxy::setup().set("PROXY_TOKENS_FILE", file.path()).start();

        let accepted = proxy.post_message_as(SECRET, "demo", "with the secret of a file", &[]);
        let refused = proxy.post_message("demo", "without credentials", &[]);

        assert_eq!((accepted.status, refused.status), (200, 401), "{content:?}");
    }
}

#[test]
fn every_secret_has_a_file() {
    for var in message_webhook_proxy::config::all_vars().filter(|var| var.secret) {
        let name = format!("{}_FILE", var.name);
        let refused = Proxy::setup()
            .unset(var.name)
            .set(&name, "/nowhere/at/all")
            .run();

        let found = faults(&refused);
        let told = found
            .iter()
            .any(|(variable, what)| *variable == name && what.contains("cannot read the file"));
        assert!(told, "{}", refused.stderr);
    }
}

#[test]
fn a_file_that_gives_no_secret_is_a_fault() {
    let whole = File::holding(format!("ci={SECRET}"));
    let empty = File::holding("");
    let blank = File::holding("\n \n");
    let binary = File::holding(b"ci=\xff\xfe0123456789abcdef");
    let large = File::holding("x".repeat(70_000));
    let tokens = format!("ci={SECRET}");

    assert_fault(
        &[("PROXY_TOKENS_FILE", empty.path())],
        "PROXY_TOKENS_FILE",
        "empty",
    );
    assert_fault(
        &[("PROXY_TOKENS_FILE", blank.path())],
        "PROXY_TOKENS_FILE",
        "empty",
    );
    assert_fault(
        &[("PROXY_TOKENS_FILE", binary.path())],
        "PROXY_TOKENS_FILE",
        "UTF-8",
    );
    assert_fault(
        &[("PROXY_TOKENS_FILE", large.path())],
        "PROXY_TOKENS_FILE",
        "70000 bytes",
    );
    let folder = Folder::new();
    for number in 0..400 {
        let name = format!("{number:0>250}");
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    assert_fault(
        &[("PROXY_TOKENS_FILE", folder.path().to_str().unwrap())],
        "PROXY_TOKENS_FILE",
        "cannot read the file",
    );
    assert_fault(
        &[
            ("PROXY_TOKENS_FILE", whole.path()),
            ("PROXY_TOKENS", &tokens),
        ],
        "PROXY_TOKENS",
        "PROXY_TOKENS_FILE",
    );
    // What the file holds is checked like the variable.
    let short = File::holding("ci=tooshort");
    assert_fault(&[("PROXY_TOKENS_FILE", short.path())], "PROXY_TOKENS", "16");
}

#[test]
fn a_file_without_an_end_is_a_fault_and_takes_no_memory() {
    // Not through the fixture, which reads every secret's file itself; with a bound, so that a fault costs no memory.
    for (variable, limit) in [("PROXY_TOKENS_FILE", 65_536), ("UPSTREAM_CA", 4_194_304)] {
        let refused = Command::new("/bin/sh")
            .args(["-c", "ulimit -v 1500000; exec \"$0\""])
            .arg(env!("CARGO_BIN_EXE_message-webhook-proxy"))
            .env_clear()
            .envs([(variable, "/dev/zero"), ("DATABASE_URL", "none")])
            .env("PORT", "0")
            .stdin(Stdio::null())
            .output()
            .unwrap();

        assert_eq!(refused.status.code(), Some(78), "{variable}");
        let said = String::from_utf8(refused.stderr).unwrap();
        let fault = format!("{variable}: the file has more than the {limit} bytes");
        assert!(said.contains(&fault), "{said}");
    }
}

#[test]
fn an_empty_variable_is_an_unset_one() {
    let file = File::holding(format!("ci={SECRET}"));
    let empty: Vec<(&str, &str)> = MALFORMED
        .iter()
        .map(|(name, _)| (*name, if name.len() % 2 == 0 { "" } else { "  " }))
        .filter(|(name, _)| {
            !["PORT", "HOST", "LOG_FORMAT", "RUST_LOG", "DATABASE_URL"].contains(name)
        })
        .chain([
            ("PROXY_TOKENS_FILE", file.path()),
            ("SIGNING_KEYS_FILE", ""),
            ("TLS_KEY", ""),
            ("MATTERMOST_URL", ""),
        ])
        .collect();

    let proxy = Proxy::start(&empty);

    // The file counts, because the variable beside it is empty.
    assert_eq!(
        proxy
            .post_message("demo", "without credentials", &[])
            .status,
        401
    );
    assert_eq!(
        proxy
            .post_message_as(SECRET, "demo", "with them", &[])
            .status,
        200
    );
}

/// A value that is not text must not count as unset: an open door would be the result.
#[test]
fn a_value_that_is_not_text_is_a_fault() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    // HOST ends it in any case: a program that took the rest for unset would otherwise start, and never end.
    let child = Command::new(env!("CARGO_BIN_EXE_message-webhook-proxy"))
        .env_clear()
        .env("HOST", "256.0.0.1")
        .env("PORT", OsStr::from_bytes(b"30\xff0"))
        .env(
            "PROXY_TOKENS",
            OsStr::from_bytes(b"ci=0123456789abcdef\xff"),
        )
        .env("SIGNING_KEYS_FILE", OsStr::from_bytes(b"/tmp/\xff"))
        .env("NO_BUSINESS_OF_OURS", OsStr::from_bytes(b"\xff"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().unwrap();

    let refused = Refused {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert_eq!(
        variables(&refused),
        ["HOST", "PORT", "PROXY_TOKENS", "SIGNING_KEYS_FILE"],
        "{}",
        refused.stderr
    );
}

/// A7: what everybody can reach is not left open by accident.
#[test]
fn an_open_address_without_tokens_is_refused_and_says_what_to_set() {
    for host in ["0.0.0.0", "::", "[::]", "192.0.2.1", "::ffff:127.0.0.1"] {
        let refused = Proxy::refused(&[("HOST", host)]);

        let found = faults(&refused);
        assert_eq!(variables(&refused), ["HOST"], "{host}: {}", refused.stderr);
        for name in ["PROXY_TOKENS", "SIGNING_KEYS", "ALLOW_ANONYMOUS=true"] {
            assert!(found[0].1.contains(name), "{}", found[0].1);
        }
    }
    // A switch that is off, and other credentials, change nothing.
    let env = [
        ("HOST", "0.0.0.0"),
        ("ALLOW_ANONYMOUS", "false"),
        ("METRICS_TOKEN", SECRET),
    ];
    assert_eq!(variables(&Proxy::refused(&env)), ["HOST"]);
}

#[test]
fn an_open_address_starts_with_tokens_with_keys_or_when_it_is_meant() {
    let tokens = format!("ci={SECRET}");
    for (variable, value, warns) in [
        ("PROXY_TOKENS", tokens.as_str(), false),
        ("SIGNING_KEYS", KEY, false),
        ("ALLOW_ANONYMOUS", "true", true),
    ] {
        let proxy = Proxy::start(&[("HOST", "0.0.0.0"), (variable, value)]);

        let posted = proxy.post_message("demo", "from anybody at all", &[]);

        assert_eq!(posted.status, if warns { 200 } else { 401 }, "{variable}");
        let warned = proxy.logs().iter().any(|event| {
            event["level"] == "WARN" && log_message(event).contains("ALLOW_ANONYMOUS")
        });
        assert_eq!(warned, warns, "{variable}");
    }
}

/// `ALLOW_ANONYMOUS` opens nothing that tokens close.
#[test]
fn tokens_close_what_anonymous_would_open() {
    let tokens = format!("ci={SECRET}");
    let proxy = Proxy::start(&[("PROXY_TOKENS", &tokens), ("ALLOW_ANONYMOUS", "true")]);

    assert_eq!(
        proxy
            .post_message("demo", "from anybody at all", &[])
            .status,
        401
    );
}

#[test]
fn channels_say_which_entry_is_wrong_and_why() {
    for (channels, mentions) in [
        ("ok=console:x deploys", "entry 2"),
        ("ok=console:x a:b=console:y", "entry 2"),
        ("deploys=nowhere:x", "'deploys'"),
        ("deploys=nowhere:x", "console"),
        ("deploys=console:x deploys=console:y", "twice"),
        ("deploys=console:x,nowhere:y", "'deploys'"),
        ("deploys=plain", "backend:target"),
        ("deploys=console:", "the target after 'console:' is missing"),
        ("s/e=console:a", "'/'"),
    ] {
        assert_fault(&[("CHANNELS", channels)], "CHANNELS", mentions);
    }
    assert_fault(
        &[("DEFAULT_BACKEND", "nowhere")],
        "DEFAULT_BACKEND",
        "console",
    );
    assert_fault(
        &[
            ("PROXY_TOKENS", &format!("deploy@deploys={SECRET}")),
            ("ONLY_ALIASES", "true"),
        ],
        "PROXY_TOKENS",
        "'deploys'",
    );
    assert_fault(
        &[("PROXY_TOKENS", &format!("deploy@console:={SECRET}"))],
        "PROXY_TOKENS",
        "the target after 'console:' is missing",
    );
}

#[test]
fn the_default_backend_takes_what_has_no_prefix() {
    let proxy = Proxy::start(&[("DEFAULT_BACKEND", "console")]);

    let response = proxy.post_message("demo", "to the default backend", &[]);

    assert_eq!(response.json()["deliveries"][0]["backend"], "console");
    assert_eq!(proxy.stdout_line(), "[demo] to the default backend");
}

/// A free port of this moment. Somebody else could take it; then the test says so instead of passing wrongly.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[test]
fn the_port_is_what_port_says() {
    let port = free_port();

    let proxy = Proxy::start(&[("PORT", &port.to_string())]);

    assert_eq!(proxy.addr().port(), port);
    assert_eq!(proxy.get("/health").status, 200);
}

#[test]
fn a_port_in_use_is_unavailable_and_says_which() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = taken.local_addr().unwrap().port().to_string();

    let refused = Proxy::refused(&[("PORT", &port)]);

    assert_eq!(refused.code, 69, "{}", refused.stderr);
    let said = |name: &str| refused.stderr.contains(name);
    assert!(
        said(&address) && said("PORT") && said("cannot listen"),
        "{}",
        refused.stderr
    );
}

/// Why it does not start is said even where the log is off.
#[test]
fn a_quiet_log_does_not_hide_why_nothing_starts() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();

    let refused = Proxy::refused(&[("PORT", &port), ("RUST_LOG", "off")]);
    let faulty = Proxy::refused(&[("PORT", "x"), ("RUST_LOG", "off")]);

    assert_eq!(refused.code, 69);
    assert!(
        refused.stderr.contains("cannot listen"),
        "{}",
        refused.stderr
    );
    assert_eq!(variables(&faulty), ["PORT"]);
}

#[test]
fn help_and_version_are_done_and_anything_unknown_is_usage() {
    let run = |args: &[&str]| {
        args.iter()
            .fold(Proxy::setup(), |setup, arg| Setup::arg(setup, arg))
            .run()
    };

    let help = run(&["--help"]);
    let version = run(&["--version"]);

    assert_eq!(help.code, 0);
    for word in ["serve", "healthcheck", "78"] {
        assert!(help.stdout.contains(word), "{}", help.stdout);
    }
    assert_eq!(version.code, 0);
    assert_eq!(
        version.stdout,
        concat!("message-webhook-proxy ", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!((help.stderr.as_str(), version.stderr.as_str()), ("", ""));
    for args in [
        &["frobnicate"][..],
        &["--frobnicate"],
        &["serve", "now"],
        &["healthcheck", "--frobnicate"],
        &["-x"],
    ] {
        let refused = run(args);
        assert_eq!(refused.code, 64, "{args:?}: {}", refused.stderr);
        assert_eq!(refused.stdout, "");
        assert!(
            refused.stderr.contains(args[args.len() - 1]),
            "{}",
            refused.stderr
        );
    }
}

/// Help is help although the configuration is wrong.
#[test]
fn help_needs_no_configuration() {
    let help = Proxy::setup().set("PORT", "x").arg("--help").run();

    assert_eq!(help.code, 0);
}

#[test]
fn serve_is_what_no_argument_means() {
    let proxy = Proxy::setup().arg("serve").start();

    assert_eq!(proxy.get("/health").status, 200);
}

#[test]
fn healthcheck_asks_the_proxy_of_this_environment() {
    let tokens = format!("ci={SECRET}");
    let proxy = Proxy::start(&[("HOST", "0.0.0.0"), ("PROXY_TOKENS", &tokens)]);
    let port = proxy.addr().port().to_string();
    let check = |env: &[(&str, &str)]| {
        env.iter()
            .fold(Proxy::setup().arg("healthcheck"), |setup, (name, value)| {
                setup.set(name, *value)
            })
            .run()
    };

    let alive = check(&[
        ("HOST", "0.0.0.0"),
        ("PORT", &port),
        ("PROXY_TOKENS", &tokens),
    ]);
    let nobody = check(&[("PORT", "1")]);
    let faulty = check(&[("PORT", "x")]);

    assert_eq!(alive.code, 0, "{}", alive.stderr);
    // Else a secret that is being replaced has an orchestrator kill a proxy in health.
    for (name, value) in [
        ("PROXY_TOKENS", ""),
        ("PROXY_TOKENS", "short"),
        ("PROXY_TOKENS_FILE", "/nowhere/tokens"),
        ("UPSTREAM_CA", "/nowhere/ca.pem"),
        ("TLS_CERT", "/nowhere/cert.pem"),
    ] {
        let other = check(&[("HOST", "0.0.0.0"), ("PORT", &port), (name, value)]);
        assert_eq!(other.code, 0, "{name}: {}", other.stderr);
    }
    assert_eq!(nobody.code, 69, "{}", nobody.stderr);
    assert!(nobody.stderr.contains("127.0.0.1:1"), "{}", nobody.stderr);
    assert_eq!(variables(&faulty), ["PORT"]);
}

/// Something else on the port is not this proxy in health.
#[test]
fn healthcheck_is_not_satisfied_by_any_answer() {
    let other = crate::support::Upstream::start(|_| crate::support::Reply::text(503, "no"));
    let port = other.addr().port().to_string();

    let checked = Proxy::setup().arg("healthcheck").set("PORT", &port).run();

    assert_eq!(checked.code, 69);
    assert_eq!(other.requests()[0].target, "/health");
}

/// Settings that would be wrong to ignore are refused, the others are named in a warning.
#[test]
fn variables_of_later_versions_are_not_silently_ignored() {
    let later = [
        ("TLS_CERT", "/etc/cert.pem"),
        ("UPSTREAM_PROXY", "http://proxy.example:3128"),
    ];
    assert_eq!(
        variables(&Proxy::refused(&later)),
        ["TLS_CERT", "UPSTREAM_PROXY"]
    );

    let proxy = Proxy::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")]);
    let warnings: Vec<String> = proxy
        .logs()
        .iter()
        .filter(|event| event["level"] == "WARN")
        .map(|event| log_message(event).to_owned())
        .collect();
    assert!(
        warnings
            .iter()
            .any(|line| line.contains("OTEL_EXPORTER_OTLP_ENDPOINT")),
        "{warnings:?}"
    );
}
