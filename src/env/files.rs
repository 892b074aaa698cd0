//! How many files this process may have open, its connections among them.
//!
//! The system's own call for that is not in the standard library and takes unsafe code; Linux writes it into a file as well.
//! Elsewhere it stays unknown, and nothing is made smaller for it.

use std::io;

/// What Linux says of it.
const LIMITS: &str = "/proc/self/limits";
const OPEN: &str = "/proc/self/fd";
/// `EMFILE` on Linux.
const NONE_LEFT: i32 = 24;
/// Standard input, output and error.
const STANDARD: usize = 3;

/// The limit of open files, and how many there were at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Files {
    /// The soft limit, which `ulimit -n` shows and sets; `None` if there is none, or nobody knows it.
    pub limit: Option<usize>,
    /// Open already: the standard ones, and what whoever started this process has left open.
    pub open: usize,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            limit: None,
            open: STANDARD,
        }
    }
}

impl Files {
    /// That so many more may not be opened, if so: what the limit is, and what it has to be at least.
    #[must_use]
    pub fn without_room_for(self, more: usize) -> Option<(usize, usize)> {
        let (limit, least) = (self.limit?, self.open + more);
        (limit < least).then_some((limit, least))
    }

    /// Those of this process.
    pub(super) fn of_process() -> Self {
        let limit = match std::fs::read_to_string(LIMITS) {
            Ok(text) => soft_limit(&text),
            Err(error) if error.raw_os_error() == Some(NONE_LEFT) => Some(STANDARD),
            Err(_) => None,
        };
        Self {
            limit,
            open: open().map_or(STANDARD, |open| open.max(STANDARD)),
        }
    }
}

fn open() -> io::Result<usize> {
    // The one that reads the folder is in it.
    Ok(std::fs::read_dir(OPEN)?.count().saturating_sub(1))
}

/// The soft limit of open files in what `/proc/[pid]/limits` says (`proc(5)`): a table with columns as wide as their longest
/// value.
fn soft_limit(limits: &str) -> Option<usize> {
    let mut lines = limits.lines();
    let values = lines.find_map(|line| line.strip_prefix("Max open files"))?;
    // `unlimited` is no number. More than there is room for is as good as that.
    values.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINUX: &str = "\
Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max processes             5                    5                    processes 
Max open files            1024                 524288               files     
Max locked memory         8388608              8388608              bytes     
";

    #[test]
    fn the_soft_limit_is_read() {
        assert_eq!(soft_limit(LINUX), Some(1024));
        assert_eq!(soft_limit("Max open files 16 4096 files"), Some(16));
        assert_eq!(soft_limit("Max open files            0 0 files"), Some(0));
    }

    #[test]
    fn what_says_no_number_is_no_limit() {
        let unlimited = LINUX.replace("1024  ", "unlimited");
        for text in [
            "",
            "Max open files",
            "Max processes 5 5 processes",
            "Max open files -1 -1 files",
            "Max open files 99999999999999999999999 1 files",
            &unlimited,
        ] {
            assert_eq!(soft_limit(text), None, "{text}");
        }
    }

    #[test]
    fn there_is_room_up_to_the_limit() {
        let files = Files {
            limit: Some(16),
            open: 4,
        };

        assert_eq!(files.without_room_for(12), None);
        assert_eq!(files.without_room_for(13), Some((16, 17)));
        assert_eq!(Files::default().without_room_for(10_000), None);
    }

    #[test]
    fn this_process_has_the_standard_files_open() {
        assert!(Files::of_process().open >= STANDARD);
    }
}
