//! Contract section 9: `/openapi.json` is valid, whole and true; and 1.4: `/problems`, where each problem's `type` leads.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Folder, Proxy, Setup, peers, unique, unlimited};

use message_webhook_proxy::domain::options::KNOWN;
use message_webhook_proxy::http::problem::CODES;
use message_webhook_proxy::http::route::Route;

const PUBLIC_URL: &str = "https://proxy.example.org";

/// Everything that changes the document is on.
fn full(folder: &Folder, secret: &str) -> Setup {
    unlimited()
        .outbox(folder)
        .set("PROXY_TOKENS", format!("ci={secret}"))
        .set("SIGNING_KEYS", unique("key-", 40))
        .set("METRICS_TOKEN", secret)
        .set("ALLOW_QUERY_TOKEN", "true")
        .set("ALLOW_GET", "true")
}

#[track_caller]
fn document(proxy: &Proxy) -> Value {
    let answer = proxy.get("/openapi.json");
    assert_eq!(
        (answer.status, answer.header("Content-Type")),
        (200, Some("application/json"))
    );
    answer.json()
}

/// What openapi-spec-validator says of it.
fn verdict(document: &Value) -> (bool, String) {
    let mut validator = Command::new(peers::python())
        .args(["-m", "openapi_spec_validator", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = validator.stdin.take().unwrap();
    stdin.write_all(document.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = validator.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.success(), said)
}

/// Each path with its methods, upper case.
fn methods(document: &Value) -> Vec<(String, BTreeSet<String>)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |item: &Value| {
        let keys = item.as_object().unwrap().keys();
        keys.filter(|key| *key != "parameters")
            .map(|key| key.to_uppercase())
            .collect()
    };
    paths
        .iter()
        .map(|(path, item)| (path.clone(), of(item)))
        .collect()
}

#[test]
fn the_document_is_valid_openapi_whatever_is_on() {
    let folder = Folder::new();
    let secret = unique("secret-", 24);
    let public = full(&folder, &secret).set("PUBLIC_URL", PUBLIC_URL).start();
    let bare = Proxy::start(&[]);

    for proxy in [&public, &bare] {
        let (is_valid, said) = verdict(&document(proxy));

        assert!(is_valid, "{said}");
    }
    let mut broken = document(&bare);
    broken["paths"]["/health"]["get"]["responses"] = Value::Null;
    assert!(!verdict(&broken).0);
}

#[test]
fn the_document_says_where_the_proxy_is_and_shows_no_secret() {
    let folder = Folder::new();
    let secret = unique("secret-", 24);
    let key = unique("key-", 40);
    let public = full(&folder, &secret)
        .set("PUBLIC_URL", format!("{PUBLIC_URL}/"))
        .set("SIGNING_KEYS", &*key)
        .set("CHANNELS", "hidden=console:place")
        .start();

    let of_public = document(&public);
    let of_bare = document(&Proxy::start(&[]));

    assert_eq!(
        of_public["servers"],
        serde_json::json!([{"url": PUBLIC_URL}])
    );
    assert_eq!(of_bare["servers"], Value::Null);
    let text = of_public.to_string();
    for hidden in [&*secret, &*key, "hidden", "console:place"] {
        assert!(!text.contains(hidden), "{hidden}");
    }
}

/// What is in the code is in the document: routes, options, codes.
#[test]
fn nothing_is_missing_in_the_document_and_nothing_is_invented() {
    let folder = Folder::new();
    let proxy = unlimited()
        .outbox(&folder)
        .set("SLACK_CLIENT_ID", "123.456")
        .set("SLACK_CLIENT_SECRET", unique("secret-", 24))
        .set("STORE_KEY", unique("key-", 40))
        .start();

    let document = document(&proxy);

    let have: BTreeSet<String> = methods(&document)
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    let want: BTreeSet<String> = Route::all()
        .map(|route| route.pattern().to_owned())
        .collect();
    assert_eq!(have, want);
    let parameters = document["components"]["parameters"].as_object().unwrap();
    for known in KNOWN {
        assert_eq!(parameters[known.name]["name"], known.name);
    }
    let codes = &document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
    let want: Vec<&str> = CODES.iter().map(|row| row.text).collect();
    assert_eq!(*codes, serde_json::json!(want));
}

/// Where every `$ref` below this value points.
fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let below = fields.values().flat_map(references);
            let own = fields.get("$ref").and_then(Value::as_str);
            own.map(str::to_owned).into_iter().chain(below).collect()
        }
        Value::Array(values) => values.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// An answer that points at the wrong shape leaves the right one unused.
#[test]
fn every_reference_leads_somewhere_and_every_shape_is_used() {
    let folder = Folder::new();
    let bare = document(&Proxy::start(&[]));
    let full = document(&full(&folder, &unique("secret-", 24)).start());

    for document in [&bare, &full] {
        for reference in references(document) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
    let used: BTreeSet<String> = references(&full).into_iter().collect();
    let shapes = full["components"]["schemas"].as_object().unwrap();
    for name in shapes.keys() {
        let reference = format!("#/components/schemas/{name}");
        assert!(used.contains(&reference), "{name} is used nowhere");
    }
}

#[test]
fn the_channels_of_a_platform_are_documented() {
    let document = document(&Proxy::start(&[]));

    let channels = &document["paths"]["/channels"]["get"];
    let parameter = &channels["parameters"][0];
    assert_eq!(
        (&parameter["name"], &parameter["in"]),
        (&serde_json::json!("backend"), &serde_json::json!("query"))
    );
    let shape = &channels["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(shape["$ref"], "#/components/schemas/Channels");
}

/// The real router takes the methods that are documented, and no other.
#[test]
fn the_documented_methods_are_those_that_the_router_allows() {
    for get_posts in ["true", "false"] {
        let proxy = unlimited().set("ALLOW_GET", get_posts).start();

        for (path, documented) in methods(&document(&proxy)) {
            let target = path.replace(['{', '}'], "").replace("/name", "/app.js");

            let asked = proxy.request("OPTIONS", &target, &[]);
            let refused = proxy.request("PATCH", &target, &[]);

            let allowed: BTreeSet<String> = asked
                .header("Allow")
                .unwrap()
                .split(", ")
                .map(str::to_owned)
                .collect();
            assert_eq!((asked.status, allowed), (204, documented), "{path}");
            assert_eq!(refused.verdict(), (405, "method-not-allowed".to_owned()));
            assert_eq!(refused.header("Allow"), asked.header("Allow"), "{path}");
        }
    }
}

#[test]
fn credentials_are_documented_where_they_are_needed() {
    let folder = Folder::new();
    let closed = document(&full(&folder, &unique("secret-", 24)).start());
    let open = document(&Proxy::start(&[]));

    let security = |document: &Value, path: &str, method: &str| {
        let either = document["paths"][path][method]["security"].clone();
        let schemes = either.as_array().cloned().unwrap_or_default();
        let names = schemes
            .iter()
            .flat_map(|one| one.as_object().unwrap().keys());
        names.cloned().collect::<Vec<String>>()
    };
    let post = "/post/channel/{channel}/msg/{message}";
    assert_eq!(
        security(&closed, post, "post"),
        ["bearer", "basic", "sig", "token"]
    );
    assert_eq!(security(&closed, "/deliveries", "get"), ["bearer", "basic"]);
    assert_eq!(security(&closed, "/metrics", "get"), ["bearer", "basic"]);
    assert!(security(&closed, "/health", "get").is_empty());
    for (path, method) in [(post, "post"), ("/deliveries", "get"), ("/metrics", "get")] {
        assert!(security(&open, path, method).is_empty(), "{path}");
        let unauthorized = &open["paths"][path][method]["responses"]["401"];
        assert!(unauthorized.is_null(), "{path}");
    }
}

/// Every request that the document allows is answered as it says, and what it forbids is refused.
#[test]
fn schemathesis_finds_nothing() {
    let folder = Folder::new();
    let secret = unique("secret-", 24);
    let proxy = full(&folder, &secret)
        .set("TRUSTED_PROXY_HOPS", "1")
        .start();
    // Installed before it is started.
    peers::python();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi/schemathesis");

    let output = Command::new(script)
        .args([proxy.url("").as_str(), &secret])
        .current_dir(folder.path())
        .output()
        .unwrap();

    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_problems_type_leads_to_its_explanation_on_a_page() {
    let proxy = unlimited().start();
    let refused = proxy.get("/nothing").json();
    let link = refused["type"].as_str().unwrap();
    let (path, fragment) = link.split_once('#').unwrap();

    let page = proxy.request(
        "GET",
        path,
        &[("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")],
    );

    assert_eq!(
        (page.status, page.header("Content-Type")),
        (200, Some("text/html; charset=utf-8"))
    );
    let text = page.text();
    assert!(text.contains(&format!("id=\"{fragment}\"")));
    for row in CODES {
        assert_eq!(text.matches(&format!("id=\"{}\"", row.text)).count(), 1);
        let title = row.title.replace('&', "&amp;").replace('<', "&lt;");
        assert!(text.contains(&title), "{}", row.text);
    }
}

/// D5: the page runs nothing and loads nothing; its one style is known by its hash.
#[test]
fn the_page_of_problems_is_nothing_but_text() {
    let proxy = Proxy::start(&[]);

    let page = proxy.request("GET", "/problems", &[("Accept", "text/html")]);
    let plain = proxy.request("GET", "/problems", &[("Accept", "*/*")]);

    let text = page.text();
    let style = text.split_once("<style>").unwrap().1;
    let style = style.split_once("</style>").unwrap().0;
    assert_eq!(
        page.header("Content-Security-Policy").unwrap(),
        format!(
            "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            sha256(style)
        )
    );
    assert_eq!(page.header("X-Content-Type-Options"), Some("nosniff"));
    assert!(style.contains("color-scheme:light dark"));
    for active in [
        "<script",
        "javascript:",
        "style=",
        "src=",
        "http://",
        "https://",
    ] {
        assert!(!text.contains(active), "{active}");
    }
    assert_eq!(
        plain.header("Content-Type"),
        Some("text/plain; charset=utf-8")
    );
}

/// By another hand than the program's.
fn sha256(text: &str) -> String {
    let script = "import base64,hashlib,sys;print(base64.b64encode(hashlib.sha256(sys.argv[1].encode()).digest()).decode())";
    let output = Command::new(peers::python())
        .args(["-c", script, text])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
