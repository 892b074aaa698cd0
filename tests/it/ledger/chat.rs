//! A fake Mattermost with moods: it writes down every post, and takes, refuses or loses them as its mood says.
//!
//! Only the routes that a bot with channel ids needs; `support::Mattermost` is the strict one. What it remembers of
//! `pending_post_id` it remembers for ever, not for 30 s, so that no verdict depends on the clock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::checker::{Arrived, Outcome};
use super::clients::Order;
use super::roll::Roll;
use crate::support::reply::Then;
use crate::support::upstream::Request;
use crate::support::{Environment, Gate, Ledger, Reply, Upstream, unique};

/// How a channel behaves for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    /// 503.
    Unavailable,
    /// 429 with `Retry-After: 1`.
    Throttling,
    /// F-15: every second post is refused.
    Flapping,
    /// Closes the connection without taking the post.
    Absent,
    /// Takes the post and closes the connection.
    Forgetful,
    /// The same with RST.
    Crashing,
    /// Takes the post and answers when the mood ends.
    Slow,
    /// Takes the post and closes the connection when the mood ends.
    Silent,
}

/// `Well` is there several times, so that most posts pass.
const MOODS: [Mood; 16] = [
    Mood::Well,
    Mood::Well,
    Mood::Well,
    Mood::Well,
    Mood::Well,
    Mood::Well,
    Mood::Well,
    Mood::Well,
    Mood::Unavailable,
    Mood::Throttling,
    Mood::Flapping,
    Mood::Absent,
    Mood::Forgetful,
    Mood::Crashing,
    Mood::Slow,
    Mood::Silent,
];

/// What changes while the server runs.
struct State {
    moods: HashMap<String, Mood>,
    /// Opens when the moods change.
    end: Gate,
    /// Posts by `pending_post_id`, where repeats are recognised.
    pending: Option<HashMap<String, String>>,
    posts: u64,
}

/// The server.
pub struct Chat {
    upstream: Upstream,
    state: Arc<Mutex<State>>,
    arrived: Arc<Ledger<Arrived>>,
    pub channels: Vec<String>,
    token: String,
}

impl Chat {
    pub fn start(order: &Order, channels: usize, recognises_repeats: bool) -> Self {
        let state = Arc::new(Mutex::new(State {
            moods: HashMap::new(),
            end: Gate::new(),
            pending: recognises_repeats.then(HashMap::new),
            posts: 0,
        }));
        let arrived = Arc::new(Ledger::default());
        let token = unique("", 26);
        let server = Server {
            state: state.clone(),
            arrived: arrived.clone(),
            order: order.clone(),
            token: format!("Bearer {token}"),
        };
        Self {
            upstream: Upstream::start(move |request| server.answer(request)),
            state,
            arrived,
            channels: (0..channels).map(|_| unique("", 26)).collect(),
            token,
        }
    }

    /// Every post so far.
    pub fn arrived(&self) -> &Ledger<Arrived> {
        &self.arrived
    }

    /// One channel, or all of them, behave otherwise from now on; what was held is let go.
    pub fn turn(&self, roll: &mut Roll) {
        let mood = *roll.pick(&MOODS);
        let only = roll.percent(50).then(|| roll.pick(&self.channels));
        self.change(|moods| {
            for channel in &self.channels {
                if only.is_none_or(|only| only == channel) {
                    moods.insert(channel.clone(), mood);
                }
            }
        });
    }

    /// Everything works again.
    pub fn calm(&self) {
        self.change(HashMap::clear);
    }

    /// What was not HTTP. A killed proxy may leave half a request behind, which is no fault of anybody's.
    pub fn take_faults(&self) -> Vec<String> {
        let mut faults = self.upstream.take_faults();
        faults.retain(|fault| !fault.starts_with("line does not end in CRLF"));
        faults
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<String, Mood>)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state.moods);
        std::mem::take(&mut state.end).open();
    }
}

impl Environment for Chat {
    fn env(&self) -> Vec<(String, String)> {
        vec![
            ("MATTERMOST_URL".to_owned(), self.upstream.url()),
            ("MATTERMOST_TOKEN".to_owned(), self.token.clone()),
        ]
    }
}

struct Server {
    state: Arc<Mutex<State>>,
    arrived: Arc<Ledger<Arrived>>,
    order: Order,
    token: String,
}

impl Server {
    fn answer(&self, request: &Request) -> Reply {
        let path: Vec<&str> = request.path().split('/').skip(1).collect();
        let known = request.header("authorization") == Some(&self.token);
        match (request.method.as_str(), path.as_slice()) {
            ("GET", ["api", "v4", "system", "ping"]) => Reply::json(200, json!({"status": "OK"})),
            (_, ["api", "v4", ..]) if !known => Reply::json(
                401,
                json!({"id": "api.context.session_expired.app_error", "status_code": 401}),
            ),
            ("GET", ["api", "v4", "users", "me"]) => Reply::json(200, json!({"id": post_id(0)})),
            ("GET", ["api", "v4", "channels", id]) => {
                Reply::json(200, json!({"id": id, "delete_at": 0}))
            }
            ("POST", ["api", "v4", "posts"]) => self.post(&request.json()),
            _ => Reply::json(404, json!({"id": "api.context.404.app_error"})),
        }
    }

    fn post(&self, body: &Value) -> Reply {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (channel, pending) = (text("channel_id"), text("pending_post_id"));
        // Held to the end: what is written down is in the order in which it was decided.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.posts += 1;
        let mood = match state.moods.get(&channel).copied().unwrap_or(Mood::Well) {
            Mood::Flapping if state.posts.is_multiple_of(2) => Mood::Unavailable,
            mood => mood,
        };
        let known = state.pending.as_ref().and_then(|all| all.get(&pending));
        let (outcome, id) = match (mood, known) {
            (Mood::Unavailable | Mood::Absent, _) => (Outcome::Refused, String::new()),
            (Mood::Throttling, _) => (Outcome::Throttled, String::new()),
            (_, Some(id)) => (Outcome::Recognised, id.clone()),
            (Mood::Well | Mood::Flapping, None) => (Outcome::Accepted, post_id(state.posts)),
            (_, None) => (Outcome::Unheard, post_id(state.posts)),
        };
        if let Some(all) = state.pending.as_mut().filter(|_| !id.is_empty()) {
            all.insert(pending.clone(), id.clone());
        }
        self.arrived.push(Arrived {
            at: self.order.next(),
            channel: channel.clone(),
            text: text("message"),
            outcome,
        });
        // A repeat is told so by an empty id (reference, section 5).
        let echo = if outcome == Outcome::Recognised {
            String::new()
        } else {
            pending
        };
        let taken =
            json!({"id": id, "channel_id": channel, "create_at": 1, "pending_post_id": echo});
        reply(mood, taken, &state.end)
    }
}

fn reply(mood: Mood, taken: Value, end: &Gate) -> Reply {
    match mood {
        Mood::Well | Mood::Flapping => Reply::json(201, taken),
        Mood::Slow => Reply::json(201, taken).held(end),
        Mood::Unavailable => Reply::html(503, "<html><body>nginx</body></html>"),
        Mood::Throttling => Reply::text(429, "limit exceeded").header("Retry-After", "1"),
        Mood::Absent | Mood::Forgetful => Reply::close_after_request(),
        Mood::Crashing => Reply::close_after_request().then(Then::Reset),
        Mood::Silent => Reply::close_after_request().held(end),
    }
}

/// 26 characters of Mattermost's alphabet that say which post it is.
fn post_id(n: u64) -> String {
    const DIGITS: &[u8; 8] = b"ybndrfg8";
    (0..26)
        .map(|digit| DIGITS[(n >> (3 * digit).min(63)) as usize % 8])
        .map(char::from)
        .collect()
}
