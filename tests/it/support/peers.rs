//! The platforms' own SDKs and schemas, as `tests/peers/install` puts them under `target/peers`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A Python interpreter that has the packages of `tests/peers/requirements.txt`.
pub fn python() -> PathBuf {
    folder().join("py/bin/python")
}

/// The folder with the `node_modules` of `tests/peers/package.json`. A script that lies elsewhere finds them by
/// `require` when `NODE_PATH` names this folder's `node_modules`.
pub fn node() -> PathBuf {
    folder().join("node")
}

/// Installed once for each test process; a second run of the installer takes milliseconds.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new(root.join("tests/peers/install"))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "tests/peers/install failed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        root.join("target/peers")
    })
}
