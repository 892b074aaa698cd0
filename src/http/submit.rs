//! From a checked post to its receipt: through the outbox if there is one, else straight to the platforms.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::{OptionFuture, join_all};

use crate::backends::Part;
use crate::dispatch::Ready;
use crate::dispatch::accept::{Accepted, Unfound};
use crate::dispatch::send::Letter;
use crate::dispatch::sent::{NotStored, Sent};
use crate::domain::channel::Destination;
use crate::domain::delivery::{DeliveryId, Failure, Post};
use crate::domain::message::Message;
use crate::domain::options::PostOptions;
use crate::outbox::{Row, StoreError};

use super::caller::Caller;
use super::failed::{RETRY_AFTER_S, failed};
use super::post::Request;
use super::problem::{Code, Problem};
use super::receipt::{Delivery, MAY_BE_POSTED, Receipt};
use super::repeat::{as_it_stands, key_reused};

/// How long the caller waits for the platforms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Until then.
    pub deadline: Instant,
    /// Not at all: it is answered as soon as the message is stored.
    pub is_async: bool,
}

/// A post that may be made: read, authorised, limited, resolved.
pub(super) struct Submission<'a> {
    pub id: DeliveryId,
    pub caller: Caller<'a>,
    /// As written, for what makes two posts the same.
    pub channel: &'a str,
    pub message: Message,
    pub options: PostOptions,
    pub destinations: &'a [Destination],
    pub patience: Patience,
}

/// One destination that was, or could not be, made ready; and its parts.
type Aimed = (Result<Ready, Failure>, Vec<Part>);
/// What became of one destination; the failure if it ended in one.
type Ended = (Delivery, Option<Failure>);

impl Request<'_> {
    /// Makes a post. What few posts need is boxed here and below: every post is as large as all that it could come to,
    /// and is copied once.
    pub(super) async fn make(
        &mut self,
        submission: Box<Submission<'_>>,
    ) -> Result<Receipt, Problem> {
        if !submission.options.dry {
            self.refuse_if_full()?;
        }
        let dispatcher = self.context.dispatcher;
        let Patience { deadline, is_async } = submission.patience;
        let once = self.once(&submission);
        let aims = submission
            .destinations
            .iter()
            .map(|to| dispatcher.aim(to, deadline));
        let aims = all(aims).await;
        self.limit_looked_up(submission.destinations)?;
        let who = submission.caller.name();
        let (destinations, options) = (submission.destinations, submission.options);
        let post = Post {
            id: submission.id,
            message: submission.message,
            title: options.title,
            link: options.link,
            level: options.level,
            as_name: options.as_name,
            format: options.format,
        };
        let aimed = self.render(&post, aims)?;
        let letter = Letter {
            post: &post,
            caller: who,
            ignored: &options.ignored,
            once,
        };
        let ended = if options.dry {
            dry(destinations, &aimed)
        } else if dispatcher.desk().is_none() {
            Box::pin(self.direct(destinations, &aimed, deadline)).await
        } else if letter.once.is_some() || is_async {
            let patience = submission.patience;
            match Box::pin(self.stored(&letter, destinations, &aimed, patience)).await? {
                Ok(ended) => ended,
                Err((id, rows)) => return as_it_stands(id, rows),
            }
        } else {
            self.through_outbox(&letter, destinations, &aimed, deadline)
                .await?
        };
        let failures: Vec<Failure> = ended
            .iter()
            .filter_map(|(_, failure)| failure.clone())
            .collect();
        let deliveries: Vec<Delivery> = ended.into_iter().map(|(delivery, _)| delivery).collect();
        let receipt = Receipt {
            id: post.id.to_string(),
            message: options.dry.then(|| post.message.as_str().to_owned()),
            replaced: post.message.replaced(),
            ignored: options.ignored,
            ..Receipt::of(deliveries)
        };
        if failures.is_empty() {
            return Ok(receipt);
        }
        Err(failed(receipt, &failures))
    }

    /// The parts for each destination; too many for any of them, and nothing is posted anywhere.
    fn render(
        &self,
        post: &Post,
        aims: Vec<Result<Ready, Failure>>,
    ) -> Result<Vec<Aimed>, Problem> {
        let max = self.context.state.max_parts;
        let rendered = aims.into_iter().map(|aim| {
            let Ok(ready) = aim else { return Ok((aim, Vec::new())) };
            let parts = ready.render(post);
            if parts.len() > max {
                let detail = format!(
                    "the message would take {} posts on {}, at most {max} are made (MAX_PARTS); shorten it",
                    parts.len(),
                    ready.backend
                );
                return Err(Problem::new(Code::MessageTooLong, detail));
            }
            Ok((Ok(ready), parts))
        });
        rendered.collect()
    }

    /// Without an outbox: delivered while the caller waits, or not at all.
    async fn direct(
        &self,
        destinations: &[Destination],
        aimed: &[Aimed],
        deadline: Instant,
    ) -> Vec<Ended> {
        let dispatcher = self.context.dispatcher;
        let tries = destinations
            .iter()
            .zip(aimed)
            .map(|(to, (aim, parts))| async move {
                match aim {
                    Err(failure) => untried(to, failure),
                    Ok(ready) => {
                        let outcome = dispatcher.deliver(ready, parts, deadline).await;
                        let delivery = Delivery::tried(ready, &outcome, parts.len());
                        (delivery, outcome.result.err())
                    }
                }
            });
        all(tries).await
    }

    /// With an outbox: each destination is tried at once where nothing waits for it, and stored where that fails.
    async fn through_outbox(
        &self,
        letter: &Letter<'_>,
        destinations: &[Destination],
        aimed: &[Aimed],
        deadline: Instant,
    ) -> Result<Vec<Ended>, Problem> {
        let dispatcher = self.context.dispatcher;
        let sends = (0u16..).zip(aimed).map(|(place, (aim, parts))| async move {
            let ready = aim.as_ref().ok()?;
            let dispatcher = Arc::clone(dispatcher);
            Some(dispatcher.send(letter, place, ready, parts, deadline).await)
        });
        let sent = all(sends).await;
        if let Some(problem) = stored_nowhere(&sent) {
            let entries = receipts(destinations, aimed, sent);
            let is_only = entries.len() == 1;
            let deliveries = entries.into_iter().map(|(entry, _)| entry);
            return Err(Problem {
                deliveries: deliveries.filter(|_| !is_only).collect(),
                ..problem
            });
        }
        // Also one that waited and has ended by now: its receipt says how the whole message did.
        if sent.len() > 1 && sent.iter().flatten().any(Sent::is_stored) {
            let unfound = self.unfound(destinations, aimed);
            let unfound = unfound.iter().map(|(at, one)| (*at, &one.ready, &one.sent));
            let rest = (0u16..)
                .zip(aimed)
                .zip(&sent)
                .filter_map(|((place, (aim, _)), sent)| {
                    Some((place, aim.as_ref().ok()?, sent.as_ref()?))
                })
                .chain(unfound);
            // What was delivered or promised stays so; only what is looked up later is not whole.
            if let Err(error) = Box::pin(dispatcher.record(letter, rest.collect())).await {
                tracing::warn!(%error, "the receipt of a message with several destinations is not whole");
            }
        }
        Ok(receipts(destinations, aimed, sent))
    }

    /// The destinations that nobody knows, with their places.
    fn unfound(&self, destinations: &[Destination], aimed: &[Aimed]) -> Vec<(u16, Unfound)> {
        let all = (0u16..).zip(destinations).zip(aimed);
        all.filter_map(|((place, to), (aim, _))| {
            let failure = aim.as_ref().err()?;
            Some((place, self.context.dispatcher.unfound(to, failure)?))
        })
        .collect()
    }

    /// Stored for every destination before anything is tried. The inner error is the state of the message that had
    /// the same idempotency key.
    async fn stored(
        &self,
        letter: &Letter<'_>,
        destinations: &[Destination],
        aimed: &[Aimed],
        patience: Patience,
    ) -> Result<Result<Vec<Ended>, (DeliveryId, Vec<Row>)>, Problem> {
        let Patience { deadline, is_async } = patience;
        let dispatcher = self.context.dispatcher;
        let ready: Vec<(u16, &Ready)> = (0u16..)
            .zip(aimed)
            .filter_map(|(place, (aim, _))| Some((place, aim.as_ref().ok()?)))
            .collect();
        let unfound = self.unfound(destinations, aimed);
        let accepted = dispatcher.accept(letter, &ready, &unfound, is_async, deadline);
        let accepted = accepted.await;
        let mut sent = match accepted.map_err(|error| not_stored(&error))? {
            Accepted::New(sent) => sent.into_iter(),
            Accepted::Known { same: false, .. } => return Err(key_reused()),
            Accepted::Known { id, same: true } => {
                let rows = dispatcher.recall(id, is_async, deadline).await;
                return rows
                    .map(|rows| Err((id, rows)))
                    .map_err(|error| not_stored(&error));
            }
        };
        let sent: Vec<Option<Sent>> = aimed
            .iter()
            .map(|(aim, _)| aim.is_ok().then(|| sent.next()).flatten())
            .collect();
        let is_kept = |sent: &Option<Sent>| match sent {
            Some(Sent::Delivered { .. } | Sent::Queued(_)) => true,
            Some(Sent::Failed { is_promised, .. }) => *is_promised,
            Some(Sent::NotStored { .. }) | None => false,
        };
        if letter.once.is_some() && !sent.iter().any(is_kept) {
            // Nothing of it was posted or promised: the key is free for another try.
            let freed = dispatcher.free_key(letter.post.id).await;
            freed.map_err(|error| not_stored(&error))?;
        }
        Ok(Ok(receipts(destinations, aimed, sent)))
    }
}

fn dry(destinations: &[Destination], aimed: &[Aimed]) -> Vec<Ended> {
    let shown = destinations
        .iter()
        .zip(aimed)
        .map(|(to, (aim, parts))| match aim {
            Err(failure) => untried(to, failure),
            Ok(ready) => (Delivery::dry(ready, parts), None),
        });
    shown.collect()
}

fn untried(to: &Destination, failure: &Failure) -> Ended {
    let delivery = Delivery::untried(to.backend, to.channel(), failure);
    (delivery, Some(failure.clone()))
}

fn receipts(destinations: &[Destination], aimed: &[Aimed], sent: Vec<Option<Sent>>) -> Vec<Ended> {
    let all = destinations.iter().zip(aimed).zip(sent);
    let entries = all.map(|((to, (aim, parts)), sent)| match (aim, sent) {
        (Err(failure), _) => untried(to, failure),
        (Ok(ready), sent) => {
            let sent = sent.unwrap_or(Sent::NotStored {
                error: StoreError::Closed.into(),
                attempts: 0,
                may_be_posted: false,
            });
            Delivery::sent(ready, &sent, parts.len())
        }
    });
    entries.collect()
}

/// The problem where no destination took the message and the outbox took it for none.
fn stored_nowhere(sent: &[Option<Sent>]) -> Option<Problem> {
    let (mut first, mut doubt) = (None, "");
    for one in sent {
        let Some(Sent::NotStored {
            error,
            may_be_posted,
            ..
        }) = one
        else {
            return None;
        };
        first.get_or_insert(error);
        if *may_be_posted {
            doubt = MAY_BE_POSTED;
        }
    }
    let problem = not_stored(first?);
    Some(Problem {
        detail: format!("{}{doubt}", problem.detail).into(),
        ..problem
    })
}

/// Why nothing is promised.
pub(super) fn not_stored(error: &NotStored) -> Problem {
    let (code, detail) = match error {
        NotStored::Full => (
            Code::OutboxFull,
            "too many messages wait to be delivered (OUTBOX_MAX), and this one would have to wait; it is not stored",
        ),
        NotStored::Store(StoreError::Closed) => (
            Code::ShuttingDown,
            "the proxy is stopping and stores no more messages; try again in a moment",
        ),
        NotStored::Store(StoreError::Full) => (
            Code::StoreUnavailable,
            "the disk of the outbox is full, so no message can be promised; free some space",
        ),
        NotStored::Store(StoreError::Gone) => (
            Code::StoreUnavailable,
            "the file of the outbox was removed or replaced, so no message can be promised; put it back, or start the program again",
        ),
        NotStored::Store(_) => (
            Code::StoreUnavailable,
            "the outbox did not take the message; the log says why",
        ),
    };
    Problem::new(code, detail).retry_after_s(RETRY_AFTER_S)
}

/// Like `join_all`, without its allocations for the single future that most posts are.
async fn all<F: Future>(mut futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    if futures.size_hint() == (1, Some(1)) {
        let only = OptionFuture::from(futures.next()).await;
        return only.into_iter().collect();
    }
    Box::pin(join_all(futures)).await
}
