//! PURE: clean histories by chance, as a proxy that keeps its promises would leave them.

use std::collections::VecDeque;

use super::checker::{Answer, Arrived, History, Outcome, Position, Sent, Signal, Stop};
use super::roll::Roll;

const CLIENTS: usize = 4;
const CHANNELS: [&str; 3] = ["builds", "deploys", "alerts"];
/// Room between two events, so that a violation can be put in.
const STRIDE: Position = 10;

/// A request that is under way.
struct Open {
    channel: usize,
    text: String,
    sent_at: Position,
    stored: bool,
}

struct Model {
    roll: Roll,
    now: Position,
    history: History,
    open: Vec<Option<Open>>,
    lanes: [VecDeque<String>; CHANNELS.len()],
    /// The last message that each channel accepted without telling, or just before a kill.
    doubtful: [Option<String>; CHANNELS.len()],
}

/// A history without a violation, of about `steps` events.
pub fn clean(seed: u64, steps: usize) -> History {
    let mut model = Model {
        roll: Roll::new(seed),
        now: 0,
        history: History::default(),
        open: (0..CLIENTS).map(|_| None).collect(),
        lanes: Default::default(),
        doubtful: Default::default(),
    };
    for _ in 0..steps {
        match model.roll.below(100) {
            0..55 => model.client(),
            55..97 => model.platform(),
            _ => model.stop(),
        }
    }
    for client in 0..CLIENTS {
        model.answer(client);
    }
    while model.lanes.iter().any(|lane| !lane.is_empty()) {
        model.platform();
    }
    model.history
}

impl Model {
    fn tick(&mut self) -> Position {
        self.now += STRIDE;
        self.now
    }

    /// One step of a client: it sends, its message is stored, or it is answered.
    fn client(&mut self) {
        let client = self.roll.below(CLIENTS);
        match &mut self.open[client] {
            None => {
                let sent_at = self.tick();
                self.open[client] = Some(Open {
                    channel: self.roll.below(CHANNELS.len()),
                    text: format!("message {}", self.history.sent.len() * CLIENTS + client),
                    sent_at,
                    stored: false,
                });
            }
            Some(open) if !open.stored => {
                open.stored = true;
                self.lanes[open.channel].push_back(open.text.clone());
            }
            Some(_) => self.answer(client),
        }
    }

    fn answer(&mut self, client: usize) {
        let Some(open) = self.open[client].take() else {
            return;
        };
        let waits = self.lanes[open.channel].contains(&open.text);
        let answer = match (open.stored, waits) {
            (false, _) => Answer::Refused(503),
            (true, true) => Answer::Queued,
            (true, false) => Answer::Delivered,
        };
        self.record(client, open, answer);
    }

    fn record(&mut self, client: usize, open: Open, answer: Answer) {
        let answered_at = self.tick();
        self.history.sent.push(Sent {
            client,
            channel: CHANNELS[open.channel].to_owned(),
            text: open.text,
            sent_at: open.sent_at,
            answered_at,
            answer,
        });
    }

    /// One step of the platform: it takes the first message of a channel, or does not.
    fn platform(&mut self) {
        let channel = self.roll.below(CHANNELS.len());
        if let Some(text) = self.doubtful[channel].take() {
            self.arrive(channel, text, Outcome::Accepted);
            return;
        }
        let Some(text) = self.lanes[channel].front().cloned() else {
            return;
        };
        let outcome = *self.roll.pick(&[
            Outcome::Accepted,
            Outcome::Accepted,
            Outcome::Accepted,
            Outcome::Unheard,
            Outcome::Refused,
            Outcome::Throttled,
        ]);
        self.arrive(channel, text.clone(), outcome);
        if matches!(outcome, Outcome::Accepted | Outcome::Unheard) {
            self.lanes[channel].pop_front();
        }
        if outcome == Outcome::Unheard {
            self.doubtful[channel] = Some(text);
        }
    }

    fn arrive(&mut self, channel: usize, text: String, outcome: Outcome) {
        let at = self.tick();
        let channel = CHANNELS[channel].to_owned();
        self.history.arrived.push(Arrived {
            at,
            channel,
            text,
            outcome,
        });
    }

    /// Ends every request; a kill breaks the connections, and each channel may see its last message again.
    fn stop(&mut self) {
        let from = self.tick();
        let signal = *self.roll.pick(&[Signal::Kill, Signal::Term]);
        for client in 0..CLIENTS {
            if signal == Signal::Term {
                // What is in flight is finished.
                self.answer(client);
            } else if let Some(open) = self.open[client].take() {
                self.record(client, open, Answer::None);
            }
        }
        if signal == Signal::Kill {
            for (name, doubtful) in CHANNELS.iter().zip(&mut self.doubtful) {
                let here = |arrived: &&Arrived| arrived.channel == *name;
                let last = self.history.arrived.iter().rfind(here);
                let again = last.filter(|arrived| arrived.outcome == Outcome::Accepted);
                if let Some(arrived) = again.filter(|_| doubtful.is_none()) {
                    *doubtful = Some(arrived.text.clone());
                }
            }
        }
        let to = self.tick();
        self.history.stops.push(Stop { from, to, signal });
    }
}
