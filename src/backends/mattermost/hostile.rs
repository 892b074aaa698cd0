//! For tests: texts that try to notify people or to show as something else, in every place a caller writes to.
//! Covers D1 (mass mentions), D2 (disguised links under `format=plain` and on webhooks) and D3's invisibles.

use super::live::{
    after_slack_parser, body, live_mentions, post, rendered, shown, shown_plain, stored,
};
use crate::domain::options::{Format, Level};
use crate::domain::web_url::WebUrl;

pub(super) const HOSTILE: &[&str] = &[
    // Plain mentions, case, trailing joiners (reference 9).
    "@all",
    "@channel",
    "@here",
    "@everyone",
    "@alice",
    "@ALL",
    "@Channel",
    "@hErE",
    "@all.",
    "@all-",
    "@all:",
    "@all_",
    "@all.-:_",
    "@alice.bob",
    "@alice-bob",
    "@alice_bob",
    "@all-hands",
    "@all's",
    "@all!",
    "@all?",
    // What still notified on the real server.
    "\\@all",
    "&#64;all",
    "&#x40;all",
    "&#X40;all",
    "&#064;all",
    "&#00000064;all",
    "&#x000040;all",
    "&commat;all",
    "<@alice>",
    "(@all)",
    "\"@all\"",
    "'@all'",
    "@all,",
    "x/@all",
    "@all/x",
    "**@all**",
    "_@all_",
    "~~@all~~",
    "> @all",
    "#@all",
    "# @all",
    "- @all",
    "1. @all",
    "-@all",
    ".@all",
    ":@all",
    "_@all",
    "[@alice](https://x)",
    "![@alice](https://x)",
    "$@all$",
    "`@all",
    "``@all",
    "foo.@all",
    "foo-@all",
    "foo:@all",
    "foo_@all",
    "\u{200B}@all",
    "\u{200D}@all",
    "@all\u{200B}",
    "@all\u{200C}x",
    "\u{2060}@all",
    "@all\u{2060}",
    // What did not, and must stay so.
    "`@all`",
    "```\n@all\n```",
    "```\n@all",
    "    @all",
    "@\u{2060}all",
    "@\u{200B}all",
    "@\u{AD}all",
    "＠all",
    ":@all:",
    "x@all",
    "1@all",
    "a@b.c",
    "@@all",
    "@allx",
    "https://x/@all",
    "@[all](https://x)",
    "<!all>",
    "<@u1>",
    // Nested, doubled, and one hidden in another.
    "@@@@all",
    "@ @all",
    "@\u{2060}@all",
    "@&#64;all",
    "&#64;&#64;all",
    "&&#64;all",
    "&#38;#64;all",
    "&amp;#64;all",
    "&amp;commat;all",
    "&#&#64;64;all",
    "&#64;&#97;&#108;&#108;",
    "@&#97;ll",
    "@a&#108;l",
    "&comm&commat;at;all",
    "&#64",
    "&#64all",
    "&commat all",
    "\\&#64;all",
    "&\\#64;all",
    "&NewLine;@all",
    "@\\all",
    "@**all**",
    "@al\nl",
    // Letters and marks of other scripts next to the sign.
    "é@all",
    "я@all",
    "中@all",
    "क@all",
    "का@all",
    "ᾳ@all",
    "e\u{301}@all",
    "@all\u{301}",
    "@all\u{93E}",
    "@all中",
    "Ⅷ@all",
    "²@all",
    "½@all",
    "𝐱@all",
    "🎉@all🎉",
    "👩‍👩‍👧‍👦@all",
    "@al\u{130}ce",
    "@alice\u{212A}",
    "@ａｌｌ",
    "﹫all",
    "@аll",
    // Start, end, lines, tables, definitions, links.
    " @all",
    "\t@all",
    "@all ",
    "a\n@all",
    "a\n\n@all\n",
    "|@all|b|\n|--|--|\n|@here|x|",
    "[x]: https://y/@all",
    "[x]: <@all>",
    "<https://y/@all>",
    "https://y.<@all",
    "www.x.y/)@all",
    "mailto:@all",
    "http://a.b&@all",
    "https://medium.com/@alice/post",
    "git@github.com:@alice/x",
    "@alice@bob",
    "@alice.@bob",
    "<b>@all</b>",
    "<!-- @all -->",
    "[a](https://b \"@all\")",
    "\\\\@all",
    "*@*all",
    "==@all==",
    "@all\n===",
    "!@all",
    "~@all",
    // Slack's syntax, which webhooks rewrite (reference 12), split and nested.
    "<!channel>",
    "<!here>",
    "<!channel><!here><!all>",
    "<<!all>>",
    "<!<!all>all>",
    "<!al<!all>l>",
    "<! all>",
    "<@4yoxbndrfg8ejkmcpqxot1uwis>",
    "<<@u1>>",
    "<@<@u1>u1>",
    "<https://evil|https://good>",
    "<@all|x>",
    "<x|@all>",
    "<x|<!all>>",
    "<!all|<x>|y>",
    "<a <b|c>",
    "<a> text <b> | c >",
    "<|x>",
    "<x|>",
    "<x||y>",
    "<x\n|y>",
    "<x|\n>",
    "&lt;!all&gt;",
    "&lt;@u1&gt;",
    "<!subteam^S1>",
    "<#C1|general>",
    "if a<b || c>d",
    "<!channel|@here>",
    // Formatting that `format=plain` must show.
    "[good](https://evil)",
    "![x](https://evil/x.png)",
    "**b** _i_ ~~s~~ `c`",
    "# h",
    "h\n===",
    "h\n---",
    "* l",
    "+ l",
    "1) l",
    "    code \\*",
    "\tcode *",
    "> q",
    ":smile: :)",
    "~town-square",
    "#tag",
    "https://x.y/z_a",
    "&lt;b&gt;",
    "&nbsp;",
    "a  \nb",
    "a\\\nb",
    "- [ ] task",
    "| a | b |\n| - | - |",
    "***",
    "___",
    "<https://x>",
    "\\",
    "&",
    "@",
];

fn plain(text: &str) -> String {
    text.replace('\u{2060}', "")
}

/// What the platform makes of a text of a part: on a webhook, after the server's own rewriting.
fn arrives(text: &str, hook: bool) -> String {
    if hook {
        after_slack_parser(text, true)
    } else {
        text.to_owned()
    }
}

#[test]
fn there_are_enough_of_them() {
    assert!(HOSTILE.len() >= 200, "{}", HOSTILE.len());
}

/// D1: message, title and name at once, both formats, both routes: nobody is notified, the text shows as typed.
#[test]
fn no_hostile_text_notifies_anybody() {
    for hostile in HOSTILE {
        for (format, hook) in [
            (Format::Markup, false),
            (Format::Markup, true),
            (Format::Plain, false),
            (Format::Plain, true),
        ] {
            let mut bare = post(hostile);
            bare.format = format;
            let mut dressed = bare.clone();
            dressed.title = Some((*hostile).to_owned());
            dressed.as_name = Some((*hostile).to_owned());
            dressed.level = Some(Level::Error);
            dressed.link = WebUrl::parse("https://ci.example.com/@all?a=1&#64;all").ok();

            for post in [bare, dressed] {
                let parts = rendered(&post, "none", hook);
                assert_eq!(parts.len(), 1);
                for (text, stored) in stored(&parts[0], hook) {
                    assert_eq!(live_mentions(&stored), [""; 0], "{hostile:?} as {text:?}");
                    assert_eq!(stored, text, "{hostile:?} is rewritten by the server");
                }
                let body = body(&parts[0]);
                match format {
                    Format::Markup => assert_eq!(shown(body), shown(hostile)),
                    Format::Plain => {
                        assert_eq!(shown_plain(body), Ok(plain(hostile)), "{hostile:?}")
                    }
                }
            }
        }
    }
}

/// D2: a title that is no link itself may hold no other link under `format=plain`.
#[test]
fn a_plain_title_holds_no_link() {
    let mut post = post("text");
    post.title = Some("[good](https://evil) [a][b]".to_owned());
    post.format = Format::Plain;
    let title = rendered(&post, "none", false)[0]["props"]["attachments"][0]["title"].clone();
    let title = title.as_str().unwrap();
    assert!(!title.contains("](") && !title.contains("]["), "{title}");
    assert_eq!(plain(title), "[good](https://evil) [a][b]");
}

/// D1 across part boundaries: the letter that shields an `@` may stand in the part before, an entity in two.
#[test]
fn no_cut_brings_a_mention_to_life() {
    for hostile in HOSTILE {
        for gap in 0..4 {
            let text = format!(
                "{}{hostile}",
                "a".repeat(super::render::MAX_MESSAGE_CHARS - gap)
            );
            for part in rendered(&post(&text), "none", gap % 2 == 1) {
                let stored = arrives(body(&part), gap % 2 == 1);
                assert_eq!(
                    live_mentions(&stored),
                    [""; 0],
                    "{hostile:?} cut {gap} before its start"
                );
            }
        }
    }
}

/// `ALLOW_MENTIONS=all` leaves mentions to the platform, and only them: a disguised link stays text.
#[test]
fn all_leaves_mentions_alone() {
    for text in ["@all", "&#64;all", "<!channel>", "<@u1>"] {
        assert_eq!(body(&rendered(&post(text), "all", true)[0]), text);
    }
    let link = rendered(&post("<https://evil|https://good>"), "all", true);
    assert_eq!(body(&link[0]), "&lt;https://evil|https://good>");
}

/// `ALLOW_MENTIONS=alice,here,channel`: those names live, in any case and before punctuation, and no others.
#[test]
fn only_allowed_names_live() {
    for (text, live) in [
        ("@alice @bob", vec!["alice"]),
        ("@ALICE, @Here!", vec!["alice", "here"]),
        (
            "@alice. @alice: @alice_ @alice-.",
            vec!["alice", "alice", "alice", "alice"],
        ),
        (
            "(@alice) **@here** \"@alice\"",
            vec!["alice", "here", "alice"],
        ),
        ("@alice.bob @alice-x @alicex @alice_2", vec![]),
        ("@alice\u{212A} @al\u{130}ce @alice\u{301}", vec!["alice"]),
        ("@alice.@bob", vec!["alice"]),
        ("&#64;alice &commat;here", vec![]),
        ("@all @channel", vec!["channel"]),
        ("x@alice", vec![]),
        ("@ alice @@bob", vec![]),
    ] {
        for hook in [false, true] {
            let parts = rendered(&post(text), "alice,here,channel", hook);
            let stored = arrives(body(&parts[0]), hook);
            assert_eq!(live_mentions(&stored), live, "{text:?}");
        }
    }
    // What the server would put in the place of Slack's forms is joined to the next word.
    let hook = rendered(
        &post("<!channel> <!here>y <@alice>x"),
        "alice,here,channel",
        true,
    );
    assert_eq!(live_mentions(&arrives(body(&hook[0]), true)), [""; 0]);
}

/// A word that does not begin with its mention is read piece by piece (`foo.@all` notified, reference 9).
#[test]
fn a_glued_name_is_allowed_piece_by_piece() {
    let allowed = "all-hands";
    assert_eq!(
        body(&rendered(&post("@all-hands"), allowed, false)[0]),
        "@all-hands"
    );
    assert_eq!(
        body(&rendered(&post("x-@all-hands"), allowed, false)[0]),
        "x-@\u{2060}all-hands"
    );
}

/// An allowed mention stays whole under `format=plain`: an escape in its middle could hide it.
#[test]
fn an_allowed_name_is_not_escaped() {
    let mut post = post("*@al.ice_x* x@al.ice_x @bo_b");
    post.format = Format::Plain;
    assert_eq!(
        body(&rendered(&post, "al.ice_x", false)[0]),
        "\\*@al.ice_x\\* x@al\\.ice\\_x @\u{2060}bo\\_b"
    );
}
