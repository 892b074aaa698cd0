//! The route table, on the raw path: what a request asks for, before anything is decoded.
//!
//! actix's router decodes before it matches, so `/%70ost/…` would be a route and `//` would not be what it is.
//! Fixed segments are compared raw, the path is split at raw slashes, and everything not listed is 404.

use memchr::memchr;

use crate::inbound::{SOURCES, Source};

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
    /// What every route takes and answers.
    OpenApi,
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

/// Every route but those of [`SOURCES`] and [`Asset::all`], with empty parts where a request has its own.
const LISTED: &[Route<'static>] = &[
    Route::Post {
        channel: b"",
        form: Form::Path(b""),
    },
    Route::Post {
        channel: b"",
        form: Form::Base64(b""),
    },
    Route::Post {
        channel: b"",
        form: Form::Query,
    },
    Route::Deliveries,
    Route::Delivery(""),
    Route::Retry(""),
    Route::Events,
    Route::Channels,
    Route::Sign,
    Route::Home,
    Route::Health,
    Route::Ready,
    Route::Metrics,
    Route::Problems,
    Route::OpenApi,
    Route::SlackInstall,
    Route::SlackInstalled,
];

impl Route<'static> {
    /// Every route there is, one file of the page for all of them: for the document.
    pub fn all() -> impl Iterator<Item = Self> {
        let sources = SOURCES.iter().copied().map(Self::Inbound);
        let file = Asset::all().first().map(Self::Asset);
        LISTED.iter().copied().chain(file).chain(sources)
    }
}

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
            "/openapi.json" => Self::OpenApi,
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
        let rest = rest.as_bytes();
        let (channel, rest) = rest.split_at(memchr(b'/', rest).unwrap_or(rest.len()));
        let form = if rest.is_empty() {
            Form::Query
        } else if let Some(message) = rest.strip_prefix(b"/msg/") {
            Form::Path(message)
        } else {
            Form::Base64(rest.strip_prefix(b"/b64/")?)
        };
        Some(Self::Post { channel, form })
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
            Self::OpenApi => "/openapi.json",
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

    #[test]
    fn every_route_is_listed() {
        // A new variant must be given a number here, and then it must be in the list.
        let number = |route: Route<'_>| match route {
            Route::Post { form, .. } => match form {
                Form::Path(_) => 0,
                Form::Base64(_) => 1,
                Form::Query => 2,
            },
            Route::Deliveries => 3,
            Route::Delivery(_) => 4,
            Route::Retry(_) => 5,
            Route::Home => 6,
            Route::Health => 7,
            Route::Ready => 8,
            Route::Metrics => 9,
            Route::Problems => 10,
            Route::OpenApi => 11,
            Route::SlackInstall => 12,
            Route::SlackInstalled => 13,
            Route::Inbound(_) => 14,
            Route::Asset(_) => 15,
            Route::Channels => 16,
            Route::Sign => 17,
            Route::Events => 18,
            Route::Unknown => 19,
        };

        let listed: Vec<usize> = Route::all().map(number).collect();

        assert!((0..=18).all(|n| listed.contains(&n)) && !listed.contains(&19));
        // Of the page's files there are only those with their own names.
        for route in Route::all().filter(|route| !matches!(route, Route::Asset(_))) {
            assert_eq!(Route::of(route.pattern()).pattern(), route.pattern());
        }
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
