//! Text that tries to be more than text, in every form a post can take, judged by `reader`.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;

use super::reader::{card_text, live, shows, signs};
use super::render::{BOT_UNITS, Envelope, WEBHOOK_BYTES, parts};
use crate::backends::{Recipient, Shared};
use crate::domain::delivery::{DeliveryId, Post};
use crate::domain::mention::Mentions;
use crate::domain::message::{Message, clean_line};
use crate::domain::options::{Format, Level};
use crate::domain::web_url::WebUrl;
use crate::env::{Env, Faults, Reader};

const THREAD: Envelope<'_> = Envelope::Thread {
    tenant: Some("3b0f1c22-0000-4000-8000-000000000001"),
    channel: "19:opsAlerts01@thread.tacv2",
};
const ENVELOPES: [Envelope<'_>; 3] = [THREAD, Envelope::Reply, Envelope::Webhook];

#[rustfmt::skip]
const HOSTILE: &[&str] = &[
    // Mentions: whole, cut, nested, in odd cases, with attributes.
    "<at>Ann</at>", "<AT>Ann</AT>", "<At>Ann</aT>", "< at>Ann</at>", "<at >Ann</at >", "<at\n>Ann</at>",
    "<at id=\"0\">Ann</at>", "<at id='29:1abc'>Ann</at>", "<at/>", "</at>", "<at>", "<at", "at>", "<at>everyone</at>",
    "<at>channel</at>", "<at>team</at>", "x<at>Ann</at>", "<at>Ann</at>x", "é<at>Ann</at>ß", "чат<at>Ann</at>чат",
    "中<at>Ann</at>文", "👩‍👩‍👧<at>Ann</at>👍🏽", "<<at>at>Ann</at>", "<at><at>Ann</at></at>", "<a<at>t>Ann</at>",
    "<at>A\nnn</at>", "<at>Ann</at", "\\<at>Ann\\</at>", "\\\\<at>Ann</at>", "`<at>Ann</at>`", "``<at>`Ann</at>``",
    "`<at>Ann", "<at>Ann`</at>`", "```\n<at>Ann</at>\n```", "```<at>Ann</at>", "~~~\n<at>Ann</at>\n~~~",
    "```\n<at>Ann</at>", "    <at>Ann</at>", "\t<at>Ann</at>", "> <at>Ann</at>", "- <at>Ann</at>", "# <at>Ann</at>",
    "**<at>Ann</at>**", "_<at>Ann</at>_", "~~<at>Ann</at>~~", "*<at>*Ann</at>", "{<at>Ann</at>}",
    // Hidden by entities, once and more often.
    "&lt;at&gt;Ann&lt;/at&gt;", "&amp;lt;at&amp;gt;Ann", "&#60;at&#62;Ann&#60;/at&#62;", "&#x3C;at&#x3e;Ann",
    "&#0000060;at&#62;", "&LT;at&GT;", "&lt;at>Ann</at&gt;", "<&#97;t>Ann</at>", "`&lt;at&gt;Ann`", "&", "&;", "&#", "&#;",
    "&amp", "&ampamp;lt;", "&nbsp;&zwsp;", "&#91;good](https://evil.test)", "&#92;<at>", "&colon;&lpar;",
    // Zero-width characters and look-alikes.
    "<\u{200B}at>Ann</at>", "<a\u{200B}t>Ann</at>", "<\u{200D}at>Ann</at>", "<\u{200C}at>Ann</at>", "\u{200B}<at>Ann</at>\u{200B}",
    "＜at＞Ann＜/at＞", "‹at›Ann‹/at›", "<аt>Ann</аt>", "<at\u{A0}>Ann</at>", "&\u{200B}lt;at&gt;", "]\u{200B}(x)", "<\u{2060}at>Ann</at>",
    // Other markup of HTML and XML.
    "<b>bold</b>", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<a href=\"https://evil.test\">good</a>",
    "<!-- hidden -->", "<!DOCTYPE html>", "<?xml version='1.0'?>", "<![CDATA[<at>Ann</at>]]>", "<br>", "<p/>", "a < b > c",
    "a<b", "a<1", "Vec<String>", "<cite>1</cite>", "<emoji id=\"smile\"></emoji>", "<span itemscope itemtype=\"http://schema.skype.com/Mention\" itemid=\"0\">Ann</span>",
    // Links whose label lies; images; references; other platforms' forms.
    "[good](https://evil.test)", "![good](https://evil.test/x.png)", "[good][1]\n\n[1]: https://evil.test", "[good]: https://evil.test",
    "[good] (https://evil.test)", "[[good]](https://evil.test)", "[a](b)[c](d)", "[good](<https://evil.test>)", "[<at>Ann</at>](https://evil.test)",
    "\\[good](https://evil.test)", "[good\\](https://evil.test)", "`[good`](https://evil.test)", "[good`](https://evil.test)`", "`[good](https://evil.test)`",
    "```\n[good](https://evil.test)\n```", "[good\n](https://evil.test)", "<https://evil.test|https://good.test>", "<https://evil.test>",
    "[x](javascript:alert(1))", "[good](https://evil.test \"title\")", "[good][evil]", "[^1]: note", "- [ ] task",
    // What cards replace, and what clients hide.
    "{{DATE(2026-01-01T00:00:00Z,SHORT)}}", "{{TIME(2026-01-01T00:00:00Z)}}", "{{{DATE(2026-01-01T00:00:00Z)}}}", "{{{{DATE(x)}}}}",
    "${name}", "{hidden}", "a {#id .class} b", "@{triggerBody()}", "`code`{.class}", "{\"json\":[1,{\"a\":2}]}",
    // Signs of other platforms, which are nothing here.
    "@channel", "@here @all @everyone", "<!channel>", "<!here|here>", "<@U0123>", "<#C0123>", "<!subteam^S1>", "@Ann Smith",
    // JSON, lines, blocks.
    "\",\"entities\":[{\"type\":\"mention\"}],\"x\":\"", "\\u003cat\\u003e", "\\", "\\\\", "C:\\dir\\[x]\\*", "a\\\nb", "---", "***", "___", "- - -", "===",
    "a\n---\nb", "a\n===", "1. a\n2. b", "|a|b|\n|-|-|\n|c|d|", "#", "##### h", "a\n\n\n\nb", "\n\na\n\n", "  two  spaces  ",
    "``` ```", "```\n```", "```\n```\n```", "`", "``", "```", "````\n```\n<at>\n````", "* a\n  * b\n    * c",
];

fn post(text: &str, format: Format) -> Post {
    Post::bare(
        DeliveryId::generate(),
        Message::parse(text).unwrap(),
        format,
    )
}

fn bodies(post: &Post, envelope: Envelope<'_>) -> Vec<Value> {
    let parts = parts(post, envelope);
    let read = |json: &[u8]| -> Value {
        let size = match envelope {
            Envelope::Webhook => json.len(),
            _ => std::str::from_utf8(json).unwrap().encode_utf16().count(),
        };
        // 20 KB of bytes, and 40 KB at two bytes a unit.
        assert!(size <= 20_480, "{size}");
        let mut value: Value = serde_json::from_slice(json).unwrap();
        if matches!(envelope, Envelope::Thread { .. }) {
            value = value["activity"].take();
        }
        assert_eq!(value["type"], "message");
        // D1: a mention needs an entity, and there is never one.
        assert!(value.get("entities").is_none() && value.get("channelData").is_none());
        // Never both.
        assert_ne!(
            value.get("text").is_some(),
            value.get("attachments").is_some()
        );
        value
    };
    parts.iter().map(|part| read(&part.body)).collect()
}

/// D1, D2: one text in every form it can take.
fn check_everywhere(text: &str) {
    let Ok(message) = Message::parse(text) else {
        return;
    };
    let text = message.as_str();
    for envelope in [THREAD, Envelope::Reply] {
        let markdown: Vec<_> = bodies(&post(text, Format::Markup), envelope);
        for body in &markdown {
            assert_eq!(body["textFormat"], "markdown");
            let sent = body["text"].as_str().unwrap();
            assert_eq!(live(sent), None, "{text:?} -> {sent:?}");
        }
        // Of long texts, parts of nothing but white space are left out.
        if let ([only], true) = (&markdown[..], text.len() < 4000) {
            let sent = only["text"].as_str().unwrap();
            assert!(shows(text, sent), "{text:?} -> {sent:?}");
        }
        let plain = bodies(&post(text, Format::Plain), envelope);
        let sent: String = plain.iter().map(|b| b["text"].as_str().unwrap()).collect();
        assert!(plain.iter().all(|b| b["textFormat"] == "plain"));
        assert_eq!(signs(&sent, true), signs(text, true));
    }
    for envelope in ENVELOPES {
        for format in [Format::Markup, Format::Plain] {
            let titled = Post {
                title: Some("t".to_owned()),
                ..post(text, format)
            };
            let cards = bodies(&titled, envelope);
            let sent: Vec<_> = cards.iter().map(card_text).collect();
            let sent = sent.join("\n").replacen("t\n", "", 1);
            let literal = format == Format::Plain;
            assert_eq!(signs(&sent, literal), signs(text, literal), "{text:?}");
        }
    }
    check_heading(text);
}

/// D1: the title, the name and the notification are the caller's too.
fn check_heading(text: &str) {
    let Some(line) = clean_line(text) else { return };
    let cut = |chars| -> String { line.chars().take(chars).collect() };
    // As long as the options take.
    let (title, name) = (cut(250), cut(80));
    let titled = Post {
        title: Some(title.clone()),
        as_name: Some(name.clone()),
        level: Some(Level::Error),
        ..post("m", Format::Markup)
    };
    let body = bodies(&titled, THREAD).remove(0);
    assert_eq!(
        signs(&card_text(&body), true),
        signs(&format!("🚨 {title}\n{name}\nm"), true)
    );
    let summary = body["summary"].as_str().unwrap();
    assert_eq!(live(summary), None, "{summary:?}");
}

/// D1, D2: 200 strings, alone, beside letters, and twice.
#[test]
fn hostile_text_is_only_text() {
    assert!(HOSTILE.len() >= 150, "{}", HOSTILE.len());
    for text in HOSTILE {
        check_everywhere(text);
        check_everywhere(&format!("ж{text}文"));
        check_everywhere(&format!("{text}{text}"));
        check_everywhere(&format!("`{text}"));
        check_everywhere(&format!("first\n{text}\nlast"));
    }
}

/// `ALLOW_MENTIONS` changes nothing: the tag of a mention is no name that could be allowed.
#[test]
fn no_mention_can_be_allowed() {
    let rendered = |mentions| {
        let env = Env::of(&[
            ("TEAMS_APP_ID", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"),
            ("TEAMS_APP_PASSWORD", "s"),
            ("TEAMS_TENANT_ID", "botframework.com"),
        ]);
        let mut reader = Reader::new(&env, Faults::default());
        let bot = super::configure(
            &mut reader,
            &Shared {
                mentions,
                ..Shared::default()
            },
        )
        .unwrap();
        let to = Recipient::Target("19:x@thread.tacv2".to_owned());
        Arc::clone(&bot).render(&post("<at>Ann</at> @channel", Format::Markup), &to)
    };
    assert_eq!(rendered(Mentions::None), rendered(Mentions::All));
    let json = String::from_utf8(rendered(Mentions::All)[0].body.to_vec()).unwrap();
    assert!(
        !json.contains("tenantId") && json.contains("&lt;at&gt;Ann&lt;/at&gt; @channel"),
        "{json}"
    );
}

#[test]
fn a_plain_message_is_text() {
    let part = &parts(&post("*a* <b>\nc", Format::Markup), THREAD)[0];
    assert_eq!(
        std::str::from_utf8(&part.body).unwrap(),
        r#"{"isGroup":true,"tenantId":"3b0f1c22-0000-4000-8000-000000000001","channelData":{"channel":{"id":"19:opsAlerts01@thread.tacv2"}},"activity":{"type":"message","textFormat":"markdown","text":"*a* &lt;b&gt;\n\nc"}}"#
    );
    let part = &parts(&post("*a* <b>\nc", Format::Plain), Envelope::Reply)[0];
    assert_eq!(
        std::str::from_utf8(&part.body).unwrap(),
        r#"{"type":"message","textFormat":"plain","text":"*a* <b>\nc"}"#
    );
}

#[test]
fn a_card_holds_title_name_level_and_link() {
    let full = Post {
        title: Some("Backup *failed*".to_owned()),
        link: Some(WebUrl::parse("https://ops.test/runs/(7)?a={b}").unwrap()),
        level: Some(Level::Error),
        as_name: Some("CI".to_owned()),
        ..post("**x** `<at>`\n\n```\n  y\n```", Format::Markup)
    };
    let body = bodies(&full, Envelope::Reply).remove(0);
    let card = &body["attachments"][0]["content"];
    assert_eq!(body["summary"], "Backup *failed*");
    assert_eq!(card["body"][0]["style"], "attention");
    assert_eq!(
        card["actions"],
        serde_json::json!([{"type":"Action.OpenUrl","title":"Open ops.test","url":"https://ops.test/runs/%287%29?a=%7Bb%7D"}])
    );
    assert_eq!(
        card["body"][0]["items"],
        serde_json::json!([
            {"type":"RichTextBlock","inlines":[{"type":"TextRun","text":"🚨 Backup *failed*","weight":"Bolder","size":"Medium","color":"attention"}]},
            {"type":"RichTextBlock","inlines":[{"type":"TextRun","text":"CI","size":"Small","isSubtle":true}]},
            {"type":"RichTextBlock","inlines":[
                {"type":"TextRun","text":"x","weight":"Bolder"},
                {"type":"TextRun","text":" "},
                {"type":"TextRun","text":"<at>","fontType":"Monospace"}]},
            {"type":"RichTextBlock","spacing":"None","inlines":[{"type":"TextRun","text":"\u{A0}"}]},
            {"type":"RichTextBlock","spacing":"None","inlines":[{"type":"TextRun","text":"\u{A0}\u{A0}y","fontType":"Monospace"}]},
        ])
    );
    let levelled = Post {
        level: Some(Level::Success),
        ..post("done", Format::Markup)
    };
    let body = bodies(&levelled, Envelope::Webhook).remove(0);
    assert_eq!(card_text(&body), "✅ done");
    assert!(body.get("summary").is_none());
    assert_eq!(body["attachments"][0].get("contentUrl"), Some(&Value::Null));
}

/// B6: at the limit, one below and one above, for every envelope and form.
#[test]
fn limits_are_exact() {
    for envelope in ENVELOPES {
        for (format, title, sign) in [
            (Format::Plain, None, "x"),
            (Format::Markup, None, "x"),
            (Format::Plain, None, "é"),
            (Format::Markup, None, "👍"),
            (Format::Markup, Some("t"), "x"),
            (Format::Plain, Some("t"), "文"),
        ] {
            let titled = |count: usize| Post {
                title: title.map(str::to_owned),
                ..post(&sign.repeat(count), format)
            };
            let (limit, size): (_, fn(&str) -> usize) = match envelope {
                Envelope::Webhook => (WEBHOOK_BYTES, str::len),
                _ => (BOT_UNITS, |s| s.encode_utf16().count()),
            };
            let measure = |post: &Post| {
                let part = parts(post, envelope).remove(0);
                size(std::str::from_utf8(&part.body).unwrap())
            };
            // The notification repeats the first signs of a card, so the frame is measured beyond them.
            let frame = measure(&titled(200)) - 200 * size(sign);
            let most = (limit - frame) / size(sign);
            for (count, want) in [(most - 1, 1), (most, 1), (most + 1, 2)] {
                let post = titled(count);
                let bodies = bodies(&post, envelope);
                assert_eq!(
                    bodies.len(),
                    want,
                    "{envelope:?} {format:?} {title:?} {sign} {count}"
                );
            }
        }
    }
}

/// A text made of line ends and of marks alone costs the most; it still fits part by part.
#[test]
fn the_costliest_texts_fit() {
    for sign in [
        "a\n", "*a* ", "`a`", "_a_\n", "&", "<", "{{", "\"", "\\", "\t", "  x\n", "#\n", "---\n",
        "[a](b)", "```\na\n",
    ] {
        let text = sign.repeat(9_000 / sign.len());
        check_everywhere(&format!("{text}end"));
    }
}

/// D1 across part boundaries: a token that a cut goes through stays text on both sides.
#[test]
fn cuts_make_nothing_live() {
    for shift in 0..8 {
        let text = format!(
            "{}{}",
            "x".repeat(shift),
            "<at>Ann</at>&lt;[a](b)".repeat(700)
        );
        check_everywhere(&text);
    }
}

fn alphabet() -> impl Strategy<Value = String> {
    let tokens = prop::sample::select(vec![
        "<",
        ">",
        "&",
        ";",
        "at",
        "</at>",
        "<at>",
        "lt",
        "gt",
        "amp",
        "#60",
        "#x3c",
        "[",
        "]",
        "(",
        ")",
        ":",
        "!",
        "/",
        "\\",
        "`",
        "``",
        "```",
        "~~~",
        "*",
        "**",
        "_",
        "~~",
        "{",
        "{{",
        "}",
        "}}",
        "DATE(",
        "\n",
        "\n\n",
        " ",
        "    ",
        "\t",
        "\u{200B}",
        "\u{200D}",
        "\u{A0}",
        "a",
        "é",
        "文",
        "👍🏽",
        "-",
        "---",
        "#",
        "\"",
        "https://evil.test",
        "1.",
        "|",
    ]);
    prop::collection::vec(tokens, 1..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn arbitrary_text_is_only_text(text in any::<String>()) {
        check_everywhere(&text);
    }

    #[test]
    fn token_heavy_text_is_only_text(text in alphabet()) {
        check_everywhere(&text);
    }
}

proptest! {
    // Each case is long.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn long_text_is_only_text(text in alphabet(), times in 1usize..300) {
        check_everywhere(&text.repeat(times).chars().take(12_000).collect::<String>());
    }
}
