//! Which files are opened, and which are refused and left as they are.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::{beside, done, filled, open};
use crate::outbox::Lane;
use crate::outbox::Outbox as _;
use crate::outbox::sample::{Folder, NOW, delivery, id, message};
use crate::outbox::sqlite::{OpenError, Sqlite};

#[track_caller]
fn refused(path: &Path) -> OpenError {
    match Sqlite::open(path, NOW) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[test]
fn a_second_opener_is_refused_and_the_first_goes_on() {
    let folder = Folder::new();
    let mut first = open(&folder.file());

    let error = refused(&folder.file());

    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    assert!(error.to_string().contains("another process has it open"));
    done(&mut first, |outbox| outbox.append(&message(1, 1, b""), NOW));
}

#[test]
fn a_missing_folder_is_named() {
    let folder = Folder::new();
    fs::write(folder.0.join("file"), "").unwrap();

    for path in [
        folder.0.join("none/outbox.db"),
        folder.0.join("file/outbox.db"),
    ] {
        let error = refused(&path);

        assert!(matches!(error, OpenError::NoFolder(_)), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()));
    }
}

/// `quick_check` does not compare an index with its rows.
#[test]
fn an_index_that_does_not_know_its_rows_is_damage() {
    for (index, before, after) in [
        ("delivery_waiting", "state = 0", "state = 9"),
        ("delivery_id", "(id, place)", "(id, place) WHERE state = 9"),
    ] {
        let folder = Folder::new();
        filled(&folder.file(), 5);
        // While the index is another one for SQLite, a row moves away from it.
        let file = Connection::open(folder.file()).unwrap();
        let rename = |from: &str, to: &str| {
            file.execute_batch("PRAGMA writable_schema = ON").unwrap();
            let sql = "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = ?";
            assert_eq!(file.execute(sql, [from, to, index]).unwrap(), 1);
            file.execute_batch("PRAGMA writable_schema = RESET")
                .unwrap();
        };
        rename(before, after);
        file.execute("UPDATE delivery SET seq = 100 WHERE seq = 2", [])
            .unwrap();
        rename(after, before);
        file.close().unwrap();

        let error = refused(&folder.file());

        assert!(
            matches!(error, OpenError::Corrupt { .. }),
            "{index}: {error}"
        );
    }
}

#[test]
fn a_folder_is_no_file() {
    let folder = Folder::new();

    let error = refused(&folder.0);

    assert!(matches!(error, OpenError::NotWritable { .. }), "{error}");
}

#[test]
fn what_is_not_a_database_is_refused_and_left_as_it_is() {
    let folder = Folder::new();

    for contents in ["x", "a text that somebody wrote, longer than a header"] {
        fs::write(folder.file(), contents).unwrap();
        let error = refused(&folder.file());

        assert!(matches!(error, OpenError::NotADatabase(_)), "{error}");
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), contents);
    }
}

#[test]
fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    let other = Connection::open(folder.file()).unwrap();
    other.execute_batch("CREATE TABLE other (x)").unwrap();
    other.close().unwrap();
    let before = fs::read(folder.file()).unwrap();

    let error = refused(&folder.file());

    assert!(matches!(error, OpenError::Foreign(_)), "{error}");
    assert_eq!(fs::read(folder.file()).unwrap(), before);
}

#[test]
fn newer_tables_are_refused() {
    let folder = Folder::new();
    filled(&folder.file(), 1);
    let newer = Connection::open(folder.file()).unwrap();
    newer.pragma_update(None, "user_version", 2).unwrap();
    newer.close().unwrap();

    let error = refused(&folder.file());

    assert!(
        matches!(error, OpenError::Newer { found: 2, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("written by a newer version"));
}

#[test]
fn a_file_that_was_cut_is_refused() {
    let folder = Folder::new();
    filled(&folder.file(), 500);
    let whole = fs::read(folder.file()).unwrap();

    for length in [100, 4096, 5000, whole.len() / 2, whole.len() - 4096] {
        fs::write(folder.file(), &whole[..length]).unwrap();
        let error = refused(&folder.file());

        assert!(
            matches!(error, OpenError::Corrupt { .. }),
            "{length}: {error}"
        );
    }
}

#[test]
fn an_empty_file_with_a_log_is_refused() {
    let folder = Folder::new();
    fs::write(folder.file(), "").unwrap();
    fs::write(beside(&folder.file(), "-wal"), "frames").unwrap();

    let error = refused(&folder.file());

    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
}

/// S-4: whatever happens to the bytes, nothing else is handed out than what was written.
#[test]
fn no_damage_makes_another_message() {
    let folder = Folder::new();
    filled(&folder.file(), 60);
    let whole = fs::read(folder.file()).unwrap();
    let step = 131;

    for at in (0..whole.len()).step_by(step) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at / step % 8);
        fs::write(folder.file(), bytes).unwrap();
        let Ok(mut outbox) = Sqlite::open(&folder.file(), NOW) else {
            continue;
        };

        outbox.begin().unwrap();
        let rows = outbox.head(Lane(1), 100).unwrap_or_default();
        assert!(rows.iter().all(|row| row.post == b"text of a message"));
        assert!(rows.iter().all(|row| row.delivery.to == delivery(0, 1).to));
        assert!(
            rows.iter()
                .all(|row| (1..=60).any(|number| row.id == id(number)))
        );
        outbox.rollback();
    }
}
