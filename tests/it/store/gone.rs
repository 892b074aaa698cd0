//! S-3 while the program runs: its file, or the log beside it, is removed or replaced. Who has a removed file open can go
//! on writing to it, and all of that ends with the process.

use std::fs;
use std::path::{Path, PathBuf};

use super::{
    assert_refused, assert_shown, eventually, hold, post, queue_all, setup, start, store_state,
};
use crate::support::{Folder, Gate, Mattermost, Proxy};

/// What happens to the folder of an outbox.
type Way = (&'static str, fn(&Path));

/// Something waits in a running proxy's outbox, because the platform has not answered what was before it.
struct Waiting {
    chat: Mattermost,
    folder: Folder,
    proxy: Proxy,
    builds: String,
    gate: Gate,
    texts: Vec<String>,
}

impl Waiting {
    fn new() -> Self {
        let (chat, folder) = (Mattermost::start(), Folder::new());
        let builds = chat.channel("builds");
        let proxy = start(&chat, &folder);
        let (gate, first) = hold(&proxy, &chat, &builds);
        let mut texts = vec![first];
        texts.extend(queue_all(&proxy, &builds, "was promised", 5));
        Self {
            chat,
            folder,
            proxy,
            builds,
            gate,
            texts,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Not one more is promised, and the program says what happened.
    #[track_caller]
    fn assert_promises_nothing(&self) {
        let refused = post(&self.proxy, &self.builds, "would be lost");

        assert_refused(&refused, "store-unavailable");
        let detail = refused.json()["detail"].to_string();
        assert!(detail.contains("removed or replaced"), "{detail}");
        let state = store_state(&self.proxy);
        assert_eq!(state, (503, "sqlite".to_owned(), "gone".to_owned()));
    }

    /// The next process, on the file that is said, comes to all that was promised.
    #[track_caller]
    fn assert_delivered_by_the_next(&self, file: &Path) {
        let url = format!("sqlite:{}", file.display());
        let _next = setup(&self.chat).set("DATABASE_URL", url).start();

        // The platform has the first one since before; its repeat is none.
        assert_shown(&self.chat, &self.builds, &self.texts);
    }
}

#[test]
fn without_its_file_nothing_is_promised_and_deliveries_go_on() {
    let ways: [Way; 4] = [
        ("the file is removed", |folder| {
            fs::remove_file(folder.join("outbox.db")).unwrap();
        }),
        ("its log is removed", |folder| {
            fs::remove_file(folder.join("outbox.db-wal")).unwrap();
        }),
        ("its folder is removed", |folder| {
            fs::remove_dir_all(folder).unwrap();
        }),
        ("another has its place", |folder| {
            fs::copy(folder.join("outbox.db"), folder.join("other")).unwrap();
            fs::rename(folder.join("other"), folder.join("outbox.db")).unwrap();
        }),
    ];

    for (case, remove) in ways {
        println!("{case}");
        let waiting = Waiting::new();

        remove(waiting.folder.path());

        waiting.assert_promises_nothing();
        waiting.gate.open();
        assert_shown(&waiting.chat, &waiting.builds, &waiting.texts);
    }
}

/// I1: a copy takes the place of the file at the stop.
#[test]
fn what_waits_in_a_removed_file_is_there_for_the_next_process() {
    let waiting = Waiting::new();
    fs::remove_file(waiting.file("outbox.db")).unwrap();

    let status = waiting.proxy.terminate();
    waiting.gate.open();

    assert_eq!(status.code(), Some(0));
    waiting.assert_delivered_by_the_next(&waiting.file("outbox.db"));
}

/// I1: what was put in its place is not touched, and the copy is beside it.
#[test]
fn what_waits_in_a_replaced_file_is_kept_beside_the_other() {
    let waiting = Waiting::new();
    fs::remove_file(waiting.file("outbox.db")).unwrap();
    fs::write(waiting.file("outbox.db"), "something else").unwrap();

    let status = waiting.proxy.terminate();
    waiting.gate.open();

    assert_eq!(status.code(), Some(0));
    assert_eq!(
        fs::read(waiting.file("outbox.db")).unwrap(),
        b"something else"
    );
    waiting.assert_delivered_by_the_next(&waiting.file("outbox.db.rescued"));
}

/// I1, P-1: as soon as the loss of the log is noticed, the file holds all that was promised.
#[test]
fn without_its_log_a_killed_process_has_lost_nothing() {
    let waiting = Waiting::new();
    fs::remove_file(waiting.file("outbox.db-wal")).unwrap();
    waiting.assert_promises_nothing();

    waiting.proxy.kill();
    waiting.gate.open();

    waiting.assert_delivered_by_the_next(&waiting.file("outbox.db"));
}

#[test]
fn a_file_that_is_put_back_is_used_again() {
    let waiting = Waiting::new();
    fs::rename(waiting.file("outbox.db"), waiting.file("aside")).unwrap();
    waiting.assert_promises_nothing();

    fs::rename(waiting.file("aside"), waiting.file("outbox.db")).unwrap();

    eventually("it takes posts again", || {
        post(&waiting.proxy, &waiting.builds, "once more").status == 202
    });
}
