//! Relayed while the platform waits, and the answer passed back.

use super::{INTERACTIVITY, Stage, send, setup, signature, slack};
use crate::support::reply::Then;
use crate::support::{Certificate, Folder, Reply, Request, Response, TlsUpstream, Upstream};

/// As many bytes as the proxy reads (threats.md F1), and as it passes back.
const MOST_OF_A_REQUEST: usize = 256 * 1024;
const MOST_OF_AN_ANSWER: usize = 1024 * 1024;

/// Nobody learns where the internal API is.
#[track_caller]
fn assert_silent(stage: &Stage, answer: &Response) {
    let shown = format!("{answer:?}{}", String::from_utf8_lossy(&answer.body));
    let port = stage.api.addr().port().to_string();
    assert!(
        !shown.contains(&port) && !shown.contains("127.0.0.1"),
        "{shown}"
    );
}

fn fields(request: &Request, name: &str) -> Vec<String> {
    let values = request.headers.get_all(name).into_iter();
    values.map(str::to_owned).collect()
}

#[test]
fn a_request_arrives_as_it_was_sent() {
    let stage = Stage::new(Reply::status(200));
    let body = b"payload=%7B%22a%22%3A1%7D&raw=\xff\x00\r\n\r\n+";
    let target = format!("{INTERACTIVITY}?a=%2F&b=c+d&a=&e");
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("User-Agent", "Slackbot 1.0 (+https://api.slack.com/robots)"),
        ("Accept", "*/*"),
        ("X-Slack-Retry-Num", "1"),
        ("X-Twice", "one"),
        ("X-Twice", "two"),
    ];

    let signed = slack().sign(&target, None, body);
    let proof = [
        ("X-Slack-Request-Timestamp", signed.timestamp.clone()),
        ("X-Slack-Signature", signed.signature.clone()),
    ];
    let all = headers
        .iter()
        .fold(signed, |it, (name, value)| it.header(name, value));

    let answer = all.to(&stage.proxy);

    assert_eq!(answer.status, 200);
    let request = &stage.api.requests()[0];
    assert_eq!((&*request.method, &request.target), ("POST", &target));
    assert_eq!(request.body, body);
    assert_eq!(fields(request, "X-Twice"), ["one", "two"]);
    assert_eq!(fields(request, "Host"), [stage.api.addr().to_string()]);
    assert_eq!(fields(request, "Content-Length"), [body.len().to_string()]);
    let own = proof.iter().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in own.chain(headers).filter(|(name, _)| *name != "X-Twice") {
        assert_eq!(fields(request, name), [value], "{name}");
    }
}

#[test]
fn a_path_in_relay_url_comes_before_every_other() {
    let api = Upstream::script(vec![Reply::status(200)]);
    let proxy = setup()
        .set("RELAY_URL", format!("{}/behind/", api.url()))
        .start();

    send(&proxy, &format!("{INTERACTIVITY}?a=b"), &[], b"x");

    let target = format!("/behind{INTERACTIVITY}?a=b");
    assert_eq!(api.requests()[0].target, target);
}

/// Status, headers and bytes; a refusal and a failure of the internal API are its own, too.
#[test]
fn an_answer_comes_back_as_it_was_given() {
    for status in [200, 201, 204, 400, 401, 404, 429, 500, 503] {
        let reply = match status {
            204 => Reply::status(204),
            _ => Reply::text(status, "{\"text\": \"grüß dich\"}\n"),
        };
        let reply = reply
            .header("X-Two", "one")
            .header("X-Two", "two")
            .header("Content-Encoding", "identity")
            .header("Cache-Control", "private");
        let stage = Stage::new(reply);

        let answer = stage.act("payload=%7B%7D");

        assert_eq!(answer.status, status);
        if status != 204 {
            assert_eq!(answer.text(), "{\"text\": \"grüß dich\"}\n");
        }
        assert_eq!(answer.headers.get_all("X-Two"), ["one", "two"]);
        assert_eq!(answer.headers.get_all("Cache-Control"), ["private"]);
        assert_eq!(answer.header("Content-Encoding"), Some("identity"));
    }
}

#[test]
fn headers_of_a_connection_go_no_further() {
    let hops = [
        ("Connection", "keep-alive, X-Hop"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("TE", "trailers"),
        ("Trailer", "X-Sum"),
        ("x-hop", "only here"),
    ];
    let reply = [("Proxy-Authenticate", "Basic"), ("Upgrade", "h2c")]
        .iter()
        .chain(&hops[..2])
        .chain(&hops[4..])
        .fold(Reply::text(200, "ok"), |reply, (name, value)| {
            reply.header(name, value)
        });
    let stage = Stage::new(reply.header("X-End", "kept"));

    let answer = send(&stage.proxy, INTERACTIVITY, &hops, b"payload=%7B%7D");

    assert_eq!((answer.status, answer.text()), (200, "ok".to_owned()));
    assert_eq!(answer.header("X-End"), Some("kept"));
    let request = &stage.api.requests()[0];
    let more = ["Proxy-Authenticate", "Upgrade", "Transfer-Encoding"];
    let names = hops.iter().map(|(name, _)| *name).chain(more);
    for name in names.filter(|name| *name != "Connection") {
        assert_eq!(request.header(name), None, "{name}");
        assert_eq!(answer.header(name), None, "{name}");
    }
    for value in request.headers.get_all("Connection") {
        assert!(!value.to_lowercase().contains("x-hop"), "{value}");
    }
}

#[test]
fn a_body_in_chunks_arrives_whole() {
    let stage = Stage::new(Reply::raw(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nan\r\n4\r\nswer\r\n0\r\n\r\n",
    ));
    let body = b"payload=%7B%7D";
    let signed = signature(body);
    let mut connection = stage.proxy.connect();
    let head = format!(
        "POST {INTERACTIVITY} HTTP/1.1\r\nHost: proxy\r\nTransfer-Encoding: chunked\r\n{}: {}\r\n{}: {}\r\n\r\n",
        signed[0].0, signed[0].1, signed[1].0, signed[1].1
    );
    connection.send(head.as_bytes());
    connection.send(b"8\r\npayload=\r\n6\r\n%7B%7D\r\n0\r\n\r\n");

    let answer = connection.read_response();

    assert_eq!((answer.status, answer.text()), (200, "answer".to_owned()));
    let request = &stage.api.requests()[0];
    assert_eq!(request.body, body);
    assert_eq!(request.header("Transfer-Encoding"), None);
}

/// C1: what a caller says of itself is not passed on as if the proxy had said it.
#[test]
fn where_it_came_from_is_the_proxys_word() {
    let stage = Stage::new(Reply::status(200));
    let said = [
        ("Host", "bot.example.com"),
        ("X-Forwarded-For", "198.51.100.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Port", "1"),
        ("Forwarded", "for=198.51.100.7"),
        ("X-Request-Id", "abc.DEF-1_2"),
    ];

    let answer = send(&stage.proxy, INTERACTIVITY, &said, b"payload=%7B%7D");

    let request = &stage.api.requests()[0];
    assert_eq!(fields(request, "X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(fields(request, "X-Forwarded-Proto"), ["http"]);
    assert_eq!(fields(request, "X-Forwarded-Host"), ["bot.example.com"]);
    assert_eq!(fields(request, "X-Request-Id"), ["abc.DEF-1_2"]);
    assert_eq!(answer.headers.get_all("X-Request-Id"), ["abc.DEF-1_2"]);
    assert_eq!(request.header("X-Forwarded-Port"), None);
    assert_eq!(request.header("Forwarded"), None);
}

#[test]
fn a_trusted_proxys_word_is_passed_on() {
    let api = Upstream::script(vec![Reply::status(200)]);
    let stage = Stage::with(api, &[("TRUSTED_PROXY_HOPS", "1")]);
    let said = [
        ("X-Forwarded-For", "203.0.113.9, 198.51.100.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "bot.example.com"),
    ];

    send(&stage.proxy, INTERACTIVITY, &said, b"payload=%7B%7D");

    let request = &stage.api.requests()[0];
    assert_eq!(fields(request, "X-Forwarded-For"), ["198.51.100.7"]);
    assert_eq!(fields(request, "X-Forwarded-Proto"), ["https"]);
    assert_eq!(fields(request, "X-Forwarded-Host"), ["bot.example.com"]);
}

/// F1: the limit is the last size that passes.
#[test]
fn a_request_that_is_too_large_is_refused_unread() {
    let stage = Stage::new(Reply::status(200));

    let most = stage.act(vec![b'a'; MOST_OF_A_REQUEST]);
    let more = stage.act(vec![b'a'; MOST_OF_A_REQUEST + 1]);

    assert_eq!(most.status, 200);
    assert_eq!(more.verdict(), (413, "body-too-large".to_owned()));
    let relayed = stage.api.requests();
    let sizes: Vec<usize> = relayed.iter().map(|request| request.body.len()).collect();
    assert_eq!(sizes, [MOST_OF_A_REQUEST]);
}

#[test]
fn an_answer_that_is_too_large_is_not_passed_back_in_part() {
    let most = Stage::new(Reply::text(200, &"a".repeat(MOST_OF_AN_ANSWER)));
    let failed = [
        Reply::text(200, &"a".repeat(MOST_OF_AN_ANSWER + 1)),
        Reply::endless_body(),
        Reply::text(200, "cut")
            .header("Content-Length", "9")
            .then(Then::Close),
        Reply::raw("HTTP/1.1 200 OK\r\n\r\nwho knows whether this is all"),
        Reply::raw("HTTP/1.1 103 Early Hints\r\n\r\n"),
        Reply::raw("SSH-2.0-OpenSSH_9.6\r\n"),
        Reply::close_after_request(),
        Reply::reset_after_request(),
    ];

    assert_eq!(most.act("a").body.len(), MOST_OF_AN_ANSWER);
    for reply in failed {
        let case = format!("{reply:.120?}");
        let stage = Stage::new(reply);
        let answer = stage.act("a");
        assert_eq!(answer.verdict(), (502, "relay-failed".to_owned()), "{case}");
        assert_silent(&stage, &answer);
    }
}

/// What the sender has not said the internal API does not hear: it might choose its answer by it.
#[test]
fn nothing_is_added_by_which_an_answer_is_chosen() {
    let stage = Stage::new(Reply::status(200));

    stage.act("payload=%7B%7D");

    for name in ["Accept", "Accept-Encoding", "User-Agent", "Connection"] {
        assert_eq!(stage.api.requests()[0].header(name), None, "{name}");
    }
}

/// E3: the second server sees nothing; and the platform is not told where the first one is.
#[test]
fn a_redirect_is_passed_back_and_not_followed() {
    let other = Upstream::script(vec![Reply::status(200)]);
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{}/elsewhere?a=b", other.url());
        let stage = Stage::new(Reply::status(status).header("Location", &to));

        let answer = stage.act("payload=%7B%7D");

        assert_eq!(answer.status, status);
        assert_eq!(answer.header("Location"), Some(&*to));
    }
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn a_redirect_of_the_internal_api_to_itself_does_not_tell_its_address() {
    let api = Upstream::start(|request| {
        let to = format!("http://{}/login?next=%2F", request.header("host").unwrap());
        Reply::status(302).header("Location", &to)
    });
    let stage = Stage::with(api, &[]);

    let answer = stage.act("payload=%7B%7D");

    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("Location"), Some("/login?next=%2F"));
    assert_silent(&stage, &answer);
}

#[test]
fn an_internal_api_that_is_away_is_502_and_one_that_is_silent_504() {
    let away = Stage::new(Reply::status(200));
    away.api.down();
    let silent = Stage::new(Reply::stall());
    let halting = Stage::new(
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").then(Then::Stall),
    );

    let refused = away.act("payload=%7B%7D");
    let unheard = silent.act("payload=%7B%7D");
    let half = halting.act("payload=%7B%7D");

    assert_eq!(refused.verdict(), (502, "relay-failed".to_owned()));
    assert_eq!(unheard.verdict(), (504, "relay-timeout".to_owned()));
    assert_eq!(half.verdict(), (504, "relay-timeout".to_owned()));
    for (stage, answer) in [(&away, refused), (&silent, unheard), (&halting, half)] {
        assert_silent(stage, &answer);
    }
}

/// Also for a request that the platform repeats because the first came to nothing.
#[test]
fn an_internal_api_that_is_back_is_asked_again() {
    let stage = Stage::new(Reply::text(200, "ok"));
    stage.api.down();
    let body = b"payload=%7B%7D";
    let signed = signature(body);
    let headers = signed
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let ask = || stage.proxy.send("POST", INTERACTIVITY, &headers, body);

    let first = ask();
    stage.api.up();
    let second = ask();

    assert_eq!((first.status, second.status), (502, 200));
    assert_eq!(second.text(), "ok");
}

/// F-23: an internal API that closes an idle connection without a word costs nobody an answer.
#[test]
fn a_connection_that_the_internal_api_has_closed_is_not_used_again() {
    let stage = Stage::new(Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));

    let answers: Vec<u16> = (0..20)
        .map(|number| stage.act(format!("payload={number}")).status)
        .collect();

    assert_eq!(answers, [200; 20]);
    assert_eq!(stage.api.requests().len(), 20);
}

/// E4: the internal API is verified like everybody else, and a private CA can be added.
#[test]
fn an_internal_api_behind_tls_is_verified() {
    let api = TlsUpstream::start(Certificate::Good, |_| Reply::text(200, "ok"));
    let folder = Folder::new();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, api.ca_pem()).unwrap();
    let strange = setup().set("RELAY_URL", api.url());
    let known = strange.clone().set("UPSTREAM_CA", ca.to_str().unwrap());

    let refused = send(&strange.start(), INTERACTIVITY, &[], b"one");
    let answer = send(&known.start(), INTERACTIVITY, &[], b"two");

    assert_eq!(refused.verdict(), (502, "relay-failed".to_owned()));
    assert_eq!((answer.status, answer.text()), (200, "ok".to_owned()));
}
