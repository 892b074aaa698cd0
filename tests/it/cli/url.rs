//! `url`: what it prints posts exactly what was typed.

use super::{line, run};
use crate::support::{Faults, Mattermost, Proxy, Response, unique};

const KEY: &str = "3f9a1c7be2d84056a1b7c3d9e5f20864";
const BASE: &str = "https://proxy.example.org";

/// Texts that lose something in a URL that is made carelessly.
const HOSTILE: &[&str] = &[
    "plain",
    "100% done, 5 %20 and %2F",
    "a+b c",
    "Build #42?ok=1&x=y;z",
    "a/b//c/../d/./",
    ".",
    "..",
    "/",
    "'single' \"double\" `tick` $(id) $HOME !! \\ \\n",
    " spaces around ",
    "two\nlines\n\tand a tab",
    "é ß 日本語 🎉 👩‍👩‍👧",
    "https://example.org/?a=b#c",
    "{{ template }} [x](y) <b> | *bold* _it_",
    "%",
];

/// A message as argument, or through standard input where an argument could be an option.
#[track_caller]
fn url(text: &str, arguments: &[&str]) -> String {
    let setup = Proxy::setup()
        .set("SIGNING_KEYS", KEY)
        .args(&["url", "demo:x/y #1", "-", "--base", BASE])
        .args(arguments)
        .stdin(format!("{text}\n"));
    let ended = setup.run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{text:?}");
    let target = ended.stdout.strip_prefix(BASE).unwrap();
    assert!(!target.contains(|c: char| c.is_whitespace() || !c.is_ascii()));
    target.to_owned()
}

#[track_caller]
fn decoded(answer: &Response) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["message"].as_str().unwrap().to_owned()
}

fn signed_server() -> Proxy {
    Proxy::setup()
        .without_limits()
        .set("SIGNING_KEYS", KEY)
        .start()
}

#[test]
fn every_form_and_scope_posts_exactly_the_text() {
    let proxy = signed_server();

    for text in HOSTILE {
        for form in [&[][..], &["--b64"], &["--query"]] {
            for scope in ["c", "m"] {
                let options = ["--sign", scope, "title=Bu/ild #42 + 1", "dry=1"];
                let target = url(text, &[form, &options].concat());

                assert_eq!(decoded(&proxy.post(&target)), *text, "{target}");
            }
        }
    }
}

#[test]
fn the_channel_is_the_one_that_was_typed() {
    let proxy = signed_server();

    let answer = proxy.post(url("hello", &["--sign", "m", "dry=1"]));

    let delivery = &answer.json()["deliveries"][0];
    assert_eq!(delivery["channel"], "demo:x/y #1");
}

#[test]
fn a_message_is_posted_with_its_options() {
    let chat = Mattermost::start();
    let proxy = Proxy::setup().with(&chat).set("SIGNING_KEYS", KEY).start();
    let channel = format!("mattermost:{}", chat.channel("builds"));
    let ended = Proxy::setup()
        .set("SIGNING_KEYS", KEY)
        .set("PUBLIC_URL", proxy.url("/"))
        .args(&[
            "url",
            &channel,
            "It's 100% *done*",
            "level=success",
            "--sign",
            "m",
        ])
        .run();

    let target = ended.stdout.strip_prefix(&proxy.url("")).unwrap();
    let answer = proxy.post(target);

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(chat.posts()[0].props.to_string().contains("100% *done*"));
}

#[test]
fn a_signature_for_a_message_opens_no_other() {
    let proxy = signed_server();
    let message = url("hello", &["--sign", "m"]);
    let channel = url("hello", &["--sign", "c"]);
    let other = |target: &str| target.replace("/msg/hello", "/msg/other");

    assert_eq!(proxy.post(other(&message)).status, 401);
    assert_eq!(proxy.post(other(&channel)).status, 200);
}

/// A time of the proxy's own clock; nobody waits for it.
#[test]
fn a_signature_holds_as_long_as_it_was_made_for() {
    const DAY: i64 = 24 * 3600;
    let faults = Faults::none();
    let proxy = faults
        .setup(Proxy::setup().set("SIGNING_KEYS", KEY))
        .start();
    let week = url("week", &["--sign", "c", "--expires", "7d"]);
    let default = url("default", &["--sign", "c"]);
    let never = url("never", &["--sign", "c", "--expires", "never"]);
    let codes = |days: i64| {
        faults.clock_offset(days * DAY);
        [&week, &default, &never].map(|target| proxy.post(target).status)
    };

    assert_eq!(codes(6), [200, 200, 200]);
    assert_eq!(codes(8), [403, 200, 200]);
    assert_eq!(codes(31), [403, 403, 200]);
}

#[test]
fn an_unsigned_url_needs_no_key_and_no_configuration() {
    let ended = run(&[
        "url",
        "teams:19:a@thread.tacv2",
        "a/b",
        "--base",
        "https://p.example/x/",
    ]);

    let want = "https://p.example/x/post/channel/teams:19:a@thread.tacv2/msg/a%2Fb";
    assert_eq!((ended.code, ended.stdout.as_str()), (0, want));
}

#[test]
fn the_address_is_base_then_public_url_then_host_and_port() {
    let setup = Proxy::setup().args(&["url", "demo", "x"]);
    let begins = |setup: crate::support::Setup| {
        let ended = setup.run();
        ended.stdout.replace("/post/channel/demo/msg/x", "")
    };

    assert_eq!(
        begins(setup.clone().set("PORT", "3999")),
        "http://127.0.0.1:3999"
    );
    let everywhere = setup.clone().set("HOST", "::").set("PORT", "80");
    assert_eq!(begins(everywhere), "http://[::1]:80");
    let public = setup.clone().set("PUBLIC_URL", "https://p.example/");
    assert_eq!(begins(public.clone()), "https://p.example");
    assert_eq!(
        begins(public.args(&["--base", "http://q.example"])),
        "http://q.example"
    );
    assert!(line(&setup.run(), 78).contains("--base"));
}

#[test]
fn signing_without_a_key_says_what_to_set() {
    let none = run(&["url", "demo", "x", "--sign", "c", "--base", BASE]);
    let short = Proxy::setup()
        .set("SIGNING_KEYS", "short-key")
        .args(&["url", "demo", "x", "--base", BASE])
        .run();

    assert!(line(&none, 78).starts_with("SIGNING_KEYS is not set"));
    assert_eq!((short.code, short.stdout.as_str()), (78, ""));
}

#[test]
fn what_no_proxy_would_take_is_refused_before_it_is_printed() {
    let long = "x".repeat(40_000);
    for (arguments, says) in [
        (&["", "x"][..], "CHANNEL"),
        (&["a\nb", "x"], "CHANNEL"),
        (&["..", "x"], "CHANNEL"),
        (&["demo", " \n"], "MESSAGE"),
        (&["demo", &long], "MAX_URL"),
        (&["demo", "x", "level=fatal"], "level"),
        (&["demo", "x", "levle=info"], "level"),
        (&["demo", "x", "level=info", "level=info"], "twice"),
        (&["demo", "x", "another"], "quotes"),
        (&["demo", "x", "token=Kq3vT8wZpL5nX2rY"], "--sign"),
        (
            &["demo", "x", "--sign", "c", "--expires", "soon"],
            "--expires",
        ),
        (
            &["demo", "x", "--sign", "c", "--expires", "0s"],
            "--expires",
        ),
    ] {
        let mut setup = Proxy::setup()
            .set("SIGNING_KEYS", KEY)
            .args(&["url", "--base", BASE]);
        setup = setup.canary("Kq3vT8wZpL5nX2rY").args(arguments);
        let ended = setup.run();

        assert!(line(&ended, 64).contains(says), "{says}: {}", ended.stderr);
    }
    for base in [
        "p.example",
        "ftp://p.example",
        "https://p.example/?x",
        "https://u:p4ssw0rd@p.example",
    ] {
        let ended = Proxy::setup()
            .canary("p4ssw0rd")
            .args(&["url", "demo", "x", "--base", base])
            .run();

        assert!(line(&ended, 64).starts_with("--base: "), "{}", ended.stderr);
    }
    for arguments in [
        &["url", "demo"][..],
        &["url", "demo", "x", "--expires", "7d"],
        &["url", "demo", "x", "--sign", "x"],
    ] {
        assert_eq!(run(arguments).code, 64, "{arguments:?}");
    }
}

#[test]
fn standard_input_is_text_of_at_most_a_url() {
    let given = |bytes: Vec<u8>| {
        let setup = Proxy::setup().args(&["url", "demo", "-", "--base", BASE]);
        setup.stdin(bytes).run()
    };
    let posted = |bytes: &str| {
        let ended = given(bytes.into());
        ended.stdout.rsplit('/').next().unwrap().to_owned()
    };

    assert_eq!(posted("a"), "a");
    assert_eq!(posted("a\n"), "a");
    assert_eq!(posted("a\r\n"), "a");
    assert_eq!(posted("a\n\n"), "a%0A");
    assert_eq!(posted("-x --help"), "-x%20--help");
    assert!(line(&given(b"ab\xFFc".to_vec()), 64).contains("byte 2"));
    assert!(line(&given(b"a\0b".to_vec()), 64).contains("NUL"));
    assert!(line(&given(vec![b'x'; 100_000]), 64).contains("32768"));
    assert!(line(&given(Vec::new()), 64).contains("MESSAGE"));
}

/// G1: a key is in no output, whatever is asked for (`run` looks for it).
#[test]
fn a_key_is_shown_as_its_signature_alone() {
    let key = unique("k", 40);
    let ended = Proxy::setup()
        .set("SIGNING_KEYS", &*key)
        .args(&[
            "url",
            "demo",
            "x",
            "--sign",
            "m",
            "--expires",
            "never",
            "--base",
            BASE,
        ])
        .run();

    assert!(ended.stdout.contains("?sig=m.0."), "{}", ended.stdout);
}
