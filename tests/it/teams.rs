//! Contract sections 1.4, 1.7, 4 and 5 on Teams: the bot's token, threads and conversations, cards, flows' webhooks, E2.
//!
//! Codes and statuses are those of `teams.md`, sections 1, 2.7 and 3.2.

use serde_json::{Value, json};

use crate::support::proxy::Setup;
use crate::support::teams::Post;
use crate::support::{
    Connection, Gate, Proxy, Reply, Request, Response, Teams, Upstream, message_path,
};

fn setup(teams: &Teams) -> Setup {
    Proxy::setup().with(teams).without_limits()
}

/// The requests that post, as opposed to those for a token.
fn posting(teams: &Teams) -> Vec<Request> {
    let requests = teams.requests().into_iter();
    requests
        .filter(|request| request.path().starts_with("/teams/v3/"))
        .collect()
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

/// Sends a post without waiting for its answer.
fn begin(proxy: &Proxy, channel: &str, text: &str) -> Connection {
    let mut connection = proxy.connect();
    let target = message_path(channel, text, &[]);
    proxy.add_message(text);
    let head = format!("POST {target} HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n");
    connection.send(head.as_bytes());
    connection
}

/// What a client shows for Markdown without formatting: entities decoded once, a paragraph for each line.
fn shown(text: &str) -> String {
    let text = text.replace("\n\n", "\n").replace('\u{200B}', "");
    let text = [
        ("lt", "<"),
        ("gt", ">"),
        ("#91", "["),
        ("#93", "]"),
        ("#92", "\\"),
        ("#123", "{"),
        ("#125", "}"),
        ("#35", "#"),
    ]
    .iter()
    .fold(text, |text, (name, sign)| {
        text.replace(&format!("&{name};"), sign)
    });
    text.replace("&amp;", "&")
}

/// The one card of an activity.
#[track_caller]
fn card(activity: &Value) -> &Value {
    let attachment = &activity["attachments"][0];
    assert_eq!(
        attachment["contentType"], "application/vnd.microsoft.card.adaptive",
        "{activity}"
    );
    &attachment["content"]
}

/// The text of a card: lines, each of runs.
fn lines(card: &Value) -> Vec<String> {
    let items = card["body"][0]["items"].as_array().unwrap();
    let run = |run: &Value| run["text"].as_str().unwrap().to_owned();
    let line = |item: &Value| {
        item["inlines"]
            .as_array()
            .unwrap()
            .iter()
            .map(run)
            .collect()
    };
    items.iter().map(line).collect()
}

#[test]
fn a_token_is_fetched_once_for_posts_that_come_together() {
    let teams = Teams::start();
    let (channel, gate) = (teams.channel("alerts"), Gate::new());
    teams.hold_token(&gate);
    let proxy = setup(&teams).start();

    let mut waiting: Vec<Connection> = (0..8)
        .map(|n| begin(&proxy, &channel, &format!("together {n}")))
        .collect();
    teams.wait_for(1);
    gate.open();

    for connection in &mut waiting {
        assert_eq!(connection.read_response().status, 200);
    }
    proxy.add_canary(&teams.bearer().unwrap());
    assert_eq!(proxy.post_message(&channel, "later", &[]).status, 200);
    assert_eq!(teams.token_fetches(), 1);
    assert_eq!(teams.posts().len(), 9);
}

#[test]
fn the_token_is_asked_for_as_the_login_service_wants_it() {
    let teams = Teams::start();
    let proxy = setup(&teams).start();

    proxy.post_message(&teams.channel("alerts"), "hello", &[]);

    let request = &teams.requests()[0];
    assert_eq!(request.method, "POST");
    assert_eq!(
        request.target,
        format!("/{}/oauth2/v2.0/token", teams.tenant())
    );
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    let field = |name: &str, value: String| (name.to_owned(), value);
    assert_eq!(
        request.form(),
        [
            field("grant_type", "client_credentials".to_owned()),
            field("client_id", teams.app_id()),
            field("client_secret", teams.password()),
            field("scope", "https://api.botframework.com/.default".to_owned()),
        ]
    );
}

#[test]
fn a_token_that_was_refused_is_replaced_once_and_the_post_goes_on() {
    let teams = Teams::start();
    let (channel, proxy) = (teams.channel("alerts"), setup(&teams).start());

    let first = proxy.post_message(&channel, "one", &[]);
    teams.expire_tokens();
    let second = proxy.post_message(&channel, "two", &[]);

    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(teams.token_fetches(), 2);
    let texts: Vec<String> = teams.posts().iter().map(|p| p.text().to_owned()).collect();
    assert_eq!(texts, ["one", "two"]);
}

/// F-17.
#[test]
fn a_fresh_token_that_is_refused_too_is_502_with_the_cure() {
    let teams = Teams::start();
    let (channel, proxy) = (teams.channel("alerts"), setup(&teams).start());
    teams.next(Teams::error(401, "BotNotRegistered"));
    teams.next(Teams::error(401, "BotNotRegistered"));

    let answer = proxy.post_message(&channel, "hello", &[]);

    assert_eq!(code(&answer), is(502, "backend-rejected"));
    assert_eq!(answer.json()["platform_code"], "BotNotRegistered");
    assert!(
        detail(&answer).contains("TEAMS_APP_ID"),
        "{}",
        detail(&answer)
    );
    assert_eq!((posting(&teams).len(), teams.token_fetches()), (2, 2));
    assert!(teams.posts().is_empty());
}

/// F-17, G6: the cure of each refusal of the login service, and `/ready` in fixed words.
#[test]
fn refused_credentials_are_502_with_the_cure() {
    let cases = [
        (401, 7_000_215, "TEAMS_APP_PASSWORD"),
        (401, 7_000_222, "expired"),
        (400, 700_016, "TEAMS_APP_ID"),
        (400, 90_002, "TEAMS_TENANT_ID"),
        (401, 7_000_229, "TEAMS_TENANT_ID"),
        (400, 50_000, "TEAMS_APP_PASSWORD"),
    ];
    let teams = Teams::start();
    let proxy = setup(&teams).start();

    for (status, number, cure) in cases {
        let description = format!("AADSTS{number}: said for people. Trace ID: 0");
        teams.next_token(Reply::json(
            status,
            json!({"error": "invalid_client", "error_description": description, "error_codes": [number]}),
        ));
        let answer = proxy.post_message(&teams.channel("alerts"), "hello", &[]);

        assert_eq!(code(&answer), is(502, "backend-rejected"), "{number}");
        assert_eq!(answer.json()["platform_code"], format!("AADSTS{number}"));
        assert!(
            detail(&answer).contains(cure),
            "{number}: {}",
            detail(&answer)
        );
    }
    assert!(posting(&teams).is_empty());
}

#[test]
fn a_wrong_secret_is_502_and_ready_stays_200_and_says_so() {
    let teams = Teams::start();
    let proxy = setup(&teams).start();
    teams.replace_password();

    let answer = proxy.post_message(&teams.channel("alerts"), "hello", &[]);
    let ready = proxy.get("/ready");

    assert_eq!(code(&answer), is(502, "backend-rejected"));
    assert!(
        detail(&answer).contains("TEAMS_APP_PASSWORD"),
        "{}",
        detail(&answer)
    );
    assert_eq!(ready.status, 200);
    let entry = json!({"name": "teams", "status": "failing", "reason": "credentials"});
    let backends = ready.json()["backends"].clone();
    assert!(backends.as_array().unwrap().contains(&entry), "{backends}");
}

#[test]
fn a_login_service_that_limits_us_is_503_with_its_own_time() {
    let teams = Teams::start();
    let proxy = setup(&teams).start();
    teams.next_token(Reply::status(429).header("Retry-After", "90"));

    let answer = proxy.post_message(&teams.channel("alerts"), "hello", &[]);
    let elsewhere = proxy.post_message(&teams.channel("builds"), "hello", &[]);

    assert_eq!(code(&answer), is(503, "backend-unavailable"));
    assert_eq!(answer.header("retry-after"), Some("90"));
    assert_eq!(code(&elsewhere), is(503, "backend-unavailable"));
    assert_eq!(teams.token_fetches(), 1);
    assert!(teams.posts().is_empty());
}

/// Nothing is posted before there is a token, so a broken answer of the login service is never in doubt.
#[test]
fn a_login_service_that_cannot_now_is_asked_again_within_the_wait() {
    let teams = Teams::start();
    let (channel, proxy) = (teams.channel("alerts"), setup(&teams).start());
    let replies = [
        Reply::status(500),
        Reply::html(503, "<h2>Our services aren't available right now</h2>"),
        Reply::html(200, "<html>a portal</html>"),
        Reply::json(200, json!({"token_type": "Bearer"})),
        Reply::json(200, json!({"token_type": "mac", "access_token": "abc"})),
        Reply::json(
            200,
            json!({"token_type": "Bearer", "access_token": "a\r\nX-Evil: 1"}),
        ),
        Reply::json(400, json!({"error": "temporarily_unavailable"})),
        Reply::close_after_request(),
    ];
    for (at, reply) in replies.into_iter().enumerate() {
        teams.expire_tokens();
        teams.next_token(reply);
        let answer = proxy.post_message(&channel, "hello again", &[("wait", "30")]);

        assert_eq!(answer.status, 200, "case {at}: {}", answer.text());
        assert_eq!(teams.posts().len(), at + 1, "case {at}");
    }
}

/// F-1.
#[test]
fn a_login_service_that_is_away_is_503() {
    let teams = Teams::start();
    let proxy = setup(&teams)
        .set(
            "TEAMS_LOGIN_URL",
            format!("http://{}", Upstream::refused_addr()),
        )
        .start();

    let answer = proxy.post_message(&teams.channel("alerts"), "hello", &[("wait", "1")]);

    assert_eq!(code(&answer), is(503, "backend-unavailable"));
    assert!(answer.header("retry-after").is_some());
    assert!(
        detail(&answer).contains("login service"),
        "{}",
        detail(&answer)
    );
    assert!(proxy.get("/ready").text().contains("unreachable"));
    assert_eq!(teams.connections(), 0);
}

#[test]
fn a_post_to_a_channel_opens_a_thread_with_exactly_this_request() {
    let teams = Teams::start();
    let (channel, proxy) = (teams.channel("alerts"), setup(&teams).start());

    let answer = proxy.post_message(&channel, "disk is *91%* full", &[]);

    assert_eq!(answer.status, 200);
    let request = &posting(&teams)[0];
    assert_eq!(
        (&*request.method, &*request.target),
        ("POST", "/teams/v3/conversations")
    );
    assert_eq!(
        request.header("authorization"),
        Some(&*format!("Bearer {}", teams.bearer().unwrap()))
    );
    assert_eq!(
        request.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(
        request.json(),
        json!({"isGroup": true, "tenantId": teams.tenant(), "channelData": {"channel": {"id": channel}},
            "activity": {"type": "message", "textFormat": "markdown", "text": "disk is *91%* full"}})
    );
    let posts = teams.posts();
    assert_eq!(
        answer.json()["deliveries"],
        json!([{"backend": "teams", "channel": channel, "status": "delivered", "message_id": posts[0].id}])
    );
}

#[test]
fn a_thread_is_posted_into_by_its_encoded_id() {
    let teams = Teams::start();
    let (channel, proxy) = (teams.channel("alerts"), setup(&teams).start());
    proxy.post_message(&channel, "root", &[]);
    let thread = teams.posts()[0].thread();

    let answer = proxy.post_message(&thread, "reply", &[]);

    assert_eq!(answer.status, 200, "{}", answer.text());
    let (root, reply): (Post, Post) = (teams.posts().remove(0), teams.posts().remove(1));
    assert_eq!((reply.root, reply.channel.as_str()), (root.id, &*channel));
    let request = posting(&teams).remove(1);
    let encoded = thread
        .replace(':', "%3A")
        .replace('@', "%40")
        .replace(';', "%3B")
        .replace('=', "%3D");
    assert_eq!(
        request.target,
        format!("/teams/v3/conversations/{encoded}/activities")
    );
    assert_eq!(
        request.json(),
        json!({"type": "message", "textFormat": "markdown", "text": "reply"})
    );
    let delivery = answer.json()["deliveries"][0].clone();
    assert_eq!(
        (&delivery["channel"], &delivery["message_id"]),
        (&json!(channel), &json!(reply.id))
    );
}

#[test]
fn chats_and_people_are_conversations() {
    let teams = Teams::start();
    let proxy = setup(&teams).start();
    let cases = [
        ("a:1pL6i0oY3C0K8oAi8", "a%3A1pL6i0oY3C0K8oAi8"),
        ("19:3e1b@thread.v2", "19%3A3e1b%40thread.v2"),
        ("19:meeting_Mj@thread.v2", "19%3Ameeting_Mj%40thread.v2"),
    ];

    for (at, (id, encoded)) in cases.into_iter().enumerate() {
        teams.next(Reply::json(201, json!({"id": "1776390257400"})));
        let answer = proxy.post_message(id, "hello", &[]);

        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
        assert_eq!(
            posting(&teams)[at].target,
            format!("/teams/v3/conversations/{encoded}/activities")
        );
        assert_eq!(
            answer.json()["deliveries"][0]["message_id"],
            "1776390257400"
        );
    }
}

#[test]
fn every_success_names_its_message_where_teams_does() {
    let teams = Teams::start();
    let (channel, proxy) = (teams.channel("alerts"), setup(&teams).start());
    let cases = [
        (
            json!({"id": "19:x@thread.tacv2;messageid=12", "activityId": "12"}),
            json!("12"),
        ),
        (json!({"id": "19:x@thread.tacv2;messageid=13"}), json!("13")),
        (json!({"id": "14"}), json!("14")),
    ];

    for (body, id) in cases {
        teams.next(Reply::json(201, body));
        let answer = proxy.post_message(&channel, "hello", &[]);
        assert_eq!(answer.json()["deliveries"][0]["message_id"], id);
    }
    teams.next(Reply::status(202));
    let unnamed = proxy.post_message(&channel, "hello", &[]);
    assert_eq!(unnamed.status, 200);
    assert_eq!(unnamed.json()["deliveries"][0].get("message_id"), None);
}

/// F-16, F-18, reference 2.7.
#[test]
fn every_refusal_of_the_connector_has_its_answer() {
    let teams = Teams::start();
    let (channel, proxy) = (teams.channel("alerts"), setup(&teams).start());
    let rejected = (502, "backend-rejected");
    let unknown = (404, "unknown-channel");
    let cases = [
        (400, "BadArgument", rejected, "channel id"),
        (400, "BadSyntax", rejected, "channel id"),
        (403, "BotNotInConversationRoster", rejected, "not installed"),
        (403, "BotDisabledByAdmin", rejected, "administrator"),
        (403, "ConversationBlockedByUser", rejected, "blocked"),
        (403, "MessageWritesBlocked", rejected, "blocked"),
        (403, "NotEnoughPermissions", rejected, "permissions"),
        (403, "InvalidBotApiHost", rejected, "TEAMS_SERVICE_URL"),
        (403, "SomethingNew", rejected, "installed"),
        (404, "ConversationNotFound", unknown, "id"),
        (404, "ActivityNotFoundInConversation", unknown, "thread"),
        (
            413,
            "MessageSizeTooBig",
            (413, "message-too-long"),
            "shorten",
        ),
        (418, "SomethingElse", rejected, "platform_code"),
    ];

    for (at, (status, platform_code, (want, word), cure)) in cases.into_iter().enumerate() {
        teams.next(Teams::error(status, platform_code));
        let answer = proxy.post_message(&channel, "hello", &[]);

        assert_eq!(code(&answer), is(want, word), "{platform_code}");
        assert_eq!(answer.json()["platform_code"], platform_code);
        assert!(
            detail(&answer).contains(cure),
            "{platform_code}: {}",
            detail(&answer)
        );
        assert_eq!(
            posting(&teams).len(),
            at + 1,
            "{platform_code} was repeated"
        );
    }
    teams.next(Teams::nested_error(403, "MessageWritesBlocked"));
    let nested = proxy.post_message(&channel, "hello", &[]);
    assert_eq!(nested.json()["platform_code"], "MessageWritesBlocked");
    teams.next(Reply::html(403, "<html>a gateway</html>"));
    let page = proxy.post_message(&channel, "hello", &[]);
    assert_eq!(code(&page), is(502, "backend-rejected"));
    assert_eq!(page.json().get("platform_code"), None);
    assert!(teams.posts().is_empty());
    // A channel's trouble is not the backend's.
    assert!(!proxy.get("/ready").text().contains("\"credentials\""));
}

#[test]
fn channels_that_the_bot_is_not_in_or_that_do_not_exist_are_told_apart() {
    let teams = Teams::start();
    let proxy = setup(&teams).start();
    let nowhere = format!("19:{}@thread.tacv2", "x".repeat(22));
    let thread = format!("{};messageid=1", teams.channel("alerts"));

    let elsewhere = proxy.post_message(&teams.channel("elsewhere"), "hello", &[]);
    let unknown = proxy.post_message(&nowhere, "hello", &[]);
    let gone = proxy.post_message(&thread, "hello", &[]);

    assert_eq!(code(&elsewhere), is(502, "backend-rejected"));
    assert_eq!(
        elsewhere.json()["platform_code"],
        "BotNotInConversationRoster"
    );
    assert_eq!(code(&unknown), is(404, "unknown-channel"));
    assert_eq!(code(&gone), is(404, "unknown-channel"));
}

#[test]
fn what_is_no_id_of_teams_is_404_with_where_ids_are_and_asks_nobody() {
    let teams = Teams::start();
    let proxy = setup(&teams).start();

    for target in [
        "general",
        "#alerts",
        "19:abc",
        "29:1abc",
        "19:a@thread.tacv2;messageid=",
        "19:a@thread.tacv2;x=1",
    ] {
        let answer = proxy.post_message(target, "hello", &[]);

        assert_eq!(code(&answer), is(404, "unknown-channel"), "{target}");
        assert!(detail(&answer).contains("Get link to channel"), "{target}");
    }
    assert_eq!(teams.connections(), 0);
}

/// F-14.
#[test]
fn what_the_connector_cannot_do_now_is_tried_again_within_the_wait() {
    let teams = Teams::start();
    let (channel, proxy) = (teams.channel("alerts"), setup(&teams).start());
    let replies = [
        Teams::error(412, "PreconditionFailed"),
        Teams::error(500, "ServiceError"),
        Teams::error(502, "ServiceError"),
        Reply::html(503, "<h2>Our services aren't available right now</h2>"),
        Reply::status(504),
        Reply::status(408),
    ];

    for (at, reply) in replies.into_iter().enumerate() {
        teams.next(reply);
        let answer = proxy.post_message(&channel, "hello again", &[("wait", "30")]);

        assert_eq!(answer.status, 200, "case {at}: {}", answer.text());
        assert_eq!(teams.posts().len(), at + 1, "case {at}");
        assert_eq!(posting(&teams).len(), 2 * (at + 1), "case {at}");
    }
}

/// F-11.
#[test]
fn a_429_is_waited_out_within_the_wait_and_503_beyond_it() {
    let teams = Teams::start();
    let (channel, proxy) = (teams.channel("alerts"), setup(&teams).start());
    teams.rate_limited(1, 1);
    let within = proxy.post_message(&channel, "hello", &[]);
    teams.rate_limited(1, 75);

    let beyond = proxy.post_message(&channel, "hello", &[]);
    let paused = proxy.post_message(&channel, "hello", &[]);
    let other = proxy.post_message(&teams.channel("builds"), "hello", &[]);

    assert_eq!((within.status, other.status), (200, 200));
    assert_eq!(code(&beyond), is(503, "backend-unavailable"));
    assert_eq!(beyond.header("retry-after"), Some("75"));
    assert_eq!(code(&paused), is(503, "backend-unavailable"));
    assert_eq!(posting(&teams).len(), 4);
}

/// F-4, F-9: Teams does not recognise repeats, so what may have been posted is not posted twice.
#[test]
fn an_answer_that_leaves_the_outcome_open_is_503_and_not_repeated() {
    let teams = Teams::start();
    let (channel, proxy) = (teams.channel("alerts"), setup(&teams).start());
    let replies = [
        Reply::html(200, "<html>a portal</html>"),
        Reply::status(200),
        Reply::json(200, json!({"id": ""})),
        Reply::json(200, json!({"id": 7})),
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"id\":"),
        Reply::close_after_request(),
        Reply::reset_after_request(),
        Reply::endless_body(),
    ];

    for (at, reply) in replies.into_iter().enumerate() {
        teams.next(reply);
        let answer = proxy.post_message(&channel, "once at most", &[]);

        assert_eq!(code(&answer), is(503, "backend-unavailable"), "case {at}");
        assert!(
            detail(&answer).contains("may or may not have been posted"),
            "case {at}"
        );
        assert_eq!(posting(&teams).len(), at + 1, "case {at}");
    }
}

/// E3: neither the token nor the secret is carried to where a redirect points.
#[test]
fn redirects_are_never_followed() {
    let (teams, elsewhere) = (Teams::start(), Teams::start());
    let (channel, proxy) = (teams.channel("alerts"), setup(&teams).start());

    for status in [301, 302, 303, 307, 308] {
        teams.next_token(Reply::status(status).header("Location", &elsewhere.url()));
        let login = proxy.post_message(&channel, "hello", &[]);

        assert_eq!(code(&login), is(502, "backend-rejected"), "{status}");
        assert!(detail(&login).contains("TEAMS_LOGIN_URL"), "{status}");
    }
    for status in [301, 302, 303, 307, 308] {
        teams.next(Reply::status(status).header("Location", &elsewhere.service_url()));
        let post = proxy.post_message(&channel, "hello", &[]);

        assert_eq!(code(&post), is(502, "backend-rejected"), "{status}");
        assert!(detail(&post).contains("TEAMS_SERVICE_URL"), "{status}");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn a_long_text_is_posted_in_parts_in_order() {
    let teams = Teams::start();
    // The lower of the published limits, in bytes of UTF-16.
    teams.max_bytes(40 * 1024);
    let channel = teams.channel("alerts");
    let proxy = setup(&teams).set("MAX_URL", "64KiB").start();
    let text: String = (0..2000)
        .map(|n| format!("line-{n:04}-and-some-more\n"))
        .collect();

    let answer = proxy.post_message(&channel, text.trim_end(), &[]);

    assert_eq!(answer.status, 200, "{}", answer.text());
    let posts = teams.posts();
    assert!(posts.len() > 1);
    let delivery = answer.json()["deliveries"][0].clone();
    assert_eq!(delivery["parts"], posts.len());
    assert_eq!(delivery["message_id"], posts[0].id.as_str());
    let pieces: Vec<String> = posts.iter().map(|post| shown(post.text())).collect();
    assert_eq!(pieces.join("\n"), text.trim_end());
}

#[test]
fn more_than_max_parts_is_413_and_nothing_is_posted() {
    let teams = Teams::start();
    let proxy = setup(&teams)
        .set("MAX_URL", "64KiB")
        .set("MAX_PARTS", "1")
        .start();

    let answer = proxy.post_message(&teams.channel("alerts"), &"a".repeat(30_000), &[]);

    assert_eq!(code(&answer), is(413, "message-too-long"));
    assert!(detail(&answer).contains("MAX_PARTS"));
    assert_eq!(teams.connections(), 0);
}

#[test]
fn what_the_connector_finds_too_long_is_413() {
    let teams = Teams::start();
    teams.max_bytes(1000);
    let proxy = setup(&teams).start();

    let answer = proxy.post_message(&teams.channel("alerts"), &"a".repeat(501), &[]);

    assert_eq!(code(&answer), is(413, "message-too-long"));
    assert_eq!(answer.json()["platform_code"], "MessageSizeTooBig");
}

const HOSTILE: &[&str] = &[
    "<at>Alice</at>",
    "<AT id=\"0\">everyone</AT>",
    "<at>General</at> <at>channel</at>",
    "<b>bold</b> <script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "&lt;at&gt;Alice&lt;/at&gt;",
    "&amp;lt;at&amp;gt;",
    "&#60;at&#62;Alice",
    "[good](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "[x]: https://evil.example",
    "`<at>Alice</at>` ```<at>x</at>```",
    "a < b && c > d",
    "C:\\temp\\<at>",
    "{{DATE(2026-01-01T00:00:00Z, SHORT)}}",
    "# heading",
    "{.class}",
];

/// D1, D2: no tag, no entity that hides one, no link whose label lies, and never an `entities` field.
#[test]
fn hostile_texts_show_as_typed_and_notify_nobody() {
    let teams = Teams::start();
    let channel = teams.channel("alerts");
    for mentions in ["none", "all"] {
        let proxy = setup(&teams).set("ALLOW_MENTIONS", mentions).start();
        for text in HOSTILE {
            let answer = proxy.post_message(&channel, text, &[]);

            assert_eq!(answer.status, 200);
            let activity = teams.posts().pop().unwrap().activity;
            let sent = activity["text"].as_str().unwrap();
            let names: Vec<&String> = activity.as_object().unwrap().keys().collect();
            assert_eq!(names, ["text", "textFormat", "type"], "{text}");
            assert!(!has_live_tag(sent), "{text}: {sent}");
            assert!(!sent.contains("]("), "{text}: {sent}");
            assert_eq!(shown(sent), *text);
        }
    }
}

/// A `<` that begins a tag, also when it is hidden in an entity.
fn has_live_tag(text: &str) -> bool {
    let opens =
        |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c));
    text.split('<').skip(1).any(opens)
}

/// D1: plain text says so, and is not touched.
#[test]
fn plain_format_is_sent_as_plain_text() {
    let teams = Teams::start();
    let (channel, proxy) = (teams.channel("alerts"), setup(&teams).start());

    for text in HOSTILE {
        proxy.post_message(&channel, text, &[("format", "plain")]);

        let activity = teams.posts().pop().unwrap().activity;
        assert_eq!(
            activity,
            json!({"type": "message", "textFormat": "plain", "text": text})
        );
    }
}

#[test]
fn title_link_level_and_name_make_a_card_and_no_text_beside_it() {
    let teams = Teams::start();
    let (channel, proxy) = (teams.channel("alerts"), setup(&teams).start());
    let query = [
        ("title", "Build 42"),
        ("link", "https://ci.example/42"),
        ("level", "error"),
        ("as", "CI"),
    ];

    let answer = proxy.post_message(&channel, "2 tests fail\nlook", &query);

    assert_eq!(answer.status, 200);
    // Beside text the service would make two messages and name neither.
    assert!(answer.json()["deliveries"][0]["message_id"].is_string());
    let activity = teams.posts().pop().unwrap().activity;
    assert!(activity.get("text").is_none() && activity.get("entities").is_none());
    assert_eq!(activity["summary"], "Build 42");
    let card = card(&activity);
    assert_eq!(
        (&card["type"], &card["version"]),
        (&json!("AdaptiveCard"), &json!("1.2"))
    );
    assert_eq!(lines(card), ["🚨 Build 42", "CI", "2 tests fail", "look"]);
    assert_eq!(card["body"][0]["style"], "attention");
    assert_eq!(
        card["actions"],
        json!([{"type": "Action.OpenUrl", "title": "Open ci.example", "url": "https://ci.example/42"}])
    );
}

#[test]
fn each_level_has_its_colour_and_emoji() {
    let teams = Teams::start();
    let (channel, proxy) = (teams.channel("alerts"), setup(&teams).start());
    let cases = [
        ("info", "accent", "ℹ️"),
        ("success", "good", "✅"),
        ("warning", "warning", "⚠️"),
        ("error", "attention", "🚨"),
    ];

    for (level, colour, emoji) in cases {
        proxy.post_message(&channel, "message", &[("level", level)]);
        let activity = teams.posts().pop().unwrap().activity;
        let card = card(&activity);

        assert_eq!(card["body"][0]["style"], colour);
        assert_eq!(lines(card), [format!("{emoji} message")]);
    }
}

/// D1, D2: a card's runs know no Markdown, so texts are as typed; nothing of a caller's becomes an element.
#[test]
fn hostile_texts_stay_text_in_cards() {
    let teams = Teams::start();
    let (channel, proxy) = (teams.channel("alerts"), setup(&teams).start());

    for text in HOSTILE {
        let query = [
            ("title", *text),
            ("as", text),
            ("level", "info"),
            ("format", "plain"),
        ];
        proxy.post_message(&channel, text, &query);

        let activity = teams.posts().pop().unwrap().activity;
        let lines: Vec<String> = lines(card(&activity))
            .iter()
            .map(|line| line.replace('\u{200B}', ""))
            .collect();
        assert_eq!(
            lines,
            [format!("ℹ️ {text}"), (*text).to_owned(), (*text).to_owned()]
        );
        assert!(activity.get("entities").is_none());
        assert!(card(&activity).get("actions").is_none());
        assert!(
            !has_live_tag(activity["summary"].as_str().unwrap()),
            "{activity}"
        );
        assert!(!card(&activity).to_string().contains("{{"), "{activity}");
    }
}

fn flow(teams: &Teams) -> Setup {
    let channels = format!("flow=teams+{}", teams.workflow_url());
    Proxy::setup().without_limits().set("CHANNELS", channels)
}

#[test]
fn a_flow_gets_the_envelope_and_its_receipt_shows_the_alias() {
    let teams = Teams::start();
    let proxy = flow(&teams).start();

    let answer = proxy.post_message("flow", "hello", &[("title", "Build 42")]);

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.json()["deliveries"],
        json!([{"backend": "teams", "channel": "flow", "status": "delivered"}])
    );
    let run = teams.flow_runs().remove(0);
    assert_eq!(run.lost, None);
    let names: Vec<&String> = run.body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["attachments", "type"]);
    assert_eq!(run.body["attachments"][0]["contentUrl"], Value::Null);
    assert_eq!(lines(card(&run.body)), ["Build 42", "hello"]);
    // The URL is opaque: byte for byte, and no credential beside it.
    let request = &teams.requests()[0];
    assert_eq!(
        format!("{}{}", teams.url(), request.target),
        teams.workflow_url()
    );
    assert_eq!(request.header("authorization"), None);
    assert_eq!(teams.token_fetches(), 0);
}

/// Section 3.2: a flow answers 202 and fails later where nobody sees it, so nothing may reach it that it would lose.
#[test]
fn no_text_is_lost_inside_a_flow() {
    let teams = Teams::start();
    let proxy = flow(&teams)
        .set("MAX_URL", "64KiB")
        .set("MAX_PARTS", "20")
        .start();
    let long = [
        "a".repeat(20_000),
        "a".repeat(40_000),
        "é\n".repeat(3_000),
        "\"\\".repeat(5_000),
        "🚨 ".repeat(4_000),
        "**b** `c` ".repeat(2_000),
        "```\n<x>\n```\n".repeat(500),
    ];
    let texts = HOSTILE
        .iter()
        .copied()
        .chain(long.iter().map(String::as_str));

    for text in texts {
        let answer = proxy.post_message("flow", text, &[("level", "warning"), ("title", "T")]);

        let start: String = text.chars().take(20).collect();
        assert_eq!(answer.status, 200, "{start}: {}", answer.text());
        for run in teams.flow_runs() {
            assert_eq!(run.lost, None, "{start}");
        }
    }
    assert!(teams.flow_runs().len() > HOSTILE.len() + long.len());
}

#[test]
fn a_flows_refusals_keep_their_meaning() {
    let teams = Teams::start();
    let proxy = flow(&teams).start();
    let cases = [
        (
            400,
            "InvalidRequestContent",
            (502, "backend-rejected"),
            "When a Teams webhook",
        ),
        (
            401,
            "DirectApiAuthorizationRequired",
            (502, "backend-rejected"),
            "signature",
        ),
        (
            403,
            "AuthorizationFailed",
            (502, "backend-rejected"),
            "signature",
        ),
        (
            404,
            "WorkflowNotFound",
            (404, "unknown-channel"),
            "switched off",
        ),
        (410, "Gone", (404, "unknown-channel"), "switched off"),
        (
            413,
            "RequestEntityTooLarge",
            (413, "message-too-long"),
            "shorten",
        ),
        (307, "Moved", (502, "backend-rejected"), "CHANNELS"),
    ];

    for (at, (status, platform_code, (want, word), cure)) in cases.into_iter().enumerate() {
        teams.next(Teams::error(status, platform_code));
        let answer = proxy.post_message("flow", "hello", &[]);

        assert_eq!(code(&answer), is(want, word), "{status}");
        assert!(
            detail(&answer).contains(cure),
            "{status}: {}",
            detail(&answer)
        );
        assert!(!answer.text().contains("/workflows/"), "{status}");
        assert_eq!(teams.requests().len(), at + 1);
    }
    // A flow's signature is its own; the bot's credentials are not in question.
    assert!(!proxy.get("/ready").text().contains("credentials"));
}

#[test]
fn a_flow_that_cannot_now_is_tried_again() {
    let teams = Teams::start();
    let proxy = flow(&teams).start();
    teams.rate_limited(1, 1);

    let limited = proxy.post_message("flow", "hello", &[]);
    teams.next(Reply::status(502));
    let broken = proxy.post_message("flow", "hello", &[]);

    assert_eq!((limited.status, broken.status), (200, 200));
    assert_eq!(teams.flow_runs().len(), 2);
}

#[test]
fn a_page_is_no_flows_answer() {
    let teams = Teams::start();
    let proxy = flow(&teams).start();
    teams.next(Reply::html(200, "<html>a portal</html>"));

    let answer = proxy.post_message("flow", "hello", &[]);

    assert_eq!(code(&answer), is(503, "backend-unavailable"));
    assert_eq!(teams.requests().len(), 1);
}

/// E2: the bot's token goes to exactly the known hosts; look-alikes stop the start, before anything is asked.
#[test]
fn a_service_url_that_is_not_trusted_stops_the_start() {
    let teams = Teams::start();
    let urls = [
        "https://smba.trafficmanager.net.evil.test/teams",
        "https://evilsmba.trafficmanager.net/teams",
        "https://smba.trafficmanager.net@evil.test/teams",
        "https://smba.trafficmanager.net:8443/teams",
        "https://smba.trafficmanager.net./teams",
        "https://smba。trafficmanager。net/teams",
        "http://smba.trafficmanager.net/teams",
        "https://169.254.169.254/teams",
        "https://evil.test/smba.trafficmanager.net",
        "https://gate.example.test:9443/teams",
        "https://sub.gate.example.test/teams",
        "ftp://gate.example.test/teams",
        "https://gate.example.test/teams?x=1",
        "gate.example.test",
    ];

    for url in urls {
        let refused = setup(&teams)
            .set("TEAMS_TRUSTED_SERVICE_HOSTS", "gate.example.test")
            .set("TEAMS_SERVICE_URL", url)
            .run();

        assert_eq!(refused.code, 78, "{url}");
        assert!(
            refused.stderr.contains("TEAMS_SERVICE_URL"),
            "{url}: {}",
            refused.stderr
        );
    }
    assert_eq!(teams.connections(), 0);
}

#[test]
fn known_and_listed_service_hosts_let_it_start() {
    let teams = Teams::start();
    let urls = [
        "https://smba.trafficmanager.net/teams/",
        "https://smba.infra.gcc.teams.microsoft.com/teams",
        "https://gate.example.test/teams",
        "https://gate.example.test:443/teams",
        "https://other.example.test:9443/teams",
    ];

    for url in urls {
        let proxy = setup(&teams)
            .set(
                "TEAMS_TRUSTED_SERVICE_HOSTS",
                "gate.example.test, other.example.test:9443",
            )
            .set("TEAMS_SERVICE_URL", url)
            .start();

        assert_eq!(proxy.get("/health").status, 200, "{url}");
    }
    assert_eq!(teams.connections(), 0);
}

/// Every fault at once, and none shows a value.
#[test]
fn faults_of_the_bot_stop_the_start_all_at_once() {
    let refused = Proxy::setup()
        .set("TEAMS_APP_ID", "no guid")
        .set("TEAMS_APP_PASSWORD", "two words-canary")
        .set("TEAMS_TENANT_ID", "contoso")
        .set("TEAMS_SERVICE_URL", "http://evil.test")
        .set("TEAMS_LOGIN_URL", "http://login.evil.test")
        .set("TEAMS_TRUSTED_SERVICE_HOSTS", "*.evil.test")
        .run();
    let alone = Proxy::refused(&[("TEAMS_APP_PASSWORD", "only-a-password")]);

    assert_eq!((refused.code, alone.code), (78, 78));
    for name in [
        "TEAMS_APP_ID",
        "TEAMS_APP_PASSWORD",
        "TEAMS_TENANT_ID",
        "TEAMS_SERVICE_URL",
        "TEAMS_LOGIN_URL",
        "TEAMS_TRUSTED_SERVICE_HOSTS",
    ] {
        let about = |line: &&str| line.contains(name);
        assert!(
            refused.stderr.lines().any(|line| about(&line)),
            "{name}: {}",
            refused.stderr
        );
    }
    assert!(alone.stderr.contains("TEAMS_APP_ID") && alone.stderr.contains("TEAMS_TENANT_ID"));
}

#[test]
fn a_retired_connector_url_stops_the_start_and_says_what_to_use() {
    let refused = Proxy::refused(&[(
        "CHANNELS",
        "old=teams+https://x.webhook.office.com/webhookb2/canary-connector/IncomingWebhook/c/d",
    )]);

    assert_eq!(refused.code, 78);
    assert!(refused.stderr.contains("Workflows"), "{}", refused.stderr);
}

/// E7, G1: what the platform echoes is not repeated to anybody, in answers or in the log.
#[test]
fn an_answer_that_echoes_the_token_gives_nothing_away() {
    let teams = Teams::start();
    let (channel, proxy) = (teams.channel("alerts"), setup(&teams).start());
    proxy.post_message(&channel, "fetches the token", &[]);
    let bearer = teams.bearer().unwrap();
    proxy.add_canary(&bearer);
    let replies = [
        Teams::error(403, &bearer),
        Teams::nested_error(400, &bearer),
        Reply::json(201, json!({"id": bearer})),
        Reply::json(
            400,
            json!({"error": {"code": "BadArgument", "message": format!("Authorization: Bearer {bearer}")}}),
        ),
        Reply::html(403, &format!("<html>{bearer}</html>")),
    ];

    for (at, reply) in replies.into_iter().enumerate() {
        teams.next(reply);
        let answer = proxy.post_message(&channel, "hello", &[]);

        assert!(
            !answer.text().contains(&bearer),
            "case {at}: {}",
            answer.text()
        );
    }
}
