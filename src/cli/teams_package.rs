//! `teams-package`: the app package that a person uploads to Teams. It writes one file, and asks Microsoft nothing.

use std::fs::{self, OpenOptions};
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use envconfig::Envconfig;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::named::{self, Host};
use super::{Exit, Fault, print};
use crate::config;
use crate::domain::guid::is_guid;
use crate::env::{Env, Faults, Reader};
use crate::inbound::Source;

pub(super) const NAME: &str = "teams-package";

const APP_ID: &str = "TEAMS_APP_ID";

/// `name.short`: reference/teams.md 6.2, checked 2026-11-21.
const MAX_NAME_CHARS: usize = 30;

/// 192x192, the symbol 96x96 on a solid square: reference/teams.md 6.1, checked 2026-11-21.
const COLOR: &[u8] = include_bytes!("icons/color.png");
/// 32x32, only white and fully transparent: as above.
const OUTLINE: &[u8] = include_bytes!("icons/outline.png");

#[derive(Envconfig, Default)]
struct Vars {
    #[envconfig(from = "TEAMS_APP_ID")]
    app_id: Option<String>,
}

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Write the app package of a Teams bot for this proxy")
        .arg(named::host_arg())
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FILE.zip")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The file to write; one that is there is replaced"),
        )
        .arg(
            Arg::new("app-id")
                .long("app-id")
                .value_name("GUID")
                .help("The bot's application (client) id; without it TEAMS_APP_ID"),
        )
        .arg(named::name_arg())
        .after_help(
            "Example:\n  message-webhook-proxy teams-package --host proxy.example.org --out proxy.zip \\\n    \
             --app-id aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee\n\n\
             Upload it in Teams under Apps, Manage your apps, Upload an app.",
        )
}

/// Writes the package, and says what to do with it.
pub(super) fn run(arguments: &ArgMatches, env: Env) -> Result<Exit, Fault> {
    let host = named::host(arguments).map_err(Fault::usage)?;
    let name = named::name(arguments, MAX_NAME_CHARS).map_err(Fault::usage)?;
    let app_id = match arguments.get_one::<String>("app-id") {
        Some(text) => {
            parse_app_id(text).map_err(|line| Fault::usage(format!("--app-id: {line}")))?
        }
        None => configured_app_id(env).map_err(|line| Fault::Line(Exit::Configuration, line))?,
    };
    let out = arguments.get_one::<PathBuf>("out");
    let out = out.ok_or_else(|| Fault::usage("--out: expected a file"))?;

    let manifest = format!("{:#}\n", manifest(&host, name, &app_id));
    let unavailable =
        |line: String| Fault::Line(Exit::Unavailable, format!("{}: {line}", out.display()));
    let package = pack(&manifest).map_err(|error| unavailable(error.to_string()))?;
    replace(out, &package).map_err(unavailable)?;
    Ok(print(&format!(
        "{} is written. Upload it in Teams under Apps, Manage your apps, Upload an app.\n\
         The Azure Bot's messaging endpoint is {}\n",
        out.display(),
        host.url(Source::Teams.path())
    )))
}

fn configured_app_id(mut env: Env) -> Result<String, String> {
    let mut faults = Faults::default();
    env.settle(
        config::all_vars().filter(|var| var.name == APP_ID),
        &mut faults,
    );
    let mut reader = Reader::new(&env, faults);
    let vars: Vars = reader.vars();
    let app_id = reader.value(APP_ID, vars.app_id.as_deref(), None, |text| {
        parse_app_id(text).map(Some)
    });
    let faults = reader.finish();
    match faults.lines().first() {
        Some(line) => Err(line.clone()),
        None => app_id.ok_or_else(|| {
            format!("{APP_ID} is not set; set it to the bot's application (client) id, or write --app-id GUID")
        }),
    }
}

fn parse_app_id(text: &str) -> Result<String, &'static str> {
    is_guid(text).then(|| text.to_ascii_lowercase()).ok_or(
        "expected the application (client) id of the app registration, a GUID such as \
         aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    )
}

/// Manifest 1.19, the last before the fields for copilots, without what a bot that only posts and listens does not
/// need: reference/teams.md 6.2, checked 2026-11-21. `isNotificationOnly` would end the way back.
fn manifest(host: &Host, name: &str, app_id: &str) -> Value {
    // The page for people: the proxy has no others, and all three must be there.
    let home = host.url("/");
    json!({
        "$schema": "https://developer.microsoft.com/json-schemas/teams/v1.19/MicrosoftTeams.schema.json",
        "manifestVersion": "1.19",
        "version": "1.0.0",
        "id": app_id,
        "developer": {
            "name": "message-webhook-proxy",
            "websiteUrl": home,
            "privacyUrl": home,
            "termsOfUseUrl": home,
        },
        // Never equal, as Teams wants it.
        "name": {"short": name, "full": format!("{name} (message-webhook-proxy)")},
        "description": {
            "short": "Posts webhook messages to channels.",
            "full": "Posts short webhook messages into the channels it is added to, and relays mentions of it.",
        },
        "icons": {"color": "color.png", "outline": "outline.png"},
        "accentColor": "#2D6CDF",
        "bots": [{
            "botId": app_id,
            "scopes": ["team", "groupChat"],
            "isNotificationOnly": false,
            "supportsFiles": false,
            "commandLists": [{
                "scopes": ["team", "groupChat"],
                "commands": [
                    {"title": "where", "description": "Show the address of this channel and URLs to paste"},
                    {"title": "help", "description": "Show what the proxy can do"},
                ],
            }],
        }],
        "permissions": ["identity", "messageTeamMembers"],
        "validDomains": [host.name()],
    })
}

/// The same bytes for the same manifest: fixed order and time, and no compression, whose output changes with its
/// version. There is little to win: the pictures are compressed as they are.
fn pack(manifest: &str) -> zip::result::ZipResult<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in [
        ("manifest.json", manifest.as_bytes()),
        ("color.png", COLOR),
        ("outline.png", OUTLINE),
    ] {
        zip.start_file(name, options)?;
        zip.write_all(bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// Writes beside the file and renames, so that nobody uploads a half of it and a failure leaves the old one.
fn replace(out: &Path, bytes: &[u8]) -> Result<(), String> {
    let folder = match out.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(format!(
            "the folder {} does not exist; make it first",
            folder.display()
        ));
    }
    let name = out.file_name().ok_or("expected the name of a file")?;
    // A folder, or a device such as /dev/stdout, which a rename would put out of place.
    if fs::metadata(out).is_ok_and(|there| !there.is_file()) {
        return Err("is there and is not a file; choose another name".to_owned());
    }
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.part", std::process::id()));
    let beside = folder.join(beside);
    let written = save(&beside, bytes).and_then(|()| fs::rename(&beside, out));
    written.map_err(|error| {
        // Nothing to tidy up if it could not even be made.
        fs::remove_file(&beside).ok();
        format!("cannot write it: {error}")
    })
}

fn save(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
