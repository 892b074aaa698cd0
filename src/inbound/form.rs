//! Fields of an `application/x-www-form-urlencoded` body. PURE.

use std::borrow::Cow;

use crate::domain::percent::decode_form;

/// The one value of a field; `None` if it is missing, given twice, or no text.
#[must_use]
pub fn field<'a>(body: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    let mut values = fields(body).filter(|(key, _)| decode_form(key).is_ok_and(|key| key == name));
    let (_, value) = values.next()?;
    match values.next() {
        None => decode_form(value).ok(),
        Some(_) => None,
    }
}

/// Names and values as they are written.
fn fields(body: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    body.split(|byte| *byte == b'&').map(|pair| {
        let end = pair.iter().position(|byte| *byte == b'=');
        end.map_or((pair, [].as_slice()), |end| {
            (&pair[..end], &pair[end + 1..])
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_field_is_decoded_once() {
        let body = b"command=%2Fproxy&text=status+now%252F&empty=&bare&twice=1&twice=2&bad=%FF";

        for (name, value) in [
            ("command", Some("/proxy")),
            ("text", Some("status now%2F")),
            ("empty", Some("")),
            ("bare", Some("")),
            ("twice", None),
            ("bad", None),
            ("missing", None),
        ] {
            assert_eq!(field(body, name).as_deref(), value, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(body: Vec<u8>, name: String) {
            drop(field(&body, &name));
        }
    }
}
