//! Contract 6, the proxy's own commands, as Mattermost asks for them (reference/mattermost.md 13).

use serde_json::{Value, json};

use crate::support::{Mattermost, Proxy, Response, Setup, percent_encode, unique};

const PATH: &str = "/no-auth/provider-action/mattermost";
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

struct Stage {
    chat: Mattermost,
    proxy: Proxy,
    token: String,
}

impl Stage {
    fn new(more: impl FnOnce(Setup, &Mattermost) -> Setup) -> Self {
        let (chat, token) = (Mattermost::start(), unique("", 26));
        let setup = Proxy::setup()
            .with(&chat)
            .set("PUBLIC_URL", "https://proxy.example")
            .set(
                "MATTERMOST_COMMAND_TOKENS",
                format!("{} {token}", unique("", 26)),
            )
            .canary(&token);
        Self {
            proxy: more(setup, &chat).start(),
            chat,
            token,
        }
    }

    /// A slash command.
    #[track_caller]
    fn slash(&self, token: &str, text: &str) -> Response {
        let body = format!(
            "token={token}&team_id=t&channel_id={}&user_id=u&command=%2Fproxy&text={}",
            self.channel(),
            percent_encode(text)
        );
        self.proxy.send("POST", PATH, &[FORM], body)
    }

    /// An outgoing webhook as JSON.
    #[track_caller]
    fn outgoing(&self, user: &str, text: &str) -> Response {
        let body = json!({"token": self.token, "channel_id": self.channel(), "user_id": user,
            "text": text, "trigger_word": "@proxy", "timestamp": 1_795_242_173_558_u64});
        self.proxy.post_json(PATH, &[], &body)
    }

    fn channel(&self) -> String {
        self.chat.channel("builds")
    }
}

#[track_caller]
fn said(answer: &Response) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.json()
}

#[test]
fn where_is_answered_with_the_address_and_what_to_paste() {
    let stage = Stage::new(|setup, _| setup.set("PROXY_TOKENS", format!("ci={}", unique("", 32))));

    let said = said(&stage.slash(&stage.token, "where"));

    let channel = format!("mattermost:{}", stage.channel());
    let url = format!("https://proxy.example/post/channel/{channel}/msg/Hello%20world");
    let text = said["text"].as_str().unwrap();
    assert_eq!(said["response_type"], "ephemeral");
    assert!(text.contains(&format!("`{channel}`")), "{text}");
    assert!(text.contains(&format!("`{url}`")), "{text}");
    assert!(text.contains("Authorization: Bearer $TOKEN"), "{text}");
}

/// The line that the answer shows does what it says.
#[test]
fn the_url_that_is_shown_posts_to_this_channel() {
    let stage = Stage::new(|setup, _| setup.unset("PUBLIC_URL"));
    let said = said(&stage.slash(&stage.token, "where"));
    let text = said["text"].as_str().unwrap();
    let host = stage.proxy.addr().to_string();
    let target = text
        .split('`')
        .find_map(|word| word.strip_prefix(&format!("http://{host}")))
        .unwrap_or_else(|| panic!("no URL in {text}"));

    let answer = stage.proxy.post(target);

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(stage.chat.wait_for_posts(1)[0].message, "Hello world");
}

/// An alias that means other channels as well would be another address.
#[test]
fn an_alias_of_this_channel_alone_is_what_is_pasted() {
    let stage = Stage::new(|setup, chat| {
        let id = chat.channel("builds");
        let all = format!("all=mattermost:{id},console:x builds=mattermost:{id}");
        setup.set("CHANNELS", all).set("ONLY_ALIASES", "true")
    });

    let said = said(&stage.slash(&stage.token, "Where?"));

    let text = said["text"].as_str().unwrap();
    assert!(
        text.contains("https://proxy.example/post/channel/builds/msg/"),
        "{text}"
    );
    assert!(text.contains("(alias `builds`)"), "{text}");
}

#[test]
fn an_outgoing_webhook_is_answered_in_its_thread() {
    let stage = Stage::new(|setup, _| setup);

    let said = said(&stage.outgoing("u", "@proxy help"));

    assert_eq!(said["response_type"], "comment");
    assert!(said["text"].as_str().unwrap().contains("where"));
}

/// F6: the bot's own posts trigger outgoing webhooks, too; answering them would be a conversation with itself.
#[test]
fn the_bots_own_posts_are_not_answered() {
    let stage = Stage::new(|setup, _| setup);
    let bot = stage.chat.bot_id();

    for _ in 0..2 {
        let answer = stage.outgoing(&bot, "@proxy where");

        assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    }
}

#[test]
fn without_its_token_nothing_is_answered() {
    let stage = Stage::new(|setup, _| setup);
    let mut bodies = Vec::new();

    for token in [
        "",
        "x",
        &unique("", 26),
        &stage.token[..25],
        &format!("{}x", stage.token),
    ] {
        let answer = stage.slash(token, "where");

        assert_eq!(answer.verdict(), (401, "unauthorized".into()), "{token}");
        let mut body = answer.json();
        body["id"].take();
        bodies.push(body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[test]
fn where_no_token_is_configured_none_is_good() {
    let chat = Mattermost::start();
    let proxy = Proxy::setup().with(&chat).start();

    let answer = proxy.send("POST", PATH, &[FORM], "token=&command=%2Fproxy&text=where");

    assert_eq!(answer.verdict(), (401, "unauthorized".into()));
}

#[test]
fn a_browser_is_told_what_the_endpoint_is_for() {
    let proxy = Proxy::start(&[]);

    let answer = proxy.get(PATH);

    assert_eq!(answer.verdict(), (405, "method-not-allowed".into()));
    assert_eq!(answer.header("allow"), Some("POST, OPTIONS"));
    assert!(answer.text().contains("this endpoint is reachable"));
}
