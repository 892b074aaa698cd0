//! S-1 and S-2: disks that are full or fail.

use super::{
    assert_refused, assert_shown, eventually, hold, post, promised, queue, queue_all, setup, shown,
    start, store_state,
};
use crate::support::{Faults, Folder, Gate, Mattermost, Proxy, message_path};

/// Long enough that a disk without room soon shows it.
const LONG: usize = 2_000;
/// More than fits into what a file may hold in reserve.
const MANY: usize = 4_000;

/// Posts until the disk is full; the texts that were promised.
#[track_caller]
pub fn fill(proxy: &Proxy, channel: &str) -> Vec<String> {
    fill_with(proxy, channel, LONG)
}

#[track_caller]
fn fill_with(proxy: &Proxy, channel: &str, length: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < MANY {
        let text = format!("fills the disk {:04} {}", texts.len(), "x".repeat(length));
        let answer = post(proxy, channel, &text);
        if answer.status != 202 {
            assert_refused(&answer, "store-unavailable");
            return texts;
        }
        texts.push(text);
    }
    panic!("{MANY} messages went to a disk without room");
}

/// S-1: new posts are refused, and `/ready` says why, while what was promised is delivered in its order.
#[test]
fn a_full_disk_refuses_new_posts_and_deliveries_go_on() {
    let (chat, faults) = (Mattermost::start(), Faults::none());
    let (builds, deploys) = (chat.channel("builds"), chat.channel("deploys"));
    let proxy = faults.setup(setup(&chat)).start();
    let (gate, first) = hold(&proxy, &chat, &builds);
    let waiting = queue_all(&proxy, &builds, "before the disk was full", 20);

    faults.disk_full();
    let squeezed = fill(&proxy, &builds);
    let state = store_state(&proxy);
    let elsewhere = proxy.post_message(&deploys, "to a channel where nothing waits", &[]);
    let alive = proxy.get("/health").status;
    gate.open();

    assert_eq!(state, (503, "sqlite".to_owned(), "full".to_owned()));
    assert_refused(&elsewhere, "store-unavailable");
    assert_eq!(alive, 200);
    assert_shown(&chat, &builds, &[vec![first], waiting, squeezed].concat());
}

/// S-1: a quota that is used up is a full disk to who has it.
#[test]
fn a_quota_that_is_used_up_refuses_new_posts_and_deliveries_go_on() {
    let (chat, faults) = (Mattermost::start(), Faults::none());
    let builds = chat.channel("builds");
    let proxy = faults.setup(setup(&chat)).start();
    let (gate, first) = hold(&proxy, &chat, &builds);

    faults.quota_used_up();
    let squeezed = fill(&proxy, &builds);
    let state = store_state(&proxy);
    gate.open();

    assert_eq!(state, (503, "sqlite".to_owned(), "full".to_owned()));
    assert_shown(&chat, &builds, &[vec![first], squeezed].concat());
    faults.clear();
    eventually("ready again", || proxy.get("/ready").status == 200);
}

/// S-1: a limit on the size of files does not end the program, and what it settles finds room in the log again and again.
#[test]
fn a_file_that_may_not_grow_refuses_new_posts_and_deliveries_go_on() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let builds = chat.channel("builds");
    // In blocks of 512 bytes: 10 MiB.
    let own = setup(&chat).outbox(&folder);
    let proxy = own.after("ulimit -f 20480").start();
    let (gate, first) = hold(&proxy, &chat, &builds);

    let squeezed = fill_with(&proxy, &builds, 7 * LONG);
    let state = store_state(&proxy);
    gate.open();

    assert_eq!(state, (503, "sqlite".to_owned(), "full".to_owned()));
    assert_shown(&chat, &builds, &[vec![first], squeezed].concat());
    assert_eq!(proxy.get("/health").status, 200);
}

/// S-1: nobody has to do anything but make room.
#[test]
fn a_disk_with_room_again_takes_posts_again() {
    let (chat, faults) = (Mattermost::start(), Faults::none());
    let builds = chat.channel("builds");
    let proxy = faults.setup(setup(&chat)).start();
    let (gate, first) = hold(&proxy, &chat, &builds);
    faults.disk_full();
    let mut texts = [vec![first], fill(&proxy, &builds)].concat();

    faults.capacity(faults.used() + (64 << 20));
    eventually("ready again", || proxy.get("/ready").status == 200);
    texts.push("after there was room".to_owned());
    queue(&proxy, &builds, &texts[texts.len() - 1]);
    gate.open();

    assert_shown(&chat, &builds, &texts);
    assert_eq!(
        store_state(&proxy),
        (200, "sqlite".to_owned(), "ok".to_owned())
    );
}

/// S-1: a store that is never idle, since receipts are asked for all the time, sees as soon that there is room.
#[test]
fn a_busy_store_notices_room_as_well() {
    let (chat, faults) = (Mattermost::start(), Faults::none());
    let builds = chat.channel("builds");
    let proxy = faults.setup(setup(&chat)).start();
    let (_gate, _) = hold(&proxy, &chat, &builds);
    faults.disk_full();
    fill(&proxy, &builds);

    faults.clear();

    eventually("ready again", || {
        proxy.get("/deliveries?status=queued&limit=1");
        proxy.get("/ready").status == 200
    });
}

/// S-1, P-1: a full disk and a crash at once.
#[test]
fn what_was_promised_before_the_disk_was_full_survives_a_kill() {
    let (chat, faults) = (Mattermost::start(), Faults::none());
    let builds = chat.channel("builds");
    let proxy = faults.setup(setup(&chat)).start();
    chat.down();
    let mut texts = queue_all(&proxy, &builds, "before the disk was full", 20);
    faults.disk_full();
    texts.extend(fill(&proxy, &builds));

    proxy.kill();
    chat.up();
    faults.clear();
    let _again = faults.setup(setup(&chat)).start();

    assert_shown(&chat, &builds, &texts);
}

/// S-1, P-1: the disk is still full at the next start, and what was promised is delivered all the same.
#[test]
fn a_start_on_a_full_disk_delivers_what_was_promised() {
    let (chat, faults) = (Mattermost::start(), Faults::none());
    let builds = chat.channel("builds");
    let proxy = faults.setup(setup(&chat)).start();
    chat.down();
    let mut texts = queue_all(&proxy, &builds, "before the disk was full", 20);
    faults.disk_full();
    texts.extend(fill(&proxy, &builds));

    proxy.kill();
    chat.up();
    let _again = faults.setup(setup(&chat)).start();

    assert_shown(&chat, &builds, &texts);
}

/// S-1: the disk fills up again and again; each promise holds and no other was made.
#[test]
fn a_disk_that_is_full_now_and_then_loses_nothing() {
    let (chat, faults) = (Mattermost::start(), Faults::none());
    let builds = chat.channel("builds");
    let proxy = faults.setup(setup(&chat)).start();
    let mut texts = Vec::new();

    for round in 0..5 {
        let (gate, first) = hold(&proxy, &chat, &builds);
        texts.push(first);
        faults.disk_full();
        texts.extend(fill(&proxy, &builds));
        faults.clear();
        eventually("ready again", || proxy.get("/ready").status == 200);
        texts.extend(queue_all(&proxy, &builds, &format!("round {round}"), 5));
        gate.open();
        assert_shown(&chat, &builds, &texts);
    }
}

/// S-2: a post that may not be on the disk is not promised, the program ends, and its next run knows what it promised.
#[track_caller]
fn assert_ends_and_recovers(break_disk: fn(&Faults)) {
    let (chat, faults) = (Mattermost::start(), Faults::none());
    let builds = chat.channel("builds");
    let proxy = faults.setup(setup(&chat)).start();
    chat.down();
    let texts = queue_all(&proxy, &builds, "before the disk failed", 10);

    break_disk(&faults);
    let mut connection = proxy.connect();
    let target = message_path(&builds, "while the disk fails", &[("wait", "0")]);
    connection.send(format!("POST {target} HTTP/1.1\r\nHost: p\r\n\r\n").as_bytes());
    // The program may be gone before it can say so.
    let answer = connection.try_read_response();
    let status = proxy.wait();
    faults.clear();
    chat.up();
    let again = faults.setup(setup(&chat)).start();
    eventually("every message is delivered", || {
        promised(shown(&chat, &builds), &texts).len() >= texts.len()
    });

    if let Ok(answer) = answer {
        assert_refused(&answer, "store-unavailable");
    }
    assert_eq!(status.code(), Some(69));
    assert_eq!(promised(shown(&chat, &builds), &texts), texts);
    drop(again);
}

/// S-2: the disk takes the bytes and does not keep them.
#[test]
fn a_disk_that_cannot_sync_ends_the_program() {
    assert_ends_and_recovers(Faults::fsync_fails);
}

/// S-2: the disk does not even take the bytes.
#[test]
fn a_disk_that_cannot_write_ends_the_program() {
    assert_ends_and_recovers(Faults::write_fails);
}

/// S-2: what is delivered while the disk fails may be delivered again, and nothing else is.
#[test]
fn a_disk_that_fails_under_a_delivery_costs_no_message() {
    let (chat, faults) = (Mattermost::start(), Faults::none());
    let builds = chat.channel("builds");
    let proxy = faults.setup(setup(&chat)).start();
    let (gate, first) = hold(&proxy, &chat, &builds);
    let waiting = queue_all(&proxy, &builds, "behind the first", 10);

    faults.fsync_fails();
    gate.open();
    let status = proxy.wait();
    faults.clear();
    let _again = start(&chat, faults.disk());

    assert_eq!(status.code(), Some(69));
    // The fake knows a repeat by its pending id, as the real one does for half a minute.
    assert_shown(&chat, &builds, &[vec![first], waiting].concat());
}

/// S-2: callers that wait for the platform are answered as well, and not with a promise.
#[test]
fn nobody_is_promised_anything_by_a_program_that_ends() {
    let (chat, faults) = (Mattermost::start(), Faults::none());
    let builds = chat.channel("builds");
    let proxy = faults.setup(setup(&chat)).start();
    let (_gate, _): (Gate, String) = hold(&proxy, &chat, &builds);

    faults.fsync_fails();
    let mut connection = proxy.connect();
    let target = message_path(&builds, "behind the first", &[("wait", "60")]);
    connection.send(format!("POST {target} HTTP/1.1\r\nHost: p\r\n\r\n").as_bytes());
    let answer = connection.try_read_response();

    assert_eq!(proxy.wait().code(), Some(69));
    if let Ok(answer) = answer {
        assert_refused(&answer, "store-unavailable");
    }
}
