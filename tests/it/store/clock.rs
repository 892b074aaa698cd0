//! P-5: the wall clock jumps, while the program runs and between runs.

use std::thread;
use std::time::{Duration, Instant};

use super::{eventually, is_noted, queue, queue_all, receipt, setup, shown, wait_for_status};
use crate::support::{Faults, Mattermost};

const HOUR: i64 = 3_600;
const YEAR: i64 = 365 * 24 * HOUR;
const JUMPS: [i64; 8] = [
    1,
    -1,
    HOUR,
    -HOUR,
    2 * 24 * HOUR,
    YEAR,
    10 * YEAR,
    -10 * YEAR,
];

/// One run for each jump, all at once.
fn for_each_jump(run: fn(i64)) {
    thread::scope(|scope| {
        let runs = JUMPS.map(|jump| (jump, scope.spawn(move || run(jump))));
        for (jump, run) in runs {
            assert!(run.join().is_ok(), "the clock jumped by {jump} s");
        }
    });
}

/// P-5: the platform's `Retry-After` is neither cut short nor drawn out, nothing expires, and posting goes on.
#[test]
fn a_jump_while_it_runs_changes_no_wait() {
    for_each_jump(|jump| {
        const ASKED_S: u64 = 3;
        let (chat, faults) = (Mattermost::start(), Faults::none());
        let builds = chat.channel("builds");
        let proxy = faults.setup(setup(&chat)).start();
        let begun = Instant::now();
        chat.rate_limited(1, ASKED_S);
        let texts = queue_all(&proxy, &builds, "before the jump", 3);
        chat.wait_for(1);

        faults.clock_offset(jump);
        let later = queue(&proxy, &builds, "after the jump");
        chat.wait_for_posts(1);
        let waited = begun.elapsed();
        wait_for_status(&proxy, &later, "delivered");

        assert!(waited >= Duration::from_secs(ASKED_S), "{jump}: {waited:?}");
        let all = [texts, vec!["after the jump".to_owned()]].concat();
        assert_eq!(shown(&chat, &builds), all, "{jump}");
    });
}

/// P-5: what waited before the jump is not old after it.
#[test]
fn a_jump_between_runs_expires_nothing_and_stalls_nothing() {
    for_each_jump(|jump| {
        // Two days are longer than a message may wait, and as well the time that the program was stopped.
        if jump == 2 * 24 * HOUR {
            return;
        }
        let (chat, faults) = (Mattermost::start(), Faults::none());
        let builds = chat.channel("builds");
        let proxy = faults.setup(setup(&chat)).start();
        chat.down();
        let texts = queue_all(&proxy, &builds, "before the jump", 5);
        proxy.kill();
        chat.up();
        // A year that really passed would be far more than anybody keeps a proxy stopped.
        faults.clock_offset(jump);
        let again = faults.setup(setup(&chat)).start();

        super::assert_shown(&chat, &builds, &texts);
        assert_eq!(super::listed(&again, "failed"), [""; 0], "{jump}");
    });
}

/// P-5, F-11: a `Retry-After` holds across runs, and a jump between them does not make it early.
#[test]
fn a_retry_after_survives_a_restart_and_a_jump() {
    for_each_jump(|jump| {
        // As above: so much later an hour is over.
        if (HOUR..YEAR).contains(&jump) {
            return;
        }
        let (chat, faults) = (Mattermost::start(), Faults::none());
        let (builds, deploys) = (chat.channel("builds"), chat.channel("deploys"));
        let proxy = faults.setup(setup(&chat)).start();
        chat.rate_limited(1, HOUR.unsigned_abs());
        let waits = queue(&proxy, &builds, "asked to come back later");
        eventually("the attempt is noted", || {
            is_noted(&receipt(&proxy, &waits))
        });
        proxy.kill();
        faults.clock_offset(jump);

        let again = faults.setup(setup(&chat)).start();
        let other = again.post_message(&deploys, "to a channel that did not ask", &[]);

        assert_eq!(other.status, 200, "{jump}: {}", other.text());
        assert_eq!(receipt(&again, &waits)["status"], "queued", "{jump}");
        assert_eq!(shown(&chat, &builds), [""; 0], "{jump}");
    });
}

/// P-5: a short `Retry-After` is over soon, whatever the clock says at the next start.
#[test]
fn a_jump_between_runs_does_not_draw_a_wait_out() {
    for_each_jump(|jump| {
        let (chat, faults) = (Mattermost::start(), Faults::none());
        let builds = chat.channel("builds");
        let proxy = faults.setup(setup(&chat)).start();
        chat.rate_limited(1, 2);
        let waits = queue(&proxy, &builds, "asked to come back soon");
        eventually("the attempt is noted", || {
            is_noted(&receipt(&proxy, &waits))
        });
        proxy.kill();
        faults.clock_offset(jump);

        let again = faults.setup(setup(&chat)).start();

        // Two days later it is too old to be posted.
        let is_late = jump == 2 * 24 * HOUR;
        wait_for_status(&again, &waits, if is_late { "failed" } else { "delivered" });
        assert_eq!(shown(&chat, &builds).len(), usize::from(!is_late), "{jump}");
    });
}

/// P-5: receipts and idempotency keys are not forgotten because the clock was wrong for a while.
#[test]
fn a_clock_that_was_wrong_for_a_while_forgets_nothing() {
    let (chat, faults) = (Mattermost::start(), Faults::none());
    let builds = chat.channel("builds");
    let once = [("once", "build-42")];
    let proxy = faults.setup(setup(&chat)).start();
    let first = proxy.post_message(&builds, "only once", &once);

    for jump in [10 * YEAR, 0] {
        faults.clock_offset(jump);
        let repeat = proxy.post_message(&builds, "only once", &once);

        assert_eq!(repeat.json()["id"], first.json()["id"], "{jump}");
        assert_eq!(
            receipt(&proxy, first.json()["id"].as_str().unwrap())["status"],
            "delivered"
        );
    }
    assert_eq!(chat.posts().len(), 1);
}
