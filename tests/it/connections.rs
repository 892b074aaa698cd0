//! The connections to platforms that are kept open between posts. E5 and F-23 of `threats.md`.

use serde_json::json;

use crate::support::{Gate, Proxy, Reply, Upstream, unique};

const POST_ID: &str = "kapmbndrfg8ejkmcpqxot1uwis";

fn setup(upstream: &Upstream) -> Proxy {
    let hook = format!(
        "{}/services/T0TEAM/B0HOOK/{}",
        upstream.url(),
        unique("", 24)
    );
    Proxy::setup()
        .without_limits()
        .set("WORKERS", "1")
        .set("MATTERMOST_URL", upstream.url())
        .set("MATTERMOST_TOKEN", unique("", 26))
        .set("CHANNELS", format!("hook=slack+{hook}"))
        .start()
}

/// F-23: after a burst many are kept. When the platform restarts, all of them are closed, and the next post must notice it of
/// each: what is written to one of them may or may not have been posted.
#[test]
fn a_restart_after_a_burst_costs_the_next_post_nothing() {
    // Of more than 128, tokio shows a task no end unless asked to.
    const BURST: usize = 150;
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |_| Reply::text(200, "ok").held(&held));
    let proxy = setup(&upstream);
    std::thread::scope(|scope| {
        let post = || proxy.post_message("hook", "one of many", &[("wait", "60")]);
        let posts: Vec<_> = (0..BURST).map(|_| scope.spawn(post)).collect();
        upstream.wait_for(BURST);
        gate.open();
        for post in posts {
            assert_eq!(post.join().unwrap().status, 200);
        }
    });
    upstream.down();
    upstream.up();

    let answer = proxy.post_message("hook", "the next one", &[]);

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(upstream.requests().len(), BURST + 1);
}

/// E5: what is not understood is refused before it is sent.
#[test]
fn every_request_asks_for_json_that_is_not_compressed() {
    let upstream = Upstream::start(|request| match request.path().starts_with("/services/") {
        true => Reply::text(200, "ok"),
        false => Reply::json(201, json!({"id": POST_ID, "channel_id": POST_ID})),
    });
    let proxy = setup(&upstream);
    for to in ["hook", POST_ID, "mattermost:team/builds"] {
        proxy.post_message(to, "the build is broken", &[]);
    }

    let requests = upstream.wait_for(3);

    for request in &requests {
        let accept = ["Accept", "Accept-Encoding"].map(|name| request.header(name));
        assert_eq!(
            accept,
            [Some("application/json"), Some("identity")],
            "{} {}",
            request.method,
            request.target
        );
    }
    assert!(requests.iter().any(|request| request.method == "GET"));
}
