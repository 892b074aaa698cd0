//! The layers (style, section 3), read from the sources: who may use whom, what stays pure, and how long things get.
//!
//! One package cannot make the compiler hold this line, so this table does. A scan of the text is enough: comments,
//! literals and test code are blanked first.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What a layer, a folder or a file of `src`, may name.
struct Layer {
    name: &'static str,
    /// Modules of ours, beside its own.
    ours: &'static [&'static str],
    crates: &'static [&'static str],
}

/// From the edge to the leaves.
const LAYERS: &[Layer] = &[
    Layer {
        name: "main",
        ours: &["cli", "env"],
        crates: &["mimalloc"],
    },
    Layer {
        name: "lib",
        ours: &[],
        crates: &[],
    },
    Layer {
        name: "cli",
        ours: &[
            "app",
            "backends",
            "clock",
            "config",
            "dispatch",
            "domain",
            "env",
            "http",
            "inbound",
            "telemetry",
        ],
        crates: &[
            "actix_web",
            "clap",
            "clap_complete",
            "envconfig",
            "futures_util",
            "http",
            "serde_json",
            "tokio",
            "tracing",
            "zip",
        ],
    },
    Layer {
        name: "app",
        ours: &["clock", "config", "dispatch", "http", "outbox", "telemetry"],
        crates: &[
            "actix_server",
            "actix_web",
            "futures_util",
            "prometheus",
            "thiserror",
            "tokio",
            "tracing",
        ],
    },
    Layer {
        name: "config",
        ours: &["backends", "dispatch", "domain", "env", "http", "telemetry"],
        crates: &["envconfig"],
    },
    // The only layer that knows actix-web as a server.
    Layer {
        name: "http",
        ours: &[
            "backends",
            "clock",
            "dispatch",
            "domain",
            "env",
            "inbound",
            "outbox",
            "telemetry",
        ],
        crates: &[
            "actix_http",
            "actix_server",
            "actix_service",
            "actix_web",
            "base64",
            "bytes",
            "envconfig",
            "futures_util",
            "governor",
            "http",
            "itoa",
            "memchr",
            "serde",
            "serde_json",
            "sha2",
            "thiserror",
            "time",
            "tokio",
            "tracing",
            "tracing_actix_web",
        ],
    },
    // The only layer with an outgoing client. It knows nothing of HTTP as a server.
    Layer {
        name: "dispatch",
        ours: &[
            "backends",
            "clock",
            "domain",
            "env",
            "inbound",
            "outbox",
            "telemetry",
        ],
        crates: &[
            "actix_service",
            "actix_tls",
            "awc",
            "bytes",
            "envconfig",
            "futures_util",
            "http",
            "httpdate",
            "httparse",
            "itoa",
            "memchr",
            "rustls",
            "serde",
            "serde_json",
            "sha2",
            "thiserror",
            "tokio",
            "tracing",
            "webpki_roots",
        ],
    },
    // Touches the disk and nothing else; a post is bytes to it.
    Layer {
        name: "outbox",
        ours: &["clock", "domain"],
        crates: &[
            "rusqlite",
            "serde_json",
            "sha2",
            "thiserror",
            "tokio",
            "tracing",
        ],
    },
    // Lent a wire, so without a client, a clock or a runtime; `tokio::sync` is the exception below.
    Layer {
        name: "backends",
        ours: &["domain", "env"],
        crates: &[
            "base64",
            "bytes",
            "envconfig",
            "futures_util",
            "http",
            "itoa",
            "percent_encoding",
            "serde",
            "serde_json",
            "thiserror",
            "tokio",
            "unicode_segmentation",
        ],
    },
    Layer {
        name: "telemetry",
        ours: &["clock", "domain", "env"],
        crates: &[
            "envconfig",
            "itoa",
            "prometheus",
            "time",
            "tracing",
            "tracing_subscriber",
        ],
    },
    // Pure: a request and what verifies it in, a verdict out.
    Layer {
        name: "inbound",
        ours: &["domain"],
        crates: &[
            "base64",
            "hmac",
            "jsonwebtoken",
            "ring",
            "serde",
            "serde_json",
            "sha2",
            "subtle",
            "thiserror",
        ],
    },
    // Pure: values in, values out.
    Layer {
        name: "domain",
        ours: &[],
        crates: &[
            "base64",
            "hmac",
            "http",
            "memchr",
            "percent_encoding",
            "ring",
            "serde",
            "serde_json",
            "sha2",
            "subtle",
            "thiserror",
            "unicode_segmentation",
            "uuid",
        ],
    },
    Layer {
        name: "env",
        ours: &[],
        crates: &["envconfig", "rlimit"],
    },
    Layer {
        name: "clock",
        ours: &[],
        crates: &["ring", "thiserror"],
    },
];

/// What touches the world, and the only places that may.
const EFFECTS: &[(&str, &[&str])] = &[
    ("env::var", &["env.rs"]),
    ("env::var_os", &["env.rs"]),
    ("rlimit::", &["env/files.rs"]),
    ("env::vars", &["env.rs"]),
    ("env::vars_os", &["env.rs"]),
    ("env::set_var", &[]),
    ("env::args", &["main.rs"]),
    ("env::args_os", &["main.rs"]),
    ("Instant::now", &["clock.rs"]),
    ("SystemTime::now", &["clock.rs"]),
    ("awc::Client", &["dispatch/relay/client.rs"]),
    ("Client::builder", &["dispatch/relay/client.rs"]),
    ("Client::default", &[]),
    ("Connection::open_with_flags", &["outbox/sqlite/open.rs"]),
    (
        "thread::Builder",
        &["app/threads.rs", "outbox/store.rs", "telemetry/sink.rs"],
    ),
    ("SystemRandom", &["clock.rs"]),
    ("realip_remote_addr", &[]),
    ("thread::sleep", &[]),
    ("todo!", &[]),
    ("unimplemented!", &[]),
    ("dbg!", &[]),
    ("println!", &[]),
    ("print!", &[]),
    ("eprintln!", &[]),
    ("eprint!", &[]),
];

/// What makes a layer impure.
const IMPURE: &[&str] = &[
    "async ",
    ".await",
    "std::fs",
    "std::env",
    "std::net::Tcp",
    "std::net::Udp",
    "ToSocketAddrs",
    "std::process",
    "std::thread",
    "std::io",
    "Instant::now",
    "SystemTime",
];

const MAX_FILE_LINES: usize = 450;
/// A screen; the table of Slack's codes is the longest.
const MAX_FUNCTION_LINES: usize = 90;

/// A file of `src`.
pub struct Source {
    /// Below `src`, with `/`.
    pub path: String,
    pub text: String,
    /// The text without comments, literals and test code.
    code: String,
}

impl Source {
    fn layer(&self) -> &str {
        let first = self.path.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How many modules it is below the root: `domain/mod.rs` is 1, `domain/x.rs` is 2.
    fn depth(&self) -> usize {
        let is_folder = self.path.ends_with("/mod.rs");
        self.path.split('/').count() - usize::from(is_folder)
    }

    pub fn is_test(&self) -> bool {
        self.code.is_empty()
    }
}

/// Every file of `src`; those that exist only for tests have no code.
pub fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    let mut sources: Vec<Source> = files
        .iter()
        .map(|file| {
            let path = file.strip_prefix(&root).unwrap();
            let text = fs::read_to_string(file).unwrap();
            Source {
                path: path.to_str().unwrap().replace('\\', "/"),
                code: without_tests(&blanked(&text)),
                text,
            }
        })
        .collect();
    let tests: BTreeSet<String> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        let module = source.path.trim_end_matches(".rs").to_owned();
        if tests
            .iter()
            .any(|test| module == *test || module.starts_with(&format!("{test}/")))
        {
            source.code.clear();
        }
    }
    sources
}

fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The paths of modules declared by `#[cfg(test)] mod name;`.
fn test_modules(source: &Source) -> Vec<String> {
    let folder = match source.path.strip_suffix("/mod.rs") {
        Some(folder) => folder,
        None => source.path.trim_end_matches(".rs"),
    };
    let blanked = blanked(&source.text);
    let after = blanked.split("#[cfg(test)]").skip(1);
    after
        .filter_map(|rest| {
            let (name, _) = rest.trim_start().strip_prefix("mod ")?.split_once(';')?;
            let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
            is_name.then(|| format!("{folder}/{name}"))
        })
        .collect()
}

/// The text with comments and the contents of literals taken out; lines stay.
fn blanked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let inside_name = out.ends_with(is_name_char);
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(body) = rest.strip_prefix("/*") {
            body.find("*/").map_or(rest.len(), |end| end + 4)
        } else if let Some(raw) = raw_string(rest).filter(|_| !inside_name) {
            raw
        } else if c == '"' {
            end_of_string(rest)
        } else if c == '\'' {
            char_literal(rest)
        } else {
            0
        };
        if skipped == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            out.push(' ');
            out.extend(rest[..skipped].chars().filter(|&c| c == '\n'));
            rest = &rest[skipped..];
        }
    }
    out
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn raw_string(rest: &str) -> Option<usize> {
    let open = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r')?;
    let hashes = open.len() - open.trim_start_matches('#').len();
    let body = open[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&close).map_or(body.len(), |at| at + close.len());
    Some(rest.len() - body.len() + end)
}

fn end_of_string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    rest.len()
}

/// The length of a character literal, 0 for a lifetime.
fn char_literal(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => rest[2..].find('\'').map_or(0, |end| {
            // '\'' has its end one later.
            if end == 0 { 4 } else { end + 3 }
        }),
        Some(_) => chars
            .next()
            .filter(|&(_, c)| c == '\'')
            .map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

/// Blanked code without what `#[cfg(test)]` marks.
fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some((before, after)) = rest.split_once("#[cfg(test)]") {
        out.push_str(before);
        let end = after.find(['{', ';']).unwrap_or(after.len());
        let item = if after[end..].starts_with('{') {
            end + braces(&after[end..])
        } else {
            (end + 1).min(after.len())
        };
        out.extend(after[..item].chars().filter(|&c| c == '\n'));
        rest = &after[item..];
    }
    out.push_str(rest);
    out
}

/// The length of the block that `text` begins with.
fn braces(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// The first segments of all paths `prefix::segment` in blanked code.
fn segments<'c>(code: &'c str, prefix: &str) -> BTreeSet<&'c str> {
    let path = format!("{prefix}::");
    let at = code.match_indices(&path).map(|(at, _)| at);
    at.filter(|&at| !code[..at].ends_with(|c| is_name_char(c) || c == ':'))
        .map(|at| {
            let rest = &code[at + path.len()..];
            &rest[..rest.find(|c| !is_name_char(c)).unwrap_or(rest.len())]
        })
        .collect()
}

/// Name and length in lines of every function with a body.
fn functions(code: &str) -> Vec<(&str, usize)> {
    let starts = code.match_indices("fn ").map(|(at, _)| at);
    starts
        .filter(|&at| !code[..at].ends_with(is_name_char))
        .filter_map(|at| {
            let rest = &code[at + 3..];
            let name = &rest[..rest.find(|c| !is_name_char(c))?];
            let end = rest.find(['{', ';'])?;
            let has_body = !name.is_empty() && rest[end..].starts_with('{');
            let block = &rest[..end + braces(&rest[end..])];
            has_body.then(|| (name, block.lines().count()))
        })
        .collect()
}

/// The dependencies of the program, as they are written in code.
fn dependencies() -> Vec<String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest = fs::read_to_string(manifest).unwrap();
    let (_, rest) = manifest.split_once("\n[dependencies]\n").unwrap();
    let section = rest.split("\n[").next().unwrap();
    let names = section
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "));
    names.map(|(name, _)| name.replace('-', "_")).collect()
}

#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_layer_uses_only_what_the_table_allows() {
    let dependencies = dependencies();
    let mut faults = Vec::new();

    for source in sources().iter().filter(|source| !source.is_test()) {
        let Some(layer) = LAYERS.iter().find(|layer| layer.name == source.layer()) else {
            faults.push(format!("{}: no row of LAYERS", source.path));
            continue;
        };
        let ours: BTreeSet<&str> = segments(&source.code, "crate")
            .into_iter()
            .chain(segments(&source.code, "message_webhook_proxy"))
            .collect();
        // A group would hide its modules from this scan.
        let grouped = ours.contains("");
        faults.extend(grouped.then(|| format!("{}: crate::{{…}}", source.path)));
        for module in ours.iter().filter(|module| !module.is_empty()) {
            if *module != layer.name && !layer.ours.contains(module) {
                faults.push(format!("{}: crate::{module}", source.path));
            }
        }
        for name in &dependencies {
            // Where our own `http` was imported, the bare word means that.
            let is_ours = name == "http" && ours.contains("http");
            let is_used = !segments(&source.code, name).is_empty();
            if is_used && !is_ours && !layer.crates.contains(&name.as_str()) {
                faults.push(format!("{}: {name}::", source.path));
            }
        }
    }

    none(&faults);
}

#[test]
fn no_file_reaches_the_root_by_way_of_super() {
    let mut faults = Vec::new();

    for source in sources().iter().filter(|source| !source.is_test()) {
        let to_root = "super::".repeat(source.depth());
        if source.code.contains(&to_root) {
            faults.push(format!("{}: {to_root}", source.path));
        }
    }

    none(&faults);
}

#[test]
fn the_domain_and_what_verifies_are_pure() {
    let mut faults = Vec::new();

    for source in sources()
        .iter()
        .filter(|s| matches!(s.layer(), "domain" | "inbound"))
    {
        let found = IMPURE.iter().filter(|word| source.code.contains(**word));
        faults.extend(found.map(|word| format!("{}: {word}", source.path)));
    }

    none(&faults);
}

/// A backend is lent a wire: no socket, no clock, no runtime but the lock that shares a token.
#[test]
fn backends_do_nothing_to_the_world_themselves() {
    let forbidden = [
        "std::net::Tcp",
        "std::fs",
        "std::env",
        "std::thread",
        "std::process",
        "tracing::",
        "spawn(",
    ];
    let mut faults = Vec::new();

    for source in sources().iter().filter(|s| s.layer() == "backends") {
        let found = forbidden.iter().filter(|word| source.code.contains(**word));
        faults.extend(found.map(|word| format!("{}: {word}", source.path)));
        let runtime = segments(&source.code, "tokio");
        let allowed: &[&str] = match source.path.as_str() {
            "backends/teams/token.rs" => &["sync"],
            _ => &[],
        };
        let beyond = runtime.iter().filter(|part| !allowed.contains(part));
        faults.extend(beyond.map(|part| format!("{}: tokio::{part}", source.path)));
    }

    none(&faults);
}

/// Adding a platform is one folder; taking one away must not break another.
#[test]
fn platforms_do_not_know_each_other() {
    let platforms = ["mattermost", "slack", "teams"];
    let mut faults = Vec::new();

    for source in sources().iter().filter(|s| !s.is_test()) {
        let own = source.path.strip_prefix("backends/").unwrap_or_default();
        let inside = own.split('/').next().unwrap_or_default();
        for other in platforms.iter().filter(|name| **name != inside) {
            let named = segments(&source.code, "backends").contains(other)
                || segments(&source.code, "crate::backends").contains(other);
            if named {
                faults.push(format!("{}: backends::{other}", source.path));
            }
        }
    }

    none(&faults);
}

#[test]
fn the_world_is_touched_in_its_places_alone() {
    let mut faults = Vec::new();

    for source in sources().iter().filter(|s| !s.is_test()) {
        for (effect, places) in EFFECTS {
            let starts = source.code.match_indices(effect).map(|(at, _)| at);
            // `println!` is not also `print!`, nor `vars` also `var`.
            let is_whole = |at: &usize| {
                let after = &source.code[at + effect.len()..];
                !source.code[..*at].ends_with(is_name_char)
                    && (effect.ends_with('!') || !after.starts_with(is_name_char))
            };
            if !places.contains(&source.path.as_str()) && starts.filter(is_whole).count() > 0 {
                faults.push(format!("{}: {effect}", source.path));
            }
        }
    }

    none(&faults);
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path)
        .collect();

    none(&silent);
}

#[test]
fn files_and_functions_stay_short() {
    let mut faults = Vec::new();

    for source in sources() {
        let lines = source.text.lines().count();
        if lines > MAX_FILE_LINES {
            faults.push(format!("{}: {lines} lines", source.path));
        }
        for (name, lines) in functions(&source.code) {
            if lines > MAX_FUNCTION_LINES {
                faults.push(format!("{}: fn {name} has {lines} lines", source.path));
            }
        }
    }

    none(&faults);
}

/// The scan itself: what it must see, and what it must not.
#[test]
fn the_scan_sees_code_and_nothing_else() {
    let text = "//! crate::a\nuse crate::b::X; // crate::c\nlet s = \"crate::d\\\"\"; let r = r#\"crate::e\"#;\n\
        fn f<'a>(c: char) -> bool {\n    c == '\"' || c == '\\'' || crate::g::h('x')\n}\n\
        #[cfg(test)]\nmod tests {\n    use crate::i;\n    fn j() { }\n}\n#[cfg(test)]\nmod k;\nuse crate::l;";

    let code = without_tests(&blanked(text));

    let seen: Vec<&str> = segments(&code, "crate").into_iter().collect();
    assert_eq!(seen, ["b", "g", "l"]);
    assert_eq!(functions(&code), [("f", 3)]);
    assert_eq!(code.lines().count(), text.lines().count());
    let layers: BTreeSet<String> = sources().iter().map(|s| s.layer().to_owned()).collect();
    let known: BTreeSet<String> = LAYERS.iter().map(|l| l.name.to_owned()).collect();
    assert_eq!(layers, known);
    let dependencies = dependencies();
    for layer in LAYERS {
        for name in layer.crates {
            assert!(dependencies.iter().any(|known| known == name), "{name}");
        }
    }
}
