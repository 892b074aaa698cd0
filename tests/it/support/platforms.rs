//! All three platforms at once.

use super::proxy::Setup;
use super::{Mattermost, Proxy, Slack, Teams};

/// A fake of each.
pub struct Platforms {
    pub mattermost: Mattermost,
    pub slack: Slack,
    pub teams: Teams,
}

impl Platforms {
    pub fn start() -> Self {
        Self {
            mattermost: Mattermost::start(),
            slack: Slack::start(),
            teams: Teams::start(),
        }
    }

    /// A proxy with a bot on each, without limits.
    pub fn setup(&self) -> Setup {
        Proxy::setup()
            .with(&self.mattermost)
            .with(&self.slack)
            .with(&self.teams)
            .without_limits()
    }

    /// How many posts each has: Mattermost, Slack, Teams.
    pub fn posts(&self) -> [usize; 3] {
        [
            self.mattermost.posts().len(),
            self.slack.posts().len(),
            self.teams.posts().len(),
        ]
    }
}
