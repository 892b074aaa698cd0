//! Whether all bytes of a text are of a kind; for texts that nearly always are. What that means is for the caller.

/// Whether every byte is what `is` says. It looks at sixteen at once, where a search that stops at the first other
/// one would take them one by one; `is` should join its tests by `&` and `|`, which do not branch.
#[must_use]
pub fn all(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    in_chunks::<16>(bytes, &is)
        .or_else(|| in_chunks::<8>(bytes, &is))
        .unwrap_or_else(|| bytes.iter().all(|&b| is(b)))
}

/// `None` if there is not one whole chunk.
fn in_chunks<const N: usize>(bytes: &[u8], is: impl Fn(u8) -> bool) -> Option<bool> {
    let every = |chunk: &[u8; N]| chunk.iter().fold(true, |every, &b| every & is(b));
    // The last chunk overlaps the one before, and holds what the whole ones leave.
    let last = bytes.last_chunk()?;
    Some(bytes.as_chunks().0.iter().chain([last]).all(every))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_byte_counts(
            bytes in proptest::collection::vec(any::<u8>(), 0..70),
            bad in any::<u8>(),
        ) {
            let is = |b: u8| b != bad;
            prop_assert_eq!(all(&bytes, is), bytes.iter().all(|&b| is(b)));
        }

        #[test]
        fn one_bad_byte_is_found_anywhere(
            len in 1usize..70,
            at in any::<proptest::sample::Index>(),
        ) {
            let mut bytes = vec![b'a'; len];
            prop_assert!(all(&bytes, |b| b == b'a'));

            bytes[at.index(len)] = b'b';

            prop_assert!(!all(&bytes, |b| b == b'a'));
        }
    }
}
