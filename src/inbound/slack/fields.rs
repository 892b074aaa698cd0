//! JSON objects read leniently: what is missing, or is not of the kind that is asked for, is not there.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The fields of an object, each as it was written; none for what is no object. Platforms change what a field holds
/// (`user` is an id in one event and an object in the next), so nothing here can fail.
#[derive(Default)]
pub(super) struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    pub(super) fn of(json: &'a RawValue) -> Self {
        Self(serde_json::from_str(json.get()).unwrap_or_default())
    }

    /// A string that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text: String = serde_json::from_str(self.0.get(name)?.get()).ok()?;
        Some(text).filter(|text| !text.is_empty())
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|json| json.get() == "true")
    }

    /// Whether it is there at all, and not `null`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|json| json.get() != "null")
    }

    pub(super) fn object(&self, name: &str) -> Self {
        self.0.get(name).copied().map(Self::of).unwrap_or_default()
    }

    pub(super) fn objects(&self, name: &str) -> Vec<Self> {
        let list = self.0.get(name).copied().map(RawValue::get);
        let list: Option<Vec<&'a RawValue>> = list.and_then(|json| serde_json::from_str(json).ok());
        list.into_iter().flatten().map(Self::of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields<'_> {
        Fields::of(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn what_is_of_another_kind_is_not_there() {
        let json = r#"{"a":"x","b":{"a":"y"},"c":[{"a":"z"},7],"d":true,"e":"","f":null,"g":"\ud800","a":"last"}"#;
        let all = fields(json);

        assert_eq!(all.text("a").as_deref(), Some("last"));
        assert_eq!(all.object("b").text("a").as_deref(), Some("y"));
        assert_eq!(all.objects("c")[0].text("a").as_deref(), Some("z"));
        assert!(all.objects("c")[1].0.is_empty());
        assert!(all.is_true("d") && all.has("e") && !all.has("f") && !all.has("h"));
        for name in ["b", "c", "d", "e", "f", "g", "h"] {
            assert_eq!(all.text(name), None, "{name}");
        }
        for json in ["7", "[]", "null", "\"a\""] {
            assert!(fields(json).0.is_empty(), "{json}");
        }
    }
}
