//! The bot's token: fetched once, shared by every delivery of every thread, renewed before it ends.
//!
//! It does no retries and reads no clock: time is the lent wire's. A failed fetch is told to those who
//! were waiting for it and then forgotten, once the wait that the login service asks for is over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Uri};
use tokio::sync::{Mutex, MutexGuard};

use super::login;
use crate::backends::Wire;
use crate::backends::wire::Call;
use crate::domain::delivery::Failure;
use crate::domain::percent;
use crate::domain::secret::Secret;

/// How long before its end a token is renewed, as the platform's SDK does (reference/teams.md 1).
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// A token while it lasts. It cannot be printed.
pub(super) struct Token {
    authorization: HeaderValue,
    renew_at: Duration,
    ends_at: Duration,
}

/// The source of tokens.
pub(super) struct Tokens {
    uri: Uri,
    /// Holds the secret.
    form: Bytes,
    current: RwLock<Option<Arc<Token>>>,
    /// Held while a token is fetched, so that there is one fetch at a time. A fetch that is dropped half
    /// way lets go of it, and the next in line fetches.
    flight: Mutex<Flight>,
    /// How many fetches have ended.
    ended: AtomicU64,
}

/// How the last fetch failed, for those who waited for it, or who come before the login service wants to be asked again.
#[derive(Default)]
struct Flight {
    failure: Option<Failure>,
    /// Until then.
    paused_until: Duration,
}

impl Flight {
    fn pause(&self, now: Duration) -> Option<Failure> {
        let left = self.paused_until.saturating_sub(now);
        let mut failure = self.failure.clone().filter(|_| !left.is_zero())?;
        if let Failure::Later { retry_after, .. } = &mut failure {
            *retry_after = Some(left);
        }
        Some(failure)
    }

    fn end(&mut self, failure: Option<&Failure>, now: Duration) {
        let wait = failure.and_then(Failure::retry_after).unwrap_or_default();
        self.paused_until = now.saturating_add(wait);
        self.failure = failure.cloned();
    }
}

impl Token {
    /// The value of `Authorization`.
    pub(super) fn authorization(&self) -> &HeaderValue {
        &self.authorization
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Tokens {
    /// A source that asks `uri` for a token of `scope`.
    pub(super) fn new(uri: Uri, app_id: &str, password: &Secret, scope: &str) -> Self {
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
            percent::encode(app_id),
            percent::encode(password.expose()),
            percent::encode(scope),
        );
        Self {
            uri,
            form: form.into(),
            current: RwLock::default(),
            flight: Mutex::default(),
            ended: AtomicU64::new(0),
        }
    }

    /// The token, fetched if there is none or it is about to end.
    pub(super) async fn get(&self, wire: &dyn Wire) -> Result<Arc<Token>, Failure> {
        let now = wire.elapsed();
        match self.current() {
            Some(token) if now < token.renew_at => Ok(token),
            Some(token) if now < token.ends_at => self.renew_early(wire, token).await,
            _ => self.wait_for(wire).await,
        }
    }

    /// Fetches a token whether or not there is one: what a check of the credentials is.
    pub(super) async fn check(&self, wire: &dyn Wire) -> Result<(), Failure> {
        let flight = self.flight.lock().await;
        self.fetch(wire, flight).await.map(drop)
    }

    /// Forgets a token that was refused; one that has replaced it meanwhile stays.
    pub(super) fn forget(&self, refused: &Arc<Token>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|t| Arc::ptr_eq(t, refused)) {
            *current = None;
        }
    }

    fn current(&self) -> Option<Arc<Token>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    /// Renews a token that still holds: only one delivery waits for it, the others go on with the old one,
    /// and so does this one while the login service is away.
    async fn renew_early(&self, wire: &dyn Wire, old: Arc<Token>) -> Result<Arc<Token>, Failure> {
        let Ok(flight) = self.flight.try_lock() else {
            return Ok(old);
        };
        match self.fetch(wire, flight).await {
            Err(Failure::Later { .. }) => Ok(old),
            result => result,
        }
    }

    async fn wait_for(&self, wire: &dyn Wire) -> Result<Arc<Token>, Failure> {
        let ended = self.ended.load(Ordering::Acquire);
        let flight = self.flight.lock().await;
        if let Some(token) = self.current().filter(|t| wire.elapsed() < t.renew_at) {
            return Ok(token);
        }
        // A fetch that ended while we stood in line was ours too.
        let waited = self.ended.load(Ordering::Acquire) != ended;
        match flight.failure.clone().filter(|_| waited) {
            Some(failure) => Err(failure),
            None => self.fetch(wire, flight).await,
        }
    }

    async fn fetch(
        &self,
        wire: &dyn Wire,
        mut flight: MutexGuard<'_, Flight>,
    ) -> Result<Arc<Token>, Failure> {
        if let Some(failure) = flight.pause(wire.elapsed()) {
            return Err(failure);
        }
        let result = self.ask(wire).await.map(Arc::new);
        flight.end(result.as_ref().err(), wire.elapsed());
        if let Ok(token) = &result {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            *current = Some(Arc::clone(token));
        }
        self.ended.fetch_add(1, Ordering::Release);
        result
    }

    async fn ask(&self, wire: &dyn Wire) -> Result<Token, Failure> {
        // From before the request: the token may be as old as that.
        let asked_at = wire.elapsed();
        let call = Call::post_form(&self.uri, None, self.form.clone());
        let answer = wire.call(call).await.map_err(login::no_answer)?;
        let granted = login::classify(&answer)?;
        let lifetime = granted.lifetime;
        // A short life is renewed at half of it.
        let renew_after = lifetime.saturating_sub(RENEW_BEFORE).max(lifetime / 2);
        Ok(Token {
            authorization: granted.authorization,
            renew_at: asked_at.saturating_add(renew_after),
            ends_at: asked_at.saturating_add(lifetime),
        })
    }
}
