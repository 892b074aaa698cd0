//! The files a platform reads to run the program agree with each other and with the program: one binary name,
//! one port, variables that exist, an outbox where it lasts, and no secret.

use std::collections::{BTreeMap, BTreeSet};

use message_webhook_proxy::{config, env::Var};

const BINARY: &str = env!("CARGO_PKG_NAME");
const IN_IMAGE: &str = concat!("/usr/local/bin/", env!("CARGO_PKG_NAME"));

const DOCKERFILE: &str = include_str!("../../Dockerfile");
const DOCKERIGNORE: &str = include_str!("../../.dockerignore");
const IGNORED: &str = include_str!("../../.gitignore");
const HEROKU: &str = include_str!("../../heroku.yml");
const PROCFILE: &str = include_str!("../../Procfile");
const APP_JSON: &str = include_str!("../../app.json");
const UNIT: &str = include_str!("../../deploy/message-webhook-proxy.service");
const COMPOSE: &str = include_str!("../../deploy/compose.yaml");

/// The program's own table of variables.
fn variables() -> Vec<&'static Var> {
    config::all_vars().collect()
}

/// A Dockerfile's instructions, continued lines joined and comments dropped.
fn dockerfile() -> Vec<(&'static str, String)> {
    let lines: Vec<&'static str> = DOCKERFILE
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let mut instructions: Vec<(&'static str, String)> = Vec::new();
    let mut continues = false;
    for line in lines {
        let text = line.trim_end_matches('\\').trim_end();
        if continues {
            let last = instructions.last_mut().unwrap();
            last.1 = format!("{} {text}", last.1);
        } else {
            let (word, rest) = text.split_once(' ').unwrap();
            instructions.push((word, rest.trim().to_owned()));
        }
        continues = line.ends_with('\\');
    }
    instructions
}

/// The instructions of the last stage: what is in the image.
fn image() -> Vec<(&'static str, String)> {
    let all = dockerfile();
    let from = all.iter().rposition(|(word, _)| *word == "FROM").unwrap();
    all[from..].to_vec()
}

/// The one instruction of that name in the last stage.
#[track_caller]
fn in_image(name: &str) -> String {
    let found: Vec<String> = image()
        .into_iter()
        .filter(|(word, _)| *word == name)
        .map(|(_, rest)| rest)
        .collect();
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0].clone()
}

fn image_environment() -> BTreeMap<String, String> {
    image()
        .into_iter()
        .filter(|(word, _)| *word == "ENV")
        .flat_map(|(_, rest)| {
            rest.split_whitespace()
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The exec form: a JSON array of strings. The shell form is none, and fails here.
#[track_caller]
fn exec_form(text: &str) -> Vec<String> {
    serde_json::from_str(text)
        .unwrap_or_else(|e| panic!("`{text}` is not in exec form, and the image has no shell: {e}"))
}

/// Dotted path and value of each scalar of a YAML file of block mappings and block lists: all ours have.
fn yaml(text: &str) -> Vec<(String, String)> {
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        open.retain(|(depth, _)| *depth < indent);
        let path = |last: &str| {
            let keys: Vec<&str> = open.iter().map(|(_, key)| key.as_str()).collect();
            [keys.join("."), last.to_owned()].join(".")
        };
        if let Some(item) = content.strip_prefix("- ") {
            found.push((path("-"), item.trim_matches('"').to_owned()));
        } else if let Some((key, value)) = content.split_once(": ") {
            found.push((path(key), value.trim().trim_matches('"').to_owned()));
        } else {
            let key = content.strip_suffix(':').expect("a key or an item");
            open.push((indent, key.to_owned()));
        }
    }
    found
        .into_iter()
        .map(|(path, value)| (path.trim_start_matches('.').to_owned(), value))
        .collect()
}

/// The values under a path.
fn yaml_at(text: &str, path: &str) -> Vec<String> {
    yaml(text)
        .into_iter()
        .filter(|(at, _)| at == path)
        .map(|(_, value)| value)
        .collect()
}

/// `key=value` lines of the systemd unit, in order.
fn unit() -> Vec<(&'static str, &'static str)> {
    UNIT.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .collect()
}

fn in_unit(key: &str) -> Vec<&'static str> {
    unit()
        .into_iter()
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value)
        .collect()
}

fn compose(field: &str) -> Vec<String> {
    yaml_at(COMPOSE, &format!("services.{BINARY}.{field}"))
}

fn app_environment() -> serde_json::Map<String, serde_json::Value> {
    let app: serde_json::Value = serde_json::from_str(APP_JSON).unwrap();
    app["env"].as_object().unwrap().clone()
}

/// File, variable and value of everything these files put into the program's environment.
fn environment() -> Vec<(&'static str, String, String)> {
    let mut found = Vec::new();
    for (name, value) in image_environment() {
        found.push(("Dockerfile", name, value));
    }
    for (name, entry) in app_environment() {
        let value = entry["value"].as_str().unwrap_or_default().to_owned();
        found.push(("app.json", name, value));
    }
    for pair in in_unit("Environment") {
        let (name, value) = pair.split_once('=').unwrap();
        found.push(("systemd unit", name.to_owned(), value.to_owned()));
    }
    let prefix = format!("services.{BINARY}.environment.");
    for (path, value) in yaml(COMPOSE) {
        if let Some(name) = path.strip_prefix(&prefix) {
            found.push(("compose.yaml", name.to_owned(), value));
        }
    }
    found
}

#[test]
fn every_file_starts_the_same_binary() {
    assert_eq!(exec_form(&in_image("ENTRYPOINT")), [IN_IMAGE]);
    assert_eq!(exec_form(&in_image("CMD")), ["serve"]);
    assert_eq!(
        PROCFILE.trim_end(),
        format!("web: HOST=${{HOST:-0.0.0.0}} {BINARY} serve")
    );
    assert_eq!(in_unit("ExecStart"), [format!("{IN_IMAGE} serve")]);
    assert_eq!(compose("image"), [BINARY]);

    let app: serde_json::Value = serde_json::from_str(APP_JSON).unwrap();
    assert_eq!(app["name"], BINARY);
    assert_eq!(app["stack"], "container");
    assert_eq!(app["formation"]["web"]["quantity"], 1);
}

/// G3
#[test]
fn the_image_is_built_from_the_lock_file() {
    let builds: Vec<String> = dockerfile()
        .into_iter()
        .filter(|(word, rest)| *word == "RUN" && rest.contains("cargo build"))
        .map(|(_, rest)| rest)
        .collect();
    assert_eq!(builds.len(), 2, "the dependencies, then the program");
    for build in builds {
        let wanted = format!("cargo build --release --locked --bin {BINARY}");
        assert!(build.contains(&wanted), "{build}");
    }

    let manifest = include_str!("../../Cargo.toml");
    let oldest = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap()
        .trim_matches('"');
    let builder = dockerfile()
        .into_iter()
        .find_map(|(word, rest)| (word == "FROM").then_some(rest))
        .unwrap();
    let minor = |version: &str| version.split('.').nth(1).unwrap().parse::<u32>().unwrap();
    let tag = builder.strip_prefix("rust:").expect("the official image");
    let tag = tag.split('-').next().unwrap();
    assert!(minor(tag) >= minor(oldest), "{builder} for {oldest}");
}

#[test]
fn heroku_starts_the_image_without_a_shell() {
    assert_eq!(yaml_at(HEROKU, "build.docker.web"), ["Dockerfile"]);
    let run: Vec<(String, String)> = yaml(HEROKU)
        .into_iter()
        .filter(|(path, _)| path.starts_with("run"))
        .collect();
    assert!(run.is_empty(), "it would go through a shell: {run:?}");
}

#[test]
fn the_container_listens_on_every_address_and_the_default_port() {
    let environment = image_environment();
    assert_eq!(environment["HOST"], "0.0.0.0");

    let port = variables()
        .into_iter()
        .find(|var| var.name == "PORT")
        .expect("PORT is a variable of the program")
        .default;
    assert_eq!(environment["PORT"], port);
    assert_eq!(in_image("EXPOSE"), port);
    assert_eq!(compose("ports.-"), [format!("127.0.0.1:{port}:{port}")]);
    assert!(in_unit("Environment").contains(&format!("PORT={port}").as_str()));
}

/// A router reaches a dyno from outside, so on loopback it would never be up; who sets HOST has thought of it.
#[test]
fn the_procfile_listens_where_a_router_reaches_it() {
    let command = PROCFILE.trim_end().strip_prefix("web: ").unwrap();
    let settings = command.strip_suffix(&format!("{BINARY} serve")).unwrap();
    let host = |env: &[(&str, &str)]| {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("{settings} printenv HOST")]);
        let said = shell.env_remove("HOST").envs(env.iter().copied()).output();
        String::from_utf8(said.unwrap().stdout).unwrap()
    };

    assert_eq!(host(&[]), "0.0.0.0\n");
    assert_eq!(host(&[("HOST", "::")]), "::\n");
}

#[test]
fn every_variable_named_is_a_variable_of_the_program() {
    let known: BTreeSet<String> = variables()
        .into_iter()
        .flat_map(|var| {
            let file = var.secret.then(|| format!("{}_FILE", var.name));
            [Some(var.name.to_owned()), file].into_iter().flatten()
        })
        .collect();
    let named = environment();
    assert!(named.len() > 10, "{named:?}");
    for (file, name, _) in named {
        assert!(known.contains(&name), "{file}: {name}");
    }
}

/// G2
#[test]
fn no_file_holds_a_secret() {
    let secrets: BTreeSet<&str> = variables()
        .into_iter()
        .filter(|var| var.secret)
        .map(|var| var.name)
        .collect();
    for (file, name, value) in environment() {
        // A file's path is no secret; DATABASE_URL counts as one because others would hold a password.
        let is_path = value.starts_with("sqlite:");
        assert!(
            !secrets.contains(name.as_str()) || value.is_empty() || is_path,
            "{file}: {name}"
        );
    }
    assert_eq!(app_environment()["PROXY_TOKENS"]["generator"], "secret");

    // What is long, and has letters and digits, is likely a credential whatever its variable is called.
    for text in [
        DOCKERFILE,
        DOCKERIGNORE,
        HEROKU,
        PROCFILE,
        APP_JSON,
        UNIT,
        COMPOSE,
    ] {
        for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
            let random = word.len() >= 20
                && word.bytes().any(|b| b.is_ascii_digit())
                && word.bytes().any(|b| b.is_ascii_alphabetic());
            assert!(!random, "{word}");
        }
    }
}

/// G2: what is beside the sources cannot get into a layer.
#[test]
fn the_build_context_is_an_allow_list() {
    let mut rules = DOCKERIGNORE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(rules.next(), Some("*"));
    let allowed: Vec<&str> = rules.map(|rule| rule.strip_prefix('!').unwrap()).collect();

    let copied = dockerfile()
        .into_iter()
        .filter(|(word, rest)| *word == "COPY" && !rest.starts_with("--from"));
    for (_, rest) in copied {
        let mut sources: Vec<&str> = rest.split_whitespace().collect();
        sources.pop();
        for source in sources {
            assert!(allowed.contains(&source), "{source} is not in the context");
        }
    }
}

/// G4
#[test]
fn the_container_is_not_root_and_needs_no_shell() {
    let user = in_image("USER");
    for id in user.split(':') {
        assert_ne!(id.parse::<u32>().expect("a number, for runAsNonRoot"), 0);
    }
    assert_eq!(compose("user"), [user]);

    let (_, check) = image()
        .into_iter()
        .find(|(word, _)| *word == "HEALTHCHECK")
        .unwrap();
    let (_, check) = check.split_once("CMD ").unwrap();
    assert_eq!(exec_form(check), [IN_IMAGE, "healthcheck"]);
    assert_eq!(
        exec_form(&compose("healthcheck.test")[0]),
        ["CMD", IN_IMAGE, "healthcheck"]
    );

    for (word, rest) in image() {
        assert!(!matches!(word, "RUN" | "SHELL"), "{word} {rest}");
    }
    assert!(in_image("FROM").contains("distroless"));

    // Heroku builds with the classic builder, which knows neither.
    for (word, rest) in dockerfile() {
        assert!(
            !rest.contains("--mount") && !rest.contains("--chmod="),
            "{word} {rest}"
        );
    }
}

/// G4
#[test]
fn compose_and_systemd_confine_the_program() {
    assert_eq!(compose("read_only"), ["true"]);
    assert_eq!(compose("cap_drop.-"), ["ALL"]);
    assert_eq!(compose("security_opt.-"), ["no-new-privileges:true"]);
    assert_eq!(compose("ulimits.core"), ["0"]);

    for (key, value) in [
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("StateDirectory", BINARY),
        ("StateDirectoryMode", "0700"),
        ("KillSignal", "SIGTERM"),
        ("LimitCORE", "0"),
    ] {
        assert_eq!(in_unit(key), [value], "{key}");
    }
    for (file, name, value) in environment() {
        let Some(secret) = name.strip_suffix("_FILE").filter(|_| file != "app.json") else {
            continue;
        };
        let mounted = value.rsplit('/').next().unwrap();
        let given = match file {
            "systemd unit" => in_unit("LoadCredential")
                .iter()
                .any(|credential| credential.starts_with(&format!("{mounted}:"))),
            _ => compose("secrets.-").iter().any(|name| name == mounted),
        };
        assert!(
            given,
            "{file}: {secret} is read from a file nobody provides"
        );
    }
}

/// What each file says of where the outbox is.
fn database() -> BTreeMap<&'static str, String> {
    environment()
        .into_iter()
        .filter(|(_, name, _)| name == "DATABASE_URL")
        .map(|(file, _, value)| (file, value))
        .collect()
}

/// The folder of a `sqlite:` path.
#[track_caller]
fn folder_of(url: &str) -> &str {
    let path = url.strip_prefix("sqlite:").expect("a file");
    path.rsplit_once('/').expect("an absolute path").0
}

#[test]
fn every_outbox_is_in_a_place_that_is_writable_and_lasts() {
    let database = database();

    // The default of the image is relative to a folder that every user id may write.
    let data = in_image("WORKDIR");
    let made = dockerfile()
        .into_iter()
        .any(|(word, rest)| word == "RUN" && rest.contains(&format!("chmod 1777 /image{data}")));
    assert!(made, "{data}");

    let mounted: Vec<String> = compose("volumes.-");
    let (volume, target) = mounted[0].split_once(':').unwrap();
    assert_eq!(folder_of(&database["compose.yaml"]), target);
    assert_eq!(target, data, "else its mode is not the image's");
    assert!(COMPOSE.contains(&format!("\nvolumes:\n  {volume}:\n")));

    let state = in_unit("StateDirectory");
    let unit = folder_of(&database["systemd unit"]);
    assert_eq!(unit, format!("%S/{}", state[0]));
    assert_eq!(in_unit("WorkingDirectory"), [unit]);
}

#[test]
fn heroku_has_no_outbox() {
    let database = database();

    // The image and the button are all that Heroku reads; with a path of theirs it would promise on a disk that is wiped.
    for file in ["Dockerfile", "app.json"] {
        assert_eq!(database.get(file), None, "{file}");
    }
    let app: serde_json::Value = serde_json::from_str(APP_JSON).unwrap();
    assert_eq!(app.get("addons"), None, "Postgres would set DATABASE_URL");
}

#[test]
fn no_file_of_the_outbox_is_committed() {
    let default = variables()
        .into_iter()
        .find(|var| var.name == "DATABASE_URL")
        .unwrap()
        .default;
    assert!(default.starts_with("sqlite:message-webhook-proxy.db "));

    for ending in ["*.db", "*.db-wal", "*.db.reserve"] {
        assert!(IGNORED.lines().any(|line| line == ending), "{ending}");
    }
}

#[test]
fn who_stops_it_waits_longer_than_its_grace() {
    let seconds = |text: &str| text.trim_end_matches('s').parse::<u32>().unwrap();
    let grace = variables()
        .into_iter()
        .find(|var| var.name == "SHUTDOWN_GRACE")
        .unwrap()
        .default;

    for given in [
        compose("stop_grace_period")[0].as_str(),
        in_unit("TimeoutStopSec")[0],
    ] {
        assert!(seconds(given) > seconds(grace), "{given} for {grace}");
    }
}
