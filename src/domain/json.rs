//! Text in JSON that is written by hand, because `serde_json` looks at every byte of every name and value. What is
//! not on the way of every post is `serde_json`'s.

use super::scan;

/// Appends a text as a JSON string, as `serde_json` writes it.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    let is_plain = |b: u8| (b >= b' ') & (b != b'"') & (b != b'\\');
    if scan::all(text.as_bytes(), is_plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing to memory cannot fail.
        serde_json::to_writer(out, text).ok();
    }
}

/// Appends those members that there are: of each what stands before its value, and the value.
pub fn push_members(out: &mut Vec<u8>, members: &[(&str, Option<&str>)]) {
    for (before, value) in members {
        if let Some(value) = value {
            out.extend_from_slice(before.as_bytes());
            push_text(out, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pushed(text: &str) -> String {
        let mut out = Vec::new();
        push_text(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_ascii_character_is_written_as_serde_json_does() {
        for c in '\0'..='\u{7F}' {
            let text = format!("a long enough text before {c}");
            assert_eq!(pushed(&text), serde_json::to_string(&text).unwrap());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_serde_json_does(text in any::<String>()) {
            prop_assert_eq!(pushed(&text), serde_json::to_string(&text).unwrap());
        }
    }
}
