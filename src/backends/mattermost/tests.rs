//! For tests: layout, limits and properties of rendered parts.

use proptest::prelude::*;
use serde_json::Value;

use super::KIND;
use super::hostile::HOSTILE;
use super::live::{
    CHANNEL, attachment, body, live_mentions, post, rendered, shown, shown_plain, stored,
};
use super::render::MAX_MESSAGE_CHARS;
use crate::domain::delivery::Post;
use crate::domain::message::Message;
use crate::domain::options::{Format, Level};
use crate::domain::web_url::WebUrl;

/// The JSON of `props` as Go writes it, counted as reference 4 "Props limit" says.
fn go_json_chars(value: &Value) -> usize {
    match value {
        Value::Null => 4,
        Value::Bool(_) | Value::Number(_) => value.to_string().len(),
        Value::String(text) => 2 + text.chars().map(go_char).sum::<usize>(),
        Value::Array(items) => 1 + items.iter().map(|v| go_json_chars(v) + 1).sum::<usize>(),
        // Braces, and one comma fewer than entries; none of ours is empty.
        Value::Object(map) => {
            1 + map
                .iter()
                .map(|(k, v)| k.len() + 4 + go_json_chars(v))
                .sum::<usize>()
        }
    }
}

fn go_char(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' => 2,
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => 6,
        c if (c as u32) < 0x20 => 6,
        _ => 1,
    }
}

/// What 5.37 makes of our props: every key of an attachment, and its own additions (reference 4).
fn stored_props(part: &Value, hook: bool) -> Value {
    let mut stored = serde_json::json!({
        "id": 0, "fallback": "", "color": "", "pretext": "", "author_name": "", "author_link": "", "author_icon": "",
        "title": "", "title_link": "", "text": "", "fields": null, "image_url": "", "thumb_url": "", "footer": "",
        "footer_icon": "", "ts": null,
    });
    let mut props = part
        .get("props")
        .cloned()
        .unwrap_or_else(|| serde_json::json!({}));
    if let Some(map) = attachment(part).as_object() {
        for (key, value) in map {
            stored[key] = value.clone();
        }
        props["attachments"] = serde_json::json!([stored]);
    }
    if hook {
        props["override_username"] = part.get("username").cloned().unwrap_or("webhook".into());
        props["override_icon_url"] = "i".repeat(1024).into();
        props["webhook_display_name"] = "d".repeat(64).into();
        props["from_webhook"] = "true".into();
    } else {
        props["from_bot"] = "true".into();
    }
    props
}

#[track_caller]
fn assert_within_limits(part: &Value, hook: bool) {
    for key in ["message", "text"] {
        let chars = part[key].as_str().unwrap_or_default().chars().count();
        assert!(chars <= 16_383, "{key} has {chars}");
    }
    let cost = go_json_chars(&stored_props(part, hook));
    let max = if hook { 7_600 } else { 8_000 };
    assert!(cost <= max, "props take {cost} of {max}");
}

#[test]
fn the_model_of_stored_props_agrees_with_the_observed_maximum() {
    let with = |text: String| {
        let part = serde_json::json!({"props": {"attachments": [{"text": text}]}});
        go_json_chars(&stored_props(&part, false))
    };
    // One text alone held 7747 letters, 3873 newlines or 1291 `<` (reference 4).
    for (text, count) in [("a", 7747), ("\n", 3873), ("<", 1291)] {
        assert!(
            with(text.repeat(count)) <= 8000 && with(text.repeat(count + 1)) > 8000,
            "{text}"
        );
    }
}

#[test]
fn plain_text_goes_into_message() {
    let parts = rendered(&post("Deployed **v2**"), "none", false);
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0]["channel_id"], CHANNEL);
    assert_eq!(parts[0]["message"], "Deployed **v2**");
    assert!(parts[0].get("props").is_none());
    let hook = rendered(&post("Deployed"), "none", true);
    assert_eq!(hook[0], serde_json::json!({"text": "Deployed"}));
}

#[test]
fn title_link_and_level_make_one_attachment() {
    let mut post = post("It broke");
    post.title = Some("Build 7".to_owned());
    post.link = WebUrl::parse("https://ci.example.com/7").ok();
    post.level = Some(Level::Error);
    post.as_name = Some("CI".to_owned());
    let attachments = serde_json::json!([{
        "fallback": "🚨 Build 7", "color": "danger", "title": "Build 7",
        "title_link": "https://ci.example.com/7", "text": "It broke",
    }]);
    let bot = &rendered(&post, "none", false)[0];
    assert_eq!(bot["message"], "");
    assert_eq!(
        bot["props"],
        serde_json::json!({"override_username": "CI", "from_webhook": "true", "attachments": attachments})
    );
    assert_eq!(
        rendered(&post, "none", true)[0],
        serde_json::json!({"username": "CI", "attachments": attachments})
    );
}

#[test]
fn a_link_alone_is_its_own_title() {
    let mut post = post("x");
    post.link = WebUrl::parse("https://ci.example.com/7").ok();
    assert_eq!(
        attachment(&rendered(&post, "none", false)[0])["title"],
        "https://ci.example.com/7"
    );
    post.link = WebUrl::parse(&format!("https://ci.example.com/{}", "x".repeat(300))).ok();
    assert_eq!(
        attachment(&rendered(&post, "none", false)[0])["title"],
        "ci.example.com"
    );
}

/// Hundreds of `&` cost six characters each on 5.37: such a link moves into the text, and nothing is lost.
#[test]
fn a_link_too_dear_for_an_attachment_moves_into_the_text() {
    let link = format!("https://ci.example.com/?{}", "a&".repeat(900));
    for (title, hook) in [(None, false), (Some("T"), false), (Some("T"), true)] {
        let mut post = post("text");
        post.title = title.map(str::to_owned);
        post.link = WebUrl::parse(&link).ok();
        let parts = rendered(&post, "none", hook);
        parts
            .iter()
            .for_each(|part| assert_within_limits(part, hook));
        let all: String = parts.iter().map(body).collect();
        assert_eq!(all, format!("{link}\ntext"));
    }
}

#[test]
fn every_part_has_its_own_pending_id_and_keeps_it() {
    let post = post(&"word ".repeat(8000));
    let ids = |post: &Post| -> Vec<String> {
        let parts = rendered(post, "none", false);
        parts
            .iter()
            .map(|p| p["pending_post_id"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = ids(&post);
    assert_eq!(first, ids(&post));
    assert_eq!(first[0], format!("{}:{CHANNEL}:0", post.id));
    assert_eq!(first[1], format!("{}:{CHANNEL}:1", post.id));
    assert_ne!(first, ids(&super::live::post("other")));
    assert!(
        rendered(&post, "none", true)[0]
            .get("pending_post_id")
            .is_none()
    );
}

#[test]
fn a_message_is_cut_above_the_limit_only() {
    for letter in ["a", "é", "😀"] {
        for (count, parts) in [
            (MAX_MESSAGE_CHARS - 1, 1),
            (MAX_MESSAGE_CHARS, 1),
            (MAX_MESSAGE_CHARS + 1, 2),
        ] {
            for hook in [false, true] {
                let rendered = rendered(&post(&letter.repeat(count)), "none", hook);
                assert_eq!(rendered.len(), parts, "{count} of {letter}");
            }
        }
    }
}

/// The limit is measured on what is sent: a broken mention takes two, an escaped character two.
#[test]
fn what_is_added_counts() {
    for (text, format, count) in [
        ("@", Format::Markup, 8191),
        ("*", Format::Plain, 8191),
        // A line that could begin a block takes one more.
        ("=\n", Format::Plain, 5460),
    ] {
        for (extra, parts) in [(0, 1), (1, 2), (2500, 2)] {
            let mut post = post(&text.repeat(count + extra));
            post.format = format;
            let rendered = rendered(&post, "none", false);
            assert_eq!(rendered.len(), parts, "{text} {extra}");
            rendered
                .iter()
                .for_each(|part| assert_within_limits(part, false));
        }
    }
}

/// What the attachment cannot hold follows as plain messages.
#[test]
fn an_attachment_holds_what_fits_and_messages_the_rest() {
    // Beside the title and the fallback, of one character each.
    for (text, hook, fits) in [
        ("a", false, 7_598),
        ("\n", false, 3_799),
        ("<", false, 1_267),
        ("a", true, 5_998),
    ] {
        for (count, parts) in [(fits - 1, 1), (fits, 1), (fits + 1, 2)] {
            let mut post = post(&format!("{}.", text.repeat(count - 1)));
            post.title = Some("T".to_owned());
            let rendered = rendered(&post, "none", hook);
            assert_eq!(rendered.len(), parts, "{count} of {text:?}");
            assert!(attachment(&rendered[0]).is_object());
            rendered
                .iter()
                .for_each(|part| assert_within_limits(part, hook));
            if let Some(second) = rendered.get(1) {
                assert!(attachment(second).is_null());
            }
        }
    }
}

#[test]
fn the_configured_name_holds_unless_the_post_brings_one() {
    use crate::backends::Backend as _;
    let mut bot = super::live::bot("none");
    bot.name = Some("Rafty @all".to_owned());
    let name_of = |post: &Post| -> Value {
        let parts = bot.render(post, &super::live::to_channel());
        serde_json::from_slice::<Value>(&parts[0].body).unwrap()["props"]["override_username"]
            .clone()
    };
    let mut post = post("x");
    assert_eq!(name_of(&post), "Rafty @\u{2060}all");
    post.as_name = Some("CI".to_owned());
    assert_eq!(name_of(&post), "CI");
}

#[test]
fn the_kind_recognises_ids_and_full_names() {
    assert!((KIND.recognises)(CHANNEL) && (KIND.recognises)("team/channel"));
    assert!(!(KIND.recognises)("C0123ABCD") && !(KIND.recognises)("19:x@thread.tacv2"));
}

fn any_text() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        4 => prop::sample::select(vec![
            "@", "@", "&", "#", "64;", "x40;", "commat;", "all", "here", "channel", "alice", "<", ">", "|", "!", "<!",
            "<@", "\\", "`", "```", "*", "_", "~", "[", "]", "(", ")", ".", "-", ":", " ", "    ", "\n", "\t", "=",
            "a", "1", "é", "\u{93E}", "\u{301}", "\u{2060}", "\u{200B}", "😀", "lt;", "\"", "https://x/",
        ]),
        1 => prop::sample::select(HOSTILE.to_vec()),
    ];
    prop_oneof![
        3 => prop::collection::vec(pieces, 1..60).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
    ]
}

fn any_post() -> impl Strategy<Value = (Post, bool)> {
    let line = || prop::option::of(any_text().prop_map(|t| t.chars().take(80).collect::<String>()));
    let level = prop::option::of(prop::sample::select(vec![
        Level::Info,
        Level::Success,
        Level::Warning,
        Level::Error,
    ]));
    let link = prop::option::of("https://[a-z]{1,9}/[a-z&@<>|%]{0,600}");
    (
        any_text(),
        1usize..400,
        line(),
        line(),
        level,
        link,
        any::<(bool, bool)>(),
    )
        .prop_filter_map(
            "a message",
            |(text, times, title, name, level, link, (plain, hook))| {
                let mut post = post("x");
                post.message = Message::parse(&text.repeat(times)).ok()?;
                post.title = title.and_then(|t| crate::domain::message::clean_line(&t));
                post.as_name = name.and_then(|t| crate::domain::message::clean_line(&t));
                post.level = level;
                post.link = link.and_then(|l| WebUrl::parse(&l).ok());
                post.format = if plain { Format::Plain } else { Format::Markup };
                Some((post, hook))
            },
        )
}

fn visible(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace() && *c != '\u{2060}')
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// D1, D2 and the limits, for any post: nobody is notified, nothing is rewritten, cut short or lost.
    #[test]
    fn any_post_is_safe_whole_and_within_limits((post, hook) in any_post()) {
        let parts = rendered(&post, "none", hook);
        prop_assert!(!parts.is_empty());
        let mut all = String::new();
        for part in &parts {
            assert_within_limits(part, hook);
            for (text, stored) in stored(part, hook) {
                prop_assert_eq!(live_mentions(&stored), Vec::<String>::new());
                prop_assert_eq!(stored, text);
            }
            all += &match post.format {
                Format::Markup => visible(&shown(body(part))),
                Format::Plain => visible(&shown_plain(body(part)).map_err(TestCaseError::fail)?),
            };
        }
        let mut typed = visible(post.message.as_str());
        if post.format == Format::Markup {
            // Our own `&lt;` and the caller's read the same; a cut may have come between.
            typed = typed.replace("&lt;", "<");
            all = all.replace("&lt;", "<");
        }
        prop_assert!(all.ends_with(&typed), "{} of {}", all.len(), typed.len());
    }

    /// `ALLOW_MENTIONS` lets exactly the named ones live, whatever stands between them.
    #[test]
    fn exactly_the_allowed_live(
        names in prop::collection::vec(prop::sample::select(vec!["alice", "Alice", "bob", "here", "all", "al.ice"]), 1..12),
        between in prop::sample::select(vec![" ", ", ", ". ", ": ", "\n", ") (", "** **", "\" \"", "_ -"]),
    ) {
        let text: String = names.iter().map(|n| format!("{between}@{n}")).collect();
        let live = live_mentions(body(&rendered(&post(&text), "alice,here", false)[0]));
        let allowed: Vec<_> = names.iter().map(|n| n.to_lowercase()).filter(|n| n == "alice" || n == "here").collect();
        prop_assert_eq!(live, allowed);
    }

    /// Nobody but an allowed name is ever notified, in any text.
    #[test]
    fn only_allowed_names_live_in_any_text(text in any_text()) {
        prop_assume!(Message::parse(&text).is_ok());
        for (format, hook) in [(Format::Markup, false), (Format::Plain, false), (Format::Markup, true)] {
            let mut post = post(&text);
            post.format = format;
            for part in rendered(&post, "alice,here", hook) {
                let (_, stored) = stored(&part, hook).pop().unwrap();
                let live = live_mentions(&stored);
                prop_assert!(live.iter().all(|n| n == "alice" || n == "here"), "{live:?}");
            }
        }
    }
}
