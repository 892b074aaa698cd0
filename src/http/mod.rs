//! The only layer that knows actix-web.

pub mod guard;
