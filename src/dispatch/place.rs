//! What two spellings of a channel have in common, as far as it is known without asking a platform.

use std::borrow::Cow;

use super::Dispatcher;
use crate::backends::Wire as _;
use crate::domain::channel::{Address, Destination};

impl Dispatcher {
    /// Whether two different spellings may mean the same channel, because one of them is a name.
    #[must_use]
    pub fn may_be_same(&self, one: &Destination, other: &Destination) -> bool {
        one.backend == other.backend && (self.is_name(one) || self.is_name(other))
    }

    /// Whether this is a name, whose id only the platform knows.
    #[must_use]
    pub fn is_name(&self, destination: &Destination) -> bool {
        match (&destination.address, self.shared.sender(destination)) {
            (Address::Target(target), Some((_, sender))) => sender.is_name(target),
            _ => false,
        }
    }

    /// The target in `backend:target` where that backend is known and not configured, not any more perhaps: a post may not
    /// write so, but receipts of then are found by it.
    #[must_use]
    pub fn target_of_absent<'c>(&self, channel: &'c str) -> Option<&'c str> {
        let (backend, target) = channel.split_once(':')?;
        let mut known = self.shared.platforms.iter();
        known
            .any(|platform| platform.name == backend && platform.bot.is_none())
            .then_some(target)
    }

    /// The same destination in one spelling: by its id where the name was looked up already, else by the name without
    /// what platforms do not tell apart. It asks nobody, so it may have another answer once the name was looked up.
    #[must_use]
    pub fn place<'d>(&self, destination: &'d Destination) -> Cow<'d, Destination> {
        let (Address::Target(target), Some((platform, sender))) =
            (&destination.address, self.shared.sender(destination))
        else {
            return Cow::Borrowed(destination);
        };
        if !sender.is_name(target) {
            return Cow::Borrowed(destination);
        }
        let now = self.wire.elapsed();
        let id = self.shared.lookups.known_id(platform.name, target, now);
        let same = id.unwrap_or_else(|| target.trim_start_matches('#').to_lowercase());
        Cow::Owned(Destination {
            backend: destination.backend,
            address: Address::Target(same),
        })
    }
}
