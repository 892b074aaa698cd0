//! A small parser of what is live on Slack, written from reference/slack.md, section 2, and not from the
//! neutraliser.

/// What Slack would act on in a top-level `text`: everything in `<…>`, and what breaks the round trip.
pub(super) fn live_tokens(encoded: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, c) in encoded.char_indices() {
        let rest = &encoded[at..];
        let entity = ["&amp;", "&lt;", "&gt;"]
            .iter()
            .any(|e| rest.starts_with(e));
        match c {
            '<' => found.push(rest.split_inclusive('>').next().unwrap().to_owned()),
            '>' if found.is_empty() => found.push("stray >".to_owned()),
            '&' if !entity => found.push("stray &".to_owned()),
            _ => {}
        }
    }
    found
}

/// What Slack may also act on elsewhere: bare names. Without a documented boundary rule, broadcasts count
/// wherever they stand, other names after a space, an opening mark or formatting.
pub(super) fn live_names(encoded: &str) -> Vec<String> {
    let chars: Vec<char> = shown(encoded).chars().collect();
    let mut found = Vec::new();
    for at in 0..chars.len() {
        let name: String = chars[at + 1..]
            .iter()
            .take(8)
            .collect::<String>()
            .to_ascii_lowercase();
        let opens =
            at == 0 || chars[at - 1].is_whitespace() || "([{\"'*_~`,;:!".contains(chars[at - 1]);
        let named = name.starts_with(char::is_alphanumeric);
        let broadcast = ["here", "channel", "everyone", "group"]
            .iter()
            .any(|b| name.starts_with(b));
        match chars[at] {
            '@' if broadcast || (opens && named) => found.push(format!("@{name}")),
            '#' if opens && named => found.push(format!("#{name}")),
            _ => {}
        }
    }
    found
}

/// What a reader sees: Slack decodes three entities and nothing else.
pub(super) fn shown(encoded: &str) -> String {
    encoded
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[test]
fn the_parser_sees_what_is_live() {
    assert_eq!(
        live_tokens("a <!here> b <https://e|x"),
        ["<!here>", "<https://e|x"]
    );
    assert_eq!(live_tokens("> q & x"), ["stray >", "stray &"]);
    assert_eq!(live_tokens("&lt;!here&gt; &amp;"), [""; 0]);
    assert_eq!(
        live_names("@here #ops x@y (@bob) @\u{200B}here a#b").len(),
        3
    );
}
