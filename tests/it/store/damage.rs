//! S-4 and P-6: files that are not, or not any more, what this program wrote.

use std::fs;
use std::path::PathBuf;

use super::opening::assert_not_opened;
use super::{eventually, listed, queue_all, setup, shown, start};
use crate::support::{Folder, Mattermost, Proxy};

/// Where SQLite keeps the version of the schema, big-endian (file format, section 1.3).
const USER_VERSION: usize = 60;
/// Where it keeps whose file it is.
const APPLICATION_ID: usize = 68;

/// A stopped proxy's outbox with messages waiting.
struct Left {
    chat: Mattermost,
    folder: Folder,
    builds: String,
    texts: Vec<String>,
}

impl Left {
    fn new() -> Self {
        Self::by(|proxy| assert_eq!(proxy.terminate().code(), Some(0)))
    }

    /// Of one that ended so.
    fn by(end: impl FnOnce(Proxy)) -> Self {
        let (chat, folder) = (Mattermost::start(), Folder::new());
        let builds = chat.channel("builds");
        let proxy = start(&chat, &folder);
        chat.down();
        let texts = queue_all(&proxy, &builds, "was promised", 50);
        end(proxy);
        chat.up();
        Self {
            chat,
            folder,
            builds,
            texts,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("outbox.db")
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap()
    }

    /// Replaces a text by another of its length, everywhere; how often.
    fn replace(&self, old: &str, new: &str) -> usize {
        let mut bytes = self.bytes();
        let places: Vec<usize> = (0..bytes.len())
            .filter(|at| bytes[*at..].starts_with(old.as_bytes()))
            .collect();
        for at in &places {
            bytes[*at..*at + new.len()].copy_from_slice(new.as_bytes());
        }
        fs::write(self.path(), bytes).unwrap();
        places.len()
    }

    /// With these bytes in its place the start ends, says why, and touches nothing.
    #[track_caller]
    fn assert_refused(&self, bytes: &[u8], case: &str) {
        fs::write(self.path(), bytes).unwrap();

        let refused = setup(&self.chat).outbox(&self.folder).run();

        assert_not_opened(&refused, self.path().to_str().unwrap(), 78);
        assert!(self.bytes() == bytes, "{case}: the file has changed");
        assert!(self.chat.posts().is_empty(), "{case}");
    }
}

/// A database of another program: one page, no tables.
fn foreign() -> Vec<u8> {
    let mut page = vec![0; 4096];
    page[..16].copy_from_slice(b"SQLite format 3\0");
    // Page size, both formats 1, nothing reserved, and the payload fractions that are fixed.
    page[16..24].copy_from_slice(&[0x10, 0, 1, 1, 0, 64, 32, 32]);
    for (at, value) in [
        (24, 1u32),
        (28, 1),
        (44, 4),
        (56, 1),
        (92, 1),
        (96, 3_040_001),
    ] {
        page[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    page[APPLICATION_ID..APPLICATION_ID + 4].copy_from_slice(&0x0f05_5112u32.to_be_bytes());
    // An empty leaf of a table, whose content begins at the page's end.
    page[100..108].copy_from_slice(&[0x0d, 0, 0, 0, 0, 0x10, 0, 0]);
    page
}

/// S-4: what is no outbox is neither used nor replaced.
#[test]
fn a_file_that_is_no_outbox_is_refused_and_left_alone() {
    let left = Left::new();
    let whole = left.bytes();
    let mut scrambled = whole.clone();
    scrambled[200..4000].fill(0xa5);
    let cases: [(&str, Vec<u8>); 6] = [
        ("text", b"dear diary, nothing happened today\n".repeat(500)),
        (
            "noise",
            (0..40_000u32).map(|n| (n * n % 251) as u8).collect(),
        ),
        ("half of it", whole[..whole.len() / 2].to_vec()),
        ("a torn page", whole[..whole.len() - 1000].to_vec()),
        ("a scrambled page", scrambled),
        ("another program's", foreign()),
    ];

    for (case, bytes) in cases {
        left.assert_refused(&bytes, case);
    }

    fs::write(left.path(), whole).unwrap();
    let _proxy = start(&left.chat, &left.folder);
    super::assert_shown(&left.chat, &left.builds, &left.texts);
}

/// S-4, P-6: what a newer version wrote is for that version to read.
#[test]
fn an_outbox_of_a_newer_version_is_refused_and_left_alone() {
    let left = Left::new();
    let mut newer = left.bytes();
    let version = u32::from_be_bytes(newer[USER_VERSION..USER_VERSION + 4].try_into().unwrap());
    newer[USER_VERSION..USER_VERSION + 4].copy_from_slice(&(version + 1).to_be_bytes());

    assert!(version >= 1, "the schema has no version");
    left.assert_refused(&newer, "newer");
}

/// S-4: the outbox says whose it is, so that another program's file is told from it.
#[test]
fn an_outbox_says_whose_it_is() {
    let left = Left::new();
    let bytes = left.bytes();

    assert_ne!(bytes[APPLICATION_ID..APPLICATION_ID + 4], [0; 4]);
    let mut other = bytes;
    other[APPLICATION_ID..APPLICATION_ID + 4].copy_from_slice(&0x0f05_5112u32.to_be_bytes());
    left.assert_refused(&other, "another program's with the same tables");
}

/// S-4: a damaged message is not delivered as something else; the others are, or the start is refused.
#[test]
fn a_changed_text_is_never_shown() {
    let left = Left::new();
    let changed = left.texts[7].replace("promised", "Promised");
    assert!(
        left.replace(&left.texts[7], &changed) > 0,
        "not in the file"
    );

    let proxy = start(&left.chat, &left.folder);
    let rest: Vec<String> = left
        .texts
        .iter()
        .filter(|text| **text != left.texts[7])
        .cloned()
        .collect();
    super::assert_shown(&left.chat, &left.builds, &rest);

    eventually("it is given up", || listed(&proxy, "failed").len() == 1);
}

/// S-4: the same where the channel is what changed.
#[test]
fn a_changed_channel_never_gets_the_message() {
    let left = Left::new();
    let deploys = left.chat.channel("deploys");
    assert!(left.replace(&left.builds, &deploys) > 0, "not in the file");

    let proxy = start(&left.chat, &left.folder);
    eventually("they are given up", || listed(&proxy, "queued").is_empty());

    assert_eq!(shown(&left.chat, &deploys), [""; 0]);
    assert_eq!(listed(&proxy, "failed").len(), left.texts.len());
}

/// S-4: SQLite would throw away whatever is behind the damage, and all of it was promised.
#[test]
fn a_log_that_is_damaged_before_its_end_is_refused_and_left_alone() {
    let left = Left::by(|proxy| assert!(!proxy.kill().success()));
    let (file, log) = (left.path(), left.folder.path().join("outbox.db-wal"));
    let (whole_file, whole_log) = (left.bytes(), fs::read(&log).unwrap());

    // In the header, in the first frame, halfway.
    for at in [17, 1000, whole_log.len() / 2] {
        let mut damaged = whole_log.clone();
        damaged[at] ^= 1;
        fs::write(&log, &damaged).unwrap();

        let refused = setup(&left.chat).outbox(&left.folder).run();

        assert_not_opened(&refused, file.to_str().unwrap(), 78);
        assert!(refused.stderr.contains("log"), "{}", refused.stderr);
        assert!(fs::read(&log).unwrap() == damaged, "{at}: the log");
        assert!(left.bytes() == whole_file, "{at}");
    }

    fs::write(&log, whole_log).unwrap();
    let _proxy = start(&left.chat, &left.folder);
    super::assert_shown(&left.chat, &left.builds, &left.texts);
}

/// G1: neither the credentials nor, once it is delivered, the text stay in the file.
#[test]
fn nothing_stays_in_the_file_that_nobody_needs() {
    let left = Left::new();
    let proxy = start(&left.chat, &left.folder);
    super::assert_shown(&left.chat, &left.builds, &left.texts);
    eventually("all settled", || listed(&proxy, "queued").is_empty());
    assert_eq!(proxy.terminate().code(), Some(0));

    for entry in fs::read_dir(left.folder.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        for secret in ["was promised", &left.chat.token()] {
            assert!(
                !bytes
                    .windows(secret.len())
                    .any(|part| part == secret.as_bytes()),
                "{secret}"
            );
        }
    }
}
