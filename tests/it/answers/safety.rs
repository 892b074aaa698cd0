//! D5: nothing that is echoed runs, and what is refused is not echoed at all.

use crate::support::{Response, percent_encode, unlimited};

const PAYLOADS: &[&str] = &[
    "<script>alert(document.domain)</script>",
    "\"><img src=x onerror=alert(1)>",
    "';alert(1)//",
    "</script><svg/onload=alert(1)>",
    "\\\"},\"status\":\"forged\",\"x\":{\"y\":\"",
    "\",\"id\":\"forged",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "javascript:alert(1)",
    "\u{FF1C}script\u{FF1E}",
    "<!--#exec cmd=\"id\"-->",
    "data:text/html,<script>alert(1)</script>",
];

/// The media type is JSON or plain text, and the browser is told not to guess another one.
#[track_caller]
fn assert_inert(answer: &Response) {
    let media = answer.header("content-type").unwrap_or_default();
    let inert = [
        "application/json",
        "application/problem+json",
        "text/plain; charset=utf-8",
    ];
    assert!(inert.contains(&media), "{media}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

/// The message of a dry run, the channel, and the names that mean nothing here.
#[test]
fn what_is_echoed_is_escaped() {
    let proxy = unlimited().start();

    for payload in PAYLOADS {
        let encoded = percent_encode(payload);
        // The log may name the channel, so the message is another text.
        let message = format!("message {payload}");
        let text = percent_encode(&message);
        let target = format!("/post/channel/{encoded}/msg/{text}?dry=1&{encoded}=1");
        let answer = proxy.request("POST", &target, &[("Accept", "text/html, */*")]);

        assert_eq!(answer.status, 200, "{payload}: {}", answer.text());
        assert_inert(&answer);
        let receipt = answer.json();
        assert_eq!(receipt["message"], message);
        assert_eq!(receipt["status"], "dry", "{payload}");
        assert_eq!(receipt["ignored"][0], *payload);
        assert_eq!(receipt["deliveries"][0]["channel"], *payload);
        let line = format!("[{payload}] {message}");
        assert_eq!(receipt["deliveries"][0]["requests"][0]["line"], line);
        let real = proxy.post(format!("/post/channel/{encoded}/msg/text"));
        assert_eq!(real.json()["deliveries"][0]["channel"], *payload);
        assert_inert(&real);
    }
}

#[test]
fn a_plain_line_stays_one_line() {
    let proxy = unlimited().start();

    for payload in PAYLOADS {
        let target = format!("/post/channel/{}/msg/text", percent_encode(payload));
        let answer = proxy.request("POST", target, &[("Accept", "text/plain")]);

        assert_inert(&answer);
        assert!(answer.text().ends_with(&format!(" console:{payload}\n")));
        assert_eq!(answer.text().lines().count(), 1);
    }
}

#[test]
fn what_is_refused_is_not_echoed() {
    let proxy = unlimited()
        .set("ONLY_ALIASES", "true")
        .set("CHANNELS", "demo=console:demo")
        .start();

    for payload in PAYLOADS {
        let encoded = percent_encode(payload);
        for target in [
            format!("/{encoded}"),
            format!("/post/channel/{encoded}/msg/text"),
            format!("/post/channel/demo/msg/{encoded}%FF"),
            format!("/post/channel/demo/msg/{encoded}%00"),
            format!("/post/channel/demo/msg/text?{encoded}"),
            format!("/post/channel/demo/msg/text?level={encoded}"),
            format!("/post/channel/demo/msg/text?wait={encoded}"),
            format!("/post/channel/demo/msg/text?link=x{encoded}"),
            format!("/post/channel/demo/msg/{encoded}?dry"),
            format!("/post/channel/demo/{encoded}/text"),
        ] {
            let headers = [("X-Request-Id", *payload), ("User-Agent", payload)];
            let answer = proxy.request("POST", &target, &headers);

            assert!((400..500).contains(&answer.status), "{target}");
            assert_inert(&answer);
            let everything = format!("{:?}{}", answer.headers, answer.text());
            assert!(!everything.contains(payload), "{target}: {everything}");
            assert!(!everything.contains(&encoded), "{target}: {everything}");
        }
    }
}
