//! The fixture tests itself: fakes answer as the reference pages say, and the leak search finds what it must.

mod canaries;
mod fake_mattermost;
mod fake_slack;
mod fake_teams;
mod processes;
mod servers;
