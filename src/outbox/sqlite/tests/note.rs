//! The notes: they survive what the messages do, keep their number, and an erased one is nowhere in the file.

use super::*;
use crate::outbox::{Note, Space};

fn note(key: &str, value: &[u8]) -> Note {
    Note {
        space: Space::Installation,
        key: key.to_owned(),
        value: value.to_vec(),
    }
}

#[track_caller]
fn put(outbox: &mut Sqlite, key: &str, value: &[u8]) {
    done(outbox, |outbox| {
        outbox.put_note(&note(key, value), NOW, 1000)
    });
}

fn count(bytes: &[u8], word: &[u8]) -> usize {
    let windows = bytes.windows(word.len());
    windows.filter(|window| *window == word).count()
}

/// What `kill -9` leaves: the file and its log as they are.
#[test]
fn a_note_that_is_committed_is_there_without_a_close() {
    let (folder, copy) = (Folder::new(), Folder::new());
    let mut outbox = open(&folder.file());
    put(&mut outbox, "T1", b"first");
    put(&mut outbox, "T1", b"second");
    outbox.begin().unwrap();
    outbox.delete_note(Space::Installation, "T1").unwrap();

    fs::copy(folder.file(), copy.file()).unwrap();
    fs::copy(beside(&folder.file(), "-wal"), beside(&copy.file(), "-wal")).unwrap();

    let survivor = open(&copy.file());
    assert_eq!(survivor.notes_at_open().unwrap(), [note("T1", b"second")]);
}

/// P-6: an older version of the program finds nothing that it does not know until there is a note, and the version of
/// the tables is the same even then.
#[test]
fn a_file_from_before_notes_is_opened_and_takes_them() {
    let folder = Folder::new();
    filled(&folder.file(), 1);
    let look = |sql: &str| {
        let file = Connection::open(folder.file()).unwrap();
        file.query_row(sql, [], |row| row.get::<_, i32>(0)).unwrap()
    };
    let tables = || look("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'note%'");
    let before = tables();

    let mut outbox = open(&folder.file());
    let none = outbox.notes(Space::Installation).unwrap();
    done(&mut outbox, |outbox| {
        outbox.delete_note(Space::Installation, "T1")
    });
    put(&mut outbox, "T1", b"value");
    outbox.close(false);

    assert_eq!((before, none, tables()), (0, Vec::new(), 2));
    assert_eq!(look("PRAGMA user_version"), 1);
    let found = open(&folder.file()).notes_at_open().unwrap();
    assert_eq!(found, [note("T1", b"value")]);
}

/// Pages are split, joined and reused meanwhile; long values have pages of their own; some stay.
#[test]
fn a_sealed_value_that_was_replaced_or_deleted_is_nowhere_in_the_file() {
    let folder = Folder::new();
    let mut outbox = open(&folder.file());
    let key = |number: u32| format!("T{:04}", number * 599 % 3001);
    let value = |word: &[u8], number: u32| {
        let is_long = number.is_multiple_of(50);
        word.repeat(if is_long { 900 } else { number as usize % 40 } + 1)
    };
    let numbers: Vec<u32> = (0..3000).collect();

    for chunk in numbers.chunks(100) {
        done(&mut outbox, |outbox| {
            chunk.iter().try_for_each(|&number| {
                let note = note(&key(number), &value(b"old-sealed ", number));
                outbox.put_note(&note, NOW, 3000)
            })
        });
    }
    for chunk in numbers.chunks(50) {
        done(&mut outbox, |outbox| {
            chunk.iter().try_for_each(|&number| {
                if number % 3 == 0 {
                    return outbox.delete_note(Space::Installation, &key(number));
                }
                let note = note(&key(number), &value(b"new ", number + 1));
                outbox.put_note(&note, NOW, 3000)
            })
        });
    }
    outbox.close(false);

    let bytes = fs::read(folder.file()).unwrap();
    let log = fs::read(beside(&folder.file(), "-wal")).unwrap_or_default();
    assert_eq!((count(&bytes, b"sealed"), count(&log, b"sealed")), (0, 0));
    let left = open(&folder.file()).notes(Space::Installation).unwrap();
    assert_eq!(left.len(), 2000);
    assert!(left.iter().all(|note| note.value.starts_with(b"new ")));
}

/// The same while the process runs and nobody waits.
#[test]
fn an_evicted_value_is_gone_from_the_file_after_a_rest() {
    let folder = Folder::new();
    let mut outbox = open(&folder.file());
    for number in 0..200 {
        let value = if number < 190 { b"sealed" } else { b"stayed" }.repeat(20);
        let note = note(&format!("T{number}"), &value);
        done(&mut outbox, |outbox| outbox.put_note(&note, NOW, 10));
    }

    outbox.rest();
    outbox.empty_log().unwrap();

    let bytes = fs::read(folder.file()).unwrap();
    assert_eq!(count(&bytes, b"sealed"), 0);
    assert_eq!(outbox.notes(Space::Installation).unwrap().len(), 10);
}

/// Written again, a note is the youngest; and a clock that goes back makes none older.
#[test]
fn beyond_the_cap_the_one_that_was_written_longest_ago_goes() {
    let folder = Folder::new();
    let mut outbox = open(&folder.file());
    let mut put = |key: &str, now_ms| {
        done(&mut outbox, |outbox| {
            outbox.put_note(&note(key, b"v"), now_ms, 3)
        });
    };

    put("a", NOW);
    put("b", NOW + 1);
    put("c", NOW - 900);
    put("a", NOW - 901);
    put("d", NOW - 902);

    let left = outbox.notes(Space::Installation).unwrap();
    let keys: Vec<&str> = left.iter().map(|note| note.key.as_str()).collect();
    assert_eq!(keys, ["a", "c", "d"]);
}

/// P-5.
#[test]
fn the_time_of_a_note_moves_with_the_clock() {
    let folder = Folder::new();
    let mut outbox = open(&folder.file());
    put(&mut outbox, "T1", b"value");
    outbox.close(false);

    let outbox = Sqlite::open(&folder.file(), NOW - DAY_MS).unwrap();

    let time: i64 = outbox
        .connection
        .query_row("SELECT updated_ms FROM note", [], |row| row.get(0))
        .unwrap();
    assert_eq!(time, (NOW - DAY_MS).cast_signed());
}

/// SQLite's own limit stands in for the disk's.
#[test]
fn a_full_disk_refuses_a_note_and_keeps_the_one_before() {
    let folder = Folder::new();
    filled(&folder.file(), 5);
    let mut outbox = open(&folder.file());
    put(&mut outbox, "T1", b"first");
    let limit = "PRAGMA max_page_count = 30";
    outbox.connection.query_row(limit, [], |_| Ok(())).unwrap();

    outbox.begin().unwrap();
    let refused = outbox.put_note(&note("T1", &[7; 1 << 20]), NOW, 9);
    outbox.rollback();

    assert_eq!(refused, Err(StoreError::Full));
    let left = outbox.notes(Space::Installation).unwrap();
    assert_eq!(left, [note("T1", b"first")]);
}

#[test]
fn a_note_does_not_show_its_value() {
    let shown = format!("{:?}", note("T1", b"xoxb-sealed"));

    assert_eq!(
        shown,
        "Note { space: Installation, key: \"T1\", bytes: 11, .. }"
    );
}
