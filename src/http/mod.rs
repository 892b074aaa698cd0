//! The only layer that knows actix-web.
