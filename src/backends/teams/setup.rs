//! What may be configured: the bot's variables and webhooks' URLs.

use bytes::Bytes;
use http::Uri;

use super::fake::{APP, Fake, PASSWORD, answer, configured, run, with};
use super::{login, webhook};
use crate::backends::{Part, Recipient, Shared};
use crate::domain::web_url::WebUrl;

#[test]
fn nothing_set_is_no_backend_and_no_fault() {
    let (backend, faults) = configured(&[("HOST", "127.0.0.1")]);
    assert!(backend.is_none() && faults.is_empty());
    assert!(with(&[]).0.is_some());
}

/// A7: half a configuration names what is missing; G1: and shows no value.
#[test]
fn faults_name_the_variable_and_show_no_value() {
    for (extra, variable) in [
        (("TEAMS_APP_ID", ""), "TEAMS_APP_ID"),
        (("TEAMS_APP_PASSWORD", ""), "TEAMS_APP_PASSWORD"),
        (("TEAMS_TENANT_ID", ""), "TEAMS_TENANT_ID"),
        (("TEAMS_APP_ID", "my-bot"), "TEAMS_APP_ID"),
        (
            ("TEAMS_APP_ID", "{aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee}"),
            "TEAMS_APP_ID",
        ),
        (
            ("TEAMS_APP_ID", "aaaaaaaabbbbccccddddeeeeeeeeeeee"),
            "TEAMS_APP_ID",
        ),
        (
            ("TEAMS_APP_PASSWORD", "se cret-canary"),
            "TEAMS_APP_PASSWORD",
        ),
        (
            ("TEAMS_APP_PASSWORD", "secret\ncanary"),
            "TEAMS_APP_PASSWORD",
        ),
        (("TEAMS_TENANT_ID", "common"), "TEAMS_TENANT_ID"),
        (("TEAMS_TENANT_ID", "../x"), "TEAMS_TENANT_ID"),
        (
            ("TEAMS_TENANT_ID", "contoso.onmicrosoft.com"),
            "TEAMS_TENANT_ID",
        ),
        (("TEAMS_LOGIN_URL", "http://login.test"), "TEAMS_LOGIN_URL"),
        (
            ("TEAMS_LOGIN_URL", "https://login.test/?x=canary"),
            "TEAMS_LOGIN_URL",
        ),
        (
            (
                "TEAMS_SERVICE_URL",
                "https://smba.trafficmanager.net.evil.test/",
            ),
            "TEAMS_SERVICE_URL",
        ),
        (
            ("TEAMS_SERVICE_URL", "http://smba.trafficmanager.net/teams"),
            "TEAMS_SERVICE_URL",
        ),
        (
            ("TEAMS_SERVICE_URL", "https://smba.trafficmanager.net/#"),
            "TEAMS_SERVICE_URL",
        ),
        (
            (
                "TEAMS_SERVICE_URL",
                "https://u:canary@smba.trafficmanager.net/",
            ),
            "TEAMS_SERVICE_URL",
        ),
        (
            ("TEAMS_TRUSTED_SERVICE_HOSTS", "https://x.test"),
            "TEAMS_TRUSTED_SERVICE_HOSTS",
        ),
    ] {
        let (backend, faults) = with(&[extra]);
        let [fault] = &faults[..] else {
            panic!("{extra:?}: {faults:?}")
        };
        assert!(fault.starts_with(variable), "{fault}");
        assert!(
            !fault.contains("canary") && !fault.contains(PASSWORD),
            "{fault}"
        );
        assert!(
            backend.is_none() || variable.ends_with("HOSTS"),
            "{extra:?}"
        );
    }
    let (_, faults) = configured(&[("TEAMS_APP_ID", APP)]);
    assert_eq!(faults.len(), 2);
}

/// E2: hosts that may be set.
#[test]
fn service_urls_that_are_trusted() {
    for extra in [
        &[(
            "TEAMS_SERVICE_URL",
            "https://smba.infra.gcc.teams.microsoft.com/teams",
        )][..],
        &[("TEAMS_SERVICE_URL", "http://127.0.0.1:4000/teams/")],
        &[("TEAMS_SERVICE_URL", "http://localhost:4000")],
        &[
            ("TEAMS_SERVICE_URL", "https://gate.test:8443/x"),
            ("TEAMS_TRUSTED_SERVICE_HOSTS", "gate.test:8443"),
        ],
    ] {
        let (backend, faults) = with(extra);
        assert!(
            backend.is_some() && faults.is_empty(),
            "{extra:?} {faults:?}"
        );
    }
}

/// The webhook's URL is sent byte for byte, and its alias is all that is told of it.
#[test]
fn a_webhook_is_called_as_given() {
    const URL: &str = "https://prod-01.westeurope.logic.azure.com:443/workflows/0a/triggers/manual/paths/invoke\
                       ?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=aB-_%2b%2F~'(x)";
    let url = WebUrl::parse(URL).unwrap();
    assert_eq!(webhook::fault(&url), None);
    let uri: Uri = url.to_uri().unwrap();
    assert_eq!(uri.to_string(), URL);
    let to = Recipient::Webhook {
        alias: "alerts".into(),
        uri,
    };
    let flows = (webhook::WEBHOOKS.build)(&Shared::default());
    let part = Part {
        body: Bytes::from_static(b"{}"),
    };
    let wire = Fake::new().connector(Ok(answer(202, "")));
    let posted = run(flows.deliver(&wire, &to, &part)).unwrap();
    assert_eq!(posted.channel.as_deref(), Some("alerts"));
    assert_eq!((posted.message_id, posted.link), (None, None));
    let seen = wire.calls("logic.azure");
    assert_eq!(seen[0].uri, URL);
    assert_eq!(seen[0].authorization, None);
}

#[test]
fn webhook_urls_that_cannot_work() {
    for (url, want) in [
        (
            "https://x.webhook.office.com/webhookb2/a@b/IncomingWebhook/c/d",
            "retired",
        ),
        ("https://outlook.office.com/webhook/a", "retired"),
        ("https://outlook.office365.com/webhook/a", "retired"),
        ("http://prod.logic.azure.com/x?sig=a", "https"),
        ("https://prod.logic.azure.com/x?sig=a#b", "copy it again"),
        (
            "https://prod.westus.logic.azure.com/x?api-version=1",
            "cut off",
        ),
        (
            "https://a.00.environment.api.powerplatform.com:443/x",
            "cut off",
        ),
    ] {
        let fault = webhook::fault(&WebUrl::parse(url).unwrap()).unwrap();
        assert!(fault.contains(want), "{url}: {fault}");
    }
    for url in [
        "https://a.00.environment.api.powerplatform.com:443/x?sig=a",
        "https://gateway.test/teams",
        "http://127.0.0.1:4000/hook",
        "https://outlook.office.com.test/x",
    ] {
        assert_eq!(webhook::fault(&WebUrl::parse(url).unwrap()), None, "{url}");
    }
}

/// G1: nothing that holds a credential can be printed.
#[test]
fn tokens_do_not_show() {
    let grant = answer(
        200,
        r#"{"token_type":"Bearer","access_token":"canary","expires_in":60}"#,
    );
    let granted = login::classify(&grant).unwrap();
    assert!(!format!("{granted:?}").contains("canary"));
    assert!(!format!("{:?}", granted.authorization).contains("canary"));
}
