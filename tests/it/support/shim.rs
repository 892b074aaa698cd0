//! Disks that are full or broken and clocks that jump, for one process at a time: `shim.c` stands between the program
//! and libc. Linux with glibc, and the `cc` that every Rust installation links with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::{Folder, Setup, unique};

/// A disk of its own and what is wrong with it: `Faults::none().setup(setup).start()`, then break things.
#[derive(Debug)]
pub struct Faults {
    disk: Folder,
    switches: Folder,
}

impl Faults {
    /// A disk without faults and a right clock.
    pub fn none() -> Self {
        Self {
            disk: Folder::new(),
            switches: Folder::new(),
        }
    }

    /// The folder that is the disk.
    pub fn disk(&self) -> &Folder {
        &self.disk
    }

    /// Gives a proxy an outbox on this disk, and these faults.
    pub fn setup(&self, setup: Setup) -> Setup {
        self.env()
            .into_iter()
            .fold(setup.outbox(&self.disk), |setup, (name, value)| {
                setup.set(name, value)
            })
    }

    /// The variables that give any program these faults.
    pub fn env(&self) -> [(&'static str, String); 3] {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        // The kernel names open files by their true path.
        let disk = fs::canonicalize(self.disk.path()).unwrap();
        [
            ("LD_PRELOAD", text(library())),
            ("SHIM_DIR", text(self.switches.path())),
            ("SHIM_DISK", text(&disk)),
        ]
    }

    /// What the disk's files hold, in bytes.
    pub fn used(&self) -> u64 {
        fs::read_dir(self.disk.path())
            .unwrap()
            // The program may remove a file meanwhile.
            .filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()))
            .sum()
    }

    /// Nothing fits beyond so many bytes.
    pub fn capacity(&self, bytes: u64) {
        self.switch("capacity", &bytes.to_string());
    }

    /// Nothing fits beyond what is there. A file that goes makes room, but not for all of itself: as where others write
    /// to the disk as well, so that a reserve that was given up cannot be taken back.
    pub fn disk_full(&self) {
        self.capacity(self.used().saturating_sub(1));
    }

    /// The same of a quota, on a disk with room for others.
    pub fn quota_used_up(&self) {
        self.switch("quota", "");
        self.disk_full();
    }

    pub fn write_fails(&self) {
        self.switch("write-fails", "");
    }

    pub fn fsync_fails(&self) {
        self.switch("fsync-fails", "");
    }

    /// The wall clock is so many seconds ahead of the true one.
    pub fn clock_offset(&self, seconds: i64) {
        self.switch("clock-offset", &seconds.to_string());
    }

    /// Takes every fault away; the clock jumps back as well.
    pub fn clear(&self) {
        for switch in fs::read_dir(self.switches.path()).unwrap() {
            fs::remove_file(switch.unwrap().path()).unwrap();
        }
    }

    fn switch(&self, name: &str, content: &str) {
        // Renamed into its place, so that nobody reads half of it.
        let whole = self.switches.path().join(unique("new-", 12));
        fs::write(&whole, content).unwrap();
        fs::rename(whole, self.switches.path().join(name)).unwrap();
    }
}

/// The compiled shim, made once for each run of the tests.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/shim.c");
        let (fresh, library) = (folder.join(unique("shim-", 12)), folder.join("shim.so"));
        fs::create_dir_all(folder).unwrap();
        let status = Command::new("cc")
            .args([
                "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o",
            ])
            .args([&fresh, &source])
            .status()
            .expect("cannot run cc");
        assert!(status.success(), "cc refused shim.c");
        // In one step: another run of the tests may be loading it.
        fs::rename(fresh, &library).unwrap();
        library
    })
}
