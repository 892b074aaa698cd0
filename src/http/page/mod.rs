//! The page at `/` for people, with its files; and what only the page asks: channels to choose, and signed URLs.
//!
//! The files are part of the program and must not name another host: the policy forbids it, and so does a proxy whose
//! network has no way out. They know nothing about this proxy that its visitor may not know; the page asks as its visitor.

pub(super) mod channels;
pub(super) mod lists;
pub(super) mod sign;

use std::sync::LazyLock;

use actix_web::http::header::{self, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::Context;
use super::reply::{PLAIN, Reply, accepts_html};

/// A file of the page.
#[derive(Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its name below `/assets/`; the page itself has none.
    pub name: &'static str,
    /// Its media type.
    pub media: &'static str,
    /// What is in it.
    pub text: &'static str,
}

const LINE: &str = "message-webhook-proxy: POST /post/channel/{channel}/msg/{message}, percent-encoded, becomes a chat message; see /health /ready /metrics /problems /openapi.json\n";

static PAGE: Asset = Asset {
    name: "",
    media: "text/html; charset=utf-8",
    text: include_str!("index.html"),
};

static ASSETS: &[Asset] = &[
    Asset {
        name: "app.css",
        media: "text/css; charset=utf-8",
        text: include_str!("app.css"),
    },
    Asset {
        name: "app.js",
        media: SCRIPT,
        text: include_str!("app.js"),
    },
    Asset {
        name: "common.js",
        media: SCRIPT,
        text: include_str!("common.js"),
    },
    Asset {
        name: "deliveries.js",
        media: SCRIPT,
        text: include_str!("deliveries.js"),
    },
    Asset {
        name: "preview.js",
        media: SCRIPT,
        text: include_str!("preview.js"),
    },
    Asset {
        name: "snippets.js",
        media: SCRIPT,
        text: include_str!("snippets.js"),
    },
    Asset {
        name: "icon.svg",
        media: "image/svg+xml",
        text: include_str!("icon.svg"),
    },
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Nothing inline, nothing from elsewhere, and no way to make text into HTML.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);
/// A file that is opened by itself does nothing.
const FILE_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

impl Asset {
    /// The file with this name.
    #[must_use]
    pub fn of(name: &str) -> Option<&'static Self> {
        ASSETS.iter().find(|asset| asset.name == name)
    }

    /// Every file.
    #[must_use]
    pub fn all() -> &'static [Self] {
        ASSETS
    }

    pub(super) fn is_page(&self) -> bool {
        self.name.is_empty()
    }

    pub(super) fn policy(&self) -> HeaderValue {
        match self.is_page() {
            true => PAGE_POLICY,
            false => FILE_POLICY,
        }
    }

    /// A hash of what is in it.
    pub(super) fn etag(&self) -> HeaderValue {
        static ETAGS: LazyLock<Vec<(&'static str, HeaderValue)>> = LazyLock::new(|| {
            let all = std::iter::once(&PAGE).chain(ASSETS);
            all.map(|asset| (asset.name, asset.computed_etag()))
                .collect()
        });
        let known = ETAGS.iter().find(|(name, _)| *name == self.name);
        known.map_or_else(|| self.computed_etag(), |(_, etag)| etag.clone())
    }

    fn computed_etag(&self) -> HeaderValue {
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(self.text));
        HeaderValue::try_from(format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"\""))
    }
}

/// `GET /`
pub(super) fn home(context: &Context<'_>) -> Reply {
    if accepts_html(context.request.headers()) {
        return asset(context, &PAGE);
    }
    Reply::Text(200, PLAIN, LINE.into())
}

/// `GET /assets/{name}`
pub(super) fn asset(context: &Context<'_>, asset: &'static Asset) -> Reply {
    let etag = asset.etag();
    let known = context.request.headers().get_all(header::IF_NONE_MATCH);
    let mut known = known.flat_map(|value| value.as_bytes().split(|&b| b == b','));
    let is_known = known.any(|one| {
        let one = one.trim_ascii();
        // A cache on the way may have weakened it.
        one.strip_prefix(b"W/").unwrap_or(one) == etag.as_bytes()
    });
    Reply::Asset { asset, is_known }
}
