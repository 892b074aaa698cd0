//! Contract 6, the proxy's own commands, as Slack and Teams bring them: answered by the proxy, and by nobody else.

use serde_json::{Value, json};

use super::teams::{CHANNEL, World, with};
use crate::support::slack_sender::{ACTIONS, FORM, SlackSender, envelope, said};
use crate::support::{Folder, Proxy, Reply, Setup, Slack, Upstream, percent_encode, unique};

const BASE: &str = "https://proxy.example";

/// A workspace that asks, and an internal API that must not hear of it.
struct Stage {
    chat: Slack,
    sender: SlackSender,
    api: Upstream,
    proxy: Proxy,
    _folder: Folder,
}

impl Stage {
    fn new(more: impl FnOnce(Setup) -> Setup) -> Self {
        let (chat, sender, folder) = (Slack::start(), SlackSender::new(), Folder::new());
        let api = Upstream::start(|_| Reply::status(200));
        let setup = Proxy::setup()
            .without_limits()
            .with(&chat)
            .with(&sender)
            .set("RELAY_URL", api.url())
            .set("PUBLIC_URL", BASE)
            .set("PROXY_TOKENS", format!("ci={}", unique("", 32)))
            .outbox(&folder);
        Self {
            proxy: more(setup).start(),
            chat,
            sender,
            api,
            _folder: folder,
        }
    }

    /// Somebody says this in #ops, at this time; the event has this id and this type.
    #[track_caller]
    fn say_at(&self, ts: &str, id: &str, kind: &str, text: &str) {
        let mut event = said(text);
        event["type"] = json!(kind);
        event["ts"] = json!(ts);
        event["channel"] = json!(self.chat.channel("ops"));
        let answer = self.sender.event(&envelope(id, &event)).to(&self.proxy);
        assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    }

    #[track_caller]
    fn say(&self, id: &str, kind: &str, text: &str) {
        self.say_at("1766000100.000300", id, kind, text);
    }

    #[track_caller]
    fn slash(&self, command: &str, text: &str) -> crate::support::Response {
        let body = format!(
            "command={}&text={}&team_id=T0TEAM001&channel_id={}&user_id=U0ALICE01",
            percent_encode(command),
            percent_encode(text),
            self.chat.channel("ops")
        );
        self.sender.sign(ACTIONS, Some(FORM), body).to(&self.proxy)
    }
}

/// As a mention it comes as `app_mention`, as `message`, or as both, and each may be repeated.
#[test]
fn where_is_answered_once_in_the_channel_and_goes_no_further() {
    let stage = Stage::new(|setup| setup);

    stage.say("Ev01", "app_mention", "<@U0PROXY01> where");
    stage.say("Ev01", "app_mention", "<@U0PROXY01> where");
    stage.say("Ev02", "message", "<@U0PROXY01> where");
    stage.say("Ev03", "message", "<@U0PROXY01> what else");
    stage.api.wait_for(1);

    let posts = stage.chat.wait_for_posts(1);
    let ops = stage.chat.channel("ops");
    assert_eq!(posts[0].channel, ops);
    let text = &posts[0].text;
    assert!(
        text.contains(&format!("This channel is slack:{ops}.")),
        "{text}"
    );
    assert!(
        text.contains(&format!("{BASE}/post/channel/slack:{ops}/msg/")),
        "{text}"
    );
    assert!(text.contains("curl -X POST"), "{text}");
    let relayed = stage.api.requests();
    assert_eq!(relayed.len(), 1);
    assert_eq!(relayed[0].json()["event_id"], "Ev03");
    // Answers leave in order, so one to a later question shows that there was no other in between.
    stage.say_at(
        "1766000101.000100",
        "Ev04",
        "app_mention",
        "<@U0PROXY01> help",
    );
    let posts = stage.chat.wait_for_posts(2);
    assert!(
        posts[1].text.contains("I answer two words"),
        "{}",
        posts[1].text
    );
}

#[test]
fn a_slash_command_is_answered_for_whoever_asks_alone() {
    let stage = Stage::new(|setup| setup);

    let answer = stage.slash("/proxy", "where");

    let json = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!(json["response_type"], "ephemeral");
    assert!(
        json["text"]
            .as_str()
            .unwrap()
            .contains(&stage.chat.channel("ops"))
    );
    assert!(stage.chat.posts().is_empty());
    assert!(stage.api.requests().is_empty());
}

#[test]
fn other_slash_commands_and_words_are_the_internal_apis() {
    let stage = Stage::new(|setup| setup);

    for (command, text) in [("/deploy", "where"), ("/proxy", "status"), ("/proxy", "")] {
        assert_eq!(stage.slash(command, text).status, 200);
    }

    assert_eq!(stage.api.requests().len(), 3);
}

/// F6: what our own bot says is neither answered nor relayed.
#[test]
fn the_bots_own_words_are_not_answered() {
    let stage = Stage::new(|setup| setup);
    let tell_own = |id: &str, kind: &str| {
        let mut own = said("<@U0PROXY01> where");
        own["type"] = json!(kind);
        own["app_id"] = json!("A0PROXY01");
        own["channel"] = json!(stage.chat.channel("ops"));
        stage.sender.event(&envelope(id, &own)).to(&stage.proxy)
    };

    let answers = [tell_own("Ev05", "app_mention"), tell_own("Ev06", "message")];
    stage.say("Ev07", "message", "the last one");
    stage.say_at(
        "1766000101.000100",
        "Ev08",
        "app_mention",
        "<@U0PROXY01> help",
    );

    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(stage.api.wait_for(1)[0].json()["event_id"], "Ev07");
    // Answers leave in order, so there was none before this one.
    let first = &stage.chat.wait_for_posts(1)[0].text;
    assert!(first.contains("I answer two words"), "{first}");
}

/// Without an internal API the proxy's own commands act all the same, with an outbox and without.
#[test]
fn commands_need_no_internal_api_and_no_outbox() {
    let stage = Stage::new(|setup| setup.unset("RELAY_URL").set("DATABASE_URL", "none"));

    stage.say("Ev09", "app_mention", "<@U0PROXY01> help");

    let posts = stage.chat.wait_for_posts(1);
    assert!(posts[0].text.contains("where"), "{}", posts[0].text);
}

fn ask(world: &World, text: &str, changes: &Value) -> Value {
    let asked = json!({"text": format!("<at>Proxy</at> {text}")});
    with(with(world.message(), &asked), changes)
}

#[test]
fn a_mention_in_teams_is_answered_in_its_channel_and_not_relayed() {
    let world = World::new();
    let proxy = world.setup().set("PUBLIC_URL", BASE).start();

    for changes in [json!({}), json!({})] {
        let answer = world.send(&proxy, &ask(&world, "where", &changes));
        assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    }

    let seen = world.region.wait_for(1);
    let text = seen[0].json()["activity"]["text"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(seen[0].target, "/emea/v3/conversations");
    assert!(
        text.contains(&format!("This channel is teams:{CHANNEL}.")),
        "{text}"
    );
    assert!(
        text.contains(&format!("{BASE}/post/channel/teams:{CHANNEL}/msg/")),
        "{text}"
    );
    assert!(world.internal.requests().is_empty());
}

/// The URL that the answer shows posts to the channel in which it was asked.
#[test]
fn what_teams_is_told_to_paste_works() {
    let world = World::new();
    let proxy = world.setup().set("PUBLIC_URL", BASE).start();
    world.send(&proxy, &ask(&world, "where", &json!({})));
    let seen = world.region.wait_for(1);
    let text = seen[0].json()["activity"]["text"]
        .as_str()
        .unwrap()
        .to_owned();
    let target = text
        .split_whitespace()
        .find_map(|word| word.strip_prefix(BASE))
        .unwrap_or_else(|| panic!("no URL in {text}"))
        .to_owned();

    let answer = proxy.post(&target);

    assert_eq!(answer.status, 200, "{}", answer.text());
    let posted = &world.region.wait_for(2)[1];
    assert_eq!(posted.json()["activity"]["text"], "Hello world");
}
