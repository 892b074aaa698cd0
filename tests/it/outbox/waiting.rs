//! How long a caller waits, and what it is told when that is over.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::SystemTime;

use super::{Stage, id, reason, wait_until_waiting};
use crate::store::{attempts, hold, queue, receipt, sends, setup, shown, wait_for_status};
use crate::support::{Folder, Gate, Mattermost, Proxy, Reply, Response, message_path};

#[track_caller]
fn prefer(stage: &Stage, preference: &str, query: &[(&str, &str)]) -> Response {
    let target = message_path(&stage.builds, "posted with a preference", query);
    let headers = [("Prefer", preference)];
    stage.proxy.request("POST", target, &headers)
}

/// What a folder holds: sizes and times of change.
fn disk(folder: &Folder) -> BTreeMap<String, (u64, SystemTime)> {
    let files = fs::read_dir(folder.path()).unwrap().map(Result::unwrap);
    files
        .map(|file| {
            let about = file.metadata().unwrap();
            let name = file.file_name().into_string().unwrap();
            (name, (about.len(), about.modified().unwrap()))
        })
        .collect()
}

#[test]
fn what_is_delivered_at_once_touches_no_disk() {
    let stage = Stage::new();
    stage.patient(&stage.builds, "the first", "10");
    let before = disk(&stage.folder);

    let answers: Vec<Response> = (0..20)
        .map(|n| stage.patient(&stage.builds, &format!("number {n}"), "10"))
        .collect();

    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(disk(&stage.folder), before);
    let unknown = stage.proxy.get(format!("/deliveries/{}", id(&answers[0])));
    assert_eq!(unknown.verdict(), (404, "not-found".to_owned()));
    assert!(
        unknown
            .text()
            .contains("delivered at once was never stored")
    );
}

#[test]
fn without_a_wait_the_answer_comes_before_the_platforms() {
    let stage = Stage::new();
    let gate = Gate::new();
    stage.chat.hold_next(&gate);

    let answer = stage.patient(&stage.builds, "stored and then tried", "0");
    stage.chat.wait_for_posts(1);
    let before = receipt(&stage.proxy, &id(&answer));
    gate.open();

    assert_eq!(reason(&answer), (202, "async".to_owned()));
    assert_eq!(answer.json()["status"], "queued");
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    assert_eq!(before["status"], "queued");
    wait_for_status(&stage.proxy, &id(&answer), "delivered");
}

#[test]
fn a_preference_is_a_wait_and_the_option_overrules_it() {
    let stage = Stage::new();
    let gate = Gate::new();
    stage.chat.hold_next(&gate);

    let not_at_all = prefer(&stage, "respond-async", &[]);
    stage.chat.wait_for_posts(1);
    let a_second = prefer(&stage, "respond-async, wait=1", &[]);
    let by_option = prefer(&stage, "wait=60", &[("wait", "0")]);
    gate.open();
    wait_for_status(&stage.proxy, &id(&by_option), "delivered");
    let patient = prefer(&stage, "respond-async", &[("wait", "20")]);

    assert_eq!(reason(&not_at_all), (202, "async".to_owned()));
    assert_eq!(
        reason(&a_second),
        (202, "behind-earlier-messages".to_owned())
    );
    assert_eq!(reason(&by_option), (202, "async".to_owned()));
    assert_eq!(patient.verdict(), (200, "delivered".to_owned()));
}

#[test]
fn without_an_outbox_nobody_can_decline_to_wait() {
    let stage = Stage::with(&[("DATABASE_URL", "none")]);

    let refused = stage.patient(&stage.builds, "not to be waited for", "0");
    let preferred = prefer(&stage, "respond-async", &[]);
    let none = prefer(&stage, "wait=0", &[]);

    assert_eq!(refused.verdict(), (400, "bad-option".to_owned()));
    assert_eq!(preferred.verdict(), (200, "delivered".to_owned()));
    assert_eq!(none.verdict(), (200, "delivered".to_owned()));
    assert_eq!(stage.chat.posts().len(), 2);
}

#[test]
fn a_platform_that_is_away_is_unavailable() {
    let stage = Stage::new();
    stage.chat.down();

    let answer = stage.patient(&stage.builds, "while it is away", "1");
    let behind = stage.patient(&stage.builds, "behind that one", "1");
    stage.chat.up();

    assert_eq!(reason(&answer), (202, "backend-unavailable".to_owned()));
    assert_eq!(reason(&behind), (202, "behind-earlier-messages".to_owned()));
    wait_for_status(&stage.proxy, &id(&behind), "delivered");
}

#[test]
fn a_platform_that_does_not_answer_in_time_is_unavailable_and_gets_no_second_post() {
    let stage = Stage::new();
    let gate = Gate::new();
    stage.chat.hold_next(&gate);

    let answer = stage.patient(&stage.builds, "heard and not yet answered", "1");
    let before = receipt(&stage.proxy, &id(&answer));
    gate.open();
    let after = wait_for_status(&stage.proxy, &id(&answer), "delivered");

    assert_eq!(reason(&answer), (202, "backend-unavailable".to_owned()));
    assert_eq!(before["reason"], "backend-unavailable");
    let posts = stage.chat.posts();
    assert_eq!(posts.len(), 1);
    assert_eq!(after["deliveries"][0]["message_id"], posts[0].id);
}

#[test]
fn a_platform_that_asks_for_time_has_throttled() {
    let stage = Stage::new();
    stage
        .chat
        .next(Reply::status(429).header("Retry-After", "60"));

    let answer = stage.patient(&stage.builds, "not so fast", "1");

    assert_eq!(reason(&answer), (202, "backend-throttled".to_owned()));
    let kept = receipt(&stage.proxy, &id(&answer));
    assert_eq!(kept["reason"], "backend-throttled");
}

/// F-11: a wait of 0 is none, and the pause of F-13 holds; taken at its word, there would be hundreds of attempts a second.
#[test]
fn a_platform_that_asks_for_no_time_is_not_asked_as_fast_as_it_answers() {
    for seconds in ["0", "0.0", "00"] {
        let stage = Stage::new();
        for _ in 0..50 {
            stage
                .chat
                .next(Reply::status(429).header("Retry-After", seconds));
        }

        let answer = stage.patient(&stage.builds, "not so fast", "1");

        assert_eq!(reason(&answer), (202, "backend-throttled".to_owned()));
        assert_eq!(shown(&stage.chat, &stage.builds), [""; 0], "{seconds}");
        assert!(sends(&stage.chat) < 10, "{seconds}");
    }
}

/// Contract 3: the limit headers count where there is no `Retry-After`; a caller of 3 s would see a retry after 1 s.
#[test]
fn a_platform_that_names_only_the_end_of_its_limit_is_left_alone_until_then() {
    let stage = Stage::new();
    let reply = Reply::status(429).header("X-Ratelimit-Reset", "60");
    stage.chat.next(reply);

    let answer = stage.patient(&stage.builds, "not so fast", "3");
    let behind = stage.patient(&stage.builds, "behind it", "0");

    assert_eq!(reason(&answer), (202, "backend-throttled".to_owned()));
    assert_eq!(behind.status, 202);
    assert_eq!(sends(&stage.chat), 1);
}

/// The limit is that of the bot, so it holds all its channels (reference/mattermost.md 7).
#[test]
fn a_post_that_used_up_the_limit_is_delivered_and_the_next_is_queued() {
    let stage = Stage::new();
    stage.chat.says_of_its_limit(0, 60);

    let first = stage.patient(&stage.builds, "the last one", "20");
    let second = stage.patient(&stage.builds, "has to wait", "1");
    let elsewhere = stage.patient(&stage.deploys, "has to wait as well", "1");

    assert_eq!(first.verdict(), (200, "delivered".to_owned()));
    assert_eq!(reason(&second), (202, "backend-throttled".to_owned()));
    assert_eq!(reason(&elsewhere), (202, "backend-throttled".to_owned()));
    assert_eq!(shown(&stage.chat, &stage.builds), ["the last one"]);
    assert_eq!(sends(&stage.chat), 1);
}

#[test]
fn a_post_behind_a_limit_that_ends_within_the_wait_is_delivered() {
    let stage = Stage::new();
    stage.chat.says_of_its_limit(0, 1);

    let answers: Vec<u16> = ["one", "two", "three"]
        .map(|text| stage.patient(&stage.builds, text, "20").status)
        .to_vec();

    assert_eq!(answers, [200; 3]);
    assert_eq!(shown(&stage.chat, &stage.builds), ["one", "two", "three"]);
}

#[test]
fn a_limit_that_is_not_used_up_holds_nothing() {
    let stage = Stage::new();
    stage.chat.says_of_its_limit(1, 60);

    let answers = ["one", "two"].map(|text| stage.patient(&stage.builds, text, "1").status);

    assert_eq!(answers, [200; 2]);
}

#[test]
fn a_post_beyond_the_pace_and_the_wait_is_queued() {
    let stage = Stage::with(&[("PACE_MATTERMOST", "1/m")]);

    let first = stage.patient(&stage.builds, "has its turn", "1");
    let second = stage.patient(&stage.builds, "has the next turn", "1");
    let elsewhere = stage.patient(&stage.deploys, "has a turn of its own", "1");

    assert_eq!(first.status, 200);
    assert_eq!(reason(&second), (202, "backend-throttled".to_owned()));
    assert_eq!(elsewhere.status, 200);
}

#[test]
fn a_post_whose_turn_comes_within_the_wait_is_delivered() {
    let stage = Stage::with(&[("PACE_MATTERMOST", "2/s")]);

    let answers: Vec<u16> = (0..4)
        .map(|n| stage.patient(&stage.builds, &format!("paced {n}"), "20"))
        .map(|answer| answer.status)
        .collect();

    assert_eq!(answers, [200; 4]);
    assert_eq!(
        shown(&stage.chat, &stage.builds),
        ["paced 0", "paced 1", "paced 2", "paced 3"]
    );
}

#[test]
fn a_post_behind_others_that_is_delivered_within_its_wait_is_200() {
    let stage = Stage::new();
    let (gate, first) = hold(&stage.proxy, &stage.chat, &stage.builds);

    let answer = thread::scope(|scope| {
        let post = scope.spawn(|| stage.patient(&stage.builds, "waits its turn", "60"));
        wait_until_waiting(&stage.proxy, 2);
        gate.open();
        post.join().unwrap()
    });

    assert_eq!(answer.verdict(), (200, "delivered".to_owned()));
    assert_eq!(answer.header("Location"), None);
    let posts = stage.chat.posts();
    let entry = &answer.json()["deliveries"][0];
    assert_eq!(entry["message_id"], posts[1].id);
    assert_eq!(
        shown(&stage.chat, &stage.builds),
        [&*first, "waits its turn"]
    );
}

#[test]
fn the_location_of_a_202_answers_the_receipt() {
    let stage = Stage::new();
    stage.chat.next(Reply::status(503));
    let gate = Gate::new();
    stage.chat.hold_next(&gate);

    let answer = stage.patient(&stage.builds, "tried and not yet taken", "1");
    let location = answer.header("Location").unwrap().to_owned();
    let found = stage.proxy.get(&location);
    gate.open();

    assert_eq!(location, format!("/deliveries/{}", id(&answer)));
    assert_eq!(found.status, 200);
    let found = found.json();
    assert_eq!(found["id"], answer.json()["id"]);
    assert_eq!(found["status"], "queued");
    let made = found["created_at"].as_str().unwrap();
    assert_eq!((made.len(), &made[10..11], &made[19..]), (20, "T", "Z"));
    assert_eq!(attempts(&found), 1);
    assert!(found["error"].is_string(), "{found}");
    let after = wait_for_status(&stage.proxy, &id(&answer), "delivered");
    assert_eq!(attempts(&after), 2);
    assert_eq!(after["reason"], serde_json::Value::Null);
}

#[test]
fn a_queued_post_is_one_line_for_who_wants_text() {
    let stage = Stage::new();
    let target = message_path(&stage.builds, "answered in a line", &[("wait", "0")]);

    let answer = stage
        .proxy
        .request("POST", target, &[("Accept", "text/plain")]);

    assert_eq!(answer.status, 202);
    let id = answer
        .header("Location")
        .and_then(|to| to.strip_prefix("/deliveries/"))
        .unwrap();
    assert_eq!(
        answer.text(),
        format!("queued {id} mattermost:{}\n", stage.builds)
    );
}

/// Section 4: `DATABASE_URL` left out is a file beside the program's work, for its owner alone.
#[test]
fn the_outbox_is_there_without_being_asked_for() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let own = setup(&chat).unset("DATABASE_URL").dir(folder.path());

    let proxy: Proxy = own.start();
    let kept = queue(&proxy, &chat.channel("builds"), "kept without a setting");

    let file = folder.path().join("message-webhook-proxy.db");
    let mode = fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    wait_for_status(&proxy, &kept, "delivered");
}

/// G4: one folder is written to, and what is in it is its owner's alone, while the proxy works and afterwards.
#[test]
fn nothing_is_written_but_the_outbox_and_for_its_owner_alone() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let elsewhere = ["dir", "home", "tmp"].map(|_| Folder::new());
    let [dir, home, tmp] = elsewhere.each_ref().map(Folder::path);
    let proxy = setup(&chat)
        .outbox(&folder)
        .dir(dir)
        .set("HOME", home.to_str().unwrap())
        .set("TMPDIR", tmp.to_str().unwrap())
        .start();
    let builds = chat.channel("builds");
    let modes = || -> BTreeMap<String, u32> {
        let files = fs::read_dir(folder.path()).unwrap().map(Result::unwrap);
        files
            .map(|file| {
                let mode = file.metadata().unwrap().permissions().mode();
                (file.file_name().into_string().unwrap(), mode & 0o777)
            })
            .collect()
    };

    let (gate, _) = hold(&proxy, &chat, &builds);
    queue(&proxy, &builds, "waits behind the other");
    let at_work = modes();
    gate.open();
    let ended = proxy.terminate();
    let afterwards = modes();

    assert!(ended.success(), "{ended}");
    assert!(at_work.len() > 2, "{at_work:?}");
    for (name, mode) in at_work.iter().chain(&afterwards) {
        assert!(name.starts_with("outbox.db"), "{name}");
        assert_eq!(*mode, 0o600, "{name}");
    }
    for folder in &elsewhere {
        assert!(disk(folder).is_empty(), "{:?}", disk(folder));
    }
}

/// RFC 7240: names in any case, white space around `=`, and quoted values.
#[test]
fn a_preference_counts_in_every_form() {
    let stage = Stage::new();
    for preference in [
        "WAIT=0",
        "wait = 0",
        "wait=\"0\"",
        "handling=lenient, Wait=0",
    ] {
        let answer = prefer(&stage, preference, &[]);

        assert_eq!(reason(&answer), (202, "async".to_owned()), "{preference}");
    }
}
