//! S-9: there is an end to what may wait, and reaching it harms nothing.

use super::{assert_refused, assert_shown, eventually, hold, post, queue, setup, store_state};
use crate::support::{Folder, Gate, Mattermost, Proxy};

const MAX: usize = 10;

struct Full {
    chat: Mattermost,
    builds: String,
    proxy: Proxy,
    gate: Gate,
    texts: Vec<String>,
    _folder: Folder,
}

impl Full {
    /// As many wait as may.
    #[track_caller]
    fn new() -> Self {
        let (chat, folder) = (Mattermost::start(), Folder::new());
        let builds = chat.channel("builds");
        let max = MAX.to_string();
        let proxy = setup(&chat).outbox(&folder).set("OUTBOX_MAX", max).start();
        let (gate, first) = hold(&proxy, &chat, &builds);
        let mut texts = vec![first];
        while texts.len() < MAX {
            let text = format!("waits as number {}", texts.len());
            queue(&proxy, &builds, &text);
            texts.push(text);
        }
        Self {
            chat,
            builds,
            proxy,
            gate,
            texts,
            _folder: folder,
        }
    }
}

/// S-9: what waits already is delivered, what would be more is refused with a time.
#[test]
fn beyond_the_maximum_posts_are_refused_and_what_waits_is_kept() {
    let full = Full::new();

    for _ in 0..5 {
        assert_refused(
            &post(&full.proxy, &full.builds, "one too many"),
            "outbox-full",
        );
    }
    let patient = full
        .proxy
        .post_message(&full.builds, "one too many, patient", &[("wait", "1")]);
    full.gate.open();

    assert_refused(&patient, "outbox-full");
    assert_shown(&full.chat, &full.builds, &full.texts);
}

/// S-9: the store itself is well, so another instance would not help.
#[test]
fn a_full_backlog_is_no_broken_store() {
    let full = Full::new();

    assert_refused(
        &post(&full.proxy, &full.builds, "one too many"),
        "outbox-full",
    );

    assert_eq!(
        store_state(&full.proxy),
        (200, "sqlite".to_owned(), "ok".to_owned())
    );
}

/// S-9: as soon as something was delivered there is room.
#[test]
fn after_a_delivery_there_is_room() {
    let full = Full::new();
    assert_refused(
        &post(&full.proxy, &full.builds, "one too many"),
        "outbox-full",
    );

    full.gate.open();
    assert_shown(&full.chat, &full.builds, &full.texts);
    let text = "there is room";
    eventually("there is room", || {
        post(&full.proxy, &full.builds, text).status == 202
    });

    assert_shown(
        &full.chat,
        &full.builds,
        &[full.texts, vec![text.to_owned()]].concat(),
    );
}

/// S-9: what waits is counted again at the next start, whatever the maximum is then.
#[test]
fn a_smaller_maximum_at_the_next_start_drops_nothing() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let builds = chat.channel("builds");
    chat.down();
    let proxy = setup(&chat).outbox(&folder).start();
    let texts = super::queue_all(&proxy, &builds, "waits", MAX);
    proxy.kill();

    let again = setup(&chat).outbox(&folder).set("OUTBOX_MAX", "5").start();
    let refused = post(&again, &builds, "one too many");
    chat.up();

    assert_refused(&refused, "outbox-full");
    assert_shown(&chat, &builds, &texts);
}
