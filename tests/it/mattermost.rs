//! Contract 1.2 to 1.4, 1.7 and 5 on Mattermost: a bot and incoming webhooks, end to end against the fake server.
//! Section numbers are those of the protocol reference `mattermost.md`.

use serde_json::{Value, json};

use crate::support::mattermost::{Access, MAX_POST_CHARS};
use crate::support::proxy::Setup;
use crate::support::upstream::Request;
use crate::support::{Gate, Mattermost, Proxy, Reply, Response, canary, message_path, unique};

/// Quotes, a newline, emoji, `#`, a percent sign, what looks like an escape, and slashes in a row.
const TEXT: &str = "He said \"100% done\"\n#42 🎉 ünïcode %20 a//b/ + c";

/// Options of a post.
type Query<'a> = &'a [(&'a str, &'a str)];

/// A proxy for one server, with nothing in the way of a table of cases.
fn setup(fake: &Mattermost) -> Setup {
    unlimited().with(fake)
}

fn unlimited() -> Setup {
    [
        "RATE_LIMIT_CALLER",
        "RATE_LIMIT_CHANNEL",
        "RATE_LIMIT_GLOBAL",
    ]
    .into_iter()
    .fold(Proxy::setup(), |setup, name| setup.set(name, "off"))
}

/// Only the webhook, under the alias `alerts`.
fn hook_setup(fake: &Mattermost) -> Setup {
    unlimited().set("CHANNELS", format!("alerts=mattermost+{}", fake.hook_url()))
}

fn posted(fake: &Mattermost) -> Vec<Request> {
    let is_post = |request: &Request| request.method == "POST";
    fake.requests().into_iter().filter(is_post).collect()
}

fn messages(fake: &Mattermost) -> Vec<String> {
    fake.posts().into_iter().map(|post| post.message).collect()
}

fn pending_ids(fake: &Mattermost) -> Vec<String> {
    let id = |request: Request| {
        request.json()["pending_post_id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    posted(fake).into_iter().map(id).collect()
}

#[track_caller]
fn assert_delivered(answer: &Response) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let receipt = answer.json();
    assert_eq!(receipt["status"], "delivered");
    receipt
}

/// What every problem has, and what this one has to say.
#[track_caller]
fn assert_problem(answer: &Response, status: u16, code: &str, cure: &str) -> Value {
    let problem = answer.json();
    assert_eq!(
        (answer.status, &problem["code"]),
        (status, &json!(code)),
        "{problem}"
    );
    assert_eq!(
        answer.header("Content-Type"),
        Some("application/problem+json")
    );
    assert_eq!(problem["status"], status);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(cure), "{detail:?} does not say {cure:?}");
    problem
}

#[track_caller]
fn assert_unavailable(answer: &Response) -> u64 {
    assert_problem(answer, 503, "backend-unavailable", "");
    let seconds = answer
        .header("Retry-After")
        .expect("Retry-After")
        .parse()
        .unwrap();
    assert!(seconds >= 1);
    seconds
}

#[track_caller]
fn assert_hides(answer: &Response, secret: &str) {
    let fields = answer
        .headers
        .0
        .iter()
        .map(|(name, value)| format!("{name}: {value}\n"));
    let whole = fields.collect::<String>() + &String::from_utf8_lossy(&answer.body);
    assert_eq!(canary::find(&[secret.to_owned()], &whole), None);
}

#[test]
fn a_post_by_id_is_one_request_and_its_receipt_names_the_post() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();
    let channel = fake.channel("builds");

    let answer = proxy.post_message(&channel, TEXT, &[]);

    let receipt = assert_delivered(&answer);
    let post = &fake.posts()[0];
    assert_eq!((post.message.as_str(), &post.channel_id), (TEXT, &channel));
    assert_eq!(post.props["attachments"], Value::Null);
    assert_eq!(
        receipt["deliveries"],
        json!([{"backend": "mattermost", "channel": channel, "status": "delivered", "message_id": post.id,
            "link": format!("{}/_redirect/pl/{}", fake.url(), post.id)}])
    );
    assert_eq!(
        receipt["id"].as_str().unwrap().chars().nth(14),
        Some('7'),
        "UUIDv7"
    );
    let requests = fake.requests();
    assert_eq!(requests.len(), 1, "an id never needs a look-up");
    assert_eq!(requests[0].target, "/api/v4/posts");
    assert_eq!(
        requests[0].header("Authorization"),
        Some(format!("Bearer {}", fake.token()).as_str())
    );
    assert_eq!(requests[0].header("Cookie"), None);
    assert_hides(&answer, &fake.token());
}

#[test]
fn a_name_is_looked_up_once_and_the_receipt_has_the_id() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();
    let look_ups = || {
        fake.requests()
            .iter()
            .filter(|request| request.method == "GET")
            .count()
    };

    for channel in ["acme/builds", "mattermost:acme/builds", "acme/builds"] {
        let receipt = assert_delivered(&proxy.post_message(channel, TEXT, &[]));
        assert_eq!(
            receipt["deliveries"][0]["channel"],
            fake.channel("builds").as_str()
        );
    }

    assert_eq!((look_ups(), fake.posts().len()), (1, 3));
    assert_eq!(
        fake.requests()[0].target,
        "/api/v4/teams/name/acme/channels/name/builds"
    );
}

#[test]
fn a_burst_to_a_new_name_asks_once() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();

    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_delivered(&proxy.post_message("acme/deploys", TEXT, &[])));
        }
    });

    let look_ups = fake
        .requests()
        .iter()
        .filter(|request| request.method == "GET")
        .count();
    assert_eq!((look_ups, fake.posts().len()), (1, 8));
}

/// A channel that did not exist, or was closed to the bot, may be put right: only what was found is kept long.
#[test]
fn a_look_up_that_the_server_could_not_answer_is_not_remembered() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();
    fake.next_other(Mattermost::bad_gateway());

    let answer = proxy.post_message("acme/builds", TEXT, &[]);

    assert_delivered(&answer);
    let look_ups = fake.requests().into_iter().filter(|r| r.method == "GET");
    assert_eq!(look_ups.count(), 2);
}

/// F-16, F-18: what is refused for good is asked once, and the detail names the cure.
#[test]
fn a_channel_that_cannot_be_posted_to_is_told_with_its_cure() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();
    let permissions = "api.context.permissions.app_error";
    let archived = "api.post.create_post.can_not_post_to_deleted.error";
    let no_channel = "app.channel.get_by_name.missing.app_error";
    let cases = [
        (
            unique("", 26),
            404,
            "unknown-channel",
            "app.channel.get.existing.app_error",
            "View Info",
        ),
        (
            "acme/nowhere".to_owned(),
            404,
            "unknown-channel",
            no_channel,
            "check the name",
        ),
        (
            "nobody/builds".to_owned(),
            404,
            "unknown-channel",
            "app.team.get_by_name.missing.app_error",
            "team/channel-name",
        ),
        // Private ones that the bot is not in, and archived ones, are hidden from look-ups (section 10).
        (
            "acme/secret".to_owned(),
            404,
            "unknown-channel",
            no_channel,
            "invited",
        ),
        (
            "acme/old".to_owned(),
            404,
            "unknown-channel",
            no_channel,
            "restored",
        ),
        (
            fake.channel("open"),
            502,
            "backend-rejected",
            permissions,
            "/invite",
        ),
        (
            "acme/open".to_owned(),
            502,
            "backend-rejected",
            permissions,
            "/invite",
        ),
        (
            fake.channel("secret"),
            502,
            "backend-rejected",
            permissions,
            "/invite",
        ),
        (
            fake.channel("old"),
            502,
            "backend-rejected",
            archived,
            "restore",
        ),
        // Another platform's id, an upper-cased one, and what can be neither id nor name.
        (
            "C0123ABCD".to_owned(),
            404,
            "unknown-channel",
            "",
            "team/channel-name",
        ),
        (
            fake.channel("builds").to_uppercase(),
            404,
            "unknown-channel",
            "",
            "team/channel-name",
        ),
        (
            "19:abc@thread.tacv2".to_owned(),
            404,
            "unknown-channel",
            "",
            "team/channel-name",
        ),
        (
            "../../users/me".to_owned(),
            404,
            "unknown-channel",
            "",
            "team/channel-name",
        ),
    ];

    for (channel, status, code, platform_code, cure) in cases {
        let before = posted(&fake).len();

        let answer = proxy.post_message(&channel, TEXT, &[]);

        let problem = assert_problem(&answer, status, code, cure);
        let expected = if platform_code.is_empty() {
            Value::Null
        } else {
            platform_code.into()
        };
        assert_eq!(problem["platform_code"], expected, "{channel}");
        assert_eq!(problem["type"], format!("/problems#{code}"));
        assert_eq!(answer.header("Retry-After"), None, "{channel}");
        assert!(
            posted(&fake).len() - before <= 1,
            "{channel} was tried again"
        );
        assert_hides(&answer, &fake.token());
    }
    assert_eq!(messages(&fake), [""; 0]);
}

#[test]
fn a_team_that_the_bot_is_not_in_is_told_with_its_cure() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();
    fake.next_other(Mattermost::error(403, "api.context.permissions.app_error"));

    let answer = proxy.post_message("foreign/builds", TEXT, &[]);

    let problem = assert_problem(&answer, 502, "backend-rejected", "add it to the team");
    assert_eq!(
        problem["platform_code"],
        "api.context.permissions.app_error"
    );
}

/// F-17: a caller still waiting gets 502, and the detail names the variable.
#[test]
fn a_revoked_token_is_refused_for_good_and_works_again_with_the_next() {
    let fake = Mattermost::start();
    let old = fake.token();
    let proxy = setup(&fake).start();
    fake.replace_token();

    for channel in [fake.channel("builds"), "acme/builds".to_owned()] {
        let answer = proxy.post_message(&channel, TEXT, &[]);

        let problem = assert_problem(&answer, 502, "backend-rejected", "MATTERMOST_TOKEN");
        assert_eq!(
            problem["platform_code"],
            "api.context.session_expired.app_error"
        );
        assert_hides(&answer, &old);
    }
    let restarted = setup(&fake).start();
    assert_delivered(&restarted.post_message(&fake.channel("builds"), TEXT, &[]));
}

#[test]
fn a_heading_is_an_attachment_and_plain_text_is_not() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();
    let channel = fake.channel("builds");
    let link = "https://ci.example.com/42?a=1";
    let heading: [(Query<'_>, [&str; 3]); 7] = [
        (&[("title", "Nightly broke")], ["Nightly broke", "", ""]),
        (
            &[("title", "Nightly broke"), ("link", link)],
            ["Nightly broke", link, ""],
        ),
        (&[("link", link)], [link, link, ""]),
        (&[("level", "info")], ["", "", "#2389d7"]),
        (&[("level", "success")], ["", "", "good"]),
        (&[("level", "warning")], ["", "", "warning"]),
        (
            &[("level", "error"), ("title", "Nightly broke")],
            ["Nightly broke", "", "danger"],
        ),
    ];

    for (query, [title, title_link, color]) in heading {
        assert_delivered(&proxy.post_message(&channel, TEXT, query));

        let post = fake.posts().pop().unwrap();
        let shown = &post.props["attachments"][0];
        assert_eq!(post.message, "");
        assert_eq!(
            [
                &shown["text"],
                &shown["title"],
                &shown["title_link"],
                &shown["color"]
            ],
            [TEXT, title, title_link, color],
            "{query:?}"
        );
        // Push notifications show the fallback alone.
        assert_ne!(shown["fallback"], "", "{query:?}");
    }
    assert_delivered(&proxy.post_message(&channel, TEXT, &[("as", "deploy bot")]));
    let named = fake.posts().pop().unwrap();
    assert_eq!(
        (named.message.as_str(), &named.props["attachments"]),
        (TEXT, &Value::Null)
    );
    assert_eq!(named.props["override_username"], "deploy bot");
    assert_eq!(named.props["from_webhook"], "true");
}

/// Contract 1.3: `dry` shows the exact JSON each platform would get, without credentials, and posts nothing.
#[test]
fn a_dry_run_shows_byte_for_byte_what_is_sent() {
    let fake = Mattermost::start();
    let channels = format!("alerts=mattermost+{}", fake.hook_url());
    let proxy = setup(&fake)
        .set("CHANNELS", channels)
        .set("MAX_URL", "64KiB")
        .start();
    let channel = fake.channel("builds");
    let long = "word ".repeat(5_000);
    let dressed = [
        ("title", "Nightly \"broke\""),
        ("link", "https://ci.example.com/1"),
        ("level", "error"),
        ("as", "CI"),
    ];
    let cases: [(&str, &str, Query<'_>); 7] = [
        (&channel, TEXT, &[]),
        (
            &channel,
            "@all <!channel> &#64;here *b*",
            &[("format", "plain")],
        ),
        (&channel, TEXT, &dressed),
        (&channel, &long, &[]),
        (&channel, &long, &dressed),
        ("alerts", "@all <!channel> <https://a|b>", &[]),
        ("alerts", &long, &dressed),
    ];

    for (to, text, query) in cases {
        let before = fake.requests().len();

        let dry = proxy.post_message(to, text, &[query, &[("dry", "1")]].concat());
        assert_eq!(fake.requests().len(), before, "a dry run asked the server");
        let sent = assert_delivered(&proxy.post_message(to, text, query));

        let shown = dry.json();
        assert_eq!((dry.status, &shown["message"]), (200, &json!(text)));
        assert_eq!(shown["deliveries"][0]["status"], "dry");
        let bodies: Vec<String> = posted(&fake)[before..].iter().map(Request::text).collect();
        let (own, later) = (shown["id"].as_str().unwrap(), sent["id"].as_str().unwrap());
        let expected = format!("\"requests\":[{}]", bodies.join(","));
        assert!(
            dry.text().replace(own, later).contains(&expected),
            "{query:?}"
        );
        assert_hides(&dry, &fake.token());
        assert_hides(&dry, fake.hook_url().rsplit('/').next().unwrap());
    }
}

#[test]
fn a_dry_run_looks_names_up() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();

    let found = proxy.post_message("acme/builds", TEXT, &[("dry", "1")]);
    let unknown = proxy.post_message("acme/nowhere", TEXT, &[("dry", "1")]);

    assert_eq!(
        found.json()["deliveries"][0]["channel"],
        fake.channel("builds").as_str()
    );
    assert_problem(&unknown, 404, "unknown-channel", "check the name");
    assert_eq!(posted(&fake).len(), 0);
}

/// Contract 1.4: split in order, up to `MAX_PARTS`; beyond that 413, and nothing is posted.
#[test]
fn a_long_message_is_split_in_order_up_to_max_parts() {
    let fake = Mattermost::start();
    let proxy = setup(&fake)
        .set("MAX_PARTS", "3")
        .set("MAX_URL", "64KiB")
        .start();
    let channel = fake.channel("builds");
    let lines: String = (0..4_500).map(|n| format!("line-{n:04}\n")).collect();
    let post = |text: &str| {
        proxy.post(format!(
            "/post/channel/{channel}/msg/{}",
            text.replace('\n', "%0A")
        ))
    };

    let answer = post(&lines[..4_000 * 10]);

    let receipt = assert_delivered(&answer);
    let parts = messages(&fake);
    assert_eq!(
        (parts.len(), &receipt["deliveries"][0]["parts"]),
        (3, &json!(3))
    );
    assert_eq!(parts.concat(), lines[..4_000 * 10]);
    for part in &parts {
        assert!(part.chars().count() <= MAX_POST_CHARS);
        assert!(
            part.starts_with("line-") && part.ends_with('\n'),
            "cut inside a line"
        );
    }
    assert_eq!(
        receipt["deliveries"][0]["message_id"],
        fake.posts()[0].id.as_str()
    );

    let letters = |n: usize| post(&"x".repeat(n));
    assert_delivered(&letters(3 * MAX_POST_CHARS));
    assert_eq!(fake.posts().len(), 6);
    let refused = letters(3 * MAX_POST_CHARS + 1);
    assert_problem(&refused, 413, "message-too-long", "MAX_PARTS");
    assert_eq!(
        fake.posts().len(),
        6,
        "a part of a refused message was posted"
    );
}

/// What makes text safe counts as well: five parts are the default, in characters as sent.
#[test]
fn five_parts_are_the_default_and_escapes_count() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).set("MAX_URL", "64KiB").start();
    let channel = fake.channel("builds");
    let stars = |n: usize| {
        proxy.post(format!(
            "/post/channel/{channel}/msg/{}?format=plain",
            "*".repeat(n)
        ))
    };

    let most = assert_delivered(&stars(5 * 8_190));
    let refused = stars(5 * 8_192);

    assert_eq!(most["deliveries"][0]["parts"], 5);
    assert_eq!(messages(&fake).concat(), "\\*".repeat(5 * 8_190));
    assert_problem(&refused, 413, "message-too-long", "MAX_PARTS");
    assert_eq!(fake.posts().len(), 5);
}

#[test]
fn a_part_that_fails_and_is_tried_again_keeps_its_place() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();
    let through = Gate::new();
    through.open();
    let text = format!("{} {}", "a".repeat(16_000), "b".repeat(10_000));
    fake.next(Mattermost::bad_gateway());
    fake.hold_next(&through);
    fake.next(Mattermost::bad_gateway());

    assert_delivered(&proxy.post_message(&fake.channel("builds"), &text, &[]));

    assert_eq!(messages(&fake).concat(), text);
    let ids = pending_ids(&fake);
    assert_eq!((&ids[0], &ids[2]), (&ids[1], &ids[3]));
    assert_ne!(ids[0], ids[2], "two parts with one id would be one post");
}

#[test]
fn a_message_that_breaks_off_says_how_much_of_it_is_there() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();
    let through = Gate::new();
    through.open();
    fake.hold_next(&through);
    fake.next(Mattermost::error(400, "model.post.is_valid.type.app_error"));

    let answer = proxy.post_message(&fake.channel("builds"), &"a".repeat(40_000 / 2), &[]);

    assert_problem(&answer, 502, "backend-rejected", "1 of 2 parts were posted");
    assert_eq!(fake.posts().len(), 1);
}

/// The mentions of a text as section 9 says the server finds them, in lower case; in doubt it finds one.
fn live(text: &str) -> Vec<String> {
    let mut decoded = text.to_owned();
    for entity in ["&#64;", "&#064;", "&#x40;", "&#X40;", "&commat;"] {
        decoded = decoded.replace(entity, "@");
    }
    let text: Vec<char> = decoded.chars().collect();
    let starts = |at: usize| text[at] == '@' && !(at > 0 && text[at - 1].is_ascii_alphanumeric());
    let name = |at: usize| {
        text[at + 1..]
            .iter()
            .take_while(|c| c.is_alphanumeric() || ".-_".contains(**c))
    };
    let found = (0..text.len()).filter(|at| starts(*at));
    found
        .map(|at| name(at).collect::<String>().to_lowercase())
        .filter(|name| !name.is_empty())
        .collect()
}

/// What people read: the joiner that ends a mention is invisible.
fn seen(text: &str) -> String {
    text.replace('\u{2060}', "")
}

/// D1, contract 1.7: mentions show as typed and notify nobody.
#[test]
fn mentions_are_shown_and_notify_nobody() {
    let fake = Mattermost::start();
    let channels = format!("alerts=mattermost+{}", fake.hook_url());
    let proxy = setup(&fake).set("CHANNELS", channels).start();
    let channel = fake.channel("builds");
    let hostile = [
        "@all",
        "@channel and @here",
        "@ALL",
        "ping @alice.",
        "(@all)",
        "**@all**",
        "\\@all",
        "[@alice](https://x)",
        "&#64;all",
        "&#x40;all",
        "&#064;channel",
        "&commat;here",
        "foo.@all",
        "foo-@all",
        "का@all",
        "é@all",
        "/@all",
        "a\n@all",
        "`@all",
        "```\n@here\n```",
        "@all\u{200B}",
        "\u{200B}@all",
        "&#64;&commat;&#x40;all",
    ];

    for text in hostile {
        for to in [&channel, "alerts"] {
            for query in [
                &[][..],
                &[("title", text), ("as", text), ("level", "error")],
            ] {
                assert_delivered(&proxy.post_message(to, text, query));

                let body = posted(&fake).pop().unwrap().json();
                let boxed = body
                    .pointer("/props/attachments/0")
                    .or(body.pointer("/attachments/0"));
                let plain = body["message"]
                    .as_str()
                    .or(body["text"].as_str())
                    .unwrap_or_default();
                let text_sent = boxed.map_or(plain, |shown| shown["text"].as_str().unwrap());
                assert_eq!(seen(text_sent), seen(text));
                let all = body.to_string().replace("\\n", "\n");
                assert_eq!(live(&all), [""; 0], "{text:?} to {to}: {all}");
            }
        }
    }
}

/// D1, D2, section 12: the server rewrites Slack's syntax in what webhooks bring.
#[test]
fn slack_syntax_is_text_on_a_webhook_and_untouched_on_the_posts_route() {
    let fake = Mattermost::start();
    let channels = format!("alerts=mattermost+{}", fake.hook_url());
    let proxy = setup(&fake).set("CHANNELS", channels).start();
    let user = unique("", 26);
    let mention = format!("<@{user}>");
    let harmless = [
        "<!channel>",
        "<!here>",
        "<!all>",
        "a <!channel> b",
        "<https://evil.example|https://good.example>",
    ];

    for text in harmless.into_iter().chain([mention.as_str()]) {
        assert_delivered(&proxy.post_message("alerts", text, &[]));
        let sent = fake.posts().pop().unwrap().message;
        assert!(
            ["<!channel>", "<!here>", "<!all>", &mention, "<https"]
                .iter()
                .all(|live| !sent.contains(live)),
            "{sent}"
        );
        assert_eq!(seen(&sent).replace("&lt;", "<"), text);
    }
    for text in harmless {
        assert_delivered(&proxy.post_message(&fake.channel("builds"), text, &[]));
        assert_eq!(fake.posts().pop().unwrap().message, text);
    }
}

#[test]
fn allow_mentions_lets_the_listed_names_through() {
    let fake = Mattermost::start();
    let text = "@here @Alice! @alice.bob @channel @all &#64;here";
    for (allowed, live_names) in [
        ("none", &[][..]),
        ("here,alice", &["here", "alice"]),
        (
            "all",
            &["here", "alice", "alice.bob", "channel", "all", "here"],
        ),
    ] {
        let proxy = setup(&fake).set("ALLOW_MENTIONS", allowed).start();

        assert_delivered(&proxy.post_message(&fake.channel("builds"), text, &[]));

        let sent = fake.posts().pop().unwrap().message;
        assert_eq!(live(&sent), live_names, "{allowed}: {sent}");
        assert_eq!(seen(&sent), text);
    }
}

#[test]
fn allow_mentions_holds_on_webhooks() {
    let fake = Mattermost::start();
    for (allowed, sent) in [
        ("none", "<\u{2060}!channel> @\u{2060}all"),
        ("all", "<!channel> @all"),
    ] {
        let proxy = hook_setup(&fake).set("ALLOW_MENTIONS", allowed).start();

        assert_delivered(&proxy.post_message("alerts", "<!channel> @all", &[]));

        assert_eq!(fake.posts().pop().unwrap().message, sent, "{allowed}");
    }
}

/// Contract 1.7: light formatting stays live, and shows as typed with `format=plain`.
#[test]
fn formatting_is_live_unless_plain() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();
    let channel = fake.channel("builds");

    for text in [
        "*bold* _i_ ~~s~~ `code` [a](https://b.example) # h",
        "# heading",
        "- item",
        "> quote",
        "a\n    code",
    ] {
        assert_delivered(&proxy.post_message(&channel, text, &[]));
        assert_eq!(fake.posts().pop().unwrap().message, text);

        assert_delivered(&proxy.post_message(&channel, text, &[("format", "plain")]));
        let sent = fake.posts().pop().unwrap().message;
        let mut bare = sent.clone();
        for special in "\\`*_{}[]()#+-.!|~><:".chars() {
            bare = bare.replace(&format!("\\{special}"), "");
            assert!(
                !bare.contains(special) || special == '\\',
                "{special} is live in {sent:?}"
            );
        }
        assert_eq!(seen(&sent).replace('\\', ""), text);
        assert!(
            sent.lines().all(|line| !line.starts_with(' ')),
            "a code block: {sent:?}"
        );
    }
}

/// Contract 5, section 17: the first proxy's variables, with the full URL of its posts.
#[test]
fn the_older_names_and_every_form_of_the_url_are_understood() {
    let fake = Mattermost::start();
    for (url, token, path) in [
        ("MM_URL", "MM_PROXY_TOKEN", "/api/v4/posts"),
        ("MM_URL", "MM_PROXY_TOKEN", ""),
        ("MM_URL", "MATTERMOST_TOKEN", "/"),
        ("MATTERMOST_URL", "MM_PROXY_TOKEN", "/api/v4/posts"),
        ("MATTERMOST_URL", "MATTERMOST_TOKEN", "/"),
    ] {
        let proxy = unlimited()
            .set(url, format!("{}{path}", fake.url()))
            .set(token, fake.token())
            .set("MM_PROXY_USERNAME", "old hand")
            .start();

        assert_delivered(&proxy.post_message(&fake.channel("builds"), TEXT, &[]));
        assert_delivered(&proxy.post_message("acme/builds", TEXT, &[("as", "new hand")]));

        let names = fake
            .posts()
            .into_iter()
            .rev()
            .take(2)
            .map(|post| post.props["override_username"].clone());
        assert_eq!(
            names.collect::<Vec<_>>(),
            ["new hand", "old hand"],
            "{url} {path}"
        );
        assert!(
            posted(&fake)
                .iter()
                .all(|request| request.target == "/api/v4/posts")
        );
    }
}

#[test]
fn a_secret_may_stand_in_a_file() {
    let fake = Mattermost::start();
    let path = format!("{}/{}", env!("CARGO_TARGET_TMPDIR"), unique("token-", 8));
    std::fs::write(&path, format!("{}\n", fake.token())).unwrap();

    let proxy = unlimited()
        .set("MATTERMOST_URL", fake.url())
        .set("MATTERMOST_TOKEN_FILE", &path)
        .start();

    assert_delivered(&proxy.post_message(&fake.channel("builds"), TEXT, &[]));
    std::fs::remove_file(path).unwrap();
}

/// Contract 1.4: `channel` of a webhook is the alias, never its URL; G1: the URL is in no answer.
#[test]
fn a_webhook_shows_its_alias_and_never_its_url() {
    let fake = Mattermost::start();
    let proxy = hook_setup(&fake).start();
    let hook = fake.hook_url();
    let id = hook.rsplit('/').next().unwrap();
    let post = |query: &[(&str, &str)]| proxy.post_message("alerts", TEXT, query);

    let answer = post(&[("as", "CI")]);

    let receipt = assert_delivered(&answer);
    assert_eq!(
        receipt["deliveries"],
        json!([{"backend": "mattermost", "channel": "alerts", "status": "delivered"}])
    );
    let sent = &fake.requests()[0];
    assert_eq!(
        (sent.header("Authorization"), &sent.json()),
        (None, &json!({"text": TEXT, "username": "CI"}))
    );

    let gone = Mattermost::error(400, "web.incoming_webhook.invalid.app_error");
    let channel = Mattermost::error(404, "web.incoming_webhook.channel.app_error");
    let locked = Mattermost::error(403, "web.incoming_webhook.channel_locked.app_error");
    let disabled = Mattermost::error(501, "web.incoming_webhook.disabled.app_error");
    let echo = Reply::json(
        400,
        json!({"id": format!("web.{id}.app_error"), "message": hook}),
    );
    let mut answers = vec![answer, post(&[("dry", "1")])];
    for (reply, status, code, cure) in [
        (gone, 502, "backend-rejected", "CHANNELS"),
        (channel, 404, "unknown-channel", "choose another"),
        (locked, 502, "backend-rejected", "unlock"),
        (disabled, 502, "backend-rejected", "administrator"),
        (Reply::status(405), 502, "backend-rejected", "CHANNELS"),
        (
            Reply::status(302).header("Location", &hook),
            502,
            "backend-rejected",
            "final address",
        ),
        (echo, 502, "backend-rejected", ""),
    ] {
        fake.next(reply);
        let answer = post(&[("title", "once more")]);
        assert_problem(&answer, status, code, cure);
        answers.push(answer);
    }
    fake.down();
    answers.push(post(&[("wait", "1")]));
    fake.up();
    fake.rate_limited(1, 30);
    answers.push(post(&[]));
    for answer in &answers[answers.len() - 2..] {
        assert_unavailable(answer);
    }
    for path in ["/", "/ready", "/metrics", "/health", "/problems"] {
        answers.push(proxy.get(path));
    }
    for answer in &answers {
        assert_hides(answer, id);
    }
}

#[test]
fn a_webhook_takes_a_message_in_parts() {
    let fake = Mattermost::start();
    let proxy = hook_setup(&fake).start();
    let text = format!("{} {}", "a".repeat(16_000), "b".repeat(10_000));

    let receipt = assert_delivered(&proxy.post_message("alerts", &text, &[]));

    assert_eq!(receipt["deliveries"][0]["parts"], 2);
    assert_eq!((posted(&fake).len(), messages(&fake).concat()), (2, text));
}

/// Where to post, what the server still remembers, and what it then says.
type Row<'a> = (&'a str, &'a dyn Fn(), (u16, &'a str));

/// F-17 and section 8: a server whose database is away answers like a refusal, and nothing is lost by it.
#[test]
fn a_server_without_its_database_is_unavailable_and_then_works() {
    let fake = Mattermost::start();
    let channels = format!("alerts=mattermost+{}", fake.hook_url());
    let proxy = setup(&fake).set("CHANNELS", channels).start();
    let builds = fake.channel("builds");
    let deploys = fake.channel("deploys");
    // What the server still remembers decides on its answer.
    let remembers = |membership: bool| {
        fake.forget();
        let known = if membership { &builds } else { &deploys };
        assert_delivered(&proxy.post_message(known, TEXT, &[]));
    };
    let rows: [Row<'_>; 5] = [
        (
            &builds,
            &|| remembers(true),
            (400, "api.context.invalid_param.app_error"),
        ),
        (
            &builds,
            &|| remembers(false),
            (403, "api.context.permissions.app_error"),
        ),
        (
            &builds,
            &|| fake.forget(),
            (401, "api.context.session_expired.app_error"),
        ),
        (
            "alerts",
            &|| (),
            (400, "web.incoming_webhook.invalid.app_error"),
        ),
        (
            "acme/builds",
            &|| remembers(true),
            (404, "app.team.get_by_name.app_error"),
        ),
    ];

    for (channel, prepare, (status, id)) in rows {
        prepare();
        let (before, asked) = (fake.posts().len(), fake.requests().len());
        fake.database_down(true);
        let failed = proxy.post_message(channel, TEXT, &[("wait", "1")]);
        fake.database_down(false);
        let worked = proxy.post_message(channel, TEXT, &[]);

        assert_unavailable(&failed);
        assert_eq!(failed.json()["platform_code"], Value::Null, "{status} {id}");
        assert!(
            fake.requests()[asked + 1]
                .target
                .starts_with("/api/v4/system/ping?"),
            "{status} {id}"
        );
        assert_eq!(
            fake.requests()[asked + 1].header("Authorization"),
            None,
            "the ping needs no token"
        );
        assert_delivered(&worked);
        assert_eq!(fake.posts().len(), before + 1, "{status} {id}");
    }
}

/// F-11: never earlier than the platform asked, for that destination; others go on.
#[test]
fn a_long_retry_after_is_passed_on_and_kept() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();
    let builds = fake.channel("builds");
    fake.rate_limited(1, 30);

    let limited = proxy.post_message(&builds, TEXT, &[("wait", "3")]);
    let asked = fake.requests().len();
    let early = proxy.post_message(&builds, TEXT, &[("wait", "3")]);

    assert_eq!(assert_unavailable(&limited), 30);
    assert!((1..=30).contains(&assert_unavailable(&early)));
    assert_eq!(
        fake.requests().len(),
        asked,
        "the server was asked before its Retry-After"
    );
    assert_delivered(&proxy.post_message(&fake.channel("deploys"), TEXT, &[]));
    assert_eq!(fake.posts().len(), 1);
}

#[test]
fn a_retry_after_within_the_wait_is_waited_for() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();
    fake.rate_limited(1, 1);

    let answer = proxy.post_message(&fake.channel("builds"), TEXT, &[("wait", "3")]);

    assert_delivered(&answer);
    assert_eq!((posted(&fake).len(), fake.posts().len()), (2, 1));
}

/// Section 5: the id is what makes a repeat harmless, so it is the repeat's and nobody else's.
#[test]
fn a_repeat_has_the_same_pending_id_and_another_post_another() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();
    let builds = fake.channel("builds");
    fake.next(Mattermost::bad_gateway());
    fake.next(Mattermost::error(
        500,
        "api.post.deduplicate_create_post.pending",
    ));

    assert_delivered(&proxy.post_message(&builds, TEXT, &[]));
    for _ in 0..3 {
        assert_delivered(&proxy.post_message(&builds, TEXT, &[]));
    }

    let ids = pending_ids(&fake);
    assert_eq!(ids.len(), 6);
    assert_eq!((&ids[0], &ids[1]), (&ids[2], &ids[2]));
    let mut different = ids[2..].to_vec();
    different.sort();
    different.dedup();
    assert_eq!((different.len(), fake.posts().len()), (4, 4));
    assert!(
        ids.iter()
            .all(|id| id.len() >= 32 && !TEXT.contains(id.as_str())),
        "an id that can be guessed"
    );
}

/// F-4, F-9: the answer was lost, the post is there: one post, and the receipt names it.
#[test]
fn a_lost_answer_is_one_post() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();
    for lost in [
        Reply::close_after_request(),
        Reply::reset_after_request(),
        Mattermost::bad_gateway(),
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"id\":\"kapm"),
        Reply::json(200, json!({"id": 7})),
        Reply::html(200, "<html>maintenance</html>"),
    ] {
        let before = fake.posts().len();
        fake.accept_then(lost);

        let answer = proxy.post_message(&fake.channel("builds"), TEXT, &[]);

        let receipt = assert_delivered(&answer);
        let posts = fake.posts();
        assert_eq!(posts.len(), before + 1);
        assert_eq!(
            receipt["deliveries"][0]["message_id"],
            posts[before].id.as_str()
        );
    }
}

/// Section 5: the server forgets the id after 30 s. An attempt that surely failed does not undo one that may have
/// posted, so a long `Retry-After` in between ends it: this test's own patience is 10 s.
#[test]
fn a_lost_answer_is_not_repeated_once_the_server_may_have_forgotten_it() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();
    fake.accept_then(Reply::close_after_request());
    fake.next(Reply::status(503).header("Retry-After", "26"));

    let answer = proxy.post_message(&fake.channel("builds"), TEXT, &[("wait", "60")]);

    assert_eq!(assert_unavailable(&answer), 26);
    assert_eq!((posted(&fake).len(), fake.posts().len()), (2, 1));
}

/// F-4, F-9: webhooks have no such id, so what may be posted is not sent again.
#[test]
fn a_lost_answer_of_a_webhook_is_one_post_and_the_caller_is_told() {
    let fake = Mattermost::start();
    let proxy = hook_setup(&fake).start();
    for lost in [
        Reply::close_after_request(),
        Reply::reset_after_request(),
        Reply::json(200, json!({"ok": true})),
        Reply::html(200, "<html>maintenance</html>"),
        Reply::status(204),
    ] {
        let before = fake.posts().len();
        fake.accept_then(lost);

        let answer = proxy.post_message("alerts", TEXT, &[]);

        assert_problem(
            &answer,
            503,
            "backend-unavailable",
            "may or may not have been posted",
        );
        assert_eq!(fake.posts().len(), before + 1);
    }
}

#[test]
fn a_page_of_html_is_an_outage_and_is_not_passed_on() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();
    for _ in 0..20 {
        fake.next(Mattermost::bad_gateway());
    }

    let answer = proxy.post_message(&fake.channel("builds"), TEXT, &[("wait", "1")]);

    assert_unavailable(&answer);
    assert!(!answer.text().contains("nginx") && !answer.text().contains("<html"));
    assert_eq!(fake.posts().len(), 0);
}

/// F-5, section 15: link previews delay the answer although the post is there.
#[test]
fn a_slow_answer_is_asked_for_again_and_is_one_post() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).set("UPSTREAM_TIMEOUT", "300ms").start();
    let never = Gate::new();
    fake.hold_next(&never);

    let answer = proxy.post_message(&fake.channel("builds"), TEXT, &[]);

    let receipt = assert_delivered(&answer);
    assert_eq!((posted(&fake).len(), fake.posts().len()), (2, 1));
    assert_eq!(
        receipt["deliveries"][0]["message_id"],
        fake.posts()[0].id.as_str()
    );
}

#[test]
fn a_slow_answer_of_a_webhook_is_not_asked_for_again() {
    let fake = Mattermost::start();
    let proxy = hook_setup(&fake).set("UPSTREAM_TIMEOUT", "300ms").start();
    let never = Gate::new();
    fake.hold_next(&never);

    let answer = proxy.post_message("alerts", TEXT, &[]);

    assert_problem(
        &answer,
        503,
        "backend-unavailable",
        "may or may not have been posted",
    );
    assert_eq!((posted(&fake).len(), fake.posts().len()), (1, 1));
}

/// The caller's own patience ends before the platform's answer.
#[test]
fn an_answer_after_the_callers_wait_is_told_as_unknown() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();
    let never = Gate::new();
    fake.hold_next(&never);

    let answer = proxy.post_message(&fake.channel("builds"), TEXT, &[("wait", "1")]);

    assert_problem(
        &answer,
        503,
        "backend-unavailable",
        "may or may not have been posted",
    );
    assert_eq!(fake.posts().len(), 1);
}

/// Contract 1.2: an id is recognised by its shape, a name by its slash; an alias stands for either.
#[test]
fn an_alias_stands_for_an_id_or_a_name() {
    let fake = Mattermost::start();
    let channels = format!(
        "ids=mattermost:{} names=mattermost:acme/builds",
        fake.channel("builds")
    );
    let proxy = setup(&fake)
        .set("CHANNELS", channels)
        .set("ONLY_ALIASES", "true")
        .start();

    for alias in ["ids", "names"] {
        let receipt = assert_delivered(&proxy.post(message_path(alias, TEXT, &[])));
        assert_eq!(
            receipt["deliveries"][0]["channel"],
            fake.channel("builds").as_str()
        );
    }
    let other = proxy.post_message(&fake.channel("builds"), TEXT, &[]);
    assert_problem(&other, 404, "unknown-channel", "CHANNELS");
}

/// The bot joins later: no failure of a post is remembered.
#[test]
fn an_invited_bot_posts_at_once() {
    let fake = Mattermost::start();
    let proxy = setup(&fake).start();
    let channel = fake.channel("open");

    let before = proxy.post_message(&channel, TEXT, &[]);
    fake.set_channel("open", Access::Member);
    let after = proxy.post_message(&channel, TEXT, &[]);

    assert_problem(&before, 502, "backend-rejected", "/invite");
    assert_delivered(&after);
}
