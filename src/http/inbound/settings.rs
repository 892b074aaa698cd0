//! What verifies the requests that come in.

use envconfig::Envconfig;

use crate::backends::Door;
use crate::domain::secret::Secret;
use crate::env::{Reader, Var};

/// The secrets that the platforms sign with.
#[derive(Debug, Default)]
pub struct Settings {
    /// `SLACK_SIGNING_SECRETS`
    pub slack_secrets: Vec<Secret>,
    /// `MATTERMOST_COMMAND_TOKENS`
    pub mattermost_tokens: Vec<Secret>,
    /// Whom the Bot Framework's activities must be for, where there is a bot.
    pub teams: Option<Door>,
}

/// The variables of this module.
pub const VARS: &[Var] = &[
    Var {
        name: "SLACK_SIGNING_SECRETS",
        default: "",
        secret: true,
        doc: "the signing secrets of the Slack apps whose requests are let in, separated by spaces: one, or several while one is replaced",
    },
    Var {
        name: "MATTERMOST_COMMAND_TOKENS",
        default: "",
        secret: true,
        doc: "the tokens of the Mattermost slash commands and outgoing webhooks that may ask this proxy, separated by spaces",
    },
];

#[derive(Envconfig, Default)]
struct Vars {
    #[envconfig(from = "SLACK_SIGNING_SECRETS")]
    slack_secrets: Option<String>,
    #[envconfig(from = "MATTERMOST_COMMAND_TOKENS")]
    mattermost_tokens: Option<String>,
}

/// Shorter ones are no secrets that a platform makes.
const MIN_SECRET_CHARS: usize = 16;

impl Settings {
    /// Reads the variables.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let vars: Vars = reader.vars();
        Self {
            slack_secrets: reader.value(
                "SLACK_SIGNING_SECRETS",
                vars.slack_secrets.as_deref(),
                Vec::new(),
                secrets,
            ),
            mattermost_tokens: reader.value(
                "MATTERMOST_COMMAND_TOKENS",
                vars.mattermost_tokens.as_deref(),
                Vec::new(),
                secrets,
            ),
            teams: None,
        }
    }
}

/// Secrets between white space. A fault shows their place and never a value.
fn secrets(text: &str) -> Result<Vec<Secret>, String> {
    let entries = text.split_whitespace().enumerate();
    let secrets: Result<Vec<Secret>, String> = entries
        .map(|(index, entry)| {
            let is_good =
                entry.len() >= MIN_SECRET_CHARS && entry.bytes().all(|b| b.is_ascii_graphic());
            is_good.then(|| Secret::new(entry.to_owned())).ok_or_else(|| {
                format!(
                    "entry {} is no secret of a platform: expected at least {MIN_SECRET_CHARS} letters and digits, copied whole",
                    index + 1
                )
            })
        })
        .collect();
    match secrets {
        Ok(secrets) if secrets.is_empty() => Err("expected at least one secret".to_owned()),
        other => other,
    }
}
