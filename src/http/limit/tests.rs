//! The limits in simulated time.

use super::*;
use crate::clock::ManualClock;

fn limits(caller: &str) -> (Limits, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let settings = Settings {
        caller: parse_limit(caller).unwrap(),
        channel: None,
        global: parse_limit("5/s").unwrap(),
    };
    let shared: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    (Limits::new(settings, &shared), clock)
}

#[test]
fn n_is_the_burst_and_then_the_pace() {
    let (limits, clock) = limits("3/m");
    let taken: Vec<_> = (0..3)
        .map(|_| limits.caller(1).unwrap().unwrap().remaining)
        .collect();
    assert_eq!(taken, [2, 1, 0]);
    let refused = limits.caller(1).unwrap_err();
    assert_eq!(
        (refused.policy, refused.retry_after_s()),
        (Policy::Caller, 20)
    );
    assert!(limits.caller(2).is_ok());
    clock.advance(Duration::from_secs(20));
    assert!(limits.caller(1).is_ok() && limits.caller(1).is_err());
}

/// C6: waiting exactly `Retry-After` always succeeds.
#[test]
fn waiting_as_told_succeeds() {
    for limit in ["1/s", "3/s", "7/m", "120/m", "11/h"] {
        let (limits, clock) = limits(limit);
        for step in 0..200u64 {
            clock.advance(Duration::from_millis(step * 37 % 1000));
            if let Err(refused) = limits.caller(9) {
                clock.advance(Duration::from_secs(refused.retry_after_s()));
                assert!(limits.caller(9).is_ok(), "{limit} at {step}");
            }
        }
    }
}

/// C2: ten million addresses need no more memory than ten, and limits become stricter, not looser.
#[test]
fn a_flood_of_addresses_is_bounded() {
    let (limits, _) = limits("1/h");
    let admitted = (0..10_000_000u64)
        .filter(|n| limits.caller(limits.key(n)).is_ok())
        .count();
    assert!(admitted <= 4096 * 8, "{admitted}");
    assert_eq!(std::mem::size_of::<cells::Cells>(), 16);
}

#[test]
fn headers_in_the_structured_form() {
    let (limits, _) = limits("3/m");
    assert_eq!(
        limits.policy_header(),
        "\"caller\";q=3;w=60, \"global\";q=5;w=1"
    );
    let standings = [
        limits.caller(1).unwrap(),
        limits.channel(1).unwrap(),
        limits.global().unwrap(),
    ];
    assert_eq!(
        rate_limit_header(&standings, None),
        "\"caller\";r=2;t=20, \"global\";r=4;t=1"
    );
    let refused = Refused {
        policy: Policy::Caller,
        retry_after: Duration::from_millis(1500),
    };
    assert_eq!(rate_limit_header(&[], Some(&refused)), "\"caller\";r=0;t=2");
}

#[test]
fn bad_credentials_run_out_per_address() {
    let (limits, _) = limits("off");
    let tried = (0..100)
        .take_while(|_| limits.bad_credentials(7).is_ok())
        .count();
    assert_eq!(tried, 10);
    assert!(limits.spent_credentials(7).is_err() && limits.spent_credentials(8).is_ok());
    assert!(limits.bad_credentials(8).is_ok());
}
