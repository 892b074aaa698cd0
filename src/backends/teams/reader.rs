//! A small reader of Teams' live tokens for tests, written from reference/teams.md 2.5, 3.3 and 3.4 and
//! not from the code it judges.

use serde_json::Value;

/// What is live in Markdown of Teams: a tag, an entity that is not one of a fixed few, a link.
pub(super) fn live(text: &str) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut bracket = false;
    for (i, pair) in chars.windows(2).enumerate() {
        let [first, second] = *pair else { continue };
        if first == '<' && (second.is_ascii_alphabetic() || "/!?".contains(second)) {
            return Some(format!("tag at {i}"));
        }
        bracket |= first == '[';
        if bracket && first == ']' && "([:".contains(second) {
            return Some(format!("link at {i}"));
        }
    }
    let known = [
        "amp", "lt", "gt", "#91", "#93", "#92", "#123", "#125", "#35", "#45", "#42", "#95",
    ];
    text.match_indices('&').find_map(|(at, _)| {
        let rest = &text[at + 1..];
        let name: String = rest
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '#')
            .collect();
        let whole = rest[name.len()..].starts_with(';');
        let ours = name.is_empty() || (whole && known.contains(&&*name));
        (!ours).then(|| format!("entity &{name}"))
    })
}

/// Whether Markdown shows a text as typed: each character stands there itself, as an entity, or parted
/// from the next one; line ends may be more, and an indentation may be hard.
pub(super) fn shows(typed: &str, sent: &str) -> bool {
    let once = |text: &str| {
        let mut text = text.to_owned();
        while text.contains("\n\n") {
            text = text.replace("\n\n", "\n");
        }
        text
    };
    let (typed, sent) = (once(typed), once(sent));
    let mut rest = &*sent;
    let mut chars = typed.chars().peekable();
    while let Some(c) = chars.next() {
        let forms = [
            match c {
                '&' => "&amp;".to_owned(),
                '<' => "&lt;".to_owned(),
                '>' => "&gt;".to_owned(),
                _ => format!("&#{};", c as u32),
            },
            c.to_string(),
            if c == ' ' {
                "\u{A0}".to_owned()
            } else {
                "\u{A0}".repeat(4)
            },
        ];
        let usable = if matches!(c, ' ' | '\t') { 3 } else { 2 };
        let Some(after) = forms[..usable]
            .iter()
            .find_map(|form| rest.strip_prefix(&**form))
        else {
            return false;
        };
        rest = after;
        if chars.peek() != Some(&'\u{200B}') {
            rest = rest.strip_prefix('\u{200B}').unwrap_or(rest);
        }
    }
    rest.is_empty()
}

/// The text of a card, line by line; fails on anything that could be live in one.
pub(super) fn card_text(body: &Value) -> String {
    let content = &body["attachments"][0]["content"];
    assert_eq!(content["type"], "AdaptiveCard");
    check_card(content);
    let items = content["body"][0]["items"].as_array().unwrap();
    assert!(!items.is_empty());
    let line = |block: &Value| -> String {
        assert_eq!(block["type"], "RichTextBlock");
        let runs = block["inlines"].as_array().unwrap();
        runs.iter()
            .map(|run| run["text"].as_str().unwrap())
            .collect()
    };
    items.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn check_card(value: &Value) {
    match value {
        Value::Object(object) => {
            let kind = object.get("type").and_then(Value::as_str);
            let known = [
                "AdaptiveCard",
                "Container",
                "RichTextBlock",
                "TextRun",
                "Action.OpenUrl",
            ];
            assert!(kind.is_none_or(|kind| known.contains(&kind)), "{kind:?}");
            for key in ["entities", "selectAction", "fallback", "speak", "refresh"] {
                assert!(!object.contains_key(key), "{key}");
            }
            if let Some(text) = object.get("text").and_then(Value::as_str) {
                assert!(
                    !text.contains("{{") && !text.contains('\n') && !text.is_empty(),
                    "{text}"
                );
            }
            object.values().for_each(check_card);
        }
        Value::Array(array) => array.iter().for_each(check_card),
        _ => {}
    }
}

/// The signs of a text, without white space, zero-width breaks and the marks that a style may take away.
pub(super) fn signs(text: &str, marks: bool) -> String {
    let mut fences = text.lines().filter(|line| {
        let beside = line.trim().trim_start_matches('`');
        let is_fence = line.trim().starts_with("```");
        marks
            || !(is_fence
                && beside
                    .chars()
                    .all(|c| c.is_alphanumeric() || "+-_#".contains(c)))
    });
    let kept: String = fences.by_ref().collect();
    kept.chars()
        .filter(|c| !c.is_whitespace() && *c != '\u{200B}' && (marks || !"*_~`".contains(*c)))
        .collect()
}

/// The reader of live tokens finds what it is there to find.
#[test]
fn the_reader_sees_live_tokens() {
    for text in [
        "<at>x</at>",
        "a</at>",
        "<!--",
        "&nbsp;",
        "[a](b)",
        "[a]: b",
        "&#60;at",
        "`[a](b)`",
    ] {
        assert!(live(text).is_some(), "{text}");
    }
    assert!(shows("a<b", "a&lt;b") && !shows("a<b", "ab") && !shows("a", "a b"));
}
