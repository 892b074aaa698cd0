//! What a platform must be able to do so that several workspaces can install its app: send an administrator to agree, change
//! a grant for tokens, and post with each workspace's own. It stores nothing: the dispatcher seals and keeps.

use futures_util::future::LocalBoxFuture;

use super::Wire;
use crate::domain::delivery::Failure;
use crate::domain::secret::Secret;

/// The app in one workspace.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The platform's id of the workspace.
    pub workspace: String,
    /// What people call it: one line of text, no markup.
    pub name: String,
    /// What posts there.
    pub token: Secret,
    /// How the token is replaced, if it runs out.
    pub renewal: Option<Renewal>,
}

/// How a token that runs out is replaced.
#[derive(Debug, Clone)]
pub struct Renewal {
    /// Good for one renewal.
    pub token: Secret,
    /// When the installation's token runs out, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// What is changed for tokens.
#[derive(Debug, Clone, Copy)]
pub enum Grant<'a> {
    /// What an administrator's browser brought back.
    Code {
        /// Good for once.
        code: &'a str,
        /// Where the browser was to come back to, exactly as the platform was told; `None` if it was not.
        redirect: Option<&'a str>,
    },
    /// An installation whose token is renewed.
    Renewal(&'a Installation, &'a Renewal),
}

/// No more workspaces fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no more than {MAX_WORKSPACES} workspaces fit")]
pub struct NoRoom;

/// The most workspaces: some KiB each, and one call to the platform every few hours.
pub const MAX_WORKSPACES: usize = 1000;

/// A backend whose app several workspaces can install.
pub trait Installer {
    /// Where an administrator agrees; `None` when the app's credentials are not configured.
    fn consent_url(&self, state: &str, redirect: Option<&str>) -> Option<String>;

    /// Changes a grant for tokens. `now_ms` is the present since 1970.
    fn obtain<'a>(
        &'a self,
        wire: &'a dyn Wire,
        grant: Grant<'a>,
        now_ms: u64,
    ) -> LocalBoxFuture<'a, Result<Installation, Failure>>;

    /// Whether the platform takes the token of this workspace; posts nothing.
    fn check_workspace<'a>(
        &'a self,
        wire: &'a dyn Wire,
        workspace: &'a str,
    ) -> LocalBoxFuture<'a, Result<(), Failure>>;

    /// Whether there is room for this workspace.
    ///
    /// # Errors
    /// [`NoRoom`].
    fn room_for(&self, workspace: &str) -> Result<(), NoRoom>;

    /// Posts with this installation from now on.
    ///
    /// # Errors
    /// [`NoRoom`].
    fn adopt(&self, installation: Installation) -> Result<(), NoRoom>;

    /// Takes note of a workspace whose installation cannot be opened: posts there are refused with that reason.
    fn lock(&self, workspace: &str);

    /// Forgets a workspace.
    fn forget(&self, workspace: &str);

    /// The present installation of a workspace.
    fn installation(&self, workspace: &str) -> Option<Installation>;

    /// The installations whose tokens are to be renewed now.
    fn due(&self, now_ms: u64) -> Vec<Installation>;
}
