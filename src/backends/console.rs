//! `console`: prints `[channel] message` to standard output. Always there; what a first run shows.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use serde::Serialize;

use super::{Backend, Kind, Listing, Page, Part, Recipient, Shared, Wire};
use crate::domain::channel::CONSOLE;
use crate::domain::delivery::{Failure, Later, Post, Posted};
use crate::domain::options::Level;
use crate::env::Reader;

/// The console as a platform.
pub const KIND: Kind = Kind {
    name: CONSOLE,
    vars: &[],
    recognises: |_| false,
    configure,
    webhooks: None,
    pace: "off",
};

struct Console;

/// What `dry=1` shows.
#[derive(Serialize, serde::Deserialize)]
struct Line {
    line: String,
}

fn configure(_: &mut Reader<'_>, _: &Shared) -> Option<Arc<dyn Backend>> {
    Some(Arc::new(Console))
}

impl Backend for Console {
    fn render(&self, post: &Post, to: &Recipient) -> Vec<Part> {
        vec![Part::json(&Line {
            line: line(post, to.channel()),
        })]
    }

    fn deliver<'a>(
        &'a self,
        wire: &'a dyn Wire,
        to: &'a Recipient,
        part: &'a Part,
    ) -> LocalBoxFuture<'a, Result<Posted, Failure>> {
        Box::pin(async move {
            let line = serde_json::from_slice::<Line>(&part.body)
                .map(|l| l.line)
                .unwrap_or_default();
            wire.print(line)
                .await
                .map(|()| Posted {
                    channel: Some(to.channel().to_owned()),
                    ..Posted::default()
                })
                .map_err(|e| {
                    let detail = format!(
                        "standard output cannot be written ({}); is its reader gone?",
                        e.kind()
                    );
                    Failure::later(Later::Unavailable, None, detail)
                })
        })
    }

    /// Every name is a channel, so none is worth a line.
    fn list<'a>(
        &'a self,
        _wire: &'a dyn Wire,
        _cursor: Option<&'a str>,
    ) -> LocalBoxFuture<'a, Result<Listing, Failure>> {
        Box::pin(async { Ok(Listing::Page(Page::default())) })
    }
}

/// `[channel] emoji name: title (link): message`, as much of it as there is.
fn line(post: &Post, channel: &str) -> String {
    let mut line = format!("[{channel}] ");
    if let Some(level) = post.level {
        line.push_str(emoji(level));
        line.push(' ');
    }
    for piece in post.as_name.iter().chain(&post.title) {
        line.push_str(piece);
        line.push_str(": ");
    }
    line.push_str(post.message.as_str());
    if let Some(link) = &post.link {
        line.push_str(" <");
        line.push_str(link.as_str());
        line.push('>');
    }
    line
}

/// One emoji a level, on every backend that shows one.
#[must_use]
pub fn emoji(level: Level) -> &'static str {
    match level {
        Level::Info => "ℹ️",
        Level::Success => "✅",
        Level::Warning => "⚠️",
        Level::Error => "🚨",
    }
}
