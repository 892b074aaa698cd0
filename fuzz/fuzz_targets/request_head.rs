//! Any bytes on a connection: the guard never panics, and where the bytes are split never matters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use message_webhook_proxy::http::guard::fuzz_head;

fuzz_target!(|data: &[u8]| assert!(fuzz_head(data)));
