//! Contract 5, `UPSTREAM_CA`: certificates are always verified, and a private CA can be added. E4 and F-20 of
//! `threats.md`.

use std::net::TcpListener;
use std::path::PathBuf;

use serde_json::json;

use crate::support::proxy::Setup;
use crate::support::upstream::Request;
use crate::support::{Certificate, Proxy, Reply, Response, TlsUpstream, Upstream, unique};

const TEXT: &str = "the nightly build is broken";
const POST_ID: &str = "kapmbndrfg8ejkmcpqxot1uwis";

/// A file that is gone when the test ends.
struct File(PathBuf);

impl File {
    fn holding(content: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(unique("ca-", 12));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

fn well(request: &Request) -> Reply {
    if request.path().starts_with("/services/") {
        return Reply::text(200, "ok");
    }
    Reply::json(201, json!({"id": POST_ID, "channel_id": POST_ID}))
}

fn setup(url: &str) -> Setup {
    Proxy::setup()
        .set("MATTERMOST_URL", url)
        .set("MATTERMOST_TOKEN", unique("", 26))
        .set(
            "CHANNELS",
            format!("hook=slack+{url}/services/T0TEAM/B0HOOK/{}", unique("", 24)),
        )
}

/// Both ways out: a bot and a webhook.
fn posts(proxy: &Proxy) -> [Response; 2] {
    std::thread::scope(|scope| {
        let post = |to| scope.spawn(move || proxy.post_message(to, TEXT, &[("wait", "1")]));
        [POST_ID, "hook"].map(post).map(|post| post.join().unwrap())
    })
}

#[track_caller]
fn assert_not_trusted(answer: &Response, case: &str) {
    let problem = answer.json();
    assert_eq!(
        (answer.status, &problem["code"]),
        (503, &json!("backend-unavailable")),
        "{case}: {problem}"
    );
    assert!(answer.header("Retry-After").is_some());
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("certificate") && detail.contains("UPSTREAM_CA"),
        "{case}: {detail}"
    );
}

#[test]
fn a_private_ca_that_was_added_is_trusted() {
    let upstream = TlsUpstream::start(Certificate::Good, well);
    let ca = File::holding(upstream.ca_pem());
    let proxy = setup(&upstream.url()).set("UPSTREAM_CA", ca.path()).start();

    for answer in posts(&proxy) {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    assert_eq!(upstream.requests().len(), 2);
}

/// What TLS sends on its own between two posts, such as tickets, does not cost the connection.
#[test]
fn a_connection_with_tls_is_used_again() {
    let upstream = TlsUpstream::start(Certificate::Good, well);
    let ca = File::holding(upstream.ca_pem());
    let proxy = setup(&upstream.url())
        .set("UPSTREAM_CA", ca.path())
        .set("WORKERS", "1")
        .start();

    for _ in 0..20 {
        assert_eq!(proxy.post_message(POST_ID, TEXT, &[]).status, 200);
    }

    assert_eq!((upstream.requests().len(), upstream.connections()), (20, 1));
}

/// A bundle may hold several CAs, and text around them.
#[test]
fn every_ca_of_a_bundle_is_trusted() {
    let (one, other) = (
        TlsUpstream::start(Certificate::Good, well),
        TlsUpstream::start(Certificate::Good, well),
    );
    let bundle = File::holding(&format!(
        "# ours\n{}\n# theirs\n{}",
        one.ca_pem(),
        other.ca_pem()
    ));
    for upstream in [&one, &other] {
        let proxy = setup(&upstream.url())
            .set("UPSTREAM_CA", bundle.path())
            .start();

        for answer in posts(&proxy) {
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
}

/// E4, F-20: nothing is sent, and the detail names the certificate.
#[test]
fn a_certificate_that_does_not_hold_gets_nothing() {
    let cases = [
        (Certificate::Good, false),
        (Certificate::Expired, true),
        (Certificate::Expired, false),
        (Certificate::WrongHost, true),
        (Certificate::WrongHost, false),
        (Certificate::SelfSigned, true),
        (Certificate::SelfSigned, false),
    ];
    let check = |(certificate, own_ca): (Certificate, bool)| {
        let upstream = TlsUpstream::start(certificate, well);
        let ca = File::holding(upstream.ca_pem());
        let setup = setup(&upstream.url());
        let setup = if own_ca {
            setup.set("UPSTREAM_CA", ca.path())
        } else {
            setup
        };
        let proxy = setup.start();

        for answer in posts(&proxy) {
            assert_not_trusted(&answer, &format!("{certificate:?}, its CA known: {own_ca}"));
        }

        assert_eq!(upstream.requests().len(), 0, "{certificate:?}");
    };

    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || check(case));
        }
    });
}

/// E4: another CA is no help, and one CA does not open another server.
#[test]
fn another_ca_is_not_trusted() {
    let (upstream, other) = (
        TlsUpstream::start(Certificate::Good, well),
        TlsUpstream::start(Certificate::Good, well),
    );
    let ca = File::holding(other.ca_pem());
    let proxy = setup(&upstream.url()).set("UPSTREAM_CA", ca.path()).start();

    for answer in posts(&proxy) {
        assert_not_trusted(&answer, "another CA");
    }

    assert_eq!(upstream.requests().len(), 0);
}

/// F-20: a handshake that never ends, or is none, ends the call before anything is sent.
#[test]
fn a_handshake_that_fails_sends_nothing() {
    let plain = Upstream::start(well);
    let proxy = setup(&format!("https://{}", plain.addr())).start();
    for answer in posts(&proxy) {
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (503, &json!("backend-unavailable"))
        );
    }
    assert_eq!(plain.requests().len(), 0);
    // A ClientHello is no HTTP, which the upstream would complain about.
    assert!(!plain.take_faults().is_empty());

    // The system accepts for it; nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let proxy = setup(&url).set("UPSTREAM_TIMEOUT", "300ms").start();
    for answer in posts(&proxy) {
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (503, &json!("backend-unavailable"))
        );
    }
}

/// Contract 5 and 7: a malformed value stops the program at start, exit 78, and the line names the variable.
#[test]
fn a_bundle_that_is_none_stops_the_program() {
    let certificate = TlsUpstream::start(Certificate::Good, well)
        .ca_pem()
        .to_owned();
    let cut = &certificate[..certificate.len() / 2];
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let files = ["", "no certificate at all\n", cut, garbage].map(File::holding);
    let missing = files[0].0.with_extension("missing");
    let paths = files
        .iter()
        .map(File::path)
        .chain([missing.to_str().unwrap(), env!("CARGO_TARGET_TMPDIR")]);

    for path in paths {
        let refused = Proxy::refused(&[("UPSTREAM_CA", path)]);

        assert_eq!(refused.code, 78, "{path}: {}", refused.stderr);
        assert!(refused.stderr.contains("UPSTREAM_CA"), "{}", refused.stderr);
        assert_eq!(refused.stdout, "");
    }
}
