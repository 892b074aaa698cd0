//! Tells the futures of one worker that something has happened to the whole process.
//!
//! Every post waits for the end of the process, too. A channel that all workers share would be locked several times for
//! each; here one task of each worker listens to it, and posts wait for that.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

/// Rings once.
#[derive(Default)]
pub struct Bell {
    is_rung: Cell<bool>,
    rings: Notify,
}

impl Bell {
    /// A bell that rings when `event` is ready. Only for futures of this thread, and inside a `LocalSet`.
    #[must_use]
    pub fn after(event: impl Future<Output = ()> + 'static) -> Rc<Self> {
        let bell = Rc::<Self>::default();
        let rung = Rc::clone(&bell);
        tokio::task::spawn_local(async move {
            event.await;
            rung.is_rung.set(true);
            rung.rings.notify_waiters();
        });
        bell
    }

    /// Ready once it has rung.
    pub async fn rung(&self) {
        // Before the look: it may ring between the look and the wait.
        let rings = self.rings.notified();
        if !self.is_rung.get() {
            rings.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use futures_util::future::join3;
    use tokio::sync::oneshot;
    use tokio::task::LocalSet;

    #[tokio::test]
    async fn everyone_hears_it_however_late() {
        LocalSet::new()
            .run_until(async {
                let (pull, pulled) = oneshot::channel::<()>();
                let bell = Bell::after(async move { drop(pulled.await) });
                assert!(bell.rung().now_or_never().is_none());

                let (one, other) = (bell.rung(), bell.rung());
                join3(one, other, async { pull.send(()).unwrap() }).await;
                bell.rung().await;
            })
            .await;
    }
}
