//! Which methods post, and which GETs are somebody's preview.

use crate::support::{Proxy, Response, Setup, printed, printed_for, unlimited};

const SECRET: &str = "a-secret-of-the-ci-system";
const FORMS: [&str; 3] = [
    "/post/channel/demo/msg/text",
    "/post/channel/demo/b64/dGV4dA",
    "/post/channel/demo?message=text",
];

/// B8: the programs of the contract and their like, as they call themselves.
const PREVIEWERS: &[&str] = &[
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Slack-ImgProxy (+https://api.slack.com/robots)",
    "Slackbot 1.0 (+https://api.slack.com/robots)",
    "mattermost-server/9.5",
    "Mattermost-Bot/1.1",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "Twitterbot/1.0",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "WhatsApp/2.23.20.0 A",
    "TelegramBot (like TwitterBot)",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; +http://www.linkedin.com)",
    "Mozilla/5.0 (compatible; Google-PageRenderer Google (+https://developers.google.com/+/web/snippet/))",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "facebookcatalog/1.0",
    "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "SLACKBOT-LINKEXPANDING",
];

#[test]
fn post_and_put_post_in_every_form() {
    let proxy = unlimited().set("ALLOW_GET", "false").start();

    for target in FORMS {
        for method in ["POST", "PUT"] {
            let answer = proxy.request(method, target, &[]);

            assert_eq!(answer.verdict(), (200, "delivered".into()), "{method}");
        }
    }
    assert_eq!(printed(&proxy), ["[demo] text"; 6]);
}

#[test]
fn nothing_but_post_put_and_an_allowed_get_posts() {
    for (get, allow) in [
        ("true", "GET, POST, PUT, OPTIONS"),
        ("false", "POST, PUT, OPTIONS"),
    ] {
        let proxy = unlimited().set("ALLOW_GET", get).start();

        for target in FORMS {
            for method in [
                "PATCH", "DELETE", "TRACE", "PROPFIND", "post", "Post", "get", "put", "POSTS", "X",
            ] {
                let answer = proxy.request(method, target, &[]);

                assert_eq!(answer.verdict(), (405, "method-not-allowed".into()));
                assert_eq!(answer.header("allow"), Some(allow), "{method}");
            }
            let head = proxy.request("HEAD", target, &[]);
            assert_eq!((head.status, head.header("allow")), (405, Some(allow)));
            let options = proxy.request("OPTIONS", target, &[]);
            assert_eq!(
                (options.status, options.header("allow")),
                (204, Some(allow))
            );
            assert_eq!(options.body, b"");
        }
        assert_eq!(printed(&proxy), [""; 0]);
    }
}

#[test]
fn routes_that_only_read_say_so() {
    let proxy = unlimited().start();

    for target in ["/", "/health", "/ready", "/metrics", "/problems"] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let answer = proxy.request(method, target, &[]);

            assert_eq!(answer.verdict(), (405, "method-not-allowed".into()));
            assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
        }
        let options = proxy.request("OPTIONS", target, &[]);
        assert_eq!(
            (options.status, options.header("allow")),
            (204, Some("GET, HEAD, OPTIONS"))
        );
        let head = proxy.request("HEAD", target, &[]);
        assert_eq!(head.status, proxy.get(target).status, "{target}");
    }
}

#[test]
fn get_posts_while_posting_is_open_on_loopback_and_where_it_is_allowed() {
    let bearer = format!("Bearer {SECRET}");
    let with_token = [("Authorization", bearer.as_str())];
    let tokens = |setup: Setup| setup.set("PROXY_TOKENS", format!("ci={SECRET}"));
    let key = "k".repeat(32);
    for (name, setup, headers, posts) in [
        ("loopback", unlimited(), &[][..], true),
        (
            "loopback, by IPv6",
            unlimited().set("HOST", "::1"),
            &[],
            true,
        ),
        ("refused", unlimited().set("ALLOW_GET", "false"), &[], false),
        (
            "anonymous elsewhere",
            unlimited()
                .set("HOST", "0.0.0.0")
                .set("ALLOW_ANONYMOUS", "true"),
            &[],
            false,
        ),
        (
            "anonymous elsewhere, allowed",
            unlimited()
                .set("HOST", "0.0.0.0")
                .set("ALLOW_ANONYMOUS", "true")
                .set("ALLOW_GET", "true"),
            &[],
            true,
        ),
        ("tokens", tokens(unlimited()), &with_token, false),
        ("tokens, nobody", tokens(unlimited()), &[], false),
        ("keys", unlimited().set("SIGNING_KEYS", &key), &[], false),
        (
            "tokens, allowed",
            tokens(unlimited()).set("ALLOW_GET", "true"),
            &with_token,
            true,
        ),
    ] {
        let proxy = setup.start();

        for target in FORMS {
            let answer = proxy.request("GET", target, headers);

            if posts {
                assert_eq!(answer.verdict(), (200, "delivered".into()), "{name}");
            } else {
                assert_get_refused(&answer, name);
            }
        }
        if name != "keys" {
            let expected = if posts { 3 } else { 0 };
            let lines = printed_for(
                &proxy,
                if name.starts_with("tokens") {
                    &with_token
                } else {
                    headers
                },
            );
            assert_eq!(lines, vec!["[demo] text"; expected], "{name}");
        }
    }
}

#[track_caller]
fn assert_get_refused(answer: &Response, case: &str) {
    assert_eq!(
        answer.verdict(),
        (405, "method-not-allowed".into()),
        "{case}"
    );
    assert!(answer.text().contains("ALLOW_GET"), "{case}");
    assert_eq!(answer.header("allow"), Some("POST, PUT, OPTIONS"), "{case}");
}

#[test]
fn an_allowed_get_still_needs_credentials() {
    let proxy = unlimited()
        .set("PROXY_TOKENS", format!("ci={SECRET}"))
        .set("ALLOW_GET", "true")
        .start();

    let nobody = proxy.get("/post/channel/demo/msg/text");
    let somebody = proxy.request(
        "GET",
        "/post/channel/demo/msg/text",
        &[("Authorization", "Bearer not-the-secret-of-ci")],
    );

    assert_eq!(nobody.verdict(), (401, "unauthorized".into()));
    assert_eq!(somebody.verdict(), (401, "unauthorized".into()));
}

/// B8: link previews and prefetches post nothing.
#[test]
fn a_get_that_is_a_preview_posts_nothing() {
    let proxy = unlimited().start();

    let agents = PREVIEWERS.iter().map(|agent| ("User-Agent", *agent));
    let purposes = [
        ("Purpose", "prefetch"),
        ("Purpose", "preview"),
        ("purpose", "Prefetch"),
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("Sec-Purpose", "prefetch;anonymous-client-ip"),
        ("Sec-Purpose", "preview"),
    ];
    for header in agents.chain(purposes) {
        for target in FORMS {
            let answer = proxy.request("GET", target, &[header]);

            assert_eq!(
                answer.verdict(),
                (403, "preview-refused".into()),
                "{header:?}"
            );
        }
    }
    assert_eq!(printed(&proxy), [""; 0]);
}

#[test]
fn a_refused_preview_does_not_stand_in_for_the_post() {
    let proxy = unlimited().start();
    let target = FORMS[0];

    let preview = proxy.request("GET", target, &[("Sec-Purpose", "prefetch")]);
    let get = proxy.get(target);

    assert_eq!((preview.status, get.status), (403, 200));
    assert_eq!(printed(&proxy), ["[demo] text"]);
}

#[test]
fn people_and_scripts_are_no_previews_and_a_post_never_is() {
    let proxy = unlimited().start();

    for (at, agent) in [
        "curl/8.5.0",
        "Wget/1.21",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "python-requests/2.32",
        "GitHub-Hookshot/044aadd",
        "",
    ]
    .iter()
    .enumerate()
    {
        let target = format!("/post/channel/demo/msg/get-{at}");
        let answer = proxy.request("GET", target, &[("User-Agent", agent), ("Sec-Purpose", "")]);

        assert_eq!(answer.status, 200, "{agent}");
    }
    for agent in PREVIEWERS {
        let headers = [("User-Agent", *agent), ("Purpose", "preview")];

        assert_eq!(
            proxy.request("POST", FORMS[0], &headers).status,
            200,
            "{agent}"
        );
    }
    assert_eq!(printed(&proxy).len(), 6 + PREVIEWERS.len());
}

/// B8: nothing keeps the answer, and a crawler that sees it does not come back.
#[test]
fn answers_to_gets_are_kept_by_nobody() {
    let proxy = unlimited().start();

    for answer in [
        proxy.get(FORMS[0]),
        proxy.request("GET", FORMS[0], &[("Purpose", "prefetch")]),
        proxy.request("HEAD", FORMS[0], &[]),
    ] {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-robots-tag"), Some("noindex"));
    }
}

#[test]
fn a_range_or_a_condition_makes_a_get_no_less_of_a_post() {
    let proxy: Proxy = unlimited().start();

    let ranged = proxy.request("GET", FORMS[0], &[("Range", "bytes=0-10")]);
    let conditional = proxy.request("GET", FORMS[0], &[("If-None-Match", "*")]);

    assert_eq!((ranged.status, conditional.status), (200, 200));
    assert_eq!(ranged.json()["id"], conditional.json()["id"]);
    assert_eq!(printed(&proxy), ["[demo] text"]);
}
