//! A payload-free `POST /post/channel/<id>/msg/<message>` becomes a chat message.

pub mod backends;
pub mod clock;
pub mod dispatch;
pub mod domain;
pub mod env;
pub mod telemetry;
