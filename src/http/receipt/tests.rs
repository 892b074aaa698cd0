//! Receipts, written by hand and by `serde_json`.

use super::*;
use proptest::prelude::*;

fn delivery() -> impl Strategy<Value = Delivery> {
    let some = || proptest::option::of(".{0,40}");
    (some(), some(), some(), some(), "[a-z0-9]{26}|.{0,40}").prop_map(
        |(message_id, link, error, reason, channel)| Delivery {
            backend: "mattermost".into(),
            channel,
            status: if reason.is_some() {
                "queued"
            } else {
                "delivered"
            },
            message_id,
            link,
            reason: reason.map(Cow::Owned),
            // Rare, so that most receipts are the usual one.
            error: error.filter(|error| error.len() < 8),
            ..Delivery::default()
        },
    )
}

proptest! {
    #[test]
    fn the_usual_receipt_is_written_as_serde_json_does(
        id in ".{0,40}",
        deliveries in proptest::collection::vec(delivery(), 0..3),
        replaced in 0usize..2,
    ) {
        let receipt = Receipt { id, replaced, ..Receipt::of(deliveries) };

        prop_assert_eq!(receipt.to_json(), json_line(&receipt));
    }
}

#[test]
fn a_queued_receipt_is_a_usual_one() {
    let delivery = Delivery {
        backend: "mattermost".into(),
        channel: "c".into(),
        status: "queued",
        reason: Some("async".into()),
        ..Delivery::default()
    };
    let receipt = Receipt {
        id: "i".into(),
        ..Receipt::of(vec![delivery])
    };

    let json = receipt.usual_json().unwrap();

    assert_eq!(
        String::from_utf8(json).unwrap(),
        "{\"id\":\"i\",\"status\":\"queued\",\"reason\":\"async\",\"deliveries\":[{\"backend\":\"mattermost\",\"channel\":\"c\",\"status\":\"queued\",\"reason\":\"async\"}]}\n"
    );
}

#[test]
fn a_delivered_receipt_is_the_usual_one() {
    let delivery = Delivery {
        backend: "mattermost".into(),
        channel: "c".into(),
        status: "delivered",
        message_id: Some("m".into()),
        ..Delivery::default()
    };
    let receipt = Receipt {
        id: "i".into(),
        ..Receipt::of(vec![delivery])
    };

    let json = receipt.usual_json().unwrap();

    assert_eq!(
        String::from_utf8(json).unwrap(),
        "{\"id\":\"i\",\"status\":\"delivered\",\"deliveries\":[{\"backend\":\"mattermost\",\"channel\":\"c\",\"status\":\"delivered\",\"message_id\":\"m\"}]}\n"
    );
}
