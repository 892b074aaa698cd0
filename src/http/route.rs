//! The route table, on the raw path: what a request asks for, before anything is decoded.
//!
//! actix's router decodes before it matches, so `/%70ost/…` would be a route and `//` would not be what it is.
//! Fixed segments are compared raw, the path is split at raw slashes, and everything not listed is 404.

use crate::inbound::Source;

use super::page::Asset;

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// Post a message.
    Post {
        /// The channel, raw.
        channel: &'a [u8],
        /// Where the message is.
        form: Form<'a>,
    },
    /// The page for people.
    Home,
    /// A file of that page.
    Asset(&'static Asset),
    /// The channels a caller may choose.
    Channels,
    /// Make a signed URL.
    Sign,
    /// The receipts that change.
    Events,
    /// The process lives.
    Health,
    /// It can take posts.
    Ready,
    /// Counters.
    Metrics,
    /// What each problem means.
    Problems,
    /// The receipts of what was stored.
    Deliveries,
    /// One of them.
    Delivery(&'a str),
    /// Try it again.
    Retry(&'a str),
    /// A platform calls.
    Inbound(Source),
    /// An administrator of a Slack workspace begins to install the app there.
    SlackInstall,
    /// Slack sends the administrator back.
    SlackInstalled,
    /// Nothing.
    Unknown,
}

/// The three forms of a post's URL, the message raw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form<'a> {
    /// `/msg/{message}`: everything after it, slashes included.
    Path(&'a [u8]),
    /// `/b64/{text}`
    Base64(&'a [u8]),
    /// `?message={text}`
    Query,
}

const POST: &str = "/post/channel/";
const DELIVERIES: &str = "/deliveries/";
const ASSETS: &str = "/assets/";

impl<'a> Route<'a> {
    /// Finds the route of a raw path.
    #[must_use]
    pub fn of(path: &'a str) -> Self {
        match path {
            "/" => Self::Home,
            "/health" => Self::Health,
            "/ready" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/problems" => Self::Problems,
            "/deliveries" => Self::Deliveries,
            "/channels" => Self::Channels,
            "/sign" => Self::Sign,
            "/events" => Self::Events,
            "/slack/install" => Self::SlackInstall,
            "/no-auth/provider-token/slack" => Self::SlackInstalled,
            _ => Self::deeper(path),
        }
    }

    fn deeper(path: &'a str) -> Self {
        if let Some(rest) = path.strip_prefix(POST) {
            return Self::post(rest).unwrap_or(Self::Unknown);
        }
        if let Some(rest) = path.strip_prefix(DELIVERIES) {
            return Self::delivery(rest);
        }
        if let Some(name) = path.strip_prefix(ASSETS) {
            return Asset::of(name).map_or(Self::Unknown, Self::Asset);
        }
        Source::of(path).map_or(Self::Unknown, Self::Inbound)
    }

    fn delivery(rest: &'a str) -> Self {
        match rest.split_once('/') {
            None => Self::Delivery(rest),
            Some((id, "retry")) => Self::Retry(id),
            Some(_) => Self::Unknown,
        }
    }

    fn post(rest: &'a str) -> Option<Self> {
        let Some((channel, rest)) = rest.split_once('/') else {
            return Some(Self::Post {
                channel: rest.as_bytes(),
                form: Form::Query,
            });
        };
        let form = match rest.split_once('/') {
            Some(("msg", message)) => Form::Path(message.as_bytes()),
            Some(("b64", text)) => Form::Base64(text.as_bytes()),
            _ => return None,
        };
        Some(Self::Post {
            channel: channel.as_bytes(),
            form,
        })
    }

    /// The name in logs and metrics: never the path itself.
    #[must_use]
    pub fn pattern(&self) -> &'static str {
        match self {
            Self::Post {
                form: Form::Path(_),
                ..
            } => "/post/channel/{channel}/msg/{message}",
            Self::Post {
                form: Form::Base64(_),
                ..
            } => "/post/channel/{channel}/b64/{text}",
            Self::Post {
                form: Form::Query, ..
            } => "/post/channel/{channel}",
            Self::Home => "/",
            Self::Health => "/health",
            Self::Ready => "/ready",
            Self::Metrics => "/metrics",
            Self::Problems => "/problems",
            Self::Deliveries => "/deliveries",
            Self::Asset(_) => "/assets/{name}",
            Self::Channels => "/channels",
            Self::Sign => "/sign",
            Self::Events => "/events",
            Self::Delivery(_) => "/deliveries/{id}",
            Self::Retry(_) => "/deliveries/{id}/retry",
            Self::Inbound(source) => source.path(),
            Self::SlackInstall => "/slack/install",
            Self::SlackInstalled => "/no-auth/provider-token/slack",
            Self::Unknown => "unknown",
        }
    }

    /// Whether machines ask this all the time; then an answer is worth no log line.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        matches!(self, Self::Health | Self::Ready | Self::Metrics)
    }

    /// The methods it takes, as `Allow` lists them.
    #[must_use]
    pub fn allow(&self, get_posts: bool) -> &'static str {
        match self {
            Self::Post { .. } if get_posts => "GET, POST, PUT, OPTIONS",
            Self::Post { .. } => "POST, PUT, OPTIONS",
            Self::Delivery(_) => "GET, HEAD, DELETE, OPTIONS",
            Self::Retry(_) | Self::Inbound(_) | Self::Sign => "POST, OPTIONS",
            Self::Events | Self::SlackInstall | Self::SlackInstalled => "GET, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_everything_after_msg() {
        for (path, channel, message) in [
            ("/post/channel/demo/msg/hi", "demo", "hi"),
            ("/post/channel/demo/msg/", "demo", ""),
            ("/post/channel/demo/msg//a//b/", "demo", "/a//b/"),
            ("/post/channel/demo/msg/msg/x", "demo", "msg/x"),
            ("/post/channel//msg/x", "", "x"),
            ("/post/channel/a%2Fb/msg/%2F", "a%2Fb", "%2F"),
            ("/post/channel/msg/msg/b64/x", "msg", "b64/x"),
        ] {
            let want = Route::Post {
                channel: channel.as_bytes(),
                form: Form::Path(message.as_bytes()),
            };
            assert_eq!(Route::of(path), want, "{path}");
        }
        assert_eq!(
            Route::of("/post/channel/demo"),
            Route::Post {
                channel: b"demo",
                form: Form::Query
            }
        );
        assert_eq!(
            Route::of("/post/channel/"),
            Route::Post {
                channel: b"",
                form: Form::Query
            }
        );
        assert!(matches!(
            Route::of("/post/channel/d/b64/YQ"),
            Route::Post {
                form: Form::Base64(b"YQ"),
                ..
            }
        ));
    }

    /// B4: every path that is not in the table is unknown.
    #[test]
    fn fixed_segments_are_compared_raw() {
        for path in [
            "",
            "/%70ost/channel/d/msg/x",
            "/post/channel",
            "/post",
            "/POST/channel/d/msg/x",
            "//post/channel/d/msg/x",
            "/post//channel/d/msg/x",
            "/post/channel/d/",
            "/post/channel/d/msg",
            "/post/channel/d/Msg/x",
            "/post/channel/d/x/msg/y",
            "/post/channel/d/%6Dsg/x",
            "/./post/channel/d/msg/x",
            "/x/../post/channel/d/msg/x",
            "/post;a=b/channel/d/msg/x",
            "/health/",
            "/deliveries/x/y",
            "/deliveries/x/retry/",
            "/ready%20",
            "/assets/",
            "/assets/other.js",
            "/assets/app%2Ejs",
            "/assets/../app.js",
            "/assets/app.js/",
            "*",
        ] {
            assert_eq!(Route::of(path), Route::Unknown, "{path}");
        }
    }
}
