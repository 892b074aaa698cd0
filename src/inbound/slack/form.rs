//! The form bodies of Slack's interactivity and slash commands: reference/slack.md 6.4, checked 2026-11-21.

use crate::inbound::form::field;

/// A slash command that somebody gave in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slash {
    /// The workspace; an installation in a whole organisation may have none.
    pub team: Option<String>,
    /// The channel's id.
    pub channel: String,
    /// The command with its slash.
    pub command: String,
    /// What stands after it, trimmed.
    pub text: String,
}

impl Slash {
    /// Reads a form body, which must be verified; `None` if it is no slash command.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let some = |name| field(body, name).filter(|value| !value.is_empty());
        // An organisation's installation is kept under the organisation; Slack writes the flag as a word here.
        let is_organisations = some("is_enterprise_install").is_some_and(|flag| flag == "true");
        let team = if is_organisations {
            "enterprise_id"
        } else {
            "team_id"
        };
        Some(Self {
            command: some("command")
                .filter(|command| command.starts_with('/'))?
                .into_owned(),
            channel: some("channel_id")?.into_owned(),
            team: some(team).map(Into::into),
            text: some("text").unwrap_or_default().trim().to_owned(),
        })
    }
}

/// Whether a form body is Slack's look at the certificate, which it may send unsigned. Whoever answers it must do
/// nothing else with the body: frameworks that went on to its `payload` let everybody in (bolt-js 2897).
#[must_use]
pub fn is_ssl_check(body: &[u8]) -> bool {
    field(body, "ssl_check").is_some_and(|value| value == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vector 4 of reference/slack.md 5.
    #[test]
    fn a_slash_command_is_its_fields() {
        let body = b"token=unused&team_id=T0TEAM001&channel_id=C0OPS0001&user_id=U0ALICE01&command=%2Fproxy&text=status+now&api_app_id=A0PROXY01";

        let slash = Slash::read(body).unwrap();

        assert_eq!(slash.team.as_deref(), Some("T0TEAM001"));
        assert_eq!((&*slash.channel, &*slash.command), ("C0OPS0001", "/proxy"));
        assert_eq!(slash.text, "status now");
    }

    #[test]
    fn an_organisations_installation_is_the_organisations() {
        let team = |flag| {
            let body = format!(
                "command=%2Fproxy&channel_id=C0&team_id=T0&enterprise_id=E0&is_enterprise_install={flag}"
            );
            Slash::read(body.as_bytes()).unwrap().team
        };

        assert_eq!(team("true").as_deref(), Some("E0"));
        assert_eq!(team("false").as_deref(), Some("T0"));
    }

    #[test]
    fn what_is_no_slash_command_is_none() {
        for body in [
            "",
            "payload=%7B%22command%22%3A%22%2Fproxy%22%7D",
            "command=%2Fproxy",
            "command=&channel_id=C0",
            "command=proxy&channel_id=C0",
            "command=%FF&channel_id=C0",
            "channel_id=C0&xcommand=%2Fproxy",
        ] {
            assert_eq!(Slash::read(body.as_bytes()), None, "{body}");
        }
        let bare = Slash::read(b"command=%2Fproxy&channel_id=C0").unwrap();
        assert_eq!((bare.team, bare.text.as_str()), (None, ""));
    }

    #[test]
    fn a_look_at_the_certificate_is_one_whole_field() {
        for body in [
            "ssl_check=1",
            "ssl_check=1&token=x",
            "token=x&ssl_check=1",
            "ssl%5Fcheck=%31",
            "payload=%7B%7D&ssl_check=1",
        ] {
            assert!(is_ssl_check(body.as_bytes()), "{body}");
        }
        for body in [
            "",
            "ssl_check",
            "ssl_check=",
            "ssl_check=0",
            "ssl_check=01",
            "ssl_check=11",
            "ssl_check=1&ssl_check=1",
            "ssl_check=1&ssl_check=0",
            "ssl_check=1+",
            "ssl_check=+1",
            "ssl_check=true",
            "ssl_check==1",
            "xssl_check=1",
            "SSL_CHECK=1",
            "text=ssl_check%3D1",
            "text=%26ssl_check%3D1",
        ] {
            assert!(!is_ssl_check(body.as_bytes()), "{body}");
        }
    }
}
