//! What the tests of this layer share: messages, and a folder for a file.

use std::fs;
use std::path::PathBuf;

use super::{Address, Delivery, Kind, Lane, Message, Progress, State};
use crate::domain::delivery::DeliveryId;

/// Some time in 2026.
pub(super) const NOW: u64 = 1_790_000_000_000;

/// A folder that is gone after the test.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        let name = format!("outbox-{}", DeliveryId::generate());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.0.join("outbox.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

pub(super) fn id(number: u32) -> DeliveryId {
    DeliveryId::from_bytes(u128::from(number).to_be_bytes())
}

/// A message with one waiting delivery.
pub(super) fn message(number: u32, lane: i64, post: &[u8]) -> Message {
    Message {
        id: id(number),
        caller: "ci".to_owned(),
        created_ms: NOW,
        post: post.to_vec(),
        replaced: 0,
        ignored: Vec::new(),
        once: None,
        deliveries: vec![delivery(0, lane)],
    }
}

pub(super) fn delivery(place: u16, lane: i64) -> Delivery {
    Delivery {
        place,
        lane: Lane(lane),
        to: Address {
            backend: "slack".to_owned(),
            target: format!("C{lane}"),
            kind: Kind::Id,
        },
        state: State::Waiting,
        progress: Progress::default(),
    }
}
