//! What the file promises beyond the operations: that it is ours, whole, alone, and keeps no text of what is delivered.

mod note;
mod opening;
mod statements;

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;

use rusqlite::Connection;

use super::Sqlite;
use crate::outbox::sample::{Folder, NOW, delivery, id, message};
use crate::outbox::{
    Appended, Filter, Lane, Once, Outbox as _, Progress, Retention, State, StoreError,
};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

#[track_caller]
fn open(path: &Path) -> Sqlite {
    Sqlite::open(path, NOW).unwrap_or_else(|error| panic!("{error}"))
}

/// Something done in a transaction of its own.
#[track_caller]
fn done<T>(outbox: &mut Sqlite, work: impl FnOnce(&mut Sqlite) -> Result<T, StoreError>) -> T {
    outbox.begin().unwrap();
    let answer = work(outbox).unwrap();
    outbox.commit().unwrap();
    answer
}

/// A file with some messages in lane 1, closed.
fn filled(path: &Path, count: u32) {
    let mut outbox = open(path);
    done(&mut outbox, |outbox| {
        for number in 1..=count {
            outbox.append(&message(number, 1, b"text of a message"), NOW)?;
        }
        Ok(())
    });
    outbox.close(false);
}

fn beside(path: &Path, end: &str) -> OsString {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name
}

fn settled(ms: u64) -> Progress {
    Progress {
        settled_ms: ms,
        ..Progress::default()
    }
}

#[test]
fn the_file_is_for_its_user_alone_and_is_all_that_stays() {
    let folder = Folder::new();

    filled(&folder.file(), 3);

    let mode = fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!Path::new(&beside(&folder.file(), "-wal")).exists());
}

#[test]
fn a_lane_keeps_its_order_across_a_restart() {
    let folder = Folder::new();
    filled(&folder.file(), 100);

    let rows = open(&folder.file()).head(Lane(1), 1000).unwrap();

    let order: Vec<_> = rows.iter().map(|row| row.id).collect();
    assert_eq!(order, (1..=100).map(id).collect::<Vec<_>>());
    assert_eq!(rows[0].delivery, delivery(0, 1));
    assert_eq!(rows[0].post, b"text of a message");
}

/// What `kill -9` leaves: the file and its log as they are.
#[test]
fn what_is_committed_is_there_without_a_close() {
    let (folder, copy) = (Folder::new(), Folder::new());
    let mut outbox = open(&folder.file());
    done(&mut outbox, |outbox| {
        outbox.append(&message(1, 1, b"promised"), NOW)
    });
    outbox.begin().unwrap();
    outbox.append(&message(2, 1, b"not promised"), NOW).unwrap();

    fs::copy(folder.file(), copy.file()).unwrap();
    fs::copy(beside(&folder.file(), "-wal"), beside(&copy.file(), "-wal")).unwrap();

    let mut survivor = open(&copy.file());
    let rows = survivor.head(Lane(1), 10).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].post, b"promised");
    assert!(survivor.is_doubtful());
}

#[test]
fn only_a_close_with_nothing_in_flight_leaves_no_doubt() {
    let folder = Folder::new();
    let doubts = [false, true, false].map(|in_flight| {
        let outbox = open(&folder.file());
        let is_doubtful = outbox.is_doubtful();
        outbox.close(in_flight);
        is_doubtful
    });

    assert_eq!(doubts, [false, false, true]);
    assert!(!open(&folder.file()).is_doubtful());
}

#[test]
fn a_damaged_row_fails_and_the_next_goes_on() {
    for damage in ["target = 'C9'", "backend = 'teams'", "kind = 1", "sum = 1"]
        .map(|column| format!("UPDATE delivery SET {column} WHERE seq = 1"))
        .into_iter()
        .chain(["UPDATE post SET text = x'00' WHERE seq = 1".to_owned()])
        .chain(["DELETE FROM post WHERE seq = 1".to_owned()])
    {
        let folder = Folder::new();
        filled(&folder.file(), 2);
        let file = Connection::open(folder.file()).unwrap();
        file.execute(&damage, []).unwrap();
        file.close().unwrap();
        let mut outbox = open(&folder.file());

        let rows = done(&mut outbox, |outbox| outbox.head(Lane(1), 1));

        assert_eq!(
            rows.iter().map(|row| row.id).collect::<Vec<_>>(),
            [id(2)],
            "{damage}"
        );
        let damaged = &outbox.find(id(1)).unwrap()[0].delivery;
        assert_eq!(damaged.state, State::Failed);
        assert_eq!(damaged.progress.reason.as_deref(), Some("damaged"));
        assert_eq!(damaged.progress.settled_ms, NOW);
    }
}

/// A new name for the lane must not make a damaged row look whole.
#[test]
fn a_damaged_row_is_not_given_a_new_sum() {
    let folder = Folder::new();
    filled(&folder.file(), 2);
    let file = Connection::open(folder.file()).unwrap();
    file.execute("UPDATE post SET text = x'00' WHERE seq = 1", [])
        .unwrap();
    file.close().unwrap();
    let mut outbox = open(&folder.file());

    let moved = done(&mut outbox, |outbox| outbox.relane(Lane(1), Lane(2), "C2"));

    assert_eq!(moved, 1);
    let rows = outbox.head(Lane(2), 9).unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [id(2)]);
}

/// Pages are split, joined and reused meanwhile; long texts have pages of their own; some stay.
#[test]
fn the_text_of_what_is_delivered_is_nowhere_in_the_file() {
    let folder = Folder::new();
    let mut outbox = open(&folder.file());
    let stays = |number: u32| number % 16 == 7;
    let text = |number: u32| {
        let length = if number.is_multiple_of(50) {
            900
        } else {
            number as usize % 40
        };
        let word: &[u8] = if stays(number) {
            b"other-words "
        } else {
            b"secret-text "
        };
        word.repeat(length + 1)
    };
    let numbers: Vec<u32> = (1..=3000).collect();
    let mut order = numbers.clone();
    order.sort_by_key(|number| number.wrapping_mul(2_654_435_761) % 1009);

    for chunk in numbers.chunks(100) {
        done(&mut outbox, |outbox| {
            chunk.iter().try_for_each(|&number| {
                let message = message(number, i64::from(number % 5), &text(number));
                outbox.append(&message, NOW).map(drop)
            })
        });
    }
    for chunk in order.chunks(50) {
        done(&mut outbox, |outbox| {
            for &number in chunk.iter().filter(|number| !stays(**number)) {
                if number.is_multiple_of(3) {
                    outbox.settle(id(number), 0, State::Failed, &settled(NOW))?;
                    outbox.requeue(id(number), NOW)?;
                }
                outbox.settle(id(number), 0, State::Delivered, &settled(NOW))?;
            }
            Ok(())
        });
    }
    outbox.close(false);

    let bytes = fs::read(folder.file()).unwrap();
    let log = fs::read(beside(&folder.file(), "-wal")).unwrap_or_default();
    let found = |bytes: &[u8]| {
        bytes
            .windows(6)
            .filter(|window| window == b"secret")
            .count()
    };
    assert_eq!((found(&bytes), found(&log)), (0, 0));
    let mut outbox = open(&folder.file());
    for number in numbers.into_iter().filter(|number| stays(*number)) {
        assert_eq!(outbox.find(id(number)).unwrap()[0].post, text(number));
    }
}

#[test]
fn numbers_are_not_given_again() {
    let folder = Folder::new();
    filled(&folder.file(), 3);
    let mut outbox = open(&folder.file());
    let retention = Retention {
        age_ms: 0,
        max_settled: 0,
    };
    done(&mut outbox, |outbox| {
        for number in 1..=3 {
            outbox.settle(id(number), 0, State::Delivered, &settled(NOW))?;
        }
        outbox.expire(NOW, retention, 10)
    });
    outbox.close(false);

    let mut outbox = open(&folder.file());
    done(&mut outbox, |outbox| {
        outbox.append(&message(9, 1, b""), NOW)
    });

    assert_eq!(outbox.find(id(9)).unwrap()[0].seq, 4);
}

#[test]
fn a_key_is_free_again_when_its_time_is_over() {
    let folder = Folder::new();
    let mut outbox = open(&folder.file());
    let with_key = |number| {
        let mut message = message(number, 1, b"");
        message.once = Some(Once {
            key: [1; 32],
            fingerprint: [2; 16],
            expires_ms: NOW + DAY_MS,
        });
        message
    };
    let known = Appended::Known {
        id: id(1),
        same: true,
    };

    let answers = [(1, 0), (2, DAY_MS - 1), (3, DAY_MS)].map(|(number, later)| {
        done(&mut outbox, |outbox| {
            outbox.append(&with_key(number), NOW + later)
        })
    });

    assert_eq!(answers, [Appended::Stored, known, Appended::Stored]);
    assert_eq!(outbox.head(Lane(1), 9).unwrap().len(), 2);
}

#[test]
fn expiry_is_bounded_and_takes_the_oldest_first() {
    let folder = Folder::new();
    filled(&folder.file(), 10);
    let mut outbox = open(&folder.file());
    done(&mut outbox, |outbox| {
        (1..=9).try_for_each(|number| {
            let progress = settled(NOW + u64::from(10 - number));
            outbox
                .settle(id(number), 0, State::Delivered, &progress)
                .map(drop)
        })
    });
    let retention = Retention {
        age_ms: HOUR_MS,
        max_settled: 4,
    };

    let gone =
        [2, 100, 100].map(|max| done(&mut outbox, |outbox| outbox.expire(NOW + 5, retention, max)));

    assert_eq!(gone, [2, 3, 0]);
    let left: Vec<bool> = (1..=10)
        .map(|n| !outbox.find(id(n)).unwrap().is_empty())
        .collect();
    assert_eq!(
        left,
        [
            true, true, true, true, false, false, false, false, false, true
        ]
    );
}

/// P-5: neither does everything expire, nor does anything stall.
#[test]
fn a_clock_that_jumped_between_two_starts_moves_all_times() {
    for (jump_ms, moves) in [
        (-59_000, false),
        (-61_000, true),
        (29 * DAY_MS.cast_signed(), false),
        (31 * DAY_MS.cast_signed(), true),
        (3650 * DAY_MS.cast_signed(), true),
        (-3650 * DAY_MS.cast_signed(), true),
    ] {
        let folder = Folder::new();
        let mut outbox = open(&folder.file());
        let mut sent = message(1, 1, b"");
        sent.deliveries[0].progress.not_before_ms = NOW + 5000;
        done(&mut outbox, |outbox| outbox.append(&sent, NOW));
        outbox.close(false);

        let mut outbox = Sqlite::open(&folder.file(), NOW.saturating_add_signed(jump_ms)).unwrap();

        let by = if moves { jump_ms } else { 0 };
        let row = &outbox.find(id(1)).unwrap()[0];
        let want = [NOW, NOW + 5000, 0].map(|ms| {
            if ms == 0 {
                0
            } else {
                ms.saturating_add_signed(by)
            }
        });
        let progress = &row.delivery.progress;
        assert_eq!(
            [row.created_ms, progress.not_before_ms, progress.settled_ms],
            want
        );
    }
}

/// SQLite's own limit stands in for the disk's.
#[test]
fn a_full_disk_is_told_and_what_was_there_stays() {
    let folder = Folder::new();
    filled(&folder.file(), 5);
    let mut outbox = open(&folder.file());
    let limit = "PRAGMA max_page_count = 30";
    outbox.connection.query_row(limit, [], |_| Ok(())).unwrap();

    outbox.begin().unwrap();
    let full =
        (10..2000).find_map(|number| outbox.append(&message(number, 1, &[7; 999]), NOW).err());
    outbox.rollback();

    assert_eq!(full, Some(StoreError::Full));
    let settle = |outbox: &mut Sqlite| outbox.settle(id(1), 0, State::Delivered, &settled(NOW));
    assert!(done(&mut outbox, settle));
    assert_eq!(outbox.head(Lane(1), 9).unwrap().len(), 4);
}

#[test]
fn the_reserve_is_written_and_not_only_sized() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = Folder::new();
    let mut outbox = open(&folder.file());
    let reserve = beside(&folder.file(), ".reserve");

    assert!(outbox.take_reserve());

    assert!(fs::metadata(&reserve).unwrap().blocks() * 512 >= 4 << 20);
    outbox.give_reserve();
    assert!(!Path::new(&reserve).exists());
}

/// A log that lost its end, as after a power cut, gives back what was committed before.
#[test]
fn a_torn_log_loses_nothing_before_the_tear() {
    let (folder, copy) = (Folder::new(), Folder::new());
    let mut outbox = open(&folder.file());
    done(&mut outbox, |outbox| {
        outbox.append(&message(1, 1, b"first"), NOW)
    });
    let end = fs::metadata(beside(&folder.file(), "-wal")).unwrap().len();
    done(&mut outbox, |outbox| {
        outbox.append(&message(2, 1, b"second"), NOW)
    });

    fs::copy(folder.file(), copy.file()).unwrap();
    fs::copy(beside(&folder.file(), "-wal"), beside(&copy.file(), "-wal")).unwrap();
    let log = OpenOptions::new()
        .write(true)
        .open(beside(&copy.file(), "-wal"))
        .unwrap();
    log.write_all_at(&[0xFF; 24], end).unwrap();

    let rows = open(&copy.file()).head(Lane(1), 10).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].post, b"first");
}

/// A call looks at a bounded number of messages, so a page can be empty and still have a next one.
#[test]
fn a_filter_that_finds_little_finds_it_page_by_page() {
    let folder = Folder::new();
    let mut outbox = open(&folder.file());
    done(&mut outbox, |outbox| {
        (1..=2500).try_for_each(|number| {
            let mut message = message(number, 1, b"");
            if number == 1 {
                message.caller = "rare".to_owned();
            }
            outbox.append(&message, NOW).map(drop)
        })
    });
    let filter = Filter {
        caller: Some("rare".to_owned()),
        ..Filter::default()
    };

    let first = outbox.list(&filter, None, 5).unwrap();
    let second = outbox.list(&filter, first.next, 5).unwrap();
    let third = outbox.list(&filter, second.next, 5).unwrap();

    let found = [&first, &second, &third].map(|page| page.messages.len());
    assert_eq!(found, [0, 0, 1]);
    assert_eq!(third.messages[0][0].id, id(1));
    assert_eq!(third.next, None);
}
