//! `X-Request-Id`: the caller's own if it is 1 to 64 of letters, digits and `-_.`, else a new one; on every answer.

use crate::support::{Client, Proxy, Response, log_field, unlimited};

const POST: &str = "/post/channel/demo/msg/text";

fn request_id(answer: &Response) -> String {
    let ids = answer.headers.get_all("x-request-id");
    assert_eq!(ids.len(), 1, "{} has {ids:?}", answer.status);
    ids[0].to_owned()
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[test]
fn an_id_of_the_caller_is_kept() {
    let proxy = unlimited().start();

    for id in [
        "a",
        "0",
        "-",
        "_",
        ".",
        "..",
        "build-42_try.3",
        "ABCxyz019",
        "0190163d-8694-739b-aea5-966c26f8ad91",
        &"x".repeat(64),
    ] {
        for (method, target) in [("POST", POST), ("GET", "/nothing"), ("OPTIONS", POST)] {
            let answer = proxy.request(method, target, &[("X-Request-ID", id)]);

            assert_eq!(request_id(&answer), id);
        }
    }
}

/// D4: what is no id goes nowhere, neither into the answer nor into the log.
#[test]
fn anything_else_is_replaced() {
    let proxy = unlimited().start();
    let mut seen = Vec::new();

    for id in [
        "",
        " ",
        &"x".repeat(65),
        &"x".repeat(5000),
        "a b",
        "a/b",
        "a,b",
        "a:b",
        "a\"b",
        "a\\b",
        "a\tb",
        "<script>",
        "%41",
        "{}",
        "a=b",
        "\u{e9}",
        "a\u{2028}b",
        "\u{661}\u{662}",
    ] {
        let answer = proxy.request("POST", POST, &[("X-Request-Id", id)]);

        let new = request_id(&answer);
        assert_eq!(answer.status, 200, "{id}");
        assert!(is_id(&new) && new != id.trim(), "{id} became {new}");
        seen.push(new);
    }
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all);
}

#[test]
fn every_answer_has_one() {
    let proxy = unlimited().set("ALLOW_GET", "false").start();
    let long = "x".repeat(70_000);

    for (method, target, headers) in [
        ("POST", POST, &[][..]),
        ("GET", POST, &[]),
        ("PUT", "/post/channel/demo/msg/%FF", &[]),
        ("OPTIONS", POST, &[]),
        ("OPTIONS", "*", &[]),
        ("TRACE", POST, &[]),
        ("GET", "/", &[]),
        ("GET", "/health", &[]),
        ("GET", "/ready", &[]),
        ("GET", "/metrics", &[]),
        ("GET", "/problems", &[]),
        ("GET", "/nothing", &[]),
        ("GET", long.as_str(), &[]),
        ("GET", "nothing", &[]),
        ("GET", "/", &[("X-Long", long.as_str())]),
        ("POST", POST, &[("Content-Length", "1, 1")]),
        ("POST", POST, &[("Content-Length", "70000")]),
        ("G$T", "/", &[]),
    ] {
        let answer = Client::new(proxy.addr()).request(method, target, headers);

        assert!(is_id(&request_id(&answer)), "{method} {target:.60}");
    }
    let head = proxy.request("HEAD", "/health", &[]);
    assert!(is_id(&request_id(&head)));
}

/// Refused heads too, whose fields come after what is refused.
#[test]
fn a_refused_head_keeps_the_id_of_the_caller() {
    let proxy = unlimited().start();
    let (long, many) = ("x".repeat(65_536), [("X-Many", "field")].repeat(100));

    for (status, target, fields) in [
        (414, format!("/{long}"), vec![]),
        (431, POST.to_owned(), vec![("X-Long", long.as_str())]),
        (431, POST.to_owned(), many),
        (400, POST.to_owned(), vec![("Content-Length", "x")]),
        (400, POST.to_owned(), vec![("Folded", "a\r\n b")]),
    ] {
        let headers = [&fields[..], &[("X-Request-Id", "build-42")]].concat();

        let answer = proxy.request("POST", target, &headers);

        assert_eq!(answer.status, status);
        assert_eq!(request_id(&answer), "build-42", "{status}");
    }
}

/// Neither is read further than to the end of what is on its way: half of a head is refused as well, for what it is.
#[test]
fn a_large_head_that_stops_is_refused_for_its_size() {
    let proxy = unlimited().start();
    let target = format!("POST /{}", "x".repeat(40_000));
    let fields = format!("POST / HTTP/1.1\r\nX-Long: {}", "x".repeat(20_000));

    for (half, status) in [(&target, 414), (&fields, 431)] {
        let (mut open, mut closed) = (proxy.connect(), proxy.connect());
        open.send(half.as_bytes());
        closed.send(half.as_bytes());
        closed.shutdown_write();

        assert_eq!(open.read_response().status, status);
        assert_eq!(closed.read_response().status, status);
    }
}

#[test]
fn the_log_names_the_same_id() {
    let proxy: Proxy = unlimited().start();

    let own = request_id(&proxy.request("POST", POST, &[("X-Request-Id", "build-42")]));
    let new = request_id(&proxy.post("/post/channel/demo/msg/"));

    for id in [own, new] {
        proxy.wait_for_log(|event| {
            log_field(event, "request_id").and_then(|value| value.as_str()) == Some(&id)
        });
    }
}
