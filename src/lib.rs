//! A payload-free `POST /post/channel/<id>/msg/<message>` becomes a chat message.

pub mod http;
