//! `FOLD_BACKLOG`: what waits for a throttled destination becomes few posts, each message with a receipt of its own.

use std::collections::BTreeSet;

use super::{Stage, id};
use crate::store::{attempts, queue, receipt, setup, shown, wait_for_status};
use crate::support::mattermost::Access;
use crate::support::{Folder, Mattermost, Reply, Response};

const MESSAGES: usize = 10;

fn throttled(fold: &str) -> Stage {
    let stage = Stage::with(&[("FOLD_BACKLOG", fold)]);
    let reply = Reply::status(429).header("Retry-After", "2");
    stage.chat.next(reply);
    stage
}

fn texts() -> Vec<String> {
    (0..MESSAGES)
        .map(|n| format!("message {n} waits"))
        .collect()
}

/// The post that each message is in.
fn posts_of(stage: &Stage, ids: &[String]) -> Vec<String> {
    ids.iter()
        .map(|id| {
            let receipt = wait_for_status(&stage.proxy, id, "delivered");
            receipt["deliveries"][0]["message_id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[test]
fn a_throttled_backlog_becomes_few_posts() {
    let (stage, texts) = (throttled("true"), texts());

    let ids: Vec<String> = texts
        .iter()
        .map(|text| queue(&stage.proxy, &stage.builds, text))
        .collect();
    let posts_of = posts_of(&stage, &ids);

    let posts = shown(&stage.chat, &stage.builds);
    assert!(posts.len() <= 2, "{posts:?}");
    assert_eq!(posts.join("\n"), texts.join("\n"));
    let told: BTreeSet<String> = posts_of.into_iter().collect();
    let made: BTreeSet<String> = stage.chat.posts().into_iter().map(|post| post.id).collect();
    assert_eq!(told, made);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), MESSAGES);
}

/// I1: the platform has the first message and has not said so; by its id alone it would take the post of all for a
/// repeat of that one, and the others would count as delivered and be shown to nobody.
#[test]
fn what_waits_behind_a_message_that_was_taken_without_an_answer_is_shown() {
    let stage = throttled("true");
    stage.chat.accept_then(Reply::reset_after_request());
    let throttles = Reply::status(429).header("Retry-After", "2");
    stage.chat.next(throttles);
    let mut texts = texts();

    let mut ids = vec![queue(&stage.proxy, &stage.builds, &texts[0])];
    stage.chat.wait_for_posts(1);
    let behind = texts[1..].iter();
    ids.extend(behind.map(|text| queue(&stage.proxy, &stage.builds, text)));
    posts_of(&stage, &ids);

    let mut posts: Vec<String> = shown(&stage.chat, &stage.builds);
    assert_eq!(posts.remove(0), texts[0]);
    if !posts.join("\n").starts_with(&texts[0]) {
        texts.remove(0);
    }
    assert_eq!(posts.join("\n"), texts.join("\n"));
}

/// Contract 1.4: the channel of a webhook is its alias, and two aliases may have the same one.
#[test]
fn each_message_of_a_folded_post_keeps_the_alias_that_it_was_posted_to() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let hook = chat.hook_url();
    let aliases = format!("one=mattermost+{hook} two=mattermost+{hook}");
    let own = setup(&chat)
        .set("CHANNELS", aliases)
        .set("FOLD_BACKLOG", "true");
    let proxy = own.outbox(&folder).start();
    chat.next(Reply::status(429).header("Retry-After", "2"));

    let ids = ["one", "two", "one", "two"].map(|alias| queue(&proxy, alias, alias));
    let told = ids.map(|id| wait_for_status(&proxy, &id, "delivered"));

    assert!(chat.posts().len() <= 2, "{:?}", chat.posts());
    let channels = told.map(|receipt| receipt["deliveries"][0]["channel"].clone());
    assert_eq!(channels, ["one", "two", "one", "two"]);
}

/// I1, contract 4: the server takes less than is said of it, so one post of what waits is refused, and each message fits.
#[test]
fn a_folded_post_that_is_refused_ends_none_of_its_messages() {
    let stage = throttled("true");
    stage.chat.takes_at_most(4000);
    let texts: Vec<String> = (0..5).map(|n| n.to_string().repeat(1500)).collect();

    let ids: Vec<String> = texts
        .iter()
        .map(|text| queue(&stage.proxy, &stage.builds, text))
        .collect();
    let posts_of = posts_of(&stage, &ids);
    let tried = attempts(&receipt(&stage.proxy, &ids[4]));

    assert_eq!(shown(&stage.chat, &stage.builds), texts);
    assert_eq!(posts_of.iter().collect::<BTreeSet<_>>().len(), 5);
    assert_eq!(tried, 2, "the refused one counts");
}

/// I1: only the message that is refused by itself fails, and the caller who waits for another is told of that one.
#[test]
fn of_a_folded_post_only_the_message_that_is_refused_fails() {
    let stage = throttled("true");
    stage.chat.takes_at_most(4000);
    let texts = [
        "0".repeat(1500),
        "1".repeat(1500),
        "2".repeat(4500),
        "3".repeat(1500),
    ];

    let ids = texts
        .each_ref()
        .map(|text| queue(&stage.proxy, &stage.builds, text));
    let last = stage.patient(&stage.builds, "4", "20");
    let refused = wait_for_status(&stage.proxy, &ids[2], "failed");

    assert_eq!(last.verdict(), (200, "delivered".to_owned()));
    assert_eq!(refused["deliveries"][0]["reason"], "too-long");
    for delivered in [0, 1, 3] {
        let receipt = receipt(&stage.proxy, &ids[delivered]);
        assert_eq!(receipt["status"], "delivered", "{receipt}");
    }
    let [zero, one, _, three] = &texts;
    assert_eq!(shown(&stage.chat, &stage.builds), [zero, one, three, "4"]);
}

/// What refuses every post to the channel ends what waits for it, as one post or alone.
#[test]
fn a_folded_post_to_a_channel_that_is_archived_ends_all_its_messages() {
    let stage = throttled("true");
    let first = queue(&stage.proxy, &stage.builds, "too late for it");
    let behind = queue(&stage.proxy, &stage.builds, "behind it");
    stage.chat.set_channel("builds", Access::Archived);

    for id in [first, behind] {
        let receipt = wait_for_status(&stage.proxy, &id, "failed");
        assert_eq!(receipt["deliveries"][0]["reason"], "archived");
    }
    assert_eq!(shown(&stage.chat, &stage.builds), [""; 0]);
}

#[test]
fn without_the_setting_each_message_is_a_post() {
    let (stage, texts) = (throttled("false"), texts());

    let ids: Vec<String> = texts
        .iter()
        .map(|text| queue(&stage.proxy, &stage.builds, text))
        .collect();
    posts_of(&stage, &ids);

    assert_eq!(shown(&stage.chat, &stage.builds), texts);
}

#[test]
fn what_waits_for_another_reason_is_not_folded() {
    let stage = Stage::with(&[("FOLD_BACKLOG", "true")]);
    stage.chat.down();
    let ids: Vec<String> = texts()
        .iter()
        .map(|text| queue(&stage.proxy, &stage.builds, text))
        .collect();

    stage.chat.up();
    posts_of(&stage, &ids);

    assert_eq!(shown(&stage.chat, &stage.builds), texts());
}

#[test]
fn a_post_with_a_title_stands_alone() {
    let stage = throttled("true");
    let post = |text: &str, query: &[(&str, &str)]| -> Response {
        let query = [&[("wait", "0")], query].concat();
        stage.proxy.post_message(&stage.builds, text, &query)
    };

    let answers = [
        post("one", &[]),
        post("two", &[]),
        post("three", &[("title", "A heading")]),
        post("four", &[]),
        post("five", &[]),
    ];
    let posts_of = posts_of(&stage, &answers.each_ref().map(id));

    let posts = stage.chat.posts();
    let made: Vec<&str> = posts.iter().map(|post| &*post.id).collect();
    assert_eq!(posts.len(), 3, "{posts:?}");
    assert_eq!(
        posts_of,
        [made[0], made[0], made[1], made[2], made[2]],
        "{posts:?}"
    );
    assert_eq!(
        (&*posts[0].message, &*posts[2].message),
        ("one\ntwo", "four\nfive")
    );
}
