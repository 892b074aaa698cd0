//! Contract section 6 for Teams: what is let in, what is not (reference/teams.md 4.3), and what becomes of an answer.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::bot_framework::{Signing, TestKey, encode, token, unix_s};
use crate::support::proxy::Setup;
use crate::support::{BotFramework, Proxy, Reply, Response, Teams, Upstream};

pub const PATH: &str = "/no-auth/provider-action/msteams";
pub const CHANNEL: &str = "19:opsAlerts01@thread.tacv2";

/// The bot's platform, the proxy's internal API, and a connector of another region.
pub struct World {
    pub teams: Teams,
    pub framework: BotFramework,
    pub internal: Upstream,
    pub region: Upstream,
}

impl World {
    pub fn new() -> Self {
        Self::answering(|_| Reply::status(200))
    }

    pub fn answering(
        answer: impl Fn(&crate::support::Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self {
            teams: Teams::start(),
            framework: BotFramework::start(),
            internal: Upstream::start(answer),
            region: Upstream::start(|_| {
                Reply::json(
                    201,
                    json!({"id": "19:x@thread.tacv2;messageid=1", "activityId": "1"}),
                )
            }),
        }
    }

    pub fn setup(&self) -> Setup {
        Proxy::setup()
            .with(&self.teams)
            .with(&self.framework)
            .without_limits()
            .set("RELAY_URL", self.internal.url())
    }

    /// Where this activity says that answers go.
    pub fn service_url(&self) -> String {
        format!("{}/emea/", self.region.url())
    }

    /// A message in a thread of a channel.
    pub fn message(&self) -> Value {
        let (tenant, bot) = (self.teams.tenant(), format!("28:{}", self.teams.app_id()));
        json!({"type": "message", "id": "1776390300123", "timestamp": "2026-04-17T01:45:00.123Z",
            "channelId": "msteams", "serviceUrl": self.service_url(),
            "from": {"id": "29:1abc", "name": "Dana"}, "recipient": {"id": bot, "name": "Proxy"},
            "conversation": {"isGroup": true, "conversationType": "channel", "tenantId": tenant,
                "id": format!("{CHANNEL};messageid=1776390257332")},
            "text": "<at>Proxy</at> acknowledge-canary",
            "entities": [{"type": "mention", "text": "<at>Proxy</at>", "mentioned": {"id": bot, "name": "Proxy"}}],
            "channelData": {"tenant": {"id": tenant}, "team": {"id": "19:opsTeam01@thread.tacv2"}}})
    }

    /// Sends an activity with a good token.
    #[track_caller]
    pub fn send(&self, proxy: &Proxy, activity: &Value) -> Response {
        let authorization = self.framework.authorization(&self.teams, activity);
        send(proxy, Some(&authorization), activity.to_string().as_bytes())
    }
}

#[track_caller]
pub fn send(proxy: &Proxy, authorization: Option<&str>, body: &[u8]) -> Response {
    let mut headers = vec![("Content-Type", "application/json; charset=utf-8")];
    headers.extend(authorization.map(|value| ("Authorization", value)));
    proxy.send("POST", PATH, &headers, body)
}

/// The activity with other members; null takes one out.
pub fn with(mut value: Value, changes: &Value) -> Value {
    for (name, new) in changes.as_object().unwrap() {
        match new {
            Value::Null => drop(value.as_object_mut().unwrap().remove(name)),
            new => value[name] = new.clone(),
        }
    }
    value
}

/// A request in the making; as it is, it is good.
#[derive(Clone)]
struct Draft {
    header: Value,
    claims: Value,
    signing: Signing,
    activity: Value,
    /// Makes the header's value of the token.
    spelled: fn(String) -> Option<String>,
}

impl Draft {
    fn new(world: &World) -> Self {
        Self {
            header: json!({"typ": "JWT", "alg": "RS256", "kid": "first"}),
            claims: world.framework.claims(&world.teams, &world.service_url()),
            signing: Signing::Rs256(TestKey::First),
            activity: world.message(),
            spelled: |token| Some(format!("Bearer {token}")),
        }
    }

    fn header(mut self, changes: Value) -> Self {
        self.header = with(self.header, &changes);
        self
    }

    fn claims(mut self, changes: Value) -> Self {
        self.claims = with(self.claims, &changes);
        self
    }

    fn activity(mut self, changes: Value) -> Self {
        self.activity = with(self.activity, &changes);
        self
    }

    /// The service of the claim and of the activity alike.
    fn service(self, url: &str) -> Self {
        self.claims(json!({"serviceurl": url}))
            .activity(json!({"serviceUrl": url}))
    }

    fn signed(mut self, alg: &str, signing: Signing) -> Self {
        self.signing = signing;
        self.header(json!({"alg": alg}))
    }

    fn spelled(mut self, spelled: fn(String) -> Option<String>) -> Self {
        self.spelled = spelled;
        self
    }

    #[track_caller]
    fn send(&self, proxy: &Proxy) -> Response {
        let token = token(&self.header, &self.claims, &self.signing);
        let authorization = (self.spelled)(token);
        send(
            proxy,
            authorization.as_deref(),
            self.activity.to_string().as_bytes(),
        )
    }
}

/// Every way that the reference names in which a request can be wrong, and some more.
fn forgeries(world: &World) -> Vec<(String, Draft)> {
    let good = || Draft::new(world);
    let other = "3b0f1c22-0000-4000-8000-00000000000f";
    let now = unix_s();
    let (modulus, _) = TestKey::First.public();
    let rs256 = |key| Signing::Rs256(key);
    let mut all = vec![
        ("no header", good().spelled(|_| None)),
        ("an empty header", good().spelled(|_| Some(String::new()))),
        (
            "basic",
            good().spelled(|token| Some(format!("Basic {token}"))),
        ),
        (
            "lower case",
            good().spelled(|token| Some(format!("bearer {token}"))),
        ),
        (
            "two spaces",
            good().spelled(|token| Some(format!("Bearer  {token}"))),
        ),
        ("no token", good().spelled(|_| Some("Bearer ".to_owned()))),
        (
            "a word after it",
            good().spelled(|token| Some(format!("Bearer {token} x"))),
        ),
        (
            "no JWT",
            good().spelled(|_| Some("Bearer opaque".to_owned())),
        ),
        (
            "two parts",
            good().spelled(|token| Some(format!("Bearer {}", token.rsplit_once('.').unwrap().0))),
        ),
        (
            "no signature",
            good().spelled(|token| Some(format!("Bearer {}.", token.rsplit_once('.').unwrap().0))),
        ),
        (
            "another payload",
            good().spelled(|token| {
                let parts: Vec<&str> = token.split('.').collect();
                let claims = encode(br#"{"iss":"https://issuer.test","aud":"x","exp":9999999999}"#);
                Some(format!("Bearer {}.{claims}.{}", parts[0], parts[2]))
            }),
        ),
        ("alg none", good().signed("none", Signing::Raw(Vec::new()))),
        (
            "alg none, a byte of signature",
            good().signed("none", Signing::Raw(vec![0])),
        ),
        (
            "HS256 with the public key",
            good().signed("HS256", Signing::Hs256(modulus.into_bytes())),
        ),
        (
            "RS384",
            good().signed("RS384", Signing::Rs384(TestKey::First)),
        ),
        (
            "RS512",
            good().signed("RS512", Signing::Rs512(TestKey::First)),
        ),
        (
            "PS256",
            good().signed("PS256", Signing::Ps256(TestKey::First)),
        ),
        ("ES256", good().signed("ES256", Signing::Raw(vec![1; 64]))),
        (
            "RS256 said, PS256 done",
            good().signed("RS256", Signing::Ps256(TestKey::First)),
        ),
        (
            "RS256 of zeros",
            good().signed("RS256", Signing::Raw(vec![0; 256])),
        ),
        (
            "a foreign key",
            good().signed("RS256", rs256(TestKey::Foreign)),
        ),
        ("a foreign key that is brought along", {
            let key = TestKey::Foreign.jwk("first", json!(["msteams"]));
            good()
                .signed("RS256", rs256(TestKey::Foreign))
                .header(json!({"jwk": key}))
        }),
        ("an unknown kid", good().header(json!({"kid": "unknown"}))),
        ("no kid", good().header(json!({"kid": null}))),
        ("an empty kid", good().header(json!({"kid": ""}))),
        (
            "the kid of an elliptic key",
            good().header(json!({"kid": "elliptic"})),
        ),
        ("crit", good().header(json!({"crit": ["exp"]}))),
        (
            "iss of others",
            good().claims(json!({"iss": "https://api.botframework.com"})),
        ),
        ("iss missing", good().claims(json!({"iss": null}))),
        (
            "iss with a slash",
            good().claims(json!({"iss": "https://issuer.test/"})),
        ),
        (
            "iss in a list",
            good().claims(json!({"iss": ["https://issuer.test"]})),
        ),
        ("aud of others", good().claims(json!({"aud": other}))),
        ("aud missing", good().claims(json!({"aud": null}))),
        (
            "aud in upper case",
            good().claims(json!({"aud": world.teams.app_id().to_uppercase()})),
        ),
        (
            "aud in a list",
            good().claims(json!({"aud": [world.teams.app_id()]})),
        ),
        ("exp over", good().claims(json!({"exp": now - 360}))),
        ("exp missing", good().claims(json!({"exp": null}))),
        (
            "exp as text",
            good().claims(json!({"exp": (now + 600).to_string()})),
        ),
        ("nbf to come", good().claims(json!({"nbf": now + 900}))),
        (
            "serviceurl missing",
            good().claims(json!({"serviceurl": null})),
        ),
        (
            "serviceurl of others",
            good().claims(json!({"serviceurl": "https://smba.trafficmanager.net/emea/"})),
        ),
        (
            "serviceurl misspelled",
            good().claims(json!({"serviceurl": null, "serviceUrl": world.service_url()})),
        ),
        (
            "a key for webchat alone",
            good()
                .signed("RS256", rs256(TestKey::Second))
                .header(json!({"kid": "webchat"})),
        ),
        (
            "a key without endorsements",
            good()
                .signed("RS256", rs256(TestKey::Second))
                .header(json!({"kid": "none"})),
        ),
        (
            "a key with an empty list",
            good()
                .signed("RS256", rs256(TestKey::Second))
                .header(json!({"kid": "empty"})),
        ),
        (
            "channel webchat",
            good().activity(json!({"channelId": "webchat"})),
        ),
        (
            "channel in upper case",
            good().activity(json!({"channelId": "MSTEAMS"})),
        ),
        (
            "another tenant",
            good().activity(json!({"channelData": {"tenant": {"id": other}}})),
        ),
        (
            "the emulator's token",
            good().claims(
                json!({"iss": "https://sts.windows.net/d6d49420-f39b-4df7-a1dc-d59a935871db/",
            "appid": world.teams.app_id(), "ver": "1.0"}),
            ),
        ),
    ]
    .into_iter()
    .map(|(name, draft)| (name.to_owned(), draft))
    .collect::<Vec<_>>();
    all.extend(
        untrusted(world)
            .into_iter()
            .map(|url| (url.clone(), good().service(&url))),
    );
    all
}

/// E2: services whose claim and body agree, and to which the bot's token must never go.
fn untrusted(world: &World) -> Vec<String> {
    let port = world.region.addr().port();
    let mut urls: Vec<String> = [
        "https://smba.trafficmanager.net.evil.test/emea/",
        "https://evil.smba.trafficmanager.net/emea/",
        "https://smba.trafficmanager.net@evil.test/",
        "https://smba.trafficmanager.net:8443/emea/",
        "http://smba.trafficmanager.net/emea/",
        "https://52.113.194.132/emea/",
        "https://smba。trafficmanager。net/",
        "https://smba.trafficmanager.net/emea/?x=",
        "https://smba.trafficmanager.net/emea/#",
        "file:///etc/passwd",
        "smba.trafficmanager.net",
    ]
    .map(str::to_owned)
    .to_vec();
    // Listed is 127.0.0.1, and nothing else of this machine.
    urls.extend([
        format!("http://localhost:{port}/emea/"),
        format!("http://[::1]:{port}/emea/"),
        format!("http://127.0.0.2:{port}/emea/"),
        format!("http://127.0.0.1:{port}@evil.test/"),
    ]);
    urls
}

/// F4, E2: each is 401 with the same words, and leaves no trace: nothing is relayed, no reference learned, nobody called.
#[test]
fn what_is_not_verified_is_401_and_leaves_no_trace() {
    let world = World::new();
    let second = |kid, endorsements| TestKey::Second.jwk(kid, endorsements);
    world.framework.publish(vec![
        TestKey::First.jwk("first", json!(["msteams"])),
        second("webchat", json!(["webchat"])),
        second("none", Value::Null),
        second("empty", json!([])),
        json!({"kty": "EC", "crv": "P-256", "kid": "elliptic", "x": "AQAB", "y": "AQAB", "endorsements": ["msteams"]}),
    ]);
    let proxy = world.setup().start();
    let forgeries = forgeries(&world);
    assert!(forgeries.len() >= 60);

    for (name, draft) in &forgeries {
        let answer = draft.send(&proxy);
        assert_eq!(answer.status, 401, "{name}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{name}");
        let said = with(answer.json(), &json!({"id": null}));
        assert_eq!(
            said,
            json!({"type": "/problems#unauthorized", "title": "The credentials are missing or not good",
                "status": 401, "detail": "the request is not verified", "code": "unauthorized"}),
            "{name}"
        );
    }
    let posted = proxy.post_message(&format!("teams:{CHANNEL}"), "hello", &[]);

    assert_eq!(
        posted.verdict().0,
        404,
        "the fake does not know this channel"
    );
    assert_eq!(world.internal.connections(), 0);
    assert_eq!(world.region.connections(), 0);
    // One token and one post, and both are of the post above.
    assert_eq!(
        (world.teams.token_fetches(), world.teams.requests().len()),
        (1, 2)
    );
    // The table was fair: the same request without a fault is let in.
    assert_eq!(Draft::new(&world).send(&proxy).status, 200);
    assert_eq!(world.internal.requests().len(), 1);
}

/// F4: two headers are no header.
#[test]
fn a_token_that_is_given_twice_is_none() {
    let world = World::new();
    let proxy = world.setup().start();
    let activity = world.message();
    let authorization = world.framework.authorization(&world.teams, &activity);

    let headers = [("Authorization", authorization.as_str()); 2];
    let answer = proxy.send("POST", PATH, &headers, activity.to_string());

    assert_eq!(answer.status, 401);
    assert_eq!(world.internal.connections(), 0);
}

/// Behind a good token, what is no activity is 400; what is too large or no POST never gets so far.
#[test]
fn what_is_no_activity_is_refused() {
    let world = World::new();
    let proxy = world.setup().start();
    let activity = world.message();
    let authorization = world.framework.authorization(&world.teams, &activity);
    let changed = |changes: Value| with(world.message(), &changes).to_string();

    for body in [
        String::new(),
        "hello".to_owned(),
        "[]".to_owned(),
        changed(json!({"type": null})),
        changed(json!({"channelId": null})),
        changed(json!({"channelId": ""})),
        changed(json!({"serviceUrl": null})),
        changed(json!({"serviceUrl": ""})),
        changed(json!({"conversation": {"id": 7}})),
        "[".repeat(200_000),
    ] {
        let answer = send(&proxy, Some(&authorization), body.as_bytes());
        assert_eq!(answer.verdict(), (400, "bad-body".to_owned()), "{body:.80}");
        // What is wrong with a body is told to nobody who has not shown a token.
        assert_eq!(send(&proxy, None, body.as_bytes()).status, 401);
    }
    let large = changed(json!({"text": "x".repeat(256 * 1024)}));
    assert_eq!(
        send(&proxy, Some(&authorization), large.as_bytes()).status,
        413
    );
    let read = proxy.get(PATH);
    assert_eq!(
        (read.status, read.header("allow")),
        (405, Some("POST, OPTIONS"))
    );
    assert!(read.text().contains("reachable"), "{}", read.text());
    assert_eq!(world.internal.connections(), 0);
}

#[test]
fn a_verified_activity_is_relayed_as_it_came() {
    let world = World::new();
    let proxy = world.setup().start();
    let activity = world.message();
    let authorization = world.framework.authorization(&world.teams, &activity);
    let body = serde_json::to_vec_pretty(&activity).unwrap();

    let answer = send(&proxy, Some(&authorization), &body);

    assert_eq!((answer.status, answer.text()), (200, String::new()));
    let relayed = &world.internal.requests()[0];
    assert_eq!(
        (relayed.method.as_str(), relayed.target.as_str()),
        ("POST", PATH)
    );
    assert_eq!(relayed.body, body);
    // The internal API can verify it again.
    assert_eq!(
        relayed.header("authorization"),
        Some(authorization.as_str())
    );
    proxy.add_message("acknowledge-canary");
    proxy.add_canary(&authorization);
}

/// An invoke waits for its answer: status, headers and body are the internal API's.
#[test]
fn the_answer_to_an_invoke_comes_back() {
    let world = World::answering(|_| {
        Reply::json(412, json!({"statusCode": 412, "value": "sign in"})).header("X-Own", "kept")
    });
    let proxy = world.setup().start();
    let invoke = with(
        world.message(),
        &json!({"type": "invoke", "name": "adaptiveCard/action", "value": {"a": 1}}),
    );

    let answer = world.send(&proxy, &invoke);

    assert_eq!((answer.status, answer.header("x-own")), (412, Some("kept")));
    assert_eq!(answer.json()["value"], "sign in");
}

#[test]
fn without_an_internal_api_a_verified_activity_is_received() {
    let world = World::new();
    let proxy = world.setup().unset("RELAY_URL").start();

    let answer = world.send(&proxy, &world.message());

    assert_eq!((answer.status, answer.text()), (200, String::new()));
    assert_eq!(world.internal.connections(), 0);
}

#[test]
fn without_a_bot_nothing_is_let_in() {
    let world = World::new();
    let proxy = Proxy::setup()
        .set("RELAY_URL", world.internal.url())
        .start();

    assert_eq!(world.send(&proxy, &world.message()).status, 401);
    assert_eq!(
        (world.internal.connections(), world.framework.connections()),
        (0, 0)
    );
}

/// Teams asks again with the same id and time after 15 s; that is one activity.
#[test]
fn a_repeat_is_relayed_once() {
    let world = World::new();
    let proxy = world.setup().start();
    let changed = |changes: Value| with(world.message(), &changes);
    let typing = changed(json!({"type": "typing", "id": null}));

    for _ in 0..3 {
        assert_eq!(world.send(&proxy, &world.message()).status, 200);
    }
    assert_eq!(world.internal.requests().len(), 1);
    for other in [
        changed(json!({"id": "1776390300124"})),
        changed(json!({"type": "messageUpdate"})),
        changed(json!({"timestamp": "2026-04-17T01:45:09Z"})),
        // Without an id it cannot be told from another.
        typing.clone(),
        typing,
    ] {
        assert_eq!(world.send(&proxy, &other).status, 200);
    }
    assert_eq!(world.internal.requests().len(), 6);
}

/// What never reached the internal API may be sent again.
#[test]
fn a_repeat_of_what_came_to_nothing_is_relayed() {
    let world = World::new();
    let proxy = world.setup().start();
    world.internal.down();

    let failed = world.send(&proxy, &world.message());
    world.internal.up();
    let repeated = world.send(&proxy, &world.message());

    assert_eq!(failed.verdict(), (502, "relay-failed".to_owned()));
    assert_eq!(repeated.status, 200);
    assert_eq!(world.internal.requests().len(), 1);
}

/// The platform waits 15 s; the internal API has 5 of them.
#[test]
fn an_internal_api_that_does_not_answer_is_504_and_asked_again() {
    let world = World::answering(|_| Reply::stall());
    let proxy = world.setup().start();

    for _ in 0..2 {
        let answer = world.send(&proxy, &world.message());
        assert_eq!(answer.verdict(), (504, "relay-timeout".to_owned()));
    }

    assert_eq!(world.internal.requests().len(), 2);
}

/// F6: a bot that answers itself would never stop.
#[test]
fn the_bots_own_messages_are_dropped() {
    let world = World::new();
    let proxy = world.setup().start();
    let bot = format!("28:{}", world.teams.app_id());

    for changes in [
        json!({"from": {"id": bot}}),
        json!({"from": {"id": bot}, "recipient": {"id": "29:1abc"}}),
        json!({"from": {"id": "28:x"}, "recipient": {"id": "28:x"}}),
    ] {
        let own = with(world.message(), &changes);
        assert_eq!(world.send(&proxy, &own).status, 200, "{changes}");
    }

    assert_eq!(world.internal.connections(), 0);
}

/// F6: unknown types, members and a text full of control sequences are the internal API's to judge, byte for byte.
#[test]
fn what_a_verified_sender_says_is_not_judged() {
    let world = Arc::new(World::new());
    let proxy = world.setup().start();
    let strange = with(
        world.message(),
        &json!({"type": "tomorrowsType", "text": "<at>everyone</at> \u{202e}@channel <!here>", "new": [1, {"a": null}],
            "entities": 7, "from": "nobody", "membersRemoved": {"id": 1}}),
    );

    assert_eq!(world.send(&proxy, &strange).status, 200);

    assert_eq!(
        world.internal.requests()[0].body,
        strange.to_string().as_bytes()
    );
}
