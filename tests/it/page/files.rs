//! The files: small, whole, and nothing in them that a policy would have to allow.

use std::collections::BTreeSet;

use crate::support::{Proxy, Response};

/// All of it together, as it goes over the wire.
const MAX_BYTES: usize = 60 * 1024;

fn page(proxy: &Proxy) -> Response {
    proxy.request("GET", "/", &[("Accept", "text/html")])
}

/// What stands between these marks.
fn between<'t>(text: &'t str, open: &str, close: char) -> BTreeSet<&'t str> {
    let after = text.split(open).skip(1);
    after.filter_map(|rest| rest.split(close).next()).collect()
}

/// The page's files, by the references in it and in each other.
fn files(proxy: &Proxy) -> Vec<(String, Response)> {
    let page = page(proxy).text();
    let mut open: Vec<String> = ["src=\"assets/", "href=\"assets/"]
        .into_iter()
        .flat_map(|mark| between(&page, mark, '"'))
        .map(str::to_owned)
        .collect();
    let (mut known, mut found) = (BTreeSet::new(), Vec::new());
    while let Some(name) = open.pop() {
        if known.insert(name.clone()) {
            let file = proxy.get(format!("/assets/{name}"));
            open.extend(
                between(&file.text(), "from \"./", '"')
                    .into_iter()
                    .map(str::to_owned),
            );
            found.push((name, file));
        }
    }
    found
}

#[test]
fn every_file_that_the_page_names_is_there_and_all_are_small() {
    let proxy = Proxy::start(&[]);

    let (page, files) = (page(&proxy), files(&proxy));

    assert_eq!(page.status, 200);
    assert!(files.len() >= 5, "{}", files.len());
    for (name, file) in &files {
        let media = match name.rsplit('.').next() {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!(
            (file.status, file.header("Content-Type")),
            (200, Some(media)),
            "{name}"
        );
        assert_eq!(
            file.header("X-Content-Type-Options"),
            Some("nosniff"),
            "{name}"
        );
    }
    let bytes = page.body.len() + files.iter().map(|(_, file)| file.body.len()).sum::<usize>();
    assert!(bytes < MAX_BYTES, "{bytes}");
}

/// D5: the page needs nothing that its policy would have to allow.
#[test]
fn the_page_has_nothing_inline_and_nothing_from_elsewhere() {
    let proxy = Proxy::start(&[]);

    let (page, files) = (page(&proxy), files(&proxy));

    let policy = page.header("Content-Security-Policy").unwrap();
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(rule), "{rule}: {policy}");
    }
    assert!(
        !policy.contains("unsafe") && !policy.contains("http"),
        "{policy}"
    );
    assert_eq!(page.header("Referrer-Policy"), Some("no-referrer"));
    let html = page.text();
    assert!(!html.contains("style=") && !html.contains("<style"));
    let is_handler = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase());
    assert_eq!(
        between(&html, " on", '=').into_iter().find(is_handler),
        None
    );
    assert_eq!(
        html.matches("<script").count(),
        html.matches("<script type=\"module\" src=\"assets/")
            .count()
    );
    for (name, file) in &files {
        let text = file.text().replace("http://www.w3.org/2000/svg", "");
        for no in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Storage",
            "document.cookie",
        ] {
            assert!(!text.contains(no), "{name}: {no}");
        }
        let hosts = between(&text, "//", '\n')
            .into_iter()
            .filter(|rest| rest.starts_with("www") || rest.contains(".com"));
        assert_eq!(hosts.count(), 0, "{name}");
    }
}

#[test]
fn a_file_that_the_browser_has_is_not_sent_again() {
    let proxy = Proxy::start(&[]);
    let first = proxy.get("/assets/app.js");
    let etag = first.header("ETag").unwrap();
    let asked = |tags: &str| proxy.request("GET", "/assets/app.js", &[("If-None-Match", tags)]);

    let (same, weak, other) = (
        asked(etag),
        asked(&format!("\"x\", W/{etag}")),
        asked("\"x\""),
    );

    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!(same.header("ETag"), Some(etag));
    assert_eq!((weak.status, other.status), (304, 200));
    assert_eq!(first.header("Cache-Control"), Some("no-cache"));
    let page = page(&proxy);
    assert_eq!(page.header("Vary"), Some("Accept"));
    assert_ne!(page.header("ETag"), Some(etag));
}

/// B4: a file is found under its own name alone.
#[test]
fn other_paths_and_methods_find_no_file() {
    let proxy = Proxy::start(&[]);

    for path in [
        "/assets",
        "/assets/",
        "/assets/app.css/",
        "/assets/App.css",
        "/assets/../Cargo.toml",
        "/assets/%61pp.css",
        "/assets/index.html",
        "/assets/mod.rs",
        "/app.css",
    ] {
        assert_eq!(
            proxy.get(path).verdict(),
            (404, "not-found".to_owned()),
            "{path}"
        );
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer = proxy.request(method, "/assets/app.css", &[]);
        assert_eq!(
            (answer.status, answer.header("Allow")),
            (405, Some("GET, HEAD, OPTIONS")),
            "{method}"
        );
    }
    let head = proxy.request("HEAD", "/assets/app.css", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
}
