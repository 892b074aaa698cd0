//! The channels that the bot can see.

use serde_json::json;

use super::*;

const LIST: &str = "GET http://127.0.0.1:9/api/conversations.list?types=";
const REST: &str = "&exclude_archived=true&limit=200";
const AUTH: &str = "Bearer xoxb-test  ";

fn page(cursor: &str) -> Answer {
    let channels = json!([
        {"id": "C0OPS00001", "name": "ops", "is_member": true},
        {"id": "G0OPS00002", "name": "secret", "is_member": true, "is_private": true},
        {"id": "C0OPS00003", "name": "other"},
        {"id": "C0OPS00004", "name": "old", "is_archived": true},
        {"id": "../x", "name": "strange"},
    ]);
    let metadata = json!({"next_cursor": cursor});
    let body = json!({"ok": true, "channels": channels, "response_metadata": metadata});
    answer(200, &body.to_string())
}

fn list(wire: &Script, cursor: Option<&str>) -> Result<crate::backends::Page, Failure> {
    let listing = bot().list(wire, cursor).now_or_never().unwrap();
    listing.map(|listing| match listing {
        Listing::Page(page) => page,
        Listing::None(advice) => panic!("no list: {advice}"),
    })
}

#[test]
fn channels_are_listed_with_what_stands_in_a_posts_way() {
    let wire = Script::of([page("a+b="), page("")]);

    let first = list(&wire, None).unwrap();
    let last = list(&wire, first.next.as_deref()).unwrap();

    let shown: Vec<_> = first
        .channels
        .iter()
        .map(|c| (c.id.as_str(), c.name.as_str(), c.note.split(':').next()))
        .collect();
    assert_eq!(
        shown,
        [
            ("C0OPS00001", "#ops", Some("")),
            ("G0OPS00002", "#secret", Some("private")),
            ("C0OPS00003", "#other", Some("not a member")),
        ]
    );
    assert_eq!(last.next, None);
    let all = "public_channel%2Cprivate_channel";
    assert_eq!(
        *wire.asked.borrow(),
        [
            format!("{LIST}{all}{REST} {AUTH}"),
            format!("{LIST}{all}{REST}&cursor=a%2Bb%3D {AUTH}"),
        ]
    );
}

/// All pages after the first are of public channels as well, whoever asks for them.
#[test]
fn without_the_scope_for_private_channels_public_ones_are_listed() {
    for code in ["missing_scope", "invalid_types"] {
        let wire = Script::of([error(code), page("next"), page("")]);

        let first = list(&wire, None).unwrap();
        list(&wire, first.next.as_deref()).unwrap();

        let public = format!("{LIST}public_channel{REST}");
        assert_eq!(
            wire.asked.borrow()[1..],
            [
                format!("{public} {AUTH}"),
                format!("{public}&cursor=next {AUTH}"),
            ]
        );
        let neither = Script::of([error("missing_scope"), error("missing_scope")]);
        assert_eq!(word(&list(&neither, None)), "Credentials");
    }
}

/// Cursors expire (reference/slack.md 4.2): that is no refusal for good.
#[test]
fn failures_of_a_list() {
    let oversize = Answer {
        truncated: true,
        ..page("lost")
    };
    for (answer, want) in [
        (error("invalid_cursor"), "Unavailable"),
        (error("invalid_auth"), "Credentials"),
        (error("ratelimited"), "Throttled"),
        (answer(503, ""), "Unavailable"),
        (answer(200, "<html>"), "Unavailable"),
        (page(&"c".repeat(2000)), "Unavailable"),
        (oversize, "Unavailable"),
    ] {
        let failed = list(&Script::of([answer.clone()]), Some("anext"));
        assert_eq!(word(&failed), want, "{answer:?}");
    }
}
