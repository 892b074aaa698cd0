//! Tokens that run out are renewed in time, and what an older key has sealed is sealed anew: in the background, one workspace
//! after the other, each stored before it is used.

use std::time::Duration;

use futures_util::future::select;

use super::{InstallError, Rest};
use crate::backends::install::{Grant, Installation, Installer};
use crate::clock;
use crate::dispatch::{Desk, Dispatcher, Phase};
use crate::domain::delivery::Failure;
use crate::domain::retry::RetryPolicy;
use crate::outbox::StoreError;

/// How often every token is looked at.
const ROUND: Duration = Duration::from_secs(60);
/// A renewed token is not renewed again within this, whatever lifetime it claims; nor one that the platform refuses to renew.
pub(super) const AFTER_SUCCESS: Duration = Duration::from_secs(60);
const AFTER_REFUSAL: Duration = Duration::from_secs(600);
/// How soon a store without room is tried again.
const STORE_RETRY: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// Renews tokens that run out until the process stops; a renewal that is under way then is finished, because what it
    /// spends is good for once.
    pub(in crate::dispatch) async fn look_after_installations(&self) {
        let Some(queue) = self.desk.as_ref().map(|desk| &desk.queue) else {
            return;
        };
        self.seal_anew().await;
        while queue.phase() == Phase::Serving {
            let rest = self.renew_due().await;
            let woken = std::pin::pin!(self.shared.installations.wake.notified());
            let stopping = std::pin::pin!(queue.reached(Phase::Stopping));
            // Whichever comes first: then it is looked again, or it is over.
            drop(tokio::time::timeout(rest, select(woken, stopping)).await);
        }
    }

    /// Has the first key of `STORE_KEY` seal what an older one did, so that the older one can be taken out.
    async fn seal_anew(&self) {
        let shared = &self.shared.installations;
        let old = std::mem::take(&mut *shared.old());
        let Some((installer, desk)) = self.installer().zip(self.desk.as_ref()) else {
            return;
        };
        for workspace in old {
            let _writing = shared.writing.lock().await;
            let Some(installation) = installer.installation(&workspace) else {
                continue;
            };
            let Some(note) = shared.seal(&installation) else {
                continue;
            };
            match self.keep(desk, note).await {
                Ok(()) => {
                    tracing::info!(%workspace, "an installation is sealed with the new STORE_KEY")
                }
                Err(error) => {
                    tracing::warn!(%workspace, %error, "an installation stays sealed with the older STORE_KEY until the next start");
                }
            }
        }
    }

    /// Renews what is due, one after the other; how long until something may be due again that is due now.
    pub(super) async fn renew_due(&self) -> Duration {
        let mut soonest = ROUND;
        let Some((installer, desk)) = self.installer().zip(self.desk.as_ref()) else {
            return soonest;
        };
        let shared = &self.shared.installations;
        for old in installer.due(self.unix_ms()) {
            if desk.queue.phase() != Phase::Serving {
                break;
            }
            let now = self.shared.clock.now();
            let rest = shared.rest(&old.workspace);
            if let Some(rest) = rest.filter(|rest| rest.until > now) {
                soonest = soonest.min(rest.until - now);
                continue;
            }
            let failures = rest.map_or(0, |rest| rest.failures);
            let wait = match self.renew(installer, desk, &old).await {
                Ok(()) => (AFTER_SUCCESS, 0),
                Err(error) => {
                    tracing::error!(workspace = %old.workspace, reason = %error, "a workspace's token is not renewed");
                    (pause_after(&error, failures + 1), failures + 1)
                }
            };
            let until = self.shared.clock.now() + wait.0;
            let failures = wait.1;
            shared.leave_alone(&old.workspace, Rest { until, failures });
            soonest = soonest.min(wait.0);
        }
        soonest
    }

    async fn renew(
        &self,
        installer: &dyn Installer,
        desk: &Desk,
        old: &Installation,
    ) -> Result<(), InstallError> {
        let Some(renewal) = &old.renewal else {
            return Ok(());
        };
        let grant = Grant::Renewal(old, renewal);
        let fresh = installer.obtain(&self.wire, grant, self.unix_ms()).await?;
        // A renewal need not repeat the name.
        let name = old.name.clone();
        let fresh = Installation { name, ..fresh };
        // The old refresh token is spent: without the new one on the disk the workspace would have to install again.
        loop {
            match self.replace(installer, desk, old, &fresh).await {
                Err(InstallError::NotStored(StoreError::Busy | StoreError::Full)) => {
                    tracing::warn!(workspace = %old.workspace, "a renewed token cannot be stored yet");
                    tokio::time::sleep(STORE_RETRY).await;
                }
                end => return end,
            }
        }
    }

    /// Tries once to store a renewed token, and uses it then. The lock is held for one try and no longer, so that a disk
    /// without room holds up no installation and no removal.
    async fn replace(
        &self,
        installer: &dyn Installer,
        desk: &Desk,
        old: &Installation,
        fresh: &Installation,
    ) -> Result<(), InstallError> {
        let shared = &self.shared.installations;
        let _writing = shared.writing.lock().await;
        let present = installer.installation(&old.workspace);
        let is_same =
            present.is_some_and(|present| present.token.matches(old.token.expose().as_bytes()));
        if !is_same {
            // It was installed again meanwhile, or removed: what that left is newer.
            return Ok(());
        }
        let note = shared.seal(fresh).ok_or(InstallError::NotSealed)?;
        self.keep(desk, note).await?;
        installer.adopt(fresh.clone())?;
        tracing::info!(workspace = %old.workspace, "a workspace's token is renewed");
        Ok(())
    }
}

/// How long a renewal that failed so often in a row is left alone.
fn pause_after(error: &InstallError, failures: u32) -> Duration {
    match error {
        InstallError::Failed(failure @ (Failure::Later { .. } | Failure::Unknown { .. })) => {
            let asked = failure.retry_after();
            RetryPolicy::STANDARD.delay(failures, asked, clock::roll())
        }
        _ => AFTER_REFUSAL,
    }
}
