//! Contract section 1.2: what a channel means: prefixes, aliases, shapes, and what is refused.

use serde_json::{Value, json};

use crate::support::{
    Gate, Mattermost, Platforms, Proxy, Reply, Response, Slack, Teams, message_path,
};

#[track_caller]
fn code(answer: &Response) -> (u16, String) {
    let code = answer.json()["code"].as_str().unwrap_or("none").to_owned();
    (answer.status, code)
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// Backend and channel of each delivery.
#[track_caller]
fn places(answer: &Response) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let receipt = answer.json();
    let deliveries = receipt["deliveries"].as_array().unwrap();
    deliveries
        .iter()
        .map(|d| (text(&d["backend"]), text(&d["channel"])))
        .collect()
}

#[test]
fn a_prefix_names_the_backend() {
    let chats = Platforms::start();
    let proxy = chats.setup().start();
    let cases = [
        ("mattermost", chats.mattermost.channel("builds")),
        ("slack", chats.slack.channel("ops")),
        ("teams", chats.teams.channel("alerts")),
    ];

    for (at, (backend, target)) in cases.into_iter().enumerate() {
        let answer = proxy.post_message(&format!("{backend}:{target}"), "hello", &[]);

        assert_eq!(answer.status, 200, "{backend}: {}", answer.text());
        assert_eq!(places(&answer), [(backend.to_owned(), target)]);
        assert_eq!(chats.posts().iter().sum::<usize>(), at + 1);
    }
    assert_eq!(chats.posts(), [1, 1, 1]);
}

#[test]
fn a_prefix_with_nothing_after_it_is_an_empty_channel() {
    let chats = Platforms::start();
    let several = chats.setup().start();
    let none = Proxy::setup().without_limits().start();

    for (proxy, channel, prefix) in [
        (&several, "mattermost:", "'mattermost:'"),
        (&several, "slack: ", "'slack:'"),
        (&several, "teams:\u{a0}\u{3000}", "'teams:'"),
        (&several, "console:", "'console:'"),
        (&none, "console:", "'console:'"),
        (&none, "console: ", "'console:'"),
    ] {
        let answer = proxy.post_message(channel, "hello", &[]);

        assert_eq!(code(&answer), is(400, "empty-channel"), "{channel:?}");
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains(prefix), "{detail}");
    }
    assert_eq!(chats.posts(), [0; 3]);
    assert!(several.stdout_so_far().is_empty() && none.stdout_so_far().is_empty());
}

#[test]
fn the_console_can_be_named_beside_other_backends() {
    let slack = Slack::start();
    let proxy = Proxy::setup().with(&slack).start();

    let answer = proxy.post_message("console:demo", "hello", &[]);

    assert_eq!(places(&answer), [("console".to_owned(), "demo".to_owned())]);
    assert_eq!(proxy.stdout_line(), "[demo] hello");
    assert_eq!(slack.connections(), 0);
}

#[test]
fn without_anything_configured_the_console_takes_everything() {
    let proxy = Proxy::setup().start();

    for channel in [
        "demo",
        "slack:C0123",
        "19:abc@thread.tacv2",
        "#ops",
        "a/b",
        "slack:",
        ":x",
    ] {
        let answer = proxy.post_message(channel, "hello", &[]);

        assert_eq!(answer.status, 200, "{channel}");
        assert_eq!(proxy.stdout_line(), format!("[{channel}] hello"));
    }
}

#[test]
fn the_only_backend_takes_what_has_no_prefix() {
    let teams = Teams::start();
    let proxy = Proxy::setup().without_limits().with(&teams).start();

    // `19` is no backend, so the prefix is part of the target.
    let teams_id = proxy.post_message(&teams.channel("alerts"), "hello", &[]);
    let other = proxy.post_message("slack:C0123", "hello", &[]);

    assert_eq!(teams_id.status, 200);
    assert_eq!(code(&other), is(404, "unknown-channel"));
    assert_eq!(teams.posts().len(), 1);
}

/// D6: a prefix that is no configured backend's name is part of the target, and never falls back to a bare target.
#[test]
fn an_unknown_prefix_is_part_of_the_target() {
    let slack = Slack::start();
    let (id, proxy) = (
        slack.channel("ops"),
        Proxy::setup().without_limits().with(&slack).start(),
    );

    for prefix in [
        "teams",
        "mattermost",
        "SLACK",
        "Slack",
        "slack ",
        " slack",
        "irc",
        "",
        "slack:slack",
    ] {
        let answer = proxy.post_message(&format!("{prefix}:{id}"), "hello", &[]);

        assert_eq!(code(&answer), is(404, "unknown-channel"), "{prefix}");
    }
    assert!(slack.posts().is_empty());
}

#[test]
fn the_shape_of_an_id_or_name_tells_the_backend() {
    let chats = Platforms::start();
    let proxy = chats.setup().start();
    let thread = {
        let channel = chats.teams.channel("builds");
        let answer = proxy.post_message(&channel, "root", &[]);
        let root = answer.json()["deliveries"][0]["message_id"].clone();
        format!("{channel};messageid={}", root.as_str().unwrap())
    };
    let cases = [
        (chats.mattermost.channel("builds"), "mattermost"),
        ("acme/builds".to_owned(), "mattermost"),
        (chats.slack.channel("ops"), "slack"),
        ("#builds".to_owned(), "slack"),
        (chats.teams.channel("alerts"), "teams"),
        (thread, "teams"),
    ];

    for (channel, backend) in cases {
        let answer = proxy.post_message(&channel, "hello", &[]);

        assert_eq!(answer.status, 200, "{channel}: {}", answer.text());
        assert_eq!(places(&answer)[0].0, backend, "{channel}");
    }
    assert_eq!(chats.posts(), [2, 2, 3]);
}

#[test]
fn a_shape_of_nobodys_is_ambiguous_and_the_choices_are_listed() {
    let chats = Platforms::start();
    let proxy = chats.setup().start();

    for channel in [
        "builds",
        "C0",
        "c0123456789",
        "irc:",
        "19:abc",
        "irc:#ops",
        "a/b/c",
        "ops ",
    ] {
        let answer = proxy.post_message(channel, "hello", &[]);

        assert_eq!(code(&answer), is(400, "ambiguous-channel"), "{channel}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        for word in ["mattermost", "slack", "teams", "DEFAULT_BACKEND"] {
            assert!(detail.contains(word), "{channel}: {detail}");
        }
        assert!(!detail.contains("console"), "{detail}");
    }
    assert_eq!(chats.posts(), [0, 0, 0]);
}

#[test]
fn the_choices_are_the_configured_backends_alone() {
    let (mattermost, slack) = (Mattermost::start(), Slack::start());
    let proxy = Proxy::setup().with(&mattermost).with(&slack).start();

    let answer = proxy.post_message("builds", "hello", &[]);

    assert_eq!(code(&answer), is(400, "ambiguous-channel"));
    assert!(!answer.text().contains("teams"), "{}", answer.text());
}

#[test]
fn the_default_backend_takes_what_has_no_prefix_whatever_its_shape() {
    let chats = Platforms::start();
    let proxy = chats.setup().set("DEFAULT_BACKEND", "slack").start();

    let by_name = proxy.post_message("builds", "hello", &[]);
    let of_mattermost = proxy.post_message(&chats.mattermost.channel("builds"), "hello", &[]);
    let of_teams = proxy.post_message(&chats.teams.channel("alerts"), "hello", &[]);
    let prefixed = proxy.post_message("mattermost:acme/builds", "hello", &[]);

    assert_eq!(by_name.status, 200);
    assert_eq!(code(&of_mattermost), is(404, "unknown-channel"));
    assert_eq!(code(&of_teams), is(404, "unknown-channel"));
    assert_eq!(prefixed.status, 200);
    assert_eq!(chats.posts(), [1, 1, 0]);
}

#[test]
fn the_only_backend_goes_before_the_default_one() {
    let slack = Slack::start();
    let proxy = Proxy::setup()
        .with(&slack)
        .set("DEFAULT_BACKEND", "console")
        .start();

    let answer = proxy.post_message(&slack.channel("ops"), "hello", &[]);

    assert_eq!(places(&answer)[0].0, "slack");
}

#[test]
fn a_default_backend_that_is_not_configured_stops_the_start() {
    let slack = Slack::start();

    for name in ["teams", "irc", "Slack"] {
        let refused = Proxy::setup()
            .with(&slack)
            .set("DEFAULT_BACKEND", name)
            .run();

        assert_eq!(refused.code, 78, "{name}");
        assert!(
            refused.stderr.contains("DEFAULT_BACKEND"),
            "{}",
            refused.stderr
        );
    }
}

/// An alias is one word for several places, also on several platforms.
#[test]
fn an_alias_with_several_destinations_posts_to_all() {
    let chats = Platforms::start();
    let channels = format!(
        "all=mattermost:{},slack:#builds,teams:{},console:demo,slack+{},mattermost+{},teams+{}",
        chats.mattermost.channel("builds"),
        chats.teams.channel("alerts"),
        chats.slack.webhook_url(),
        chats.mattermost.hook_url(),
        chats.teams.workflow_url(),
    );
    let proxy = chats.setup().set("CHANNELS", channels).start();

    let answer = proxy.post_message("all", "hello everywhere", &[]);

    assert_eq!(answer.status, 200, "{}", answer.text());
    let place = |backend: &str, channel: &str| (backend.to_owned(), channel.to_owned());
    assert_eq!(
        places(&answer),
        [
            place("mattermost", &chats.mattermost.channel("builds")),
            place("slack", &chats.slack.channel("builds")),
            place("teams", &chats.teams.channel("alerts")),
            place("console", "demo"),
            place("slack", "all"),
            place("mattermost", "all"),
            place("teams", "all"),
        ]
    );
    assert_eq!(chats.posts(), [2, 2, 1]);
    assert_eq!(chats.teams.flow_runs().len(), 1);
    assert_eq!(proxy.stdout_line(), "[demo] hello everywhere");
}

#[test]
fn where_one_destination_refuses_the_others_have_the_post_and_each_has_its_entry() {
    let chats = Platforms::start();
    let channels = format!(
        "all=mattermost:{},slack:{},teams:{}",
        chats.mattermost.channel("builds"),
        chats.slack.channel("old"),
        chats.teams.channel("alerts")
    );
    let proxy = chats.setup().set("CHANNELS", channels).start();

    let answer = proxy.post_message("all", "hello", &[]);

    assert_eq!(code(&answer), is(502, "partly-rejected"));
    let entries = answer.json()["deliveries"].clone();
    let statuses: Vec<&str> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["delivered", "failed", "delivered"]);
    assert_eq!(entries[1]["platform_code"], "is_archived");
    assert!(entries[1]["detail"].as_str().unwrap().contains("archived"));
    assert!(entries[0]["message_id"].is_string() && entries[2]["message_id"].is_string());
    assert_eq!(chats.posts(), [1, 0, 1]);
}

/// I7: a platform that is away does not keep the others from having the post.
#[test]
fn a_platform_that_is_away_costs_its_own_entry_alone() {
    let chats = Platforms::start();
    let channels = format!(
        "all=mattermost:{},slack:{}",
        chats.mattermost.channel("builds"),
        chats.slack.channel("ops")
    );
    let proxy = chats.setup().set("CHANNELS", channels).start();
    chats.slack.down();

    let answer = proxy.post_message("all", "hello", &[("wait", "1")]);

    assert_eq!(code(&answer), is(502, "partly-rejected"));
    assert_eq!(answer.json()["deliveries"][0]["status"], "delivered");
    assert_eq!(answer.json()["deliveries"][1]["reason"], "unreachable");
    assert_eq!(chats.posts(), [1, 0, 0]);
}

/// I7: nor does a platform that is slow to look a name up hold up another's look-up.
#[test]
fn a_look_up_that_hangs_does_not_hold_up_another_backend() {
    let (mattermost, slack) = (Mattermost::start(), Slack::start());
    let gate = Gate::new();
    slack.next_other(Reply::json(200, json!({"ok": true, "channels": []})).held(&gate));
    let proxy = Proxy::setup()
        .without_limits()
        .with(&mattermost)
        .with(&slack)
        .start();
    let mut hanging = proxy.connect();
    hanging.send(b"POST /post/channel/%23nowhere/msg/hangs HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n");
    slack.wait_for(1);

    let other = proxy.post_message("mattermost:acme/builds", "hello", &[("wait", "3")]);
    gate.open();

    assert_eq!(other.status, 200, "{}", other.text());
    assert_eq!(code(&hanging.read_response()), is(404, "unknown-channel"));
}

#[test]
fn a_part_too_many_anywhere_posts_nothing_anywhere() {
    let (mattermost, slack) = (Mattermost::start(), Slack::start());
    let channels = format!(
        "all=mattermost:{},slack:{}",
        mattermost.channel("builds"),
        slack.channel("ops")
    );
    let proxy = Proxy::setup()
        .with(&mattermost)
        .with(&slack)
        .set("CHANNELS", channels)
        .set("MAX_PARTS", "1")
        .start();

    let answer = proxy.post_message("all", &"a".repeat(4001), &[]);

    assert_eq!(code(&answer), is(413, "message-too-long"));
    assert!(mattermost.posts().is_empty() && slack.posts().is_empty());
}

/// D6: what the operator named goes before what the caller's text might mean as an id.
#[test]
fn an_alias_goes_before_an_id_of_the_same_spelling() {
    let slack = Slack::start();
    let (ops, builds) = (slack.channel("ops"), slack.channel("builds"));
    let proxy = Proxy::setup()
        .without_limits()
        .with(&slack)
        .set("CHANNELS", format!("{ops}=slack:{builds}"))
        .start();

    let aliased = proxy.post_message(&ops, "to the alias", &[]);
    let prefixed = proxy.post_message(&format!("slack:{ops}"), "to the id", &[]);

    assert_eq!(places(&aliased)[0].1, builds);
    assert_eq!(places(&prefixed)[0].1, ops);
    let posts: Vec<_> = slack
        .posts()
        .into_iter()
        .map(|p| (p.channel, p.text))
        .collect();
    assert_eq!(
        posts,
        [
            (builds, "to the alias".to_owned()),
            (ops, "to the id".to_owned())
        ]
    );
}

/// D6: nothing is trimmed, folded or cut to make an alias fit.
#[test]
fn only_the_exact_alias_is_the_alias() {
    let slack = Slack::start();
    let proxy = Proxy::setup()
        .without_limits()
        .with(&slack)
        .set(
            "CHANNELS",
            format!("deploys=slack:{}", slack.channel("ops")),
        )
        .start();

    for near in [
        "Deploys",
        "deploys ",
        " deploys",
        "deploy",
        "deployss",
        "deploys/",
        "dеploys",
        "deploys\u{200B}",
    ] {
        let answer = proxy.post_message(near, "hello", &[]);

        assert_eq!(code(&answer), is(404, "unknown-channel"), "{near:?}");
    }
    assert!(slack.posts().is_empty());
    assert_eq!(proxy.post_message("deploys", "hello", &[]).status, 200);
}

#[test]
fn only_aliases_refuses_everything_else() {
    let chats = Platforms::start();
    let proxy = chats
        .setup()
        .set(
            "CHANNELS",
            format!("alerts=slack:{}", chats.slack.channel("ops")),
        )
        .set("ONLY_ALIASES", "true")
        .start();
    let others = [
        chats.slack.channel("ops"),
        format!("slack:{}", chats.slack.channel("ops")),
        "#ops".to_owned(),
        "acme/builds".to_owned(),
        format!("teams:{}", chats.teams.channel("alerts")),
        "console:demo".to_owned(),
        "Alerts".to_owned(),
        "builds".to_owned(),
    ];

    for channel in others {
        let answer = proxy.post_message(&channel, "hello", &[]);

        assert_eq!(code(&answer), is(404, "unknown-channel"), "{channel}");
    }
    assert_eq!(proxy.post_message("alerts", "hello", &[]).status, 200);
    assert_eq!(chats.posts(), [0, 1, 0]);
    assert!(proxy.stdout_so_far().is_empty());
}

/// With webhooks only, a typing error must not end up on the console as if it had been delivered.
#[test]
fn with_webhooks_only_an_unknown_alias_is_404() {
    let slack = Slack::start();
    let proxy = Proxy::setup()
        .without_limits()
        .set("CHANNELS", format!("alerts=slack+{}", slack.webhook_url()))
        .start();

    for channel in [
        "alert",
        "C0123456789",
        "#ops",
        "slack:C0123456789",
        "slack:alerts",
    ] {
        let answer = proxy.post_message(channel, "hello", &[]);

        assert_eq!(code(&answer), is(404, "unknown-channel"), "{channel}");
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("no configured backend takes"), "{detail}");
    }
    assert_eq!(proxy.post_message("alerts", "hello", &[]).status, 200);
    assert_eq!(slack.posts().len(), 1);
    assert!(proxy.stdout_so_far().is_empty());
}

/// A bot beside webhooks takes ids; a webhook's alias is no channel of the bot's.
#[test]
fn a_webhook_does_not_open_the_bot_nor_the_bot_a_webhook() {
    let slack = Slack::start();
    let proxy = Proxy::setup()
        .without_limits()
        .with(&slack)
        .set("CHANNELS", format!("alerts=slack+{}", slack.webhook_url()))
        .start();

    let hook = proxy.post_message("alerts", "by webhook", &[]);
    let bot = proxy.post_message(&slack.channel("builds"), "by bot", &[]);

    assert_eq!((hook.status, bot.status), (200, 200));
    let via: Vec<bool> = slack.posts().iter().map(|post| post.via_webhook).collect();
    assert_eq!(via, [true, false]);
    for request in slack.requests() {
        let by_bot = request.path().starts_with("/api/");
        assert_eq!(request.header("authorization").is_some(), by_bot);
    }
}

/// B3, B4: every spelling of an id is the same id, decoded once.
#[test]
fn an_id_may_be_written_raw_or_percent_encoded() {
    let teams = Teams::start();
    let proxy = Proxy::setup().without_limits().with(&teams).start();
    let channel = teams.channel("alerts");
    let root =
        proxy.post_message(&channel, "root", &[]).json()["deliveries"][0]["message_id"].clone();
    let raw = format!("{channel};messageid={}", root.as_str().unwrap());
    let escaped = raw
        .replace(':', "%3A")
        .replace('@', "%40")
        .replace(';', "%3B")
        .replace('=', "%3D");
    let lower = escaped
        .replace("%3A", "%3a")
        .replace("%3B", "%3b")
        .replace("%3D", "%3d");
    let all: String = raw.bytes().map(|byte| format!("%{byte:02X}")).collect();

    for spelling in [
        raw.clone(),
        escaped.clone(),
        lower,
        all,
        format!("teams:{raw}"),
        format!("teams%3A{escaped}"),
    ] {
        let answer = proxy.post(format!("/post/channel/{spelling}/msg/reply"));

        assert_eq!(answer.status, 200, "{spelling}: {}", answer.text());
        let post = teams.posts().pop().unwrap();
        assert_eq!(
            (&post.channel, post.thread()),
            (&channel, raw.clone()),
            "{spelling}"
        );
    }
    // Twice encoded is another id.
    let twice = proxy.post(format!(
        "/post/channel/{}/msg/reply",
        escaped.replace('%', "%25")
    ));
    assert_eq!(code(&twice), is(404, "unknown-channel"));
}

#[test]
fn a_hash_or_a_slash_of_a_name_is_written_escaped() {
    let (mattermost, slack) = (Mattermost::start(), Slack::start());
    let proxy = Proxy::setup()
        .without_limits()
        .with(&mattermost)
        .with(&slack)
        .start();

    let slack_name = proxy.post("/post/channel/%23builds/msg/hello");
    let mattermost_name = proxy.post("/post/channel/acme%2Fbuilds/msg/hello");
    let unescaped = proxy.post("/post/channel/acme/builds/msg/hello");

    assert_eq!(places(&slack_name)[0].0, "slack");
    assert_eq!(places(&mattermost_name)[0].0, "mattermost");
    assert_eq!(code(&unescaped), is(404, "not-found"));
    assert_eq!((mattermost.posts().len(), slack.posts().len()), (1, 1));
}

/// B4: an id that could leave its place in a platform's URL reaches no platform.
#[test]
fn an_id_that_could_change_a_url_reaches_no_platform() {
    let chats = Platforms::start();
    let proxy = chats.setup().start();
    let hostile = [
        "teams:19:a/../b@thread.tacv2",
        "teams:19:a?x=1@thread.tacv2",
        "teams:19:a#b@thread.tacv2",
        "teams:19:a%2Fb@thread.tacv2",
        "teams:19:a\\b@thread.tacv2",
        "mattermost:../../users/me",
        "mattermost:acme/../x",
        "mattermost:acme/a?b=c",
        "mattermost:acme/%2e%2e",
        "mattermost:acme/builds/posts",
    ];

    for channel in hostile {
        let answer = proxy.post_message(channel, "hello", &[]);

        assert_eq!(code(&answer), is(404, "unknown-channel"), "{channel}");
    }
    assert!(chats.teams.requests().is_empty());
    assert!(chats.mattermost.requests().is_empty());
    for channel in [
        "slack:a%0Ab",
        "slack:a%00b",
        "slack:a%1Bb",
        "slack:a%C2%85b",
    ] {
        let answer = proxy.post(format!("/post/channel/{channel}/msg/x"));
        assert_eq!(code(&answer), is(400, "bad-character"), "{channel}");
    }
    assert!(chats.slack.requests().is_empty());
}

/// D6: resolved in one place: what a dry run shows is where the post goes.
#[test]
fn a_dry_run_and_a_post_mean_the_same_place() {
    let chats = Platforms::start();
    let channels = format!(
        "all=slack:#builds,mattermost:acme/deploys,teams+{}",
        chats.teams.workflow_url()
    );
    let proxy = chats.setup().set("CHANNELS", channels).start();

    let dry = proxy.post_message("all", "hello", &[("dry", "1")]);
    let before = chats.posts();
    let real = proxy.post_message("all", "hello", &[]);

    assert_eq!((dry.status, real.status), (200, 200));
    assert_eq!(before, [0, 0, 0]);
    assert_eq!(places(&dry), places(&real));
    assert_eq!(places(&real)[0].1, chats.slack.channel("builds"));
    assert_eq!(chats.posts(), [1, 1, 0]);
    assert_eq!(chats.teams.flow_runs().len(), 1);
}

/// G1: the alias table names faults by alias and never shows a webhook's URL.
#[test]
fn faults_of_the_alias_table_stop_the_start_all_at_once() {
    let refused = Proxy::setup()
        .set("SLACK_BOT_TOKEN", "xoxb-1234567890")
        .set(
            "CHANNELS",
            "plain =slack:C1 a:b=slack:C1 twice=slack:C1 twice=slack:C2 bare=C0123 unknown=irc:x \
             empty= gap=slack:C1,,slack:C2 target=slack: hook=slack+https://hooks.slack.com/services/T0/canary-path \
             plainhttp=slack+http://hooks.example/services/a/b/canary-http",
        )
        .canary("canary-path")
        .canary("canary-http")
        .run();

    assert_eq!(refused.code, 78);
    for fault in [
        "entry 1",
        "entry 2",
        "entry 3",
        "'twice'",
        "'bare'",
        "'unknown'",
        "'empty'",
        "'gap'",
        "'target'",
        "'hook'",
        "'plainhttp'",
    ] {
        assert!(
            refused.stderr.contains(fault),
            "{fault} in {}",
            refused.stderr
        );
    }
}

/// An incoming webhook's URL is a credential: written as a channel it is refused, and shown nowhere.
#[test]
fn a_url_is_no_channel_and_is_not_logged() {
    for mattermost in [false, true] {
        let chat = Mattermost::start();
        let setup = match mattermost {
            true => Proxy::setup().with(&chat),
            false => Proxy::setup(),
        };
        let proxy = setup.canary("T0SECRETOFTHEHOOK").start();
        for url in [
            "slack+https://hooks.slack.com/services/T0/B0/T0SECRETOFTHEHOOK",
            "https://hooks.slack.com/services/T0/B0/T0SECRETOFTHEHOOK",
            "console:teams+https://example.org/T0SECRETOFTHEHOOK",
        ] {
            let answer = proxy.post(message_path(url, "text", &[]));

            assert_eq!(
                answer.verdict(),
                (404, "unknown-channel".to_owned()),
                "{url}"
            );
            assert!(!answer.text().contains("SECRETOFTHEHOOK"), "{url}");
        }
        proxy.check_canaries();
    }
}
