//! S-3, S-5 and S-8: where there can be no outbox, the start says so; where there is none, nothing is promised.

use std::fs;

use super::{assert_shown, hold, queue_all, setup, start};
use crate::support::{Folder, Mattermost, Proxy, Refused, log_message};

/// One line says which file and why, and no other names it.
#[track_caller]
pub(super) fn assert_not_opened(refused: &Refused, path: &str, code: i32) {
    let lines: Vec<&str> = refused
        .stderr
        .lines()
        .filter(|line| line.contains(path))
        .collect();
    assert_eq!((refused.code, lines.len()), (code, 1), "{}", refused.stderr);
    assert!(!refused.stderr.contains("panicked"), "{}", refused.stderr);
}

/// S-3: in a folder that is not there, below a file, where a folder is, and where nobody may write.
#[test]
fn an_outbox_that_cannot_be_made_ends_the_start() {
    let folder = Folder::new();
    let inside = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(inside("file"), "not a folder").unwrap();
    fs::create_dir(inside("folder")).unwrap();
    // Not even root makes files in /proc.
    let paths = [
        inside("none/outbox.db"),
        inside("file/outbox.db"),
        inside("folder"),
        "/proc/outbox.db".to_owned(),
    ];

    for path in paths {
        let refused = Proxy::refused(&[("DATABASE_URL", &format!("sqlite:{path}"))]);

        assert_not_opened(&refused, &path, 78);
    }
    assert_eq!(fs::read(inside("file")).unwrap(), b"not a folder");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

/// S-3: what is neither a file nor a folder is the setting's fault, not the disk's.
#[test]
fn a_device_is_no_outbox() {
    for path in ["/dev/null", "/dev/zero"] {
        let refused = Proxy::refused(&[("DATABASE_URL", &format!("sqlite:{path}"))]);

        assert_not_opened(&refused, path, 78);
    }
}

/// A link may lead to a file that the first start is to make, and what follows it lies beside that file.
#[test]
fn a_link_leads_to_the_outbox() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let builds = chat.channel("builds");
    std::os::unix::fs::symlink("real.db", folder.path().join("outbox.db")).unwrap();
    let proxy = start(&chat, &folder);
    chat.down();
    let texts = queue_all(&proxy, &builds, "through a link", 3);
    proxy.kill();
    chat.up();

    // What SQLite would take for an empty database, throwing the log away.
    let whole = fs::read(folder.path().join("real.db")).unwrap();
    fs::write(folder.path().join("real.db"), "").unwrap();
    let refused = setup(&chat).outbox(&folder).run();
    assert_not_opened(&refused, "outbox.db", 78);

    fs::write(folder.path().join("real.db"), whole).unwrap();
    let _proxy = start(&chat, &folder);
    assert_shown(&chat, &builds, &texts);
}

/// To SQLite a name that begins with `file:` is a URL, and may be no file at all.
#[test]
fn a_name_is_no_url() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let builds = chat.channel("builds");
    let named = setup(&chat)
        .set("DATABASE_URL", "sqlite:file:outbox.db")
        .dir(folder.path());
    let proxy = named.clone().start();
    chat.down();
    let texts = queue_all(&proxy, &builds, "in a file with a name like a URL", 3);
    assert_eq!(proxy.terminate().code(), Some(0));
    chat.up();

    assert!(folder.path().join("file:outbox.db").is_file());
    let _proxy = named.start();
    assert_shown(&chat, &builds, &texts);
}

/// S-3: a value that is no address of an outbox is a fault of the configuration.
#[test]
fn a_malformed_database_url_is_bad_configuration() {
    for url in ["sqlite:", "mysql://localhost/x", "outbox.db"] {
        let refused = Proxy::refused(&[("DATABASE_URL", url)]);

        assert_eq!(refused.code, 78, "{url}: {}", refused.stderr);
        assert!(
            refused.stderr.contains("DATABASE_URL"),
            "{}",
            refused.stderr
        );
    }
}

/// S-5: the second goes, and the first does not notice.
#[test]
fn a_second_process_is_refused() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let builds = chat.channel("builds");
    let path = folder.path().join("outbox.db");
    let proxy = start(&chat, &folder);
    let (gate, first) = hold(&proxy, &chat, &builds);
    let mut texts = vec![first];

    for round in 0..3 {
        texts.extend(queue_all(&proxy, &builds, &format!("round {round}"), 3));
        let refused = setup(&chat).outbox(&folder).run();
        assert_not_opened(&refused, path.to_str().unwrap(), 69);
    }
    gate.open();

    assert_shown(&chat, &builds, &texts);
}

/// S-5: who was killed holds no lock.
#[test]
fn the_outbox_of_a_killed_process_opens_at_once() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    for _ in 0..5 {
        let proxy = start(&chat, &folder);

        assert_eq!(proxy.get("/ready").status, 200);
        proxy.kill();
    }
}

fn on_a_dyno(chat: &Mattermost) -> Proxy {
    setup(chat)
        .unset("DATABASE_URL")
        .set("DYNO", "web.1")
        .start()
}

/// S-8: on a dyno without a database there is no outbox, and the start says so.
#[test]
fn a_wiped_disk_is_no_outbox_and_the_start_says_so() {
    let chat = Mattermost::start();
    let proxy = on_a_dyno(&chat);

    proxy.wait_for_log(|event| log_message(event).contains("DATABASE_URL"));

    assert_eq!(proxy.get("/ready").json()["store"]["name"], "none");
}

/// S-8: a wiped disk would break a promise, so none is made.
#[test]
fn without_a_lasting_disk_nothing_is_promised() {
    let chat = Mattermost::start();
    let builds = chat.channel("builds");
    let proxy = on_a_dyno(&chat);

    let taken = proxy.post_message(&builds, "the platform is there", &[]);
    let at_once = proxy.post_message(&builds, "asks for a promise", &[("wait", "0")]);
    let preferred = proxy.request(
        "POST",
        format!("/post/channel/{builds}/msg/prefers%20a%20promise"),
        &[("Prefer", "respond-async")],
    );
    chat.down();
    let away = proxy.post_message(&builds, "the platform is away", &[("wait", "1")]);

    assert_eq!(taken.status, 200);
    assert_eq!(at_once.verdict(), (400, "bad-option".to_owned()));
    assert_eq!(preferred.status, 200);
    super::assert_refused(&away, "backend-unavailable");
}

/// S-8: an outbox that was asked for is one, on a dyno as anywhere.
#[test]
fn a_dyno_with_a_database_url_has_an_outbox() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let proxy = setup(&chat).outbox(&folder).set("DYNO", "web.1").start();

    assert_eq!(
        super::store_state(&proxy),
        (200, "sqlite".to_owned(), "ok".to_owned())
    );
}
