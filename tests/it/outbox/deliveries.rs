//! `/deliveries`: who may look, what is found, and what an operator can do about it.

use serde_json::Value;

use super::{Stage, id, wait_until_waiting, waiting};
use crate::store::{
    assert_shown, attempts, eventually, hold, listed, queue, queue_all, receipt, setup, shown,
    wait_for_status,
};
use crate::support::mattermost::Access;
use crate::support::{Faults, Folder, Gate, Mattermost, Reply, Response, Slack};

const CI: &str = "a-secret-of-the-ci-system";
const DEPLOY: &str = "a-secret-of-the-deployer";
const OTHER: &str = "a-secret-of-somebody-else";
/// An id that nothing has.
const UNKNOWN: &str = "/deliveries/0190b5a4-9c2e-7f00-8000-000000000000";

fn guarded() -> Stage {
    let stage = Stage::new();
    let aliases = format!(
        "builds=mattermost:{} deploys=mattermost:{}",
        stage.builds, stage.deploys
    );
    let tokens = format!("ci={CI} deploy@deploys={DEPLOY} other@deploys={OTHER}");
    stage.proxy.kill();
    let own = stage
        .own
        .clone()
        .set("CHANNELS", aliases)
        .set("PROXY_TOKENS", tokens);
    let proxy = own.clone().start();
    Stage {
        proxy,
        own,
        ..stage
    }
}

#[track_caller]
fn as_token(stage: &Stage, method: &str, path: &str, token: &str) -> Response {
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", &*bearer)];
    stage.proxy.request(method, path, &headers)
}

/// The ids of one page.
#[track_caller]
fn page(answer: &Response) -> (Vec<String>, Option<String>) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    let receipts = body["deliveries"].as_array().unwrap();
    let ids = receipts.iter().map(|one| one["id"].as_str().unwrap());
    (
        ids.map(str::to_owned).collect(),
        body["next"].as_str().map(str::to_owned),
    )
}

#[test]
fn where_tokens_are_set_receipts_are_for_their_holders() {
    let stage = guarded();
    let paths = [
        ("GET", "/deliveries".to_owned()),
        ("GET", UNKNOWN.to_owned()),
        ("DELETE", UNKNOWN.to_owned()),
        ("POST", format!("{UNKNOWN}/retry")),
    ];

    for (method, path) in &paths {
        let nobody = stage.proxy.request(method, path, &[]);
        let known = as_token(&stage, method, path, CI);

        assert_eq!(
            nobody.verdict(),
            (401, "unauthorized".to_owned()),
            "{method} {path}"
        );
        assert!(nobody.header("WWW-Authenticate").is_some());
        assert_ne!(known.status, 401, "{method} {path}");
    }
    let wrong = as_token(&stage, "GET", "/deliveries", "not-a-secret-of-anybody");
    assert_eq!(wrong.status, 401);
}

#[test]
fn where_posting_is_open_so_are_receipts() {
    let stage = Stage::new();

    let all = stage.proxy.get("/deliveries");

    assert_eq!(page(&all), (vec![], None));
}

#[test]
fn a_token_for_some_channels_sees_its_own_posts_only() {
    let stage = guarded();
    let post = |token: &str, channel: &str| {
        let query = [("wait", "0")];
        id(&stage
            .proxy
            .post_message_as(token, channel, "whose is it", &query))
    };
    let of_ci = post(CI, "builds");
    let of_deploy = post(DEPLOY, "deploys");
    let of_other = post(OTHER, "deploys");

    let (all, _) = page(&as_token(&stage, "GET", "/deliveries", CI));
    let (own, _) = page(&as_token(&stage, "GET", "/deliveries", DEPLOY));

    assert_eq!(all, [&*of_other, &of_deploy, &of_ci]);
    assert_eq!(own, [&*of_deploy]);
    for foreign in [&of_ci, &of_other] {
        let path = format!("/deliveries/{foreign}");
        for (method, path) in [
            ("GET", path.clone()),
            ("DELETE", path.clone()),
            ("POST", format!("{path}/retry")),
        ] {
            let answer = as_token(&stage, method, &path, DEPLOY);
            assert_eq!(answer.verdict(), (404, "not-found".to_owned()), "{method}");
        }
    }
    let own = as_token(&stage, "GET", &format!("/deliveries/{of_deploy}"), DEPLOY);
    assert_eq!(own.json()["id"], of_deploy);
}

#[test]
fn pages_lead_to_the_end_newest_first() {
    let stage = Stage::new();
    let (gate, _) = hold(&stage.proxy, &stage.chat, &stage.builds);
    let mut ids: Vec<String> = (0..6)
        .map(|n| queue(&stage.proxy, &stage.builds, &format!("number {n} of seven")))
        .collect();

    let (mut found, mut after, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let target = format!("/deliveries?limit=3{after}");
        let (some, next) = page(&stage.proxy.get(target));
        assert!(some.len() <= 3);
        found.extend(some);
        pages += 1;
        match next {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    gate.open();

    ids.reverse();
    assert_eq!(found[..6], ids);
    assert_eq!((found.len(), pages), (7, 3));
}

#[test]
fn filters_choose_by_state_and_channel() {
    let stage = Stage::new();
    let arrived = queue(&stage.proxy, &stage.deploys, "will arrive");
    wait_for_status(&stage.proxy, &arrived, "delivered");
    let old = stage.chat.channel("old");
    let refused = queue(&stage.proxy, &old, "to an archived channel");
    wait_for_status(&stage.proxy, &refused, "failed");
    stage.chat.down();
    let waits = queue(&stage.proxy, &stage.deploys, "waits");

    let find = |query: String| page(&stage.proxy.get(format!("/deliveries?{query}"))).0;

    assert_eq!(find("status=queued".to_owned()), [&*waits]);
    assert_eq!(find("status=delivered".to_owned()), [&*arrived]);
    assert_eq!(find("status=failed".to_owned()), [&*refused]);
    assert_eq!(find(String::new()), [&*waits, &refused, &arrived]);
    let deploys = format!("channel={}", stage.deploys);
    assert_eq!(find(deploys.clone()), [&*waits, &arrived]);
    assert_eq!(find(format!("{deploys}&status=delivered")), [&*arrived]);
    assert_eq!(find("channel=nowhere".to_owned()), [""; 0]);
}

/// What waits for a backend that is not configured any more is looked for as it was posted.
#[test]
fn what_waits_for_a_backend_that_is_gone_is_found_by_its_channel() {
    let (chat, slack, folder) = (Mattermost::start(), Slack::start(), Folder::new());
    let own = setup(&chat).outbox(&folder);
    let ops = format!("slack:{}", slack.channel("ops"));
    slack.down();
    let with_slack = own.clone().with(&slack).start();
    let waits = queue(&with_slack, &ops, "for a backend that is going away");
    with_slack.terminate();

    let without = own.start();
    let found = without.get(format!("/deliveries?channel={ops}"));

    assert_eq!(page(&found).0, [waits]);
}

#[test]
fn a_bad_filter_is_refused() {
    let stage = Stage::new();

    for query in [
        "status=lost",
        "status=",
        "limit=0",
        "channel=",
        "channel=a%00b",
        "limit=201",
        "limit=many",
        "after=the-last-one",
        "chanel=builds",
        "status=queued&status=failed",
        "limit=1&limit=2",
        "status",
    ] {
        let answer = stage.proxy.get(format!("/deliveries?{query}"));
        assert_eq!(answer.verdict(), (400, "bad-option".to_owned()), "{query}");
    }
}

#[test]
fn what_failed_is_delivered_once_its_cause_is_mended_and_somebody_says_so() {
    let stage = Stage::new();
    stage.chat.set_channel("builds", Access::Archived);
    let refused = queue(&stage.proxy, &stage.builds, "to an archived channel");
    let ended = wait_for_status(&stage.proxy, &refused, "failed");
    stage.chat.set_channel("builds", Access::Member);

    let retried = stage.proxy.post(format!("/deliveries/{refused}/retry"));
    let after = wait_for_status(&stage.proxy, &refused, "delivered");
    let again = stage.proxy.post(format!("/deliveries/{refused}/retry"));

    assert_eq!(ended["deliveries"][0]["reason"], "archived");
    assert_eq!(retried.status, 200);
    assert!(attempts(&after) >= 1, "{after}");
    assert_eq!(again.verdict(), (409, "already-settled".to_owned()));
    assert_eq!(
        shown(&stage.chat, &stage.builds),
        ["to an archived channel"]
    );
    assert_eq!(waiting(&stage.proxy), 0);
}

/// I4: that an attempt before may have posted it stays on the receipt, whatever an operator does.
#[test]
fn a_retry_forgets_no_attempt_that_may_have_posted() {
    let stage = Stage::new();
    stage.chat.next(Reply::reset_after_request());
    let archived = "api.post.create_post.can_not_post_to_deleted.error";
    stage.chat.next(Mattermost::error(400, archived));
    let failed = queue(&stage.proxy, &stage.builds, "perhaps twice");
    let ended = wait_for_status(&stage.proxy, &failed, "failed");

    stage.proxy.post(format!("/deliveries/{failed}/retry"));
    let after = wait_for_status(&stage.proxy, &failed, "delivered");

    for (receipt, tried) in [(&ended, 2), (&after, 3)] {
        let entry = &receipt["deliveries"][0];
        assert_eq!(
            (attempts(receipt), &entry["ambiguous"]),
            (tried, &1.into()),
            "{receipt}"
        );
    }
}

/// Its age begins anew with a retry; when it was accepted does not change, and the list stays newest first.
#[test]
fn a_retry_changes_nothing_about_when_a_message_was_accepted() {
    let (chat, faults) = (Mattermost::start(), Faults::none());
    let builds = chat.channel("builds");
    let proxy = faults.setup(setup(&chat)).start();
    chat.set_channel("builds", Access::Archived);
    let refused = queue(&proxy, &builds, "to an archived channel");
    let ended = wait_for_status(&proxy, &refused, "failed");
    chat.set_channel("builds", Access::Member);

    faults.clock_offset(3600);
    proxy.post(format!("/deliveries/{refused}/retry"));
    let after = wait_for_status(&proxy, &refused, "delivered");

    assert!(ended["created_at"].is_string(), "{ended}");
    assert_eq!(after["created_at"], ended["created_at"]);
}

/// An alias may name one channel twice; each of its deliveries is tried again until it arrives.
#[test]
fn both_that_failed_in_one_channel_are_tried_again() {
    let mut stage = Stage::new();
    let twice = format!("twice=mattermost:acme/builds,mattermost:{}", stage.builds);
    stage.own = stage.own.clone().set("CHANNELS", twice);
    stage.restart();
    let archived = "api.post.create_post.can_not_post_to_deleted.error";
    (0..2).for_each(|_| stage.chat.next(Mattermost::error(400, archived)));
    let failed = queue(&stage.proxy, "twice", "to one channel twice");
    wait_for_status(&stage.proxy, &failed, "failed");
    let open = Gate::new();
    open.open();
    stage.chat.hold_next(&open);
    stage.chat.next(Reply::status(503));

    let retried = stage.proxy.post(format!("/deliveries/{failed}/retry"));
    let counted = waiting(&stage.proxy);
    wait_for_status(&stage.proxy, &failed, "delivered");

    assert_eq!(retried.status, 200);
    assert!(counted <= 2, "{counted}");
    // The platform knows the second for the first.
    assert_eq!(shown(&stage.chat, &stage.builds), ["to one channel twice"]);
    wait_until_waiting(&stage.proxy, 0);
}

#[test]
fn what_waits_can_be_tried_at_once() {
    let stage = Stage::new();
    (0..4).for_each(|_| stage.chat.next(Reply::status(503)));
    let waits = queue(&stage.proxy, &stage.builds, "has to wait longer and longer");

    for tried in 1..=4 {
        eventually("it was tried", || {
            attempts(&receipt(&stage.proxy, &waits)) >= tried
        });
        let answer = stage.proxy.post(format!("/deliveries/{waits}/retry"));
        assert!(matches!(answer.status, 200 | 409), "{}", answer.text());
    }

    let after = wait_for_status(&stage.proxy, &waits, "delivered");
    assert_eq!(attempts(&after), 5);
    assert_eq!(stage.chat.posts().len(), 1);
}

#[test]
fn what_is_dropped_is_never_posted_and_holds_nobody_up() {
    let stage = Stage::new();
    let (gate, first) = hold(&stage.proxy, &stage.chat, &stage.builds);
    let unwanted = queue(&stage.proxy, &stage.builds, "nobody wants it any more");
    queue(&stage.proxy, &stage.builds, "the one behind it");

    let dropped = stage
        .proxy
        .request("DELETE", format!("/deliveries/{unwanted}"), &[]);
    let twice = stage
        .proxy
        .request("DELETE", format!("/deliveries/{unwanted}"), &[]);
    gate.open();

    assert_eq!(dropped.status, 200, "{}", dropped.text());
    assert_eq!(dropped.json()["status"], "failed");
    assert_eq!(dropped.json()["deliveries"][0]["reason"], "dropped");
    assert_eq!(twice.verdict(), (409, "already-settled".to_owned()));
    assert_shown(
        &stage.chat,
        &stage.builds,
        &[first, "the one behind it".to_owned()],
    );
    wait_until_waiting(&stage.proxy, 0);
}

#[test]
fn the_last_that_waits_can_be_dropped() {
    let stage = Stage::new();
    stage.chat.down();
    let unwanted = queue(&stage.proxy, &stage.builds, "nobody wants it any more");

    // While it is tried it cannot be taken away.
    eventually("it is dropped", || {
        let path = format!("/deliveries/{unwanted}");
        stage.proxy.request("DELETE", path, &[]).status == 200
    });
    let left = waiting(&stage.proxy);
    stage.chat.up();
    let next = stage.patient(&stage.builds, "the one after it", "20");

    assert_eq!(left, 0);
    assert_eq!(next.status, 200);
    assert_eq!(shown(&stage.chat, &stage.builds), ["the one after it"]);
}

#[test]
fn what_is_under_way_is_not_dropped() {
    let stage = Stage::new();
    let (gate, _) = hold(&stage.proxy, &stage.chat, &stage.builds);
    let under_way = listed(&stage.proxy, "queued");

    let path = format!("/deliveries/{}", under_way[0]);
    let busy = stage.proxy.request("DELETE", &path, &[]);
    gate.open();
    wait_for_status(&stage.proxy, &under_way[0], "delivered");
    let ended = stage.proxy.request("DELETE", &path, &[]);

    assert_eq!(busy.verdict(), (409, "in-progress".to_owned()));
    assert_eq!(ended.verdict(), (409, "already-settled".to_owned()));
}

#[test]
fn an_unknown_id_is_not_found() {
    let stage = Stage::new();

    for path in [
        UNKNOWN,
        "/deliveries/",
        "/deliveries/none",
        "/deliveries/%00",
    ] {
        for (method, path) in [
            ("GET", path.to_owned()),
            ("DELETE", path.to_owned()),
            ("POST", format!("{path}/retry")),
        ] {
            let answer = stage.proxy.request(method, &path, &[]);
            assert_eq!(
                answer.verdict(),
                (404, "not-found".to_owned()),
                "{method} {path}"
            );
        }
    }
}

#[test]
fn other_methods_are_refused_with_those_that_work() {
    let stage = Stage::new();
    let kept = queue(&stage.proxy, &stage.builds, "looked at in every way");
    let one = format!("/deliveries/{kept}");

    for (method, path, works) in [
        ("POST", "/deliveries".to_owned(), "GET"),
        ("DELETE", "/deliveries".to_owned(), "GET"),
        ("PUT", one.clone(), "DELETE"),
        ("POST", one.clone(), "DELETE"),
        ("GET", format!("{one}/retry"), "POST"),
        ("DELETE", format!("{one}/retry"), "POST"),
    ] {
        let answer = stage.proxy.request(method, &path, &[]);
        assert_eq!(
            answer.verdict(),
            (405, "method-not-allowed".to_owned()),
            "{method} {path}"
        );
        let allow = answer.header("Allow").unwrap();
        assert!(allow.contains(works), "{method} {path}: {allow}");
    }
    for path in ["/deliveries", &one] {
        let head = stage.proxy.request("HEAD", path, &[]);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
}

#[test]
fn without_an_outbox_there_are_no_receipts() {
    let stage = Stage::with(&[("DATABASE_URL", "none")]);

    for path in ["/deliveries", UNKNOWN] {
        let answer = stage.proxy.get(path);
        assert_eq!(answer.verdict(), (404, "not-found".to_owned()), "{path}");
        assert!(answer.text().contains("DATABASE_URL"), "{path}");
    }
}

#[test]
fn what_waits_is_counted() {
    let stage = Stage::new();
    let counted = || {
        let metrics = stage.proxy.get("/metrics").text();
        let line = metrics
            .lines()
            .find(|line| line.starts_with("message_webhook_proxy_outbox_waiting "));
        line.and_then(|line| line.split(' ').nth(1))
            .map(str::to_owned)
    };
    stage.chat.down();
    queue_all(&stage.proxy, &stage.builds, "waits", 3);

    let (metric, ready) = (counted(), stage.proxy.get("/ready").json());
    stage.chat.up();
    wait_until_waiting(&stage.proxy, 0);

    assert_eq!(metric.as_deref(), Some("3"));
    assert_eq!(ready["store"]["waiting"], Value::from(3));
    assert_eq!(ready["store"]["status"], "ok");
    assert_eq!(counted().as_deref(), Some("0"));
}

/// The filter takes a channel as a post may write it.
#[test]
fn a_filter_knows_a_channel_by_every_spelling() {
    let mut stage = Stage::new();
    let slack = Slack::start();
    let aliases = format!(
        "both=mattermost:{},slack:{} named=mattermost:acme/deploys other=console:other",
        stage.builds,
        slack.channel("ops")
    );
    stage.own = stage.own.clone().with(&slack).set("CHANNELS", aliases);
    stage.restart();
    let to = |channel: &str| {
        let id = queue(&stage.proxy, channel, "found by its channel");
        wait_for_status(&stage.proxy, &id, "delivered");
        id
    };
    let (both, named, other) = (to("both"), to("named"), to("other"));

    let find = |channel: &str| page(&stage.proxy.get(format!("/deliveries?channel={channel}"))).0;

    for channel in [
        "both",
        &stage.builds,
        &format!("slack:{}", slack.channel("ops")),
    ] {
        assert_eq!(find(channel), [&*both], "{channel}");
    }
    for channel in [
        "named",
        "mattermost:acme/deploys",
        &format!("mattermost:{}", stage.deploys),
        &stage.deploys,
    ] {
        assert_eq!(find(channel), [&*named], "{channel}");
    }
    assert_eq!(find("console:other"), [&*other]);
    assert_eq!(find("mattermost:acme/nowhere"), [""; 0]);
    let told = stage.proxy.get("/deliveries?channel=both").json()["channels"].clone();
    let places = ["both", &stage.builds, &slack.channel("ops")];
    assert_eq!(told, serde_json::json!(places));
    assert_eq!(stage.proxy.get("/deliveries").json().get("channels"), None);
}

/// What an alias stands for is told to those alone who may post there; a look-up takes from the caller's quota.
#[test]
fn a_filter_tells_a_bound_token_nothing_new() {
    let mut stage = guarded();
    let tokens = format!("ci={CI} deploy@deploys={DEPLOY}");
    stage.own = stage
        .own
        .clone()
        .set("PROXY_TOKENS", tokens)
        .set("RATE_LIMIT_CALLER", "1/h");
    stage.restart();
    let meant = |token: &str, channel: &str| {
        let target = format!("/deliveries?channel={channel}");
        as_token(&stage, "GET", &target, token)
    };

    let (foreign, own) = (meant(DEPLOY, "builds"), meant(DEPLOY, "deploys"));
    let names = [(); 2].map(|()| meant(CI, "mattermost:acme/builds"));

    assert_eq!(foreign.json()["channels"], serde_json::json!(["builds"]));
    let places = serde_json::json!(["deploys", stage.deploys]);
    assert_eq!(own.json()["channels"], places);
    assert_eq!(names.each_ref().map(|answer| answer.status), [200, 429]);
}

/// While the platform is away a name finds what waits under it.
#[test]
fn a_name_that_cannot_be_looked_up_finds_what_waits_under_it() {
    let stage = Stage::new();
    stage.chat.down();
    let waits = queue(&stage.proxy, "acme/builds", "by its name");

    let found = stage.proxy.get("/deliveries?channel=acme/builds");

    assert_eq!(page(&found).0, [&*waits]);
}
