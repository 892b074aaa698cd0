//! Contract section 3: how many posts are let in, and whose they are counted as.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::support::{Connection, Mattermost, Proxy, Response, Slack, message_path};

const CI: &str = "Kq3vT8wZpL5nX2rY";
const CI_NEXT: &str = "uH7cB4mJ9sD6fG1a";
const DEPLOY: &str = "eW2yN8xQ5tR4vP7z";
const KEY: &str = "3f9a1c7be2d84056a1b7c3d9e5f20864";

/// A proxy behind one trusted hop, with all limits off but those of `env`.
#[track_caller]
fn start(env: &[(&str, &str)]) -> Proxy {
    let defaults = [
        ("TRUSTED_PROXY_HOPS", "1"),
        ("RATE_LIMIT_CALLER", "off"),
        ("RATE_LIMIT_CHANNEL", "off"),
        ("RATE_LIMIT_GLOBAL", "off"),
    ];
    Proxy::start(&[&defaults, env].concat())
}

#[track_caller]
fn post_from(proxy: &Proxy, address: &str, channel: &str) -> Response {
    let target = format!("/post/channel/{channel}/msg/how%20many%20more");
    proxy.request("POST", target, &[("X-Forwarded-For", address)])
}

#[track_caller]
fn post_as(proxy: &Proxy, secret: &str, address: &str, channel: &str) -> Response {
    let target = format!("/post/channel/{channel}/msg/how%20many%20more");
    let bearer = format!("Bearer {secret}");
    proxy.request(
        "POST",
        target,
        &[("Authorization", &bearer), ("X-Forwarded-For", address)],
    )
}

#[track_caller]
fn assert_limited(response: &Response, policy: &str) {
    assert_eq!(
        (response.status, response.json()["code"].as_str()),
        (429, Some("rate-limited")),
        "{}",
        response.text()
    );
    let wait: u64 = response
        .header("Retry-After")
        .expect("no Retry-After")
        .parse()
        .unwrap();
    assert!(wait >= 1, "{wait}");
    let (remaining, reset) = standing(response)[policy];
    assert_eq!((remaining, reset), (0, wait), "{policy}");
}

/// `RateLimit: "caller";r=2;t=30` as policy to (r, t).
#[track_caller]
fn standing(response: &Response) -> HashMap<String, (u64, u64)> {
    items(response, "RateLimit", ["r", "t"])
}

/// `RateLimit-Policy: "caller";q=120;w=60` as policy to (q, w).
#[track_caller]
fn policy(response: &Response) -> HashMap<String, (u64, u64)> {
    items(response, "RateLimit-Policy", ["q", "w"])
}

#[track_caller]
fn items(response: &Response, field: &str, names: [&str; 2]) -> HashMap<String, (u64, u64)> {
    let Some(text) = response.header(field) else {
        return HashMap::new();
    };
    let item = |item: &str| {
        let mut parts = item.trim().split(';');
        let policy = parts.next()?.strip_prefix('"')?.strip_suffix('"')?;
        let mut number = |name| {
            parts
                .next()?
                .strip_prefix(name)?
                .strip_prefix('=')?
                .parse()
                .ok()
        };
        Some((policy.to_owned(), (number(names[0])?, number(names[1])?)))
    };
    let parsed = text
        .split(',')
        .map(|text| item(text).unwrap_or_else(|| panic!("{field}: {text}")));
    parsed.collect()
}

#[track_caller]
fn remaining(response: &Response, policy: &str) -> u64 {
    assert_eq!(response.status, 200, "{}", response.text());
    standing(response)[policy].0
}

/// C3: the name is the caller. Its other secrets and addresses share its limit, and nobody else does.
#[test]
fn a_caller_is_counted_by_the_name_of_its_token() {
    let tokens = format!("ci={CI} ci={CI_NEXT} deploy={DEPLOY}");
    let proxy = start(&[("PROXY_TOKENS", &tokens), ("RATE_LIMIT_CALLER", "3/h")]);

    let first: Vec<u64> = [(CI, "192.0.2.1"), (CI_NEXT, "192.0.2.1"), (CI, "192.0.2.2")]
        .map(|(secret, address)| remaining(&post_as(&proxy, secret, address, "demo"), "caller"))
        .to_vec();

    assert_eq!(first, [2, 1, 0]);
    for (secret, address) in [(CI, "192.0.2.1"), (CI_NEXT, "192.0.2.3")] {
        assert_limited(&post_as(&proxy, secret, address, "other"), "caller");
    }
    assert_eq!(
        remaining(&post_as(&proxy, DEPLOY, "192.0.2.1", "demo"), "caller"),
        2
    );
}

/// C1, C3: without a token's name the address is the caller; IPv6 by /64, which is what one customer gets.
#[test]
fn a_caller_without_a_name_is_counted_by_its_address() {
    let proxy = start(&[("RATE_LIMIT_CALLER", "1/h")]);
    let one_caller = [
        vec![
            "192.0.2.1",
            "::ffff:192.0.2.1",
            "192.0.2.1:4711",
            "9.9.9.9, 192.0.2.1",
            "nonsense,,192.0.2.1",
        ],
        vec![
            "2001:db8:0:1::1",
            "2001:db8:0:1:ffff:ffff:ffff:ffff",
            "[2001:db8:0:1::2]:443",
            "[2001:db8:0:1::3]",
        ],
        vec!["2001:db8:0:2::1"],
        vec!["192.0.2.2"],
        // What cannot be read is the connection's own address, as is nothing at all.
        vec!["unknown", "192.0.2.999", "192.0.2.3,", "127.0.0.1"],
    ];

    for addresses in one_caller {
        let (first, others) = addresses.split_first().unwrap();
        assert_eq!(
            remaining(&post_from(&proxy, first, "demo"), "caller"),
            0,
            "{first}"
        );
        for other in others {
            assert_limited(&post_from(&proxy, other, "demo"), "caller");
        }
    }
    assert_limited(
        &proxy.post("/post/channel/demo/msg/how%20many%20more"),
        "caller",
    );
}

#[test]
fn a_signed_caller_is_counted_by_its_address() {
    let proxy = start(&[("SIGNING_KEYS", KEY), ("RATE_LIMIT_CALLER", "1/h")]);
    let target = signed("how many more");
    let from = |address: &str| proxy.request("POST", &target, &[("X-Forwarded-For", address)]);

    assert_eq!(remaining(&from("192.0.2.1"), "caller"), 0);
    assert_limited(&from("192.0.2.1"), "caller");
    assert_eq!(remaining(&from("192.0.2.2"), "caller"), 0);
}

fn signed(message: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(b"v1\nc\n0\ndemo");
    let sig = format!(
        "c.0.{}",
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    );
    message_path("demo", message, &[("sig", &sig)])
}

/// Header fields of one request.
type Fields = &'static [(&'static str, &'static str)];

/// C1: the address is the n-th from the right; what a caller can write itself decides nothing.
#[test]
fn forged_addresses_do_not_change_who_is_counted() {
    // Hops, then what is sent in turn: all of it is one caller.
    let cases: [(&str, &[Fields]); 3] = [
        (
            "0",
            &[
                &[],
                &[("X-Forwarded-For", "192.0.2.1")],
                &[("X-Forwarded-For", "192.0.2.2, 192.0.2.3")],
                &[
                    ("Forwarded", "for=192.0.2.4"),
                    ("X-Real-IP", "192.0.2.5"),
                    ("True-Client-IP", "192.0.2.6"),
                ],
            ],
        ),
        (
            "1",
            &[
                &[("X-Forwarded-For", "192.0.2.1")],
                &[("X-Forwarded-For", "198.51.100.1, 192.0.2.1")],
                &[
                    ("X-Forwarded-For", "198.51.100.2"),
                    ("X-Forwarded-For", "192.0.2.1"),
                ],
                &[
                    ("Forwarded", "for=198.51.100.3"),
                    ("X-Forwarded-For", "192.0.2.1"),
                ],
            ],
        ),
        (
            "2",
            &[
                &[("X-Forwarded-For", "192.0.2.1, 203.0.113.1")],
                &[("X-Forwarded-For", "198.51.100.1, 192.0.2.1, 203.0.113.2")],
                &[
                    ("X-Forwarded-For", "198.51.100.2, 192.0.2.1"),
                    ("X-Forwarded-For", "203.0.113.3"),
                ],
            ],
        ),
    ];

    for (hops, requests) in cases {
        let proxy = start(&[("TRUSTED_PROXY_HOPS", hops), ("RATE_LIMIT_CALLER", "1/h")]);
        for (at, headers) in requests.iter().enumerate() {
            let response =
                proxy.request("POST", "/post/channel/demo/msg/how%20many%20more", headers);
            let expected = if at == 0 { 200 } else { 429 };
            assert_eq!(response.status, expected, "{hops} hops: {headers:?}");
        }
    }
}

/// C3: a channel is what an alias, an id and an escaped id resolve to; other channels have limits of their own.
#[test]
fn a_channel_is_counted_by_its_destination() {
    let proxy = start(&[
        (
            "CHANNELS",
            "deploys=console:build both=console:build,console:sirens",
        ),
        ("RATE_LIMIT_CHANNEL", "4/h"),
    ]);
    let post = |channel: &str| post_from(&proxy, "192.0.2.1", channel);

    let counted = ["deploys", "build", "console:build", "b%75ild"]
        .map(|channel| remaining(&post(channel), "channel"));

    assert_eq!(counted, [3, 2, 1, 0]);
    for channel in ["deploys", "build", "both"] {
        assert_limited(&post(channel), "channel");
    }
    assert_eq!(remaining(&post("sirens"), "channel"), 3);
}

#[test]
fn the_global_limit_counts_all_callers_and_channels() {
    let tokens = format!("ci={CI} deploy={DEPLOY}");
    let proxy = start(&[("PROXY_TOKENS", &tokens), ("RATE_LIMIT_GLOBAL", "3/h")]);

    let counted = [(CI, "a"), (DEPLOY, "a"), (CI, "b")].map(|(secret, channel)| {
        remaining(&post_as(&proxy, secret, "192.0.2.1", channel), "global")
    });

    assert_eq!(counted, [2, 1, 0]);
    assert_limited(&post_as(&proxy, DEPLOY, "192.0.2.2", "c"), "global");
}

/// C3: a caller that is over its limit uses up nothing that others need.
#[test]
fn a_refused_caller_takes_nothing_from_the_channel_and_from_everybody() {
    let tokens = format!("ci={CI} deploy={DEPLOY}");
    let proxy = start(&[
        ("PROXY_TOKENS", &tokens),
        ("RATE_LIMIT_CALLER", "2/h"),
        ("RATE_LIMIT_CHANNEL", "4/h"),
        ("RATE_LIMIT_GLOBAL", "4/h"),
    ]);

    let first = [0, 0].map(|_| post_as(&proxy, CI, "192.0.2.1", "demo").status);
    let storm: Vec<u16> = (0..20)
        .map(|_| post_as(&proxy, CI, "192.0.2.1", "demo").status)
        .collect();
    let strangers: Vec<u16> = (0..20)
        .map(|_| post_as(&proxy, "wrong-0123456789", "192.0.2.9", "demo").status)
        .collect();
    let others = [0, 0].map(|_| post_as(&proxy, DEPLOY, "192.0.2.1", "demo").status);

    assert_eq!(first, [200, 200]);
    assert!(storm.iter().all(|status| *status == 429), "{storm:?}");
    assert!(
        strangers.iter().all(|status| [401, 429].contains(status)),
        "{strangers:?}"
    );
    assert_eq!(others, [200, 200]);
}

/// C6: N is the burst; then `Retry-After` is whole seconds, at least 1, rounded up.
#[test]
fn n_posts_pass_at_once_and_the_next_one_is_told_when() {
    // The limit, its quota and window, and the longest wait that is true: one period's N-th part, rounded up.
    for (limit, count, window, longest) in [
        ("5/s", 5, 1, 1),
        ("4/m", 4, 60, 15),
        ("3/h", 3, 3600, 1200),
        ("7/h", 7, 3600, 515),
    ] {
        let proxy = start(&[("RATE_LIMIT_CHANNEL", limit)]);
        let mut connection = proxy.connect();
        // All in one write, so that they arrive at once.
        let request =
            "POST /post/channel/demo/msg/how%20many%20more HTTP/1.1\r\nHost: proxy\r\n\r\n";
        connection.send(request.repeat(count as usize + 1).as_bytes());
        let mut answers: Vec<Response> = (0..=count).map(|_| connection.read_response()).collect();
        let last = answers.pop().unwrap();

        let counted: Vec<u64> = answers
            .iter()
            .map(|response| remaining(response, "channel"))
            .collect();
        let down: Vec<u64> = (0..count).rev().collect();
        assert_eq!(counted, down, "{limit}");
        assert_limited(&last, "channel");
        let wait: u64 = last.header("Retry-After").unwrap().parse().unwrap();
        assert!(wait <= longest && wait + 5 >= longest, "{limit}: {wait}");
        assert!(
            last.json()["detail"]
                .as_str()
                .unwrap()
                .contains("RATE_LIMIT_CHANNEL"),
            "{}",
            last.text()
        );
        let expected = HashMap::from([("channel".to_owned(), (count, window))]);
        assert!(
            answers
                .iter()
                .chain([&last])
                .all(|response| policy(response) == expected),
            "{limit}"
        );
    }
}

#[test]
fn answers_to_posts_name_all_three_policies_and_their_defaults() {
    let proxy = Proxy::start(&[]);

    let delivered = proxy.post("/post/channel/demo/msg/with%20the%20defaults");
    let dry = proxy.post("/post/channel/demo/msg/with%20the%20defaults?dry=1");
    let mistaken = proxy.post("/post/channel/demo/msg/with%20the%20defaults?level=purple");
    let elsewhere = proxy.get("/health");

    let defaults = [
        ("caller", (120, 60)),
        ("channel", (60, 60)),
        ("global", (100, 1)),
    ];
    let defaults: HashMap<_, _> = defaults
        .map(|(name, quota)| (name.to_owned(), quota))
        .into();
    for response in [&delivered, &dry, &mistaken] {
        assert_eq!(policy(response), defaults, "{}", response.status);
    }
    assert_eq!(remaining(&delivered, "caller"), 119);
    assert_eq!(remaining(&delivered, "channel"), 59);
    assert_eq!(remaining(&delivered, "global"), 99);
    assert_eq!(
        standing(&mistaken).keys().collect::<Vec<_>>(),
        ["caller"],
        "what it had used when it was refused"
    );
    assert_eq!(
        (
            elsewhere.header("RateLimit"),
            elsewhere.header("RateLimit-Policy")
        ),
        (None, None)
    );
}

#[test]
fn off_is_no_limit_and_no_header() {
    let proxy = start(&[]);
    let mut connection = proxy.connect();
    let request = "POST /post/channel/demo/msg/how%20many%20more HTTP/1.1\r\nHost: proxy\r\n\r\n";

    // More than the default of any limit.
    connection.send(request.repeat(300).as_bytes());
    let answers: Vec<Response> = (0..300).map(|_| connection.read_response()).collect();

    for response in answers {
        assert_eq!(response.status, 200);
        assert_eq!(
            (
                response.header("RateLimit"),
                response.header("RateLimit-Policy")
            ),
            (None, None)
        );
    }
}

/// A post that is refused for what it is does not use up the channel's quota.
#[test]
fn a_mistake_costs_the_caller_and_not_the_channel() {
    let proxy = start(&[("RATE_LIMIT_CALLER", "4/h"), ("RATE_LIMIT_CHANNEL", "4/h")]);

    let blank = post_blank(&proxy);
    let good = post_from(&proxy, "127.0.0.1", "demo");

    assert_eq!(blank.status, 400);
    assert_eq!(
        (remaining(&good, "caller"), remaining(&good, "channel")),
        (2, 3)
    );
}

#[track_caller]
fn post_blank(proxy: &Proxy) -> Response {
    proxy.post("/post/channel/demo/msg/%20")
}

/// C2: memory is bounded however many addresses call, and a token is counted as exactly as before.
/// (Ten million addresses, without the sockets: the unit tests of `src/http/limit`.)
#[test]
fn a_hundred_thousand_addresses_cost_no_memory() {
    const ADDRESSES: u32 = 100_000;
    // 8 bytes for each address would be more than this.
    const GROWTH_KIB: u64 = 768;
    const WARM_UP: u32 = 4_000;
    const AT_ONCE: u32 = 100;
    let tokens = format!("ci={CI}");
    let proxy = start(&[
        ("PROXY_TOKENS", &tokens),
        ("SIGNING_KEYS", KEY),
        ("RATE_LIMIT_CALLER", "5/h"),
        // Only the line that says where it listens.
        ("RUST_LOG", "error,message_webhook_proxy::cli=info"),
    ]);
    // The one fills the callers' cells, the other those of bad credentials; neither posts.
    let refused = [
        format!("POST {} HTTP/1.1\r\nHost: p\r\n", signed(" ")),
        "POST /post/channel/demo/msg/no HTTP/1.1\r\nHost: p\r\nAuthorization: x\r\n".to_owned(),
    ];
    let refuse = |connection: &mut Connection, addresses: Range<u32>| {
        let request = |n: u32| {
            let address = Ipv4Addr::from(0x0a00_0000 + n);
            format!(
                "{}X-Forwarded-For: {address}\r\n\r\n",
                refused[n as usize % 2]
            )
        };
        for first in addresses.step_by(AT_ONCE as usize) {
            let batch: String = (first..first + AT_ONCE).map(request).collect();
            connection.send(batch.as_bytes());
            for _ in 0..AT_ONCE {
                let status = connection.read_response().status;
                assert!([400, 401, 429].contains(&status), "{status}");
            }
        }
    };
    // One for each core of a small machine.
    let mut connections = [proxy.connect(), proxy.connect()];
    let mut storm = |addresses: Range<u32>| {
        let half = addresses.start.midpoint(addresses.end);
        let [first, second] = &mut connections;
        std::thread::scope(|scope| {
            scope.spawn(|| refuse(first, addresses.start..half));
            refuse(second, half..addresses.end);
        });
    };
    let before = [0, 0].map(|_| remaining(&post_as(&proxy, CI, "192.0.2.1", "demo"), "caller"));

    storm(0..WARM_UP);
    let small = proxy.rss_kib();
    storm(WARM_UP..ADDRESSES);
    let large = proxy.rss_kib();
    let after = remaining(&post_as(&proxy, CI, "192.0.2.1", "demo"), "caller");

    assert!(
        large <= small + GROWTH_KIB,
        "{small} KiB before, {large} KiB after"
    );
    assert_eq!((before, after), ([4, 3], 2));
}

/// C3: a token that does not open a channel cannot use up what others may post there.
#[test]
fn who_may_not_post_uses_up_no_limit_of_others() {
    let tokens = format!("ci={CI} deploy@deploys={DEPLOY}");
    let proxy = start(&[
        ("PROXY_TOKENS", &tokens),
        ("CHANNELS", "deploys=console:alpha other=console:gamma"),
        ("RATE_LIMIT_CHANNEL", "2/h"),
        ("RATE_LIMIT_GLOBAL", "2/h"),
    ]);

    let forbidden = [(); 4].map(|()| post_as(&proxy, DEPLOY, "10.0.0.1", "other").status);
    let let_in = [(); 2].map(|()| post_as(&proxy, CI, "10.0.0.1", "other").status);
    let refused = post_as(&proxy, CI, "10.0.0.1", "other");

    assert_eq!(forbidden, [403; 4]);
    assert_eq!(let_in, [200; 2]);
    assert_limited(&refused, "channel");
}

/// A budget belongs to a destination and not to its spelling.
#[test]
fn spellings_of_a_channel_share_its_limit() {
    let (mattermost, slack) = (Mattermost::start(), Slack::start());
    let builds = mattermost.channel("builds");
    let ops = slack.channel("ops");
    let proxy = Proxy::setup()
        .with(&mattermost)
        .with(&slack)
        .set("RATE_LIMIT_CHANNEL", "2/h")
        .start();
    let statuses = |spellings: &[&str]| -> Vec<u16> {
        let post = |channel: &&str| proxy.post(message_path(channel, "one more", &[])).status;
        spellings.iter().map(post).collect()
    };

    // A spelling that was not looked up yet counts for the name, whatever its case, and then for the id as well.
    let by_name = statuses(&["mattermost:acme/builds", "mattermost:acme/BUILDS"]);
    let by_id = statuses(&[
        &format!("mattermost:{builds}"),
        "mattermost:acme/builds",
        &builds,
    ]);
    let of_slack = statuses(&[
        "slack:#ops",
        "slack:ops",
        "slack:#OPS",
        &format!("slack:{ops}"),
    ]);

    assert_eq!(by_name, [200, 200]);
    assert_eq!(by_id, [429, 429, 429]);
    assert_eq!(of_slack, [200, 200, 429, 429]);
    assert_eq!((mattermost.posts().len(), slack.posts().len()), (2, 2));
}

/// The post that looks a name up counts for the channel that it turns out to be, and is refused where that has no
/// budget left.
#[test]
fn a_name_that_is_looked_up_counts_for_its_channel() {
    let mattermost = Mattermost::start();
    let builds = mattermost.channel("builds");
    let start = || {
        Proxy::setup()
            .with(&mattermost)
            .set("RATE_LIMIT_CHANNEL", "2/h")
            .start()
    };
    let post = |proxy: &Proxy, channel: &str| proxy.post(message_path(channel, "again", &[]));

    let proxy = start();
    let by_name = [(); 3].map(|()| post(&proxy, "acme/builds").status);
    let proxy = start();
    let by_id = [(); 2].map(|()| post(&proxy, &builds).status);
    let late = post(&proxy, "acme/builds");

    assert_eq!(by_name, [200, 200, 429]);
    assert_eq!(by_id, [200, 200]);
    assert_limited(&late, "channel");
    assert_eq!(mattermost.posts().len(), 4);
}

/// Of two destinations one has nothing left: its policy is listed once.
#[test]
fn a_policy_is_listed_once() {
    let proxy = start(&[
        ("CHANNELS", "both=console:alpha,console:gamma"),
        ("RATE_LIMIT_CHANNEL", "1/h"),
    ]);

    let first = post_from(&proxy, "10.0.0.1", "console:gamma");
    let refused = post_from(&proxy, "10.0.0.1", "both");

    assert_eq!(first.status, 200);
    assert_limited(&refused, "channel");
    let header = refused.header("RateLimit").unwrap();
    assert_eq!(header.matches("channel").count(), 1, "{header}");
}
