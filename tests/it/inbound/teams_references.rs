//! Contract section 6 for Teams: the conversation reference is remembered, and posts go where it says (reference/teams.md 5.2, 5.3).

use serde_json::{Value, json};

use super::teams::{CHANNEL, World, send, with};
use crate::store::eventually;
use crate::support::{Faults, Folder, Proxy, Request, log_message};

/// Posts to a target; whatever becomes of it, what the region's connector and the configured one then saw of posts.
fn posts(world: &World, proxy: &Proxy, target: &str) -> (Vec<Request>, usize) {
    let (region, home) = (world.region.requests().len(), posts_at_home(world));
    proxy.post_message(&format!("teams:{target}"), "a message", &[]);
    let new = world.region.requests().split_off(region);
    (new, posts_at_home(world) - home)
}

fn posts_at_home(world: &World) -> usize {
    let requests = world.teams.requests();
    requests
        .iter()
        .filter(|r| r.path().starts_with("/teams/v3/"))
        .count()
}

/// The bot is asked to look at this, and it is let in.
#[track_caller]
fn told(world: &World, proxy: &Proxy, changes: Value) {
    let answer = world.send(proxy, &with(world.message(), &changes));
    assert_eq!(answer.status, 200, "{changes}");
}

fn bot(world: &World) -> Value {
    json!([{"id": format!("28:{}", world.teams.app_id())}])
}

/// E2: only after a verified activity did the region's connector get the bot's token.
#[test]
fn any_activity_teaches_where_a_conversation_is_posted_to() {
    for changes in [
        json!({}),
        json!({"type": "installationUpdate", "action": "add"}),
        json!({"type": "conversationUpdate", "id": null}),
        json!({"type": "messageReaction"}),
    ] {
        let world = World::new();
        let proxy = world.setup().start();
        assert_eq!(posts(&world, &proxy, CHANNEL).1, 1);
        assert_eq!(world.region.connections(), 0);

        told(&world, &proxy, changes.clone());
        let (seen, home) = posts(&world, &proxy, CHANNEL);
        let (threaded, _) = posts(
            &world,
            &proxy,
            &format!("{CHANNEL};messageid=1776390257332"),
        );

        assert_eq!((seen.len(), home), (1, 0), "{changes}");
        assert_eq!(seen[0].target, "/emea/v3/conversations");
        assert_eq!(seen[0].json()["tenantId"], world.teams.tenant());
        assert_eq!(
            seen[0]
                .header("authorization")
                .unwrap()
                .strip_prefix("Bearer "),
            world.teams.bearer().as_deref()
        );
        assert_eq!(
            threaded[0].target,
            "/emea/v3/conversations/19%3AopsAlerts01%40thread.tacv2%3Bmessageid%3D1776390257332/activities"
        );
    }
}

/// A bot of several tenants has no tenant of its own to name.
#[test]
fn a_post_names_the_tenant_of_its_conversation() {
    let world = World::new();
    let proxy = world
        .setup()
        .set("TEAMS_TENANT_ID", "botframework.com")
        .start();
    told(&world, &proxy, json!({}));

    let shown = proxy.post_message(&format!("teams:{CHANNEL}"), "hello", &[("dry", "1")]);

    assert!(
        shown.text().contains(&world.teams.tenant()),
        "{}",
        shown.text()
    );
}

#[test]
fn what_is_newest_wins() {
    let world = World::new();
    let proxy = world.setup().start();
    told(&world, &proxy, json!({}));

    let moved = with(
        world.message(),
        &json!({"id": "2", "serviceUrl": format!("{}/amer", world.region.url())}),
    );
    assert_eq!(world.send(&proxy, &moved).status, 200);
    let (seen, _) = posts(&world, &proxy, CHANNEL);

    assert_eq!(seen[0].target, "/amer/v3/conversations");
}

#[test]
fn the_bots_removal_forgets_the_conversation() {
    let world = World::new();
    let proxy = world.setup().start();
    let bot = bot(&world);
    for (number, changes) in [
        json!({"type": "conversationUpdate", "membersRemoved": bot}),
        json!({"type": "installationUpdate", "action": "REMOVE"}),
        // From the whole team, told in its General channel.
        json!({"type": "conversationUpdate", "membersRemoved": bot,
            "conversation": {"id": "19:opsTeam01@thread.tacv2"}}),
    ]
    .into_iter()
    .enumerate()
    {
        told(&world, &proxy, json!({"id": format!("{number}")}));
        assert_eq!(posts(&world, &proxy, CHANNEL).1, 0, "{changes}");
        told(
            &world,
            &proxy,
            with(changes.clone(), &json!({"id": format!("gone-{number}")})),
        );
        assert_eq!(posts(&world, &proxy, CHANNEL).1, 1, "{changes}");
    }
}

/// That somebody else left, or that a stranger says the bot did, is no removal.
#[test]
fn nobody_else_can_make_it_forget() {
    let world = World::new();
    let proxy = world.setup().start();
    told(&world, &proxy, json!({}));
    let gone = json!({"type": "conversationUpdate", "id": "9", "membersRemoved": bot(&world)});
    let forged = with(world.message(), &gone).to_string();

    told(
        &world,
        &proxy,
        json!({"type": "conversationUpdate", "id": "8", "membersRemoved": [{"id": "29:1abc"}]}),
    );
    assert_eq!(send(&proxy, None, forged.as_bytes()).status, 401);

    assert_eq!(posts(&world, &proxy, CHANNEL).1, 0);
}

#[test]
fn what_was_learned_and_forgotten_outlives_the_process() {
    let world = World::new();
    let folder = Folder::new();
    let start = || world.setup().outbox(&folder).start();
    let elsewhere = json!({"id": "2", "conversation": {"id": "19:elsewhere@thread.tacv2"}});
    let proxy = start();
    told(&world, &proxy, json!({}));
    told(&world, &proxy, elsewhere);
    proxy.kill();

    let proxy = start();
    assert_eq!(posts(&world, &proxy, CHANNEL).1, 0);
    told(
        &world,
        &proxy,
        json!({"type": "installationUpdate", "action": "remove", "id": "3", "channelData": null}),
    );
    proxy.kill();

    let proxy = start();
    assert_eq!(posts(&world, &proxy, CHANNEL).1, 1);
    assert_eq!(posts(&world, &proxy, "19:elsewhere@thread.tacv2").1, 0);
}

/// E2: a host that was trusted once gets the token only as long as it is.
#[test]
fn a_host_that_is_not_trusted_any_more_gets_nothing() {
    let world = World::new();
    let folder = Folder::new();
    let proxy = world.setup().outbox(&folder).start();
    told(&world, &proxy, json!({}));
    proxy.kill();

    let setup = world.setup().outbox(&folder);
    let proxy = setup.unset("TEAMS_TRUSTED_SERVICE_HOSTS").start();

    assert_eq!(posts(&world, &proxy, CHANNEL).1, 1);
    assert_eq!(world.region.connections(), 0);
}

/// Conversations are told until the disk has no room for them; how many, and the last, which is not written down.
#[track_caller]
fn fill(world: &World, proxy: &Proxy) -> (usize, Value) {
    let is_full = |event: &Value| log_message(event).contains("is not written down");
    let (mut sent, mut last) = (0, Value::Null);
    while !proxy.logs().iter().any(is_full) {
        sent += 1;
        assert!(
            sent < 4000,
            "this many conversations went to a disk without room"
        );
        let team = format!("19:{}@thread.tacv2", "t".repeat(480));
        last = json!({"id": sent.to_string(), "conversation": {"id": format!("19:{sent}@thread.tacv2")},
            "channelData": {"team": {"id": team}}});
        told(world, proxy, last.clone());
    }
    (sent, last)
}

/// S-1: what cannot be written down costs the activity nothing, and is known until the next start.
#[test]
fn a_full_disk_costs_an_activity_nothing() {
    let world = World::new();
    let faults = Faults::none();
    let proxy = faults.setup(world.setup()).start();
    faults.disk_full();

    let (sent, last) = fill(&world, &proxy);

    assert_eq!(world.internal.requests().len(), sent);
    let id = last["conversation"]["id"].as_str().unwrap();
    assert_eq!(posts(&world, &proxy, id).1, 0);
}

/// S-1: what a full disk did not take is written when its conversation is heard of again.
#[test]
fn what_was_not_written_down_is_written_with_the_next_activity() {
    let world = World::new();
    let faults = Faults::none();
    let proxy = faults.setup(world.setup()).start();
    faults.disk_full();
    let (_, last) = fill(&world, &proxy);

    faults.clear();
    eventually("ready again", || proxy.get("/ready").status == 200);
    told(&world, &proxy, with(last.clone(), &json!({"id": "again"})));
    proxy.kill();
    let proxy = faults.setup(world.setup()).start();

    let id = last["conversation"]["id"].as_str().unwrap();
    assert_eq!(posts(&world, &proxy, id).1, 0);
}
