//! A fake Mattermost server, as strict and as odd as `mattermost.md` says (5.37 where versions differ).

use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::queue::Queue;
use super::{DEADLINE, Environment, Gate, Ledger, Reply, Upstream, mattermost_api, unique};

/// The team that every channel is in.
pub const TEAM: &str = "acme";
/// Longest message, in characters (section 4).
pub const MAX_POST_CHARS: usize = 16_383;
/// Longest `props`, in characters of Go-escaped JSON (section 4).
pub const MAX_PROPS_CHARS: usize = 8_000;

/// How the bot stands to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Member,
    PublicNotMember,
    PrivateNotMember,
    /// Archived while the bot is still a member.
    Archived,
}

#[derive(Clone, Debug)]
pub struct Channel {
    pub id: String,
    pub name: String,
    pub access: Access,
}

/// A post as the server keeps it. Edits change it in place.
#[derive(Clone, Debug, PartialEq)]
pub struct Post {
    pub id: String,
    pub channel_id: String,
    pub root_id: String,
    pub message: String,
    pub props: Value,
    pub pending_post_id: String,
    pub create_at: u64,
    pub edits: u32,
    pub deleted: bool,
    /// Came through `/hooks/…`.
    pub via_hook: bool,
}

/// What changes while the server runs.
pub(super) struct State {
    pub token: String,
    pub hook: String,
    pub hook_channel: String,
    pub team_id: String,
    pub bot_id: String,
    pub channels: Vec<Channel>,
    pub pending: HashMap<String, String>,
    pub database_down: bool,
    /// Section 8 answers by what the server still remembers.
    pub token_cached: bool,
    pub memberships_cached: HashSet<String>,
    pub limited: (usize, u64),
    /// Section 7: `X-Ratelimit-Remaining` and `-Reset` of every answer.
    pub limits: Option<(u64, u64)>,
    pub max_post_chars: usize,
    pub clock_ms: u64,
}

/// State, record and overrides, shared with the server's threads.
pub(super) struct Server {
    pub state: Mutex<State>,
    pub posts: Ledger<Post>,
    pub next: Queue,
    pub next_other: Queue,
}

impl Server {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The fake. Also an `Upstream`: `requests()`, `wait_for(n)`, `down()`, `up()`.
///
/// Channels in team `acme`: `builds` and `deploys` (member), `open` (public, not member), `secret` (private, not member),
/// `old` (archived). The incoming webhook posts to `builds`.
pub struct Mattermost {
    upstream: Upstream,
    server: Arc<Server>,
}

impl Mattermost {
    pub fn start() -> Self {
        let channel = |name: &str, access| Channel {
            id: unique("", 26),
            name: name.to_owned(),
            access,
        };
        let channels = vec![
            channel("builds", Access::Member),
            channel("deploys", Access::Member),
            channel("open", Access::PublicNotMember),
            channel("secret", Access::PrivateNotMember),
            channel("old", Access::Archived),
        ];
        let state = State {
            token: unique("", 26),
            hook: unique("", 26),
            hook_channel: "builds".to_owned(),
            team_id: unique("", 26),
            bot_id: unique("", 26),
            channels,
            pending: HashMap::new(),
            database_down: false,
            token_cached: false,
            memberships_cached: HashSet::new(),
            limited: (0, 0),
            limits: None,
            max_post_chars: MAX_POST_CHARS,
            clock_ms: 1_795_242_173_558,
        };
        let server = Arc::new(Server {
            state: Mutex::new(state),
            posts: Ledger::default(),
            next: Queue::default(),
            next_other: Queue::default(),
        });
        let shared = server.clone();
        let upstream = Upstream::start(move |request| mattermost_api::answer(&shared, request));
        Self { upstream, server }
    }

    /// The bot's user id.
    pub fn bot_id(&self) -> String {
        self.server.state().bot_id.clone()
    }

    /// The bot's access token.
    pub fn token(&self) -> String {
        self.server.state().token.clone()
    }

    /// Makes the old token invalid and returns a new one.
    pub fn replace_token(&self) -> String {
        let mut state = self.server.state();
        state.token = unique("", 26);
        state.token_cached = false;
        state.token.clone()
    }

    /// The id of a channel by its name.
    #[track_caller]
    pub fn channel(&self, name: &str) -> String {
        let state = self.server.state();
        state
            .channels
            .iter()
            .find(|channel| channel.name == name)
            .expect("no such channel")
            .id
            .clone()
    }

    /// Changes how the bot stands to a channel, or makes a new one; returns its id.
    pub fn set_channel(&self, name: &str, access: Access) -> String {
        let mut state = self.server.state();
        state.memberships_cached.clear();
        if let Some(channel) = state
            .channels
            .iter_mut()
            .find(|channel| channel.name == name)
        {
            channel.access = access;
            return channel.id.clone();
        }
        let channel = Channel {
            id: unique("", 26),
            name: name.to_owned(),
            access,
        };
        state.channels.push(channel.clone());
        channel.id
    }

    /// The URL of the incoming webhook; write `mattermost+` before it in `CHANNELS`.
    pub fn hook_url(&self) -> String {
        format!("{}/hooks/{}", self.url(), self.server.state().hook)
    }

    /// Everything accepted, in order.
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

    /// The next request that would make or edit a post gets this instead, and has no effect.
    pub fn next(&self, reply: Reply) {
        self.server.next.instead(reply);
    }

    /// The next post is accepted, but its answer is this.
    pub fn accept_then(&self, reply: Reply) {
        self.server.next.after(reply);
    }

    /// The next post is accepted, and answered when `gate` opens (section 15: slow link previews).
    pub fn hold_next(&self, gate: &Gate) {
        self.server.next.held(gate);
    }

    /// The next request of any other kind (look-up, ping, `users/me`) gets this.
    pub fn next_other(&self, reply: Reply) {
        self.server.next_other.instead(reply);
    }

    /// Section 8: the server lives, its database does not. Answers depend on what was used before.
    pub fn database_down(&self, down: bool) {
        self.server.state().database_down = down;
    }

    /// What a restart forgets: cached tokens and memberships, and `pending_post_id`s.
    pub fn forget(&self) {
        let mut state = self.server.state();
        state.token_cached = false;
        state.memberships_cached.clear();
        state.pending.clear();
    }

    /// Ends the 30 s in which a `pending_post_id` is remembered.
    pub fn forget_pending(&self) {
        self.server.state().pending.clear();
    }

    /// The next `n` requests of any kind get 429.
    pub fn rate_limited(&self, n: usize, retry_after_s: u64) {
        self.server.state().limited = (n, retry_after_s);
    }

    /// Every answer from now on says how many requests are left and after how many seconds all of them are.
    pub fn says_of_its_limit(&self, remaining: u64, reset_s: u64) {
        self.server.state().limits = Some((remaining, reset_s));
    }

    /// The longest message that it takes: an old database takes 4000 characters.
    pub fn takes_at_most(&self, chars: usize) {
        self.server.state().max_post_chars = chars;
    }

    /// An error as the server words it.
    pub fn error(status: u16, id: &str) -> Reply {
        let request_id = unique("", 26);
        let body = json!({"id": id, "message": "Said for people, and translated.", "detailed_error": "",
            "request_id": request_id, "status_code": status});
        Reply::json(status, body).header("X-Request-Id", &request_id)
    }

    /// What a front end says while the server restarts.
    pub fn bad_gateway() -> Reply {
        Reply::html(
            502,
            "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
        )
    }
}

impl Environment for Mattermost {
    fn env(&self) -> Vec<(String, String)> {
        vec![
            ("MATTERMOST_URL".to_owned(), self.url()),
            ("MATTERMOST_TOKEN".to_owned(), self.token()),
        ]
    }
}

impl Deref for Mattermost {
    type Target = Upstream;

    fn deref(&self) -> &Upstream {
        &self.upstream
    }
}
