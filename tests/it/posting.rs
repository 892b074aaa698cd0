//! Contract 1.1: the URL is the message.

mod bodies;
mod decoding;
mod methods;
mod own_url;
mod queries;
mod repeats;
mod sizes;
