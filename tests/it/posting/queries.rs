//! What stands behind the `?`: options, names of others, and messages cut in two (contract 1.1, 1.3).

use serde_json::json;

use crate::support::{printed, unlimited};

/// B5: an unescaped `?` has cut the message, and nobody posts half of it.
#[test]
fn a_message_cut_by_a_question_mark_is_refused_and_told_how() {
    let proxy = unlimited().start();

    for query in [
        "ok",
        "really",
        "%20is%20it",
        "ok&dry=1",
        "title=a&b",
        "a=1&&b",
        "\u{e9}",
        "?",
        "a%3Db",
        "/",
    ] {
        let answer = proxy.post(format!("/post/channel/demo/msg/Deployed?{query}"));

        assert_eq!(answer.verdict(), (400, "bad-option".into()), "{query}");
        assert!(answer.text().contains("%3F"), "{query}");
    }
    assert_eq!(printed(&proxy), [""; 0]);
}

#[test]
fn known_options_with_bad_values_or_given_twice_are_refused_by_name() {
    let proxy = unlimited().start();

    for (query, name) in [
        ("title=", "title"),
        ("title=%20%09", "title"),
        ("title=a&title=a", "title"),
        ("title=%FF", "title"),
        ("link=javascript:alert(1)", "link"),
        ("link=ftp://x.example/", "link"),
        ("link=//x.example/", "link"),
        ("link=data:text/html,x", "link"),
        ("link=", "link"),
        ("level=fatal", "level"),
        ("level=ERROR", "level"),
        ("level", "level"),
        ("as=", "as"),
        ("format=html", "format"),
        ("wait=61", "wait"),
        ("wait=-1", "wait"),
        ("wait=1.5", "wait"),
        ("wait=10s", "wait"),
        ("wait=", "wait"),
        // Without an outbox there is nothing to answer early from.
        ("wait=0", "wait"),
        ("dry=yes", "dry"),
        ("dry=", "dry"),
        ("dry", "dry"),
        ("dry=1&dry=1", "dry"),
        ("dry=1&%64ry=0", "dry"),
        ("sig=x&sig=x", "sig"),
    ] {
        let answer = proxy.post(format!("/post/channel/demo/msg/x?{query}"));

        assert_eq!(answer.verdict(), (400, "bad-option".into()), "{query}");
        assert!(
            answer.json()["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains(name)),
            "{query}: {}",
            answer.text()
        );
    }
    for query in ["message=a&message=b", "message=a&dry=1&message=a"] {
        let answer = proxy.post(format!("/post/channel/demo?{query}"));

        assert_eq!(answer.verdict(), (400, "bad-option".into()), "{query}");
    }
    assert_eq!(printed(&proxy), [""; 0]);
}

#[test]
fn names_that_mean_nothing_here_are_listed_and_change_nothing() {
    let proxy = unlimited().start();

    for (query, ignored) in [
        ("BUILD_ID=7", json!(["BUILD_ID"])),
        ("a=1&b=&a=2", json!(["a", "b", "a"])),
        ("title=T&utm_source=ci", json!(["utm_source"])),
        ("Title=T&DRY=0", json!(["Title", "DRY"])),
        ("message=other", json!(["message"])),
        ("channel=other", json!(["channel"])),
        ("caf%C3%A9=1&a+b=2", json!(["caf\u{e9}", "a b"])),
        (
            "constructor=1&__proto__=2",
            json!(["constructor", "__proto__"]),
        ),
        ("a=b=c", json!(["a"])),
    ] {
        let answer = proxy.post(format!("/post/channel/demo/msg/text?dry=1&{query}"));

        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        assert_eq!(answer.json()["ignored"], ignored, "{query}");
        assert_eq!(answer.json()["message"], "text", "{query}");
    }
    let beside = proxy.post("/post/channel/demo/b64/dGV4dA?message=other");
    assert_eq!(beside.json()["ignored"], json!(["message"]));
    assert_eq!(printed(&proxy), ["[demo] text"]);
}

#[test]
fn an_empty_query_is_no_query() {
    let proxy = unlimited().start();

    for target in [
        "/post/channel/demo/msg/text?",
        "/post/channel/demo/msg/text?&",
        "/post/channel/demo/msg/text?&&",
        "/post/channel/demo/b64/dGV4dA?",
        "/post/channel/demo?&message=text&",
    ] {
        let answer = proxy.post(target);

        assert_eq!(answer.verdict(), (200, "delivered".into()), "{target}");
        assert_eq!(answer.json().get("ignored"), None, "{target}");
    }
    assert_eq!(printed(&proxy), ["[demo] text"; 5]);
}

#[test]
fn options_work_in_any_order_and_encoding() {
    let proxy = unlimited().start();
    let all =
        "title=Build+%2342&link=https://ci.example/42&level=error&as=CI+bot&wait=60&format=plain";

    let answers = [
        proxy.post(format!("/post/channel/demo/msg/red?{all}")),
        proxy.post(format!("/post/channel/demo?{all}&message=red")),
        proxy.post(format!("/post/channel/demo?message=red&{all}")),
        proxy.post(format!(
            "/post/channel/demo/b64/cmVk?{}",
            all.replace("title", "t%69tle")
        )),
    ];

    for answer in answers {
        assert_eq!(answer.verdict(), (200, "delivered".into()));
        assert_eq!(answer.json().get("ignored"), None);
    }
    let line = "[demo] \u{1F6A8} CI bot: Build #42: red <https://ci.example/42>";
    assert_eq!(printed(&proxy), [line; 4]);
}

#[test]
fn a_dry_run_posts_nothing() {
    let proxy = unlimited().start();

    let dry = proxy
        .post("/post/channel/demo/msg/text?dry=1&level=info")
        .json();
    let wet = proxy.post("/post/channel/demo/msg/text?dry=0").json();

    assert_eq!(
        (&dry["status"], &dry["message"]),
        (&json!("dry"), &json!("text"))
    );
    assert_eq!(
        dry["deliveries"],
        json!([{"backend": "console", "channel": "demo", "status": "dry", "requests": [{"line": "[demo] \u{2139}\u{FE0F} text"}]}])
    );
    assert_eq!(
        (&wet["status"], wet.get("message")),
        (&json!("delivered"), None)
    );
    assert_eq!(printed(&proxy), ["[demo] text"]);
}

/// D3: what people see of a link is what it is.
#[test]
fn a_link_holds_no_bidi_override_and_a_line_no_nul() {
    let proxy = unlimited().start();
    for query in [
        "link=https://example.org/%E2%80%AEgnp.exe",
        "link=https://example.org/%E2%81%A6x",
        "title=%00",
        "title=a%00b",
        "as=a%00b",
    ] {
        let answer = proxy.post(format!("/post/channel/demo/msg/text?{query}"));

        assert_eq!(answer.verdict(), (400, "bad-option".to_owned()), "{query}");
    }
    assert!(proxy.stdout_so_far().is_empty());
}
