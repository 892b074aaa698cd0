//! Hostile texts, listed and generated, against the parser of what is live on Slack.

mod live;
mod texts;

use proptest::prelude::*;
use serde_json::Value;

use live::{live_names, live_tokens, shown};
use texts::HOSTILE;

use super::render::{Envelope, MAX_OBJECT_CHARS, MAX_TEXT_CHARS, render};
use crate::backends::Part;
use crate::domain::delivery::{DeliveryId, Post};
use crate::domain::mention::Mentions;
use crate::domain::message::{Message, clean_line};
use crate::domain::options::{Format, Level};
use crate::domain::web_url::WebUrl;

fn without_width(text: &str) -> String {
    text.replace('\u{200B}', "")
}

/// Every text of a body that a person sees, and whether bare names are inert there.
struct Seen {
    path: String,
    text: String,
    top: bool,
}

fn seen(value: &Value, path: &str, out: &mut Vec<Seen>) {
    match value {
        Value::String(text) => {
            let key = path.rsplit('/').next().unwrap_or_default();
            if ["text", "title", "fallback", "username"].contains(&key) {
                out.push(Seen {
                    path: path.into(),
                    text: text.clone(),
                    top: path == "/text",
                });
            }
        }
        Value::Array(items) => items.iter().for_each(|item| seen(item, path, out)),
        Value::Object(fields) => fields
            .iter()
            .for_each(|(k, v)| seen(v, &format!("{path}/{k}"), out)),
        _ => {}
    }
}

fn body(part: &Part) -> Value {
    serde_json::from_slice(&part.body).unwrap()
}

/// The text of a part as its readers see it; an attachment's `fallback` is not shown beside it.
fn message_of(part: &Value) -> String {
    let block = |at: &Value| {
        at.pointer("/blocks/0/text/text")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let in_attachments = |part: &Value| {
        let attachments = part["attachments"].as_array()?.clone();
        attachments
            .iter()
            .find_map(|a| block(a).or_else(|| a["text"].as_str().map(str::to_owned)))
    };
    block(part)
        .or_else(|| in_attachments(part))
        .or_else(|| part["text"].as_str().map(str::to_owned))
        .unwrap_or_default()
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    plain: bool,
    title: bool,
    level: bool,
    name: bool,
}

const SHAPES: &[Shape] = &[
    Shape {
        plain: false,
        title: false,
        level: false,
        name: false,
    },
    Shape {
        plain: true,
        title: false,
        level: false,
        name: true,
    },
    Shape {
        plain: false,
        title: true,
        level: true,
        name: true,
    },
    Shape {
        plain: false,
        title: false,
        level: true,
        name: false,
    },
    Shape {
        plain: true,
        title: true,
        level: false,
        name: false,
    },
    Shape {
        plain: true,
        title: false,
        level: true,
        name: false,
    },
];

fn post(text: &str, shape: Shape) -> Option<Post> {
    let line: Option<String> = clean_line(text).map(|l| l.chars().take(80).collect());
    Some(Post {
        id: DeliveryId::generate(),
        message: Message::parse(text).ok()?,
        title: line.clone().filter(|_| shape.title),
        link: WebUrl::parse("https://ci.test/<!here>|x#y")
            .ok()
            .filter(|_| shape.title),
        level: shape.level.then_some(Level::Error),
        as_name: line.filter(|_| shape.name),
        format: if shape.plain {
            Format::Plain
        } else {
            Format::Markup
        },
    })
}

fn parts(post: &Post, mentions: &Mentions) -> Vec<Value> {
    let to = Envelope {
        channel: Some("C0OPS00001"),
        takes_name: true,
        mentions,
    };
    render(post, &to).iter().map(body).collect()
}

/// Nothing is live, everything fits, and the text shows as typed.
#[track_caller]
fn check_inert(text: &str, shape: Shape) {
    let Some(post) = post(text, shape) else {
        return;
    };
    let parts = parts(&post, &Mentions::None);
    assert!(!parts.is_empty(), "{text:?}");
    let mut whole = String::new();
    for part in &parts {
        check_body(part, text);
        whole.push_str(shown(&message_of(part)).trim_start_matches("🚨 "));
    }
    let (got, want) = (without_width(&whole), without_width(post.message.as_str()));
    match parts.len() {
        1 => assert_eq!(got, want, "{shape:?}"),
        _ => {
            let visible = |s: &str| s.split_whitespace().collect::<String>();
            assert_eq!(visible(&got), visible(&want), "{shape:?}");
        }
    }
}

#[track_caller]
fn check_body(part: &Value, text: &str) {
    let mut all = Vec::new();
    seen(part, "", &mut all);
    for seen in all {
        let what = format!("{} of {text:?}: {:?}", seen.path, seen.text);
        assert_eq!(live_tokens(&seen.text), [""; 0], "{what}");
        assert!(seen.top || live_names(&seen.text).is_empty(), "{what}");
        let max = if seen.path.contains("blocks") {
            MAX_OBJECT_CHARS
        } else {
            MAX_TEXT_CHARS
        };
        assert!(seen.text.chars().count() <= max, "{what}");
    }
    for forbidden in ["link_names", "parse", "markdown_text", "as_user"] {
        assert!(part.get(forbidden).is_none(), "{forbidden}");
    }
    assert_eq!(
        (&part["unfurl_links"], &part["unfurl_media"]),
        (&Value::Bool(false), &Value::Bool(false))
    );
    for attachment in part["attachments"].as_array().into_iter().flatten() {
        let link = attachment["title_link"].as_str().unwrap_or_default();
        assert!(!link.contains(['<', '>', '|', '"', ' ']), "{link}");
        assert!(attachment.get("blocks").is_none() || attachment.get("text").is_none());
    }
}

/// D1, D2: each hostile text, in every form of post, as message, title and name.
#[test]
fn hostile_texts_are_inert_and_show_as_typed() {
    assert!(HOSTILE.len() >= 100, "{}", HOSTILE.len());
    for text in HOSTILE {
        for shape in SHAPES {
            check_inert(text, *shape);
        }
    }
}

/// D1: a token that lies across the boundary of two parts.
#[test]
fn hostile_texts_across_parts_are_inert() {
    for text in HOSTILE {
        for shape in SHAPES {
            let max = if shape.plain {
                MAX_OBJECT_CHARS
            } else {
                MAX_TEXT_CHARS
            };
            let filled = format!("{}{text}{}", "x".repeat(max - 7), "y".repeat(20));
            check_inert(&filled, *shape);
        }
    }
}

/// `format=plain`: formatting and emoji codes are off wherever the message stands.
#[test]
fn plain_is_literal() {
    for text in ["*b* _i_ ~s~ `c`", ":tada: *b*", "> q"] {
        for shape in SHAPES.iter().filter(|s| s.plain) {
            for part in parts(&post(text, *shape).unwrap(), &Mentions::None) {
                if part.get("text").is_some() {
                    assert_eq!(part["mrkdwn"], false, "{part}");
                }
                let json = part.to_string();
                assert!(!json.contains("mrkdwn_in"), "{json}");
                let in_block = json.contains("\"plain_text\"");
                assert_eq!(in_block, json.contains("\"emoji\":false"), "{json}");
                assert!(
                    in_block || (part["mrkdwn"] == false && !text.contains(":tada:")),
                    "{json}"
                );
            }
        }
    }
}

/// Pieces that make mentions likely.
fn mention_heavy() -> impl Strategy<Value = String> {
    let pieces = [
        "@",
        "#",
        "<",
        ">",
        "!",
        "|",
        "^",
        "&",
        "lt;",
        "gt;",
        "amp;",
        "here",
        "channel",
        "everyone",
        "HERE",
        "alice",
        "subteam^",
        "S0GROUP01",
        "U0ALICE01",
        "<!here>",
        "<@U0ALICE01>",
        "<!channel>",
        "@here",
        "@channel",
        " ",
        "\n",
        ".",
        "-",
        "_",
        "*",
        "`",
        ":",
        "tada",
        "https://a.test/",
        "\u{200B}",
        "\u{200D}",
        "é",
        "я",
        "日",
        "👩‍👩‍👧‍👦",
        "\u{301}",
        "x",
    ];
    let piece = prop::sample::select(pieces.to_vec());
    prop::collection::vec(piece, 1..60).prop_map(|pieces| pieces.concat())
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![mention_heavy(), any::<String>()]
}

/// The allowed mentions as the reference writes them, in what the post's readers see.
fn live_in(text: &str, allowed: &str) -> Vec<String> {
    let shape = Shape {
        plain: false,
        title: false,
        level: false,
        name: false,
    };
    let post = post(text, shape).unwrap();
    let parts = parts(&post, &Mentions::parse(allowed).unwrap());
    parts
        .iter()
        .flat_map(|part| live_tokens(&message_of(part)))
        .filter(|t| !t.starts_with("stray"))
        .collect()
}

proptest! {
    /// D1, D2.
    #[test]
    fn arbitrary_texts_are_inert_and_show_as_typed(text in any_text(), shape in prop::sample::select(SHAPES.to_vec())) {
        check_inert(&text, shape);
    }

    /// D1, F-16: long texts, too.
    #[test]
    fn long_texts_are_inert_and_within_the_limits(
        text in any_text(), times in 1usize..400, shape in prop::sample::select(SHAPES.to_vec()),
    ) {
        let long: String = text.repeat(times).chars().take(20_000).collect();
        check_inert(&long, shape);
    }

    /// `ALLOW_MENTIONS` lets these names live and no others, each as often as it is typed in Slack's form.
    #[test]
    fn exactly_the_allowed_names_are_live(text in mention_heavy()) {
        prop_assume!(Message::parse(&text).is_ok());
        let live = live_in(&text, "here,u0alice01");
        prop_assert!(live.iter().all(|t| t == "<!here>" || t == "<@U0ALICE01>"), "{live:?}");
        let count = |token: &str| live.iter().filter(|t| *t == token).count();
        prop_assert_eq!(count("<@U0ALICE01>"), text.matches("<@U0ALICE01>").count());
        prop_assert!(count("<!here>") >= text.matches("<!here>").count());
        prop_assert!(live_in(&text, "none").is_empty());
    }

    /// D2: not even `all` lets a disguised link or a label live.
    #[test]
    fn links_are_never_live(text in mention_heavy()) {
        prop_assume!(Message::parse(&text).is_ok());
        let live = live_in(&text, "all");
        prop_assert!(live.iter().all(|t| !t.contains('|') && (t.starts_with("<!") || t.starts_with("<@"))), "{live:?}");
    }
}
