//! Contract section 6: the verified way back in.

mod teams;
mod teams_bot;
mod teams_keys;
mod teams_references;
