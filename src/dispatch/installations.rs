//! The app in several workspaces: a browser's code becomes an installation, sealed and stored before it is used, and tokens
//! that run out are renewed in time. No token leaves here but into the seal and the backend.

mod renewal;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::FutureExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, oneshot};

use crate::backends::install::{Grant, Installation, Installer, MAX_WORKSPACES, NoRoom, Renewal};
use crate::clock;
use crate::domain::delivery::{Failure, Later};
use crate::domain::seal::StoreKeys;
use crate::domain::secret::Secret;
use crate::outbox::{Note, Space, StoreError};

use super::{Desk, Dispatcher, before};

/// What all workers share of this.
pub struct Installations {
    keys: StoreKeys,
    /// Held while a workspace's note and its token are changed, so that both say the same.
    writing: tokio::sync::Mutex<()>,
    /// A token is to be looked after before the next round.
    wake: Notify,
    /// When a workspace's renewal may be tried again, and how often it failed. Only of installed workspaces.
    rests: Mutex<HashMap<String, Rest>>,
    /// Sealed with an older key at the start.
    old: Mutex<Vec<String>>,
}

#[derive(Clone, Copy)]
struct Rest {
    until: Instant,
    failures: u32,
}

/// A workspace that was just installed, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its id.
    pub workspace: String,
    /// Its name, one line of text.
    pub name: String,
}

/// Why nothing was installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    /// The platform gave no tokens.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// Too many workspaces.
    #[error("{0}: uninstall the app where it is not needed any more, or run a second proxy")]
    NoRoom(#[from] NoRoom),
    /// The tokens could not be kept, so they are not used.
    #[error("the installation cannot be stored: {0}; begin again when that is mended")]
    NotStored(#[from] StoreError),
    /// There is no key, no chance or no outbox.
    #[error("the installation cannot be sealed: STORE_KEY and an outbox are needed")]
    NotSealed,
}

/// An installation as it is sealed. Short names, as of a stored post.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(rename = "n")]
    name: String,
    #[serde(rename = "t")]
    token: String,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    renewal: Option<String>,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    expires_ms: Option<u64>,
}

/// How long the store may take.
const STORE_DEADLINE: Duration = Duration::from_secs(5);
/// How long the platform may take to say whether a token is good; it waits itself, for the answer to its event.
const CHECK_DEADLINE: Duration = Duration::from_secs(1);

impl Installations {
    /// With `STORE_KEY`.
    #[must_use]
    pub fn new(keys: StoreKeys) -> Self {
        Self {
            keys,
            writing: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            rests: Mutex::default(),
            old: Mutex::default(),
        }
    }

    /// Takes note of how a delivery failed: a token that has run out is not left until the next round.
    pub(super) fn note(&self, failure: &Failure) {
        let is_out = matches!(
            failure,
            Failure::Later {
                reason: Later::Renewing,
                ..
            }
        );
        if is_out {
            self.wake.notify_one();
        }
    }

    fn seal(&self, installation: &Installation) -> Option<Note> {
        let renewal = installation.renewal.as_ref();
        let stored = Stored {
            name: installation.name.clone(),
            token: installation.token.expose().to_owned(),
            renewal: renewal.map(|renewal| renewal.token.expose().to_owned()),
            expires_ms: renewal.map(|renewal| renewal.expires_ms),
        };
        let plain = serde_json::to_vec(&stored).ok()?;
        let key = &installation.workspace;
        let value = self.keys.seal(key, &plain, clock::random().ok()?)?;
        Some(Note {
            space: Space::Installation,
            key: key.clone(),
            value,
        })
    }

    /// The installation of a note, and whether the present key sealed it.
    fn open(&self, note: &Note) -> Option<(Installation, bool)> {
        let unsealed = self.keys.open(&note.key, &note.value)?;
        let stored: Stored = serde_json::from_slice(&unsealed.plain).ok()?;
        let renewal = stored.renewal.zip(stored.expires_ms);
        let installation = Installation {
            workspace: note.key.clone(),
            name: stored.name,
            token: Secret::new(stored.token),
            renewal: renewal.map(|(token, expires_ms)| Renewal {
                token: Secret::new(token),
                expires_ms,
            }),
        };
        Some((installation, unsealed.is_current))
    }

    fn rests(&self) -> std::sync::MutexGuard<'_, HashMap<String, Rest>> {
        self.rests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rest(&self, workspace: &str) -> Option<Rest> {
        self.rests().get(workspace).copied()
    }

    fn leave_alone(&self, workspace: &str, rest: Rest) {
        let mut rests = self.rests();
        // Of workspaces that were removed while they were renewed; the others are tried once more than they would be.
        if rests.len() > MAX_WORKSPACES {
            rests.clear();
        }
        rests.insert(workspace.to_owned(), rest);
    }

    fn old(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.old.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dispatcher {
    /// Where an administrator agrees that the app is installed; `None` where the app's credentials are not configured.
    #[must_use]
    pub fn consent_url(
        &self,
        backend: &str,
        state: &str,
        redirect: Option<&str>,
    ) -> Option<String> {
        let bot = self.bot(backend)?;
        bot.installer()?.consent_url(state, redirect)
    }

    /// Changes the code that a browser brought back for tokens, keeps them sealed, and posts with them from then on. It goes
    /// on when the browser goes away, because the code is good for once.
    ///
    /// # Errors
    /// [`InstallError`].
    pub async fn install(
        self: Arc<Self>,
        backend: &'static str,
        code: String,
        redirect: Option<String>,
    ) -> Result<Installed, InstallError> {
        let (reply, answer) = oneshot::channel();
        self.background.send_modify(|count| *count += 1);
        tokio::task::spawn_local(async move {
            let redirect = redirect.as_deref();
            let code = &code;
            let installed = self.install_now(backend, Grant::Code { code, redirect });
            // A panic must not keep the process from stopping.
            if let Ok(installed) = AssertUnwindSafe(installed).catch_unwind().await {
                drop(reply.send(installed));
            }
            self.background.send_modify(|count| *count -= 1);
        });
        answer.await.unwrap_or(Err(InstallError::NotSealed))
    }

    async fn install_now(
        &self,
        backend: &str,
        grant: Grant<'_>,
    ) -> Result<Installed, InstallError> {
        let bot = self.bot(backend).ok_or(InstallError::NotSealed)?;
        let installer = bot.installer().ok_or(InstallError::NotSealed)?;
        let desk = self.desk.as_ref().ok_or(InstallError::NotSealed)?;
        let fresh = installer.obtain(&self.wire, grant, self.unix_ms()).await?;
        let installed = Installed {
            workspace: fresh.workspace.clone(),
            name: fresh.name.clone(),
        };
        let shared = &self.shared.installations;
        let _writing = shared.writing.lock().await;
        installer.room_for(&fresh.workspace)?;
        let note = shared.seal(&fresh).ok_or(InstallError::NotSealed)?;
        self.keep(desk, note).await?;
        shared.rests().remove(&fresh.workspace);
        installer.adopt(fresh)?;
        tracing::info!(workspace = %installed.workspace, "the app is installed in a workspace");
        shared.wake.notify_one();
        Ok(installed)
    }

    async fn keep(&self, desk: &Desk, note: Note) -> Result<(), StoreError> {
        let put = desk.store.put_note(note, self.unix_ms(), MAX_WORKSPACES);
        let kept = tokio::time::timeout(STORE_DEADLINE, put).await;
        kept.unwrap_or(Err(StoreError::Busy))
    }

    /// Forgets a workspace whose app was removed, or whose tokens were revoked, as the platform says. It may say so late:
    /// a token that it takes is of a newer installation, and stays.
    ///
    /// # Errors
    /// [`StoreError`]: its token is used no more, but is still stored, sealed.
    pub async fn uninstall(&self, backend: &str, workspace: &str) -> Result<(), StoreError> {
        let installer = self.bot(backend).and_then(|bot| bot.installer());
        let Some((installer, desk)) = installer.zip(self.desk.as_ref()) else {
            return Ok(());
        };
        let Some(asked) = installer.installation(workspace) else {
            return Ok(());
        };
        let deadline = self.shared.clock.now() + CHECK_DEADLINE;
        let check = installer.check_workspace(&self.wire, workspace);
        if !matches!(
            before(deadline, check).await,
            Some(Err(Failure::Refused { .. }))
        ) {
            // Only the platform's own refusal shows that it is gone: a token that could not be asked after is kept.
            tracing::info!(
                workspace,
                "a workspace is said to be gone, and its token is not refused"
            );
            return Ok(());
        }
        let shared = &self.shared.installations;
        let _writing = shared.writing.lock().await;
        let present = installer.installation(workspace);
        if present.is_some_and(|present| !present.token.matches(asked.token.expose().as_bytes())) {
            // It was installed again while the old token was asked after.
            return Ok(());
        }
        installer.forget(workspace);
        shared.rests().remove(workspace);
        let note = desk
            .store
            .delete_note(Space::Installation, workspace.to_owned());
        let deleted = tokio::time::timeout(STORE_DEADLINE, note).await;
        deleted.unwrap_or(Err(StoreError::Busy))?;
        tracing::info!(workspace, "the app is no longer installed in a workspace");
        Ok(())
    }

    /// Takes over the installations that an earlier process left. One that cannot be opened stays where it is.
    pub fn load_installations(&self, notes: &[Note]) {
        let shared = &self.shared.installations;
        let Some(installer) = self.installer() else {
            return;
        };
        let notes = notes.iter().filter(|n| n.space == Space::Installation);
        for note in notes {
            match shared.open(note) {
                Some((installation, is_current)) => {
                    if !is_current {
                        shared.old().push(note.key.clone());
                    }
                    if let Err(error) = installer.adopt(installation) {
                        tracing::error!(workspace = %note.key, %error, "an installation is not used");
                    }
                }
                None => {
                    installer.lock(&note.key);
                    tracing::error!(
                        workspace = %note.key,
                        "an installation cannot be opened with STORE_KEY: add the key that it was sealed with, or install the app there again"
                    );
                }
            }
        }
    }

    /// Whether this workspace has installed the bot, so that its token is the one to post with.
    #[must_use]
    pub fn has_installed(&self, backend: &str, workspace: &str) -> bool {
        let installer = self.bot(backend).and_then(|bot| bot.installer());
        installer.is_some_and(|installer| installer.installation(workspace).is_some())
    }

    pub(super) fn bot(&self, backend: &str) -> Option<&dyn crate::backends::Backend> {
        let platforms = &self.shared.platforms;
        let platform = platforms.iter().find(|p| p.name == backend)?;
        platform.bot.as_deref()
    }

    fn installer(&self) -> Option<&dyn Installer> {
        let bots = self
            .shared
            .platforms
            .iter()
            .filter_map(|p| p.bot.as_deref());
        bots.filter_map(|bot| bot.installer()).next()
    }
}

#[cfg(test)]
mod tests;
