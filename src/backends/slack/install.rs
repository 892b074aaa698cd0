//! OAuth v2 of Slack: where an administrator agrees, and what a code or a refresh token is changed for.
//! Facts: reference/slack.md 7, \[OA\]\[ROT\]\[OAREF\], checked 2026-11-21. It keeps nothing and shows no token.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::answer::{classify_read, shown_code, unread};
use super::bearer;
use super::workspaces::is_workspace;
use crate::backends::Wire;
use crate::backends::install::{Grant, Installation, Renewal};
use crate::backends::wire::{Answer, Call};
use crate::domain::delivery::{Failure, Later, Refusal};
use crate::domain::secret::Secret;
use crate::domain::web_url::WebUrl;

/// What the bot may do where it is installed: the manifest asks for the same.
pub const BOT_SCOPES: &[&str] = &[
    "chat:write",
    "chat:write.customize",
    "channels:read",
    "groups:read",
    "channels:history",
    "groups:history",
    "mpim:history",
    "mpim:read",
    "users:read",
    "users:read.email",
    "app_mentions:read",
    "commands",
];

/// The longest token that is taken; Slack's have some hundred characters.
const MAX_TOKEN_BYTES: usize = 2048;
/// The most characters of a workspace's name that are kept.
const MAX_NAME_CHARS: usize = 80;
/// Tokens of an app with rotation live 43,200 s \[ROT\]; a longer life is not believed.
const MAX_LIFETIME_S: u64 = 30 * 24 * 3600;

/// The app's own credentials, and where they are used.
pub(super) struct App {
    client_id: String,
    authorization: HeaderValue,
    authorize: String,
    access: Uri,
}

#[derive(Deserialize)]
struct Granted<'a> {
    ok: bool,
    error: Option<std::borrow::Cow<'a, str>>,
    token_type: Option<std::borrow::Cow<'a, str>>,
    access_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<u64>,
    team: Option<Named>,
    enterprise: Option<Named>,
    #[serde(default)]
    is_enterprise_install: bool,
}

#[derive(Deserialize)]
struct Named {
    id: String,
    name: Option<String>,
}

impl App {
    /// The app with these credentials at the Web API's address.
    pub(super) fn new(id: &str, secret: &str, api: &WebUrl) -> Result<Self, &'static str> {
        let pair = STANDARD.encode(format!("{id}:{secret}"));
        let header = HeaderValue::from_str(&format!("Basic {pair}"));
        let mut authorization = header.map_err(|_| "it cannot be sent")?;
        authorization.set_sensitive(true);
        let origin = api.base().strip_suffix("/api").unwrap_or(api.base());
        let access = api.join("/oauth.v2.access");
        Ok(Self {
            client_id: id.to_owned(),
            authorization,
            authorize: format!("{origin}/oauth/v2/authorize"),
            access: access.map_err(|_| "it cannot be sent to this SLACK_API_URL")?,
        })
    }

    /// Where an administrator agrees.
    pub(super) fn consent_url(&self, state: &str, redirect: Option<&str>) -> String {
        let scopes = BOT_SCOPES.join(",");
        let mut fields = vec![("client_id", &*self.client_id), ("scope", &scopes)];
        fields.extend(redirect.map(|uri| ("redirect_uri", uri)));
        fields.push(("state", state));
        format!("{}?{}", self.authorize, form(&fields))
    }

    /// Changes a code or a refresh token for the tokens of a workspace.
    pub(super) async fn obtain(
        &self,
        wire: &dyn Wire,
        grant: Grant<'_>,
        now_ms: u64,
    ) -> Result<Installation, Failure> {
        let mut fields = Vec::new();
        match grant {
            Grant::Code { code, redirect } => {
                fields.push(("code", code));
                fields.extend(redirect.map(|uri| ("redirect_uri", uri)));
            }
            Grant::Renewal(_, renewal) => {
                fields.push(("grant_type", "refresh_token"));
                fields.push(("refresh_token", renewal.token.expose()));
            }
        }
        let call = Call::post_form(
            &self.access,
            Some(&self.authorization),
            form(&fields).into(),
        );
        let answer = wire.call(call).await.map_err(unread)?;
        let fresh = read(&answer, now_ms)?;
        match grant {
            Grant::Code { .. } => Ok(fresh),
            Grant::Renewal(old, _) if old.workspace == fresh.workspace => Ok(fresh),
            Grant::Renewal(..) => Err(unusable()),
        }
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let field = |(name, value): &(&str, &str)| {
        format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))
    };
    fields.iter().map(field).collect::<Vec<_>>().join("&")
}

fn read(answer: &Answer, now_ms: u64) -> Result<Installation, Failure> {
    let Some(granted) = answer.json::<Granted<'_>>().filter(|_| answer.is_success()) else {
        classify_read(answer)?;
        return Err(unusable());
    };
    if !granted.ok {
        let code = granted.error.unwrap_or_default();
        return Err(refusal(&code, answer));
    }
    installation(granted, now_ms).ok_or_else(unusable)
}

fn installation(granted: Granted<'_>, now_ms: u64) -> Option<Installation> {
    let place = if granted.is_enterprise_install {
        granted.enterprise
    } else {
        granted.team
    };
    let place = place.filter(|place| is_workspace(&place.id))?;
    let token = granted.access_token.filter(|token| is_token(token))?;
    // Only a bot's token posts as the bot.
    if granted.token_type.as_deref() != Some("bot") {
        return None;
    }
    let renewal = match (granted.refresh_token, granted.expires_in) {
        (Some(token), Some(seconds)) if is_token(&token) => Some(Renewal {
            token: Secret::new(token),
            expires_ms: now_ms.saturating_add(seconds.min(MAX_LIFETIME_S) * 1000),
        }),
        _ => None,
    };
    let mut secrets = vec![token.as_str()];
    secrets.extend(renewal.as_ref().map(|renewal| renewal.token.expose()));
    let name = shown_name(place.name.as_deref().unwrap_or_default(), &secrets);
    Some(Installation {
        name: name.unwrap_or_else(|| place.id.clone()),
        workspace: place.id,
        token: Secret::new(token),
        renewal,
    })
}

fn is_token(text: &str) -> bool {
    text.len() <= MAX_TOKEN_BYTES && bearer(text).is_some()
}

/// A foreign name as one short line of text; none if nothing is left, or if it repeats a credential (E7).
fn shown_name(raw: &str, secrets: &[&str]) -> Option<String> {
    let is_shown =
        |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | '&' | '\'');
    let name: String = raw.chars().filter(is_shown).take(MAX_NAME_CHARS).collect();
    let name = name.trim();
    let repeats = raw.contains("xox") || secrets.iter().any(|secret| raw.contains(secret));
    (!name.is_empty() && !repeats).then(|| name.to_owned())
}

fn refusal(code: &str, answer: &Answer) -> Failure {
    let detail = match code {
        "invalid_code" | "code_already_used" => {
            "Slack does not take the code: it was used before or is older than 10 minutes; begin again at /slack/install"
        }
        "bad_client_secret" | "invalid_client_id" => {
            "Slack refuses the app's credentials: check SLACK_CLIENT_ID and SLACK_CLIENT_SECRET"
        }
        "bad_redirect_uri" => {
            "Slack does not know this redirect URL: add PUBLIC_URL followed by /no-auth/provider-token/slack to the app's redirect URLs, or unset PUBLIC_URL"
        }
        "invalid_refresh_token" => {
            "Slack does not take the refresh token: install the app in this workspace again at /slack/install"
        }
        "no_scopes" => "Slack says that no scope was asked for: begin again at /slack/install",
        "cannot_install_an_org_installed_app" => {
            "the app is installed for the whole organisation already: its installation is managed there"
        }
        "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "ratelimited"
        | "rate_limited" => {
            let detail = "Slack cannot grant the tokens at present: try again later";
            return Failure::later(Later::Unavailable, answer.retry_after, detail);
        }
        _ => "Slack grants no tokens: see the code and Slack's documentation of oauth.v2.access",
    };
    Failure::refused(Refusal::Workspace, shown_code(code), detail)
}

fn unusable() -> Failure {
    Failure::refused(
        Refusal::Workspace,
        "",
        "Slack's answer holds no bot token of one workspace: check that SLACK_API_URL is the address of its API, and begin again at /slack/install",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn app() -> App {
        let api = WebUrl::parse("https://slack.com/api/").unwrap();
        App::new("123.456", "the-secret", &api).unwrap()
    }

    fn granted() -> Value {
        json!({"ok": true, "token_type": "bot", "access_token": "xoxb-test-granted", "scope": "chat:write",
            "team": {"id": "T0TEAM001", "name": "Acme"}, "enterprise": null, "is_enterprise_install": false})
    }

    fn read_value(value: &Value) -> Result<Installation, Failure> {
        let answer = Answer {
            status: 200,
            body: value.to_string().into(),
            ..Answer::default()
        };
        read(&answer, 1_000)
    }

    #[test]
    fn the_consent_page_is_beside_the_api() {
        let url = app().consent_url("st-ate", Some("https://p.example/no-auth?x"));

        assert_eq!(
            url,
            "https://slack.com/oauth/v2/authorize?client_id=123%2E456&scope=chat%3Awrite%2Cchat%3Awrite%2Ecustomize%2Cchannels%3Aread%2Cgroups%3Aread%2Cchannels%3Ahistory%2Cgroups%3Ahistory%2Cmpim%3Ahistory%2Cmpim%3Aread%2Cusers%3Aread%2Cusers%3Aread%2Eemail%2Capp%5Fmentions%3Aread%2Ccommands&redirect_uri=https%3A%2F%2Fp%2Eexample%2Fno%2Dauth%3Fx&state=st%2Date"
        );
        assert!(!app().consent_url("s", None).contains("redirect_uri"));
    }

    #[test]
    fn an_installation_is_of_a_workspace_or_of_an_organisation() {
        let one = read_value(&granted()).unwrap();
        let mut org = granted();
        org["team"] = Value::Null;
        org["enterprise"] = json!({"id": "E0ORG0001", "name": "Org"});
        org["is_enterprise_install"] = true.into();
        let all = read_value(&org).unwrap();

        assert_eq!((&*one.workspace, &*one.name), ("T0TEAM001", "Acme"));
        assert!(one.renewal.is_none());
        assert_eq!((&*all.workspace, &*all.name), ("E0ORG0001", "Org"));
    }

    #[test]
    fn a_token_that_runs_out_knows_when() {
        let mut value = granted();
        value["refresh_token"] = "xoxe-test".into();
        value["expires_in"] = 43_200.into();

        let renewal = read_value(&value).unwrap().renewal.unwrap();

        assert_eq!(renewal.expires_ms, 43_201_000);
    }

    /// E5 and E7.
    #[test]
    fn what_cannot_be_an_installation_is_none() {
        for (field, bad) in [
            ("access_token", json!("has space")),
            ("access_token", json!("x".repeat(3000))),
            ("access_token", Value::Null),
            ("token_type", json!("user")),
            ("team", json!({"id": "../x", "name": "x"})),
            ("team", json!({"id": "C0OPS0001"})),
            ("team", Value::Null),
            ("is_enterprise_install", json!(true)),
        ] {
            let mut value = granted();
            value[field] = bad;
            assert!(read_value(&value).is_err(), "{field}");
        }
        assert!(read_value(&json!([1])).is_err());
        assert!(read_value(&json!({"ok": false, "error": "xoxb-1-a1b2c3"})).is_err());
    }

    proptest! {
        /// E5: whatever is answered, it is an installation that can be used, or a failure.
        #[test]
        fn any_answer_is_an_installation_or_a_failure(
            status in prop::sample::select(vec![200u16, 201, 302, 400, 429, 500]),
            id in "[TEC]?[A-Z0-9a-z/]{0,12}",
            token in "[ -~]{0,40}",
            name in any::<String>(),
            tail in prop::collection::vec(any::<u8>(), 0..8),
        ) {
            let mut value = granted();
            value["team"] = json!({"id": id, "name": name});
            value["access_token"] = token.clone().into();
            let answer = |body: Vec<u8>| Answer { status, body: body.into(), ..Answer::default() };
            let whole = value.to_string().into_bytes();

            if let Ok(installation) = read(&answer(whole.clone()), u64::MAX) {
                prop_assert!(status < 300 && is_workspace(&installation.workspace));
                prop_assert!(bearer(installation.token.expose()).is_some());
                prop_assert!(!installation.name.contains(['<', '\n', '"']));
            }
            let broken = [&whole[..whole.len() / 2], &tail].concat();
            prop_assert!(read(&answer(broken), 0).is_err());
            prop_assert!(read(&answer(tail), 0).is_err());
        }
    }

    /// E7 and D5: a name is text, one line, and no credential.
    #[test]
    fn a_name_is_shown_as_text_only() {
        let name = |raw: &str| shown_name(raw, &["s3cret-token"]);
        assert_eq!(name("Acme & Söhne").as_deref(), Some("Acme & Söhne"));
        assert_eq!(name("<b>\u{202E}A\nB</b>").as_deref(), Some("bABb"));
        assert_eq!(name("it is s3cret-token"), None);
        assert_eq!(name("xoxb-anything"), None);
        assert_eq!(name("<>\n"), None);
        assert_eq!(name(&"x".repeat(200)).map(|n| n.len()), Some(80));
    }
}
