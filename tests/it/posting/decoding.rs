//! From the bytes of a URL to the text of a post: once, completely, and without repair.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use crate::support::{Connection, Proxy, message_path, percent_encode, printed, unlimited};

/// Texts that arrive as they are, whatever the form of the URL.
const TEXTS: &[&str] = &[
    "Build #42 failed",
    "100% done",
    "50%25 and %2F and %zz",
    "%",
    "%4",
    "a+b",
    "+",
    "a/b//c///",
    "/",
    "//",
    "/leading and trailing/",
    "..",
    "../../etc/passwd",
    "/./..",
    "C:\\builds\\42",
    "a?b&c=d#e;f,g:h@i!j$k(l)*m'n\"o",
    "?",
    "#",
    "&&==",
    "=",
    "a=b",
    "message=x&dry=0",
    "{\"text\":\"it's \\\"done\\\" \\n\",\"n\":[1,2,{}]}",
    "<b onclick=\"alert('x')\">&lt;&amp;&#39;</b><!-- -->]]>",
    "${HOME} `id` $(id) %s %n {{ x }}",
    "*bold* _it_ ~s~ `code`",
    " both ends ",
    "\t\ttabs\t",
    "\n\nlines\n\n",
    "first\n  second\n\nfourth",
    "caf\u{e9} \u{df} \u{153}",
    "cafe\u{301} a\u{308}\u{323} Z\u{361}\u{36f}",
    "\u{fb01} \u{212b} \u{1e9b}\u{323}",
    "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}\u{200D}\u{1F466}",
    "\u{1F44D}\u{1F3FD} \u{2764}\u{FE0F} 1\u{FE0F}\u{20E3}",
    "\u{1F3F3}\u{FE0F}\u{200D}\u{1F308}",
    "\u{1F1E9}\u{1F1EA}\u{1F1E6}\u{1F1F9}",
    "\u{1F3F4}\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}",
    "\u{645}\u{6CC}\u{200C}\u{62E}\u{648}\u{627}\u{647}\u{645}",
    "\u{928}\u{92E}\u{938}\u{94D}\u{924}\u{947} \u{915}\u{94D}\u{200D}\u{937}",
    "\u{5E9}\u{5DC}\u{5D5}\u{5DD} \u{200F}\u{645}\u{631}\u{62D}\u{628}\u{627}\u{200E}",
    "\u{4F60}\u{597D} \u{3053}\u{3093}\u{306B}\u{3061}\u{306F} \u{C548}\u{B155}",
    "\u{E01}\u{E34}\u{E48}\u{E07}",
    "a\u{A0}b\u{3000}c\u{2003}d",
    "x\u{AD}y\u{2060}z\u{200B}",
    "\u{FFFD} was here before",
    "\u{FFFF}\u{10FFFF}\u{E000}",
];

/// Texts that are made safe: as sent, as they arrive, how many characters were replaced.
const CLEANED: &[(&str, &str, u64)] = &[
    // Line ends.
    ("a\r\nb", "a\nb", 0),
    ("a\rb\r", "a\nb\n", 0),
    ("a\r\r\nb\n\rc", "a\n\nb\n\nc", 0),
    ("a\u{2028}b\u{2029}c", "a\nb\nc", 0),
    // Colours and what else terminals obey.
    ("\u{1B}[1;32mok\u{1B}[0m", "ok", 0),
    (
        "\u{1B}[38;5;208mfail\u{1B}[39m\u{1B}[K done",
        "fail done",
        0,
    ),
    ("\u{1B}[38:2::255:0:0mred", "red", 0),
    (
        "\u{1B}]8;;https://ci.example/1\u{1B}\\link\u{1B}]8;;\u{1B}\\",
        "link",
        0,
    ),
    ("\u{1B}]0;a title\u{7}after", "after", 0),
    ("\u{1B}(Bplain", "plain", 0),
    ("\u{9B}31mred", "red", 0),
    ("cut off\u{1B}[3", "cut off", 0),
    ("cut off\u{1B}", "cut off", 0),
    // D3: controls of both blocks.
    ("a\u{1}b\u{8}c", "a\u{FFFD}b\u{FFFD}c", 2),
    ("bell\u{7}", "bell\u{FFFD}", 1),
    ("a\u{B}b\u{C}c", "a\u{FFFD}b\u{FFFD}c", 2),
    ("a\u{7F}b", "a\u{FFFD}b", 1),
    ("a\u{80}b\u{9F}c", "a\u{FFFD}b\u{FFFD}c", 2),
    ("a\u{85}b", "a\u{FFFD}b", 1),
    // D3: what reorders or hides.
    ("\u{202E}gpj.exe\u{202C}", "\u{FFFD}gpj.exe\u{FFFD}", 2),
    ("\u{202A}\u{202B}\u{202D}x", "\u{FFFD}\u{FFFD}\u{FFFD}x", 3),
    (
        "\u{2066}a\u{2067}b\u{2068}c\u{2069}",
        "\u{FFFD}a\u{FFFD}b\u{FFFD}c\u{FFFD}",
        4,
    ),
    ("\u{FEFF}bom", "\u{FFFD}bom", 1),
    ("tag\u{E0041}", "tag\u{FFFD}", 1),
    ("\u{1B}[31m\u{202E}both\u{1B}[0m\r\n", "\u{FFFD}both\n", 1),
];

/// What stands after `/msg/`, byte for byte, and the text that it is.
const PATHS: &[(&[u8], &str)] = &[
    (b"Deployed%20v1.2", "Deployed v1.2"),
    // B3: decoded exactly once.
    (b"%252F", "%2F"),
    (b"%25252F", "%252F"),
    (b"%%32%46", "%2F"),
    (b"%25%32%46", "%2F"),
    (b"%2525", "%25"),
    // B2: what is no escape stays.
    (b"100%", "100%"),
    (b"100%%20done", "100% done"),
    (b"100%-done", "100%-done"),
    (b"%zz", "%zz"),
    (b"%2", "%2"),
    (b"%2g%g2", "%2g%g2"),
    (b"%u0041", "%u0041"),
    (b"%%", "%%"),
    (b"%%%41", "%%A"),
    (b"a%", "a%"),
    (b"%2f%2F%c3%A9", "//\u{e9}"),
    // B6: a plus is a plus.
    (b"a+b%2Bc", "a+b+c"),
    // B4: everything after /msg/ is the message, whatever it looks like.
    (b"a/b", "a/b"),
    (b"/", "/"),
    (b"/a", "/a"),
    (b"a/", "a/"),
    (b"a//b///", "a//b///"),
    (b"a%2Fb", "a/b"),
    (b"../../health", "../../health"),
    (b"%2e%2e/%2E%2E", "../.."),
    (b"..%2f..", "../.."),
    (b".", "."),
    (b"./a/./b", "./a/./b"),
    (b"a;v=1/b;w", "a;v=1/b;w"),
    (b"a\\b%5Cc", "a\\b\\c"),
    (b"msg/x/b64/y", "msg/x/b64/y"),
    (b"post/channel/x/msg/y", "post/channel/x/msg/y"),
    (b"http://example.org/x", "http://example.org/x"),
    (b"a:b@c,d!e$f'g(h)*i=j&k~l", "a:b@c,d!e$f'g(h)*i=j&k~l"),
    // B5: a `#` never comes from a browser or curl; raw, it is text as well.
    (b"a#b#", "a#b#"),
    (b"a%23b", "a#b"),
    (b"a%3Fb", "a?b"),
    (b"\"a\"<b>`c`{d}|e^[f]", "\"a\"<b>`c`{d}|e^[f]"),
    // Raw UTF-8, as a browser's address bar or a careless script sends it.
    (b"caf\xC3\xA9", "caf\u{e9}"),
    (
        b"\xF0\x9F\x8E\x89%20\xF0\x9F\x8E\x89",
        "\u{1F389} \u{1F389}",
    ),
    (b"\xC3%A9", "\u{e9}"),
    (b"%C3\xA9", "\u{e9}"),
    (b"a%0Ab%09c", "a\nb\tc"),
    (b"%0D%0Aa%0D", "\na\n"),
    (b"a%E2%80%A8b", "a\nb"),
    (b"%20a%20", " a "),
];

/// What stands after `/b64/`, and the text that it is.
const BASE64: &[(&[u8], &str)] = &[
    (b"YQ", "a"),
    (b"YQ==", "a"),
    (b"YQ%3D%3D", "a"),
    (b"YWI", "ab"),
    (b"YWI=", "ab"),
    (b"YWJj", "abc"),
    (b"JTJG", "%2F"),
    (b"YS9i", "a/b"),
    (b"YSti", "a+b"),
    (b"w7_Dvg", "\u{ff}\u{fe}"),
    (b"fn5-", "~~~"),
    (b"DQpiCg", "\nb\n"),
];

/// What stands after `?message=`, and the text that it is.
const QUERIES: &[(&[u8], &str)] = &[
    (b"a+b", "a b"),
    (b"+a+", " a "),
    (b"a%2Bb", "a+b"),
    (b"a%20b", "a b"),
    (b"%252B", "%2B"),
    (b"100%", "100%"),
    (b"100%+done", "100% done"),
    (b"%zz%2", "%zz%2"),
    (b"a/b//c", "a/b//c"),
    (b"what?now?", "what?now?"),
    (b"a=b==", "a=b=="),
    (b"a%26b%3Dc", "a&b=c"),
    (b"a;b", "a;b"),
    (b"a#b", "a#b"),
    (b"'a'\"b\"<c>", "'a'\"b\"<c>"),
    (b"caf\xC3\xA9+\xF0\x9F\x8E\x89", "caf\u{e9} \u{1F389}"),
    (b"a%0D%0Ab", "a\nb"),
];

/// B1: targets whose bytes are no UTF-8 once decoded, and the first byte that is wrong.
const NOT_UTF8: &[(&[u8], usize)] = &[
    (b"msg/%FF", 0),
    (b"msg/%FE%FF", 0),
    (b"msg/%80", 0),
    (b"msg/ok%BF", 2),
    // Overlong.
    (b"msg/ab%C0%AF", 2),
    (b"msg/%C1%81", 0),
    (b"msg/%E0%80%AF", 0),
    (b"msg/%E0%9F%BF", 0),
    (b"msg/%F0%80%80%AF", 0),
    (b"msg/%F8%88%80%80%80", 0),
    (b"msg/%C0%80", 0),
    // Surrogates, alone and as a pair.
    (b"msg/abc%ED%A0%80", 3),
    (b"msg/%ED%A0%BD%ED%B8%80", 0),
    (b"msg/%ED%BF%BF", 0),
    // Beyond U+10FFFF.
    (b"msg/%F4%90%80%80", 0),
    (b"msg/%F5%80%80%80", 0),
    // Cut off.
    (b"msg/ok%C3", 2),
    (b"msg/ok%E2%82", 2),
    (b"msg/%F0%9F%8E", 0),
    (b"msg/%E2%82x", 0),
    // The offset counts decoded bytes, not those of the URL.
    (b"msg/%C3%A9%FF", 2),
    (b"msg/\xC3\xA9%FF", 2),
    (b"msg/%41%42/%80", 3),
    (b"msg/\xFF", 0),
    (b"msg/a\xC3", 1),
    (b"msg/%25FF%FF", 3),
    // NUL and emptiness do not come before this.
    (b"msg/%00%FF", 1),
    (b"b64/_w", 0),
    (b"b64/YWL_", 2),
    (b"b64/7aCA", 0),
];

#[test]
fn a_text_is_the_same_in_all_three_forms() {
    let proxy = unlimited().start();

    for text in TEXTS {
        for target in forms(text) {
            let (message, replaced) = decoded(&proxy, target.as_bytes());

            assert_eq!((message.as_str(), replaced), (*text, None), "{target}");
        }
    }
}

#[test]
fn what_must_not_show_is_taken_out_in_all_three_forms() {
    let proxy = unlimited().start();

    for (text, arrives, count) in CLEANED {
        for target in forms(text) {
            let (message, replaced) = decoded(&proxy, target.as_bytes());

            let count = Some(*count).filter(|count| *count > 0);
            assert_eq!((message.as_str(), replaced), (*arrives, count), "{target}");
        }
    }
}

/// B2, B3, B4, B6, and N-9: what `curl --path-as-is --globoff` sends is these bytes.
#[test]
fn the_bytes_of_a_url_are_decoded_exactly_once() {
    let proxy = unlimited().start();
    let path = |rest: &&[u8]| [b"/post/channel/demo/msg/", *rest, b"?dry=1"].concat();
    let base64 = |rest: &&[u8]| [b"/post/channel/demo/b64/", *rest, b"?dry=1"].concat();
    let query = |rest: &&[u8]| [b"/post/channel/demo?message=", *rest, b"&dry=1"].concat();

    let paths = PATHS.iter().map(|(rest, text)| (path(rest), text));
    let base64s = BASE64.iter().map(|(rest, text)| (base64(rest), text));
    let queries = QUERIES.iter().map(|(rest, text)| (query(rest), text));
    for (target, text) in paths.chain(base64s).chain(queries) {
        let (message, replaced) = decoded(&proxy, &target);

        let shown = String::from_utf8_lossy(&target);
        assert_eq!((message.as_str(), replaced), (*text, None), "{shown}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused_by_their_offset() {
    let proxy = unlimited().start();

    for (rest, offset) in NOT_UTF8 {
        let answer = proxy.post([b"/post/channel/demo/", *rest].concat());

        let shown = String::from_utf8_lossy(rest);
        assert_eq!(answer.verdict(), (400, "bad-encoding".into()), "{shown}");
        assert_names_byte(&answer.json(), *offset, &shown);
    }
    for (target, offset) in [
        ("/post/channel/demo?message=ab%FF", 2),
        ("/post/channel/demo?message=%2B+%C3%28", 2),
        ("/post/channel/de%FFmo/msg/x", 2),
        ("/post/channel/%ED%A0%80?message=x", 0),
    ] {
        let answer = proxy.post(target);

        assert_eq!(answer.verdict(), (400, "bad-encoding".into()), "{target}");
        assert_names_byte(&answer.json(), offset, target);
    }
    assert_eq!(printed(&proxy), [""; 0]);
}

#[test]
fn text_that_is_no_base64url_is_refused() {
    let proxy = unlimited().start();

    for rest in [
        "!!!!", "YQ===", "Y", "YWJjZ", "YS+i", "YS%2Fi", "YQ/YQ", "YQ==YQ", "YR", "YQ%", "%FF",
    ] {
        let answer = proxy.post(format!("/post/channel/demo/b64/{rest}"));

        assert_eq!(answer.verdict(), (400, "bad-encoding".into()), "{rest}");
        assert!(answer.text().contains("base64url"), "{rest}");
    }
    assert_eq!(printed(&proxy), [""; 0]);
}

#[test]
fn nothing_to_say_nobody_to_say_it_to_and_nul_are_refused() {
    let proxy = unlimited().start();

    for (target, code) in [
        ("/post/channel/demo/msg/", "empty-message"),
        ("/post/channel/demo/msg/?dry=1", "empty-message"),
        ("/post/channel/demo/msg/%20", "empty-message"),
        ("/post/channel/demo/msg/%20%09%0A%0D", "empty-message"),
        ("/post/channel/demo/msg/%C2%A0%E3%80%80", "empty-message"),
        ("/post/channel/demo/msg/%E2%80%A8", "empty-message"),
        ("/post/channel/demo/msg/%1B%5B0m", "empty-message"),
        ("/post/channel/demo/b64/", "empty-message"),
        ("/post/channel/demo/b64/IA", "empty-message"),
        ("/post/channel/demo", "empty-message"),
        ("/post/channel/demo?", "empty-message"),
        ("/post/channel/demo?message=", "empty-message"),
        ("/post/channel/demo?message=+", "empty-message"),
        ("/post/channel/demo?title=x", "empty-message"),
        ("/post/channel//msg/x", "empty-channel"),
        ("/post/channel/%20/msg/x", "empty-channel"),
        ("/post/channel//b64/YQ", "empty-channel"),
        ("/post/channel/?message=x", "empty-channel"),
        ("/post/channel//", "not-found"),
        ("/post/channel/demo/msg/%00", "bad-character"),
        ("/post/channel/demo/msg/a%00b", "bad-character"),
        ("/post/channel/demo/msg/%1B%5B0m%00", "bad-character"),
        ("/post/channel/demo/b64/YQBi", "bad-character"),
        ("/post/channel/demo?message=a%00", "bad-character"),
        // B4, D3: an address that would show as another one, or end a line of a log.
        ("/post/channel/de%00mo/msg/x", "bad-character"),
        ("/post/channel/de%0Amo/msg/x", "bad-character"),
        ("/post/channel/de%1B%5B0mmo/msg/x", "bad-character"),
        ("/post/channel/de%C2%85mo/msg/x", "bad-character"),
        ("/post/channel/de%E2%80%A8mo/msg/x", "bad-character"),
        ("/post/channel/%E2%80%AEomed/msg/x", "bad-character"),
        ("/post/channel/de%E2%81%A6mo/msg/x", "bad-character"),
    ] {
        let status = if code == "not-found" { 404 } else { 400 };

        assert_eq!(
            proxy.post(target).verdict(),
            (status, code.into()),
            "{target}"
        );
    }
    assert_eq!(printed(&proxy), [""; 0]);
}

#[test]
fn the_channel_is_one_segment_decoded_like_the_message() {
    let proxy = unlimited().start();

    for (segment, channel) in [
        ("demo", "demo"),
        ("team%2Fops", "team/ops"),
        ("%23builds", "#builds"),
        ("#builds", "#builds"),
        ("a+b", "a+b"),
        ("%252F", "%2F"),
        ("100%", "100%"),
        ("..", ".."),
        ("%2e%2e", ".."),
        (".", "."),
        ("a;b=c", "a;b=c"),
        ("console:a:b", "a:b"),
        ("CONSOLE:a", "CONSOLE:a"),
        ("19:x@thread.tacv2", "19:x@thread.tacv2"),
        ("caf%C3%A9", "caf\u{e9}"),
        ("\u{6A9}\u{200C}\u{62E}", "\u{6A9}\u{200C}\u{62E}"),
        ("msg", "msg"),
        ("%20x%20", " x "),
    ] {
        let answer = proxy.post(format!("/post/channel/{segment}/msg/x"));

        assert_eq!(answer.status, 200, "{segment}: {}", answer.text());
        assert_eq!(answer.json()["deliveries"][0]["channel"], channel);
        assert_eq!(proxy.stdout_line(), format!("[{channel}] x"));
    }
}

#[test]
fn what_is_printed_is_what_a_dry_run_shows() {
    let proxy = unlimited().start();

    for text in TEXTS {
        let answer = proxy.post_message("demo", text, &[]);

        assert_eq!(answer.status, 200, "{text:?}: {}", answer.text());
        for line in format!("[demo] {text}").split('\n') {
            assert_eq!(proxy.stdout_line(), line, "{text:?}");
        }
    }
}

#[test]
fn the_receipt_of_a_post_counts_what_was_replaced() {
    let proxy = unlimited().start();

    let some = proxy.post("/post/channel/demo/msg/a%07b%E2%80%AEc").json();
    let none = proxy.post("/post/channel/demo/msg/abc").json();

    assert_eq!(
        (&some["replaced"], &some["status"]),
        (&2.into(), &"delivered".into())
    );
    assert_eq!(none.get("replaced"), None);
    assert_eq!(
        printed(&proxy),
        ["[demo] a\u{FFFD}b\u{FFFD}c", "[demo] abc"]
    );
}

/// B3: whatever the text is, decoding undoes encoding, and undoes it once. One connection carries all of it.
#[test]
fn any_text_comes_back_in_any_form() {
    let proxy = unlimited().start();
    let connection = RefCell::new(proxy.connect());
    let stays = any::<char>().prop_filter("is made safe", |c| is_left_alone(*c));
    let odd = proptest::sample::select(
        " \n\t%+/?#&=;\\\"'<>{}.~-_25fF\u{200D}\u{200C}\u{301}\u{1F3F4}\u{1F1E9}"
            .chars()
            .collect::<Vec<_>>(),
    );
    let texts = proptest::collection::vec(prop_oneof![stays, odd], 1..60)
        .prop_map(String::from_iter)
        .prop_filter("is blank", |text| !text.trim().is_empty());

    let outcome = TestRunner::new(ProptestConfig::with_cases(200)).run(&texts, |text| {
        let mut connection = connection.borrow_mut();
        for target in forms(&text) {
            prop_assert_eq!(dry_on(&mut connection, &target), text.as_str());
        }
        let once = percent_encode(&text);
        let twice = message_path("demo", &once, &[("dry", "1")]);
        prop_assert_eq!(dry_on(&mut connection, &twice), once);
        Ok(())
    });

    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// B1: the server and the standard library agree on what is UTF-8, and on where it ends.
#[test]
fn any_bytes_are_utf8_or_refused_at_the_right_offset() {
    let proxy = unlimited().start();
    let connection = RefCell::new(proxy.connect());
    let lead = proptest::sample::select(vec![
        &b"\xE2\x82\xAC"[..],
        b"\xF0\x9F\x8E\x89",
        b"\xED\xA0\x80",
        b"\xC3",
        b"a",
    ]);
    let pieces = (lead, proptest::collection::vec(0x21u8.., 0..6))
        .prop_map(|(lead, rest)| [lead, &rest].concat());
    let bytes = proptest::collection::vec(pieces, 1..4).prop_map(|pieces| pieces.concat());

    let outcome = TestRunner::new(ProptestConfig::with_cases(200)).run(&bytes, |bytes| {
        let escaped: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
        let target = format!("/post/channel/demo/msg/{escaped}?dry=1");
        let body = exchange(&mut connection.borrow_mut(), &target);
        match std::str::from_utf8(&bytes) {
            Ok(text) if text.chars().all(is_left_alone) => prop_assert_eq!(&body["message"], text),
            Ok(_) => prop_assert!(body["message"].is_string()),
            Err(error) => {
                let place = format!("byte {} ", error.valid_up_to());
                prop_assert_eq!(&body["code"], "bad-encoding");
                prop_assert!(body["detail"].as_str().unwrap_or_default().contains(&place));
            }
        }
        Ok(())
    });

    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// The targets of a dry run of `text`: path, base64url with and without padding, query.
fn forms(text: &str) -> [String; 4] {
    let (bare, padded) = (URL_SAFE_NO_PAD.encode(text), URL_SAFE.encode(text));
    [
        message_path("demo", text, &[("dry", "1")]),
        format!("/post/channel/demo/b64/{bare}?dry=1"),
        format!("/post/channel/demo/b64/{padded}?dry=1"),
        format!(
            "/post/channel/demo?dry=1&message={}",
            percent_encode(text).replace("%20", "+")
        ),
    ]
}

/// The text that a dry run shows, and its count of replaced characters.
#[track_caller]
fn decoded(proxy: &Proxy, target: &[u8]) -> (String, Option<u64>) {
    let agent = [("User-Agent", "curl/8.5.0"), ("Accept", "*/*")];
    let answer = proxy.request("POST", target, &agent);
    let shown = String::from_utf8_lossy(target);
    assert_eq!(answer.status, 200, "{shown}: {}", answer.text());
    let body = answer.json();
    let message = body["message"].as_str().expect("no message").to_owned();
    assert_eq!(
        body["deliveries"][0]["requests"][0]["line"],
        format!("[demo] {message}"),
        "{shown}"
    );
    (message, body.get("replaced").and_then(Value::as_u64))
}

fn exchange(connection: &mut Connection, target: &str) -> Value {
    connection.send(format!("POST {target} HTTP/1.1\r\nHost: proxy\r\n\r\n").as_bytes());
    connection.read_response().json()
}

fn dry_on(connection: &mut Connection, target: &str) -> String {
    let body = exchange(connection, target);
    body["message"]
        .as_str()
        .unwrap_or_else(|| panic!("{body}"))
        .to_owned()
}

#[track_caller]
fn assert_names_byte(problem: &Value, offset: usize, case: &str) {
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains(&format!("byte {offset} ")),
        "{case}: {detail}"
    );
}

/// The contract's list of what is changed, written again.
fn is_left_alone(c: char) -> bool {
    let control = c.is_control() && c != '\n' && c != '\t';
    let bidi = ('\u{202A}'..='\u{202E}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    let hidden = c == '\u{FEFF}' || ('\u{E0000}'..='\u{E007F}').contains(&c);
    !control && !bidi && !hidden && c != '\u{2028}' && c != '\u{2029}'
}
