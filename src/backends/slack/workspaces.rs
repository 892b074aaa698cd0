//! The workspaces that have installed the app, each with its own token. In memory: the dispatcher keeps them, sealed.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use http::HeaderValue;

use super::bearer;
use super::text::is_id;
use crate::backends::install::{Installation, MAX_WORKSPACES, NoRoom};
use crate::domain::delivery::{Failure, Later, Refusal};

/// A token that runs out within this is renewed: 7,200 s, as Slack's own client does it \[NODE\], reference/slack.md 7,
/// checked 2026-11-21.
const RENEWED_BEFORE_MS: u64 = 7_200_000;

/// How long a channel is left alone while its workspace's token is renewed.
const RENEWAL_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

/// Where a part goes: `CHANNEL`, or `TEAMID/CHANNEL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'t> {
    /// The workspace's id; without one, that of `SLACK_BOT_TOKEN`.
    pub(super) workspace: Option<&'t str>,
    /// The channel's id or name there.
    pub(super) channel: &'t str,
}

/// The installed workspaces, by id.
#[derive(Default)]
pub(super) struct Workspaces(RwLock<HashMap<String, Entry>>);

enum Entry {
    Open {
        authorization: HeaderValue,
        installation: Installation,
        has_run_out: bool,
    },
    /// Stored, but sealed with a key that is not configured.
    Locked,
}

impl<'t> Place<'t> {
    /// Reads a target. No channel's name holds a slash, so nothing else looks like this.
    pub(super) fn of(target: &'t str) -> Self {
        match target.split_once('/') {
            Some((workspace, channel)) if is_workspace(workspace) => Self {
                workspace: Some(workspace),
                channel,
            },
            _ => Self {
                workspace: None,
                channel: target,
            },
        }
    }

    /// The target of another channel in the same workspace.
    pub(super) fn target_of(self, channel: String) -> String {
        match self.workspace {
            Some(workspace) => format!("{workspace}/{channel}"),
            None => channel,
        }
    }
}

/// Whether a text is the id of a workspace, or of an organisation that installed the app for all of its own.
pub(super) fn is_workspace(text: &str) -> bool {
    // The longest that we have seen has 11 characters; a cap keeps what we show and store short.
    text.len() <= 32 && is_id(text, "TE")
}

impl Workspaces {
    /// The credentials for a workspace.
    pub(super) fn authorization(&self, workspace: &str) -> Result<HeaderValue, Failure> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match entries.get(workspace) {
            Some(Entry::Open { authorization, .. }) => Ok(authorization.clone()),
            Some(Entry::Locked) => Err(locked(workspace)),
            None => Err(not_installed(workspace)),
        }
    }

    /// The workspace that is first in the alphabet.
    pub(super) fn first(&self) -> Option<String> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries.keys().min().cloned()
    }

    /// A failure as one of this workspace alone. A token that has run out is marked for renewal, if it has one.
    pub(super) fn failure_of(
        &self,
        workspace: &str,
        used: &HeaderValue,
        failure: Failure,
    ) -> Failure {
        let Failure::Refused {
            reason: Refusal::Credentials,
            platform_code,
            ..
        } = &failure
        else {
            return failure;
        };
        let code = platform_code.as_ref().map_or("", |code| code.as_str());
        if code == "token_expired" && self.is_to_be_renewed(workspace, used) {
            return renewing(workspace);
        }
        refused(workspace, code)
    }

    /// Whether another token is there, or comes.
    fn is_to_be_renewed(&self, workspace: &str, used: &HeaderValue) -> bool {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(Entry::Open {
            authorization,
            installation,
            has_run_out,
        }) = entries.get_mut(workspace)
        else {
            return false;
        };
        if authorization != used {
            return true;
        }
        *has_run_out = installation.renewal.is_some();
        *has_run_out
    }

    pub(super) fn room_for(&self, workspace: &str) -> Result<(), NoRoom> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let is_free = entries.len() < MAX_WORKSPACES || entries.contains_key(workspace);
        is_free.then_some(()).ok_or(NoRoom)
    }

    pub(super) fn adopt(&self, installation: Installation) -> Result<(), NoRoom> {
        self.room_for(&installation.workspace)?;
        let workspace = installation.workspace.clone();
        // What Slack gave was checked for this; a stored one came from there.
        let entry = match bearer(installation.token.expose()) {
            Some(authorization) => Entry::Open {
                authorization,
                installation,
                has_run_out: false,
            },
            None => Entry::Locked,
        };
        self.put(workspace, entry);
        Ok(())
    }

    pub(super) fn lock(&self, workspace: &str) {
        if self.room_for(workspace).is_ok() {
            self.put(workspace.to_owned(), Entry::Locked);
        }
    }

    fn put(&self, workspace: String, entry: Entry) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.insert(workspace, entry);
    }

    pub(super) fn forget(&self, workspace: &str) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.remove(workspace);
    }

    pub(super) fn installation(&self, workspace: &str) -> Option<Installation> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match entries.get(workspace)? {
            Entry::Open { installation, .. } => Some(installation.clone()),
            Entry::Locked => None,
        }
    }

    pub(super) fn due(&self, now_ms: u64) -> Vec<Installation> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let due = entries.values().filter_map(|entry| match entry {
            Entry::Open {
                installation,
                has_run_out,
                ..
            } => {
                let renewal = installation.renewal.as_ref()?;
                let is_due = renewal.expires_ms.saturating_sub(now_ms) <= RENEWED_BEFORE_MS;
                (*has_run_out || is_due).then(|| installation.clone())
            }
            Entry::Locked => None,
        });
        due.collect()
    }
}

fn not_installed(workspace: &str) -> Failure {
    let detail = format!(
        "the app is not installed in the Slack workspace {workspace}: have one of its administrators open /slack/install of this proxy (it needs SLACK_CLIENT_ID and SLACK_CLIENT_SECRET)"
    );
    Failure::refused(Refusal::UnknownChannel, "", detail)
}

fn locked(workspace: &str) -> Failure {
    let detail = format!(
        "the installation in the Slack workspace {workspace} is sealed with another STORE_KEY: add that key to STORE_KEY, behind the new one, and start again; or install the app there again at /slack/install"
    );
    Failure::refused(Refusal::Workspace, "", detail)
}

fn renewing(workspace: &str) -> Failure {
    let detail = format!(
        "the token of the Slack workspace {workspace} has run out and is being renewed; the log tells if that fails"
    );
    Failure::later(Later::Renewing, Some(RENEWAL_PAUSE), detail)
}

fn refused(workspace: &str, code: &str) -> Failure {
    let what = match code {
        "missing_scope" => "the app lacks a scope",
        "account_inactive" | "token_revoked" => "the app was removed, or its token revoked,",
        "token_expired" => "the app's token has run out",
        _ => "Slack refuses the app or its token",
    };
    let detail = format!(
        "{what} in the Slack workspace {workspace}: install the app there again at /slack/install"
    );
    Failure::refused(Refusal::Workspace, code, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::install::Renewal;
    use crate::domain::secret::Secret;

    fn installation(workspace: &str, expires_ms: Option<u64>) -> Installation {
        Installation {
            workspace: workspace.to_owned(),
            name: "Acme".to_owned(),
            token: Secret::new("xoxb-test-one".to_owned()),
            renewal: expires_ms.map(|expires_ms| Renewal {
                token: Secret::new("xoxe-test".to_owned()),
                expires_ms,
            }),
        }
    }

    fn expired() -> Failure {
        Failure::refused(Refusal::Credentials, "token_expired", "")
    }

    #[test]
    fn a_target_may_name_its_workspace() {
        let place = |target| {
            let place = Place::of(target);
            (place.workspace, place.channel)
        };
        assert_eq!(place("C0OPS0001"), (None, "C0OPS0001"));
        assert_eq!(place("#ops"), (None, "#ops"));
        assert_eq!(
            place("T0TEAM001/C0OPS0001"),
            (Some("T0TEAM001"), "C0OPS0001")
        );
        assert_eq!(place("E0ORG00001/#ops"), (Some("E0ORG00001"), "#ops"));
        assert_eq!(place("team/ops"), (None, "team/ops"));
        assert_eq!(place("T0TEAM001/"), (Some("T0TEAM001"), ""));
        assert_eq!(
            Place::of("T0TEAM001/#ops").target_of("C1".into()),
            "T0TEAM001/C1"
        );
    }

    #[test]
    fn a_token_is_due_two_hours_before_it_runs_out() {
        let workspaces = Workspaces::default();
        workspaces.adopt(installation("T1", None)).unwrap();
        workspaces
            .adopt(installation("T2", Some(43_200_000)))
            .unwrap();

        assert!(workspaces.due(35_999_999).is_empty());
        assert_eq!(workspaces.due(36_000_000)[0].workspace, "T2");
        assert_eq!(workspaces.due(u64::MAX).len(), 1);
    }

    #[test]
    fn a_token_that_has_run_out_is_due_and_its_messages_wait() {
        let workspaces = Workspaces::default();
        workspaces
            .adopt(installation("T1", Some(u64::MAX)))
            .unwrap();
        workspaces.adopt(installation("T2", None)).unwrap();
        let used = workspaces.authorization("T1").unwrap();

        let renewable = workspaces.failure_of("T1", &used, expired());
        let final_one = workspaces.failure_of("T2", &used, expired());

        assert_eq!(renewable.word(), "renewing");
        assert_eq!(workspaces.due(0).len(), 1);
        assert_eq!(final_one.word(), "workspace");
        assert!(final_one.to_string().contains("T2"), "{final_one}");
        // The renewed one is not due again.
        workspaces
            .adopt(installation("T1", Some(u64::MAX)))
            .unwrap();
        assert!(workspaces.due(0).is_empty());
    }

    #[test]
    fn what_a_workspace_refuses_is_not_the_whole_backends() {
        let workspaces = Workspaces::default();
        workspaces.adopt(installation("T1", None)).unwrap();
        let used = workspaces.authorization("T1").unwrap();
        let code = |code| Failure::refused(Refusal::Credentials, code, "check SLACK_BOT_TOKEN");

        for refusal in ["invalid_auth", "token_revoked", "missing_scope", ""] {
            let failure = workspaces.failure_of("T1", &used, code(refusal));
            assert!(!failure.is_of_the_backend() && failure.is_of_the_credentials());
            let detail = failure.to_string();
            assert!(detail.contains("T1") && !detail.contains("BOT_TOKEN"));
        }
        let other = Failure::refused(Refusal::Archived, "is_archived", "x");
        assert_eq!(workspaces.failure_of("T1", &used, other.clone()), other);
    }

    #[test]
    fn their_number_is_bounded() {
        let workspaces = Workspaces::default();
        for n in 0..MAX_WORKSPACES {
            let id = format!("T{n:08}");
            workspaces.adopt(installation(&id, None)).unwrap();
        }

        assert_eq!(workspaces.adopt(installation("TX", None)), Err(NoRoom));
        assert_eq!(workspaces.adopt(installation("T00000000", None)), Ok(()));
        workspaces.lock("TX");
        workspaces.forget("T00000000");
        assert_eq!(workspaces.adopt(installation("TX", None)), Ok(()));
        assert!(workspaces.authorization("T00000000").is_err());
    }

    #[test]
    fn a_locked_workspace_says_what_opens_it() {
        let workspaces = Workspaces::default();
        workspaces.lock("T1");

        let failure = workspaces.authorization("T1").unwrap_err();

        assert!(failure.to_string().contains("STORE_KEY"), "{failure}");
        assert!(failure.is_of_the_credentials());
        assert!(workspaces.installation("T1").is_none());
    }
}
