//! Any answer of a Mattermost server: reading it never panics, and what callers are told repeats nothing of it that is
//! longer than a word of an error code (threats E5, E7).
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use message_webhook_proxy::backends::mattermost::answer::{
    classify, classify_check, classify_hook, classify_lookup, is_doubtful,
};
use message_webhook_proxy::backends::wire::Answer;
use message_webhook_proxy::domain::delivery::Failure;

/// As long as a token, and no id: one character more than ids have.
const CANARY: &str = "canarycanarycanarycanarycan";

fuzz_target!(|data: &[u8]| {
    let [high, low, switches, at, body @ ..] = data else { return };
    let status = u16::from_be_bytes([*high, *low]) % 1000;
    let (before, after) = body.split_at(usize::from(*at).min(body.len()));
    let answer = Answer {
        status,
        retry_after: (switches & 1 == 1).then(|| Duration::from_secs(u64::from(*at))),
        body: [before, CANARY.as_bytes(), after].concat().into(),
        truncated: switches & 2 == 2,
    };
    let _ = is_doubtful(&answer);
    repeats_nothing(classify(&answer).err());
    repeats_nothing(classify_hook(&answer).err());
    repeats_nothing(classify_lookup(&answer).err());
    repeats_nothing(classify_check(&answer).err());
});

fn repeats_nothing(failure: Option<Failure>) {
    let Some(failure) = failure else { return };
    assert!(!failure.to_string().contains(CANARY));
    if let Failure::Refused { platform_code: Some(code), .. } = &failure {
        assert!(!code.as_str().contains(CANARY));
    }
    assert!(!failure.word().is_empty());
}
