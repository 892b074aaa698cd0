//! The channels that a bot can see, page after page. It must not take a cursor from a caller, because a cursor becomes
//! a part of the platform's URL, nor wait where the platform asks for a pause: what is there by then is the answer.

use std::time::Instant;

use super::Dispatcher;
use super::ends::{before, look_up_timed_out};
use crate::backends::{Backend, Listed, Listing};
use crate::domain::delivery::Failure;

/// More pages are left out.
const MAX_PAGES: usize = 20;
/// So are more channels.
const MAX_CHANNELS: usize = 2000;

/// What a bot can see.
#[derive(Debug, Default)]
pub struct Seen {
    /// The channels, in the platform's order.
    pub channels: Vec<Listed>,
    /// Whether there are no others.
    pub is_whole: bool,
    /// Why the platform shows no list, and how an id is found all the same.
    pub advice: Option<&'static str>,
}

impl Dispatcher {
    /// The channels that the bot of a backend can see; `None` without a bot.
    ///
    /// # Errors
    /// The platform's [`Failure`], if there is not even one page.
    pub async fn list(&self, backend: &str, deadline: Instant) -> Option<Result<Seen, Failure>> {
        let platform = self.shared.platforms.iter().find(|p| p.name == backend)?;
        let bot = platform.bot.as_deref()?;
        Some(self.pages(platform.name, bot, deadline).await)
    }

    async fn pages(
        &self,
        name: &'static str,
        bot: &dyn Backend,
        deadline: Instant,
    ) -> Result<Seen, Failure> {
        let (mut seen, mut cursor) = (Seen::default(), None::<String>);
        for number in 0..MAX_PAGES {
            let listed = before(deadline, bot.list(&self.wire, cursor.as_deref())).await;
            match listed.unwrap_or_else(|| Err(look_up_timed_out(name))) {
                Ok(Listing::None(advice)) => {
                    seen.advice = Some(advice);
                    seen.is_whole = true;
                    break;
                }
                Ok(Listing::Page(page)) => {
                    seen.channels.extend(page.channels);
                    cursor = page.next;
                    seen.is_whole = cursor.is_none();
                }
                Err(failure) if number == 0 => return Err(failure),
                Err(_) => break,
            }
            if seen.is_whole || seen.channels.len() >= MAX_CHANNELS {
                break;
            }
        }
        if seen.channels.len() > MAX_CHANNELS {
            seen.channels.truncate(MAX_CHANNELS);
            seen.is_whole = false;
        }
        Ok(seen)
    }
}
