//! How many files this process may have open, its connections among them.

use std::io;

use rlimit::Resource;

/// What is open, on Linux.
const OPEN: &str = "/proc/self/fd";
/// More than 64 workers and all connections take.
const ENOUGH: u64 = 65_536;
/// Standard input, output and error.
const STANDARD: usize = 3;

/// The limit of open files, and how many there were at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Files {
    /// The limit; `None` if there is none, or nobody knows it.
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

    /// Those of this process. Its soft limit is raised towards the hard one first: it is kept low only for programs that call
    /// select(2), which takes no high numbers; this one does not.
    pub(super) fn of_process() -> Self {
        let raised = rlimit::increase_nofile_limit(ENOUGH);
        let limit = raised.or_else(|_| Resource::NOFILE.get_soft());
        Self {
            limit: limit.ok().and_then(finite),
            open: open().map_or(STANDARD, |open| open.max(STANDARD)),
        }
    }
}

/// No limit, and more than there is room for, are the same.
fn finite(limit: u64) -> Option<usize> {
    let limit = Some(limit).filter(|limit| *limit != rlimit::INFINITY);
    limit.and_then(|limit| usize::try_from(limit).ok())
}

fn open() -> io::Result<usize> {
    // The one that reads the folder is in it.
    Ok(std::fs::read_dir(OPEN)?.count().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_no_number() {
        assert_eq!(finite(1024), Some(1024));
        assert_eq!(finite(0), Some(0));
        assert_eq!(finite(rlimit::INFINITY), None);
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
