//! The model: an outbox in memory, so simple that it is right.

use super::{Address, Delivery, Kind, Lane, Message, Progress, State};
use crate::domain::delivery::DeliveryId;

/// A message with one delivery.
pub(super) fn message(id: u128, lane: Lane, post: &[u8]) -> Message {
    Message {
        id: DeliveryId::from_bytes(id.to_be_bytes()),
        caller: "ci".to_owned(),
        created_ms: 1_790_000_000_000,
        post: post.to_vec(),
        replaced: 0,
        ignored: Vec::new(),
        once: None,
        deliveries: vec![Delivery {
            place: 0,
            lane,
            to: Address {
                backend: "slack".to_owned(),
                target: "C0123".to_owned(),
                kind: Kind::Id,
            },
            state: State::Waiting,
            progress: Progress::default(),
        }],
    }
}
