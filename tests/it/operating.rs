//! Contract section 9: the page, health, readiness, counters, and what the log says and keeps to itself.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{
    Mattermost, Proxy, Response, Setup, log_field, log_message, message_path, percent_encode,
};

const CI: &str = "Kq3vT8wZpL5nX2rY";
const KEY: &str = "3f9a1c7be2d84056a1b7c3d9e5f20864";
const METRICS: &str = "eW2yN8xQ5tR4vP7z";

const POST: &str = "/post/channel/{channel}/msg/{message}";

/// Everything that could end or disguise a log line.
const HOSTILE: &str = "first line\nsecond \"quoted\" \\ line\r\n\u{1b}[31mcrimson\u{1b}[0m\u{2028}\u{2029}\u{85}{\"level\":\"ERROR\"}\u{7}\t';--";

fn setup(env: &[(&str, &str)]) -> Setup {
    let defaults = [
        ("RATE_LIMIT_CALLER", "off"),
        ("RATE_LIMIT_CHANNEL", "off"),
        ("RATE_LIMIT_GLOBAL", "off"),
    ];
    defaults
        .iter()
        .chain(env)
        .fold(Proxy::setup(), |setup, (name, value)| {
            setup.set(name, *value)
        })
}

fn bearer(secret: &str) -> String {
    format!("Bearer {secret}")
}

/// The `request` events, after the program has ended and every line is in.
#[track_caller]
fn requests(proxy: &Proxy) -> Vec<Value> {
    assert!(proxy.terminate().success());
    proxy
        .logs()
        .into_iter()
        .filter(|event| log_message(event) == "request")
        .collect()
}

#[track_caller]
fn field<'a>(event: &'a Value, name: &str) -> &'a str {
    log_field(event, name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[test]
fn the_root_is_a_page_for_people_and_a_line_for_programs() {
    let proxy = Proxy::start(&[]);
    let html = "text/html; charset=utf-8";
    let plain = "text/plain; charset=utf-8";

    for (accept, media) in [
        ("text/html,application/xhtml+xml,*/*;q=0.8", html),
        ("text/html", html),
        ("*/*", plain),
        ("application/json", plain),
        ("text/html;q=0", plain),
    ] {
        let response = proxy.request("GET", "/", &[("Accept", accept)]);

        assert_eq!(
            (response.status, response.header("Content-Type")),
            (200, Some(media)),
            "{accept}"
        );
        assert!(response.text().contains("/post/channel/"), "{accept}");
        if media == plain {
            assert_eq!(response.text().lines().count(), 1, "{accept}");
        }
    }
    assert_eq!(proxy.get("/").header("Content-Type"), Some(plain));
}

/// D5: neither the page nor any other answer can be made to run something that a visitor's URL brings.
#[test]
fn no_answer_runs_what_a_request_says() {
    let proxy = Proxy::start(&[]);
    let script = "/post/channel/%3Cscript%3Ealert(1)%3C%2Fscript%3E/msg/%20";

    let posted = proxy.request(
        "POST",
        script,
        &[("Accept", "text/html"), ("X-Request-Id", "<script>")],
    );
    // JSON that no browser comes back to: `nosniff` is enough.
    assert_eq!(posted.header("Content-Security-Policy"), None);
    assert_eq!(
        posted.header("Content-Type"),
        Some("application/problem+json")
    );

    let visited = [
        proxy.request("GET", "/", &[("Accept", "text/html")]),
        proxy.get("/<script>alert(1)</script>"),
        proxy.post(format!("{script}?dry=2")),
    ];
    for response in &visited {
        let policy = response.header("Content-Security-Policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
    }
    for response in visited.iter().chain([&posted]) {
        assert_eq!(response.header("X-Content-Type-Options"), Some("nosniff"));
        // The page's own is a file of this proxy.
        let text = response
            .text()
            .replace(r#"<script type="module" src="assets/app.js"></script>"#, "");
        assert!(!text.contains("<script"), "{text}");
    }
}

#[test]
fn health_and_readiness_are_fixed_words() {
    let proxy = Proxy::start(&[("HOST", "127.0.0.1")]);

    let health = proxy.get("/health");
    let ready = proxy.get("/ready");

    assert_eq!(
        (health.status, health.json()),
        (200, json!({"status": "ok"}))
    );
    assert_eq!(
        (ready.status, ready.json()),
        (
            200,
            json!({
                "status": "ready",
                "backends": [{"name": "console", "status": "ok"}],
                "store": {"name": "none", "status": "ok"},
            })
        )
    );
    for path in ["/health", "/ready", "/metrics", "/"] {
        let head = proxy.request("HEAD", path, &[]);
        let posted = proxy.post(path);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(
            (posted.status, posted.header("Allow")),
            (405, Some("GET, HEAD, OPTIONS")),
            "{path}"
        );
    }
}

/// What is not configured is not said to work; an incoming webhook is enough to be there.
#[test]
fn readiness_lists_the_backends_that_are_configured() {
    let mattermost = Mattermost::start();
    let hook = format!("alerts=mattermost+{}", mattermost.hook_url());
    let names = |proxy: &Proxy| {
        let ready = proxy.get("/ready").json();
        let entries = ready["backends"].as_array().unwrap().iter();
        entries
            .map(|entry| entry["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };

    let with_a_bot = setup(&[]).with(&mattermost).start();
    let with_a_webhook = setup(&[("CHANNELS", &hook)]).start();

    assert_eq!(names(&with_a_bot), ["mattermost", "console"]);
    assert_eq!(names(&with_a_webhook), ["mattermost", "console"]);
}

/// A backend in trouble is named, by a fixed word, and does not make the whole proxy unready.
#[test]
fn a_backend_that_fails_is_listed_and_the_proxy_stays_ready() {
    let (wrong, gone) = (Mattermost::start(), Mattermost::start());
    gone.down();
    let refused = setup(&[])
        .with(&wrong)
        .set("MATTERMOST_TOKEN", "xq3vt8wzpl5nx2ry7uhcb4mj9s")
        .start();
    let unreachable = setup(&[]).with(&gone).start();
    let works = setup(&[]).with(&wrong).start();

    let state = |proxy: &Proxy| {
        let ready = proxy.get("/ready");
        assert_eq!(
            (ready.status, ready.json()["status"].as_str()),
            (200, Some("ready"))
        );
        let backends = ready.json()["backends"].clone();
        let entry = backends
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["name"] == "mattermost")
            .unwrap()
            .clone();
        (entry["status"].clone(), entry.get("reason").is_some())
    };

    assert_eq!(state(&works), (json!("ok"), false));
    assert_eq!(state(&refused), (json!("failing"), true));
    assert_eq!(state(&unreachable), (json!("failing"), true));
}

/// One series of the Prometheus text.
#[track_caller]
fn metric(text: &str, series: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("message_webhook_proxy_{series} ")));
    line.unwrap_or_else(|| panic!("no {series} in:\n{text}"))
        .parse()
        .unwrap()
}

#[test]
fn metrics_count_requests_posts_deliveries_and_refusals() {
    let proxy = setup(&[
        ("PROXY_TOKENS", &format!("ci={CI}")),
        ("RATE_LIMIT_CHANNEL", "2/h"),
        ("CHANNELS", "deploys=console:build"),
    ])
    .start();
    let ci = bearer(CI);
    let good: &[(&str, &str)] = &[("Authorization", &ci)];
    let target = message_path("deploys", "counted and not quoted", &[]);

    for _ in 0..3 {
        proxy.request("POST", &target, good);
    }
    proxy.post(&target);
    proxy.request("POST", "/post/channel/deploys/msg/%20", good);
    for path in ["/wp-login.php", "/.env", "/post/channel/deploys/edit/x"] {
        proxy.get(path);
    }
    let response = proxy.get("/metrics");
    let text = response.text();

    assert_eq!(
        response.header("Content-Type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    for (series, value) in [
        (
            format!("requests_total{{route=\"{POST}\",status=\"200\"}}"),
            2.0,
        ),
        (
            format!("requests_total{{route=\"{POST}\",status=\"429\"}}"),
            1.0,
        ),
        (
            format!("requests_total{{route=\"{POST}\",status=\"401\"}}"),
            1.0,
        ),
        (
            format!("requests_total{{route=\"{POST}\",status=\"400\"}}"),
            1.0,
        ),
        // However many paths strangers invent, they are one series.
        (
            "requests_total{route=\"unknown\",status=\"404\"}".to_owned(),
            3.0,
        ),
        ("posts_total{caller=\"ci\"}".to_owned(), 4.0),
        (
            "deliveries_total{backend=\"console\",result=\"delivered\"}".to_owned(),
            2.0,
        ),
        (
            "delivery_seconds_count{backend=\"console\"}".to_owned(),
            2.0,
        ),
        ("rate_limited_total{policy=\"channel\"}".to_owned(), 1.0),
        ("unauthorized_total".to_owned(), 1.0),
        ("log_lines_dropped".to_owned(), 0.0),
    ] {
        assert!(
            (metric(&text, &series) - value).abs() < 0.5,
            "{series} is not {value}:\n{text}"
        );
    }
    assert!(metric(&text, "connections") >= 1.0);
    assert!(metric(&text, "start_time_seconds") > 1.7e9);
    for series in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(series.starts_with("message_webhook_proxy_"), "{series}");
    }
    for hidden in ["counted", "build", "deploys", "wp-login", CI] {
        assert!(!text.contains(hidden), "{hidden}:\n{text}");
    }
}

#[test]
fn metrics_are_closed_by_their_own_token() {
    let proxy = setup(&[
        ("METRICS_TOKEN", METRICS),
        ("PROXY_TOKENS", &format!("ci={CI}")),
    ])
    .start();
    let with = |header: &str| proxy.request("GET", "/metrics", &[("Authorization", header)]);

    let basic = format!("Basic {}", STANDARD.encode(format!("prometheus:{METRICS}")));
    for header in [bearer(METRICS), format!("bearer {METRICS}"), basic] {
        let response = with(&header);
        assert_eq!(response.status, 200, "{header}");
        assert!(
            response
                .text()
                .contains("message_webhook_proxy_start_time_seconds")
        );
    }
    let near = &METRICS[..METRICS.len() - 1];
    for header in [
        bearer(CI),
        bearer(near),
        bearer(&format!("{METRICS}x")),
        bearer(""),
        "Bearer".to_owned(),
        METRICS.to_owned(),
        format!("Basic {}", STANDARD.encode(format!("x:{near}"))),
    ] {
        assert_closed(&with(&header), &header);
    }
    assert_closed(&proxy.get("/metrics"), "nothing");
    assert_closed(
        &proxy.get(format!("/metrics?token={METRICS}")),
        "in the query",
    );
    let twice = [
        ("Authorization", bearer(METRICS)),
        ("Authorization", bearer("x")),
    ];
    let twice = twice
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    assert_closed(&proxy.request("GET", "/metrics", &twice), "twice");
    // The token of the counters opens nothing else.
    let posted = proxy.post_message_as(METRICS, "demo", "not with this one", &[]);
    assert_eq!(posted.status, 401);
}

#[track_caller]
fn assert_closed(response: &Response, what: &str) {
    assert_eq!(
        (response.status, response.json()["code"].as_str()),
        (401, Some("unauthorized")),
        "{what}"
    );
    assert!(response.header("WWW-Authenticate").is_some(), "{what}");
    assert!(!response.text().contains("start_time"), "{what}");
}

#[test]
fn a_post_leaves_one_line_that_says_who_where_and_how_long() {
    let mattermost = Mattermost::start();
    let builds = mattermost.channel("builds");
    let hook = format!(
        "alerts=mattermost+{} deploys=mattermost:{builds}",
        mattermost.hook_url()
    );
    let proxy = setup(&[("PROXY_TOKENS", &format!("ci={CI}")), ("CHANNELS", &hook)])
        .with(&mattermost)
        .start();
    let ci = bearer(CI);
    let post = |channel: &str, id: &str| {
        let target = message_path(
            channel,
            "said in one line of the log",
            &[("title", "a title to hide")],
        );
        proxy.request(
            "POST",
            target,
            &[("Authorization", &ci), ("X-Request-Id", id)],
        );
    };

    post("deploys", "by-alias");
    post("alerts", "by-hook");
    let events = requests(&proxy);

    assert_eq!(events.len(), 2, "{events:?}");
    for (event, (id, channel)) in events
        .iter()
        .zip([("by-alias", builds.as_str()), ("by-hook", "alerts")])
    {
        assert_eq!(field(event, "level"), "INFO");
        assert_eq!(field(event, "route"), POST);
        assert_eq!(log_field(event, "status"), Some(&json!(200)), "{event}");
        assert_eq!(field(event, "caller"), "ci");
        assert_eq!(field(event, "backend"), "mattermost");
        assert_eq!(field(event, "channel"), channel);
        assert_eq!(field(event, "request_id"), id);
        assert!(
            log_field(event, "latency_us").unwrap().as_u64().is_some(),
            "{event}"
        );
        assert!(field(event, "timestamp").ends_with('Z'), "{event}");
    }
    // Each post also reached the platform with its text: the line is short because it is kept short.
    assert_eq!(mattermost.posts().len(), 2);
}

#[test]
fn a_refusal_leaves_one_line_with_its_code() {
    let proxy = setup(&[("PROXY_TOKENS", &format!("ci={CI}"))]).start();
    let ci = bearer(CI);

    proxy.post("/post/channel/demo/msg/nobody%20sent%20this");
    proxy.request(
        "POST",
        "/post/channel/demo/msg/%FF",
        &[("Authorization", &ci)],
    );
    proxy.get("/wp-login.php?with=query");
    proxy.raw(
        b"POST /post/channel/demo/msg/two%20hosts%20in%20it HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    );
    let events = requests(&proxy);

    let seen: Vec<_> = events
        .iter()
        .map(|event| {
            (
                log_field(event, "status").unwrap().as_u64().unwrap(),
                field(event, "code"),
                field(event, "route"),
                field(event, "caller"),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (401, "unauthorized", POST, ""),
            (400, "bad-encoding", POST, "ci"),
            (404, "not-found", "unknown", ""),
            (400, "bad-request", "unknown", ""),
        ]
    );
}

/// D4: what callers write is one JSON object a line, wherever they write it, and the message is nowhere.
#[test]
fn hostile_text_stays_in_its_line() {
    let proxy = setup(&[]).start();
    let encoded = percent_encode(HOSTILE);
    let targets = [
        format!("/post/channel/demo/msg/{encoded}"),
        format!("/post/channel/demo/b64/{}", URL_SAFE_NO_PAD.encode(HOSTILE)),
        format!("/post/channel/demo?message={encoded}&{encoded}=1"),
        format!("/post/channel/demo/msg/hello%20there%20people?title={encoded}&as={encoded}"),
        // A channel may hold anything but control characters; it is a field of the log.
        format!(
            "/post/channel/{}/msg/hello%20there%20people",
            percent_encode("\"}\\\u{2028}\u{202e}{'<\u{fffd}é🎉")
        ),
        format!("/post/channel/{encoded}/msg/hello%20there%20people"),
    ];
    let headers: [&[(&str, &str)]; 4] = [
        &[(
            "User-Agent",
            "\"}\u{2028}{\"level\":\"ERROR\"} hostile-agent",
        )],
        &[("X-Request-Id", "\"}{\"level\":\"ERROR\"}")],
        &[("X-Request-Id", "two words\u{2028}")],
        &[
            ("Referer", "https://hostile-referer.example/x"),
            ("X-Forwarded-For", "\"}{"),
            ("Cookie", "hostile-cookie=1"),
        ],
    ];
    let mut answers = Vec::new();

    for target in &targets {
        for headers in headers {
            answers.push(proxy.request("POST", target, headers));
        }
    }
    let events = requests(&proxy);
    let log = proxy.log_lines().join("\n");

    assert_eq!(events.len(), answers.len());
    for (event, answer) in events.iter().zip(&answers) {
        assert_eq!(field(event, "level"), "INFO");
        let id = answer.header("X-Request-Id").unwrap();
        assert_eq!(field(event, "request_id"), id);
        assert!(
            !id.is_empty()
                && id.len() <= 64
                && id
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)),
            "{id}"
        );
    }
    for hidden in [
        "first line",
        "first%20line",
        "second",
        "crimson",
        "hello there",
        "hostile-agent",
        "hostile-referer",
        "hostile-cookie",
    ] {
        assert!(!log.contains(hidden), "{hidden}:\n{log}");
    }
    assert!(!log.contains('\u{1b}'));
}

/// D4: the same where people read it; an escape could repaint their terminal.
#[test]
fn the_text_form_is_one_line_an_event_too() {
    let proxy = setup(&[
        ("LOG_FORMAT", "text"),
        ("PROXY_TOKENS", &format!("ci={CI}")),
    ])
    .start();
    let ci = bearer(CI);
    let channel = percent_encode("\"}\\\u{2028}\u{202e}level=ERROR\u{85}é");
    let targets = [
        format!("/post/channel/demo/msg/{}", percent_encode(HOSTILE)),
        format!(
            "/post/channel/{}/msg/hello%20there%20people",
            channel.replace("%C2%85", "")
        ),
        format!("/post/channel/{channel}/msg/hello%20there%20people"),
    ];

    for target in &targets {
        proxy.request(
            "POST",
            target,
            &[("Authorization", &ci), ("User-Agent", "hostile-agent")],
        );
    }
    assert!(proxy.terminate().success());
    let lines = proxy.log_lines();

    let posts: Vec<&String> = lines.iter().filter(|line| line.contains(POST)).collect();
    assert_eq!(posts.len(), targets.len(), "{lines:?}");
    for line in &lines {
        assert!(
            line.contains(" INFO ") && serde_json::from_str::<Value>(line).is_err(),
            "{line}"
        );
        assert!(
            !line.contains(|c: char| c.is_control() || "\u{2028}\u{202e}".contains(c)),
            "{line:?}"
        );
        for hidden in ["first line", "second", "hello there", "hostile-agent"] {
            assert!(!line.contains(hidden), "{line}");
        }
    }
    assert!(
        posts[0].contains("caller=\"ci\"") && posts[0].contains("status=200"),
        "{}",
        posts[0]
    );
}

/// G1: whatever `RUST_LOG` says, on every way through the program, in both forms. (The fixture searches the output
/// for the messages, the tokens, the signature and the webhook's URL when the proxy is dropped.)
#[test]
fn no_log_level_shows_a_message_or_a_secret() {
    for level in [
        "debug",
        "trace",
        "trace,message_webhook_proxy=trace,actix_http=trace,awc=trace,hyper=trace",
    ] {
        for format in ["json", "text"] {
            let mattermost = Mattermost::start();
            let hook = format!(
                "alerts=mattermost+{} all=mattermost:acme/builds,console:demo",
                mattermost.hook_url()
            );
            let proxy = setup(&[
                ("RUST_LOG", level),
                ("LOG_FORMAT", format),
                ("PROXY_TOKENS", &format!("ci={CI}")),
                ("SIGNING_KEYS", KEY),
                ("ALLOW_QUERY_TOKEN", "true"),
                ("METRICS_TOKEN", METRICS),
                ("CHANNELS", &hook),
            ])
            .with(&mattermost)
            .start()
            .with_canary("a-body-that-nobody-asked-for")
            .with_canary("a-header-of-the-callers-own")
            .with_canary("a-query-of-the-callers-own");
            let ci = bearer(CI);
            let basic = format!("Basic {}", STANDARD.encode(format!("ci:{CI}")));
            let own = ("X-Own", "a-header-of-the-callers-own");

            for channel in [
                "alerts",
                "mattermost:acme/builds",
                "mattermost:acme/secret",
                "console:demo",
                "all",
                "nowhere/at/all",
            ] {
                for header in [&ci, &basic, "Bearer wrong-0123456789"] {
                    let target = message_path(
                        channel,
                        "a message to be kept quiet",
                        &[
                            ("title", "a title to be kept quiet"),
                            ("build", "a-query-of-the-callers-own"),
                        ],
                    );
                    proxy.send(
                        "POST",
                        target,
                        &[("Authorization", header), own],
                        "a-body-that-nobody-asked-for",
                    );
                }
            }
            proxy.post(message_path(
                "console:demo",
                "a message to be kept quiet",
                &[("token", CI)],
            ));
            proxy.post(message_path(
                "console:demo",
                "a message to be kept quiet",
                &[("sig", "c.0.s1gnatureThatOpensNothingAtAll")],
            ));
            proxy.request("GET", "/metrics", &[("Authorization", &bearer(METRICS))]);
            proxy.get("/ready");
            for broken in [
                "POST /post/channel/demo/msg/a%20message%20to%20be%20kept%20quiet HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
                format!("POST /post/channel/demo/msg/a%20message%20to%20be%20kept%20quiet HTTP/1.1\r\nHost: a\r\nAuthorization: {ci}\r\nTransfer-Encoding: chunked\r\n\r\nzz a-body-that-nobody-asked-for\r\n\r\n"),
                format!("POST /post/channel/demo/msg/a%20message%20to%20be%20kept%20quiet HTTP/1.1\r\nHost: a\r\nAuthorization: {ci}\r\nContent-Length: a-header-of-the-callers-own\r\n\r\n"),
                format!("POST /post/channel/demo/msg/a%20message%20to%20be%20kept%20quiet HTTP/1.1\r\nHost: a\r\nAuthorization: {ci}\x01\r\n\r\n"),
            ] {
                proxy.raw(broken.as_bytes());
            }
            assert!(proxy.terminate().success());

            assert!(
                mattermost.posts().len() >= 6,
                "the platform was not reached"
            );
            assert!(
                proxy.log_lines().len() > 20,
                "nothing was logged at {level}"
            );
            let log = proxy.log_lines().join("\n");
            for hidden in [
                "kept quiet",
                "kept%20quiet",
                CI,
                "of-the-callers-own",
                "nobody-asked-for",
            ] {
                assert!(!log.contains(hidden), "{level}, {format}: {hidden}");
            }
            proxy.check_canaries();
        }
    }
}

/// A stranger must not fill the disk: beyond a hundred a second, refusals are a number.
#[test]
fn a_flood_of_refusals_is_counted_and_not_logged_one_by_one() {
    const FLOOD: usize = 3000;
    let proxy = setup(&[]).start();
    let mut connection = proxy.connect();

    for _ in 0..FLOOD / 100 {
        connection.send(
            "GET /nothing/here HTTP/1.1\r\nHost: p\r\n\r\n"
                .repeat(100)
                .as_bytes(),
        );
        for _ in 0..100 {
            assert_eq!(connection.read_response().status, 404);
        }
    }
    let counted = metric(
        &proxy.get("/metrics").text(),
        "requests_total{route=\"unknown\",status=\"404\"}",
    );
    let posted = proxy.post_message("demo", "a post in the middle of it", &[]);
    let events = requests(&proxy);

    assert_eq!(posted.status, 200);
    assert!((counted - FLOOD as f64).abs() < 0.5, "{counted}");
    let by_status = events.iter().fold(BTreeMap::new(), |mut seen, event| {
        *seen
            .entry(log_field(event, "status").unwrap().as_u64().unwrap())
            .or_insert(0) += 1;
        seen
    });
    let suppressed: u64 = proxy
        .logs()
        .iter()
        .filter_map(|event| log_field(event, "suppressed")?.as_u64())
        .sum();
    assert_eq!(by_status[&200], 1, "what is not refused is always logged");
    assert!(by_status[&404] < FLOOD, "{by_status:?}");
    assert_eq!(
        by_status[&404] + suppressed as usize,
        FLOOD,
        "every one is a line or in a number"
    );
}

/// Probes come every few seconds for years.
#[test]
fn probes_that_succeed_are_not_logged_at_info() {
    let quiet = setup(&[("METRICS_TOKEN", METRICS)]).start();
    let chatty = setup(&[("METRICS_TOKEN", METRICS), ("RUST_LOG", "debug")]).start();

    for proxy in [&quiet, &chatty] {
        for path in ["/health", "/ready", "/metrics"] {
            proxy.request("GET", path, &[("Authorization", &bearer(METRICS))]);
        }
        proxy.get("/metrics");
        proxy.get("/");
    }

    let routes = |proxy: &Proxy| {
        requests(proxy)
            .iter()
            .map(|event| field(event, "route").to_owned())
            .collect::<Vec<_>>()
    };
    // A probe that is refused is worth a line, and so is a visitor.
    assert_eq!(routes(&quiet), ["/metrics", "/"]);
    assert_eq!(
        routes(&chatty),
        ["/health", "/ready", "/metrics", "/metrics", "/"]
    );
}

#[test]
fn the_start_and_the_end_are_logged() {
    let proxy = Proxy::start(&[]);
    let address = proxy.addr().to_string();

    assert!(proxy.terminate().success());

    let events = proxy.logs();
    let listening = events
        .iter()
        .find(|event| log_message(event) == "listening")
        .unwrap();
    assert_eq!(field(listening, "address"), address);
    assert_eq!(field(listening, "version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(log_message(events.last().unwrap()), "stopped");
}
