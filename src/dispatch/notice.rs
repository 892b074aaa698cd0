//! Messages of the proxy's own: the answers to its commands, delivered like any other post.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::FutureExt as _;

use crate::domain::channel::Destination;
use crate::domain::delivery::{DeliveryId, Post};
use crate::domain::message::Message;
use crate::domain::options::Format;
use crate::outbox::Once;

use super::Dispatcher;
use super::send::Letter;

/// How long a notice is tried where there is no outbox.
const PATIENCE: Duration = Duration::from_secs(10);
/// Who posts it, in receipts.
const CALLER: &str = "@proxy";

impl Dispatcher {
    /// Posts a text to a channel by its id: stored where there is an outbox, else tried for a while. Whoever asked does
    /// not wait for it; what becomes of it is in the log. With `once`, the same is not posted twice.
    pub async fn notify(self: Arc<Self>, to: Destination, text: &str, once: Option<Once>) {
        let Ok(message) = Message::parse(text) else {
            return tracing::error!("a notice of the proxy's own is no message");
        };
        let post = Post::bare(DeliveryId::generate(), message, Format::Plain);
        let now = self.shared.clock.now();
        let ready = match self.ready(&to, now + PATIENCE).await {
            Ok(ready) => ready,
            Err(failure) => return tracing::warn!(reason = %failure, "a notice is not posted"),
        };
        if self.desk.is_none() {
            return self.notify_now(ready, post, now + PATIENCE);
        }
        let letter = Letter {
            post: &post,
            caller: CALLER,
            ignored: &[],
            once,
        };
        let to = [(0, &ready)];
        let accepted = self.accept(&letter, &to, &[], true, now);
        if let Err(error) = accepted.await {
            tracing::warn!(%error, "a notice is not posted");
        }
    }

    fn notify_now(self: Arc<Self>, ready: super::Ready, post: Post, deadline: Instant) {
        self.background.send_modify(|count| *count += 1);
        tokio::task::spawn_local(async move {
            let parts = ready.render(&post);
            let delivered = AssertUnwindSafe(self.deliver(&ready, &parts, deadline));
            // How it ended is noted there; a panic must not keep the process from stopping.
            drop(delivered.catch_unwind().await);
            self.background.send_modify(|count| *count -= 1);
        });
    }
}
