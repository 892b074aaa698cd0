//! A fake Teams: token endpoint, Bot Connector and Workflows webhook, as strict and as odd as `teams.md` says.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::queue::Queue;
use super::{DEADLINE, Environment, Gate, Ledger, Reply, Upstream, teams_connector, unique};

/// A message as the service keeps it. Edits change it in place.
#[derive(Clone, Debug, PartialEq)]
pub struct Post {
    /// The decimal message id.
    pub id: String,
    /// The bare channel id.
    pub channel: String,
    /// The thread's root message; its own id for a top-level post.
    pub root: String,
    pub activity: Value,
    pub edits: u32,
    pub deleted: bool,
}

impl Post {
    pub fn text(&self) -> &str {
        self.activity["text"].as_str().unwrap_or_default()
    }

    /// `<channel>;messageid=<root>`.
    pub fn thread(&self) -> String {
        format!("{};messageid={}", self.channel, self.root)
    }
}

/// What a Workflows flow got after its 202.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRun {
    pub body: Value,
    /// `None`: posted. Otherwise why the flow failed inside, which no caller ever sees.
    pub lost: Option<String>,
}

pub(super) struct State {
    pub app_id: String,
    pub password: String,
    pub tenant: String,
    pub team: String,
    /// Ids with names; the first is General, which is the team and has no name.
    pub channels: Vec<(String, String)>,
    pub not_installed: String,
    pub workflow: String,
    pub bearer: Option<String>,
    pub token_fetches: usize,
    pub expires_in_s: u64,
    pub limited: (usize, u64),
    pub last_id: u64,
    pub max_bytes: usize,
}

pub(super) struct Server {
    pub state: Mutex<State>,
    pub posts: Ledger<Post>,
    pub flows: Ledger<FlowRun>,
    pub next: Queue,
    pub next_token: Queue,
    pub next_other: Queue,
}

impl Server {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The fake. Also an `Upstream`: `requests()`, `wait_for(n)`, `down()`, `up()`.
///
/// Channels of its one team: `General`, `alerts`, `builds`; the app is not installed in the channel `elsewhere`.
pub struct Teams {
    upstream: Upstream,
    server: Arc<Server>,
}

impl Teams {
    pub fn start() -> Self {
        let channel = || unique("19:", 22) + "@thread.tacv2";
        let team = channel();
        let named = |name: &str| (channel(), name.to_owned());
        let state = State {
            app_id: guid(),
            password: unique("pw~", 37),
            tenant: guid(),
            channels: vec![
                (team.clone(), "General".to_owned()),
                named("alerts"),
                named("builds"),
            ],
            team,
            not_installed: channel(),
            // Every part is opaque; `%2F` must survive.
            workflow: format!(
                "/workflows/{}/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={}",
                unique("", 32),
                unique("", 43)
            ),
            bearer: None,
            token_fetches: 0,
            expires_in_s: 3599,
            limited: (0, 0),
            last_id: 1_776_390_257_332,
            max_bytes: 100 * 1024,
        };
        let server = Arc::new(Server {
            state: Mutex::new(state),
            posts: Ledger::default(),
            flows: Ledger::default(),
            next: Queue::default(),
            next_token: Queue::default(),
            next_other: Queue::default(),
        });
        let shared = server.clone();
        let upstream = Upstream::start(move |request| teams_connector::answer(&shared, request));
        Self { upstream, server }
    }

    pub fn app_id(&self) -> String {
        self.server.state().app_id.clone()
    }

    pub fn password(&self) -> String {
        self.server.state().password.clone()
    }

    /// Makes the old secret invalid and returns a new one; tokens already given stay good.
    pub fn replace_password(&self) -> String {
        let mut state = self.server.state();
        state.password = unique("pw~", 37);
        state.password.clone()
    }

    pub fn tenant(&self) -> String {
        self.server.state().tenant.clone()
    }

    pub fn team(&self) -> String {
        self.server.state().team.clone()
    }

    /// What `TEAMS_SERVICE_URL` is set to: with a base path and a slash at its end, as the real ones.
    pub fn service_url(&self) -> String {
        format!("{}/teams/", self.url())
    }

    /// The URL of the Workflows webhook; write `teams+` before it in `CHANNELS`.
    pub fn workflow_url(&self) -> String {
        format!("{}{}", self.url(), self.server.state().workflow)
    }

    /// The id of a channel by its name; `elsewhere` is one where the app is not installed.
    #[track_caller]
    pub fn channel(&self, name: &str) -> String {
        let state = self.server.state();
        if name == "elsewhere" {
            return state.not_installed.clone();
        }
        state
            .channels
            .iter()
            .find(|(_, known)| known == name)
            .expect("no such channel")
            .0
            .clone()
    }

    /// Everything accepted by the connector, in order.
    pub fn posts(&self) -> Vec<Post> {
        self.server.posts.all()
    }

    /// Waits until `n` posts were accepted and returns all of them.
    #[track_caller]
    pub fn wait_for_posts(&self, n: usize) -> Vec<Post> {
        let posts = self.server.posts.wait_for(n, DEADLINE);
        assert!(
            posts.len() >= n,
            "waited for {n} posts, saw {}",
            posts.len()
        );
        posts
    }

    /// What came through the Workflows webhook and was answered 202.
    pub fn flow_runs(&self) -> Vec<FlowRun> {
        self.server.flows.all()
    }

    /// How often a token was asked for.
    pub fn token_fetches(&self) -> usize {
        self.server.state().token_fetches
    }

    /// The current token, once one was fetched.
    pub fn bearer(&self) -> Option<String> {
        self.server.state().bearer.clone()
    }

    /// The connector answers 401 to every token given so far.
    pub fn expire_tokens(&self) {
        self.server.state().bearer = None;
    }

    /// `expires_in` of tokens from now on; 3599 s at first.
    pub fn token_lifetime_s(&self, seconds: u64) {
        self.server.state().expires_in_s = seconds;
    }

    /// Changes the size over which the connector answers 413: bytes of UTF-16, 100 KiB at first (older pages say 40 KiB).
    pub fn max_bytes(&self, bytes: usize) {
        self.server.state().max_bytes = bytes;
    }

    /// The next request that would make or edit a post, or run the flow, gets this instead and has no effect.
    pub fn next(&self, reply: Reply) {
        self.server.next.instead(reply);
    }

    /// The next post is accepted, but its answer is this.
    pub fn accept_then(&self, reply: Reply) {
        self.server.next.after(reply);
    }

    /// The next post is accepted, and answered when `gate` opens.
    pub fn hold_next(&self, gate: &Gate) {
        self.server.next.held(gate);
    }

    /// The next token request gets this.
    pub fn next_token(&self, reply: Reply) {
        self.server.next_token.instead(reply);
    }

    /// The next token request is answered when `gate` opens.
    pub fn hold_token(&self, gate: &Gate) {
        self.server.next_token.held(gate);
    }

    /// The next connector request that reads (`v3/teams/…`) gets this.
    pub fn next_other(&self, reply: Reply) {
        self.server.next_other.instead(reply);
    }

    /// The next `n` posting requests get 429 `Throttled`.
    pub fn rate_limited(&self, n: usize, retry_after_s: u64) {
        self.server.state().limited = (n, retry_after_s);
    }

    /// An error of the connector (section 2.7).
    pub fn error(status: u16, code: &str) -> Reply {
        let message = format!("{code}: said for people");
        let inner = json!({"statusCode": 0, "body": {}});
        Reply::json(
            status,
            json!({"error": {"code": code, "message": message, "innerHttpError": inner}}),
        )
    }

    /// The second shape of 2.7: JSON inside a string.
    pub fn nested_error(status: u16, sub_code: &str) -> Reply {
        let message = json!({"subCode": sub_code, "details": null, "errorCode": null}).to_string();
        Reply::json(status, json!({"errorCode": 209, "message": message}))
    }
}

impl Environment for Teams {
    fn env(&self) -> Vec<(String, String)> {
        [
            ("TEAMS_APP_ID", self.app_id()),
            ("TEAMS_APP_PASSWORD", self.password()),
            ("TEAMS_TENANT_ID", self.tenant()),
            ("TEAMS_SERVICE_URL", self.service_url()),
            ("TEAMS_LOGIN_URL", self.url()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

impl Deref for Teams {
    type Target = Upstream;

    fn deref(&self) -> &Upstream {
        &self.upstream
    }
}

fn guid() -> String {
    let mut digits: Vec<char> = unique("", 32)
        .bytes()
        .map(|byte| char::from_digit(u32::from(byte) % 16, 16).unwrap())
        .collect();
    // A letter, so that it is another one in upper case.
    digits[0] = 'a';
    let groups = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ];
    groups
        .map(|group| group.iter().collect::<String>())
        .join("-")
}
