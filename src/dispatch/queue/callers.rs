//! Who waits for the end of a delivery, each as long as it likes, and whether anybody was promised it.

use tokio::sync::oneshot;

use super::{Ended, Key, Queue};

/// What one who waits is told.
#[derive(Debug)]
pub struct Told {
    /// How the delivery ended.
    pub ended: Ended,
    /// Whether somebody else was told 202 before.
    pub is_promised: bool,
}

/// One who waits. Who is dropped has gone away.
#[derive(Debug)]
pub struct Caller {
    key: Key,
    number: u64,
    /// How it is told.
    pub ended: oneshot::Receiver<Told>,
}

/// Whoever must be told of an end.
#[derive(Debug)]
pub struct Callers {
    /// How they are told.
    pub waiting: Vec<oneshot::Sender<Told>>,
    /// Whether somebody was told 202 before, so that it may not end for a reason that an operator can mend.
    pub is_promised: bool,
}

/// Nobody waits: then it was promised, by this process or an earlier one.
impl Default for Callers {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            is_promised: true,
        }
    }
}

impl Callers {
    /// Tells everybody who waits. Who has gone away meanwhile needs no answer.
    pub fn tell(self, ended: &Ended) {
        for caller in self.waiting {
            drop(caller.send(Told {
                ended: ended.clone(),
                is_promised: self.is_promised,
            }));
        }
    }
}

/// Who waits for one delivery.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    callers: Vec<(u64, oneshot::Sender<Told>)>,
    is_promised: bool,
}

impl Waiting {
    /// Who has gone away was told nothing and waits for nothing.
    fn forget_the_gone(&mut self) {
        self.callers.retain(|(_, caller)| !caller.is_closed());
    }
}

impl From<Waiting> for Callers {
    fn from(mut waiting: Waiting) -> Self {
        waiting.forget_the_gone();
        Self {
            is_promised: waiting.is_promised || waiting.callers.is_empty(),
            waiting: waiting.callers.into_iter().map(|(_, one)| one).collect(),
        }
    }
}

impl Queue {
    /// Waits for the end of a new delivery, which is not promised as long as its caller waits. Ask before it is stored,
    /// so that it cannot end unseen.
    #[must_use]
    pub fn expect(&self, key: Key) -> Caller {
        self.join(key, false)
    }

    /// Waits for the end of a delivery that was stored before; it stays promised if it is.
    #[must_use]
    pub fn expect_again(&self, key: Key) -> Caller {
        self.join(key, true)
    }

    fn join(&self, key: Key, is_promised_if_first: bool) -> Caller {
        let (sender, ended) = oneshot::channel();
        let mut locked = self.lock();
        let state = &mut *locked;
        let number = state.callers_ever;
        state.callers_ever += 1;
        let waiting = state.callers.entry(key).or_insert_with(|| Waiting {
            is_promised: is_promised_if_first,
            ..Waiting::default()
        });
        waiting.forget_the_gone();
        waiting.callers.push((number, sender));
        Caller { key, number, ended }
    }

    /// This caller waits no more: from now on the delivery is promised. Others wait on. `false` if its end is just being
    /// told.
    pub fn promise(&self, caller: &Caller) -> bool {
        let mut state = self.lock();
        let Some(waiting) = state.callers.get_mut(&caller.key) else {
            return false;
        };
        let before = waiting.callers.len();
        waiting
            .callers
            .retain(|(number, _)| *number != caller.number);
        if waiting.callers.len() == before {
            return false;
        }
        waiting.is_promised = true;
        waiting.forget_the_gone();
        if waiting.callers.is_empty() {
            state.callers.remove(&caller.key);
        }
        true
    }

    /// Whoever waits for this delivery; from now on they must be told.
    #[must_use]
    pub fn callers(&self, key: Key) -> Callers {
        let waiting = self.lock().callers.remove(&key);
        waiting.map(Callers::from).unwrap_or_default()
    }

    /// The same, but of what is promised nobody is told yet: they wait on.
    #[must_use]
    pub fn callers_unless_promised(&self, key: Key) -> Callers {
        let mut state = self.lock();
        match state.callers.remove(&key) {
            Some(waiting) if waiting.is_promised => {
                state.callers.insert(key, waiting);
                Callers::default()
            }
            waiting => waiting.map(Callers::from).unwrap_or_default(),
        }
    }
}
