//! How each backend does, from what its last answers were. Fixed words, because `/ready` shows them.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::domain::delivery::{Failure, Later, Refusal};

/// The last known state of every backend.
pub struct Health(Vec<(&'static str, AtomicU8)>);

/// A backend's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing was asked of it yet.
    Unknown,
    /// It answers and takes the credentials.
    Ok,
    /// It cannot be reached, or cannot take posts now.
    Unreachable,
    /// It refuses the credentials.
    Credentials,
    /// The configured URL is not its API.
    Misconfigured,
}

const STATES: [State; 5] = [
    State::Unknown,
    State::Ok,
    State::Unreachable,
    State::Credentials,
    State::Misconfigured,
];

impl State {
    /// The word that `/ready` shows.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Unreachable => "unreachable",
            Self::Credentials => "credentials",
            Self::Misconfigured => "misconfigured",
        }
    }

    /// Whether posts to it fail.
    #[must_use]
    pub fn is_failing(self) -> bool {
        !matches!(self, Self::Unknown | Self::Ok)
    }
}

impl Health {
    pub(super) fn new(names: Vec<&'static str>) -> Self {
        Self(
            names
                .into_iter()
                .map(|name| (name, AtomicU8::new(0)))
                .collect(),
        )
    }

    /// Every backend and its state.
    pub fn states(&self) -> impl Iterator<Item = (&'static str, State)> {
        self.0.iter().map(|(name, state)| (*name, read(state)))
    }

    /// Takes note of how something ended; a change is logged once.
    pub(super) fn note(&self, backend: &str, failure: Option<&Failure>) {
        let Some((name, cell)) = self.0.iter().find(|(name, _)| *name == backend) else {
            return;
        };
        let Some(state) = state_after(failure) else {
            return;
        };
        let before = read(cell);
        if before == state {
            return;
        }
        cell.store(
            STATES.iter().position(|s| *s == state).unwrap_or_default() as u8,
            Ordering::Relaxed,
        );
        match failure {
            Some(failure) => {
                tracing::error!(backend = name, failure = failure.word(), reason = %failure, "backend is failing")
            }
            None if before.is_failing() => tracing::info!(backend = name, "backend works again"),
            None => {}
        }
    }
}

fn read(cell: &AtomicU8) -> State {
    STATES
        .get(usize::from(cell.load(Ordering::Relaxed)))
        .copied()
        .unwrap_or(State::Unknown)
}

/// What an ending says about the whole backend; a single channel's trouble, or its pace, says that it works.
fn state_after(failure: Option<&Failure>) -> Option<State> {
    Some(match failure {
        None => State::Ok,
        Some(Failure::Later {
            reason: Later::Throttled | Later::Renewing,
            ..
        }) => return None,
        Some(Failure::Later { .. } | Failure::Unknown { .. }) => State::Unreachable,
        Some(Failure::Refused {
            reason: Refusal::Credentials,
            ..
        }) => State::Credentials,
        Some(Failure::Refused {
            reason: Refusal::Misconfigured,
            ..
        }) => State::Misconfigured,
        Some(Failure::Refused { .. }) => return None,
    })
}
