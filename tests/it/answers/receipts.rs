//! 200: what a receipt says, as JSON and as a line.

use serde_json::json;

use crate::support::{Response, unlimited};

use super::{is_uuidv7, names};

const POST: &str = "/post/channel/demo/msg/text";

#[test]
fn a_receipt_is_one_json_object_and_a_newline() {
    let proxy = unlimited().start();

    for target in [
        POST,
        "/post/channel/demo/b64/dGV4dA",
        "/post/channel/demo?message=text",
    ] {
        let answer = proxy.post(target);

        let (body, receipt) = (answer.text(), answer.json());
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(
            body.ends_with("}\n") && body.matches('\n').count() == 1,
            "{body:?}"
        );
        assert_eq!(names(&receipt), ["deliveries", "id", "status"]);
        assert!(is_uuidv7(receipt["id"].as_str().unwrap()), "{body}");
        assert_eq!(receipt["status"], "delivered");
        assert_eq!(
            receipt["deliveries"],
            json!([{"backend": "console", "channel": "demo", "status": "delivered"}])
        );
    }
}

#[test]
fn each_post_has_an_id_of_its_own() {
    let proxy = unlimited().start();

    let mut ids: Vec<String> = (0..50)
        .map(|_| proxy.post(POST).json()["id"].as_str().unwrap().to_owned())
        .collect();

    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 50);
}

#[test]
fn an_alias_with_several_destinations_has_an_entry_for_each() {
    let proxy = unlimited()
        .set("CHANNELS", "all=console:one,console:two,console:three")
        .start();

    let receipt = proxy.post("/post/channel/all/msg/text").json();
    let line = proxy.request(
        "POST",
        "/post/channel/all/msg/text",
        &[("Accept", "text/plain")],
    );

    let entry =
        |channel: &str| json!({"backend": "console", "channel": channel, "status": "delivered"});
    assert_eq!(
        receipt["deliveries"],
        json!([entry("one"), entry("two"), entry("three")])
    );
    assert!(
        line.text()
            .ends_with(" console:one console:two console:three\n")
    );
}

#[test]
fn plain_text_gets_one_plain_line() {
    let proxy = unlimited().start();

    for accept in [
        "text/plain",
        "text/plain, */*",
        "text/plain;q=0.9, application/json;q=0.1",
        "TEXT/PLAIN",
        "application/json;q=0.5, text/plain",
    ] {
        let answer = proxy.request("POST", POST, &[("Accept", accept)]);

        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8"),
            "{accept}"
        );
        let text = answer.text();
        let [status, id, place] = text.trim_end_matches('\n').split(' ').collect::<Vec<_>>()[..]
        else {
            panic!("{accept}: {text}")
        };
        assert_eq!((status, place), ("delivered", "console:demo"), "{accept}");
        assert!(is_uuidv7(id) && text.ends_with('\n'), "{accept}: {text}");
        assert_eq!(text.matches('\n').count(), 1, "{accept}");
    }
    let dry = proxy.request("POST", format!("{POST}?dry=1"), &[("Accept", "text/plain")]);
    assert!(dry.text().starts_with("dry "), "{}", dry.text());
}

#[test]
fn everybody_else_gets_json() {
    let proxy = unlimited().start();

    for accept in [
        "*/*",
        "",
        "application/json",
        "application/json, text/plain",
        "application/json, text/plain, */*",
        "text/*",
        "text/html",
        "text/plain;q=0",
        "text/plainer",
        "\u{e9}",
    ] {
        let answer = proxy.request("POST", POST, &[("Accept", accept)]);

        assert_eq!(answer.verdict(), (200, "delivered".into()), "{accept}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{accept}"
        );
    }
    assert_eq!(
        proxy.post(POST).header("content-type"),
        Some("application/json")
    );
}

#[test]
fn answers_to_posts_are_kept_by_nobody() {
    let proxy = unlimited().start();

    let answers: Vec<Response> = [
        proxy.post(POST),
        proxy.post(format!("{POST}?dry=1")),
        proxy.get(POST),
        proxy.request("POST", POST, &[("Accept", "text/plain")]),
        proxy.post("/post/channel/demo/msg/"),
        proxy.request("PATCH", POST, &[]),
    ]
    .into();

    for answer in answers {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.headers.get_all("cache-control").len(), 1);
    }
}

/// Several fields are one list (RFC 9110, 5.3).
#[test]
fn plain_text_may_be_asked_for_in_a_field_of_its_own() {
    let proxy = unlimited().start();
    let fields = [("Accept", "application/xml"), ("Accept", "text/plain")];

    let answer = proxy.request("POST", "/post/channel/demo/msg/hello", &fields);

    assert_eq!(answer.status, 200);
    assert!(
        answer
            .header("Content-Type")
            .unwrap()
            .starts_with("text/plain")
    );
}
