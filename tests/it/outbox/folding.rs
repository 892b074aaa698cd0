//! `FOLD_BACKLOG`: what waits for a throttled destination becomes few posts, each message with a receipt of its own.

use std::collections::BTreeSet;

use super::{Stage, id};
use crate::store::{queue, shown, wait_for_status};
use crate::support::{Reply, Response};

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
