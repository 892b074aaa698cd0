//! The bot's variables, checked. It connects to nothing; a wrong value is a fault that does not show it.

use envconfig::Envconfig;

use super::trust::{TrustedHosts, trusted_host};
use crate::domain::guid::is_guid;
use crate::domain::secret::Secret;
use crate::domain::web_url::WebUrl;
use crate::env::{Reader, Var};

const SERVICE_URL: &str = "https://smba.trafficmanager.net/teams/";
const LOGIN_URL: &str = "https://login.microsoftonline.com";
/// Where the public cloud's keys are told: reference/teams.md 1.1, checked 2026-11-21.
const OPENID_URL: &str = "https://login.botframework.com/v1/.well-known/openidconfiguration";

/// The variables of Teams.
pub(super) const VARS: &[Var] = &[
    Var {
        name: "TEAMS_APP_ID",
        default: "",
        secret: false,
        doc: "the bot's application (client) id, a GUID",
    },
    Var {
        name: "TEAMS_APP_PASSWORD",
        default: "",
        secret: true,
        doc: "the value of a client secret of that application",
    },
    Var {
        name: "TEAMS_TENANT_ID",
        default: "",
        secret: false,
        doc: "the directory (tenant) id, a GUID; `botframework.com` for an older multi-tenant bot",
    },
    Var {
        name: "TEAMS_SERVICE_URL",
        default: SERVICE_URL,
        secret: false,
        doc: "where the bot posts",
    },
    Var {
        name: "TEAMS_LOGIN_URL",
        default: LOGIN_URL,
        secret: false,
        doc: "where the bot's token comes from",
    },
    Var {
        name: "TEAMS_TRUSTED_SERVICE_HOSTS",
        default: "",
        secret: false,
        doc: "more hosts that may receive the bot's token, separated by spaces or commas",
    },
    Var {
        name: "TEAMS_OPENID_URL",
        default: OPENID_URL,
        secret: false,
        doc: "the OpenID metadata of the Bot Framework, whose keys sign what comes in; other clouds have their own",
    },
];

#[derive(Envconfig, Default)]
struct Vars {
    #[envconfig(from = "TEAMS_APP_ID")]
    app_id: Option<String>,
    #[envconfig(from = "TEAMS_APP_PASSWORD")]
    password: Option<String>,
    #[envconfig(from = "TEAMS_TENANT_ID")]
    tenant: Option<String>,
    #[envconfig(from = "TEAMS_SERVICE_URL")]
    service_url: Option<String>,
    #[envconfig(from = "TEAMS_LOGIN_URL")]
    login_url: Option<String>,
    #[envconfig(from = "TEAMS_TRUSTED_SERVICE_HOSTS")]
    trusted: Option<String>,
    #[envconfig(from = "TEAMS_OPENID_URL")]
    openid_url: Option<String>,
}

/// A bot that can be built.
pub(super) struct Settings {
    pub(super) app_id: String,
    pub(super) password: Secret,
    pub(super) tenant: Tenant,
    pub(super) service: WebUrl,
    pub(super) login: WebUrl,
    pub(super) trusted: TrustedHosts,
    pub(super) openid: WebUrl,
}

/// Whose the bot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tenant {
    /// One directory's.
    Single(String),
    /// Several directories', under the cloud's common name.
    Multi(&'static str),
}

/// A cloud has its own login host, name for bots of several tenants, and scope: reference/teams.md 1.1,
/// checked 2026-11-21.
struct Cloud {
    login_host: &'static str,
    common_tenant: &'static str,
    scope: &'static str,
}

const PUBLIC: Cloud = Cloud {
    login_host: "login.microsoftonline.com",
    common_tenant: "botframework.com",
    scope: "https://api.botframework.com/.default",
};

const CLOUDS: [Cloud; 3] = [
    PUBLIC,
    Cloud {
        login_host: "login.microsoftonline.us",
        common_tenant: "MicrosoftServices.onmicrosoft.us",
        scope: "https://api.botframework.us/.default",
    },
    Cloud {
        login_host: "login.partner.microsoftonline.cn",
        common_tenant: "microsoftservices.partner.onmschina.cn",
        scope: "https://api.botframework.azure.cn/.default",
    },
];

impl Tenant {
    /// The name in the login service's URL.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Single(id) => id,
            Self::Multi(name) => name,
        }
    }

    fn parse(text: &str) -> Result<Option<Self>, &'static str> {
        let common = CLOUDS.iter().map(|cloud| cloud.common_tenant);
        if let Some(name) = common.into_iter().find(|n| n.eq_ignore_ascii_case(text)) {
            return Ok(Some(Self::Multi(name)));
        }
        is_guid(text)
            .then(|| Some(Self::Single(text.to_owned())))
            .ok_or(
                "expected the directory (tenant) id of the app registration, a GUID such as \
                 3b0f1c22-0000-4000-8000-000000000001, or botframework.com for a multi-tenant bot",
            )
    }
}

impl Settings {
    /// The scope of the token, which depends on the cloud.
    pub(super) fn scope(&self) -> &'static str {
        CLOUDS
            .iter()
            .find(|cloud| cloud.login_host == self.login.host())
            .unwrap_or(&PUBLIC)
            .scope
    }
}

/// Reads the variables; `None` if none is set or something is wrong, which is then noted.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Settings> {
    let vars: Vars = reader.vars();
    if !VARS.iter().any(|var| reader.is_given(var.name)) {
        return None;
    }
    for name in ["TEAMS_APP_ID", "TEAMS_APP_PASSWORD", "TEAMS_TENANT_ID"] {
        if !reader.is_given(name) {
            reader.fault(name, "is not set, but other TEAMS_ variables are; a bot needs all three of TEAMS_APP_ID, \
                                TEAMS_APP_PASSWORD and TEAMS_TENANT_ID");
        }
    }
    let app_id = reader.value("TEAMS_APP_ID", vars.app_id.as_deref(), None, parse_app_id);
    let password = vars.password.as_deref();
    let password = reader.value("TEAMS_APP_PASSWORD", password, None, parse_password);
    let tenant = reader.value(
        "TEAMS_TENANT_ID",
        vars.tenant.as_deref(),
        None,
        Tenant::parse,
    );
    let trusted = vars.trusted.as_deref();
    let trusted = reader.value(
        "TEAMS_TRUSTED_SERVICE_HOSTS",
        trusted,
        TrustedHosts::default(),
        TrustedHosts::parse,
    );
    let service = vars.service_url.as_deref().unwrap_or(SERVICE_URL);
    let service = reader.value("TEAMS_SERVICE_URL", Some(service), None, |text| {
        parse_service(text, &trusted).map(Some)
    });
    let login = vars.login_url.as_deref().unwrap_or(LOGIN_URL);
    let login = reader.value("TEAMS_LOGIN_URL", Some(login), None, |text| {
        parse_base(text).map(Some)
    });
    let openid = vars.openid_url.as_deref().unwrap_or(OPENID_URL);
    let openid = reader.value("TEAMS_OPENID_URL", Some(openid), None, |text| {
        parse_base(text).map(Some)
    });
    let service = service?;
    Some(Settings {
        app_id: app_id?,
        password: password?,
        tenant: tenant?,
        trusted: trusted.with(&service),
        service,
        login: login?,
        openid: openid?,
    })
}

fn parse_app_id(text: &str) -> Result<Option<String>, &'static str> {
    is_guid(text).then(|| Some(text.to_owned())).ok_or(
        "expected the application (client) id of the app registration, a GUID such as \
         aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    )
}

fn parse_password(text: &str) -> Result<Option<Secret>, &'static str> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(
            "a client secret has no spaces, line ends or control characters; copy it again",
        );
    }
    Ok(Some(Secret::new(text.to_owned())))
}

/// An absolute URL that paths can be appended to. The bot's secret or token goes there, so it is https,
/// except on this machine.
fn parse_base(text: &str) -> Result<WebUrl, String> {
    let url = WebUrl::parse(text).map_err(|e| e.to_string())?;
    if !url.is_https() && !url.is_loopback() {
        return Err(
            "must begin with https:// (http:// is for this machine only): credentials go there"
                .to_owned(),
        );
    }
    if text.contains(['?', '#']) || url.to_uri().is_err() {
        return Err("expected a URL without a query or fragment".to_owned());
    }
    Ok(url)
}

/// E2: the token goes to exactly the hosts that are known, listed, or this machine.
fn parse_service(text: &str, trusted: &TrustedHosts) -> Result<WebUrl, String> {
    let url = parse_base(text)?;
    if trusted_host(&url, trusted) || url.is_loopback() {
        return Ok(url);
    }
    Err("the bot's token is not sent to this host; if it is right, add the host (with its port, if it is not 443) to \
         TEAMS_TRUSTED_SERVICE_HOSTS"
        .to_owned())
}
