//! What an activity says, and whether it is what its token is for: reference/teams.md 4.1 (steps 10 to 14) and 5.

use super::*;

fn activity(changes: Value) -> Activity {
    let whole = json!({"type": "message", "id": "1", "timestamp": "2026-04-17T01:45:00.123Z", "channelId": "msteams",
        "serviceUrl": SERVICE, "from": {"id": "29:1abc"}, "recipient": {"id": format!("28:{APP}"), "name": "Bot"},
        "conversation": {"conversationType": "channel", "id": "19:a@thread.tacv2;messageid=7"}, "text": "hi"});
    Activity::parse(with(whole, changes).to_string().as_bytes()).unwrap()
}

fn admitted(claims: &Value, activity: &Activity, tenant: Option<&str>) -> Result<(), Unverified> {
    let keys = set(&json!([jwk(json!(["msteams"]))])).unwrap();
    let authorization = signed(&header(), claims);
    let token = Token::of(Some(&authorization)).unwrap();
    let key = keys.find("first").unwrap();
    let verified = verify(&token, key, ISSUER, APP, NOW).unwrap();
    let is_trusted = |url: &str| {
        url.to_ascii_lowercase()
            .starts_with("https://smba.trafficmanager.net/")
    };
    let rules = Rules {
        tenant,
        is_trusted: &is_trusted,
    };
    admit(activity, &verified, &rules)
}

#[test]
fn the_service_of_the_token_is_that_of_the_activity() {
    for (claimed, said, want) in [
        (SERVICE, SERVICE, true),
        (SERVICE, "https://smba.trafficmanager.net/emea", true),
        ("https://SMBA.trafficmanager.net/EMEA", SERVICE, true),
        (SERVICE, "https://smba.trafficmanager.net/emea//", false),
        (SERVICE, "https://smba.trafficmanager.net/amer/", false),
        ("", SERVICE, false),
    ] {
        let claims = with(claims(), json!({"serviceurl": claimed}));
        let activity = activity(json!({"serviceUrl": said}));
        assert_eq!(
            admitted(&claims, &activity, None).is_ok(),
            want,
            "{claimed} {said}"
        );
    }
    let unclaimed = with(claims(), json!({"serviceurl": null, "serviceUrl": SERVICE}));
    assert!(admitted(&unclaimed, &activity(json!({})), None).is_err());
}

#[test]
fn a_bot_of_one_tenant_hears_no_other() {
    let other = "3b0f1c22-0000-4000-8000-000000000002";
    for (changes, want) in [
        (json!({}), true),
        (
            json!({"channelData": {"tenant": {"id": TENANT.to_uppercase()}}}),
            true,
        ),
        (json!({"channelData": {"tenant": null}}), true),
        (json!({"channelData": {"tenant": {"id": other}}}), false),
        (json!({"channelData": {"tenant": {"id": [TENANT]}}}), false),
        (
            json!({"channelData": {"tenant": {"id": TENANT}}, "conversation": {"id": "a:1", "tenantId": other}}),
            false,
        ),
        (
            json!({"conversation": {"id": "a:1", "tenantId": TENANT}}),
            true,
        ),
    ] {
        let activity = activity(changes.clone());
        assert_eq!(
            admitted(&claims(), &activity, Some(TENANT)).is_ok(),
            want,
            "{changes}"
        );
        assert!(admitted(&claims(), &activity, None).is_ok());
    }
}

#[test]
fn a_body_without_the_needed_members_is_no_activity() {
    for body in [
        "",
        "x",
        "[]",
        "null",
        r#"{"type":"message","channelId":"msteams","serviceUrl":"https://a.test"}"#,
        r#"{"type":"message","channelId":"msteams","serviceUrl":"https://a.test","conversation":{"id":""}}"#,
        r#"{"type":"message","channelId":"msteams","serviceUrl":"","conversation":{"id":"a:1"}}"#,
        r#"{"type":"message","channelId":null,"serviceUrl":"https://a.test","conversation":{"id":"a:1"}}"#,
        r#"{"type":1,"channelId":"msteams","serviceUrl":"https://a.test","conversation":{"id":"a:1"}}"#,
    ] {
        assert_eq!(
            Activity::parse(body.as_bytes()).err(),
            Some(NoActivity),
            "{body}"
        );
    }
    let deep = "[".repeat(100_000);
    assert!(Activity::parse(deep.as_bytes()).is_err());
}

/// F6: the bot's own words do not go round; that it was added or removed does.
#[test]
fn the_bots_own_activities_are_known() {
    let bot = format!("28:{APP}");
    for (changes, want) in [
        (json!({}), false),
        (json!({"from": {"id": bot}}), true),
        (
            json!({"from": {"id": bot}, "recipient": {"id": "29:1abc"}}),
            true,
        ),
        (
            json!({"from": {"id": "29:1abc"}, "recipient": {"id": "29:1abc"}}),
            true,
        ),
        (
            json!({"from": {"id": bot}, "type": "conversationUpdate"}),
            false,
        ),
        (json!({"from": null, "recipient": null}), false),
    ] {
        assert_eq!(activity(changes.clone()).is_own(APP), want, "{changes}");
    }
}

#[test]
fn repeats_have_one_mark_and_nothing_else_has() {
    let mark = |changes| activity(changes).mark();
    let first = mark(json!({}));
    assert!(first.is_some());
    assert_eq!(mark(json!({"text": "other"})), first);
    for other in [
        json!({"id": "2"}),
        json!({"type": "messageUpdate"}),
        json!({"timestamp": "2026-04-17T01:45:00.124Z"}),
        json!({"conversation": {"id": "19:a@thread.tacv2"}}),
    ] {
        assert_ne!(mark(other.clone()), first, "{other}");
    }
    assert_eq!(mark(json!({"id": null})), None);
    assert_eq!(mark(json!({"id": ""})), None);
}

#[test]
fn activities_tell_where_the_bot_is() {
    let bot = format!("28:{APP}");
    let gone = |activity: &Activity| matches!(activity.lesson(), Lesson::Gone { .. });
    for (changes, want) in [
        (json!({}), false),
        (
            json!({"type": "installationUpdate", "action": "add"}),
            false,
        ),
        (
            json!({"type": "installationUpdate", "action": "Remove"}),
            true,
        ),
        (
            json!({"type": "installationUpdate", "action": "remove-upgrade"}),
            true,
        ),
        (json!({"type": "message", "action": "remove"}), false),
        (
            json!({"type": "conversationUpdate", "membersAdded": [{"id": bot}]}),
            false,
        ),
        (
            json!({"type": "conversationUpdate", "membersRemoved": [{"id": "29:x"}]}),
            false,
        ),
        (
            json!({"type": "conversationUpdate", "membersRemoved": [{"id": "29:x"}, {"id": bot}]}),
            true,
        ),
        (
            json!({"type": "message", "membersRemoved": [{"id": bot}]}),
            false,
        ),
        (
            json!({"type": "conversationUpdate", "recipient": null, "membersRemoved": [{}]}),
            false,
        ),
    ] {
        assert_eq!(gone(&activity(changes.clone())), want, "{changes}");
    }
    assert_eq!(activity(json!({})).conversation(), "19:a@thread.tacv2");
}

#[test]
fn a_mention_is_what_the_platform_marked_as_one() {
    let bot = format!("28:{APP}");
    let entity =
        |id: &str, text: &str| json!({"type": "Mention", "text": text, "mentioned": {"id": id}});
    let said = |changes| activity(changes).mention().map(|mention| mention.text);
    let named = "<at>Bot</at>";
    for (changes, want) in [
        (json!({"text": "<at>Bot</at> where"}), None),
        (
            json!({"text": "<at>Bot</at> where <at>Bot</at>", "entities": [entity(&bot, named)]}),
            Some("where"),
        ),
        (
            json!({"text": "<at>Dana</at> hi", "entities": [entity("29:dana", "<at>Dana</at>")]}),
            None,
        ),
        (
            json!({"text": "<at>Bot</at> <at>Dana</at> hi",
                "entities": [entity(&bot, named), entity("29:dana", "<at>Dana</at>"), {"type": "clientInfo"}]}),
            Some("<at>Dana</at> hi"),
        ),
        (
            json!({"text": "x", "entities": [{"type": "mention", "mentioned": {"id": bot}}]}),
            Some("x"),
        ),
        (
            json!({"text": null, "entities": [entity(&bot, named)]}),
            Some(""),
        ),
        (
            json!({"text": " help ", "conversation": {"id": "a:1", "conversationType": "personal"}}),
            Some("help"),
        ),
        (
            json!({"type": "messageUpdate", "conversation": {"id": "a:1", "conversationType": "personal"}}),
            None,
        ),
        (
            json!({"recipient": null, "entities": [{"type": "mention"}]}),
            None,
        ),
    ] {
        assert_eq!(said(changes.clone()).as_deref(), want, "{changes}");
    }
}
