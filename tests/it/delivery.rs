//! Contract 1.4, 3 and 4 without an outbox: what becomes of one post when the platform, or the way to it, is at fault.
//! The ids F-1 to F-23, E1, E3, E5, E6 and E7 are those of `threats.md`.
//!
//! One programmable upstream stands in as a Mattermost server, where a repeat is recognised and may be sent, and as
//! Slack's webhooks, where it would be a second post.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::proxy::Setup;
use crate::support::reply::Then;
use crate::support::upstream::Request;
use crate::support::{Gate, Proxy, Reply, Response, Upstream, canary, unique};

const TEXT: &str = "build 42 \"broke\" at 100% \u{1F389}";
/// Webhooks that a `Chat` has, under the aliases `h0`, `h1` …
const HOOKS: usize = 40;
/// Any of the ids that Mattermost would give (26 of its alphabet).
const POST_ID: &str = "kapmbndrfg8ejkmcpqxot1uwis";
const MAYBE: &str = "may or may not have been posted";

/// A platform that answers each channel and webhook as the test says, and well where it says nothing.
struct Chat {
    upstream: Upstream,
    replies: Arc<Mutex<HashMap<String, Reply>>>,
    token: String,
    secret: String,
}

impl Chat {
    fn start() -> Self {
        let replies: Arc<Mutex<HashMap<String, Reply>>> = Arc::default();
        let known = replies.clone();
        let upstream = Upstream::start(move |request| {
            let reply = known.lock().unwrap().get(&place(request)).cloned();
            reply.unwrap_or_else(|| well(request))
        });
        Self {
            upstream,
            replies,
            token: unique("", 26),
            secret: unique("", 24),
        }
    }

    fn setup(&self) -> Setup {
        let hook = |n| {
            format!(
                "h{n}=slack+{}/services/T0TEAM/{}/h{n}",
                self.url(),
                self.secret
            )
        };
        self.without_hooks().set(
            "CHANNELS",
            (0..HOOKS).map(hook).collect::<Vec<_>>().join(" "),
        )
    }

    fn without_hooks(&self) -> Setup {
        [
            ("RATE_LIMIT_CALLER", "off"),
            ("RATE_LIMIT_CHANNEL", "off"),
            ("RATE_LIMIT_GLOBAL", "off"),
            ("PACE_SLACK", "off"),
        ]
        .into_iter()
        .fold(Proxy::setup(), |setup, (name, value)| {
            setup.set(name, value)
        })
        .set("MATTERMOST_URL", self.url())
        .set("MATTERMOST_TOKEN", &self.token)
    }

    /// From now on this channel or webhook answers so.
    fn says(&self, place: &str, reply: Reply) {
        self.replies.lock().unwrap().insert(place.to_owned(), reply);
    }

    fn works_again(&self, place: &str) {
        self.replies.lock().unwrap().remove(place);
    }

    /// The posts that reached this channel or webhook, in order.
    fn sends(&self, to: &str) -> Vec<Request> {
        let here = |request: &Request| request.method == "POST" && place(request) == to;
        self.requests().into_iter().filter(here).collect()
    }
}

impl Deref for Chat {
    type Target = Upstream;

    fn deref(&self) -> &Upstream {
        &self.upstream
    }
}

/// The channel id or alias that a request is about.
fn place(request: &Request) -> String {
    if request.path() == "/api/v4/posts" {
        return request.json()["channel_id"].as_str().unwrap().to_owned();
    }
    match request.path().strip_prefix("/services/") {
        Some(path) => path.rsplit('/').next().unwrap().to_owned(),
        None => String::new(),
    }
}

fn well(request: &Request) -> Reply {
    let path = request.path();
    if path == "/api/v4/posts" {
        Reply::json(201, json!({"id": POST_ID, "channel_id": place(request)}))
    } else if path.starts_with("/services/") {
        Reply::text(200, "ok")
    } else if let Some(id) = path.strip_prefix("/api/v4/channels/") {
        Reply::json(200, json!({"id": id, "delete_at": 0}))
    } else {
        Reply::json(200, json!({"status": "OK"}))
    }
}

/// How a case ended.
struct Seen {
    case: &'static str,
    /// Whether it went to a webhook.
    hook: bool,
    answer: Response,
    sends: Vec<Request>,
    /// The same post once the platform works again.
    after: Response,
}

/// Posts each case to the bot's route and to a webhook, all at once.
fn all(
    proxy: &Proxy,
    chat: &Chat,
    cases: Vec<(&'static str, Reply)>,
    query: &[(&str, &str)],
) -> Vec<Seen> {
    assert!(cases.len() <= HOOKS);
    let run = |case: &'static str, reply: Reply, to: String, hook: bool| {
        chat.says(&to, reply);
        let answer = proxy.post_message(&to, TEXT, query);
        let sends = chat.sends(&to);
        chat.works_again(&to);
        (case, hook, answer, sends, to)
    };
    let ended: Vec<_> = std::thread::scope(|scope| {
        let mut running = Vec::new();
        for (n, (case, reply)) in cases.into_iter().enumerate() {
            let for_hook = reply.clone();
            running.push(scope.spawn(move || run(case, reply, unique("", 26), false)));
            running.push(scope.spawn(move || run(case, for_hook, format!("h{n}"), true)));
        }
        running
            .into_iter()
            .map(|case| case.join().unwrap())
            .collect()
    });
    let seen = |(case, hook, answer, sends, to): (_, _, _, _, String)| Seen {
        case,
        hook,
        answer,
        sends,
        after: proxy.post_message(&to, TEXT, &[]),
    };
    ended.into_iter().map(seen).collect()
}

#[track_caller]
fn assert_problem(answer: &Response, status: u16, code: &str, case: &str) -> Value {
    let problem = answer.json();
    assert_eq!(
        (answer.status, &problem["code"]),
        (status, &json!(code)),
        "{case}: {problem}"
    );
    problem
}

#[track_caller]
fn assert_unavailable(answer: &Response, case: &str) -> u64 {
    assert_problem(answer, 503, "backend-unavailable", case);
    let seconds = answer
        .header("Retry-After")
        .expect("Retry-After")
        .parse()
        .unwrap();
    assert!(seconds >= 1, "{case}");
    seconds
}

#[track_caller]
fn assert_delivered(answer: &Response, case: &str) -> Value {
    assert_eq!(answer.status, 200, "{case}: {}", answer.text());
    answer.json()
}

fn detail(answer: &Response) -> String {
    answer.json()["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// One post sent several times: recognised only if its `pending_post_id` stays.
#[track_caller]
fn assert_one_post(sends: &[Request], case: &str) {
    let ids: Vec<Value> = sends
        .iter()
        .map(|send| send.json()["pending_post_id"].clone())
        .collect();
    assert!(
        ids.iter().all(|id| *id == ids[0] && id.is_string()),
        "{case}: {ids:?}"
    );
}

/// F-1: noticed at once, and works again as soon as the platform does.
#[test]
fn a_platform_that_is_not_there_is_unavailable_until_it_is() {
    let chat = Chat::start();
    let proxy = chat.setup().start();
    let channel = unique("", 26);
    for to in [channel.as_str(), "h0"] {
        chat.down();
        let failed = proxy.post_message(to, TEXT, &[("wait", "1")]);
        chat.up();
        let worked = proxy.post_message(to, TEXT, &[]);

        assert_unavailable(&failed, to);
        assert!(
            detail(&failed).contains("cannot be reached"),
            "{}",
            detail(&failed)
        );
        assert_delivered(&worked, to);
        assert_eq!(chat.sends(to).len(), 1);
    }
}

/// F-2. The label is longer than DNS allows, so that no resolver is asked.
#[test]
fn a_host_without_an_address_is_unavailable() {
    let chat = Chat::start();
    let host = format!("http://{}.invalid", "x".repeat(64));
    let proxy = chat.without_hooks().set("MATTERMOST_URL", host).start();

    let answer = proxy.post_message(&unique("", 26), TEXT, &[("wait", "1")]);

    assert_unavailable(&answer, "F-2");
    assert!(detail(&answer).contains("resolved"), "{}", detail(&answer));
}

/// F-4, F-5, F-6, F-8, F-9: the post may be there. A webhook is not sent it again; Mattermost is, with the same id.
#[test]
fn what_may_have_been_posted_is_repeated_only_where_that_is_recognised() {
    let chat = Chat::start();
    let proxy = chat.setup().set("UPSTREAM_TIMEOUT", "300ms").start();
    let created = json!({"id": POST_ID, "channel_id": POST_ID}).to_string();
    let half = &created[..created.len() / 2];
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
    let drip = std::time::Duration::from_millis(20);
    let cases = vec![
        ("F-4 reset", Reply::reset_after_request()),
        ("F-4 closed", Reply::close_after_request()),
        ("F-4 closed in the head", Reply::raw("HTTP/1.1 201 Cre")),
        (
            "F-4 reset in the body",
            Reply::raw(format!("{head}{half}")).then(Then::Reset),
        ),
        (
            "F-4 closed in the body",
            Reply::raw(format!("{head}{half}")),
        ),
        ("F-5 silent", Reply::stall()),
        (
            "F-5 silent after half a head",
            Reply::raw("HTTP/1.1 20").then(Then::Stall),
        ),
        (
            "F-6 silent after the head",
            Reply::raw(head).then(Then::Stall),
        ),
        (
            "F-6 dripping head",
            Reply::drip("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", drip),
        ),
        (
            "F-6 dripping body",
            Reply::drip(format!("{head}{created}"), drip),
        ),
        (
            "F-8 a header of 200 KiB",
            Reply::raw(format!(
                "HTTP/1.1 200 OK\r\nX: {}\r\n\r\n",
                "x".repeat(200 << 10)
            )),
        ),
        (
            "F-8 1000 headers",
            Reply::raw(format!(
                "HTTP/1.1 200 OK\r\n{}\r\n",
                "X: y\r\n".repeat(1000)
            )),
        ),
        (
            "F-8 no colon",
            Reply::raw("HTTP/1.1 200 OK\r\nthis is no field\r\n\r\n"),
        ),
        (
            "F-8 a NUL",
            Reply::raw("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"),
        ),
        ("F-8 no HTTP", Reply::raw("SSH-2.0-OpenSSH_9.9\r\n")),
        (
            "F-8 two lengths",
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
        ),
        (
            "F-8 a negative length",
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"),
        ),
        (
            "F-8 a broken chunk",
            Reply::raw(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
            ),
        ),
        ("F-9 empty", Reply::status(200)),
        ("F-9 cut", Reply::text(200, half)),
        (
            "F-9 HTML",
            Reply::html(200, "<html>down for maintenance</html>"),
        ),
        ("F-9 deep", Reply::text(200, &"[".repeat(10_000))),
        (
            "F-9 wrong types",
            Reply::json(200, json!({"id": 7, "channel_id": [], "ok": "yes"})),
        ),
        ("F-9 null", Reply::text(200, "null")),
        ("F-21 204", Reply::status(204)),
        ("F-21 205", Reply::status(205)),
        (
            "F-21 101",
            Reply::raw(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
            )
            .then(Then::Stall),
        ),
    ];

    for seen in all(&proxy, &chat, cases, &[("wait", "1")]) {
        let case = seen.case;
        assert_unavailable(&seen.answer, case);
        if seen.hook {
            assert_eq!(seen.sends.len(), 1, "{case}: posted again");
            assert!(
                detail(&seen.answer).contains(MAYBE),
                "{case}: {}",
                detail(&seen.answer)
            );
        } else {
            assert_one_post(&seen.sends, case);
        }
        assert_delivered(&seen.after, case);
    }
}

/// `UPSTREAM_TIMEOUT` ends a call however long the caller would wait: this test's own patience is 10 s.
#[test]
fn a_silent_platform_is_given_up_at_the_timeout() {
    let chat = Chat::start();
    let proxy = chat.setup().set("UPSTREAM_TIMEOUT", "300ms").start();
    chat.says("h0", Reply::stall());

    let answer = proxy.post_message("h0", TEXT, &[("wait", "60")]);

    assert_unavailable(&answer, "F-5");
    assert_eq!(chat.sends("h0").len(), 1);
}

/// F-14, F-21: tried again while the caller waits, and never told as delivered.
#[test]
fn a_passing_failure_is_unavailable_and_then_works() {
    let chat = Chat::start();
    let proxy = chat.setup().start();
    let cases = [408, 425, 500, 501, 502, 503, 504, 507, 599]
        .map(|status| ("F-14", Reply::html(status, "<h1>sorry</h1>")))
        .into_iter()
        .chain([("F-13", Reply::text(429, "limit exceeded"))]);

    for seen in all(&proxy, &chat, cases.collect(), &[("wait", "1")]) {
        assert_unavailable(&seen.answer, seen.case);
        assert!(!seen.answer.text().contains("sorry"));
        assert!(
            !detail(&seen.answer).contains(MAYBE),
            "{}",
            detail(&seen.answer)
        );
        assert_delivered(&seen.after, seen.case);
    }
}

/// F-16, F-17, F-18, F-19: refused for good, so once is enough.
#[test]
fn a_refusal_for_good_is_asked_once() {
    let chat = Chat::start();
    let proxy = chat.setup().start();
    let statuses = [
        400, 401, 402, 403, 405, 406, 409, 410, 418, 422, 451, 301, 304, 308,
    ];
    let cases = statuses.map(|status| ("F-16", Reply::status(status)));

    for seen in all(&proxy, &chat, cases.to_vec(), &[]) {
        // A webhook that is gone was that channel's only name.
        let gone = seen.hook && seen.answer.status == 404;
        let code = if gone {
            "unknown-channel"
        } else {
            "backend-rejected"
        };
        let status = if gone { 404 } else { 502 };
        assert_problem(&seen.answer, status, code, seen.case);
        assert_eq!(
            (seen.sends.len(), seen.answer.header("Retry-After")),
            (1, None)
        );
        assert!(!detail(&seen.answer).is_empty());
        assert_delivered(&seen.after, seen.case);
    }
}

#[test]
fn too_long_for_the_platform_is_413() {
    let chat = Chat::start();
    let proxy = chat.setup().start();
    for seen in all(&proxy, &chat, vec![("F-16", Reply::status(413))], &[]) {
        assert_problem(&seen.answer, 413, "message-too-long", seen.case);
        assert_eq!(seen.sends.len(), 1);
    }
}

/// F-18, F-10: what is not there. A URL that is not the API is the operator's fault, a webhook that is gone the channel's.
#[test]
fn what_is_not_there_is_told_apart() {
    let chat = Chat::start();
    let proxy = chat.setup().start();
    for seen in all(
        &proxy,
        &chat,
        vec![("F-18", Reply::text(404, "no_service"))],
        &[],
    ) {
        if seen.hook {
            let problem = assert_problem(&seen.answer, 404, "unknown-channel", seen.case);
            assert_eq!(problem["platform_code"], "no_service");
        } else {
            assert_problem(&seen.answer, 502, "backend-rejected", seen.case);
            assert!(detail(&seen.answer).contains("MATTERMOST_URL"));
        }
        assert_eq!(seen.sends.len(), 1);
    }
}

/// F-11, F-12: `Retry-After` in every form is passed on, rounded up, against the answer's own `Date`, at most 1 h.
#[test]
fn what_the_platform_asks_to_wait_is_passed_on() {
    let chat = Chat::start();
    let proxy = chat.setup().start();
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let table = [
        ("30", 30),
        ("30.2", 31),
        ("99999999999", 3600),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60),
        ("Sun Nov  6 08:50:37 1994", 60),
        ("Sun, 06 Nov 2033 08:49:37 GMT", 3600),
    ];

    for status in [429, 503] {
        for (value, seconds) in table {
            let reply = Reply::status(status)
                .header("Date", date)
                .header("Retry-After", value);
            let channel = unique("", 26);
            chat.says(&channel, reply);

            let answer = proxy.post_message(&channel, TEXT, &[]);
            chat.works_again(&channel);
            let early = proxy.post_message(&channel, TEXT, &[]);

            assert_eq!(
                assert_unavailable(&answer, value),
                seconds,
                "{status} {value}"
            );
            assert!(assert_unavailable(&early, value) <= seconds);
            assert_eq!(
                chat.sends(&channel).len(),
                1,
                "{status} {value}: asked before its time"
            );
        }
    }
}

/// Contract 3, reference/mattermost.md 7: what a 429 says in its limit headers is passed on as a `Retry-After` is, which wins.
#[test]
fn what_the_limit_headers_ask_to_wait_is_passed_on() {
    let chat = Chat::start();
    let proxy = chat.setup().start();
    let reset = |seconds| Reply::status(429).header("X-Ratelimit-Reset", seconds);
    let table = [
        (reset("6"), 6),
        (reset("99999"), 3600),
        (reset("6").header("X-Ratelimit-Reset", "9"), 9),
        (reset("6").header("Retry-After", "30"), 30),
        (reset("60").header("Retry-After", "2"), 2),
        (reset("6").header("Retry-After", "soon"), 6),
    ];

    for (reply, seconds) in table {
        let channel = unique("", 26);
        chat.says(&channel, reply);

        let answer = proxy.post_message(&channel, TEXT, &[("wait", "1")]);

        assert_eq!(assert_unavailable(&answer, "a limit"), seconds);
        assert_eq!(chat.sends(&channel).len(), 1, "asked before its time");
    }
}

/// F-11, F-13: what cannot be used is as good as absent, and stops nothing for long.
#[test]
fn an_unusable_retry_after_is_none() {
    let chat = Chat::start();
    let proxy = chat.setup().start();
    let values = [
        "0",
        "-5",
        "soon",
        "NaN",
        "inf",
        "",
        "Sun, 99 Nov 1994 08:49:37 GMT",
    ];
    let cases = values.map(|value| (value, Reply::status(429).header("Retry-After", value)));

    for seen in all(&proxy, &chat, cases.to_vec(), &[("wait", "1")]) {
        assert_unavailable(&seen.answer, seen.case);
        assert_delivered(&seen.after, seen.case);
    }
}

/// F-15: every second attempt fails; the order is kept, and nothing is sent twice that arrived.
#[test]
fn a_flapping_platform_gets_every_post_once_and_in_order() {
    let token = unique("", 26);
    let taken: Arc<Mutex<Vec<String>>> = Arc::default();
    let (arrived, odd) = (taken.clone(), Mutex::new(false));
    let upstream = Upstream::start(move |request| {
        let mut odd = odd.lock().unwrap();
        *odd = !*odd;
        if *odd {
            return Reply::status(503);
        }
        arrived
            .lock()
            .unwrap()
            .push(request.json()["message"].as_str().unwrap().to_owned());
        well(request)
    });
    let proxy = Proxy::setup()
        .set("MATTERMOST_URL", upstream.url())
        .set("MATTERMOST_TOKEN", token)
        .start();
    let channel = unique("", 26);
    let texts = ["first of all", "second of all", "third of all"];

    for text in texts {
        assert_delivered(&proxy.post_message(&channel, text, &[]), text);
    }

    assert_eq!(*taken.lock().unwrap(), texts);
    assert_eq!(upstream.requests().len(), 6);
}

/// E5, F-7: at most 64 KiB of an answer are read, whatever it says, and the connection is not used again.
#[test]
fn an_answer_is_read_up_to_its_cap() {
    let chat = Chat::start();
    // Only the cap can end these calls within this test's patience of 10 s.
    let proxy = chat
        .setup()
        .set("WORKERS", "1")
        .set("UPSTREAM_TIMEOUT", "60s")
        .start();
    let created = json!({"id": POST_ID, "channel_id": POST_ID}).to_string();
    let padded = |bytes: usize| created.clone() + &" ".repeat(bytes - created.len());
    let late = |bytes: usize| " ".repeat(bytes - created.len()) + &created;
    let large = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n{}",
        "[".repeat(70 << 10)
    );
    let channel = unique("", 26);

    // 200 counts with the post's ids only, so what is read of it shows.
    for (body, case) in [
        (padded(64 << 10), "64 KiB"),
        (padded((64 << 10) + 1), "64 KiB and one"),
        (late(64 << 10), "late in 64 KiB"),
    ] {
        chat.says(&channel, Reply::text(200, &body));
        assert_delivered(&proxy.post_message(&channel, TEXT, &[]), case);
    }
    chat.says(&channel, Reply::text(200, &late((64 << 10) + 2)));
    assert_unavailable(
        &proxy.post_message(&channel, TEXT, &[("wait", "1")]),
        "an id cut in half",
    );

    for (to, reply) in [
        ("h1", Reply::raw(large).then(Then::Stall)),
        ("h2", Reply::endless_body()),
    ] {
        chat.says(to, reply);
        let answer = proxy.post_message(to, TEXT, &[("wait", "60")]);
        chat.works_again(to);
        assert_delivered(&proxy.post_message(to, TEXT, &[]), to);

        assert_unavailable(&answer, to);
        assert!(detail(&answer).contains(MAYBE));
        let sends = chat.sends(to);
        assert_eq!(sends.len(), 2);
        assert_ne!(
            sends[0].connection, sends[1].connection,
            "{to}: the rest of the answer is still to come"
        );
    }
    // A long answer is classed by its status all the same.
    for seen in all(
        &proxy,
        &chat,
        vec![("F-7", Reply::text(403, &"x".repeat(100 << 10)))],
        &[],
    ) {
        assert_problem(&seen.answer, 502, "backend-rejected", "F-7");
        assert_eq!(seen.sends.len(), 1);
    }
}

/// F-21, F-22: after an answer of which something may still come the connection is not used again: the next
/// post would take the rest for its own answer.
#[test]
fn a_connection_with_more_to_come_is_not_used_again() {
    let chat = Chat::start();
    let proxy = chat
        .setup()
        .set("WORKERS", "1")
        .set("UPSTREAM_TIMEOUT", "300ms")
        .start();
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    for (n, (case, bytes)) in [
        ("100", "HTTP/1.1 100 Continue\r\n\r\n".to_owned()),
        ("102", "HTTP/1.1 102 Processing\r\n\r\n".to_owned()),
        ("103", interim.to_owned()),
        ("a flood of 103", interim.repeat(1_000)),
        (
            "a body without a length",
            "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
        ),
        ("no HTTP at all", "hello\r\n\r\n".to_owned()),
        (
            "a length that is none",
            "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok".to_owned(),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let to = format!("h{n}");
        // The connection stays open: it must be the proxy that leaves it.
        chat.says(&to, Reply::raw(bytes).then(Then::KeepAlive));

        let answer = proxy.post_message(&to, TEXT, &[]);
        chat.works_again(&to);
        assert_delivered(&proxy.post_message(&to, TEXT, &[]), case);

        assert_unavailable(&answer, case);
        assert!(detail(&answer).contains(MAYBE), "{case}");
        let sends = chat.sends(&to);
        assert_eq!(sends.len(), 2, "{case}: posted again");
        assert_ne!(sends[0].connection, sends[1].connection, "{case}");
    }
}

/// F-22: two answers to one request: the first counts, and the second is nobody's.
#[test]
fn a_second_answer_is_not_taken_for_the_next_posts() {
    let chat = Chat::start();
    let proxy = chat.setup().set("WORKERS", "1").start();
    let second = "HTTP/1.1 403 Forbidden\r\nContent-Length: 17\r\n\r\naction_prohibited";
    let both = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{second}");
    chat.says("h0", Reply::raw(both).then(Then::KeepAlive));

    let first = proxy.post_message("h0", TEXT, &[]);
    chat.works_again("h0");
    let next = proxy.post_message("h0", TEXT, &[]);

    assert_delivered(&first, "first");
    assert_delivered(&next, "next");
    assert_eq!(chat.sends("h0").len(), 2);
}

/// F-21: an old server, interim answers, a body where none belongs or without a length: classed by the final status.
#[test]
fn unusual_answers_are_classed_by_their_status() {
    let chat = Chat::start();
    let proxy = chat.setup().start();
    for (n, (bytes, then, status)) in [
        ("HTTP/1.0 200 OK\r\n\r\nok", Then::Close, 200),
        ("HTTP/1.1 200 OK\r\n\r\nok", Then::Close, 200),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Then::KeepAlive, 200),
        ("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 17\r\n\r\naction_prohibited", Then::KeepAlive, 502),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", Then::Close, 200),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", Then::KeepAlive, 200),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok", Then::KeepAlive, 200),
        ("HTTP/1.1 200 OK\r\nServer : old\r\nContent-Length : 2\r\n\r\nok", Then::KeepAlive, 200),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", Then::KeepAlive, 503),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 17\r\nConnection: close\r\n\r\naction_prohibited", Then::Close, 502),
    ]
    .into_iter()
    .enumerate()
    {
        let to = format!("h{n}");
        chat.says(&to, Reply::raw(bytes).then(then));

        let answer = proxy.post_message(&to, TEXT, &[]);
        chat.works_again(&to);
        let after = proxy.post_message(&to, TEXT, &[]);

        assert_eq!(answer.status, status, "{bytes}: {}", answer.text());
        assert_delivered(&after, bytes);
        assert_eq!(chat.sends(&to).len(), 2, "{bytes}");
    }
}

/// F-6, F-11: what the head has refused was not posted, however the rest is kept back.
#[test]
fn a_refusal_counts_although_its_body_never_comes() {
    let chat = Chat::start();
    let proxy = chat.setup().set("UPSTREAM_TIMEOUT", "300ms").start();
    for (n, (head, status, wait)) in [
        ("403 Forbidden\r\nContent-Length: 17", 502, None),
        ("404 Not Found\r\nTransfer-Encoding: chunked", 404, None),
        ("400 Bad Request", 502, None),
        (
            "429 Too Many Requests\r\nRetry-After: 77\r\nContent-Length: 17",
            503,
            Some("77"),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let to = format!("h{n}");
        let reply = Reply::raw(format!("HTTP/1.1 {head}\r\n\r\n"));
        chat.says(&to, reply.then(Then::Stall));

        let answer = proxy.post_message(&to, TEXT, &[]);

        let asked = (answer.status, answer.header("Retry-After"));
        assert_eq!(asked, (status, wait), "{head}: {}", answer.text());
        assert!(!detail(&answer).contains(MAYBE), "{head}");
        assert_eq!(chat.sends(&to).len(), 1, "{head}");
    }
}

/// E3, F-19: a redirect is not followed: it would carry the post and its credentials away.
#[test]
fn redirects_are_not_followed() {
    let elsewhere =
        Upstream::start(|_| Reply::json(201, json!({"id": POST_ID, "channel_id": POST_ID})));
    let chat = Chat::start();
    let proxy = chat.setup().start();
    let to = |status| {
        Reply::status(status).header("Location", &format!("{}/api/v4/posts", elsewhere.url()))
    };
    let cases = [301, 302, 303, 307, 308].map(|status| ("E3", to(status)));

    for seen in all(&proxy, &chat, cases.to_vec(), &[]) {
        assert_problem(&seen.answer, 502, "backend-rejected", "E3");
        assert!(
            detail(&seen.answer).contains("redirect"),
            "{}",
            detail(&seen.answer)
        );
        assert_eq!(seen.sends.len(), 1);
        assert!(!seen.answer.text().contains(&elsewhere.url()));
    }
    assert_eq!(
        (elsewhere.connections(), elsewhere.requests().len()),
        (0, 0)
    );
}

/// E3: neither does a look-up.
#[test]
fn a_redirected_look_up_is_not_followed() {
    let elsewhere = Upstream::start(|_| Reply::json(200, json!({"id": POST_ID, "delete_at": 0})));
    let target = elsewhere.url();
    let upstream = Upstream::start(move |_| Reply::status(307).header("Location", &target));
    let proxy = Proxy::setup()
        .set("MATTERMOST_URL", upstream.url())
        .set("MATTERMOST_TOKEN", unique("", 26))
        .start();

    let answer = proxy.post_message("acme/builds", TEXT, &[]);

    assert_problem(&answer, 502, "backend-rejected", "E3");
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn many_posts_use_one_connection() {
    let chat = Chat::start();
    let proxy = chat.setup().set("WORKERS", "1").start();
    let channel = unique("", 26);

    for n in 0..50 {
        let to = if n % 2 == 0 { channel.as_str() } else { "h0" };
        assert_delivered(&proxy.post_message(to, TEXT, &[]), to);
    }

    assert_eq!((chat.requests().len(), chat.connections()), (50, 1));
}

/// F-23: a pooled connection that the platform has closed costs no post and no second one.
#[test]
fn a_stale_connection_is_noticed_before_a_post_is_written_to_it() {
    let chat = Chat::start();
    let proxy = chat.setup().set("WORKERS", "1").start();
    for round in 1..=5 {
        assert_delivered(&proxy.post_message("h0", TEXT, &[]), "h0");
        assert_eq!(chat.sends("h0").len(), round);
        // Closes every connection; nothing is said about it beforehand.
        chat.down();
        chat.up();
    }
    assert_eq!(chat.connections(), 5);
}

/// I7: posts that hang on one platform, or in one channel, do not stop posts to another.
#[test]
fn a_hung_platform_stops_nobody_else() {
    let gate = Gate::new();
    let held = gate.clone();
    let hung = Upstream::start(move |_| Reply::text(200, "ok").held(&held));
    let chat = Chat::start();
    let channels = format!(
        "hung=slack+{}/services/T0/B0/{} h0=slack+{}/services/T0/B0/h0",
        hung.url(),
        unique("", 24),
        chat.url()
    );
    let proxy = chat
        .setup()
        .set("WORKERS", "1")
        .set("CHANNELS", channels)
        .start();
    let (slow, channel) = (unique("", 26), unique("", 26));
    chat.says(
        &slow,
        Reply::json(201, json!({"id": POST_ID, "channel_id": POST_ID})).held(&gate),
    );

    let waiting = std::thread::scope(|scope| {
        let posts: Vec<_> = (0..60)
            .map(|n| {
                let to = if n % 2 == 0 { "hung" } else { slow.as_str() };
                let proxy = &proxy;
                scope.spawn(move || proxy.post_message(to, TEXT, &[]))
            })
            .collect();
        hung.wait_for(30);
        chat.wait_for(30);
        let meanwhile = [channel.as_str(), "h0"].map(|to| proxy.post_message(to, TEXT, &[]));
        gate.open();
        for answer in &meanwhile {
            assert_delivered(answer, "meanwhile");
        }
        posts
            .into_iter()
            .map(|post| post.join().unwrap())
            .collect::<Vec<_>>()
    });

    for answer in &waiting {
        assert_delivered(answer, "waiting");
    }
}

/// Contract 1.4: an alias with several destinations posts to all of them, at once, one entry each.
#[test]
fn the_destinations_of_an_alias_are_tried_at_once() {
    let gate = Gate::new();
    let (first, second) = (gate.clone(), gate.clone());
    let one = Upstream::start(move |_| Reply::text(200, "ok").held(&first));
    let other = Upstream::start(move |request| well(request).held(&second));
    let channel = unique("", 26);
    let proxy = Proxy::setup()
        .set("MATTERMOST_URL", other.url())
        .set("MATTERMOST_TOKEN", unique("", 26))
        .set(
            "CHANNELS",
            format!(
                "both=slack+{}/services/T0/B0/x0,mattermost:{channel}",
                one.url()
            ),
        )
        .start();

    let answer = std::thread::scope(|scope| {
        let post = scope.spawn(|| proxy.post_message("both", TEXT, &[]));
        // Both have it before either has answered.
        one.wait_for(1);
        other.wait_for(1);
        gate.open();
        post.join().unwrap()
    });

    let receipt = assert_delivered(&answer, "both");
    assert_eq!(receipt["status"], "delivered");
    assert_eq!(
        receipt["deliveries"],
        json!([
            {"backend": "slack", "channel": "both", "status": "delivered"},
            {"backend": "mattermost", "channel": channel, "status": "delivered", "message_id": POST_ID,
                "link": format!("{}/_redirect/pl/{POST_ID}", other.url())},
        ])
    );
}

/// Contract 1.4: 200 when all took it, 503 when all may take it later, else 502; always one entry each.
#[test]
fn several_destinations_are_reported_one_by_one() {
    let chat = Chat::start();
    let channel = unique("", 26);
    let hook = format!("slack+{}/services/T0TEAM/{}/h0", chat.url(), chat.secret);
    let proxy = chat
        .without_hooks()
        .set("CHANNELS", format!("both=mattermost:{channel},{hook}"))
        .start();
    let (later, never) = (|| Some(Reply::status(503)), || Some(Reply::status(403)));
    let lost = || Some(Reply::close_after_request());
    for (bot, webhook, status, code, words) in [
        (None, None, 200, "", ["delivered", "delivered"]),
        (
            never(),
            None,
            502,
            "partly-rejected",
            ["failed", "delivered"],
        ),
        (
            None,
            never(),
            502,
            "partly-rejected",
            ["delivered", "failed"],
        ),
        (
            None,
            later(),
            502,
            "partly-rejected",
            ["delivered", "failed"],
        ),
        (
            never(),
            later(),
            502,
            "partly-rejected",
            ["failed", "failed"],
        ),
        (
            never(),
            never(),
            502,
            "partly-rejected",
            ["failed", "failed"],
        ),
        (
            later(),
            later(),
            503,
            "backend-unavailable",
            ["failed", "failed"],
        ),
        (
            later(),
            lost(),
            503,
            "backend-unavailable",
            ["failed", "failed"],
        ),
    ] {
        for (place, reply) in [(channel.as_str(), bot), ("h0", webhook)] {
            match reply {
                Some(reply) => chat.says(place, reply),
                None => chat.works_again(place),
            }
        }

        let answer = proxy.post_message("both", TEXT, &[("wait", "1")]);

        let body = answer.json();
        let entries = body["deliveries"].as_array().unwrap();
        let shown: Vec<_> = entries
            .iter()
            .map(|entry| entry["status"].as_str().unwrap())
            .collect();
        assert_eq!((answer.status, shown), (status, words.to_vec()), "{body}");
        assert_eq!(
            [&entries[0]["channel"], &entries[1]["channel"]],
            [channel.as_str(), "both"]
        );
        assert_eq!(body["code"].as_str().unwrap_or_default(), code);
        assert_eq!(answer.header("Retry-After").is_some(), status == 503);
        for entry in entries.iter().filter(|entry| entry["status"] == "failed") {
            assert!(
                !entry["detail"].as_str().unwrap().is_empty() && entry["reason"].is_string(),
                "{entry}"
            );
        }
        assert_eq!(
            canary::find(std::slice::from_ref(&chat.secret), &answer.text()),
            None
        );
    }
}

/// Contract 1.4: too long for one of them is 413, and nothing is posted anywhere.
#[test]
fn a_message_too_long_for_one_destination_goes_to_none() {
    let chat = Chat::start();
    let channel = unique("", 26);
    let hook = format!("slack+{}/services/T0TEAM/{}/h0", chat.url(), chat.secret);
    let proxy = chat
        .without_hooks()
        .set(
            "CHANNELS",
            format!("both=console:demo,mattermost:{channel},{hook}"),
        )
        .set("MAX_PARTS", "1")
        .start();

    let answer = proxy.post_message("both", &"a".repeat(20_000), &[]);

    assert_problem(&answer, 413, "message-too-long", "both");
    assert_eq!(chat.requests().len(), 0);
    assert_eq!(proxy.stdout_so_far(), [""; 0]);
}

/// Contract 3: the outgoing pace is per destination; who would have to wait longer than they do is told so.
#[test]
fn a_post_beyond_the_pace_and_the_wait_is_refused_unsent() {
    let chat = Chat::start();
    let proxy = chat.setup().set("PACE_MATTERMOST", "2/h").start();
    let (channel, other) = (unique("", 26), unique("", 26));

    let answers = [(); 4].map(|()| proxy.post_message(&channel, TEXT, &[("wait", "60")]));

    assert_delivered(&answers[0], "first");
    assert_delivered(&answers[1], "the burst");
    for answer in &answers[2..] {
        let seconds = assert_unavailable(answer, "beyond");
        assert!(
            (1_700..=1_800).contains(&seconds),
            "the next turn is in half an hour, not {seconds} s"
        );
    }
    assert_eq!(chat.sends(&channel).len(), 2);
    assert_delivered(&proxy.post_message(&other, TEXT, &[]), "another channel");
    assert_delivered(&proxy.post_message("h0", TEXT, &[]), "another platform");
}

/// Who can wait for the pace is delivered, not refused.
#[test]
fn posts_within_the_wait_are_all_delivered() {
    let chat = Chat::start();
    let proxy = chat.setup().set("PACE_MATTERMOST", "5/s").start();
    let channel = unique("", 26);

    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_delivered(&proxy.post_message(&channel, TEXT, &[]), "paced"));
        }
    });

    assert_eq!(chat.sends(&channel).len(), 8);
}

/// Contract 3: Slack's default of 1/s holds for its webhooks too. Nothing is sent so late that the deadline would
/// cut it off: what is refused was not posted.
#[test]
fn a_webhook_has_its_platforms_default_pace() {
    let chat = Chat::start();
    let proxy = chat.setup().unset("PACE_SLACK").start();

    let answers: Vec<Response> = std::thread::scope(|scope| {
        let post = |_| scope.spawn(|| proxy.post_message("h0", TEXT, &[("wait", "1")]));
        let posts: Vec<_> = (0..20).map(post).collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    });

    let (taken, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert!(
        !taken.is_empty() && !refused.is_empty(),
        "{} of 20 were taken",
        taken.len()
    );
    for answer in refused {
        assert_unavailable(answer, "paced");
    }
    assert_eq!(chat.sends("h0").len(), taken.len());
}

/// The pace leaves no time for a second attempt: the caller is told why the first one failed.
#[test]
fn a_failure_is_not_hidden_by_the_pace() {
    let chat = Chat::start();
    let proxy = chat.setup().unset("PACE_SLACK").start();

    for seen in all(
        &proxy,
        &chat,
        vec![("500", Reply::status(500)); 8],
        &[("wait", "1")],
    ) {
        assert_unavailable(&seen.answer, "500");
        assert!(
            detail(&seen.answer).contains("500"),
            "{}",
            detail(&seen.answer)
        );
        assert!(!seen.hook || seen.sends.len() == 1);
    }
}

/// E1: the metadata services of clouds are inside of every cloud's network, and nobody's chat server.
#[test]
fn nothing_is_sent_to_link_local_addresses() {
    for url in [
        "http://169.254.169.254",
        "http://[fe80::1]",
        "http://[::ffff:169.254.169.254]",
    ] {
        let proxy = Proxy::setup()
            .set("MATTERMOST_URL", url)
            .set("MATTERMOST_TOKEN", unique("", 26))
            .start();

        let channel = unique("mattermost:", 26);
        let answer = proxy.post(format!("/post/channel/{channel}/msg/x?wait=1"));

        assert_eq!(
            answer.verdict(),
            (503, "backend-unavailable".into()),
            "{url}"
        );
        assert!(answer.text().contains("link-local"), "{}", answer.text());
    }
}

/// E6: the environment's proxies are not asked.
#[test]
fn proxies_of_the_environment_are_ignored() {
    let diverted = Upstream::start(|_| Reply::status(502));
    let chat = Chat::start();
    let names = [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ];
    let proxy = names
        .into_iter()
        .fold(chat.setup(), |setup, name| setup.set(name, diverted.url()))
        .start();
    let channel = unique("", 26);

    assert_delivered(&proxy.post_message(&channel, TEXT, &[]), "bot");
    assert_delivered(&proxy.post_message("h0", TEXT, &[]), "webhook");
    proxy.get("/ready");

    assert_eq!(diverted.connections(), 0);
}

/// What an upstream that repeats the request's credential says, in the form that the request asks for by where it
/// goes: `4033…` is status 403 in form 3.
fn echo(request: &Request) -> Reply {
    if request.path() == "/api/v4/system/ping" {
        return well(request);
    }
    let bearer = request.header("authorization").unwrap_or(request.path());
    let secret = bearer.rsplit([' ', '/']).next().unwrap();
    let whole = format!("{} {}", request.path(), request.text());
    let asked = whole.split("CASE").nth(1).or(whole.split("case").nth(1));
    let asked: u16 = asked.map_or(4003, |asked| asked[..4].parse().unwrap());
    let status = asked / 10;
    match asked % 10 {
        0 => Reply::text(status, bearer),
        1 => Reply::text(status, secret),
        2 => Reply::html(status, &format!("<pre>Authorization: {bearer}</pre>")),
        // A success that gives the token as an id is no error, and has the form of one.
        3 if status < 300 => Reply::json(status, json!({"ok": false, "error": secret})),
        3 => Reply::json(
            status,
            json!({"id": secret, "message": bearer, "error": secret, "ok": false}),
        ),
        4 => Reply::json(
            status,
            json!({"id": format!("api.{secret}.app_error"), "error": bearer, "ok": false}),
        ),
        5 => Reply::json(
            status,
            json!({"id": format!("Post rejected by plugin. {bearer}"), "error": secret}),
        ),
        6 => Reply::json(
            status,
            json!({"ok": false, "error": "missing_scope", "needed": secret}),
        ),
        _ => Reply::status(status)
            .header("Retry-After", secret)
            .header("X-Request-Id", secret)
            .header("Location", &format!("http://{secret}.example/")),
    }
}

/// E7: a platform that repeats the credentials does not get them into an answer; `Proxy` looks through the log.
#[test]
fn credentials_that_a_platform_repeats_go_nowhere() {
    let upstream = Upstream::start(echo);
    let (mattermost, slack) = (unique("", 26), unique("xoxb-", 24));
    // As Slack writes them: letters of both cases.
    let hook = format!("{}Qz", unique("", 22));
    let statuses = [
        200, 201, 302, 400, 401, 403, 404, 410, 413, 429, 500, 501, 503,
    ];
    let cases = || {
        statuses
            .into_iter()
            .flat_map(|status| (0..8).map(move |form| status * 10 + form))
    };
    let alias = |case: u16| {
        format!(
            "hook{case}=slack+{}/services/T0TEAM/case{case}/{hook}",
            upstream.url()
        )
    };
    let proxy = [
        "RATE_LIMIT_CALLER",
        "RATE_LIMIT_CHANNEL",
        "RATE_LIMIT_GLOBAL",
        "PACE_SLACK",
    ]
    .into_iter()
    .fold(Proxy::setup(), |setup, name| setup.set(name, "off"))
    .set("MATTERMOST_URL", upstream.url())
    .set("MATTERMOST_TOKEN", &mattermost)
    .set("SLACK_API_URL", upstream.url())
    .set("SLACK_BOT_TOKEN", &slack)
    .set("CHANNELS", cases().map(alias).collect::<Vec<_>>().join(" "))
    .canary(&hook)
    .start();
    let secrets = [mattermost, slack, hook.clone()];

    for statuses in statuses.chunks(4) {
        let cases = statuses
            .iter()
            .flat_map(|status| (0..8).map(move |form| status * 10 + form));
        let places = cases.flat_map(|case| {
            [
                format!("case{case}{}", unique("", 18)),
                format!("mattermost:acme/case{case}"),
                format!("slack:C0CASE{case}"),
                format!("hook{case}"),
            ]
        });
        let places: Vec<String> = places.collect();
        let answers: Vec<Response> = std::thread::scope(|scope| {
            let post = |to: &'_ String| {
                let (proxy, to) = (&proxy, to.clone());
                scope.spawn(move || proxy.post_message(&to, TEXT, &[("wait", "1")]))
            };
            let posts: Vec<_> = places.iter().map(post).collect();
            posts.into_iter().map(|post| post.join().unwrap()).collect()
        });

        for (to, answer) in places.iter().zip(answers) {
            let fields = answer
                .headers
                .0
                .iter()
                .map(|(name, value)| format!("{name}: {value}\n"));
            let whole = fields.collect::<String>() + &answer.text();
            assert_eq!(
                canary::find(&secrets, &whole),
                None,
                "{to}: {}",
                answer.status
            );
            // 201 is Mattermost's word that the post is there, unless a page says it.
            let is_created = to.starts_with("case201") && !to.starts_with("case2012");
            assert_eq!(answer.status == 200, is_created, "{to}");
        }
    }
    for path in ["/ready", "/metrics"] {
        assert_eq!(canary::find(&secrets, &proxy.get(path).text()), None);
    }
}

/// B9: a webhook that is another proxy's URL makes no loop.
#[test]
fn a_proxy_does_not_post_to_a_proxy() {
    let second = Proxy::start(&[]);
    let webhook = format!("loop=slack+{}", second.url("/post/channel/demo/msg/echo"));
    let first = Proxy::start(&[("CHANNELS", &webhook)]);

    let answer = first.post("/post/channel/loop/msg/hello");

    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(second.stdout_so_far().is_empty());
}
