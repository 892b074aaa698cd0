//! The thread: what shares a commit, what a full or failing disk does to whom, and how it ends.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::owner::BATCH;
use super::*;
use crate::clock::ManualClock;
use crate::outbox::memory::Memory;
use crate::outbox::sample::{Folder, NOW, id, message};

/// An outbox in memory on a disk that a test fills and breaks.
#[derive(Clone, Default)]
struct Disk {
    clock: Arc<ManualClock>,
    /// Then nothing can be appended; settling takes no room.
    full: Arc<AtomicU32>,
    broken: Arc<AtomicU32>,
    commits: Arc<AtomicU64>,
    writes: Arc<AtomicU64>,
    reserves: Arc<AtomicU32>,
    /// Held by a test, it holds up the next transaction.
    gate: Arc<Mutex<()>>,
}

struct OnDisk {
    memory: Memory,
    disk: Disk,
}

fn is_set(flag: &AtomicU32) -> bool {
    flag.load(Ordering::SeqCst) > 0
}

impl Durable for OnDisk {
    fn take_reserve(&mut self) -> bool {
        !is_set(&self.disk.full)
    }

    fn give_reserve(&mut self) {
        self.disk.reserves.fetch_add(1, Ordering::SeqCst);
    }

    fn is_in_place(&mut self) -> bool {
        true
    }

    fn save(&mut self) {}

    fn rest(&mut self) {}

    fn close(self, _in_flight: bool) {}
}

impl Outbox for OnDisk {
    fn begin(&mut self) -> Result<(), StoreError> {
        drop(self.disk.gate.lock().unwrap());
        self.memory.begin()
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        if is_set(&self.disk.broken) {
            self.memory.rollback();
            return Err(StoreError::Failed("broken".to_owned()));
        }
        self.disk.commits.fetch_add(1, Ordering::SeqCst);
        self.memory.commit()
    }

    fn rollback(&mut self) {
        self.memory.rollback();
    }

    fn append(&mut self, message: &Message, now_ms: u64) -> Result<Appended, StoreError> {
        self.disk.writes.fetch_add(1, Ordering::SeqCst);
        assert_ne!(message.caller, "panic");
        if is_set(&self.disk.full) {
            return Err(StoreError::Full);
        }
        self.memory.append(message, now_ms)
    }

    fn head(&mut self, lane: Lane, max: usize) -> Result<Vec<Row>, StoreError> {
        self.memory.head(lane, max)
    }

    fn settle(
        &mut self,
        id: DeliveryId,
        place: u16,
        state: State,
        progress: &Progress,
    ) -> Result<bool, StoreError> {
        self.memory.settle(id, place, state, progress)
    }

    fn relane(&mut self, from: Lane, to: Lane, id: &str) -> Result<u32, StoreError> {
        self.memory.relane(from, to, id)
    }

    fn find(&mut self, id: DeliveryId) -> Result<Vec<Row>, StoreError> {
        self.memory.find(id)
    }

    fn find_once(&mut self, once: &Once, now_ms: u64) -> Result<Option<Appended>, StoreError> {
        self.memory.find_once(once, now_ms)
    }

    fn release_once(&mut self, id: DeliveryId) -> Result<(), StoreError> {
        self.memory.release_once(id)
    }

    fn list(
        &mut self,
        filter: &Filter,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.memory.list(filter, after, limit)
    }

    fn requeue(&mut self, id: DeliveryId, now_ms: u64) -> Result<Vec<Lane>, StoreError> {
        self.memory.requeue(id, now_ms)
    }

    fn expire(
        &mut self,
        now_ms: u64,
        retention: Retention,
        max: usize,
    ) -> Result<usize, StoreError> {
        self.memory.expire(now_ms, retention, max)
    }

    fn waiting(&mut self) -> Result<Vec<Waiting>, StoreError> {
        self.memory.waiting()
    }

    fn put_note(&mut self, note: &Note, now_ms: u64, max: usize) -> Result<(), StoreError> {
        self.disk.writes.fetch_add(1, Ordering::SeqCst);
        if is_set(&self.disk.full) {
            return Err(StoreError::Full);
        }
        self.memory.put_note(note, now_ms, max)
    }

    fn delete_note(&mut self, space: Space, key: &str) -> Result<(), StoreError> {
        self.memory.delete_note(space, key)
    }

    fn notes(&mut self, space: Space) -> Result<Vec<Note>, StoreError> {
        self.memory.notes(space)
    }
}

fn start() -> (Store, Disk) {
    let disk = Disk::default();
    let outbox = OnDisk {
        memory: Memory::default(),
        disk: disk.clone(),
    };
    let clock: Arc<dyn Clock> = disk.clock.clone();
    (Store::start(outbox, clock).unwrap(), disk)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.build().unwrap().block_on(future)
}

/// Asks everything while the thread is held up, so that it finds all of it waiting but the first.
fn together<T>(disk: &Disk, asked: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let held = disk.gate.lock().unwrap();
    let mut all = std::pin::pin!(join_all(asked));
    assert!(all.as_mut().now_or_never().is_none());
    drop(held);
    block_on(all)
}

fn delivered(number: u32) -> Settled {
    Settled {
        id: id(number),
        place: 0,
        state: State::Delivered,
        progress: Progress::default(),
    }
}

#[test]
fn what_waits_shares_a_commit() {
    let (store, disk) = start();

    let stored = together(
        &disk,
        (0..500).map(|n| store.append(message(n, 1, b""), NOW)),
    );

    assert!(stored.iter().all(|stored| *stored == Ok(Appended::Stored)));
    assert!(disk.commits.load(Ordering::SeqCst) <= 2);
}

#[test]
fn the_error_of_one_is_not_the_error_of_the_others() {
    let (store, disk) = start();
    let numbers = [1, 2, 3, 2, 4];

    let stored = together(
        &disk,
        numbers.map(|n| store.append(message(n, 1, b""), NOW)),
    );

    let is_stored: Vec<bool> = stored.iter().map(Result::is_ok).collect();
    assert_eq!(is_stored, [true, true, true, false, true]);
    assert_eq!(block_on(store.head(Lane(1), 9)).unwrap().len(), 4);
    assert_eq!(store.health(), StoreHealth::Ok);
}

#[test]
fn a_full_disk_refuses_messages_and_lets_deliveries_go_on() {
    let (store, disk) = start();
    block_on(store.append(message(1, 1, b""), NOW)).unwrap();
    disk.full.store(1, Ordering::SeqCst);

    let settle = async {
        store
            .settle(vec![delivered(1)], Some((Lane(1), 9)))
            .await
            .map(drop)
    };
    let append = async { store.append(message(2, 1, b""), NOW).await.map(drop) };
    let ended = together(&disk, [append.boxed_local(), settle.boxed_local()]);

    assert_eq!(ended, [Err(StoreError::Full), Ok(())]);
    assert_eq!(store.health(), StoreHealth::Full);
    assert_eq!(disk.reserves.load(Ordering::SeqCst), 1);
    let row = &block_on(store.find(id(1))).unwrap()[0];
    assert_eq!(row.delivery.state, State::Delivered);
}

#[test]
fn a_full_disk_is_not_touched_until_it_is_looked_at_again() {
    let (store, disk) = start();
    disk.full.store(1, Ordering::SeqCst);
    let append = |number, now_ms| block_on(store.append(message(number, 1, b""), now_ms));
    append(1, NOW).unwrap_err();
    append(1, NOW).unwrap_err();
    let writes = disk.writes.load(Ordering::SeqCst);

    let refused = [0, 999, 1].map(|pass_ms| {
        disk.clock.advance(Duration::from_millis(pass_ms));
        append(1, NOW)
    });

    assert!(refused.iter().all(|ended| *ended == Err(StoreError::Full)));
    assert_eq!(disk.writes.load(Ordering::SeqCst), writes);
}

#[test]
fn a_disk_with_room_again_takes_messages_again() {
    let (store, disk) = start();
    disk.full.store(1, Ordering::SeqCst);
    let append = |now_ms| block_on(store.append(message(1, 1, b""), now_ms));
    append(NOW).unwrap_err();
    disk.full.store(0, Ordering::SeqCst);

    disk.clock.advance(Duration::from_secs(1));
    let stored = append(NOW);

    assert_eq!(stored, Ok(Appended::Stored));
    assert_eq!(store.health(), StoreHealth::Ok);
}

#[test]
fn a_broken_disk_is_the_end() {
    let (store, disk) = start();
    disk.broken.store(1, Ordering::SeqCst);

    let first = block_on(store.append(message(1, 1, b""), NOW));
    disk.broken.store(0, Ordering::SeqCst);
    let second = block_on(store.head(Lane(1), 1));

    assert!(matches!(first, Err(StoreError::Failed(_))));
    assert!(matches!(second, Err(StoreError::Failed(_))));
    assert_eq!(store.health(), StoreHealth::Failed);
    block_on(store.failed());
}

#[test]
fn a_panic_of_the_thread_is_the_end() {
    let (store, _disk) = start();
    let mut bad = message(1, 1, b"");
    bad.caller = "panic".to_owned();

    let first = block_on(store.append(bad, NOW));
    block_on(store.failed());
    let second = block_on(store.append(message(2, 1, b""), NOW));

    assert!(matches!(first, Err(StoreError::Failed(_))));
    assert!(matches!(second, Err(StoreError::Failed(_))));
    assert_eq!(store.health(), StoreHealth::Failed);
    store.close(false);
}

#[test]
fn a_queue_that_is_full_is_told_at_once() {
    let (store, disk) = start();
    let many = u32::try_from(QUEUE + BATCH + 1).unwrap();

    let stored = together(
        &disk,
        (0..many).map(|n| store.append(message(n, 1, b""), NOW)),
    );

    let busy = stored
        .iter()
        .filter(|stored| **stored == Err(StoreError::Busy));
    let taken = stored.iter().filter(|stored| stored.is_ok()).count();
    assert!(busy.count() > 0);
    assert!(taken >= QUEUE);
}

#[test]
fn a_message_whose_caller_is_gone_is_not_stored() {
    let (store, disk) = start();
    let held = disk.gate.lock().unwrap();
    let first = store.append(message(1, 1, b""), NOW);
    let mut first = std::pin::pin!(first);
    assert!(first.as_mut().now_or_never().is_none());
    // More than share a batch with the first, whenever that was taken.
    let others = (2..2000).map(|n| store.append(message(n, 1, b""), NOW));
    let mut others = std::pin::pin!(join_all(others));
    assert!(others.as_mut().now_or_never().is_none());

    assert!(
        store
            .append(message(9999, 1, b""), NOW)
            .now_or_never()
            .is_none()
    );
    drop(held);

    block_on(others);
    assert_eq!(block_on(store.find(id(9999))), Ok(Vec::new()));
}

#[test]
fn closing_does_what_is_queued_and_refuses_the_rest() {
    let folder = Folder::new();
    let open = Open {
        path: &folder.file(),
        now_ms: NOW,
        clock: Arc::<ManualClock>::default(),
    };
    let Opened { store, waiting, .. } = Store::open(&open).unwrap();
    assert_eq!(waiting, []);
    let mut asked = std::pin::pin!(join_all(
        (0..200).map(|n| store.append(message(n, i64::from(n % 2), b"x"), NOW))
    ));
    let early = asked.as_mut().now_or_never();

    store.close(false);
    store.close(false);

    let stored = early.unwrap_or_else(|| block_on(asked));
    assert!(stored.iter().all(|stored| *stored == Ok(Appended::Stored)));
    let late = block_on(store.append(message(999, 1, b""), NOW));
    assert_eq!(late, Err(StoreError::Closed));
    let Opened { store, waiting, .. } = Store::open(&open).unwrap();
    assert_eq!(
        waiting.iter().map(|lane| lane.count).collect::<Vec<_>>(),
        [100, 100]
    );
    store.close(false);
}

#[test]
fn settling_answers_with_what_comes_next() {
    let (store, _disk) = start();
    for number in 1..=3 {
        block_on(store.append(message(number, 1, b""), NOW)).unwrap();
    }

    let next = block_on(store.settle(vec![delivered(1), delivered(2)], Some((Lane(1), 9))));

    let ids: Vec<_> = next.unwrap().iter().map(|row| row.id).collect();
    assert_eq!(ids, [id(3)]);
}

#[test]
fn dropping_the_last_one_does_not_hang() {
    let (store, _disk) = start();

    drop(store.clone());
    drop(store);
}

/// A full disk refuses a note as it does a message; what was there can still be deleted.
#[test]
fn notes_are_written_and_read_back_and_refused_when_the_disk_is_full() {
    let (store, disk) = start();
    let note = |value: &[u8]| Note {
        space: Space::Conversation,
        key: "19:a".to_owned(),
        value: value.to_vec(),
    };
    let notes = || block_on(store.notes(Space::Conversation)).unwrap();

    block_on(store.put_note(note(b"first"), NOW, 9)).unwrap();
    disk.full.store(1, Ordering::SeqCst);
    let refused = block_on(store.put_note(note(b"second"), NOW, 9));
    let kept = notes();
    block_on(store.delete_note(Space::Conversation, "19:a".to_owned())).unwrap();

    assert_eq!(refused, Err(StoreError::Full));
    assert_eq!((kept, notes()), (vec![note(b"first")], Vec::new()));
}
