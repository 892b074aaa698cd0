//! `/problems`: what every code means, a page for browsers and plain text for everybody else.
//!
//! The page is made from the table alone, so nothing in it is a caller's; it runs nothing and loads nothing.

use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::Context;
use super::problem::CODES;
use super::reply::{PLAIN, Reply, accepts_html};

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}\
h2{margin:2rem 0 .25rem;font-size:1.1rem}\
h2 a{color:inherit;text-decoration:none}\
h2 a:hover{text-decoration:underline}\
p{margin:.25rem 0}\
code{font-family:ui-monospace,monospace}\
section:target{outline:2px solid;outline-offset:.5rem}";

static PAGE: LazyLock<String> = LazyLock::new(page);

/// The style by its hash, and nothing else.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// `GET /problems`
pub(super) fn answer(context: &Context<'_>) -> Reply {
    if accepts_html(context.request.headers()) {
        return Reply::Page(POLICY.as_str(), PAGE.as_bytes().to_vec());
    }
    Reply::Text(200, PLAIN, text().into())
}

fn text() -> String {
    let rows = CODES.iter().map(|row| {
        let (status, text, title, fix) = (row.status, row.text, row.title, row.fix);
        format!("{status} {text}\n    {title}.\n    {fix}\n")
    });
    rows.collect()
}

fn page() -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Problems - message-webhook-proxy</title>\n<style>{STYLE}</style>\n<main>\n<h1>Problems</h1>\n\
         <p>Every refusal carries one of these codes, and a <code>detail</code> that says what was wrong with that request.</p>\n"
    );
    for row in CODES {
        let (code, title, fix) = (row.text, escaped(row.title), escaped(row.fix));
        // Writing to a string cannot fail.
        write!(
            page,
            "<section id=\"{code}\">\n<h2><a href=\"#{code}\"><code>{code}</code></a> ({})</h2>\n<p>{title}.</p>\n<p>{fix}</p>\n</section>\n",
            row.status
        )
        .ok();
    }
    page.push_str("</main>\n</html>\n");
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_text_on_the_page() {
        let page = page();

        assert!(page.contains("HTTP/1.1") && page.contains("Authorization: Bearer"));
        assert!(page.contains("Bearer &lt;") || !CODES.iter().any(|row| row.fix.contains('<')));
        assert_eq!(page.matches("<section").count(), CODES.len());
        assert!(!page.contains("<script"));
    }
}
