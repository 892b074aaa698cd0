//! Digests of lists of texts, to know the same list again. They must be the same in every version of the program, since
//! some are stored; and they keep nothing secret: whoever can guess the texts can make the digest.

use sha2::{Digest as _, Sha256};

/// The digest of these texts in this order; lists of different kinds have nothing in common.
#[must_use]
pub fn of_list<'a>(kind: &str, texts: impl IntoIterator<Item = &'a str>) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(kind);
    for text in texts {
        // With its length, so that no two lists read the same.
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

/// The first bytes of a digest, where so many are enough to tell one from another.
#[must_use]
pub fn first<const N: usize>(digest: [u8; 32]) -> [u8; N] {
    std::array::from_fn(|i| digest[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is stored under the first version's digests is found by this one.
    #[test]
    fn a_stored_digest_is_found_again() {
        let digest = of_list("command", ["slack", "T1", "C1", "1766000100.000300"]);

        assert_eq!(first(digest), [150, 213, 222, 20, 121, 185, 40, 220]);
        assert_eq!(
            first(of_list("", ["ops", "hello"])),
            [199, 120, 118, 94, 135, 40, 204, 71]
        );
    }

    #[test]
    fn no_other_list_has_the_same() {
        let digests = [
            of_list("a", ["b", "c"]),
            of_list("a", ["bc"]),
            of_list("a", ["bc", ""]),
            of_list("a", ["c", "b"]),
            of_list("b", ["b", "c"]),
        ];

        let different: std::collections::BTreeSet<_> = digests.iter().collect();
        assert_eq!(different.len(), digests.len());
    }
}
