//! GETs that a program makes to show a preview: they post nothing.

use actix_web::http::header::{self, HeaderMap};

/// User-Agents of link-preview bots, in lower case. Sources: the bots' own documentation and, for the chat
/// servers, what they send when they unfurl (checked 2026-11).
const BOTS: &[&str] = &[
    "slackbot",
    "slack-imgproxy",
    "mattermost",
    "skypeuripreview",
    "discordbot",
    "twitterbot",
    "facebookexternalhit",
    "facebot",
    "facebookcatalog",
    "meta-externalagent",
    "whatsapp",
    "telegrambot",
    "linkedinbot",
    "google-pagerenderer",
    "googlebot",
    "googleimageproxy",
    "bingbot",
    "bingpreview",
    "yandexbot",
    "embedly",
    "pinterestbot",
    "redditbot",
    "applebot",
    "viber",
    "iframely",
    "signal-link-preview",
    "teams-linkpreview",
];

/// Whether a GET is a preview or a prefetch.
pub(super) fn is_preview(headers: &HeaderMap) -> bool {
    says(headers, "purpose", &["prefetch", "preview"])
        || says(headers, "sec-purpose", &["prefetch", "preview"])
        || says(headers, "x-purpose", &["prefetch", "preview"])
        || says(headers, "x-moz", &["prefetch"])
        || says(headers, header::USER_AGENT.as_str(), BOTS)
}

fn says(headers: &HeaderMap, name: &str, words: &[&str]) -> bool {
    headers.get_all(name).any(|value| {
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        words.iter().any(|word| value.contains(word))
    })
}
