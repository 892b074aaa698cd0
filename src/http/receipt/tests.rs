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
fn a_receipt_of_one_destination_is_a_usual_one() {
    let of = |status, reason: Option<&'static str>, message_id: Option<&str>| {
        let delivery = Delivery {
            backend: "mattermost".into(),
            channel: "c".into(),
            status,
            reason: reason.map(Into::into),
            message_id: message_id.map(str::to_owned),
            ..Delivery::default()
        };
        let receipt = Receipt {
            id: "i".into(),
            ..Receipt::of(vec![delivery])
        };
        String::from_utf8(receipt.usual_json().unwrap()).unwrap()
    };

    assert_eq!(
        of("delivered", None, Some("m")),
        "{\"id\":\"i\",\"status\":\"delivered\",\"deliveries\":[{\"backend\":\"mattermost\",\"channel\":\"c\",\"status\":\"delivered\",\"message_id\":\"m\"}]}\n"
    );
    assert_eq!(
        of("queued", Some("async"), None),
        "{\"id\":\"i\",\"status\":\"queued\",\"reason\":\"async\",\"deliveries\":[{\"backend\":\"mattermost\",\"channel\":\"c\",\"status\":\"queued\",\"reason\":\"async\"}]}\n"
    );
}
