//! Contract section 4, as far as it is about the process: how it stops, and that a stuck log does not stop it.

use std::io::{BufRead as _, BufReader};
use std::process::{ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Arc;

use crate::support::{
    Client, Connection, DEADLINE, Gate, Ledger, Mattermost, Proxy, Setup, log_message,
    message_path, output,
};

fn setup(env: &[(&str, &str)]) -> Setup {
    let defaults = [
        ("RATE_LIMIT_CALLER", "off"),
        ("RATE_LIMIT_CHANNEL", "off"),
        ("RATE_LIMIT_GLOBAL", "off"),
    ];
    defaults
        .iter()
        .chain(env)
        .fold(Proxy::setup(), |setup, (name, value)| {
            setup.set(name, *value)
        })
}

/// A POST whose body is announced and not sent: it stays in flight until the test sends it.
fn start_post(proxy: &Proxy) -> Connection {
    let mut connection = proxy.connect();
    connection.send(b"POST /post/channel/demo/msg/with%20a%20slow%20body HTTP/1.1\r\nHost: p\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    connection
}

#[track_caller]
fn wait_until_stopping(proxy: &Proxy) {
    proxy.wait_for_log(|event| log_message(event).starts_with("stopping"));
}

/// P-2: what had begun is answered, what comes later is not taken, and the end is a success.
#[test]
fn sigterm_finishes_what_is_under_way_and_exits_0() {
    let mattermost = Mattermost::start();
    let builds = mattermost.channel("builds");
    let gate = Gate::new();
    mattermost.hold_next(&gate);
    let proxy = setup(&[("DEFAULT_BACKEND", "mattermost")])
        .with(&mattermost)
        .start();
    let mut posting = proxy.connect();
    let target = message_path(&builds, "answered before the end", &[]);
    posting.send(format!("POST {target} HTTP/1.1\r\nHost: p\r\n\r\n").as_bytes());
    // The platform has the post and has not answered it yet.
    mattermost.wait_for_posts(1);

    proxy.signal("TERM");
    wait_until_stopping(&proxy);
    gate.open();
    let answer = posting.read_response();
    let status = proxy.wait();

    assert_eq!(
        (answer.status, answer.json()["status"].as_str()),
        (200, Some("delivered"))
    );
    assert_eq!(status.code(), Some(0));
    assert!(proxy.is_refused());
    assert_eq!(mattermost.posts().len(), 1);
}

/// P-2: the same when it is the caller who is slow.
#[test]
fn sigterm_waits_for_a_body_that_is_still_coming() {
    let proxy = setup(&[]).start();
    let mut slow = start_post(&proxy);
    // Another answer shows that the server has seen what was sent before it.
    assert_eq!(proxy.get("/health").status, 200);

    proxy.signal("TERM");
    wait_until_stopping(&proxy);
    slow.send(b"body");
    let answer = slow.read_response();

    assert_eq!(
        answer.json()["code"].as_str().unwrap_or("delivered"),
        "delivered"
    );
    assert_eq!(proxy.wait().code(), Some(0));
}

/// P-2: the grace is the longest that anybody can hold it.
#[test]
fn a_caller_that_never_ends_does_not_hold_the_end_up() {
    let mattermost = Mattermost::start();
    let builds = mattermost.channel("builds");
    let gate = Gate::new();
    mattermost.hold_next(&gate);
    let proxy = setup(&[("SHUTDOWN_GRACE", "1s")]).with(&mattermost).start();
    let mut posting = proxy.connect();
    let target = message_path(&builds, "never answered at all", &[("wait", "60")]);
    posting.send(format!("POST {target} HTTP/1.1\r\nHost: p\r\n\r\n").as_bytes());
    let idle = proxy.connect();
    let mut half = proxy.connect();
    half.send(b"POST /post/channel/demo/msg/half%20a%20he");
    mattermost.wait_for_posts(1);

    // `terminate` fails the test after 35 s; the platform answers when the test ends, which is never in time.
    let status = proxy.terminate();

    assert_eq!(status.code(), Some(0));
    drop((idle, half, gate));
}

/// A connection that was open before may still ask: it is told the truth, or nothing.
#[test]
fn while_it_stops_it_is_not_ready_and_takes_no_posts() {
    let mattermost = Mattermost::start();
    let builds = mattermost.channel("builds");
    let gate = Gate::new();
    mattermost.hold_next(&gate);
    let proxy = setup(&[]).with(&mattermost).start();
    let mut posting = proxy.connect();
    let target = message_path(&builds, "holds the end up", &[]);
    posting.send(format!("POST {target} HTTP/1.1\r\nHost: p\r\n\r\n").as_bytes());
    mattermost.wait_for_posts(1);
    // Half a request each: these connections are not idle, so they are read to their end.
    let begin = |line: &str| {
        let mut connection = proxy.connect();
        connection.send(format!("{line} HTTP/1.1\r\nHost: p\r\n").as_bytes());
        connection
    };
    let mut asking = begin("GET /ready");
    let mut late = begin("POST /post/channel/console:demo/msg/too%20late%20to%20be%20taken");
    assert_eq!(proxy.get("/health").status, 200);

    proxy.signal("TERM");
    wait_until_stopping(&proxy);
    let connects_refused = proxy.is_refused();
    asking.send(b"\r\n");
    late.send(b"\r\n");
    let ready = asking.try_read_response();
    let refused = late.try_read_response();
    gate.open();
    let answer = posting.read_response();
    let status = proxy.wait();

    assert_eq!(answer.status, 200);
    assert_eq!(status.code(), Some(0));
    assert!(connects_refused || proxy.is_refused());
    // Closing without an answer is allowed, for a connection that was given none yet.
    if let Ok(ready) = ready {
        assert_eq!(
            (ready.status, ready.json()["status"].as_str()),
            (503, Some("shutting-down"))
        );
    }
    if let Ok(refused) = refused {
        assert_eq!(
            (refused.status, refused.json()["code"].as_str()),
            (503, Some("shutting-down"))
        );
        assert!(refused.header("Retry-After").is_some());
    }
    assert!(proxy.stdout_so_far().is_empty());
}

#[test]
fn a_second_sigterm_changes_nothing() {
    let mattermost = Mattermost::start();
    let builds = mattermost.channel("builds");
    let gate = Gate::new();
    mattermost.hold_next(&gate);
    let proxy = setup(&[]).with(&mattermost).start();
    let mut posting = proxy.connect();
    let target = message_path(&builds, "answered before the end", &[]);
    posting.send(format!("POST {target} HTTP/1.1\r\nHost: p\r\n\r\n").as_bytes());
    mattermost.wait_for_posts(1);

    proxy.signal("TERM");
    wait_until_stopping(&proxy);
    for signal in ["TERM", "INT", "TERM"] {
        proxy.signal(signal);
    }
    gate.open();

    assert_eq!(posting.read_response().status, 200);
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn sigint_stops_it_like_sigterm() {
    let proxy = setup(&[]).start();

    proxy.signal("INT");

    assert_eq!(proxy.wait().code(), Some(0));
}

/// Who has read that it listens may stop it at once: the signal is already expected.
#[test]
fn sigterm_right_after_the_start_is_an_orderly_end() {
    for _ in 0..10 {
        let status = setup(&[]).start().terminate();

        assert_eq!(status.code(), Some(0), "{status}");
    }
}

/// A proxy whose log nobody reads after its first line.
struct Unread {
    client: Client,
    pid: u32,
    exit: Arc<Ledger<ExitStatus>>,
    /// Held open, so that writing blocks instead of failing.
    _stderr: BufReader<ChildStderr>,
}

impl Unread {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_message-webhook-proxy"))
            .env_clear()
            .envs([
                ("HOST", "127.0.0.1"),
                ("PORT", "0"),
                ("LOG_FORMAT", "json"),
                ("DATABASE_URL", "none"),
                ("RUST_LOG", "info"),
            ])
            .envs([
                ("RATE_LIMIT_CALLER", "off"),
                ("RATE_LIMIT_CHANNEL", "off"),
                ("RATE_LIMIT_GLOBAL", "off"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(
                stderr.read_line(&mut line).unwrap() > 0,
                "it does not listen"
            );
            if let Some(address) = output::listening(&line) {
                break address.parse().unwrap();
            }
        };
        let (pid, exit) = (child.id(), Arc::new(Ledger::default()));
        let into = Arc::clone(&exit);
        std::thread::spawn(move || into.push(child.wait().unwrap()));
        Self {
            client: Client::new(address),
            pid,
            exit,
            _stderr: stderr,
        }
    }

    /// The exit code, if it ends in time.
    fn signal(&self, name: &str) -> Option<i32> {
        let pid = self.pid.to_string();
        Command::new("/bin/kill")
            .args([name, &pid])
            .status()
            .unwrap();
        self.exit
            .wait(DEADLINE, |exits| exits.first().copied())?
            .code()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if self.exit.len() == 0 {
            self.signal("-KILL");
        }
    }
}

/// P-7, P-2: a log that nobody reads costs lines, which are counted; neither answers nor the end wait for it.
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    const POSTS: usize = 5000;
    const AT_ONCE: usize = 100;
    let proxy = Unread::start();
    let mut connection = proxy.client.connect();
    // A long name makes long lines: more than the pipe and the buffer together hold.
    let request = format!(
        "POST /post/channel/{}/msg/is%20anybody%20there HTTP/1.1\r\nHost: p\r\n\r\n",
        "x".repeat(400)
    );

    for _ in 0..POSTS / AT_ONCE {
        connection.send(request.repeat(AT_ONCE).as_bytes());
        for _ in 0..AT_ONCE {
            assert_eq!(connection.read_response().status, 200);
        }
    }
    let metrics = proxy.client.get("/metrics").text();
    let dropped = metrics
        .lines()
        .find_map(|line| line.strip_prefix("message_webhook_proxy_log_lines_dropped "));
    let dropped: u64 = dropped.unwrap().parse().unwrap();
    let code = proxy.signal("-TERM");

    assert!((1..POSTS as u64).contains(&dropped), "{dropped}");
    assert_eq!(code, Some(0));
}
