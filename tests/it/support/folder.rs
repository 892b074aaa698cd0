//! A folder of a test's own, for the outbox and whatever else it puts on a disk.

use std::path::{Path, PathBuf};

use super::unique;

/// Removed with everything in it when it is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(unique("message-webhook-proxy-", 16));
        std::fs::create_dir(&path).expect("cannot make a folder for the test");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The `DATABASE_URL` of an outbox in this folder.
    pub fn database_url(&self) -> String {
        format!("sqlite:{}", self.0.join("outbox.db").display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind is the temporary folder's business.
        std::fs::remove_dir_all(&self.0).ok();
    }
}
