//! Any bytes as an answer: reading never panics or waits, keeps to its cap, and where the bytes are split never matters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use message_webhook_proxy::dispatch::fuzz_answer;

fuzz_target!(|data: &[u8]| assert!(fuzz_answer(data)));
