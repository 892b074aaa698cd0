//! From names to ids.

use serde_json::json;

use super::*;

#[test]
fn targets_are_ids_or_names() {
    for id in [
        "C0OPS00001",
        "G0OPS00001",
        "D0OPS00001",
        "U0ALICE01",
        "W0ALICE01",
    ] {
        assert!((KIND.recognises)(id) && !bot().is_name(id), "{id}");
    }
    assert!(!bot().is_name("C0123") && !(KIND.recognises)("C0123"));
    assert!((KIND.recognises)("#ops") && bot().is_name("#ops") && bot().is_name("ops"));
    for other in [
        "",
        "#",
        "ops",
        "4yoxrz5kqigpipsrhfkfp3jdzc",
        "19:x@thread.tacv2",
        "C0ops00001",
        "T0TEAM00001",
    ] {
        assert!(!(KIND.recognises)(other), "{other}");
    }
}

fn page(names: &[&str], cursor: &str) -> Answer {
    let channels: Vec<_> = names
        .iter()
        .map(|n| json!({"id": format!("C0{}", n.to_uppercase()), "name": n}))
        .collect();
    answer(
        200,
        &json!({"ok": true, "channels": channels, "response_metadata": {"next_cursor": cursor}})
            .to_string(),
    )
}

fn find(wire: &Script, name: &str) -> Result<String, Failure> {
    bot().find(wire, name).now_or_never().unwrap()
}

#[test]
fn names_are_found_page_by_page() {
    let wire = Script::of([
        page(&["general"], "dGVhbTpDMDY="),
        page(&[], "a+b/="),
        page(&["opsx", "ops"], ""),
    ]);

    assert_eq!(find(&wire, "#Ops").unwrap(), "C0OPS");

    let list = "GET http://127.0.0.1:9/api/conversations.list?types=public_channel%2Cprivate_channel&exclude_archived=true&limit=200";
    let auth = "Bearer xoxb-test  ";
    assert_eq!(
        *wire.asked.borrow(),
        [
            format!("{list} {auth}"),
            format!("{list}&cursor=dGVhbTpDMDY%3D {auth}"),
            format!("{list}&cursor=a%2Bb%2F%3D {auth}"),
        ]
    );
}

#[test]
fn a_name_that_is_nowhere_ends_clearly() {
    for last in [
        page(&["general"], ""),
        answer(200, r#"{"ok":true,"channels":[]}"#),
        answer(
            200,
            r#"{"ok":true,"channels":[],"response_metadata":{"next_cursor":null}}"#,
        ),
    ] {
        let missing = find(&Script::of([last]), "ops");
        assert_eq!(word(&missing), "UnknownChannel");
        assert!(detail(missing).contains("/invite"));
    }
    let endless = Script::of((0..100).map(|_| page(&[], "again")));
    assert_eq!(word(&find(&endless, "ops")), "UnknownChannel");
    assert_eq!(endless.asked.borrow().len(), 50);
}

/// A token that may not see private channels still finds public ones.
#[test]
fn without_the_scope_for_private_channels_public_ones_are_searched() {
    for code in ["missing_scope", "invalid_types"] {
        let wire = Script::of([error(code), page(&["ops"], "")]);
        assert_eq!(find(&wire, "ops").unwrap(), "C0OPS");
        assert!(wire.asked.borrow()[1].contains("?types=public_channel&"));
        let neither = Script::of([error(code), error(code)]);
        let refused = find(&neither, "ops");
        assert_eq!(word(&refused), "NotAllowed");
        assert!(detail(refused).contains("channels:read"));
    }
}

/// The wire reads 64 KiB: smaller pages are asked for, from the same place.
#[test]
fn an_oversize_page_is_asked_for_in_smaller_pieces() {
    let oversize = || Answer {
        truncated: true,
        ..page(&["x"], "lost")
    };
    let wire = Script::of([page(&[], "c1"), oversize(), page(&["ops"], "")]);
    assert_eq!(find(&wire, "ops").unwrap(), "C0OPS");
    assert!(wire.asked.borrow()[2].contains("limit=50&cursor=c1 "));
    let hopeless = Script::of((0..9).map(|_| oversize()));
    assert_eq!(word(&find(&hopeless, "ops")), "UnknownChannel");
    assert_eq!(hopeless.asked.borrow().len(), 3);
}

#[test]
fn failures_of_a_look_up() {
    for (answer, want) in [
        (error("invalid_auth"), "Credentials"),
        (error("invalid_cursor"), "Unavailable"),
        (error("ratelimited"), "Throttled"),
        (error("internal_error"), "Unavailable"),
        (answer(429, ""), "Throttled"),
        (answer(503, ""), "Unavailable"),
        (answer(301, ""), "Misconfigured"),
        (answer(200, "<html>"), "Unavailable"),
        (
            answer(
                200,
                r#"{"ok":true,"channels":[{"id":"../x","name":"ops"}]}"#,
            ),
            "UnknownChannel",
        ),
        (page(&[], &"c".repeat(2000)), "Unavailable"),
    ] {
        assert_eq!(word(&find(&Script::of([answer]), "ops")), want);
    }
}
