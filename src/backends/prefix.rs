//! What the beginning of a JSON object says, where its end is missing: the first fields that are there in whole. Pure.
//! It must not guess at what is cut: a value without its end is none.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

/// The fields of these names, as far as the object is there; `None` if it is no object, or one of another shape.
/// Numbers are left out: at the very end, the first digits of one would read as another.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &[u8], names: &[&str]) -> Option<T> {
    let mut found = Map::new();
    let fields = Fields {
        names,
        found: &mut found,
    };
    let mut json = serde_json::Deserializer::from_slice(body);
    // The error is the missing end; what was read before it counts.
    fields.deserialize(&mut json).ok();
    if found.is_empty() {
        return None;
    }
    T::deserialize(Value::Object(found)).ok()
}

/// Fills `found` as the fields come, so that the end of the input loses nothing that was read.
struct Fields<'n, 'f> {
    names: &'n [&'n str],
    found: &'f mut Map<String, Value>,
}

impl<'de> DeserializeSeed<'de> for Fields<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if !self.names.contains(&name.as_str()) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value: Value = map.next_value()?;
            if value.is_number() {
                continue;
            }
            if self.found.insert(name, value).is_some() {
                // Whoever reads the one and whoever reads the other would be told different things.
                self.found.clear();
                return Err(A::Error::custom("a field stands there twice"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Said {
        ok: Option<bool>,
        ts: Option<String>,
    }

    fn said(body: &str) -> Option<(Option<bool>, Option<String>)> {
        let said: Said = read(body.as_bytes(), &["ok", "ts"])?;
        Some((said.ok, said.ts))
    }

    fn ts(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn what_stands_before_the_cut_is_read() {
        for (body, want) in [
            (
                r#" {"ok":true,"ts":"1.2","message":{"text":"x"#,
                Some((Some(true), ts("1.2"))),
            ),
            (
                r#"{"x":[[{"ok":false}]],"ok":true,"ts":"1.2"#,
                Some((Some(true), None)),
            ),
            (r#"{"ok":true,"ts":"1.2""#, Some((Some(true), ts("1.2")))),
            (r#"{"ok":true,"ts":12"#, Some((Some(true), None))),
            (r#"{"\u006fk":true,"#, Some((Some(true), None))),
            (r#"{"ok":null,"#, Some((None, None))),
            (r#"{"ok":tru"#, None),
            (r#"{"ok":"yes","#, None),
            (r#"{"ok":false,"ok":true,"#, None),
            (r#"{"message":{"ok":true,"#, None),
            (r#"[true,"1.2""#, None),
            (r#""ok""#, None),
            ("<html>", None),
            ("{", None),
            ("", None),
        ] {
            assert_eq!(said(body), want, "{body}");
        }
        assert_eq!(said(&format!(r#"{{"ok":{}"#, "[".repeat(60_000))), None);
        assert_eq!(said(&format!(r#"{{"x":{}"#, "[".repeat(60_000))), None);
    }

    proptest! {
        /// Wherever the cut is, a field is there in whole or not at all.
        #[test]
        fn no_field_is_read_by_half(at in 0usize..60) {
            let body = r#"{"a":{"ts":"no"},"ok":true,"ts":"1766000000.000100","b":1234}"#;
            let (ok, found) = said(&body[..at.min(body.len())]).unwrap_or_default();

            prop_assert!(ok.is_none_or(|ok| ok));
            prop_assert!(found.is_none_or(|ts| ts == "1766000000.000100"));
        }
    }
}
