//! In order per destination, however it is named and whatever its callers wait for.

use super::{Stage, id, reason};
use crate::store::{assert_shown, queue, receipt, sends, shown, wait_for_status};
use crate::support::{Gate, Reply, message_path};

/// The next post is taken as if nothing were.
fn well(stage: &Stage) {
    let open = Gate::new();
    open.open();
    stage.chat.hold_next(&open);
}

#[test]
fn posts_of_every_patience_arrive_in_order_while_the_platform_flaps() {
    let stage = Stage::new();
    for _ in 0..4 {
        stage.chat.next(Reply::status(503));
        well(&stage);
        well(&stage);
    }

    let mut texts = Vec::new();
    for n in 0..12 {
        let text = format!("number {n:02} of a caller");
        let answer = match n % 4 {
            0 => stage.patient(&stage.builds, &text, "0"),
            1 => stage.patient(&stage.builds, &text, "1"),
            2 => stage.patient(&stage.builds, &text, "20"),
            _ => {
                let target = message_path(&stage.builds, &text, &[("once", &text)]);
                let headers = [("Prefer", "respond-async")];
                stage.proxy.request("POST", target, &headers)
            }
        };
        assert!(matches!(answer.status, 200 | 202), "{}", answer.text());
        texts.push(text);
    }

    assert_shown(&stage.chat, &stage.builds, &texts);
    assert_eq!(sends(&stage.chat), texts.len() + 4);
}

/// A name that is not known yet is kept as it is; what comes later under it keeps its place.
#[test]
fn a_name_that_cannot_be_looked_up_is_queued_as_it_is() {
    let stage = Stage::new();
    stage.chat.down();

    let first = stage.patient("acme/builds", "by name, first", "1");
    let kept = receipt(&stage.proxy, &id(&first));
    let second = stage.patient("acme/builds", "by name, second", "0");
    queue(&stage.proxy, "acme/builds", "by name, third");
    stage.chat.up();
    let after = wait_for_status(&stage.proxy, &id(&first), "delivered");

    assert_eq!(reason(&first), (202, "backend-unavailable".to_owned()));
    assert_eq!(kept["deliveries"][0]["channel"], "acme/builds");
    assert_eq!(reason(&second), (202, "async".to_owned()));
    assert_eq!(after["deliveries"][0]["channel"], stage.builds);
    let texts = ["by name, first", "by name, second", "by name, third"];
    assert_shown(&stage.chat, &stage.builds, &texts.map(str::to_owned));
}

/// The name turns out to be the channel of an id that was posted to meanwhile.
#[test]
fn a_name_and_its_id_are_one_destination() {
    let stage = Stage::new();
    stage.chat.down();

    queue(&stage.proxy, "acme/builds", "by name, first");
    queue(&stage.proxy, &stage.builds, "by id, second");
    queue(&stage.proxy, "acme/builds", "by name, third");
    stage.chat.up();

    let texts = ["by name, first", "by id, second", "by name, third"];
    assert_shown(&stage.chat, &stage.builds, &texts.map(str::to_owned));
}

/// A post by id that finds the platform back does not overtake what waits for a name.
#[test]
fn a_patient_post_by_id_goes_behind_a_name_that_waits() {
    let stage = Stage::new();
    stage.chat.down();
    queue(&stage.proxy, "acme/builds", "by name, first");

    stage.chat.up();
    let patient = stage.patient(&stage.builds, "by id, second", "30");
    let at_once = stage.patient(&stage.builds, "by id, third", "30");

    assert_eq!([patient.status, at_once.status], [200; 2]);
    let texts = ["by name, first", "by id, second", "by id, third"];
    assert_eq!(shown(&stage.chat, &stage.builds), texts);
}

/// A process that begins with both has the same order.
#[test]
fn a_name_and_its_id_are_one_destination_for_the_next_process() {
    let mut stage = Stage::new();
    stage.chat.down();
    queue(&stage.proxy, "acme/builds", "by name, first");
    queue(&stage.proxy, &stage.builds, "by id, second");
    stage.proxy.kill();
    stage.chat.up();

    stage.restart();

    let texts = ["by name, first", "by id, second"];
    assert_shown(&stage.chat, &stage.builds, &texts.map(str::to_owned));
}

/// Once the name is known, it is the id's lane that both go to.
#[test]
fn a_known_name_and_its_id_are_one_destination() {
    let stage = Stage::new();
    let first = stage.patient("acme/builds", "the name is looked up", "20");
    stage.chat.down();

    queue(&stage.proxy, "acme/builds", "by name, first");
    queue(&stage.proxy, &stage.builds, "by id, second");
    queue(&stage.proxy, "acme/builds", "by name, third");
    stage.chat.up();

    assert_eq!(first.status, 200);
    let texts = [
        "the name is looked up",
        "by name, first",
        "by id, second",
        "by name, third",
    ];
    assert_shown(&stage.chat, &stage.builds, &texts.map(str::to_owned));
}

/// A name that the platform does not know is refused at once, and given up where it was promised.
#[test]
fn a_name_that_nobody_knows_is_given_up() {
    let stage = Stage::new();
    let refused = stage.patient("acme/nowhere", "to no channel", "20");
    stage.chat.down();
    let promised = queue(&stage.proxy, "acme/nothing", "to no channel either");
    let next = queue(&stage.proxy, &stage.builds, "to a channel");

    stage.chat.up();
    let ended = wait_for_status(&stage.proxy, &promised, "failed");
    wait_for_status(&stage.proxy, &next, "delivered");

    assert_eq!(refused.verdict(), (404, "unknown-channel".to_owned()));
    assert_eq!(ended["deliveries"][0]["reason"], "unknown-channel");
    assert_eq!(shown(&stage.chat, &stage.builds), ["to a channel"]);
}

/// What waits for a name is kept under it across a restart.
#[test]
fn a_name_that_waits_survives_a_restart() {
    let mut stage = Stage::new();
    stage.chat.down();
    queue(&stage.proxy, "acme/builds", "by name, first");
    queue(&stage.proxy, "acme/builds", "by name, second");

    stage.restart();
    queue(&stage.proxy, "acme/builds", "by name, third");
    stage.chat.up();

    let texts = ["by name, first", "by name, second", "by name, third"];
    assert_shown(&stage.chat, &stage.builds, &texts.map(str::to_owned));
}

/// Looking up may be all that does not work: what has an id is delivered, after a while.
#[test]
fn a_look_up_that_hangs_holds_up_no_channel_for_good() {
    let stage = Stage::new();
    for _ in 0..9 {
        stage.chat.next_other(Reply::stall());
    }

    let by_name = stage.patient("acme/deploys", "its look-up hangs", "1");
    let by_id = queue(&stage.proxy, &stage.builds, "needs no look-up");
    wait_for_status(&stage.proxy, &by_id, "delivered");

    assert_eq!(reason(&by_name), (202, "backend-unavailable".to_owned()));
    assert_eq!(receipt(&stage.proxy, &id(&by_name))["status"], "queued");
}
