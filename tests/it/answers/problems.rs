//! Errors: one RFC 9457 document each, with the headers that belong to its status.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use crate::support::slack_sender::{EVENTS, SlackSender};
use crate::support::{Mattermost, Proxy, Response, Slack, unlimited};

use super::{is_uuidv7, names};

const CI: &str = "Bearer secret-of-the-ci-system";
const DEPLOY: &str = "Bearer secret-of-the-deployer";
const KEY: &str = "a-signing-key-of-thirty-two-chars-or-more";
const POST: &str = "/post/channel/demo/msg/text";

/// Every refusal that can be had without waiting: its status, its code, and the answer.
struct Refusals(Vec<(u16, &'static str, Response)>);

impl Refusals {
    /// `headers` are sent with every request.
    fn all(headers: &[(&str, &str)]) -> Self {
        let mut found = Self(Vec::new());
        found.of_any_request(headers);
        found.of_callers(headers);
        found.of_operators(headers);
        found.of_platforms(headers);
        found.of_senders(headers);
        found
    }

    fn push(&mut self, status: u16, code: &'static str, answer: Response) {
        self.0.push((status, code, answer));
    }

    fn of_any_request(&mut self, headers: &[(&str, &str)]) {
        let proxy = unlimited().start();
        let long = "x".repeat(40_000);
        for (status, code, method, target) in [
            (400, "bad-encoding", "POST", "/post/channel/demo/msg/%FF"),
            (400, "bad-encoding", "POST", "/post/channel/demo/b64/!"),
            (400, "bad-character", "POST", "/post/channel/demo/msg/%00"),
            (400, "empty-message", "POST", "/post/channel/demo/msg/"),
            (400, "empty-channel", "POST", "/post/channel//msg/text"),
            (
                400,
                "bad-option",
                "POST",
                "/post/channel/demo/msg/text?dry=x",
            ),
            (404, "not-found", "POST", "/nothing"),
            (405, "method-not-allowed", "DELETE", POST),
            (405, "method-not-allowed", "POST", "/health"),
        ] {
            self.push(status, code, proxy.request(method, target, headers));
        }
        let with = |field: (&'static str, &'static str)| [headers, &[field]].concat();
        self.push(
            403,
            "preview-refused",
            proxy.request("GET", POST, &with(("Purpose", "prefetch"))),
        );
        self.push(
            400,
            "bad-request",
            proxy.request("POST", POST, &with(("Content-Length", "x"))),
        );
        self.push(
            413,
            "body-too-large",
            proxy.request("POST", POST, &with(("Content-Length", "65537"))),
        );
        let target = format!("/post/channel/demo/msg/{long}");
        self.push(414, "uri-too-long", proxy.request("POST", target, headers));
        let field = [&[("X-Long", long.as_str())], headers].concat();
        let large = proxy.request("POST", POST, &field);
        self.push(431, "headers-too-large", large);
    }

    fn of_callers(&mut self, headers: &[(&str, &str)]) {
        let setup = unlimited()
            .set(
                "PROXY_TOKENS",
                "ci=secret-of-the-ci-system deploy@demo=secret-of-the-deployer",
            )
            .set("SIGNING_KEYS", KEY)
            .set("CHANNELS", "demo=console:demo");
        let proxy = setup.start();
        let with = |value: &'static str| [headers, &[("Authorization", value)]].concat();

        self.push(401, "unauthorized", proxy.request("POST", POST, headers));
        let wrong = proxy.request("POST", POST, &with("Bearer secret-of-nobody-at-all"));
        self.push(401, "unauthorized", wrong);
        let other = proxy.request("POST", "/post/channel/other/msg/text", &with(DEPLOY));
        self.push(403, "forbidden", other);
        let expired = format!("{POST}?sig=c.1.{}", mac("v1\nc\n1\ndemo"));
        self.push(
            403,
            "signature-expired",
            proxy.request("POST", expired, headers),
        );
    }

    fn of_operators(&mut self, headers: &[(&str, &str)]) {
        let aliases = unlimited()
            .set("ONLY_ALIASES", "true")
            .set("CHANNELS", "a=console:a");
        let unknown = aliases.start().request("POST", POST, headers);
        self.push(404, "unknown-channel", unknown);
        let proxy = Proxy::setup().set("RATE_LIMIT_CALLER", "1/h").start();
        assert_eq!(proxy.request("POST", POST, headers).status, 200);
        self.push(429, "rate-limited", proxy.request("POST", POST, headers));
    }

    fn of_platforms(&mut self, headers: &[(&str, &str)]) {
        let (slack, mattermost) = (Slack::start(), Mattermost::start());
        let ops = slack.channel("ops");
        let setup = unlimited()
            .with(&slack)
            .with(&mattermost)
            .set("CHANNELS", format!("both=console:demo,slack:{ops}"))
            .set("MAX_PARTS", "1");
        let proxy = setup.start();
        let post = |channel: &str| {
            proxy.request(
                "POST",
                format!("/post/channel/{channel}/msg/text?wait=1"),
                headers,
            )
        };
        let on_slack = format!("slack:{ops}");

        self.push(400, "ambiguous-channel", post("nothing-anybody-knows"));
        let long = format!("/post/channel/{on_slack}/msg/{}", "long%20".repeat(2000));
        self.push(
            413,
            "message-too-long",
            proxy.request("POST", long, headers),
        );
        slack.next(Slack::error("is_archived"));
        self.push(502, "backend-rejected", post(&on_slack));
        slack.next(Slack::error("is_archived"));
        self.push(502, "partly-rejected", post("both"));
        slack.down();
        self.push(503, "backend-unavailable", post(&on_slack));
    }

    /// A platform that sends what nobody takes.
    fn of_senders(&mut self, headers: &[(&str, &str)]) {
        let slack = SlackSender::new();
        let proxy = unlimited().with(&slack).start();
        let signed = slack.sign(EVENTS, None, "no JSON");
        let signed = headers
            .iter()
            .fold(signed, |signed, (name, value)| signed.header(name, value));
        self.push(400, "bad-body", signed.to(&proxy));
    }
}

/// All of them as the documents they are, provoked once for all tests.
fn documents() -> &'static Refusals {
    static DOCUMENTS: LazyLock<Refusals> = LazyLock::new(|| Refusals::all(&[]));
    &DOCUMENTS
}

/// The contract's recipe, written again.
fn mac(lines: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(lines.as_bytes());
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

#[test]
fn every_refusal_is_a_problem_document() {
    let refusals = documents();

    let mut ids: Vec<String> = Vec::new();
    for (status, code, answer) in &refusals.0 {
        let body = answer.text();
        let problem = answer.json();
        assert_eq!(answer.verdict(), (*status, (*code).to_owned()), "{body}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{code}"
        );
        assert_eq!(problem["type"], format!("/problems#{code}"));
        assert_eq!(problem["status"], *status, "{code}");
        for name in ["title", "detail"] {
            let text = problem[name].as_str().unwrap_or_default();
            assert!(text.len() > 10, "{code}: {name} is {text:?}");
        }
        let id = problem["id"].as_str().unwrap_or_default().to_owned();
        assert!(is_uuidv7(&id), "{code}: {id}");
        ids.push(id);
        assert!(
            body.ends_with("}\n") && body.matches('\n').count() == 1,
            "{body:?}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), refusals.0.len());
}

#[test]
fn a_problem_has_no_other_members_than_those_of_its_code() {
    let common = ["code", "detail", "id", "status", "title", "type"];
    for (_, code, answer) in &documents().0 {
        let problem = answer.json();
        let mut expected = common.to_vec();
        expected.extend(match *code {
            "backend-rejected" => Some("platform_code"),
            "partly-rejected" => Some("deliveries"),
            _ => None,
        });
        expected.sort_unstable();

        assert_eq!(names(&problem), expected, "{code}");
        if *code == "backend-rejected" {
            assert_eq!(problem["platform_code"], "is_archived");
        }
        if *code == "partly-rejected" {
            let statuses: Vec<&Value> = problem["deliveries"]
                .as_array()
                .unwrap()
                .iter()
                .map(|delivery| &delivery["status"])
                .collect();
            assert_eq!(statuses, ["delivered", "failed"]);
        }
    }
}

#[test]
fn a_refusal_has_the_headers_of_its_status() {
    for (status, code, answer) in &documents().0 {
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert_eq!(challenge.contains("Bearer"), *status == 401, "{code}");
        assert_eq!(challenge.contains("Basic realm="), *status == 401, "{code}");
        assert_eq!(answer.header("allow").is_some(), *status == 405, "{code}");
        let retry_after = answer.header("retry-after").map(str::parse::<u64>);
        match status {
            429 | 503 => assert!(
                matches!(retry_after, Some(Ok(1..))),
                "{code}: {retry_after:?}"
            ),
            _ => assert_eq!(retry_after, None, "{code}"),
        }
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{code}");
        assert_eq!(answer.header("location"), None, "{code}");
    }
}

#[test]
fn plain_text_is_one_line_with_the_same_words() {
    let documents = documents();
    let lines = Refusals::all(&[("Accept", "text/plain")]);

    for ((status, code, line), (_, _, document)) in lines.0.iter().zip(&documents.0) {
        assert_eq!(line.status, *status, "{code}");
        let media = line.header("content-type");
        assert_eq!(media, Some("text/plain; charset=utf-8"), "{code}");
        let detail = document.json()["detail"].as_str().unwrap().to_owned();
        // These tell how the last attempt failed, and where, which is not always the same.
        let constant = match *code {
            "backend-unavailable" => "",
            "partly-rejected" => "1 of 2 destinations did not take the message: slack:",
            _ => &format!("{detail}\n"),
        };
        assert!(detail.starts_with(constant.trim_end()), "{detail}");
        let start = format!("{status} {code}: {constant}");
        assert!(line.text().starts_with(&start), "{}", line.text());
        assert_eq!(line.text().matches('\n').count(), 1, "{code}");
    }
}

#[test]
fn the_type_is_a_page_of_public_url() {
    for (url, base) in [
        ("https://hooks.example.org", "https://hooks.example.org"),
        ("https://hooks.example.org/", "https://hooks.example.org"),
        ("https://example.org/chat/", "https://example.org/chat"),
    ] {
        let proxy = unlimited().set("PUBLIC_URL", url).start();

        for (target, code) in [
            ("/nothing", "not-found"),
            ("/post/channel//msg/x", "empty-channel"),
        ] {
            let problem = proxy.post(target).json();

            assert_eq!(problem["type"], format!("{base}/problems#{code}"));
        }
    }
}

#[test]
fn the_list_of_problems_holds_every_code() {
    let proxy = unlimited().start();

    let answer = proxy.get("/problems");

    let listed: Vec<String> = answer
        .text()
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
        .collect();
    let reached = &documents().0;
    let reached = reached
        .iter()
        .map(|(status, code, _)| format!("{status} {code}"));
    // Reached by other tests: too slow, those of the outbox, the way back, stopping, too many connections, and never.
    let others = [
        "408 request-timeout",
        "409 already-settled",
        "409 in-progress",
        "422 key-reused",
        "502 relay-failed",
        "503 outbox-full",
        "503 shutting-down",
        "503 store-unavailable",
        "503 too-many-connections",
        "504 relay-timeout",
        "500 internal-error",
    ];
    let mut all: Vec<String> = reached.chain(others.map(str::to_owned)).collect();
    all.sort();
    all.dedup();
    let mut sorted = listed.clone();
    sorted.sort();
    assert_eq!(sorted, all);
    assert_eq!(answer.status, 200);
}

/// `caller`, `channel` and `global` in the IETF draft's structured form, on whatever an authenticated post is answered.
#[test]
fn every_answer_to_an_authenticated_post_tells_the_limits() {
    let proxy = Proxy::setup()
        .set(
            "PROXY_TOKENS",
            "ci=secret-of-the-ci-system deploy@demo=secret-of-the-deployer",
        )
        .set("CHANNELS", "demo=console:demo")
        .set("RATE_LIMIT_CHANNEL", "6/m")
        .start();
    let policies = [("caller", 120), ("channel", 6), ("global", 100)];
    let windows = [("caller", 60), ("channel", 60), ("global", 1)];

    for (status, token, target, told) in [
        (200, CI, POST, 3),
        (200, CI, "/post/channel/demo/msg/text?dry=1", 3),
        (200, DEPLOY, POST, 3),
        (403, DEPLOY, "/post/channel/other/msg/text", 1),
        (400, CI, "/post/channel/demo/msg/", 1),
        (400, CI, "/post/channel/demo/msg/text?dry=x", 1),
        (400, CI, "/post/channel/demo/msg/%FF", 1),
        (400, CI, "/post/channel//msg/text", 1),
        (200, CI, POST, 3),
        (200, CI, POST, 3),
        (200, CI, POST, 3),
        (429, CI, POST, 2),
    ] {
        let answer = proxy.request("POST", target, &[("Authorization", token)]);

        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        let policy = items(&answer, "ratelimit-policy", ["q", "w"]);
        let expected: Vec<_> = policies
            .iter()
            .zip(windows)
            .map(|((name, quota), (_, window))| ((*name).to_owned(), *quota, window))
            .collect();
        assert_eq!(policy, expected, "{target}");
        let standing = items(&answer, "ratelimit", ["r", "t"]);
        let names: Vec<&str> = standing.iter().map(|(name, _, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["caller", "channel", "global"][..told],
            "{status} {target}"
        );
        for (name, remaining, _) in &standing {
            let (_, quota) = policies.iter().find(|(known, _)| known == name).unwrap();
            assert!(remaining < quota, "{target}: {name} has {remaining} left");
        }
        if status == 429 {
            let retry_after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert_eq!(standing[1], ("channel".to_owned(), 0, retry_after));
        }
    }
}

/// A List of Strings with two Integer parameters each (RFC 9651), read strictly.
#[track_caller]
fn items(answer: &Response, field: &str, parameters: [&str; 2]) -> Vec<(String, u64, u64)> {
    let value = answer.header(field).unwrap_or_else(|| panic!("no {field}"));
    let number = |text: &str, name: &str| -> u64 {
        let digits = text
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('='));
        let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok());
        number.unwrap_or_else(|| panic!("{field}: {value}"))
    };
    let item = |text: &str| {
        let [name, first, second] = text.split(';').collect::<Vec<_>>()[..] else {
            panic!("{field}: {value}")
        };
        let name = name
            .strip_prefix('"')
            .and_then(|name| name.strip_suffix('"'));
        let name = name
            .unwrap_or_else(|| panic!("{field}: {value}"))
            .to_owned();
        (
            name,
            number(first, parameters[0]),
            number(second, parameters[1]),
        )
    };
    value.split(", ").map(item).collect()
}

/// B4, G5: what is in no table is 404, with the same words, whatever is asked of it; profilers and doors for
/// debugging are in none.
#[test]
fn unknown_paths_are_not_found_whatever_the_method() {
    let proxy = unlimited().start();
    let mut bodies = Vec::new();

    for path in [
        "/post",
        "/post/",
        "/post/channel",
        "/POST/channel/demo/msg/x",
        "/post/Channel/demo/msg/x",
        "/%70ost/channel/demo/msg/x",
        "/post/channel/demo/%6Dsg/x",
        "/post/channel/demo/MSG/x",
        "/post/channel/demo/",
        "/post/channel/demo/msg",
        "/post/channel/demo/b64",
        "/post/channel/demo/msg%2Fx",
        "/post/channel/demo/extra/msg/x",
        "/post/channel/demo/x/y",
        "/post/channel%2Fdemo/msg/x",
        "//post/channel/demo/msg/x",
        "/post//channel/demo/msg/x",
        "/post/channel//demo/msg/x",
        "/./post/channel/demo/msg/x",
        "/x/../post/channel/demo/msg/x",
        "/x/%2e%2e/post/channel/demo/msg/x",
        "/post;a=b/channel/demo/msg/x",
        "/post/channel;a=b/demo/msg/x",
        "/post\\channel\\demo\\msg\\x",
        "/post%00/channel/demo/msg/x",
        "/post/channels/demo/msg/x",
        "/api/post/channel/demo/msg/x",
        "/health/",
        "/Health",
        "/health%20",
        "/ready/x",
        "/metrics/..",
        "//",
        "/.",
        "/..",
        "/favicon.ico",
        "/robots.txt",
        "/.env",
        "/admin",
        "/debug/pprof",
        "/deliveries/x/y",
        "/ask/channel/demo/msg/x",
        "/no-auth/provider-action",
        "/no-auth/provider-action/Slack-events",
        "/no-auth/provider-action/slack-events/",
        "/no-auth/provider-token/msteams",
        "/slack/install/",
    ] {
        for method in ["POST", "GET", "PUT", "OPTIONS", "DELETE"] {
            let answer = proxy.request(method, path, &[]);

            assert_eq!(
                answer.verdict(),
                (404, "not-found".into()),
                "{method} {path}"
            );
            assert_eq!(answer.header("allow"), None, "{method} {path}");
            let id = answer.json()["id"].as_str().unwrap().to_owned();
            bodies.push(answer.text().replace(&id, "…"));
        }
        assert_eq!(proxy.request("HEAD", path, &[]).status, 404, "HEAD {path}");
    }

    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(crate::support::printed(&proxy), [""; 0]);
}
