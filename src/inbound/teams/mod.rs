//! Activities of the Bot Framework: the token in front of them, the keys that it is checked with, and what an activity says
//! once it is believed (reference/teams.md 4 and 5, checked 2026-11-21).
//!
//! The order is: [`Token::of`] reads the header, [`Token::is_of`] asks whether the keys at hand are for it at all,
//! [`KeySet::find`] gives the key, [`verify`] checks the token, [`Activity::parse`] reads the body, and [`admit`] holds it
//! against the token. Nothing before [`admit`] may be believed. Keys are fetched elsewhere, and the time comes in.

mod activity;
mod keys;
mod mention;
mod rs256;
mod token;

pub use activity::{Activity, Lesson, NoActivity};
pub use keys::{Key, KeySet, Metadata, issuer_of};
pub use mention::Mention;
pub use token::{Token, Verified, verify};

use super::Unverified;

/// The channel that is let in, and that a key must be endorsed for.
const CHANNEL: &str = "msteams";

/// What an activity must be, beside what its token is.
pub struct Rules<'a> {
    /// The directory of a bot that belongs to one; `None` for a bot of several.
    pub tenant: Option<&'a str>,
    /// Whether the bot's token may go to this URL.
    pub is_trusted: &'a dyn Fn(&str) -> bool,
}

/// Holds an activity against its verified token: the same service, the channel of the key, a trusted host, the bot's tenant.
///
/// # Errors
/// [`Unverified::Misdirected`].
pub fn admit(
    activity: &Activity,
    verified: &Verified<'_>,
    rules: &Rules<'_>,
) -> Result<(), Unverified> {
    let is_of_channel = activity.channel() == CHANNEL && verified.key.is_endorsed();
    let is_of_service = verified.is_of_service(activity.service_url());
    let is_of_tenant = rules
        .tenant
        .is_none_or(|tenant| activity.names_no_tenant_but(tenant));
    if is_of_channel && is_of_service && (rules.is_trusted)(activity.service_url()) && is_of_tenant
    {
        Ok(())
    } else {
        Err(Unverified::Misdirected)
    }
}

#[cfg(test)]
mod tests;
