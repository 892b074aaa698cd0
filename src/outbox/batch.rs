//! What waits for the outbox, done in one transaction: each is answered only after the commit, and the error of one
//! is not the error of the others.

use tokio::sync::oneshot;

use super::{Outbox, StoreError};

/// Something to do in a transaction, which may have to be done again in another one.
pub(super) trait Job: Send {
    /// Whether it adds a message: the disk must have room for it.
    fn adds(&self) -> bool;

    /// Whether nobody waits for it and nobody would miss it.
    fn is_abandoned(&self) -> bool;

    /// Does it; what comes of it is kept until [`Job::answer`].
    ///
    /// # Errors
    /// [`StoreError`]; nothing of the transaction may be committed then.
    fn run(&mut self, outbox: &mut dyn Outbox) -> Result<(), StoreError>;

    /// Tells how it ended.
    fn answer(self: Box<Self>, end: Result<(), StoreError>);
}

/// What is done by the thread itself once it is known how a job ended, whether anybody still waits for it or not.
pub(super) type Then<T> = Box<dyn FnOnce(&Result<T, StoreError>) + Send>;

/// A [`Job`] out of a closure.
pub(super) struct Task<T, F> {
    pub(super) adds: bool,
    pub(super) work: F,
    pub(super) done: Option<T>,
    pub(super) then: Option<Then<T>>,
    pub(super) reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnMut(&mut dyn Outbox) -> Result<T, StoreError> + Send,
{
    fn adds(&self) -> bool {
        self.adds
    }

    fn is_abandoned(&self) -> bool {
        self.adds && self.reply.is_closed()
    }

    fn run(&mut self, outbox: &mut dyn Outbox) -> Result<(), StoreError> {
        self.done = Some((self.work)(outbox)?);
        Ok(())
    }

    fn answer(mut self: Box<Self>, end: Result<(), StoreError>) {
        let none = || Err(StoreError::Failed("it was not done".to_owned()));
        let answer = match end {
            Ok(()) => self.done.take().map_or_else(none, Ok),
            Err(error) => Err(error),
        };
        if let Some(then) = self.then.take() {
            then(&answer);
        }
        // Whoever asked may have gone; what was done stays done.
        drop(self.reply.send(answer));
    }
}

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Everything is committed and answered but what had an error of its own.
    Done,
    /// The disk is full. Nothing is committed; who waits is still there.
    Full,
    /// The disk failed: everything was told so.
    Failed,
}

/// Does all of `jobs` in one transaction and answers them. After [`End::Full`] they are left for another try.
pub(super) fn run(outbox: &mut dyn Outbox, jobs: &mut Vec<Box<dyn Job>>) -> End {
    for job in jobs.extract_if(.., |job| job.is_abandoned()) {
        job.answer(Err(StoreError::Busy));
    }
    while !jobs.is_empty() {
        match attempt(outbox, jobs) {
            Ok(()) => {
                answer_all(jobs, &Ok(()));
            }
            Err((_, StoreError::Full)) => return End::Full,
            // SQLite takes only ENOSPC for a full disk.
            Err((_, StoreError::Failed(_))) if outbox.is_at_a_limit() => return End::Full,
            Err((_, StoreError::Failed(why))) => {
                tracing::error!(error = %why, "the outbox cannot be written");
                answer_all(jobs, &Err(StoreError::Failed(why)));
                return End::Failed;
            }
            // Without it, the others can be done.
            Err((Some(at), error)) => jobs.remove(at).answer(Err(error)),
            Err((None, error)) => answer_all(jobs, &Err(error)),
        }
    }
    End::Done
}

/// One transaction; on an error nothing of it holds, and the number of the job is told if it was one's.
fn attempt(
    outbox: &mut dyn Outbox,
    jobs: &mut [Box<dyn Job>],
) -> Result<(), (Option<usize>, StoreError)> {
    outbox.begin().map_err(|error| (None, error))?;
    for (at, job) in jobs.iter_mut().enumerate() {
        if let Err(error) = job.run(outbox) {
            outbox.rollback();
            return Err((Some(at), error));
        }
    }
    outbox.commit().map_err(|error| (None, error))
}

pub(super) fn answer_all(jobs: &mut Vec<Box<dyn Job>>, end: &Result<(), StoreError>) {
    for job in jobs.drain(..) {
        job.answer(end.clone());
    }
}
