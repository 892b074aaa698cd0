//! Contract sections 1.4, 1.7, 3, 4 and 5 on Slack: posts by id and name, what its answers become, what its people see.
//!
//! Codes and statuses are those of `slack.md`, sections 1.4 and 3.

use serde_json::{Value, json};

use crate::support::proxy::Setup;
use crate::support::slack::{Access, Post, live_tokens};
use crate::support::{Connection, Gate, Proxy, Reply, Request, Response, Slack, message_path};

fn setup(slack: &Slack) -> Setup {
    Proxy::setup().with(slack).without_limits()
}

/// The requests of one method.
fn calls(slack: &Slack, method: &str) -> Vec<Request> {
    let path = format!("/api/{method}");
    let requests = slack.requests().into_iter();
    requests.filter(|request| request.path() == path).collect()
}

fn texts(posts: &[Post]) -> Vec<&str> {
    posts.iter().map(|post| post.text.as_str()).collect()
}

#[track_caller]
fn code(answer: &Response) -> (u16, String) {
    let code = answer.json()["code"].as_str().unwrap_or("none").to_owned();
    (answer.status, code)
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[track_caller]
fn detail(answer: &Response) -> String {
    answer.json()["detail"].as_str().unwrap().to_owned()
}

/// What Slack shows for an escaped text.
fn shown(text: &str) -> String {
    let text = text.replace('\u{200B}', "");
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

/// Sends a post without waiting for its answer.
fn begin(proxy: &Proxy, channel: &str, text: &str, query: &[(&str, &str)]) -> Connection {
    let mut connection = proxy.connect();
    let target = message_path(channel, text, query);
    proxy.add_message(text);
    let head = format!("POST {target} HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n");
    connection.send(head.as_bytes());
    connection
}

#[test]
fn a_post_by_id_is_one_call_and_its_receipt_names_channel_and_message() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());

    let answer = proxy.post_message(&id, "disk is 91% full", &[]);

    assert_eq!(answer.status, 200);
    let (receipt, post) = (answer.json(), &slack.posts()[0]);
    assert_eq!(receipt["status"], "delivered");
    assert_eq!(
        receipt["deliveries"],
        json!([{"backend": "slack", "channel": id, "status": "delivered", "message_id": post.ts}])
    );
    // D2: nothing that a stranger linked is fetched and shown in our name.
    let want = json!({"channel": id, "text": "disk is 91% full", "unfurl_links": false, "unfurl_media": false});
    assert_eq!(post.body, want);
    let request = &slack.requests()[0];
    assert_eq!(slack.requests().len(), 1);
    assert_eq!(
        request.header("authorization"),
        Some(&*format!("Bearer {}", slack.token()))
    );
    assert_eq!(
        request.header("content-type"),
        Some("application/json; charset=utf-8")
    );
}

#[test]
fn a_name_is_looked_up_once_over_all_pages_and_the_post_goes_by_id() {
    let slack = Slack::start();
    let proxy = setup(&slack).start();

    // `builds` is on the third page; the second is empty and has a cursor all the same.
    let first = proxy.post_message("#builds", "one", &[]);
    let pages = calls(&slack, "conversations.list").len();
    let later: Vec<u16> = ["#builds", "builds", "slack:#builds"]
        .map(|channel| proxy.post_message(channel, "more", &[]).status)
        .to_vec();

    assert_eq!((first.status, pages), (200, 3));
    assert_eq!(later, [200; 3]);
    assert_eq!(
        first.json()["deliveries"][0]["channel"],
        slack.channel("builds").as_str()
    );
    let asked = |name: &str| {
        let requests = calls(&slack, "chat.postMessage").into_iter();
        requests
            .filter(|request| request.json()["channel"] == name)
            .count()
    };
    assert_eq!(asked(&slack.channel("builds")), 4);
    let again = calls(&slack, "conversations.list").len();
    proxy.post_message("#builds", "last", &[]);
    assert_eq!(calls(&slack, "conversations.list").len(), again);
}

#[test]
fn an_id_needs_no_look_up() {
    let slack = Slack::start();
    slack.revoke("channels:read");
    slack.revoke("groups:read");
    let proxy = setup(&slack).start();

    let answer = proxy.post_message(&slack.channel("team"), "by id", &[]);

    assert_eq!(answer.status, 200);
    assert!(calls(&slack, "conversations.list").is_empty());
}

#[test]
fn concurrent_first_posts_to_a_name_ask_once() {
    let slack = Slack::start();
    let gate = Gate::new();
    let found = json!({"ok": true, "channels": [{"id": slack.channel("builds"), "name": "builds"}],
        "response_metadata": {"next_cursor": ""}});
    slack.next_other(Reply::json(200, found).held(&gate));
    let proxy = setup(&slack).start();

    let mut waiting: Vec<Connection> = (0..8)
        .map(|_| begin(&proxy, "#builds", "at the same time", &[]))
        .collect();
    slack.wait_for(1);
    gate.open();

    for connection in &mut waiting {
        assert_eq!(connection.read_response().status, 200);
    }
    assert_eq!(calls(&slack, "conversations.list").len(), 1);
    assert_eq!(slack.posts().len(), 8);
}

#[test]
fn an_unknown_name_is_404_and_not_asked_for_again_at_once() {
    let slack = Slack::start();
    let proxy = setup(&slack).start();

    let first = proxy.post_message("#nowhere", "hello", &[]);
    let asked = calls(&slack, "conversations.list").len();
    let second = proxy.post_message("#nowhere", "hello", &[]);

    assert_eq!(code(&first), is(404, "unknown-channel"));
    assert_eq!(code(&second), is(404, "unknown-channel"));
    assert!(detail(&first).contains("/invite"), "{}", detail(&first));
    assert_eq!(calls(&slack, "conversations.list").len(), asked);
    assert!(calls(&slack, "chat.postMessage").is_empty());
}

#[test]
fn a_channel_that_the_bot_cannot_use_is_refused_with_the_cure() {
    let slack = Slack::start();
    let proxy = setup(&slack).start();
    let cases = [
        (
            "open",
            (502, "backend-rejected"),
            "not_in_channel",
            "/invite",
        ),
        ("old", (502, "backend-rejected"), "is_archived", "archived"),
        (
            "secret",
            (404, "unknown-channel"),
            "channel_not_found",
            "/invite",
        ),
    ];

    for (name, (status, word), platform_code, cure) in cases {
        let answer = proxy.post_message(&slack.channel(name), "hello", &[]);

        assert_eq!(code(&answer), is(status, word), "{name}");
        assert_eq!(answer.json()["platform_code"], platform_code, "{name}");
        assert!(
            detail(&answer).contains(cure),
            "{name}: {}",
            detail(&answer)
        );
    }
    assert!(slack.posts().is_empty());
    // One channel's trouble says nothing of the backend.
    assert!(!proxy.get("/ready").text().contains("failing"));
}

#[test]
fn a_bot_that_was_invited_or_may_post_anywhere_posts() {
    let slack = Slack::start();
    let (open, proxy) = (slack.channel("open"), setup(&slack).start());

    let before = proxy.post_message(&open, "hello", &[]).status;
    slack.set_channel("open", Access::Member);
    let after = proxy.post_message(&open, "hello", &[]).status;

    assert_eq!((before, after), (502, 200));
}

#[test]
fn a_missing_scope_is_named() {
    let slack = Slack::start();
    slack.revoke("chat:write");
    let proxy = setup(&slack).start();

    let answer = proxy.post_message(&slack.channel("ops"), "hello", &[]);

    assert_eq!(code(&answer), is(502, "backend-rejected"));
    assert_eq!(answer.json()["platform_code"], "missing_scope");
    assert!(
        detail(&answer).contains("chat:write"),
        "{}",
        detail(&answer)
    );
    assert!(detail(&answer).contains("reinstall"), "{}", detail(&answer));
}

#[test]
fn without_the_scope_for_private_channels_public_names_are_found() {
    let slack = Slack::start();
    slack.revoke("groups:read");
    let proxy = setup(&slack).start();

    let public = proxy.post_message("#builds", "hello", &[]);
    let private = proxy.post_message("#team", "hello", &[]);

    assert_eq!(public.status, 200);
    assert_eq!(code(&private), is(404, "unknown-channel"));
}

#[test]
fn without_any_scope_to_list_channels_the_refusal_says_so_and_ids_go_on() {
    let slack = Slack::start();
    slack.revoke("groups:read");
    slack.revoke("channels:read");
    let proxy = setup(&slack).start();

    let by_name = proxy.post_message("#builds", "hello", &[]);
    let by_id = proxy.post_message(&slack.channel("builds"), "hello", &[]);

    assert_eq!(code(&by_name), is(502, "backend-rejected"));
    assert!(detail(&by_name).contains("channels:read"));
    assert_eq!(by_id.status, 200);
    assert!(!proxy.get("/ready").text().contains("failing"));
}

#[test]
fn a_name_without_its_scope_is_this_posts_trouble_alone() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());

    let refused = proxy.post_message(&id, "hello", &[("as", "ci")]);
    let ready = proxy.get("/ready");
    slack.grant("chat:write.customize");
    let posted = proxy.post_message(&id, "hello", &[("as", "ci")]);

    assert_eq!(code(&refused), is(502, "backend-rejected"));
    assert!(detail(&refused).contains("chat:write.customize"));
    // Any caller can write `as`, so it must not make the bot look broken.
    assert!(!ready.text().contains("failing"), "{}", ready.text());
    assert_eq!(posted.status, 200);
    assert_eq!(slack.posts()[0].body["username"], "ci");
}

/// F-17, G6.
#[test]
fn a_refused_token_is_502_and_ready_stays_200_and_says_so_in_fixed_words() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());
    let old = slack.token();
    slack.replace_token();

    let answer = proxy.post_message(&id, "hello", &[]);
    let ready = proxy.get("/ready");

    assert_eq!(code(&answer), is(502, "backend-rejected"));
    assert_eq!(answer.json()["platform_code"], "invalid_auth");
    assert!(
        detail(&answer).contains("SLACK_BOT_TOKEN"),
        "{}",
        detail(&answer)
    );
    assert!(!answer.text().contains(&old));
    assert_eq!(ready.status, 200);
    let entry = json!({"name": "slack", "status": "failing", "reason": "credentials"});
    let backends = ready.json()["backends"].clone();
    assert!(backends.as_array().unwrap().contains(&entry), "{backends}");
}

#[test]
fn a_backend_that_works_again_is_no_longer_failing() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());
    slack.next(Slack::error("token_revoked"));

    let refused = proxy.post_message(&id, "hello", &[]).status;
    let posted = proxy.post_message(&id, "hello", &[]).status;

    assert_eq!((refused, posted), (502, 200));
    assert!(!proxy.get("/ready").text().contains("failing"));
}

/// F-10: HTTP 200 says nothing, `ok` does.
#[test]
fn every_class_of_refusal_with_status_200_has_its_answer() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());
    let rejected = (502, "backend-rejected");
    let cases = [
        ("not_authed", rejected),
        ("invalid_auth", rejected),
        ("account_inactive", rejected),
        ("token_revoked", rejected),
        ("token_expired", rejected),
        ("not_allowed_token_type", rejected),
        ("no_permission", rejected),
        ("access_denied", rejected),
        ("team_access_not_granted", rejected),
        ("two_factor_setup_required", rejected),
        ("is_bot", rejected),
        ("method_deprecated", rejected),
        ("unknown_method", rejected),
        ("channel_not_found", (404, "unknown-channel")),
        ("team_not_found", (404, "unknown-channel")),
        ("not_in_channel", rejected),
        ("is_archived", rejected),
        ("restricted_action", rejected),
        ("restricted_action_read_only_channel", rejected),
        ("restricted_action_thread_only_channel", rejected),
        ("restricted_action_non_threadable_channel", rejected),
        ("messages_tab_disabled", rejected),
        ("slack_connect_file_link_sharing_blocked", rejected),
        ("msg_too_long", (413, "message-too-long")),
        ("msg_blocks_too_long", (413, "message-too-long")),
        ("no_text", rejected),
        ("invalid_blocks", rejected),
        ("too_many_attachments", rejected),
        ("invalid_arguments", rejected),
        ("invalid_json", rejected),
        ("upgrade_required", rejected),
        // "Other errors may appear": refused for good, with Slack's own word.
        ("a_code_of_next_year", rejected),
    ];

    for (at, (platform_code, (status, word))) in cases.into_iter().enumerate() {
        slack.next(Slack::error(platform_code));
        let answer = proxy.post_message(&id, "hello", &[]);

        assert_eq!(code(&answer), is(status, word), "{platform_code}");
        assert_eq!(answer.json()["platform_code"], platform_code);
        assert!(detail(&answer).len() > 20, "{platform_code}");
        // Not retried: one call each.
        assert_eq!(
            calls(&slack, "chat.postMessage").len(),
            at + 1,
            "{platform_code}"
        );
    }
    assert!(slack.posts().is_empty());
}

#[test]
fn what_slack_cannot_do_now_is_tried_again_within_the_wait() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());
    let replies = [
        Slack::error("ratelimited"),
        Slack::error("rate_limited"),
        Slack::error("service_unavailable"),
        Slack::error("request_timeout"),
        Slack::error("team_added_to_org"),
        Slack::error("message_limit_exceeded"),
        Reply::html(503, "<html>maintenance</html>"),
        Reply::status(500),
        Reply::text(502, "bad gateway"),
        Reply::status(408),
    ];

    for (at, reply) in replies.into_iter().enumerate() {
        slack.next(reply);
        let answer = proxy.post_message(&id, "hello again", &[("wait", "30")]);

        assert_eq!(answer.status, 200, "case {at}: {}", answer.text());
        assert_eq!(slack.posts().len(), at + 1, "case {at}");
        assert_eq!(calls(&slack, "chat.postMessage").len(), 2 * (at + 1));
    }
}

/// F-9, F-10: what may have been posted is not posted twice.
#[test]
fn an_answer_that_leaves_the_outcome_open_is_503_and_not_repeated() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());
    let replies = [
        Slack::error("internal_error"),
        Slack::error("fatal_error"),
        Reply::html(200, "<html>There has been a glitch</html>"),
        Reply::text(200, "ok"),
        Reply::status(200),
        Reply::json(200, json!([true, null, null, null, null])),
        Reply::json(200, json!({"ok": "true"})),
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"ok\":tru"),
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"ok\":"),
        Reply::close_after_request(),
        Reply::reset_after_request(),
        Reply::endless_body(),
    ];

    for (at, reply) in replies.into_iter().enumerate() {
        slack.next(reply);
        let answer = proxy.post_message(&id, "once at most", &[]);

        assert_eq!(code(&answer), is(503, "backend-unavailable"), "case {at}");
        assert!(answer.header("retry-after").is_some(), "case {at}");
        assert!(
            detail(&answer).contains("may or may not have been posted"),
            "case {at}: {}",
            detail(&answer)
        );
        assert_eq!(calls(&slack, "chat.postMessage").len(), at + 1, "case {at}");
    }
}

#[test]
fn warnings_are_success() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());
    slack.accept_then(Reply::json(
        200,
        json!({"ok": true, "channel": id, "ts": "1766000001.000100",
            "warning": "message_truncated,missing_charset", "message": {"text": "…"},
            "response_metadata": {"warnings": ["message_truncated", "missing_charset"]}}),
    ));

    let answer = proxy.post_message(&id, "hello", &[]);

    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json()["deliveries"][0]["message_id"],
        "1766000001.000100"
    );
}

/// E3, F-19: the bot token is not carried to where a redirect points.
#[test]
fn redirects_are_never_followed() {
    let (slack, elsewhere) = (Slack::start(), Slack::start());
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());

    for status in [301, 302, 303, 307, 308] {
        slack.next(Reply::status(status).header("Location", &elsewhere.api_url()));
        let answer = proxy.post_message(&id, "hello", &[]);

        assert_eq!(code(&answer), is(502, "backend-rejected"), "{status}");
        assert!(detail(&answer).contains("SLACK_API_URL"), "{status}");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn an_address_that_is_not_slacks_api_is_named() {
    let slack = Slack::start();
    let id = slack.channel("ops");
    let proxy = setup(&slack).set("SLACK_API_URL", slack.url()).start();

    let answer = proxy.post_message(&id, "hello", &[]);

    assert_eq!(code(&answer), is(502, "backend-rejected"));
    assert!(
        detail(&answer).contains("SLACK_API_URL"),
        "{}",
        detail(&answer)
    );
    assert!(proxy.get("/ready").text().contains("misconfigured"));
}

/// F-11: within the wait the post is held back as long as Slack says.
#[test]
fn a_429_within_the_wait_is_waited_out() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());
    slack.rate_limited(1, 1);

    let answer = proxy.post_message(&id, "hello", &[]);

    assert_eq!(answer.status, 200);
    assert_eq!(calls(&slack, "chat.postMessage").len(), 2);
}

/// F-11, C6: beyond the wait the caller is told when to come back, and Slack is left alone until then.
#[test]
fn a_429_beyond_the_wait_is_503_with_its_own_time_and_pauses_that_channel_alone() {
    let slack = Slack::start();
    let (ops, builds, proxy) = (
        slack.channel("ops"),
        slack.channel("builds"),
        setup(&slack).start(),
    );
    slack.rate_limited(1, 120);

    let first = proxy.post_message(&ops, "hello", &[]);
    let second = proxy.post_message(&ops, "hello", &[]);
    let other = proxy.post_message(&builds, "hello", &[]);

    assert_eq!(code(&first), is(503, "backend-unavailable"));
    assert_eq!(first.header("retry-after"), Some("120"));
    assert_still_throttled(&second);
    assert_eq!(other.status, 200);
    assert_eq!(calls(&slack, "chat.postMessage").len(), 2);
}

/// Of 120 s not all is left, or nearly all.
fn assert_still_throttled(answer: &Response) {
    assert_eq!(code(answer), is(503, "backend-unavailable"));
    let left: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((60..=120).contains(&left), "{left}");
}

/// Slack does not say whether its 429 is of the channel or of the workspace (1.5): of two channels, one after the other, it
/// is the workspace's, and no third one asks.
#[test]
fn a_429_of_a_second_channel_pauses_the_workspace() {
    let slack = Slack::start();
    let channels = ["ops", "builds", "deploys"].map(|name| slack.set_channel(name, Access::Member));
    let proxy = setup(&slack).start();
    slack.rate_limited(2, 120);

    let answers = channels.map(|id| proxy.post_message(&id, "hello", &[]));

    answers.iter().for_each(assert_still_throttled);
    assert_eq!(calls(&slack, "chat.postMessage").len(), 2);
    assert_eq!(slack.posts().len(), 0);
}

/// F-11: 429 is of the method (1.5), so it is of every name, and of no channel that is given by its id.
#[test]
fn a_429_of_a_look_up_pauses_all_look_ups_and_no_post_by_id() {
    let slack = Slack::start();
    let (ops, _, proxy) = (
        slack.channel("ops"),
        slack.channel("builds"),
        setup(&slack).start(),
    );
    slack.next_other(
        Reply::json(429, json!({"ok": false, "error": "ratelimited"})).header("Retry-After", "120"),
    );

    let answers = ["#ops", "#ops", "#builds"].map(|name| proxy.post_message(name, "hello", &[]));
    let by_id = proxy.post_message(&ops, "hello", &[]);

    answers.iter().for_each(assert_still_throttled);
    assert_eq!(by_id.status, 200);
    assert_eq!(calls(&slack, "conversations.list").len(), 1);
}

/// Contract 4: without an outbox the caller's wait is there for the look-up as well.
#[test]
fn a_look_up_that_fails_is_made_again_within_the_wait() {
    let refusals = [
        Reply::json(429, json!({"ok": false, "error": "ratelimited"})).header("Retry-After", "1"),
        Reply::text(500, "oops"),
        Reply::reset_after_request(),
    ];
    for refusal in refusals {
        let slack = Slack::start();
        let (id, proxy) = (slack.channel("ops"), setup(&slack).start());
        slack.next_other(refusal);

        let answer = proxy.post_message("#ops", "hello", &[("wait", "20")]);

        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["deliveries"][0]["channel"], *id);
        assert_eq!(calls(&slack, "conversations.list").len(), 2);
    }
}

/// Contract 3: what a platform says in `Retry-After` always wins, also for who waits already.
#[test]
fn a_post_that_waits_for_its_turn_heeds_a_429_that_comes_meanwhile() {
    let slack = Slack::start();
    let gate = Gate::new();
    let id = slack.channel("ops");
    slack.next(
        Reply::json(429, json!({"ok": false, "error": "ratelimited"}))
            .header("Retry-After", "300")
            .held(&gate),
    );
    let proxy = setup(&slack).set("PACE_SLACK", "1/s").start();

    let mut first = begin(&proxy, &id, "the first one", &[]);
    slack.wait_for(1);
    let mut second = begin(&proxy, &id, "the second one", &[]);
    // By the time another request is answered, the second post waits; were it late, it would be refused as well.
    proxy.get("/health");
    gate.open();

    assert_eq!(code(&first.read_response()), is(503, "backend-unavailable"));
    assert_eq!(
        code(&second.read_response()),
        is(503, "backend-unavailable")
    );
    assert_eq!(calls(&slack, "chat.postMessage").len(), 1);
}

/// D1: nothing that a stranger writes is live, and all of it shows as typed.
#[test]
fn hostile_texts_show_as_typed_and_notify_nobody() {
    let slack = Slack::start();
    slack.grant("chat:write.customize");
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());

    for text in HOSTILE {
        let typed = text.replace('\u{200B}', "");
        let before = slack.posts().len();
        let plain = proxy.post_message(&id, text, &[]);
        let decorated = proxy.post_message(
            &id,
            text,
            &[("title", text), ("as", text), ("level", "error")],
        );
        let literal = proxy.post_message(&id, text, &[("format", "plain")]);

        assert_eq!(
            [plain.status, decorated.status, literal.status],
            [200; 3],
            "{text}"
        );
        let posts = slack.posts().split_off(before);
        assert_eq!(shown(&posts[0].text), typed);
        for post in &posts {
            for (place, value) in strings(&post.body) {
                assert_eq!(live_tokens(value), [""; 0], "{text}: {place} = {value}");
            }
            assert!(post.body.get("link_names").is_none());
            assert!(post.body.get("parse").is_none());
        }
        let attachment = &posts[1].body["attachments"][0];
        assert_eq!(shown(attachment["text"].as_str().unwrap()), typed);
        assert_eq!(
            shown(attachment["title"].as_str().unwrap()),
            format!("🚨 {typed}")
        );
        assert_eq!(shown(posts[1].body["username"].as_str().unwrap()), typed);
    }
}

const HOSTILE: &[&str] = &[
    "<!channel>",
    "<!here> <!everyone>",
    "<!here|look>",
    "<@U0ALICE01>",
    "<@W0ALICE01|boss>",
    "<!subteam^S0GROUP01>",
    "<#C0OPS0001>",
    "<https://evil.example|https://good.example>",
    "<mailto:a@b.example|ops>",
    "<!date^1392734382^{date}|now>",
    "a < b && c > d",
    "&lt;!channel&gt;",
    "&amp;lt;!here&amp;gt;",
    "<<!here>>",
    "<\u{200B}!here>",
    "@here @channel @everyone @group",
    "@alice #ops :tada:",
    "```<!here>``` `<@U0ALICE01>`",
    "*<!channel>* _<!here>_",
];

/// Every string of a body, with where it stands; the channel's id is ours.
fn strings(value: &Value) -> Vec<(String, &str)> {
    match value {
        Value::String(text) => vec![(String::new(), text)],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| {
                let inner = strings(value).into_iter();
                inner.map(move |(place, text)| (format!("{name}/{place}"), text))
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// D1: outside the top-level text bare names are broken as well, since it is not documented that they are inert.
#[test]
fn bare_names_are_broken_in_attachments() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());

    let answer = proxy.post_message(&id, "@here and @alice", &[("title", "@channel")]);

    assert_eq!(answer.status, 200);
    let post = &slack.posts()[0];
    for (place, text) in strings(&post.body) {
        for name in ["@here", "@alice", "@channel"] {
            assert!(!text.contains(name), "{place}: {text}");
        }
    }
}

#[test]
fn the_platforms_light_formatting_stays_live() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());
    let text = "*bold* _it_ ~no~ `code` ```block``` > quote";

    proxy.post_message(&id, text, &[]);

    assert_eq!(
        slack.posts()[0].text,
        "*bold* _it_ ~no~ `code` ```block``` &gt; quote"
    );
    assert!(slack.posts()[0].body.get("mrkdwn").is_none());
}

#[test]
fn allowed_mentions_are_live_and_no_others() {
    let slack = Slack::start();
    let id = slack.channel("ops");
    let cases = [
        ("none", "@here <!here>", vec![]),
        (
            "here",
            "@here <!channel> @channel <@U0ALICE01>",
            vec!["<!here>"],
        ),
        ("here", "<!here|disguised> me@here.example", vec![]),
        (
            "U0ALICE01,channel",
            "<@U0ALICE01> <@U0BOB0001> @channel",
            vec!["<@U0ALICE01>", "<!channel>"],
        ),
        (
            "all",
            "@here <@U0BOB0001> <!subteam^S0GROUP01>",
            vec!["<!here>", "<@U0BOB0001>", "<!subteam^S0GROUP01>"],
        ),
        // Links are no mentions.
        ("all", "<https://evil.example|good> <#C0OPS0001>", vec![]),
    ];

    for (allowed, text, live) in cases {
        let proxy = setup(&slack).set("ALLOW_MENTIONS", allowed).start();
        let answer = proxy.post_message(&id, text, &[]);

        assert_eq!(answer.status, 200);
        let post = slack.posts().pop().unwrap();
        assert_eq!(live_tokens(&post.text), live, "{allowed}: {text}");
        // What the operator allows in messages stays dead in a title.
        proxy.post_message(&id, "x", &[("title", text)]);
        let title = slack.posts().pop().unwrap().body["attachments"][0]["title"].clone();
        assert_eq!(
            live_tokens(title.as_str().unwrap()),
            [""; 0],
            "{allowed}: {text}"
        );
    }
}

#[test]
fn title_link_level_and_name_are_one_attachment() {
    let slack = Slack::start();
    slack.grant("chat:write.customize");
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());

    let answer = proxy.post_message(
        &id,
        "all 12 tests pass",
        &[
            ("title", "Build 42"),
            ("link", "https://ci.example/42?a=1|b"),
            ("level", "success"),
            ("as", "CI"),
        ],
    );

    assert_eq!(answer.status, 200);
    assert_eq!(
        slack.posts()[0].body,
        json!({"channel": id, "username": "CI", "unfurl_links": false, "unfurl_media": false,
            "attachments": [{"color": "good", "title": "✅ Build 42", "title_link": "https://ci.example/42?a=1%7Cb",
                "text": "all 12 tests pass", "mrkdwn_in": ["text"], "fallback": "✅ Build 42 all 12 tests pass"}]})
    );
}

#[test]
fn each_level_has_its_colour_and_emoji() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());
    let cases = [
        ("info", "#439FE0", "ℹ️"),
        ("success", "good", "✅"),
        ("warning", "warning", "⚠️"),
        ("error", "danger", "🚨"),
    ];

    for (level, colour, emoji) in cases {
        proxy.post_message(&id, "message", &[("level", level)]);
        let attachment = slack.posts().pop().unwrap().body["attachments"][0].clone();

        assert_eq!(attachment["color"], colour);
        assert_eq!(attachment["text"], format!("{emoji} message"));
    }
}

#[test]
fn plain_format_turns_formatting_and_emoji_codes_off() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());

    proxy.post_message(&id, "*not bold* & <b>", &[("format", "plain")]);
    proxy.post_message(&id, ":tada: *not bold*", &[("format", "plain")]);

    let posts = slack.posts();
    assert_eq!(
        posts[0].body,
        json!({"channel": id, "text": "*not bold* &amp; &lt;b&gt;", "mrkdwn": false,
            "unfurl_links": false, "unfurl_media": false})
    );
    assert_eq!(
        posts[1].body["blocks"],
        json!([{"type": "section", "text": {"type": "plain_text", "text": ":tada: *not bold*", "emoji": false}}])
    );
}

#[test]
fn a_long_text_is_posted_in_parts_in_order() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());
    let text: String = (0..700).map(|n| format!("line {n:03} & more\n")).collect();

    let answer = proxy.post_message(&id, &text, &[]);

    assert_eq!(answer.status, 200, "{}", answer.text());
    let (posts, receipt) = (slack.posts(), answer.json());
    assert!(posts.len() > 1);
    assert_eq!(receipt["deliveries"][0]["parts"], posts.len());
    assert_eq!(receipt["deliveries"][0]["message_id"], posts[0].ts.as_str());
    assert_eq!(shown(&texts(&posts).concat()), text);
    for post in &posts {
        assert!(post.text.chars().count() <= 4000);
        assert!(post.text.starts_with("line ") && post.text.ends_with('\n'));
    }
}

/// B6: the limit is Slack's 4,000 characters after escaping, and never inside what a reader sees as one.
#[test]
fn the_limit_is_counted_after_escaping() {
    let slack = Slack::start();
    let id = slack.channel("ops");
    let proxy = setup(&slack).set("MAX_URL", "64KiB").start();
    let cases = [
        ("a".repeat(4000), 1),
        ("a".repeat(4001), 2),
        ("&".repeat(800), 1),
        ("&".repeat(801), 2),
        ("🚨".repeat(1500), 1),
        ("👩‍👩‍👧‍👦".repeat(600), 2),
        // One character above the limit.
        (format!("a{}", "\u{301}".repeat(4003)), 2),
    ];

    for (text, parts) in cases {
        let before = slack.posts().len();
        let answer = proxy.post_message(&id, &text, &[]);

        assert_eq!(answer.status, 200, "{}", answer.text());
        let posts = slack.posts().split_off(before);
        assert_eq!(posts.len(), parts, "{} characters", text.chars().count());
        assert_eq!(shown(&texts(&posts).concat()), text);
        assert!(posts.iter().all(|post| !post.text.starts_with('\u{200D}')));
    }
}

#[test]
fn more_than_max_parts_is_413_and_nothing_is_posted() {
    let slack = Slack::start();
    let id = slack.channel("ops");
    let proxy = setup(&slack).set("MAX_PARTS", "2").start();

    let two = proxy.post_message(&id, &"a".repeat(8000), &[]);
    let three = proxy.post_message(&id, &"a".repeat(8001), &[]);

    assert_eq!(two.status, 200);
    assert_eq!(code(&three), is(413, "message-too-long"));
    assert!(detail(&three).contains("MAX_PARTS"));
    assert_eq!(slack.posts().len(), 2);
}

#[test]
fn a_part_that_is_refused_ends_the_message_and_the_detail_says_how_far_it_came() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());
    let gate = Gate::new();
    slack.hold_next(&gate);
    let mut waiting = begin(&proxy, &id, &"a".repeat(8001), &[]);
    slack.wait_for_posts(1);
    slack.next(Slack::error("is_archived"));
    gate.open();

    let answer = waiting.read_response();

    assert_eq!(code(&answer), is(502, "backend-rejected"));
    assert!(
        detail(&answer).starts_with("1 of 3 parts were posted"),
        "{}",
        detail(&answer)
    );
    assert_eq!(slack.posts().len(), 1);
}

fn hook(slack: &Slack) -> Setup {
    let channels = format!("alerts=slack+{}", slack.webhook_url());
    Proxy::setup().without_limits().set("CHANNELS", channels)
}

#[test]
fn a_webhook_posts_and_its_receipt_shows_the_alias() {
    let slack = Slack::start();
    let proxy = hook(&slack).start();

    let answer = proxy.post_message("alerts", "a <!here> b", &[("as", "ci")]);

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.json()["deliveries"],
        json!([{"backend": "slack", "channel": "alerts", "status": "delivered"}])
    );
    let post = &slack.posts()[0];
    assert!(post.via_webhook);
    // Webhooks of apps ignore names and channels, so none are sent.
    assert_eq!(
        post.body,
        json!({"text": "a &lt;!here&gt; b", "unfurl_links": false, "unfurl_media": false})
    );
    let request = &slack.requests()[0];
    assert!(slack.webhook_url().ends_with(&request.target));
    assert_eq!(request.header("authorization"), None);
}

#[test]
fn a_webhooks_text_errors_keep_their_meaning() {
    let slack = Slack::start();
    let proxy = hook(&slack).start();
    let rejected = (502, "backend-rejected");
    let unknown = (404, "unknown-channel");
    let cases = [
        (400, "invalid_payload", rejected),
        (400, "no_text", rejected),
        (400, "too_many_attachments", rejected),
        (400, "user_not_found", unknown),
        (403, "action_prohibited", rejected),
        (403, "posting_to_general_channel_denied", rejected),
        (403, "invalid_token", rejected),
        (403, "team_disabled", rejected),
        (404, "channel_not_found", unknown),
        (404, "no_service", unknown),
        (404, "no_service_id", unknown),
        (404, "no_team", unknown),
        (404, "no_active_hooks", unknown),
        (410, "channel_is_archived", rejected),
        (418, "brand_new_code", rejected),
    ];

    for (status, word, (want_status, want_code)) in cases {
        slack.next(Reply::text(status, word));
        let answer = proxy.post_message("alerts", "hello", &[]);

        assert_eq!(code(&answer), is(want_status, want_code), "{word}");
        assert_eq!(answer.json()["platform_code"], word);
        assert!(!answer.text().contains("/services/"), "{word}");
    }
    // A webhook is one destination: its refusal is not the backend's.
    assert!(!proxy.get("/ready").text().contains("failing"));
}

#[test]
fn a_webhook_that_cannot_now_is_tried_again() {
    let slack = Slack::start();
    let proxy = hook(&slack).start();
    slack.rate_limited(1, 1);

    let limited = proxy.post_message("alerts", "hello", &[]);
    slack.next(Reply::text(500, "rollup_error"));
    let broken = proxy.post_message("alerts", "hello", &[]);

    assert_eq!((limited.status, broken.status), (200, 200));
    assert_eq!(slack.posts().len(), 2);
}

#[test]
fn a_webhook_must_say_ok() {
    let slack = Slack::start();
    let proxy = hook(&slack).start();
    let replies = [
        Reply::html(200, "<html>hello</html>"),
        Reply::status(200),
        Reply::text(202, "ok"),
        Reply::text(200, "okay"),
    ];

    for (at, reply) in replies.into_iter().enumerate() {
        slack.next(reply);
        let answer = proxy.post_message("alerts", "hello", &[]);

        assert_eq!(code(&answer), is(503, "backend-unavailable"), "case {at}");
        assert_eq!(slack.requests().len(), at + 1, "case {at}");
    }
}

/// F-9: `ok` decides. What else the answer says of the post is left out of the receipt if it is of an odd type.
#[test]
fn a_post_that_is_ok_is_not_made_again_for_an_odd_field() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), Proxy::setup().with(&slack).start());
    let odd = [
        json!({"ok": true, "channel": id, "ts": 1_766_000_000.000_1}),
        json!({"ok": true, "channel": {"id": id}, "ts": "1766000000.000100"}),
        json!({"ok": true, "channel": null, "ts": [], "error": 0, "needed": {}}),
    ];

    for (at, answer) in odd.into_iter().enumerate() {
        slack.accept_then(Reply::json(200, answer));
        let answer = proxy.post_message(&id, "hello", &[]);

        assert_eq!(answer.verdict(), (200, "delivered".to_owned()), "case {at}");
        assert_eq!(slack.posts().len(), at + 1, "case {at}");
    }
    slack.next(Reply::json(200, json!({"ok": false, "error": 5})));
    let refused = proxy.post_message(&id, "hello", &[]);
    assert_eq!(refused.verdict(), (502, "backend-rejected".to_owned()));
}

/// Said as the Web API says it, it is said: another attempt would post again.
#[test]
fn a_webhook_that_says_ok_in_json_has_posted() {
    let slack = Slack::start();
    let proxy = hook(&slack).start();
    slack.accept_then(Reply::json(200, json!({"ok": true})));

    let answer = proxy.post_message("alerts", "hello", &[]);

    assert_eq!(answer.verdict(), (200, "delivered".to_owned()));
    assert_eq!(slack.posts().len(), 1);
}

/// Contract 3: `PACE_SLACK` is 1/s unless it says otherwise.
#[test]
fn the_default_pace_lets_posts_wait_in_order() {
    let slack = Slack::start();
    let (id, gate) = (slack.channel("ops"), Gate::new());
    let proxy = Proxy::setup().with(&slack).start();
    slack.hold_next(&gate);

    let mut first = begin(&proxy, &id, "the first one", &[]);
    slack.wait_for_posts(1);
    gate.open();
    let mut second = begin(&proxy, &id, "the second one", &[]);

    assert_eq!(first.read_response().status, 200);
    assert_eq!(second.read_response().status, 200);
    assert_eq!(texts(&slack.posts()), ["the first one", "the second one"]);
}

#[test]
fn a_burst_of_impatient_posts_does_not_pass_at_the_default_pace() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), Proxy::setup().with(&slack).start());

    // Twelve would need eleven seconds, and each waits one.
    let mut posts: Vec<Connection> = (0..12)
        .map(|_| begin(&proxy, &id, "impatient", &[("wait", "1")]))
        .collect();
    let answers: Vec<Response> = posts.iter_mut().map(Connection::read_response).collect();

    let refused: Vec<&Response> = answers.iter().filter(|a| a.status != 200).collect();
    assert!(!refused.is_empty());
    for answer in refused {
        assert_eq!(code(answer), is(503, "backend-unavailable"));
        assert!(answer.header("retry-after").is_some());
    }
    assert!(slack.posts().len() < answers.len());
}

/// C6: a turn beyond the caller's wait is refused at once, with the time it would have had.
#[test]
fn a_post_whose_turn_is_beyond_its_wait_is_503_with_the_time_of_the_turn() {
    let slack = Slack::start();
    let (ops, builds) = (slack.channel("ops"), slack.channel("builds"));
    let proxy = setup(&slack).set("PACE_SLACK", "1/h").start();

    let first = proxy.post_message(&ops, "hello", &[("wait", "1")]);
    let second = proxy.post_message(&ops, "hello", &[("wait", "1")]);
    let elsewhere = proxy.post_message(&builds, "hello", &[("wait", "1")]);

    assert_eq!((first.status, elsewhere.status), (200, 200));
    assert_eq!(code(&second), is(503, "backend-unavailable"));
    let wait: u64 = second.header("retry-after").unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&wait), "{wait}");
    assert_eq!(slack.posts().len(), 2);
}

/// The pace is the channel's, not its spelling's.
#[test]
fn a_name_and_its_id_share_one_pace() {
    let slack = Slack::start();
    let proxy = setup(&slack).set("PACE_SLACK", "1/h").start();

    let by_id = proxy.post_message(&slack.channel("ops"), "hello", &[]);
    let by_name = proxy.post_message("#ops", "hello", &[]);

    assert_eq!((by_id.status, by_name.status), (200, 503));
    assert_eq!(slack.posts().len(), 1);
}

/// E7, G1: what the platform echoes is not repeated to anybody.
#[test]
fn an_answer_that_echoes_the_token_gives_nothing_away() {
    let slack = Slack::start();
    let (id, proxy) = (slack.channel("ops"), setup(&slack).start());
    let token = slack.token();
    let replies = [
        Reply::json(
            200,
            json!({"ok": false, "error": format!("Bearer {token}")}),
        ),
        Reply::json(
            200,
            json!({"ok": false, "error": "missing_scope", "needed": token}),
        ),
        Reply::json(200, json!({"ok": true, "channel": id, "ts": token})),
        Reply::json(403, json!({"ok": false, "error": token, "detail": token})),
        Reply::html(403, &format!("<html>{token}</html>")),
        Reply::text(500, &token).header("X-Echo", &token),
    ];

    for (at, reply) in replies.into_iter().enumerate() {
        slack.next(reply);
        let answer = proxy.post_message(&id, "hello", &[]);

        assert!(
            !answer.text().contains(&token),
            "case {at}: {}",
            answer.text()
        );
    }
}
