//! What a platform, or whoever stands in its place, may answer: any status over any body, often in a known shape.

use message_webhook_proxy::backends::wire::Answer;
use message_webhook_proxy::domain::delivery::Failure;

/// Stands in the body for what must not get out whole; longer than any code or scope that is shown.
const CANARY: &str = "canaryCANARY0123456789canaryCANARY0123456789canaryCANARY0123456789canaryCANARY0123456789canaryCANARY0123456789";

/// Two bytes of status, one of shape, and the text. `$` in a shape is the text with a canary, and `~` the canary alone.
pub fn answer(data: &[u8], shapes: &[&str]) -> Option<Answer> {
    let (&[low, high, shape], text) = data.split_first_chunk()?;
    let mut body = text.to_vec();
    if let Some(shape) = shapes.get(usize::from(shape) % (shapes.len() + 1)) {
        let text = String::from_utf8_lossy(text).replace(['"', '\\'], "").replace('~', CANARY);
        body = shape.replace('~', CANARY).replace('$', &text).into_bytes();
    }
    Some(Answer {
        status: u16::from_le_bytes([low, high]) % 600,
        truncated: high > 0x80,
        body: body.into(),
        ..Answer::default()
    })
}

/// Says what a failure says, in full: for people, and for whoever prints it.
pub fn check<T>(result: Result<T, Failure>) {
    if let Err(failure) = result {
        assert!(!failure.to_string().is_empty());
        assert!(!format!("{failure:?}").contains(CANARY));
    }
}
