//! Sealing of what the outbox must not show: the tokens of installations. Authenticated encryption, pure; chance comes in
//! as an argument.
//!
//! A sealed value is `version (1 byte) | nonce (12) | ciphertext and tag (16 more than the plain text)`, AES-256-GCM.
//! It opens only for the name it was sealed for, so that one workspace's token cannot stand for another's.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};

/// The form above.
const VERSION: u8 = 1;
/// In front of a secret before it becomes a key, so that the same secret used elsewhere is another key there.
const KEY_PREFIX: &[u8] = b"message-webhook-proxy store key 1\0";
/// In front of the name a value is sealed for.
const NAME_PREFIX: &[u8] = b"message-webhook-proxy sealed 1\0";

/// How much chance one value takes.
pub const NONCE_BYTES: usize = NONCE_LEN;

/// `STORE_KEY`: the first seals, all open. Its `Debug` shows how many there are.
#[derive(Clone, Default)]
pub struct StoreKeys(Vec<LessSafeKey>);

/// What was sealed.
#[derive(PartialEq, Eq)]
pub struct Unsealed {
    /// The plain text.
    pub plain: Vec<u8>,
    /// Whether the first key opened it; what an older one opened should be sealed anew.
    pub is_current: bool,
}

/// Why `STORE_KEY` is refused; it shows no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreKeyError {
    /// Nothing but white space.
    #[error("expected a secret of at least {} characters", StoreKeys::MIN_CHARS)]
    Empty,
    /// One that could be guessed.
    #[error(
        "entry {entry} has {length} characters, at least {} are needed (openssl rand -hex 32 makes one)",
        StoreKeys::MIN_CHARS
    )]
    Short {
        /// Which one, from 1.
        entry: usize,
        /// How long it is.
        length: usize,
    },
    /// The cryptography refuses the key.
    #[error("the key cannot be used")]
    Unusable,
}

impl StoreKeys {
    /// The fewest characters of a secret.
    pub const MIN_CHARS: usize = 32;

    /// Parses secrets separated by white space.
    ///
    /// # Errors
    /// The first that is too short.
    pub fn parse(text: &str) -> Result<Self, StoreKeyError> {
        let mut keys = Vec::new();
        for (index, secret) in text.split_whitespace().enumerate() {
            let length = secret.chars().count();
            if length < Self::MIN_CHARS {
                let entry = index + 1;
                return Err(StoreKeyError::Short { entry, length });
            }
            let digest = Sha256::new()
                .chain_update(KEY_PREFIX)
                .chain_update(secret)
                .finalize();
            let key = UnboundKey::new(&AES_256_GCM, digest.as_ref());
            keys.push(LessSafeKey::new(key.map_err(|_| StoreKeyError::Unusable)?));
        }
        if keys.is_empty() {
            return Err(StoreKeyError::Empty);
        }
        Ok(Self(keys))
    }

    /// Whether there is none, so that nothing can be sealed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Seals a value for a name with the first key. `nonce` must be new chance each time. `None` without a key.
    #[must_use]
    pub fn seal(&self, name: &str, plain: &[u8], nonce: [u8; NONCE_BYTES]) -> Option<Vec<u8>> {
        let key = self.0.first()?;
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(&nonce);
        let mut text = plain.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, aad(name), &mut text)
            .ok()?;
        sealed.append(&mut text);
        Some(sealed)
    }

    /// Opens what was sealed for this name; `None` if it was sealed with another key or for another name, or was changed.
    #[must_use]
    pub fn open(&self, name: &str, sealed: &[u8]) -> Option<Unsealed> {
        let (version, rest) = sealed.split_first()?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_BYTES>()?;
        if *version != VERSION {
            return None;
        }
        self.0.iter().enumerate().find_map(|(index, key)| {
            let mut text = text.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let plain = key.open_in_place(nonce, aad(name), &mut text).ok()?;
            Some(Unsealed {
                plain: plain.to_vec(),
                is_current: index == 0,
            })
        })
    }
}

fn aad(name: &str) -> Aad<Vec<u8>> {
    Aad::from([NAME_PREFIX, name.as_bytes()].concat())
}

impl std::fmt::Debug for StoreKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoreKeys({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: &str = "00112233445566778899aabbccddeeff";
    const ONE: &str = "0123456789abcdef0123456789abcdef";
    const TWO: &str = "fedcba9876543210fedcba9876543210";

    fn keys(text: &str) -> StoreKeys {
        StoreKeys::parse(text).unwrap()
    }

    #[test]
    fn short_and_missing_secrets_are_refused_and_not_shown() {
        assert_eq!(StoreKeys::parse(" \n").unwrap_err(), StoreKeyError::Empty);
        let fault = StoreKeys::parse(&format!("{ONE}\n{}", &TWO[1..])).unwrap_err();
        let want = StoreKeyError::Short {
            entry: 2,
            length: 31,
        };
        assert_eq!(fault, want);
        assert!(!fault.to_string().contains(&TWO[1..]));
        assert_eq!(format!("{:?}", keys(ONE)), "StoreKeys(1)");
    }

    #[test]
    fn without_a_key_nothing_is_sealed_or_opened() {
        let none = StoreKeys::default();
        let sealed = keys(ONE).seal("T1", b"token", [0; NONCE_BYTES]).unwrap();

        assert!(none.is_empty());
        assert!(none.seal("T1", b"token", [0; NONCE_BYTES]).is_none());
        assert!(none.open("T1", &sealed).is_none());
    }

    #[test]
    fn an_older_key_opens_and_says_that_it_is_old() {
        let sealed = keys(ONE).seal("T1", b"token", [7; NONCE_BYTES]).unwrap();

        let newer = keys(&format!("{TWO} {ONE}")).open("T1", &sealed).unwrap();
        let same = keys(&format!("{ONE}  {TWO}")).open("T1", &sealed).unwrap();

        assert_eq!((&*newer.plain, newer.is_current), (&b"token"[..], false));
        assert_eq!((&*same.plain, same.is_current), (&b"token"[..], true));
        assert!(keys(TWO).open("T1", &sealed).is_none());
    }

    /// A different prefix, cipher or layout would make every stored installation unreadable.
    #[test]
    fn what_this_version_seals_stays_readable() {
        let sealed = keys(ONE).seal("T0TEAM001", b"token", [9; 12]).unwrap();
        let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "01090909090909090909090909d8084fd63d8279190a799568111b9fa08d2575aedd"
        );
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_for_its_name_alone(
            plain in prop::collection::vec(any::<u8>(), 0..200),
            nonce in any::<[u8; NONCE_BYTES]>(),
            name in "[TE][A-Z0-9]{0,10}",
            other in "[TE][A-Z0-9]{0,10}",
        ) {
            let keys = keys(ONE);
            let sealed = keys.seal(&name, &plain, nonce).unwrap();

            prop_assert_eq!(sealed.len(), 1 + NONCE_BYTES + plain.len() + 16);
            prop_assert!(keys.open(&name, &sealed).is_some_and(|open| open.plain == plain));
            prop_assert_eq!(keys.open(&other, &sealed).is_some(), name == other);
            if plain.len() > 4 {
                prop_assert!(!sealed.windows(plain.len()).any(|window| window == plain));
            }
        }

        #[test]
        fn a_changed_bit_or_length_is_refused(
            plain in prop::collection::vec(any::<u8>(), 0..60),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let keys = keys(&format!("{ONE} {OLD}"));
            let sealed = keys.seal("T1", &plain, [3; NONCE_BYTES]).unwrap();

            let mut flipped = sealed.clone();
            flipped[at.index(sealed.len())] ^= 1 << bit;
            prop_assert!(keys.open("T1", &flipped).is_none());
            prop_assert!(keys.open("T1", &sealed[..at.index(sealed.len())]).is_none());
            let longer = [&*sealed, b"x"].concat();
            prop_assert!(keys.open("T1", &longer).is_none());
        }

        #[test]
        fn the_same_value_looks_different_each_time(one in any::<[u8; 12]>(), two in any::<[u8; 12]>()) {
            let keys = keys(ONE);
            let sealed = [one, two].map(|nonce| keys.seal("T1", b"token", nonce).unwrap());
            prop_assert_eq!(sealed[0] == sealed[1], one == two);
        }
    }
}
