//! Whether SQLite's log is what was written (<https://www.sqlite.org/fileformat2.html#walformat>).
//!
//! SQLite takes a log up to the first frame that is not whole and throws the rest away without a word. That is right after
//! a power cut, which tears no more than the last commit, since each is synced before the next is begun. A log that was
//! damaged holds more commits behind the tear, and all of them were promised.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

const HEADER_BYTES: usize = 32;
const FRAME_BYTES: usize = 24;
/// Of every outbox: SQLite's own choice, which nothing here changes.
const PAGE_BYTES: usize = 4096;
/// The header's first bytes; the last bit says that sums are made of big-endian words.
const MAGIC: u32 = 0x377f_0682;

/// The running sum of a log.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sum(u32, u32);

/// Whether nothing is lost by reading it as SQLite does. A log that is missing is whole.
pub(super) fn is_whole(log: &Path) -> io::Result<bool> {
    match File::open(log) {
        Ok(file) => Ok(commits_behind_a_tear(&mut BufReader::new(file))? < 2),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// How many commits there are behind the first frame that SQLite would not take.
fn commits_behind_a_tear(log: &mut impl Read) -> io::Result<usize> {
    let mut header = [0; HEADER_BYTES];
    if !fill(log, &mut header)? {
        return Ok(0);
    }
    let magic = word(&header, 0);
    let is_big_endian = magic & 1 == 1;
    let mut sum = Sum(0, 0).of(&header[..24], is_big_endian);
    let mut is_torn = magic & !1 != MAGIC || sum != Sum(word(&header, 24), word(&header, 28));
    // Those of the header; where that is damaged, those of the first frame.
    let mut salts = (!is_torn).then(|| (word(&header, 16), word(&header, 20)));
    let (mut frame, mut page) = ([0; FRAME_BYTES], [0; PAGE_BYTES]);
    let mut commits = 0;
    while fill(log, &mut frame)? && fill(log, &mut page)? {
        let found = (word(&frame, 8), word(&frame, 12));
        let is_of_this_log = *salts.get_or_insert(found) == found;
        if !is_torn {
            sum = sum.of(&frame[..8], is_big_endian).of(&page, is_big_endian);
            is_torn = !is_of_this_log || sum != Sum(word(&frame, 16), word(&frame, 20));
        }
        // What an earlier use of the file has left has other salts.
        if is_torn && is_of_this_log && word(&frame, 4) != 0 {
            commits += 1;
        }
    }
    Ok(commits)
}

/// Fills `bytes`; `false` at the end.
fn fill(log: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

impl Sum {
    fn of(self, bytes: &[u8], is_big_endian: bool) -> Self {
        let Self(mut one, mut two) = self;
        for pair in bytes.chunks_exact(8) {
            let (first, second) = (word(pair, 0), word(pair, 4));
            let (first, second) = if is_big_endian {
                (first, second)
            } else {
                (first.swap_bytes(), second.swap_bytes())
            };
            one = one.wrapping_add(first).wrapping_add(two);
            two = two.wrapping_add(second).wrapping_add(one);
        }
        Self(one, two)
    }
}
