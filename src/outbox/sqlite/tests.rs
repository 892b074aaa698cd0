//! What the file promises beyond the operations: that it is ours, whole, alone, and keeps no text of what is delivered.

use std::fs;
use std::path::{Path, PathBuf};

use super::Sqlite;
use crate::domain::delivery::DeliveryId;
use crate::outbox::memory::message;
use crate::outbox::{Lane, Outbox as _};

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("outbox-{}", DeliveryId::generate());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("outbox.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

const NOW: u64 = 1_790_000_000_000;

#[track_caller]
fn open(path: &Path) -> Sqlite {
    Sqlite::open(path, NOW).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn what_is_appended_is_there_after_reopening() {
    let folder = Folder::new();
    let mut outbox = open(&folder.file());
    let sent = message(1, Lane(7), b"hello");

    outbox.begin().unwrap();
    outbox.append(&sent, NOW).unwrap();
    outbox.commit().unwrap();
    outbox.close();

    let mut outbox = open(&folder.file());
    let rows = outbox.head(Lane(7), 10).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].post, b"hello");
    assert_eq!(rows[0].delivery, sent.deliveries[0]);
}
