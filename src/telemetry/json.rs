//! One event as one line of JSON.
//!
//! tracing-subscriber's own JSON goes through serde for every piece and costs 5 % of a delivered post; this
//! writes the same line for a fifth of that. Whatever a field holds, the line stays one valid object.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::stamp::Stamp;
use crate::clock::{Clock as _, SystemClock};
use crate::domain::scan;

/// `{"timestamp":…,"level":…,"message":…,…,"target":…}`
pub(super) struct JsonLines;

/// Room for the line of a post.
const LINE_BYTES: usize = 512;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = String::with_capacity(LINE_BYTES);
        line.push_str("{\"timestamp\":\"");
        line.push_str(Stamp::of(SystemClock.unix()).as_str());
        line.push_str("\",\"level\":\"");
        line.push_str(metadata.level().as_str());
        line.push('"');
        let mut fields = Fields {
            line,
            result: Ok(()),
        };
        event.record(&mut fields);
        let Fields { mut line, result } = fields;
        result?;
        line.push_str(",\"target\":\"");
        escape(&mut line, metadata.target());
        line.push_str("\"}\n");
        out.write_str(&line)
    }
}

/// Writes `,"name":value` for each field; an error of a value's own ends the line.
struct Fields {
    line: String,
    result: fmt::Result,
}

impl Fields {
    fn name(&mut self, field: &Field) {
        let name = field.name();
        debug_assert!(is_plain(name), "a field's name is written as it is: {name}");
        self.line.push_str(",\"");
        self.line.push_str(name);
        self.line.push_str("\":");
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        self.line.push('"');
        escape(&mut self.line, value);
        self.line.push('"');
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        self.line.push_str(itoa::Buffer::new().format(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.name(field);
        self.line.push_str(itoa::Buffer::new().format(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.name(field);
        self.line.push_str(if value { "true" } else { "false" });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.name(field);
        self.line.push('"');
        let written = write!(Escaping(&mut self.line), "{value:?}");
        self.result = self.result.and(written);
        self.line.push('"');
    }
}

/// Escapes what is written through it.
struct Escaping<'a>(&'a mut String);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, text);
        Ok(())
    }
}

/// Appends text as the inside of a JSON string: whole runs at once, escapes where they must be. U+2028 and U+2029
/// are escaped too, because some readers take them for line ends.
fn escape(line: &mut String, text: &str) {
    if is_plain(text) {
        line.push_str(text);
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.find(needs_escape) {
        let (run, tail) = rest.split_at(at);
        line.push_str(run);
        let mut chars = tail.chars();
        match chars.next() {
            Some('"') => line.push_str("\\\""),
            Some('\\') => line.push_str("\\\\"),
            Some('\n') => line.push_str("\\n"),
            Some(c) => line.push_str(&format!("\\u{:04x}", u32::from(c))),
            None => {}
        }
        rest = chars.as_str();
    }
    line.push_str(rest);
}

/// Whether nothing in it needs a look: ASCII without controls, quotes and backslashes.
fn is_plain(text: &str) -> bool {
    let is_plain = |b: u8| (b' '..0x7F).contains(&b) & (b != b'"') & (b != b'\\');
    scan::all(text.as_bytes(), is_plain)
}

fn needs_escape(c: char) -> bool {
    matches!(c, '"' | '\\' | '\0'..='\u{1F}' | '\u{7F}'..='\u{9F}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_one_valid_string(text in any::<String>()) {
            let mut out = String::from("\"");
            escape(&mut out, &text);
            out.push('"');
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
            prop_assert!(!out.contains(needs_escape_raw));
        }
    }

    /// What would end a line or start a terminal's escape, raw.
    fn needs_escape_raw(c: char) -> bool {
        c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
    }
}
