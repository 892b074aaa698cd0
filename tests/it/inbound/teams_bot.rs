//! The round trip with a bot on Microsoft's own SDK as the internal API: it verifies what is relayed to it once more.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::teams::{World, send, with};
use crate::support::{Environment as _, peers};

/// The bot; it ends when its input does.
struct Bot {
    process: Child,
    url: String,
}

impl Bot {
    fn start(world: &World) -> Self {
        let mut openid = world.framework.env().into_iter();
        let openid = openid
            .find(|(name, _)| name == "TEAMS_OPENID_URL")
            .unwrap()
            .1;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/bot/bot.js");
        let mut process = Command::new("node")
            .arg(script)
            .env("NODE_PATH", peers::node().join("node_modules"))
            .env("APP_ID", world.teams.app_id())
            .env("APP_PASSWORD", world.teams.password())
            .env("TENANT", world.teams.tenant())
            .env("OPENID_URL", openid)
            .env("ISSUER", world.framework.issuer())
            .env("LOGIN_URL", world.teams.url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        lines.read_line(&mut url).unwrap();
        Self {
            process,
            url: url.trim().to_owned(),
        }
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().ok();
    }
}

#[test]
fn a_bot_on_the_platforms_sdk_answers_through_the_proxy() {
    let world = World::new();
    let bot = Bot::start(&world);
    let proxy = world.setup().set("RELAY_URL", bot.url.as_str()).start();
    let channel = world.teams.channel("alerts");
    proxy.post_message(&format!("teams:{channel}"), "disk 91% on db-3", &[]);
    let root = world.teams.wait_for_posts(1)[0].clone();
    let in_thread = json!({"serviceUrl": world.teams.service_url(), "conversation": {"isGroup": true,
        "conversationType": "channel", "tenantId": world.teams.tenant(), "id": root.thread()}});
    let message = with(world.message(), &in_thread);
    let invoke = with(
        message.clone(),
        &json!({"type": "invoke", "id": "f:1", "name": "adaptiveCard/action", "value": {"a": 1}}),
    );

    let heard = world.send(&proxy, &message);
    let invoked = world.send(&proxy, &invoke);
    let forged = send(&proxy, Some("Bearer a.b.c"), message.to_string().as_bytes());

    assert_eq!(
        (heard.status, forged.status),
        (200, 401),
        "{}",
        heard.text()
    );
    let posts = world.teams.posts();
    assert_eq!(posts.len(), 2);
    assert_eq!(posts[1].text(), "heard: <at>Proxy</at> acknowledge-canary");
    assert_eq!((&posts[1].channel, &posts[1].root), (&channel, &root.id));
    assert_eq!(invoked.status, 200);
    assert_eq!(
        invoked.json(),
        json!({"statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": "adaptiveCard/action 1"})
    );
}
