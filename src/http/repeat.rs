//! Posts that are made once, however often they come: GETs, which browsers, scanners and proxies repeat, and posts with
//! an idempotency key.
//!
//! What was posted anywhere, even in part, is never posted again under the same key; what surely was not leaves the key
//! free. What may have been is kept by the outbox as it ended; without one it is tried again as the same message, which a
//! platform may recognise.

use std::time::Instant;

use actix_web::http::Method;
use sha2::{Digest as _, Sha256};

use crate::domain::delivery::{DeliveryId, PlatformCode};
use crate::domain::digest;
use crate::outbox::{Appended, Once, Row, StoreHealth};

use super::caller::Caller;
use super::failed::{RETRY_AFTER_S, code_of_word, summary};
use super::post::Request;
use super::problem::{Code, Problem};
use super::receipt::Receipt;
use super::submit::{Patience, Submission, not_stored};

/// How long an idempotency key holds.
const KEY_HOLDS_MS: u64 = 24 * 3600 * 1000;

/// What came of a post.
pub(super) type Made = Result<Receipt, Problem>;

/// A post that this process alone remembers: a GET, or one with an idempotency key where there is no outbox.
pub(super) struct Remembered {
    /// What a repeat has in common with it.
    fingerprint: [u8; 16],
    id: DeliveryId,
    made: Made,
    /// Whether nothing of it is sure: the same post may be tried again, as the same message.
    is_open: bool,
    /// When it ended, if it may have been posted: who came before that did not come because of that answer, and gets it too.
    in_doubt_since: Option<Instant>,
}

/// A GET is its whole URL: what has its slot is the same.
const GET_FINGERPRINT: [u8; 16] = [0; 16];

impl Request<'_> {
    /// Makes a post, unless it is a repeat.
    pub(super) async fn submit(&mut self, submission: Box<Submission<'_>>) -> Made {
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
    async fn submit_get(&mut self, mut submission: Box<Submission<'_>>) -> Made {
        let state = self.context.state;
        let uri = self.context.request.uri();
        let who = self.who(submission.caller);
        let once = &submission.options.once;
        let has_key = once.is_some();
        let key = state.limits.key((who, uri.path(), uri.query(), once));
        let now = state.clock.now();
        let slot = state.gets.slot(key, now);
        let busy = Code::BackendUnavailable;
        let mut first = lock(&slot, submission.patience.deadline, busy).await?;
        if let Some(made) = repeated(first.as_ref(), GET_FINGERPRINT, now, &mut submission) {
            return made;
        }
        let id = submission.id;
        let made = match has_key {
            true => self.submit_once(submission).await,
            false => self.make(submission).await,
        };
        *first = self.remembered(GET_FINGERPRINT, id, &made);
        made
    }

    async fn submit_once(&mut self, submission: Box<Submission<'_>>) -> Made {
        let Some(once) = self.once(&submission) else {
            return self.make(submission).await;
        };
        let Some(desk) = self.context.dispatcher.desk() else {
            return self.submit_remembered(submission, &once).await;
        };
        // A full disk takes no new message, and this may be none.
        if matches!(desk.store.health(), StoreHealth::Full | StoreHealth::Gone) {
            let now_ms = self.context.dispatcher.unix_ms();
            let known = desk.store.find_once(once.clone(), now_ms).await;
            match known.map_err(|error| not_stored(&error.into()))? {
                Some(Appended::Known { same: false, .. }) => return Err(key_reused()),
                Some(Appended::Known { id, same: true }) => {
                    let Patience { deadline, is_async } = submission.patience;
                    let rows = self.context.dispatcher.recall(id, is_async, deadline).await;
                    let rows = rows.map_err(|error| not_stored(&error))?;
                    return as_it_stands(id, rows);
                }
                _ => {}
            }
        }
        self.make(submission).await
    }

    /// Without an outbox an idempotency key is remembered until the process ends.
    async fn submit_remembered(
        &mut self,
        mut submission: Box<Submission<'_>>,
        once: &Once,
    ) -> Made {
        let state = self.context.state;
        let key = state.limits.key(once.key);
        let now = state.clock.now();
        let slot = state.onces.slot(key, now);
        let mut first = lock(&slot, submission.patience.deadline, Code::InProgress).await?;
        if let Some(made) = repeated(first.as_ref(), once.fingerprint, now, &mut submission) {
            return made;
        }
        let id = submission.id;
        let made = self.make(submission).await;
        *first = self.remembered(once.fingerprint, id, &made);
        made
    }

    /// What is to be remembered of a post: nothing if surely nothing came of it.
    fn remembered(&self, fingerprint: [u8; 16], id: DeliveryId, made: &Made) -> Option<Remembered> {
        let is_kept = match made {
            Ok(_) => true,
            Err(problem) => problem.is_begun && problem.code != Code::BackendUnavailable,
        };
        // With an outbox what is in doubt is stored, and none of it comes here.
        let is_open = self.context.dispatcher.desk().is_none()
            && made
                .as_ref()
                .is_err_and(|problem| problem.code == Code::BackendUnavailable);
        (is_kept || is_open).then(|| Remembered {
            fingerprint,
            id,
            made: made.clone(),
            is_open,
            in_doubt_since: matches!(made, Err(problem) if problem.is_in_doubt)
                .then(|| self.context.state.clock.now()),
        })
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

/// The answer to a repeat of what is remembered. What is to be tried again gets its id: the platform may know it by that.
fn repeated(
    known: Option<&Remembered>,
    fingerprint: [u8; 16],
    came_at: Instant,
    submission: &mut Submission<'_>,
) -> Option<Made> {
    let known = known?;
    let is_same = known.fingerprint == fingerprint;
    let was_under_way = known.in_doubt_since.is_some_and(|ended| came_at < ended);
    if known.is_open && !(is_same && was_under_way) {
        if is_same {
            submission.id = known.id;
        }
        return None;
    }
    Some(match is_same {
        true => known.made.clone(),
        false => Err(key_reused()),
    })
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

/// A message that is known already, as it stands now; one that failed ends as it did at first. Its receipt may have
/// expired before its key.
pub(super) fn as_it_stands(id: DeliveryId, rows: Vec<Row>) -> Made {
    if rows.is_empty() {
        let detail = "this idempotency key was used within the last 24 h for this post, whose receipt has expired (RECEIPT_RETENTION); nothing was posted again";
        return Err(Problem {
            id: id.to_string(),
            ..Problem::new(Code::NotFound, detail)
        });
    }
    let receipt = Receipt::of_rows(rows);
    // Also of one that waits elsewhere: it was told to be partly rejected.
    if receipt.deliveries.iter().all(|d| d.status != "failed") {
        return Ok(receipt);
    }
    let (code, platform_code, detail) = match &*receipt.deliveries {
        [only] => (
            code_of_word(only.reason.as_deref().unwrap_or_default()),
            only.platform_code.as_deref().and_then(PlatformCode::new),
            only.detail.clone().unwrap_or_default(),
        ),
        several => (Code::PartlyRejected, None, summary(several)),
    };
    let problem = Problem {
        id: receipt.id,
        platform_code,
        deliveries: receipt.deliveries,
        ..Problem::new(code, detail)
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
