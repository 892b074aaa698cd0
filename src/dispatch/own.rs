//! Who the bot is on its platform, so that it does not answer itself. Asked once; a failure is asked again.

use std::collections::HashMap;
use std::time::Instant;

use super::{Dispatcher, before};

/// The bots' user ids, by backend.
pub(super) type Own = tokio::sync::Mutex<HashMap<&'static str, String>>;

impl Dispatcher {
    /// The user id of the bot of this backend; `None` if there is none, or the platform does not say in time.
    pub async fn own_user(&self, backend: &'static str, deadline: Instant) -> Option<String> {
        let bot = self.bot(backend)?;
        // Whoever asks before may be waiting for a platform that hangs.
        let mut own = before(deadline, self.shared.own.lock()).await?;
        if let Some(id) = own.get(backend) {
            return Some(id.clone());
        }
        let id = before(deadline, bot.own_user(&self.wire)).await?.ok()??;
        own.insert(backend, id.clone());
        Some(id)
    }
}
