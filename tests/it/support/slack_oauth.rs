//! The app of the fake Slack and its installations: the consent page, `oauth.v2.access`, and tokens of several workspaces.
//! Section 7 of `slack.md`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::encoding::form_decode;
use super::{Request, Slack, unique};

/// The life of a renewed token.
const RENEWED_FOR_S: u64 = 43_200;

/// A workspace as Slack knows it.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    pub name: String,
    /// The present access token; older ones are dead.
    pub token: String,
    pub refresh: Option<String>,
    /// What a call with the token answers instead.
    pub refuses: Option<&'static str>,
}

#[derive(Default)]
pub(super) struct Oauth {
    pub id: String,
    pub secret: String,
    /// Codes that were not changed yet, with the workspace and the `redirect_uri` of their consent.
    codes: BTreeMap<String, (String, Option<String>)>,
    pub workspaces: BTreeMap<String, Workspace>,
    /// `expires_in` of what is granted for a code; `None` is an app without rotation.
    lifetime: Option<u64>,
}

impl Oauth {
    pub(super) fn new() -> Self {
        Self {
            id: "2948571034.5738291046".to_owned(),
            secret: unique("", 32),
            ..Self::default()
        }
    }

    /// What a call with this token comes to: `None` for a token of nobody's.
    pub(super) fn verdict(&self, token: &str) -> Option<Result<(), &'static str>> {
        let of_it = |workspace: &&Workspace| workspace.token == token;
        let found = self.workspaces.values().find(of_it)?;
        Some(found.refuses.map_or(Ok(()), Err))
    }

    fn grant(&mut self, id: &str, lifetime: Option<u64>) -> Value {
        let workspace = self.workspaces.entry(id.to_owned()).or_default();
        workspace.refuses = None;
        let prefix = match lifetime {
            Some(_) => "xoxe.xoxb-",
            None => "xoxb-",
        };
        workspace.token = unique(prefix, 24);
        workspace.refresh = lifetime.map(|_| unique("xoxe-", 24));
        let mut answer = json!({"ok": true, "app_id": "A0PROXY01", "token_type": "bot",
            "access_token": workspace.token, "scope": "chat:write,channels:read", "bot_user_id": "U0PROXY01",
            "team": {"id": id, "name": workspace.name}, "enterprise": null, "is_enterprise_install": false,
            "authed_user": {"id": "U0ADMIN01"}});
        if let Some(seconds) = lifetime {
            answer["expires_in"] = seconds.into();
            answer["refresh_token"] = workspace.refresh.clone().into();
        }
        answer
    }

    /// `oauth.v2.access`: a form with Basic credentials; a code or a refresh token is good for once.
    pub(super) fn access(&mut self, request: &Request) -> Result<Value, Value> {
        let refuse = |code: &str| Err(json!({"ok": false, "error": code}));
        let kind = request.header("content-type").unwrap_or_default();
        if request.method != "POST" || kind != "application/x-www-form-urlencoded" {
            return refuse("invalid_arguments");
        }
        let basic = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Basic "))
            .and_then(|pair| STANDARD.decode(pair).ok())
            .and_then(|pair| String::from_utf8(pair).ok());
        match basic.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((id, secret)) if id == self.id && secret == self.secret => {}
            Some((id, _)) if id == self.id => return refuse("bad_client_secret"),
            _ => return refuse("invalid_client_id"),
        }
        let form: BTreeMap<String, String> = request.form().into_iter().collect();
        match form.get("grant_type").map(String::as_str) {
            None | Some("authorization_code") => {
                let code = form.get("code").cloned().unwrap_or_default();
                let Some((workspace, redirect)) = self.codes.remove(&code) else {
                    return refuse("invalid_code");
                };
                if form.get("redirect_uri") != redirect.as_ref() {
                    return refuse("bad_redirect_uri");
                }
                Ok(self.grant(&workspace, self.lifetime))
            }
            Some("refresh_token") => {
                let given = form.get("refresh_token");
                let of_it = |workspace: &Workspace| {
                    workspace.refresh.is_some() && workspace.refresh.as_ref() == given
                };
                let found = self.workspaces.iter().find(|(_, w)| of_it(w));
                match found.map(|(id, _)| id.clone()) {
                    Some(id) => Ok(self.grant(&id, Some(RENEWED_FOR_S))),
                    None => refuse("invalid_refresh_token"),
                }
            }
            Some(_) => refuse("invalid_grant_type"),
        }
    }
}

impl Slack {
    /// The variables of the app, without a bot token.
    pub fn app_env(&self) -> Vec<(String, String)> {
        let state = self.state();
        let vars = [
            ("SLACK_CLIENT_ID", state.oauth.id.clone()),
            ("SLACK_CLIENT_SECRET", state.oauth.secret.clone()),
            ("SLACK_API_URL", format!("{}/api", self.url())),
        ];
        vars.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    /// From now on what is granted for a code lives so long, and can be renewed.
    pub fn rotate(&self, seconds: u64) {
        self.state().oauth.lifetime = Some(seconds);
    }

    /// An administrator of this workspace sees the consent page and agrees; the query that the browser brings back.
    #[track_caller]
    pub fn consent(&self, location: &str, workspace: &str, name: &str) -> String {
        let page = format!("{}/oauth/v2/authorize", self.url());
        let query = location
            .strip_prefix(&page)
            .and_then(|rest| rest.strip_prefix('?'))
            .expect("the consent page of this Slack");
        let fields: BTreeMap<String, String> = form_decode(query).into_iter().collect();
        let mut state = self.state();
        assert_eq!(fields.get("client_id"), Some(&state.oauth.id));
        assert!(
            fields["scope"]
                .split(',')
                .any(|scope| scope == "chat:write")
        );
        assert!(!fields["scope"].contains(' '));
        let code = unique("2948571034.", 32);
        let redirect = fields.get("redirect_uri").cloned();
        let entry = state.oauth.workspaces.entry(workspace.to_owned());
        entry.or_default().name = name.to_owned();
        state
            .oauth
            .codes
            .insert(code.clone(), (workspace.to_owned(), redirect));
        format!("code={code}&state={}", fields["state"])
    }

    /// A workspace with its present tokens.
    #[track_caller]
    pub fn workspace(&self, id: &str) -> Workspace {
        self.state().oauth.workspaces[id].clone()
    }

    /// Calls with the workspace's token get this code, until it is granted another.
    #[track_caller]
    pub fn refuse_token(&self, id: &str, code: &'static str) {
        let mut state = self.state();
        state.oauth.workspaces.get_mut(id).unwrap().refuses = Some(code);
    }
}
