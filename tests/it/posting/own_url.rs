//! B9: a message that holds the URL of a post, where GET posts: what a chat server fetches to show a preview posts nothing.

use serde_json::{Value, json};

use crate::support::{
    Mattermost, Platforms, Proxy, Response, Setup, Upstream, percent_encode, printed, printed_for,
    unlimited,
};

/// What the fake chat servers' names lead to is the proxy under test.
const HOST: &str = "proxy.example.org";
const BREAKS: [char; 2] = ['\u{200B}', '\u{2060}'];
/// An agent that does not say that it makes a preview.
const AGENT: [(&str, &str); 1] = [(
    "User-Agent",
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
)];

/// How a post's URL may be written; the path follows.
const SPELLINGS: &[&str] = &[
    "https://proxy.example.org{}",
    "http://proxy.example.org{}",
    "HTTPS://Proxy.Example.ORG{}",
    "https://proxy.example.org:443{}",
    "http://proxy.example.org:80{}",
    "https://proxy.example.org.{}",
    "proxy.example.org{}",
    "Proxy.example.org:443{}",
    "see:https://proxy.example.org{}",
    "<https://proxy.example.org{}>",
    "<https://proxy.example.org{}|see>",
    "[see](https://proxy.example.org{})",
    "![see](https://proxy.example.org{} \"title\")",
    "(https://proxy.example.org{})",
    "https://proxy.example.org/.{}",
    "https://proxy.example.org/x/..{}",
    "https://\u{1B}[1mproxy.example.org\u{1B}[0m{}",
    "{\"url\":\"https://proxy.example.org{}\"}",
    "one line\nhttps://proxy.example.org{}\nand one more",
    "192.0.2.1 - - \"GET https://proxy.example.org{} HTTP/1.1\" 200",
    "https://proxy.example.org/health/https://proxy.example.org{}",
];

fn setup(platforms: &Platforms) -> Setup {
    platforms.setup().set("ALLOW_GET", "true")
}

/// A channel on each.
fn channels(platforms: &Platforms) -> [String; 3] {
    [
        format!("mattermost:{}", platforms.mattermost.channel("builds")),
        format!("slack:{}", platforms.slack.channel("ops")),
        format!("teams:{}", platforms.teams.channel("alerts")),
    ]
}

/// Every text that was sent to any of them.
fn sent(platforms: &Platforms) -> Vec<String> {
    let servers: [&Upstream; 3] = [&platforms.mattermost, &platforms.slack, &platforms.teams];
    let mut found = Vec::new();
    for request in servers.iter().flat_map(|server| server.requests()) {
        if let Ok(body) = serde_json::from_slice(&request.body) {
            collect(&body, &mut found);
        }
    }
    found
}

fn collect(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, into)),
        _ => {}
    }
}

/// What a platform might link: from every scheme, and from every bare name with a dot, to what may end a link there.
/// Platforms differ in that, so each link is cut in every way.
fn links(text: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let lower = text.to_ascii_lowercase();
    let schemes = lower.match_indices("http").map(|(at, _)| at);
    let names = text.match_indices(is_name).map(|(at, _)| at);
    let names = names.filter(|at| !text[..*at].ends_with(is_name));
    let ends: [fn(char) -> bool; 3] = [
        char::is_whitespace,
        |c| c.is_whitespace() || "<>()|\"'".contains(c),
        |c| c.is_whitespace() || BREAKS.contains(&c),
    ];
    let starts = schemes.chain(names);
    starts
        .flat_map(|at| {
            let rest = &text[at..];
            ends.map(|is_end| rest.split(is_end).next().unwrap())
        })
        .collect()
}

/// The target that a client asks for when it follows a link to the proxy; `None` if the link leads elsewhere.
fn target(link: &str) -> Option<String> {
    let lower = link.to_ascii_lowercase();
    let schemes = ["http://", "https://"];
    let scheme = schemes.iter().find(|scheme| lower.starts_with(**scheme));
    let link = &link[scheme.map_or(0, |scheme| scheme.len())..];
    let (authority, path) = link.split_at(link.find('/')?);
    let host = authority.to_ascii_lowercase();
    let host = host.trim_end_matches(":443").trim_end_matches(":80");
    if host.trim_end_matches('.') != HOST {
        return None;
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut segments: Vec<String> = Vec::new();
    for segment in path[1..].split('/') {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            // What is escaped already stays.
            other => segments.push(
                percent_encode(other)
                    .replace("%25", "%")
                    .replace("%3A", ":"),
            ),
        }
    }
    let query = if query.is_empty() {
        String::new()
    } else {
        format!("?{query}")
    };
    Some(format!("/{}{query}", segments.join("/")))
}

/// Follows every link in what the platforms got, as for a preview; how many there were.
fn preview(platforms: &Platforms, proxy: &Proxy) -> usize {
    let texts = sent(platforms);
    let targets: std::collections::BTreeSet<String> = texts
        .iter()
        .flat_map(|text| links(text))
        .filter_map(target)
        .collect();
    for target in &targets {
        proxy.request("GET", target, &AGENT);
    }
    targets.len()
}

fn texts(channel: &str) -> Vec<String> {
    let path = |n: usize| format!("/post/channel/{channel}/msg/previewed-{n:02}");
    (0..)
        .zip(SPELLINGS)
        .map(|(n, spelling)| spelling.replace("{}", &path(n)))
        .collect()
}

#[track_caller]
fn assert_delivered(answer: &Response, text: &str) {
    assert_eq!(answer.status, 200, "{text}: {}", answer.text());
}

/// B9: on every platform, in the message, the heading and the name.
#[test]
fn a_preview_of_an_own_url_posts_nothing() {
    let platforms = Platforms::start();
    platforms.slack.grant("chat:write.customize");
    let proxy = setup(&platforms)
        .set("PUBLIC_URL", format!("https://{HOST}"))
        .start();
    for channel in channels(&platforms) {
        for text in texts(&channel) {
            for query in [
                &[][..],
                &[("format", "plain")],
                &[("title", &*text), ("as", "CI"), ("level", "error")],
            ] {
                assert_delivered(&proxy.post_message(&channel, &text, query), &text);
            }
        }
        let name = format!("{HOST}/post/channel/demo/msg/x");
        assert_delivered(
            &proxy.post_message(&channel, "named", &[("as", &name)]),
            &name,
        );
    }
    let posts = platforms.posts();

    let followed = preview(&platforms, &proxy);

    assert!(followed > SPELLINGS.len(), "{followed}");
    assert_eq!(platforms.posts(), posts);
    assert!(printed(&proxy).is_empty());
}

/// B9: the same previews post where nothing is done about them, so that the test above can fail.
#[test]
fn a_preview_posts_where_the_proxy_does_not_know_its_url() {
    let platforms = Platforms::start();
    let proxy = setup(&platforms).start();
    let [channel, ..] = channels(&platforms);
    for text in texts(&channel) {
        assert_delivered(&proxy.post_message(&channel, &text, &[]), &text);
    }

    preview(&platforms, &proxy);

    let posts = platforms.mattermost.posts();
    for (n, spelling) in SPELLINGS.iter().enumerate() {
        let text = format!("previewed-{n:02}");
        let is_posted = posts.iter().any(|post| post.message.starts_with(&text));
        assert!(is_posted, "{spelling}");
    }
}

/// B9: what shows is what was typed, and what leads elsewhere arrives as it was sent.
#[test]
fn nothing_else_is_changed() {
    let own = format!("https://{HOST}");
    let text = "https://proxy.example.org/post/channel/demo/msg/hi";
    let others = [
        "https://other.example.org/post/channel/demo/msg/hi",
        "https://not-proxy.example.org/post/x https://proxy.example.org:8443/post/x",
        "https://proxy.example.org/ https://proxy.example.org/health",
        "https://proxy.example.org/%70ost/channel/demo/msg/hi",
        "post /post/ and proxy.example.org",
    ];
    let mattermost = Mattermost::start();
    let setup = || {
        unlimited()
            .with(&mattermost)
            .without_limits()
            .set("PUBLIC_URL", &own)
    };
    let channel = format!("mattermost:{}", mattermost.channel("builds"));

    let proxy = setup().set("ALLOW_GET", "true").start();
    for text in others.iter().chain([&text]) {
        assert_delivered(&proxy.post_message(&channel, text, &[]), text);
    }
    let dry = proxy.post_message(&channel, text, &[("dry", "1")]).json();
    let encoded = proxy.get("/%70ost/channel/demo/msg/hi");
    let silent = setup().set("ALLOW_GET", "false").start();
    assert_delivered(&silent.post_message(&channel, text, &[]), text);

    let posts = mattermost.posts();
    let messages: Vec<&str> = posts.iter().map(|post| post.message.as_str()).collect();
    let (as_sent, own) = messages.split_at(others.len());
    assert_eq!(as_sent, others);
    assert_ne!(own[0], text);
    assert_eq!(own[0].replace(BREAKS, ""), text);
    assert_eq!(dry["message"], own[0]);
    assert_eq!(encoded.status, 404);
    assert_eq!(own[1], text);
}

/// B9: a heading cannot link to a post.
#[test]
fn a_link_to_a_post_is_refused_where_get_posts() {
    let setup = || unlimited().set("PUBLIC_URL", format!("https://{HOST}"));
    let link = format!("http://{HOST}/post/channel/demo/msg/hi");
    let other = format!("https://{HOST}/health");
    let post = |proxy: &Proxy, link: &str| proxy.post_message("demo", "text", &[("link", link)]);

    let proxy = setup().set("ALLOW_GET", "true").start();
    let refused = post(&proxy, &link);
    let taken = [
        post(&proxy, &other),
        post(&setup().set("ALLOW_GET", "false").start(), &link),
        post(&unlimited().set("ALLOW_GET", "true").start(), &link),
    ];

    assert_eq!(refused.verdict(), (400, "bad-option".into()));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("'link'") && detail.contains("ALLOW_GET=false"),
        "{detail}"
    );
    assert!(!detail.contains(HOST), "{detail}");
    assert_eq!(taken.map(|answer| answer.status), [200; 3]);
}

/// B9: the signature is over what was typed.
#[test]
fn a_signed_message_with_an_own_url_is_good() {
    let token = "a-secret-of-the-ci-system";
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str())];
    let proxy = unlimited()
        .set("PUBLIC_URL", format!("https://{HOST}"))
        .set("ALLOW_GET", "true")
        .set("PROXY_TOKENS", format!("ci={token}"))
        .set("SIGNING_KEYS", "a-signing-key-of-more-than-32-characters")
        .start();
    let text = format!("see https://{HOST}/post/channel/demo/msg/hi");
    let wish = json!({"channel": "demo", "message": text, "scope": "m", "expires": "1d", "options": {"title": text}});
    let signed = proxy
        .send("POST", "/sign", &headers, wish.to_string())
        .json();

    let posted = proxy.post(signed["target"].as_str().unwrap());

    assert_delivered(&posted, &text);
    let printed = printed_for(&proxy, &headers);
    assert!(
        printed.iter().all(|line| !line.contains("/post/")),
        "{printed:?}"
    );
    assert!(
        printed.concat().replace(BREAKS, "").contains(&text),
        "{printed:?}"
    );
}
