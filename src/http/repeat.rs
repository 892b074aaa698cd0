//! Posts that are made once, however often they come: GETs, which browsers, scanners and proxies repeat, and posts with
//! an idempotency key.
//!
//! What was posted anywhere, or may have been, is never posted again under the same key; what surely was not leaves the
//! key free.

use std::time::Instant;

use actix_web::http::Method;
use sha2::{Digest as _, Sha256};

use crate::domain::delivery::{DeliveryId, PlatformCode};
use crate::domain::digest;
use crate::outbox::{Appended, Once, StoreHealth};

use super::caller::Caller;
use super::failed::{RETRY_AFTER_S, code_of_word};
use super::post::Request;
use super::problem::{Code, Problem};
use super::receipt::Receipt;
use super::submit::{Patience, Submission, not_stored};

/// How long an idempotency key holds.
const KEY_HOLDS_MS: u64 = 24 * 3600 * 1000;

/// What came of a post.
pub(super) type Made = Result<Receipt, Problem>;

/// A post with an idempotency key, where no outbox remembers it.
pub(super) struct Remembered {
    fingerprint: [u8; 16],
    id: DeliveryId,
    /// `None` if nothing of it is sure: the same post may be tried again, as the same message.
    made: Option<Made>,
}

impl Request<'_> {
    /// Makes a post, unless it is a repeat.
    pub(super) async fn submit(&self, submission: Box<Submission<'_>>) -> Made {
        let options = &submission.options;
        if options.dry {
            return self.make(submission).await;
        }
        if *self.context.request.method() == Method::GET {
            return Box::pin(self.submit_get(submission)).await;
        }
        if options.once.is_some() {
            return Box::pin(self.submit_once(submission)).await;
        }
        self.make(submission).await
    }

    /// A GET that was answered within ten minutes posts nothing and gets the same receipt.
    async fn submit_get(&self, submission: Box<Submission<'_>>) -> Made {
        let state = self.context.state;
        let uri = self.context.request.uri();
        let who = self.who(submission.caller);
        let once = &submission.options.once;
        let key = state.limits.key((who, uri.path(), uri.query(), once));
        let slot = state.gets.slot(key, state.clock.now());
        let busy = Code::BackendUnavailable;
        let mut first = lock(&slot, submission.patience.deadline, busy).await?;
        if let Some(made) = &*first {
            return made.clone();
        }
        let made = if once.is_some() {
            self.submit_once(submission).await
        } else {
            self.make(submission).await
        };
        if is_kept(&made) {
            *first = Some(made.clone());
        }
        made
    }

    async fn submit_once(&self, submission: Box<Submission<'_>>) -> Made {
        let Some(once) = self.once(&submission) else {
            return self.make(submission).await;
        };
        let Some(desk) = self.context.dispatcher.desk() else {
            return self.submit_remembered(submission, &once).await;
        };
        // A full disk takes no new message, and this may be none.
        if desk.store.health() == StoreHealth::Full {
            let now_ms = self.context.dispatcher.unix_ms();
            let known = desk.store.find_once(once.clone(), now_ms).await;
            match known.map_err(|error| not_stored(&error.into()))? {
                Some(Appended::Known { same: false, .. }) => return Err(key_reused()),
                Some(Appended::Known { id, same: true }) => {
                    let Patience { deadline, is_async } = submission.patience;
                    let rows = self.context.dispatcher.recall(id, is_async, deadline).await;
                    let rows = rows.map_err(|error| not_stored(&error))?;
                    return as_it_stands(Receipt::of_rows(rows));
                }
                _ => {}
            }
        }
        self.make(submission).await
    }

    /// Without an outbox an idempotency key is remembered until the process ends.
    async fn submit_remembered(&self, mut submission: Box<Submission<'_>>, once: &Once) -> Made {
        let state = self.context.state;
        let key = state.limits.key(once.key);
        let slot = state.onces.slot(key, state.clock.now());
        let mut first = lock(&slot, submission.patience.deadline, Code::InProgress).await?;
        match &*first {
            Some(known) if known.fingerprint == once.fingerprint => match &known.made {
                Some(made) => return made.clone(),
                // The platform may know it by its id.
                None => submission.id = known.id,
            },
            Some(Remembered { made: Some(_), .. }) => return Err(key_reused()),
            _ => {}
        }
        let id = submission.id;
        let made = self.make(submission).await;
        let is_kept = is_kept(&made);
        let is_open = |problem: &Problem| problem.code == Code::BackendUnavailable;
        *first = (is_kept || made.as_ref().is_err_and(is_open)).then(|| Remembered {
            fingerprint: once.fingerprint,
            id,
            made: is_kept.then(|| made.clone()),
        });
        made
    }

    /// The idempotency key of a submission, hashed with its caller, and what a repeat must have in common.
    pub(super) fn once(&self, submission: &Submission<'_>) -> Option<Once> {
        let key = submission.options.once.as_ref()?;
        let mut hash = Sha256::new();
        hash.update(self.who(submission.caller));
        hash.update([0]);
        hash.update(key);
        let mut given: Vec<&(&str, String)> = submission
            .options
            .given
            .iter()
            .filter(|(name, _)| !matches!(*name, "once" | "wait" | "token"))
            .collect();
        given.sort_unstable();
        let fields = given
            .iter()
            .flat_map(|(name, value)| [*name, value.as_str()]);
        let texts = [submission.channel, submission.message.as_str()].into_iter();
        let print = digest::of_list("", texts.chain(fields));
        let now_ms = self.context.dispatcher.unix_ms();
        Some(Once {
            key: hash.finalize().into(),
            fingerprint: digest::first(print),
            expires_ms: now_ms + KEY_HOLDS_MS,
        })
    }

    /// Whose repeats are the same: a token's name, else the client's address.
    fn who(&self, caller: Caller<'_>) -> String {
        match caller {
            Caller::Token(token) => token.name().to_owned(),
            Caller::Signed | Caller::Anonymous => self.context.address.to_string(),
        }
    }
}

/// Whether something was posted or promised, or is in part: then it is not made again.
fn is_kept(made: &Made) -> bool {
    match made {
        Ok(_) => true,
        Err(problem) => problem.deliveries.iter().any(|d| d.status != "failed"),
    }
}

async fn lock<T>(
    slot: &tokio::sync::Mutex<T>,
    deadline: Instant,
    busy: Code,
) -> Result<tokio::sync::MutexGuard<'_, T>, Problem> {
    tokio::time::timeout_at(deadline.into(), slot.lock())
        .await
        .map_err(|_| {
            let detail = "the same post is still being made; try again later";
            Problem::new(busy, detail).retry_after_s(RETRY_AFTER_S)
        })
}

/// A message that is known already, as it stands now; one that failed ends as it did at first.
pub(super) fn as_it_stands(receipt: Receipt) -> Made {
    if receipt.status != "failed" {
        return Ok(receipt);
    }
    let detail = receipt.deliveries.iter().find_map(|d| d.detail.clone());
    let (code, platform_code) = match &*receipt.deliveries {
        [only] => (
            code_of_word(only.reason.as_deref().unwrap_or_default()),
            only.platform_code.as_deref().and_then(PlatformCode::new),
        ),
        _ => (Code::PartlyRejected, None),
    };
    let problem = Problem {
        id: receipt.id,
        platform_code,
        deliveries: receipt.deliveries,
        ..Problem::new(code, detail.unwrap_or_default())
    };
    Err(match code {
        Code::BackendUnavailable => problem.retry_after_s(RETRY_AFTER_S),
        _ => problem,
    })
}

pub(super) fn key_reused() -> Problem {
    let detail = "this idempotency key was used within the last 24 h for a post with another channel, message or option";
    Problem::new(Code::KeyReused, detail)
}
