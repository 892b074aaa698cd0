//! A fake Slack: Web API and incoming webhook, as strict and as odd as `slack.md` says.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::queue::Queue;
use super::slack_oauth::Oauth;
use super::{DEADLINE, Environment, Gate, Ledger, Reply, Upstream, slack_api, unique};

/// How the bot stands to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Member,
    PublicNotMember,
    PrivateMember,
    PrivateNotMember,
    Archived,
}

#[derive(Clone, Debug)]
pub struct Channel {
    pub id: String,
    pub name: String,
    pub access: Access,
}

/// A message as the workspace keeps it. Edits change it in place.
#[derive(Clone, Debug, PartialEq)]
pub struct Post {
    pub channel: String,
    pub ts: String,
    /// As stored, so cut at 40,000 characters.
    pub text: String,
    /// The whole body as it was sent.
    pub body: Value,
    pub thread_ts: Option<String>,
    pub edits: u32,
    pub via_webhook: bool,
}

pub(super) struct State {
    pub token: String,
    pub webhook: String,
    pub webhook_channel: String,
    pub channels: Vec<Channel>,
    pub scopes: BTreeSet<String>,
    pub limited: (usize, u64),
    pub clock: u64,
    pub page_size: usize,
    pub oauth: Oauth,
}

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
/// Channels: `ops` and `builds` (public, member), `open` (public, not member), `team` (private, member), `secret` (private,
/// not member), `old` (archived). The incoming webhook posts to `ops`. `conversations.list` has an empty page in its middle.
pub struct Slack {
    upstream: Upstream,
    server: Arc<Server>,
}

impl Slack {
    pub fn start() -> Self {
        let channel = |name: &str, access| Channel {
            id: channel_id(),
            name: name.to_owned(),
            access,
        };
        let channels = vec![
            channel("ops", Access::Member),
            channel("open", Access::PublicNotMember),
            channel("team", Access::PrivateMember),
            channel("secret", Access::PrivateNotMember),
            channel("old", Access::Archived),
            channel("builds", Access::Member),
        ];
        let scopes = ["chat:write", "channels:read", "groups:read"].map(str::to_owned);
        let state = State {
            token: unique("xoxb-", 24),
            webhook: format!("/services/T0TEAM001/B0HOOK001/{}", unique("", 24)),
            webhook_channel: "ops".to_owned(),
            channels,
            scopes: BTreeSet::from(scopes),
            limited: (0, 0),
            clock: 1_766_000_000,
            page_size: 2,
            oauth: Oauth::new(),
        };
        let server = Arc::new(Server {
            state: Mutex::new(state),
            posts: Ledger::default(),
            next: Queue::default(),
            next_other: Queue::default(),
        });
        let shared = server.clone();
        let upstream = Upstream::start(move |request| slack_api::answer(&shared, request));
        Self { upstream, server }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.server.state()
    }

    pub fn token(&self) -> String {
        self.server.state().token.clone()
    }

    /// Makes the old token invalid and returns a new one.
    pub fn replace_token(&self) -> String {
        let mut state = self.server.state();
        state.token = unique("xoxb-", 24);
        state.token.clone()
    }

    /// What `SLACK_API_URL` is set to.
    pub fn api_url(&self) -> String {
        format!("{}/api", self.url())
    }

    /// The URL of the incoming webhook; write `slack+` before it in `CHANNELS`.
    pub fn webhook_url(&self) -> String {
        format!("{}{}", self.url(), self.server.state().webhook)
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
        if let Some(channel) = state
            .channels
            .iter_mut()
            .find(|channel| channel.name == name)
        {
            channel.access = access;
            return channel.id.clone();
        }
        let channel = Channel {
            id: channel_id(),
            name: name.to_owned(),
            access,
        };
        state.channels.push(channel.clone());
        channel.id
    }

    /// Scopes are `chat:write`, `channels:read` and `groups:read` at first.
    pub fn grant(&self, scope: &str) {
        self.server.state().scopes.insert(scope.to_owned());
    }

    pub fn revoke(&self, scope: &str) {
        self.server.state().scopes.remove(scope);
    }

    /// Everything accepted, in order.
    pub fn posts(&self) -> Vec<Post> {
        self.server.posts.all()
    }

    /// Waits until `n` messages were accepted and returns all of them.
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

    /// The next request that would post or edit gets this instead, and has no effect.
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

    /// The next request of any other kind (`conversations.list`, `auth.test`) gets this.
    pub fn next_other(&self, reply: Reply) {
        self.server.next_other.instead(reply);
    }

    /// The next such request has its effect, and is answered when `gate` opens.
    pub fn hold_other(&self, gate: &Gate) {
        self.server.next_other.held(gate);
    }

    /// The next `n` posting requests get 429 with `Retry-After`.
    pub fn rate_limited(&self, n: usize, retry_after_s: u64) {
        self.server.state().limited = (n, retry_after_s);
    }

    /// `200 {"ok":false,"error":…}`.
    pub fn error(code: &str) -> Reply {
        Reply::json(200, json!({"ok": false, "error": code}))
    }
}

impl Environment for Slack {
    fn env(&self) -> Vec<(String, String)> {
        vec![
            ("SLACK_BOT_TOKEN".to_owned(), self.token()),
            ("SLACK_API_URL".to_owned(), self.api_url()),
        ]
    }
}

impl Deref for Slack {
    type Target = Upstream;

    fn deref(&self) -> &Upstream {
        &self.upstream
    }
}

fn channel_id() -> String {
    unique("C0", 9).to_uppercase()
}

/// The `<…>` that Slack would act on: mentions, links, dates. Escaped text has none.
pub fn live_tokens(text: &str) -> Vec<String> {
    let opened = text.split('<').skip(1);
    opened
        .filter_map(|rest| rest.split_once('>'))
        .map(|(token, _)| format!("<{token}>"))
        .collect()
}
