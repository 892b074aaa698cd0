//! The forms of a post, and the limits of its parts.

use serde_json::{Value, json};

use super::*;
use crate::backends::slack::render::{MAX_OBJECT_CHARS, MAX_TEXT_CHARS};
use crate::domain::options::Level;

fn bodies(backend: &dyn Backend, post: &Post, to: &Recipient) -> Vec<Value> {
    let parts = backend.render(post, to);
    parts
        .iter()
        .map(|part| serde_json::from_slice(&part.body).unwrap())
        .collect()
}

/// Every form of a post, as Slack gets it.
#[test]
fn the_forms_of_a_post() {
    let mut post = post("*done* @here");
    let first = |post: &Post| bodies(&*bot(), post, &channel()).remove(0);
    let none = json!({"channel": "C0OPS00001", "unfurl_links": false, "unfurl_media": false});
    let with = |extra: Value| {
        let mut body = none.clone();
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        body
    };
    assert_eq!(first(&post), with(json!({"text": "*done* @here"})));

    post.format = Format::Plain;
    post.as_name = Some("R&D <@U1>".into());
    assert_eq!(
        first(&post),
        with(
            json!({"text": "*done* @here", "mrkdwn": false, "username": "R&amp;D &lt;@\u{200B}U1&gt;"})
        )
    );

    post.as_name = None;
    post.level = Some(Level::Error);
    let section = json!({"type": "section", "text": {"type": "plain_text", "text": "🚨 *done* @\u{200B}here", "emoji": false}});
    assert_eq!(
        first(&post),
        with(
            json!({"attachments": [{"color": "danger", "fallback": "🚨 *done* @\u{200B}here", "blocks": [section]}]})
        )
    );

    post.format = Format::Markup;
    post.title = Some("Build <42>".into());
    post.link = WebUrl::parse("https://ci.test/a?b=1&c=<2>").ok();
    assert_eq!(
        first(&post),
        with(json!({"attachments": [{
            "color": "danger", "fallback": "🚨 Build &lt;42&gt; *done* @\u{200B}here", "title": "🚨 Build &lt;42&gt;",
            "title_link": "https://ci.test/a?b=1&c=%3C2%3E", "text": "*done* @\u{200B}here", "mrkdwn_in": ["text"],
        }]}))
    );

    (post.title, post.level) = (None, None);
    let body = first(&post);
    assert_eq!(
        body["attachments"][0]["title"],
        "https://ci.test/a?b=1&amp;c=&lt;2&gt;"
    );
}

#[test]
fn title_and_emoji_stand_on_the_first_part_and_the_colour_on_all() {
    let mut post = post(&"word ".repeat(2000));
    post.title = Some("T".into());
    post.level = Some(Level::Success);
    let parts = bodies(&*bot(), &post, &channel());
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[0]["attachments"][0]["title"], "✅ T");
    for part in &parts[1..] {
        assert_eq!(part["attachments"][0]["color"], "good");
        assert!(part["attachments"][0].get("title").is_none());
        assert!(!part.to_string().contains('✅'));
    }
}

/// F-16: at the limit, one below, one above; counted after escaping.
#[test]
fn limits_are_counted_after_escaping() {
    let count = |text: String, plain: bool| {
        let mut post = post(&text);
        post.format = if plain { Format::Plain } else { Format::Markup };
        bodies(&*bot(), &post, &channel()).len()
    };
    let max = MAX_TEXT_CHARS;
    for (len, parts) in [
        (max - 1, 1),
        (max, 1),
        (max + 1, 2),
        (2 * max, 2),
        (2 * max + 1, 3),
    ] {
        assert_eq!(count("x".repeat(len), false), parts, "{len}");
        assert_eq!(count("é".repeat(len), true), parts, "{len}");
    }
    assert_eq!(
        (
            count("&".repeat(max / 5), false),
            count("&".repeat(max / 5 + 1), false)
        ),
        (1, 2)
    );
    assert_eq!(
        (
            count("<".repeat(max / 4), false),
            count(">".repeat(max / 4 + 1), false)
        ),
        (1, 2)
    );
    let block = |len: usize| format!(":a:{}", "x".repeat(len - 3));
    assert_eq!(
        (
            count(block(MAX_OBJECT_CHARS), true),
            count(block(MAX_OBJECT_CHARS + 1), true)
        ),
        (1, 2)
    );
}

/// The emoji, the breaks and the live tokens have room, too.
#[test]
fn what_is_added_stays_within_the_limits() {
    let (env, mut shared) = (Env::of(&[("SLACK_BOT_TOKEN", "x")]), Shared::default());
    for allowed in ["none", "all"] {
        shared.mentions = Mentions::parse(allowed).unwrap();
        let bot = configure(&mut Reader::new(&env, Faults::default()), &shared).unwrap();
        for text in ["@here ", "@x", "#a ", "<!here>", "@", "&<>", "x"] {
            for (plain, level) in [
                (false, None),
                (false, Some(Level::Warning)),
                (true, Some(Level::Info)),
            ] {
                let mut post = post(&text.repeat(9000 / text.len()));
                post.level = level;
                post.format = if plain { Format::Plain } else { Format::Markup };
                for body in bodies(&*bot, &post, &channel()) {
                    let attachment = &body["attachments"][0];
                    let (shown, max) = match (plain && level.is_some(), level) {
                        (true, _) => (&attachment["blocks"][0]["text"]["text"], MAX_OBJECT_CHARS),
                        (_, Some(_)) => (&attachment["text"], MAX_TEXT_CHARS),
                        _ => (&body["text"], MAX_TEXT_CHARS),
                    };
                    let chars = shown.as_str().unwrap().chars().count();
                    assert!(chars <= max, "{allowed} {text}: {chars}");
                }
            }
        }
    }
}

/// A title or a notification is short, however long the link and however many marks a character bears.
#[test]
fn excerpts_are_short() {
    let mut post = post(&format!("a{}", "\u{301}".repeat(3000)));
    post.link = WebUrl::parse(&format!("https://ci.test/{}", "&".repeat(2000))).ok();
    let attachment = &bodies(&*bot(), &post, &channel())[0]["attachments"][0];
    for field in ["title", "fallback"] {
        assert!(
            attachment[field].as_str().unwrap().chars().count() <= 1500,
            "{field}"
        );
    }
    assert_eq!(
        attachment["title_link"],
        post.link.as_ref().unwrap().as_str()
    );
}
