//! `deliveries`: the outbox of a running proxy, from another process.

use serde_json::Value;

use super::{json, line, row, run};
use crate::store::{queue, queue_all, setup, wait_for_status};
use crate::support::{Folder, Mattermost, Proxy, Refused, Reply, Setup, Upstream};

const CI: &str = "a-secret-of-the-ci-system";
const UNKNOWN: &str = "0190b5a4-9c2e-7f00-8000-000000000000";

/// A proxy whose chat server is away.
struct Stage {
    chat: Mattermost,
    builds: String,
    proxy: Proxy,
    _folder: Folder,
}

impl Stage {
    fn new() -> Self {
        let (chat, folder) = (Mattermost::start(), Folder::new());
        let builds = chat.channel("builds");
        let proxy = setup(&chat).outbox(&folder).start();
        chat.down();
        Self {
            chat,
            builds,
            proxy,
            _folder: folder,
        }
    }

    fn run(&self, arguments: &[&str]) -> Refused {
        deliveries(
            Proxy::setup(),
            &[arguments, &["--to", &self.proxy.url("")]].concat(),
        )
    }
}

fn deliveries(setup: Setup, arguments: &[&str]) -> Refused {
    setup.arg("deliveries").args(arguments).run()
}

#[test]
fn what_waits_is_listed_newest_first() {
    let stage = Stage::new();
    let first = queue(&stage.proxy, &stage.builds, "the first message");
    let second = queue(&stage.proxy, &stage.builds, "the second message");

    let ended = stage.run(&[]);

    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let ids: Vec<&str> = ended
        .stdout
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(ids, [second.as_str(), first.as_str()]);
    let cells = row(&ended.stdout, &first);
    assert_eq!(
        (cells[1], cells[3]),
        ("queued", &*format!("mattermost:{}", stage.builds))
    );
    assert!(!ended.stdout.contains("message"), "{}", ended.stdout);
}

/// More than a page of the proxy's; every one is there once.
#[test]
fn the_list_goes_on_to_its_limit() {
    let stage = Stage::new();
    queue_all(&stage.proxy, &stage.builds, "message", 230);
    let count = |arguments: &[&str]| {
        let list = json(&stage.run(arguments));
        let ids = list.as_array().unwrap().iter();
        let ids: std::collections::BTreeSet<_> = ids.map(|one| one["id"].to_string()).collect();
        assert_eq!(ids.len(), list.as_array().unwrap().len());
        ids.len()
    };

    assert_eq!(count(&["--json"]), 50);
    assert_eq!(count(&["list", "--json", "--limit", "205"]), 205);
    assert_eq!(count(&["--json", "--limit", "100000"]), 230);
}

#[test]
fn the_list_is_filtered_by_status_and_channel() {
    let stage = Stage::new();
    let queued = queue(&stage.proxy, &stage.builds, "to builds");
    let deploys = stage.chat.channel("deploys");
    queue(&stage.proxy, &deploys, "to deploys");
    let ids = |arguments: &[&str]| -> Vec<Value> {
        let list = json(&stage.run(&[arguments, &["--json"]].concat()));
        list.as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].clone())
            .collect()
    };

    assert_eq!(ids(&["--channel", &stage.builds]), [queued.as_str()]);
    assert_eq!(ids(&["--status", "queued"]).len(), 2);
    assert!(ids(&["--status", "failed"]).is_empty());
}

#[test]
fn one_is_shown_dropped_and_tried_again() {
    let stage = Stage::new();
    let kept = queue(&stage.proxy, &stage.builds, "is tried again");
    let dropped = queue(&stage.proxy, &stage.builds, "is dropped");

    let shown = stage.run(&["show", &dropped]);
    let drop = stage.run(&["drop", &dropped]);
    stage.chat.up();
    let retried = json(&stage.run(&["retry", &kept, "--json"]));
    wait_for_status(&stage.proxy, &kept, "delivered");
    let again = stage.run(&["drop", &dropped]);

    assert_eq!((shown.code, drop.code), (0, 0), "{}", drop.stderr);
    assert!(
        shown
            .stdout
            .contains(&format!("  mattermost:{}  queued", stage.builds))
    );
    assert!(
        drop.stdout.contains("failed") && drop.stdout.contains("dropped"),
        "{}",
        drop.stdout
    );
    assert_eq!(retried["id"], kept.as_str());
    assert!(
        line(&again, 77).contains("waits any more"),
        "{}",
        again.stderr
    );
    assert_eq!(stage.chat.posts().len(), 1);
}

/// Of the environment that the server has as well: `docker exec … deliveries`.
#[test]
fn without_an_address_the_proxy_of_this_environment_is_asked() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let tokens = format!("deploy@deploys=a-secret-of-the-deployer ci={CI}");
    let aliases = format!("deploys=mattermost:{}", chat.channel("deploys"));
    let own = setup(&chat)
        .outbox(&folder)
        .set("CHANNELS", aliases)
        .set("PROXY_TOKENS", tokens);
    let proxy = own.clone().start();
    chat.down();
    let bearer = format!("Bearer {CI}");
    let target = format!("/post/channel/{}/msg/hello?wait=0", chat.channel("builds"));
    let answer = proxy.request("POST", target, &[("Authorization", &bearer)]);
    let port = proxy.addr().port().to_string();

    let ended = deliveries(own.set("PORT", port), &["--json"]);

    assert_eq!(answer.status, 202);
    assert_eq!(json(&ended)[0]["id"], answer.json()["id"]);
}

#[test]
fn refusals_and_outages_have_their_codes() {
    let stage = Stage::new();
    let guarded = Proxy::setup()
        .set("PROXY_TOKENS", format!("ci={CI}"))
        .start();
    let own = |arguments: &[&str]| deliveries(Proxy::setup().set("PORT", "1"), arguments);

    let unknown = stage.run(&["show", UNKNOWN]);
    let token = deliveries(Proxy::setup(), &["--to", &guarded.url("")]);
    let no_outbox = deliveries(
        Proxy::setup().set("PROXY_TOKEN", CI),
        &["--to", &guarded.url("")],
    );

    assert!(line(&unknown, 77).contains("no stored message"));
    assert!(line(&token, 77).contains("PROXY_TOKEN"));
    assert!(line(&no_outbox, 77).contains("no outbox"));
    assert!(line(&own(&[]), 69).contains("127.0.0.1:1"));
    assert!(line(&run(&["deliveries"]), 78).contains("PORT is 0"));
}

/// A look changes nothing, so there is nothing to wonder about; what changes something may have done so.
#[test]
fn an_answer_that_never_came_is_told_as_what_was_asked() {
    let gone = Upstream::start(|_| Reply::close_after_request());
    let asked = |arguments: &[&str]| {
        deliveries(
            Proxy::setup(),
            &[arguments, &["--to", &gone.url()]].concat(),
        )
    };

    let looks = [asked(&[]), asked(&["show", UNKNOWN])];
    let changes = [asked(&["retry", UNKNOWN]), asked(&["drop", UNKNOWN])];

    let maybe = "may or may not have been done";
    for ended in &looks {
        assert!(!line(ended, 69).contains("may"), "{}", ended.stderr);
    }
    for ended in &changes {
        assert!(line(ended, 69).contains(maybe), "{}", ended.stderr);
    }
    for ended in looks.iter().chain(&changes) {
        assert!(!ended.stderr.contains("--once"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("posted"), "{}", ended.stderr);
    }
    assert_eq!(gone.requests().len(), 4);
}

#[test]
fn what_cannot_be_meant_is_usage() {
    for arguments in [
        &["show"][..],
        &["show", "1"],
        &["retry", "../../post/channel/demo/msg/x"],
        &["list", UNKNOWN],
        &["show", UNKNOWN, "--limit", "1"],
        &["drop", UNKNOWN, "--status", "failed"],
        &["purge"],
        &["--limit", "0"],
        &["--limit", "100001"],
        &["--status", "lost"],
    ] {
        let ended = deliveries(Proxy::setup().set("PORT", "1"), arguments);

        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (64, ""),
            "{arguments:?}"
        );
    }
}

/// A page that names itself as the next one is left when the limit is reached, and one that is empty ends the list.
#[test]
fn a_list_without_an_end_ends() {
    let page = |count: usize| {
        let receipt =
            serde_json::json!({"id": UNKNOWN, "status": "queued\u{1b}[2J", "deliveries": []});
        serde_json::json!({"deliveries": vec![receipt; count], "next": UNKNOWN})
    };
    let endless = Upstream::start(move |_| Reply::json(200, page(3)));
    let empty = Upstream::start(move |_| Reply::json(200, page(0)));

    let long = deliveries(Proxy::setup(), &["--to", &endless.url(), "--limit", "10"]);
    let none = deliveries(Proxy::setup(), &["--to", &empty.url()]);

    assert_eq!((long.code, long.stdout.lines().count()), (0, 10));
    assert!(!long.stdout.contains('\u{1b}'));
    assert_eq!((none.code, none.stdout.as_str()), (0, ""));
}
