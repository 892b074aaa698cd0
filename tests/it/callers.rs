//! Contract section 2: who may post, with tokens, with signed URLs, and with neither.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use crate::support::{
    Mattermost, Proxy, Response, Setup, Slack, Upstream, log_field, log_message, message_path,
    percent_encode,
};

const CI: &str = "Kq3vT8wZpL5nX2rY";
const CI_NEXT: &str = "uH7cB4mJ9sD6fG1a";
const DEPLOY: &str = "eW2yN8xQ5tR4vP7z==";
const KEY: &str = "3f9a1c7be2d84056a1b7c3d9e5f20864";
const OLD_KEY: &str = "c8e1f4a7b0d3926581f7e3a9d5b1c046";

/// A proxy that sees each request come from another address, so that one case does not slow the next one down.
struct Door {
    proxy: Proxy,
    next: AtomicU32,
}

impl Door {
    #[track_caller]
    fn open(env: &[(&str, &str)]) -> Self {
        Self::start(setup(env))
    }

    #[track_caller]
    fn start(setup: Setup) -> Self {
        Self {
            proxy: setup.start(),
            next: AtomicU32::new(1),
        }
    }

    #[track_caller]
    fn ask(&self, target: impl AsRef<[u8]>, headers: &[(&str, &str)]) -> Response {
        let address =
            std::net::Ipv4Addr::from(0x0a00_0000 + self.next.fetch_add(1, Ordering::SeqCst));
        self.ask_from(&address.to_string(), target, headers)
    }

    #[track_caller]
    fn ask_from(
        &self,
        address: &str,
        target: impl AsRef<[u8]>,
        headers: &[(&str, &str)],
    ) -> Response {
        let all = [headers, &[("X-Forwarded-For", address)]].concat();
        self.proxy.request("POST", target, &all)
    }

    #[track_caller]
    fn ask_as(&self, secret: &str, target: impl AsRef<[u8]>) -> Response {
        self.ask(target, &[("Authorization", &bearer(secret))])
    }
}

fn setup(env: &[(&str, &str)]) -> Setup {
    let defaults = [
        ("TRUSTED_PROXY_HOPS", "1"),
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

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// The contract's recipe, written again: HMAC-SHA256 over the lines, base64url without padding.
fn mac(key: &str, lines: &[&str]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(lines.join("\n").as_bytes());
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

fn sign_channel(key: &str, exp: &str, channel: &str) -> String {
    format!("c.{exp}.{}", mac(key, &["v1", "c", exp, channel]))
}

/// `options` as `name=value`, sorted by name as the contract asks.
fn sign_message(key: &str, exp: &str, channel: &str, message: &str, options: &[&str]) -> String {
    let lines = [&["v1", "m", exp, channel, message], options].concat();
    format!("m.{exp}.{}", mac(key, &lines))
}

fn b64_path(channel: &str, text: &str, query: &str) -> String {
    format!(
        "/post/channel/{}/b64/{}?{query}",
        percent_encode(channel),
        URL_SAFE_NO_PAD.encode(text)
    )
}

fn query_path(channel: &str, text: &str, query: &str) -> String {
    format!(
        "/post/channel/{}?message={}&{query}",
        percent_encode(channel),
        percent_encode(text)
    )
}

/// The code of a refusal, or `delivered` and its like.
#[track_caller]
fn verdict(response: &Response) -> (u16, String) {
    let body = response.json();
    let word = body
        .get("code")
        .or_else(|| body.get("status"))
        .and_then(Value::as_str);
    (response.status, word.unwrap_or_default().to_owned())
}

#[track_caller]
fn assert_delivered(response: &Response, what: &str) {
    assert_eq!(
        verdict(response),
        (200, "delivered".to_owned()),
        "{what}: {}",
        response.text()
    );
}

#[track_caller]
fn assert_refused(response: &Response, status: u16, code: &str, what: &str) {
    assert_eq!(
        verdict(response),
        (status, code.to_owned()),
        "{what}: {}",
        response.text()
    );
}

/// The name under which the log knows the caller of a request.
#[track_caller]
fn caller_of(proxy: &Proxy, response: &Response) -> String {
    let id = response.header("X-Request-Id").unwrap().to_owned();
    let event = proxy.wait_for_log(|event| {
        log_message(event) == "request"
            && log_field(event, "request_id") == Some(&Value::from(id.clone()))
    });
    log_field(&event, "caller")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_token_opens_as_bearer_and_as_password() {
    let door = Door::open(&[("PROXY_TOKENS", &format!("ci={CI} deploy={DEPLOY}"))]);
    let cases = [
        (bearer(CI), "ci"),
        (format!("bearer {CI}"), "ci"),
        (format!("BEARER   {CI}"), "ci"),
        (basic("ci", CI), "ci"),
        // The user name is decoration: curl and CI systems insist on one.
        (basic("", CI), "ci"),
        (basic("deploy", CI), "ci"),
        (basic("ci", DEPLOY), "deploy"),
        (bearer(DEPLOY), "deploy"),
    ];

    for (header, name) in cases {
        let response = door.ask(
            message_path("demo", "hello there", &[]),
            &[("Authorization", &header)],
        );

        assert_delivered(&response, name);
        assert_eq!(caller_of(&door.proxy, &response), name);
    }
}

/// What it is, its header fields, its query.
type Attempt = (&'static str, Vec<(&'static str, String)>, String);

/// A1, A3: nothing is posted, and the answer does not say how near a guess was.
#[test]
fn bad_and_missing_credentials_are_refused_alike_on_every_form() {
    let door = Door::open(&[("PROXY_TOKENS", &format!("ci={CI}")), ("SIGNING_KEYS", KEY)]);
    let header = |value: &str| vec![("Authorization", value.to_owned())];
    let near = &CI[..CI.len() - 1];
    let cases: Vec<Attempt> = [
        ("nothing", vec![]),
        ("an empty header", header("")),
        ("a scheme alone", header("Bearer")),
        ("an empty secret", header("Bearer ")),
        ("the secret without a scheme", header(CI)),
        ("another scheme", header(&format!("Token {CI}"))),
        ("digest", header(&format!("Digest username={CI}"))),
        ("far off", header(&bearer("nowhere-near-anything"))),
        ("one character missing", header(&bearer(near))),
        ("one character more", header(&bearer(&format!("{CI}x")))),
        ("last character wrong", header(&bearer(&format!("{near}Z")))),
        ("another case", header(&bearer(&CI.to_lowercase()))),
        ("the name with it", header(&bearer(&format!("ci={CI}")))),
        ("two secrets", header(&bearer(&format!("{CI} {CI}")))),
        ("a signing key", header(&bearer(KEY))),
        (
            "the header twice",
            [header(&bearer(CI)), header(&bearer(CI))].concat(),
        ),
        (
            "good, then bad",
            [header(&bearer(CI)), header(&bearer("x"))].concat(),
        ),
        ("basic: as the user", header(&basic(CI, ""))),
        (
            "basic: no colon",
            header(&format!("Basic {}", STANDARD.encode(CI))),
        ),
        ("basic: not base64", header(&format!("Basic {CI}!!"))),
    ]
    .into_iter()
    .map(|(what, headers)| (what, headers, String::new()))
    .chain(
        [
            ("in the query, which is off", format!("token={CI}")),
            ("a signature of no form", "sig=x".to_owned()),
            ("an empty signature", "sig=".to_owned()),
            (
                "another key's signature",
                format!("sig={}", sign_channel(OLD_KEY, "0", "demo")),
            ),
        ]
        .map(|(what, query)| (what, vec![], query)),
    )
    .collect();
    let forms: [fn(&str) -> String; 3] = [
        |query| format!("/post/channel/demo/msg/must%20not%20arrive?{query}"),
        |query| b64_path("demo", "must not arrive", query),
        |query| query_path("demo", "must not arrive", query),
    ];
    let mut answers = Vec::new();

    for (what, headers, query) in &cases {
        for form in forms {
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let response = door.ask(form(query), &headers);
            assert_refused(&response, 401, "unauthorized", what);
            answers.push((what, without_ids(&response)));
        }
    }
    let barrier = door.ask_as(CI, message_path("demo", "this one arrives", &[]));

    let (_, first) = &answers[0];
    assert!(first.contains("www-authenticate: Bearer"), "{first}");
    for (what, answer) in &answers {
        assert_eq!(answer, first, "{what}");
    }
    assert_delivered(&barrier, "barrier");
    assert_eq!(door.proxy.stdout_line(), "[demo] this one arrives");
}

/// Head and body, without what differs between any two answers.
fn without_ids(response: &Response) -> String {
    let mut body = response.json();
    body.as_object_mut().unwrap().remove("id");
    let mut head: Vec<String> = response
        .headers
        .0
        .iter()
        .map(|(name, value)| (name.to_lowercase(), value))
        .filter(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date"))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    head.sort();
    format!("{}\n{body}\n{}", head.join("\n"), response.body.len())
}

/// A4: a token in the URL is off by default; where it is on, it is in no output, and answers keep it out of caches
/// and of `Referer`.
#[test]
fn a_token_in_the_query_counts_only_where_it_is_allowed() {
    let tokens = format!("ci={CI}");
    let target = message_path("demo", "with a token in the URL", &[("token", CI)]);
    let off = Door::open(&[("PROXY_TOKENS", &tokens)]);
    let on = Door::open(&[("PROXY_TOKENS", &tokens), ("ALLOW_QUERY_TOKEN", "true")]);

    let refused = off.ask(&target, &[]);
    let named = off.ask_as(CI, &target);
    let accepted = on.ask(&target, &[]);
    let wrong = on.ask(
        message_path(
            "demo",
            "with a wrong token",
            &[("token", "wrong-0123456789")],
        ),
        &[],
    );
    let header_rules = on.ask(&target, &[("Authorization", "Bearer wrong-0123456789")]);
    let metrics = on.proxy.get("/metrics").text();

    assert_refused(&refused, 401, "unauthorized", "off");
    assert_delivered(&named, "the header is what counts");
    assert_delivered(&accepted, "on");
    assert_eq!(caller_of(&on.proxy, &accepted), "ci");
    assert_refused(&wrong, 401, "unauthorized", "wrong");
    assert_refused(
        &header_rules,
        401,
        "unauthorized",
        "a bad header is not mended by the query",
    );
    for response in [&refused, &accepted, &wrong] {
        assert_eq!(response.header("Cache-Control"), Some("no-store"));
        assert_eq!(response.header("Referrer-Policy"), Some("no-referrer"));
        assert!(!response.text().contains(CI));
    }
    assert!(!metrics.contains(CI));
    let warned = |proxy: &Proxy| {
        proxy
            .logs()
            .iter()
            .any(|event| log_message(event).contains("ALLOW_QUERY_TOKEN"))
    };
    assert!(warned(&on.proxy) && !warned(&off.proxy));
}

/// A bad option or an unescaped `?` is the caller's mistake, whatever carries the credentials.
#[test]
fn credentials_in_the_query_count_although_the_rest_of_it_is_wrong() {
    let door = Door::open(&[
        ("PROXY_TOKENS", &format!("ci={CI}")),
        ("SIGNING_KEYS", KEY),
        ("ALLOW_QUERY_TOKEN", "true"),
    ]);
    let sig = format!("sig={}", sign_channel(KEY, "0", "demo"));

    for credentials in [format!("token={CI}"), sig] {
        for fault in ["level=purple", "ok", "title=a&title=b", "title=%FF"] {
            for query in [
                format!("{fault}&{credentials}"),
                format!("{credentials}&{fault}"),
            ] {
                let response = door.ask(format!("/post/channel/demo/msg/deployed?{query}"), &[]);
                assert_refused(&response, 400, "bad-option", fault);
            }
        }
    }
    let stranger = door.ask("/post/channel/demo/msg/deployed?level=purple", &[]);
    assert_refused(
        &stranger,
        401,
        "unauthorized",
        "who is nobody learns nothing about options",
    );
}

/// A2: a token's scope is checked on the destination that the channel resolves to.
#[test]
fn a_scoped_token_opens_its_destinations_under_any_spelling() {
    let [wide, by_id, prefixed] = [
        "wide-scope-0123456789",
        "by-id-scope-0123456789",
        "prefixed-scope-0123456789",
    ];
    let door = Door::open(&[
        (
            "CHANNELS",
            "deploys=console:build alerts=console:sirens both=console:build,console:sirens again=console:build",
        ),
        (
            "PROXY_TOKENS",
            &format!(
                "ci={CI} deploy@deploys={DEPLOY} wide@both={wide} by-id@build,lobby={by_id} prefixed@console:build={prefixed}"
            ),
        ),
    ]);
    let yes = (200, "delivered".to_owned());
    let no = (403, "forbidden".to_owned());
    // Spellings of one destination, of another one, of both, of one that only looks alike.
    let build = [
        "deploys",
        "%64eploys",
        "build",
        "%62uil%64",
        "console:build",
        "console%3Abuild",
        "again",
    ];
    let sirens = ["alerts", "sirens", "console:sirens", "%73irens"];
    let others = [
        "lobby",
        "Build",
        "deploys%20",
        "console:deploys",
        "console:console:build",
        "slack:build",
        "build,sirens",
    ];
    let mut got = Vec::new();
    let mut want = Vec::new();

    for (secret, opens_build, opens_sirens, opens_lobby) in [
        (CI, true, true, true),
        (DEPLOY, true, false, false),
        (wide, true, true, false),
        (by_id, true, false, true),
        (prefixed, true, false, false),
    ] {
        let both = [("both", opens_build && opens_sirens)];
        let channels = build
            .map(|channel| (channel, opens_build))
            .into_iter()
            .chain(sirens.map(|channel| (channel, opens_sirens)))
            .chain(both)
            .chain(
                others
                    .map(|channel| (channel, secret == CI || (channel == "lobby" && opens_lobby))),
            );
        for (channel, open) in channels {
            let case = format!("{} to {channel}", &secret[..4]);
            let response =
                door.ask_as(secret, format!("/post/channel/{channel}/msg/scoped%20post"));
            got.push((case.clone(), verdict(&response)));
            want.push((case, if open { yes.clone() } else { no.clone() }));
        }
    }

    assert_eq!(got, want);
    // Every delivery printed one line and nothing else did; `both` is two deliveries.
    let delivered = want.iter().map(|(case, word)| match word {
        word if *word == no => 0,
        _ if case.ends_with(" both") => 2,
        _ => 1,
    });
    let expected: usize = delivered.sum();
    for _ in 0..expected {
        door.proxy.stdout_line();
    }
    assert_eq!(door.proxy.stdout_so_far().len(), expected);
}

/// A2: a name and an id of one channel are one destination, in the token as in the URL.
#[test]
fn a_scope_by_name_opens_the_id_and_the_other_way_round() {
    let mattermost = Mattermost::start();
    let [builds, deploys] = ["builds", "deploys"].map(|name| mattermost.channel(name));
    let tokens = format!("by-name@acme/builds={CI} by-id@{builds}={DEPLOY}");
    let door = Door::start(
        setup(&[
            ("PROXY_TOKENS", &tokens),
            ("CHANNELS", &format!("here=mattermost:{builds}")),
        ])
        .with(&mattermost),
    );

    for secret in [CI, DEPLOY] {
        for channel in [
            builds.as_str(),
            "acme/builds",
            "mattermost:acme/builds",
            "here",
        ] {
            assert_delivered(
                &door.ask_as(secret, message_path(channel, "to the builds", &[])),
                channel,
            );
        }
        for channel in [
            deploys.as_str(),
            "acme/deploys",
            "acme/nowhere",
            "console:builds",
        ] {
            assert_refused(
                &door.ask_as(secret, message_path(channel, "not from here", &[])),
                403,
                "forbidden",
                channel,
            );
        }
    }

    assert_eq!(mattermost.posts().len(), 8);
    assert!(door.proxy.stdout_so_far().is_empty());
}

/// A2: an incoming webhook is the destination, not the alias that it stands under: neither the scope of a token nor the
/// limit of a channel counts it twice.
#[test]
fn two_aliases_of_one_webhook_are_one_destination() {
    let slack = Slack::start();
    let hook = slack.webhook_url();
    let channels = format!("builds=slack+{hook} same=slack+{hook} other=slack+{hook}x");
    let tokens = format!("ci={CI} deploy@builds={DEPLOY}");
    let door = Door::open(&[
        ("CHANNELS", &channels),
        ("PROXY_TOKENS", &tokens),
        ("RATE_LIMIT_CHANNEL", "2/h"),
    ]);
    let ask = |secret, alias| door.ask_as(secret, message_path(alias, "over a webhook", &[]));

    assert_delivered(&ask(DEPLOY, "builds"), "the alias of the token");
    assert_refused(&ask(DEPLOY, "other"), 403, "forbidden", "another webhook");
    let same = ask(DEPLOY, "same");

    assert_delivered(&same, "the same webhook under another alias");
    assert_eq!(same.json()["deliveries"][0]["channel"], "same");
    for alias in ["builds", "same"] {
        assert_refused(&ask(CI, alias), 429, "rate-limited", alias);
    }
}

/// A5: both secrets open while one replaces the other, and both are the same caller.
#[test]
fn several_secrets_may_carry_one_name() {
    let during = Door::open(&[("PROXY_TOKENS", &format!("ci={CI}  ci={CI_NEXT}"))]);
    let after = Door::open(&[("PROXY_TOKENS", &format!("ci={CI_NEXT}"))]);
    let target = message_path("demo", "rotating the secret", &[]);

    for secret in [CI, CI_NEXT] {
        let response = during.ask_as(secret, &target);
        assert_delivered(&response, "during the rotation");
        assert_eq!(caller_of(&during.proxy, &response), "ci");
    }
    assert_delivered(&after.ask_as(CI_NEXT, &target), "the new secret");
    assert_refused(
        &after.ask_as(CI, &target),
        401,
        "unauthorized",
        "the revoked secret",
    );
}

/// A platform that generates one value can give no name.
#[test]
fn a_secret_without_a_name_is_default() {
    let door = Door::open(&[("PROXY_TOKENS", CI)]);

    let response = door.ask_as(CI, message_path("demo", "from the default caller", &[]));

    assert_delivered(&response, "default");
    assert_eq!(caller_of(&door.proxy, &response), "default");
}

const TEXT: &str = "Straße 100% fertig / a+b & c\n\"zwei\" 🎉";

#[test]
fn a_signature_fits_all_three_forms_of_the_url() {
    let door = Door::open(&[("SIGNING_KEYS", KEY)]);
    let (channel, options) = ("team/town square", "level=error&title=Build+%2342");
    let one_channel = sign_channel(KEY, "0", channel);
    let one_message = sign_message(KEY, "0", channel, TEXT, &["level=error", "title=Build #42"]);

    for sig in [one_channel, one_message] {
        let query = format!("{options}&sig={sig}");
        let path = format!("{}?{query}", message_path(channel, TEXT, &[]));
        for target in [
            path,
            b64_path(channel, TEXT, &query),
            query_path(channel, TEXT, &query),
        ] {
            let response = door.ask(&target, &[]);
            assert_delivered(&response, &target);
            assert_eq!(caller_of(&door.proxy, &response), "signed");
        }
    }
}

#[test]
fn a_channel_signature_opens_any_message_with_any_option_but_token() {
    let door = Door::open(&[
        ("SIGNING_KEYS", KEY),
        ("PROXY_TOKENS", &format!("ci={CI}")),
        ("ALLOW_QUERY_TOKEN", "true"),
        ("CHANNELS", "deploys=console:build"),
    ]);
    let sig = sign_channel(KEY, "0", "build");
    let with = |channel: &str, query: &str| {
        door.ask(
            format!("/post/channel/{channel}/msg/any%20text%20at%20all?sig={sig}{query}"),
            &[],
        )
    };

    for query in [
        "",
        "&title=T&link=https://ci/1&level=info&as=CI&format=plain&wait=5",
        "&BUILD_ID=7",
        "&dry=1",
    ] {
        assert_eq!(with("build", query).status, 200, "{query}");
    }
    // What is signed is the channel as decoded: another spelling of the same bytes is the same channel.
    assert_eq!(with("b%75ild", "").status, 200);
    // Exactly this channel: neither another one, nor another name of the same one.
    for channel in [
        "buil",
        "builds",
        "Build",
        "build%20",
        "deploys",
        "console:build",
        "other",
    ] {
        assert_refused(&with(channel, ""), 401, "unauthorized", channel);
    }
    for token in [CI, "wrong-0123456789"] {
        assert_refused(
            &with("build", &format!("&token={token}")),
            401,
            "unauthorized",
            "token",
        );
    }
}

#[test]
fn a_message_signature_opens_exactly_this_message_and_these_options() {
    let door = Door::open(&[("SIGNING_KEYS", KEY)]);
    let sig = sign_message(
        KEY,
        "0",
        "demo",
        "signed text",
        &["as=CI", "level=error", "title=T"],
    );
    let (scope_and_exp, mac) = sig.rsplit_once('.').unwrap();
    assert_eq!((scope_and_exp, mac.len()), ("m.0", 43));
    let good = "/post/channel/demo/msg/signed%20text?as=CI&level=error&title=T";
    let ask = |target: &str, sig: &str| door.ask(format!("{target}&sig={sig}"), &[]);

    for (what, target) in [
        ("as it is", good),
        (
            "another order",
            "/post/channel/demo/msg/signed%20text?title=T&as=CI&level=error",
        ),
        (
            "other escapes",
            "/post/channel/%64emo/msg/signed%20te%78t?%74itle=%54&as=CI&level=error",
        ),
        (
            "a name that is no option",
            "/post/channel/demo/msg/signed%20text?BUILD_ID=7&as=CI&level=error&title=T&x=",
        ),
    ] {
        assert_delivered(&ask(target, &sig), what);
    }
    for (what, target) in [
        (
            "channel",
            "/post/channel/demo2/msg/signed%20text?as=CI&level=error&title=T",
        ),
        (
            "message",
            "/post/channel/demo/msg/signed%20texts?as=CI&level=error&title=T",
        ),
        (
            "white space of the message",
            "/post/channel/demo/msg/signed%20text%20?as=CI&level=error&title=T",
        ),
        (
            "an option's value",
            "/post/channel/demo/msg/signed%20text?as=CI&level=info&title=T",
        ),
        (
            "an option more",
            "/post/channel/demo/msg/signed%20text?as=CI&level=error&title=T&wait=10",
        ),
        (
            "an option less",
            "/post/channel/demo/msg/signed%20text?as=CI&level=error",
        ),
        (
            "swapped values",
            "/post/channel/demo/msg/signed%20text?as=T&level=error&title=CI",
        ),
        (
            "the message's border",
            "/post/channel/demo/msg/signed?as=CI&level=error&title=T",
        ),
    ] {
        assert_refused(&ask(target, &sig), 401, "unauthorized", what);
    }
    let first = mac.chars().next().unwrap();
    let other = if first == 'A' { 'B' } else { 'A' };
    for (what, sig) in [
        ("expiry", format!("m.{}.{mac}", in_an_hour())),
        ("expiry as 00", format!("m.00.{mac}")),
        ("scope", format!("c.0.{mac}")),
        ("no such scope", format!("x.0.{mac}")),
        ("upper-case scope", format!("M.0.{mac}")),
        ("mac", format!("m.0.{other}{}", &mac[1..])),
        ("mac cut", format!("m.0.{}", &mac[..42])),
        ("mac of nothing", "m.0.".to_owned()),
        ("mac with padding", format!("m.0.{mac}%3D")),
        ("a field more", format!("m.0.{mac}.{mac}")),
        ("negative expiry", format!("m.-1.{mac}")),
        ("no expiry", format!("m..{mac}")),
    ] {
        assert_refused(&ask(good, &sig), 401, "unauthorized", what);
    }
}

/// The token option is covered like any other; under `m` the signer has allowed it.
#[test]
fn a_message_signature_covers_a_token_option() {
    let door = Door::open(&[("SIGNING_KEYS", KEY)]);
    let sig = sign_message(KEY, "0", "demo", "with a token", &["token=abc"]);

    let whole = door.ask(
        message_path("demo", "with a token", &[("token", "abc"), ("sig", &sig)]),
        &[],
    );
    let other = door.ask(
        message_path("demo", "with a token", &[("token", "abd"), ("sig", &sig)]),
        &[],
    );

    assert_delivered(&whole, "as signed");
    assert_refused(&other, 401, "unauthorized", "changed");
}

fn in_an_hour() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
        + 3600
}

#[test]
fn an_expired_signature_is_told_so_and_a_forged_one_is_not() {
    let door = Door::open(&[("SIGNING_KEYS", KEY)]);
    let future = in_an_hour().to_string();
    let ask = |sig: &str| {
        door.ask(
            message_path("demo", "until it expires", &[("sig", sig)]),
            &[],
        )
    };
    let scopes: [fn(&str, &str) -> String; 2] = [
        |key, exp| sign_channel(key, exp, "demo"),
        |key, exp| sign_message(key, exp, "demo", "until it expires", &[]),
    ];

    for sign in scopes {
        assert_delivered(&ask(&sign(KEY, "0")), "never");
        assert_delivered(&ask(&sign(KEY, &future)), "future");
        assert_delivered(&ask(&sign(KEY, "253402300800")), "the year 10000");
        assert_refused(&ask(&sign(KEY, "1")), 403, "signature-expired", "1970");
        assert_refused(
            &ask(&sign(KEY, "1700000000")),
            403,
            "signature-expired",
            "2023",
        );
        // Only a genuine signature learns that its time is over.
        assert_refused(
            &ask(&sign(OLD_KEY, "1")),
            401,
            "unauthorized",
            "forged and expired",
        );
        // The time of a genuine one cannot be moved.
        let moved = sign(KEY, "1").replacen(".1.", &format!(".{future}."), 1);
        assert_refused(&ask(&moved), 401, "unauthorized", "moved");
    }
}

#[test]
fn every_signing_key_verifies() {
    let keys = format!("{KEY} {OLD_KEY}");
    let during = Door::open(&[("SIGNING_KEYS", &keys)]);
    let after = Door::open(&[("SIGNING_KEYS", KEY)]);
    let with = |key: &str| {
        message_path(
            "demo",
            "rotating the key",
            &[("sig", &sign_channel(key, "0", "demo"))],
        )
    };

    assert_delivered(&during.ask(with(KEY), &[]), "the first key");
    assert_delivered(&during.ask(with(OLD_KEY), &[]), "the older key");
    assert_delivered(&after.ask(with(KEY), &[]), "the key that is left");
    assert_refused(
        &after.ask(with(OLD_KEY), &[]),
        401,
        "unauthorized",
        "the key that is gone",
    );
}

/// Tokens and keys do not open each other's doors.
#[test]
fn with_keys_alone_no_token_opens() {
    let door = Door::open(&[("SIGNING_KEYS", KEY), ("ALLOW_QUERY_TOKEN", "true")]);
    let target = message_path("demo", "no token here", &[]);

    for header in [bearer(""), bearer(KEY), basic("", "")] {
        let response = door.ask(&target, &[("Authorization", &header)]);
        assert_refused(&response, 401, "unauthorized", &header);
    }
    assert_refused(
        &door.ask(message_path("demo", "no token here", &[("token", "")]), &[]),
        401,
        "unauthorized",
        "empty token",
    );
}

#[test]
fn without_tokens_and_keys_posting_is_open_on_loopback() {
    let door = Door::open(&[]);

    let response = door.ask(message_path("demo", "from anybody", &[]), &[]);
    let with_a_header = door.ask_as(
        "nobody-checks-this-one",
        message_path("demo", "from anybody", &[]),
    );

    assert_delivered(&response, "open");
    assert_eq!(caller_of(&door.proxy, &response), "anonymous");
    assert_delivered(&with_a_header, "a credential that nobody asked for");
}

/// A3, C5: guessing slows the guesser down and nobody else.
#[test]
fn bad_credentials_slow_their_address_down_and_good_ones_still_pass() {
    let door = Door::open(&[("PROXY_TOKENS", &format!("ci={CI}")), ("SIGNING_KEYS", KEY)]);
    let target = message_path("demo", "who is there", &[]);
    let (guesser, bystander) = ("203.0.113.7", "203.0.113.8");
    let bad: &[(&str, &str)] = &[("Authorization", "Bearer wrong-0123456789")];
    let good: &[(&str, &str)] = &[("Authorization", &bearer(CI))];

    let guesses: Vec<Response> = (0..40)
        .map(|_| door.ask_from(guesser, &target, bad))
        .collect();
    let further = [
        ("bad", door.ask_from(guesser, &target, bad)),
        ("missing", door.ask_from(guesser, &target, &[])),
        (
            "a bad signature",
            door.ask_from(
                guesser,
                message_path("demo", "who is there", &[("sig", "c.0.xx")]),
                &[],
            ),
        ),
        (
            "behind a forged prefix",
            door.ask_from(&format!("198.51.100.1, {guesser}"), &target, bad),
        ),
    ];
    let passes = door.ask_from(guesser, &target, good);
    let signed = door.ask_from(
        guesser,
        message_path(
            "demo",
            "who is there",
            &[("sig", &sign_channel(KEY, "0", "demo"))],
        ),
        &[],
    );

    assert_refused(&guesses[0], 401, "unauthorized", "the first guess");
    for (what, response) in further {
        assert_refused(&response, 429, "rate-limited", what);
        let seconds: u64 = response.header("Retry-After").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{what}: {seconds}");
        let limit = response.header("RateLimit").unwrap();
        assert_eq!(limit, format!("\"caller\";r=0;t={seconds}"), "{what}");
    }
    assert_delivered(&passes, "good credentials always pass");
    assert_delivered(&signed, "so do good signatures");
    for (what, headers) in [("bad", bad), ("missing", &[])] {
        assert_refused(
            &door.ask_from(bystander, &target, headers),
            401,
            "unauthorized",
            what,
        );
    }
    assert_delivered(&door.ask_from(bystander, &target, good), "a bystander");
}

/// C5: who writes another's address into the header does not get that one limited.
#[test]
fn forged_addresses_do_not_get_their_owners_slowed_down() {
    let door = Door::open(&[("PROXY_TOKENS", &format!("ci={CI}"))]);
    let target = message_path("demo", "who is there", &[]);
    let bad: &[(&str, &str)] = &[("Authorization", "Bearer wrong-0123456789")];
    let victim = "198.51.100.1";

    for _ in 0..40 {
        door.ask_from(&format!("{victim}, 203.0.113.7"), &target, bad);
    }

    assert_refused(
        &door.ask_from(victim, &target, bad),
        401,
        "unauthorized",
        "the victim",
    );
}

/// Asking without credentials is what a monitor does; it does not count as guessing.
#[test]
fn missing_credentials_alone_slow_nobody_down() {
    let door = Door::open(&[("PROXY_TOKENS", &format!("ci={CI}"))]);
    let target = message_path("demo", "who is there", &[]);

    for _ in 0..40 {
        let response = door.ask_from("203.0.113.7", &target, &[]);
        assert_refused(&response, 401, "unauthorized", "missing");
    }
}

/// Whether two spellings mean one channel only the platform knows: while it is away nobody is told "never".
#[test]
fn a_scope_that_cannot_be_looked_up_is_no_refusal() {
    let mattermost = Mattermost::start();
    let builds = mattermost.channel("builds");
    let tokens = format!("by-name@mattermost:acme/builds={CI} by-id@mattermost:{builds}={DEPLOY}");
    let door = Door::start(setup(&[("PROXY_TOKENS", &tokens)]).with(&mattermost).set(
        "MATTERMOST_URL",
        format!("http://{}", Upstream::refused_addr()),
    ));

    for (secret, channel) in [(CI, builds.as_str()), (DEPLOY, "acme/builds")] {
        let answer = door.ask_as(secret, message_path(channel, "is it mine", &[]));

        assert_refused(&answer, 503, "backend-unavailable", channel);
        assert!(answer.header("Retry-After").is_some(), "{channel}");
    }
}

/// A1: `/metrics` is no place to guess at.
#[test]
fn guesses_at_the_metrics_slow_their_address_down_too() {
    let door = Door::open(&[
        ("PROXY_TOKENS", &format!("ci={CI}")),
        ("METRICS_TOKEN", "a-secret-of-the-scraper"),
    ]);
    let guesser = "203.0.113.7";
    let guess = || {
        let bad = [
            ("Authorization", "Bearer wrong-0123456789"),
            ("X-Forwarded-For", guesser),
        ];
        door.proxy.request("GET", "/metrics", &bad).status
    };

    let guesses: Vec<u16> = (0..30).map(|_| guess()).collect();
    let good = [
        ("Authorization", "Bearer a-secret-of-the-scraper"),
        ("X-Forwarded-For", guesser),
    ];
    let scraped = door.proxy.request("GET", "/metrics", &good);

    assert_eq!((guesses[0], guesses[29]), (401, 429));
    assert_eq!(scraped.status, 200);
}
