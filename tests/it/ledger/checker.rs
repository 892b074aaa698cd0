//! PURE: reads a finished history and says which promise was broken (threats, section 5: I1 to I4 and I8).
//!
//! It must not know the proxy: all it judges is what clients were told, what the platform saw, and when the process
//! was stopped. Times are positions in one order that all of them share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

/// A place in the one order of everything that happened.
pub type Position = u64;

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200: the platform has it.
    Delivered,
    /// 202: it will be delivered.
    Queued,
    /// Anything else, which promises nothing.
    Refused(u16),
    /// The connection broke.
    None,
}

/// One request of a client. A repeat of the same message is another one with the same text.
#[derive(Clone, Debug)]
pub struct Sent {
    pub client: usize,
    pub channel: String,
    /// No two messages share it.
    pub text: String,
    pub sent_at: Position,
    pub answered_at: Position,
    pub answer: Answer,
}

impl Sent {
    fn is_promise(&self) -> bool {
        matches!(self.answer, Answer::Delivered | Answer::Queued)
    }
}

/// What the platform did with a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accepted,
    /// Accepted, but the answer may not have reached the proxy.
    Unheard,
    /// A repeat that the platform has recognised: no second post.
    Recognised,
    Refused,
    Throttled,
}

/// One post as the platform saw it.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub at: Position,
    pub channel: String,
    pub text: String,
    pub outcome: Outcome,
}

impl Arrived {
    fn is_post(&self) -> bool {
        matches!(self.outcome, Outcome::Accepted | Outcome::Unheard)
    }
}

/// How the process was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Kill,
    Term,
}

/// From before the signal until the next process listens: in between, nobody knows which came first.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    pub from: Position,
    pub to: Position,
    pub signal: Signal,
}

/// Everything that is known of a run.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub sent: Vec<Sent>,
    pub arrived: Vec<Arrived>,
    pub stops: Vec<Stop>,
    /// The platform recognises repeats, so that nothing excuses a duplicate.
    pub recognises_repeats: bool,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// Promised, and never accepted.
    Lost { text: String },
    /// `first` was answered before `second` was sent, and yet came later.
    Inversion { first: String, second: String },
    /// Nobody sent this.
    WrongText { text: String },
    /// It was sent to another channel.
    WrongChannel { text: String, channel: String },
    /// Accepted again although nothing was ambiguous.
    Duplicate { text: String },
    /// 200 was said before the platform had it.
    Early { text: String },
    /// The connection broke while the process lived, or SIGTERM let a request fall that was taken.
    Unanswered { text: String },
}

/// All that is known of one message.
struct Message<'a> {
    channel: &'a str,
    sent_at: Position,
    promised_at: Option<Position>,
    delivered_at: Option<Position>,
    posts: Vec<&'a Arrived>,
}

/// The broken promises, sorted; none in a clean history.
pub fn check(history: &History) -> Vec<Violation> {
    let mut found = BTreeSet::new();
    let mut messages = messages(history);
    for arrived in &history.arrived {
        let text = arrived.text.clone();
        match messages.get_mut(arrived.text.as_str()) {
            None => {
                found.insert(Violation::WrongText { text });
            }
            Some(message) if message.channel != arrived.channel => {
                let channel = arrived.channel.clone();
                found.insert(Violation::WrongChannel { text, channel });
            }
            Some(message) if arrived.is_post() => message.posts.push(arrived),
            Some(_) => {}
        }
    }
    for message in messages.values_mut() {
        message.posts.sort_by_key(|post| post.at);
    }
    for (text, message) in &messages {
        let text = (*text).to_owned();
        match (message.posts.first(), message.delivered_at) {
            (None, _) if message.promised_at.is_some() => found.insert(Violation::Lost { text }),
            (Some(post), Some(told_at)) if told_at < post.at => {
                found.insert(Violation::Early { text })
            }
            _ => false,
        };
    }
    found.extend(inversions(&messages));
    found.extend(duplicates(history, &messages));
    found.extend(unanswered(history, &messages));
    found.into_iter().collect()
}

fn messages(history: &History) -> BTreeMap<&str, Message<'_>> {
    let mut messages: BTreeMap<&str, Message<'_>> = BTreeMap::new();
    let earliest = |known: Option<Position>, at| Some(known.map_or(at, |known| known.min(at)));
    for sent in &history.sent {
        let message = messages.entry(&sent.text).or_insert_with(|| Message {
            channel: &sent.channel,
            sent_at: sent.sent_at,
            promised_at: None,
            delivered_at: None,
            posts: Vec::new(),
        });
        message.sent_at = message.sent_at.min(sent.sent_at);
        if sent.is_promise() {
            message.promised_at = earliest(message.promised_at, sent.answered_at);
        }
        if sent.answer == Answer::Delivered {
            message.delivered_at = earliest(message.delivered_at, sent.answered_at);
        }
    }
    messages
}

/// I3. For each message only the latest of those that had to come before it: one is proof enough.
fn inversions(messages: &BTreeMap<&str, Message<'_>>) -> Vec<Violation> {
    let mut promised: HashMap<&str, Vec<(Position, Position, &str)>> = HashMap::new();
    for (text, message) in messages {
        if let (Some(told_at), Some(post)) = (message.promised_at, message.posts.first()) {
            let lane = promised.entry(message.channel).or_default();
            lane.push((told_at, post.at, text));
        }
    }
    for lane in promised.values_mut() {
        lane.sort_unstable();
        // From here on each entry holds the latest post of all that were promised until then.
        for at in 1..lane.len() {
            if lane[at - 1].1 > lane[at].1 {
                (lane[at].1, lane[at].2) = (lane[at - 1].1, lane[at - 1].2);
            }
        }
    }
    let mut found = Vec::new();
    for (text, message) in messages {
        let (Some(post), Some(lane)) = (message.posts.first(), promised.get(message.channel))
        else {
            continue;
        };
        let before = lane.partition_point(|(told_at, ..)| *told_at < message.sent_at);
        let latest = before.checked_sub(1).map(|at| lane[at]);
        if let Some((_, _, first)) = latest.filter(|(_, posted_at, _)| *posted_at > post.at) {
            found.push(Violation::Inversion {
                first: first.to_owned(),
                second: (*text).to_owned(),
            });
        }
    }
    found
}

/// A second post that only a kill can excuse.
struct Orphan<'a> {
    text: &'a str,
    after: Position,
    at: Position,
}

/// I4. A lost answer excuses one repeat of its message, a kill one repeat in each channel.
fn duplicates(history: &History, messages: &BTreeMap<&str, Message<'_>>) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut lanes: HashMap<&str, Vec<Orphan<'_>>> = HashMap::new();
    for (text, message) in messages {
        let mut excuses = 0;
        for pair in message.posts.windows(2) {
            excuses += usize::from(pair[0].outcome == Outcome::Unheard);
            if history.recognises_repeats {
                found.push(Violation::Duplicate {
                    text: (*text).to_owned(),
                });
            } else if excuses > 0 {
                excuses -= 1;
            } else {
                lanes.entry(message.channel).or_default().push(Orphan {
                    text,
                    after: pair[0].at,
                    at: pair[1].at,
                });
            }
        }
    }
    for orphans in lanes.into_values() {
        let left = without_excused(history, orphans);
        found.extend(left.into_iter().map(|orphan| Violation::Duplicate {
            text: orphan.text.to_owned(),
        }));
    }
    found
}

/// Gives each kill to the repeat that can wait least for another one, which excuses as many as possible.
fn without_excused<'a>(history: &History, mut orphans: Vec<Orphan<'a>>) -> Vec<Orphan<'a>> {
    orphans.sort_by_key(|orphan| orphan.at);
    let mut kills: Vec<Stop> = history.stops.clone();
    kills.retain(|stop| stop.signal == Signal::Kill);
    kills.sort_by_key(|kill| kill.from);
    for kill in kills {
        let excused = |orphan: &Orphan<'_>| orphan.after < kill.to && kill.from < orphan.at;
        if let Some(at) = orphans.iter().position(excused) {
            orphans.remove(at);
        }
    }
    orphans
}

/// I8. Only a killed process may leave a request without an answer, and SIGTERM one that was not taken any more: what
/// reached the platform was. Of a repeat nobody can say that: what was seen may be the first try's.
fn unanswered(history: &History, messages: &BTreeMap<&str, Message<'_>>) -> Vec<Violation> {
    let mut seen_at: HashMap<&str, Vec<Position>> = HashMap::new();
    for arrived in &history.arrived {
        seen_at.entry(&arrived.text).or_default().push(arrived.at);
    }
    let is_excused = |sent: &Sent| {
        let seen = seen_at.get(sent.text.as_str());
        history.stops.iter().any(|stop| {
            let during = sent.sent_at <= stop.to && stop.from <= sent.answered_at;
            let taken = |at: &Position| sent.sent_at < *at && *at < stop.to;
            let is_first = messages[sent.text.as_str()].sent_at == sent.sent_at;
            let was_taken = || is_first && seen.is_some_and(|seen| seen.iter().any(taken));
            during && (stop.signal == Signal::Kill || !was_taken())
        })
    };
    let broken = history
        .sent
        .iter()
        .filter(|sent| sent.answer == Answer::None);
    broken
        .filter(|sent| !is_excused(sent))
        .map(|sent| Violation::Unanswered {
            text: sent.text.clone(),
        })
        .collect()
}

impl Violation {
    fn is_about(&self, other: &str) -> bool {
        match self {
            Self::Inversion { first, second } => first == other || second == other,
            Self::Lost { text }
            | Self::WrongText { text }
            | Self::WrongChannel { text, .. }
            | Self::Duplicate { text }
            | Self::Early { text }
            | Self::Unanswered { text } => text == other,
        }
    }
}

/// The part of a history that shows a violation: its messages, and the stops while they were under way.
pub struct Excerpt<'a> {
    pub history: &'a History,
    pub violation: &'a Violation,
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        let ours = |text: &str| self.violation.is_about(text);
        for sent in self.history.sent.iter().filter(|sent| ours(&sent.text)) {
            let (client, channel, text) = (sent.client, &sent.channel, &sent.text);
            let line = format!("client {client} sends {text:?} to {channel}");
            lines.push((sent.sent_at, line));
            let line = format!("client {client} is told {:?} for {text:?}", sent.answer);
            lines.push((sent.answered_at, line));
        }
        for arrived in self.history.arrived.iter().filter(|a| ours(&a.text)) {
            let (text, channel) = (&arrived.text, &arrived.channel);
            let line = format!("{text:?} arrives in {channel}: {:?}", arrived.outcome);
            lines.push((arrived.at, line));
        }
        let first = lines.iter().map(|(at, _)| *at).min().unwrap_or_default();
        let last = lines.iter().map(|(at, _)| *at).max().unwrap_or_default();
        for stop in &self.history.stops {
            if stop.from <= last && first <= stop.to {
                let line = format!("{:?}, and up again at {}", stop.signal, stop.to);
                lines.push((stop.from, line));
            }
        }
        lines.sort();
        writeln!(f, "{:?}", self.violation)?;
        lines
            .iter()
            .try_for_each(|(at, line)| writeln!(f, "  {at:>8}  {line}"))
    }
}
