//! What is read of an event, and that nothing in one can be a reason to lose it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The envelope of reference/slack.md 6.2 around an event.
fn envelope(event: &Value) -> Value {
    json!({"type": "event_callback", "token": "deprecated", "team_id": "T0TEAM001", "api_app_id": "A0PROXY01",
        "context_team_id": "T0TEAM001", "context_enterprise_id": null, "event_id": "Ev0AB12CD34", "event_time": 1_766_000_100,
        "authorizations": [{"enterprise_id": null, "team_id": "T0TEAM001", "user_id": "U0PROXY01", "is_bot": true}],
        "event": event})
}

fn message(fields: &Value) -> Value {
    let mut event = json!({"type": "message", "channel": "C0OPS0001", "channel_type": "channel", "user": "U0ALICE01",
        "text": "hi &lt;all&gt;", "ts": "1766000100.000300", "team": "T0TEAM001"});
    let all = event.as_object_mut().unwrap();
    all.extend(fields.as_object().unwrap().clone());
    event
}

#[track_caller]
fn read(body: &Value) -> Event {
    Event::read(body.to_string().as_bytes()).unwrap()
}

fn mention(event: &Value) -> Option<Mention> {
    match read(&envelope(event)) {
        Event::Other { mention, .. } => mention,
        _ => None,
    }
}

/// D5: Slack's own challenges are letters and digits; nothing else is echoed.
#[test]
fn a_challenge_is_echoed_if_it_cannot_be_anything_else() {
    let longest = "a".repeat(256);
    let read =
        |challenge: Value| read(&json!({"type": "url_verification", "challenge": challenge}));
    for good in ["k7Qm2ZpX", "a-b_c.d~e+f/g=", &longest] {
        let challenge = Some(Challenge(good.to_owned()));
        assert_eq!(read(json!(good)), Event::Verification(challenge), "{good}");
    }
    for bad in [
        json!(""),
        json!("a".repeat(257)),
        json!("<script>alert(1)</script>"),
        json!("a b"),
        json!("a\r\nb"),
        json!("a\"b"),
        json!("ä"),
        json!("a&b"),
        json!("{}"),
        json!(7),
        json!(null),
        json!(["a"]),
    ] {
        assert_eq!(read(bad.clone()), Event::Verification(None), "{bad}");
    }
}

#[test]
fn what_is_no_json_is_refused_and_any_json_is_an_event() {
    for body in [
        "",
        " ",
        "{",
        "payload=%7B%7D",
        "{}{}",
        "{'a':1}",
        "nul",
        "\u{feff}{}",
    ] {
        assert_eq!(Event::read(body.as_bytes()), Err(NotJson), "{body}");
    }
    assert_eq!(Event::read(b"{\"a\":\"\xff\"}"), Err(NotJson));
    let deep = format!(
        "{{\"event_id\":\"Ev1\",\"a\":{}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let other = |id: Option<&str>| Event::Other {
        id: id.map(str::to_owned),
        mention: None,
        left: None,
    };
    for (body, id) in [
        ("{}", None),
        ("[]", None),
        ("null", None),
        ("7", None),
        (r#"{"type":7,"event_id":7,"event":7}"#, None),
        (r#"{"type":"event_callback"}"#, None),
        (
            r#"{"type":"event_callback","event_id":"Ev1","event":[]}"#,
            Some("Ev1"),
        ),
        (
            r#"{"type":"app_rate_limited","team_id":"T0","minute_rate_limited":1}"#,
            None,
        ),
        (r#"{"type":"made up","event_id":"Ev1"}"#, Some("Ev1")),
        (
            r#"{"event_id":"Ev1","event":{"text":"\ud800"}}"#,
            Some("Ev1"),
        ),
        (&deep, Some("Ev1")),
    ] {
        assert_eq!(Event::read(body.as_bytes()), Ok(other(id)), "{body:.80}");
    }
}

/// F6: what the bot did itself is dropped, wherever in the event its ids are; reference/slack.md 6.3.
#[test]
fn what_the_apps_own_bot_did_is_its_own() {
    for fields in [
        json!({"app_id": "A0PROXY01"}),
        json!({"user": "U0PROXY01"}),
        json!({"bot_id": "B0PROXY01", "bot_profile": {"id": "B0PROXY01", "app_id": "A0PROXY01"}}),
        json!({"subtype": "message_changed", "user": null, "hidden": true,
            "message": {"type": "message", "bot_id": "B0PROXY01", "app_id": "A0PROXY01", "text": "see <https://x.example>"}}),
        json!({"subtype": "message_changed", "message": {"user": "U0PROXY01"}}),
        json!({"subtype": "message_changed", "message": {"bot_profile": {"app_id": "A0PROXY01"}}}),
        json!({"subtype": "message_deleted", "previous_message": {"app_id": "A0PROXY01"}}),
        json!({"subtype": "message_deleted", "previous_message": {"user": "U0PROXY01"}}),
        json!({"type": "reaction_added", "user": "U0PROXY01"}),
    ] {
        assert_eq!(read(&envelope(&message(&fields))), Event::Own, "{fields}");
    }
}

/// F6: what others did is not, whatever they say.
#[test]
fn what_others_did_is_relayed() {
    for fields in [
        json!({}),
        json!({"user": "U0PROXY011"}),
        json!({"app_id": "A0OTHER01", "bot_id": "B0OTHER01", "bot_profile": {"app_id": "A0OTHER01"}}),
        json!({"text": "U0PROXY01 A0PROXY01 <@U0PROXY01>"}),
        json!({"subtype": "message_changed", "message": {"user": "U0ALICE01"}, "previous_message": {"user": "U0ALICE01"}}),
        json!({"type": "reaction_added", "item_user": "U0PROXY01"}),
        json!({"type": "team_join", "user": {"id": "U0PROXY01"}}),
        json!({"type": "channel_created", "channel": {"id": "C0", "creator": "U0PROXY01"}}),
    ] {
        let event = read(&envelope(&message(&fields)));
        assert!(matches!(event, Event::Other { .. }), "{fields}");
    }
}

/// Without a bot, `authorizations` names the person who installed the app.
#[test]
fn a_person_is_never_the_apps_own_bot() {
    let mut body = envelope(&message(&json!({})));
    for authorizations in [
        json!([{"user_id": "U0ALICE01", "is_bot": false}]),
        json!([{"user_id": "U0ALICE01"}]),
        json!([{"user_id": "U0ALICE01", "is_bot": "true"}]),
        json!([{"is_bot": true}]),
        json!({"user_id": "U0ALICE01", "is_bot": true}),
        json!(null),
    ] {
        body["authorizations"] = authorizations;
        assert!(matches!(read(&body), Event::Other { .. }), "{body}");
    }
    let mut body = envelope(&message(&json!({"app_id": null})));
    body["api_app_id"] = json!(null);
    assert!(matches!(read(&body), Event::Other { .. }));
}

#[test]
fn a_mention_is_what_a_person_says_to_the_bot() {
    let said = |kind: &str, text: &str| mention(&message(&json!({"type": kind, "text": text})));
    let expected = Mention {
        team: Some("T0TEAM001".into()),
        channel: "C0OPS0001".into(),
        user: "U0ALICE01".into(),
        text: "where am I".into(),
        ts: "1766000100.000300".into(),
    };

    for (kind, text) in [
        ("app_mention", "<@U0PROXY01> where am I"),
        ("app_mention", "hey <@U0PROXY01>   where am I \n"),
        ("app_mention", "<@U0PROXY01|proxy>where am I"),
        ("message", "<@U0PROXY01> where am I"),
        ("message", "  <@U0PROXY01> where am I"),
    ] {
        assert_eq!(said(kind, text).as_ref(), Some(&expected), "{kind} {text}");
    }
    for (kind, text) in [
        ("message", "hey <@U0PROXY01> where"),
        ("message", "where"),
        ("message", "<@U0OTHER01> where"),
        ("app_mention", "where"),
        ("reaction_added", "<@U0PROXY01> where"),
    ] {
        assert_eq!(said(kind, text), None, "{kind} {text}");
    }
}

/// F6: two bots that answer each other would never end; and an edit is no second question.
#[test]
fn a_bot_and_a_subtype_are_no_mention() {
    for kind in ["message", "app_mention"] {
        for fields in [
            json!({"bot_id": "B0OTHER01"}),
            json!({"subtype": "bot_message"}),
            json!({"subtype": "message_changed"}),
            json!({"subtype": "thread_broadcast"}),
            json!({"user": null}),
            json!({"channel": {"id": "C0OPS0001"}}),
            json!({"ts": 1_766_000_100}),
        ] {
            let mut event = message(&json!({"type": kind, "text": "<@U0PROXY01> where"}));
            assert!(mention(&event).is_some());
            event
                .as_object_mut()
                .unwrap()
                .extend(fields.as_object().unwrap().clone());
            assert_eq!(mention(&event), None, "{event}");
        }
    }
}

/// F2: an id counts, and without one the proof does.
#[test]
fn repeats_have_the_id_in_common_and_replays_the_proof() {
    let (one, other) = ([1; 16], [2; 16]);

    assert_eq!(
        repeat_key(Some("Ev1"), &one),
        repeat_key(Some("Ev1"), &other)
    );
    assert_ne!(repeat_key(Some("Ev1"), &one), repeat_key(Some("Ev2"), &one));
    assert_eq!(repeat_key(None, &one), repeat_key(None, &one));
    assert_ne!(repeat_key(None, &one), repeat_key(None, &other));
    let text = std::str::from_utf8(&one).unwrap();
    assert_ne!(repeat_key(None, &one), repeat_key(Some(text), &one));
}

proptest! {
    #[test]
    fn any_text_around_a_mention_is_kept(text in "\\PC{0,60}") {
        let event = message(&json!({"type": "app_mention", "text": format!("<@U0PROXY01> {text}")}));

        prop_assert_eq!(mention(&event).unwrap().text, text.trim());
    }

    #[test]
    fn any_bytes_are_answered(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Event::read(&body).is_ok() || Event::read(&body) == Err(NotJson));
    }
}

/// What an organisation installed is kept under the organisation, and forgotten there.
#[test]
fn an_organisations_installation_is_the_organisations() {
    let of_organisation = |event: Value| {
        let mut body = envelope(&event);
        body["authorizations"][0]["is_enterprise_install"] = json!(true);
        body["authorizations"][0]["enterprise_id"] = json!("E0ORG0001");
        read(&body)
    };

    let said = message(&json!({"text": "<@U0PROXY01> where"}));
    let (asked, gone) = (
        of_organisation(said),
        of_organisation(json!({"type": "app_uninstalled"})),
    );

    let Event::Other { mention, .. } = asked else {
        panic!("a mention is for somebody");
    };
    assert_eq!(mention.unwrap().team.as_deref(), Some("E0ORG0001"));
    assert!(matches!(gone, Event::Other { left: Some(left), .. } if left == "E0ORG0001"));
}
