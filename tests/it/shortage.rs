//! P-4: where few files may be open, what is too much is refused at once, and what has begun goes on. And I6: what is open is
//! bounded.

use std::fs;
use std::io::ErrorKind;

use serde_json::Value;

use crate::store::eventually;
use crate::support::mattermost::Access;
use crate::support::{
    Connection, Folder, Gate, Mattermost, Proxy, Refused, Reply, Response, Setup, Upstream,
    log_message, message_path, unique,
};

/// Enough for two workers and a few connections.
const LIMIT: usize = 64;

/// The program below a limit of open files, for callers and for what it calls.
fn below(limit: usize, setup: Setup) -> Setup {
    setup.after(&format!("ulimit -n {limit}"))
}

fn setup() -> Setup {
    Proxy::setup().without_limits().set("WORKERS", "2")
}

/// How many connections one address may have, as the log says. It depends on what whoever runs the tests has left open.
fn of_one_address(proxy: &Proxy) -> usize {
    let start = proxy.wait_for_log(|event| event["open_files"] == LIMIT);
    usize::try_from(start["of_one_address"].as_u64().unwrap()).unwrap()
}

fn open_files(proxy: &Proxy) -> usize {
    let folder = format!("/proc/{}/fd", proxy.pid());
    fs::read_dir(folder).unwrap().count()
}

/// Processor time in hundredths of a second.
fn ticks(proxy: &Proxy) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", proxy.pid())).unwrap();
    // Behind the name, which may hold anything (proc(5)): fields 14 and 15.
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let times = fields
        .skip(11)
        .take(2)
        .map(|time| time.parse::<u64>().unwrap());
    times.sum()
}

fn post_over(connection: &mut Connection, channel: &str, text: &str) -> Response {
    let target = message_path(channel, text, &[]);
    connection.send(format!("POST {target} HTTP/1.1\r\nHost: p\r\n\r\n").as_bytes());
    connection.read_response()
}

/// The soft limit of most systems is for programs of another kind; only the hard one counts.
#[test]
fn a_soft_limit_is_raised() {
    let chat = Mattermost::start();
    let builds = chat.channel("builds");
    let proxy = setup().with(&chat).after("ulimit -Sn 64").start();

    let mut open: Vec<Connection> = (0..100).map(|_| proxy.connect()).collect();

    let last = open.last_mut().unwrap();
    assert_eq!(post_over(last, &builds, "the hundredth").status, 200);
}

/// The whole of it: idle connections from one address take what one address may have, and no more.
#[test]
fn idle_connections_are_refused_at_once_and_posts_go_on() {
    let chat = Mattermost::start();
    let builds = chat.channel("builds");
    let proxy = below(LIMIT, setup().with(&chat)).start();
    let mut kept = proxy.connect();
    assert_eq!(
        post_over(&mut kept, &builds, "before the flood").status,
        200
    );

    // All of them at once: they wait in the system's queue until it goes on.
    proxy.signal("STOP");
    let mut idle: Vec<Connection> = (0..300).map(|_| proxy.connect()).collect();
    proxy.signal("CONT");
    let refused = proxy.post_message(&builds, "one too many", &[]);
    let during = post_over(&mut kept, &builds, "during the flood");
    let (most_open, before) = (open_files(&proxy), ticks(&proxy));
    // Those that were let in say nothing, and are left after 5 s without an answer.
    let told: Vec<Response> = idle
        .iter_mut()
        .filter_map(|connection| match connection.try_read_response() {
            Ok(answer) => Some(answer),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
                None
            }
        })
        .collect();
    let spent = ticks(&proxy) - before;

    assert_eq!(during.status, 200);
    assert_eq!(refused.verdict(), (503, "too-many-connections".to_owned()));
    assert_eq!(refused.header("Retry-After"), Some("1"));
    assert_eq!(refused.header("Connection"), Some("close"));
    assert!(
        told.len() > 300 - of_one_address(&proxy),
        "{} were told",
        told.len()
    );
    assert!(told.len() < 300, "nobody was let in");
    for answer in &told {
        assert_eq!(answer.verdict().1, "too-many-connections");
        let id = answer.header("X-Request-Id");
        assert_eq!(id, answer.json()["id"].as_str());
    }
    assert!(most_open <= LIMIT, "{most_open} files are open");
    assert!(
        spent < 100,
        "{spent} hundredths of a second while nothing was asked"
    );
    eventually("others are let in again", || {
        proxy.post_message(&builds, "after the flood", &[]).status == 200
    });
    let has_failed = |event: &Value| log_message(event).contains("accepting");
    assert!(!proxy.logs().iter().any(has_failed), "{:?}", proxy.logs());
    let shown: Vec<_> = chat.posts().into_iter().map(|post| post.message).collect();
    assert_eq!(
        shown,
        ["before the flood", "during the flood", "after the flood"]
    );
    let metrics = proxy.get("/metrics").text();
    let counted = metrics
        .lines()
        .find_map(|line| line.strip_prefix("message_webhook_proxy_connections_refused_total "));
    assert!(counted.unwrap().parse::<usize>().unwrap() > told.len());
}

/// The log says what there is, and what to do about it; of those refused it tells now and then.
#[test]
fn the_log_tells_of_a_low_limit_and_of_refused_connections() {
    let proxy = below(LIMIT, setup()).start();
    let _idle: Vec<Connection> = (0..50).map(|_| proxy.connect()).collect();

    let start = proxy.wait_for_log(|event| event["open_files"] == LIMIT);
    let refused = |event: &Value| log_message(event).starts_with("connections were refused");
    proxy.wait_for_log(refused);

    // I6: no more than two for each connection, and 64.
    let connections = start["connections"].as_u64().unwrap();
    assert!((4..32).contains(&connections), "{start}");
    assert!(of_one_address(&proxy) < 32, "{start}");
    assert!(log_message(&start).contains("ulimit -n"), "{start}");
    let lines = proxy.logs().into_iter().filter(refused).count();
    assert_eq!(lines, 1);
}

#[test]
fn an_ample_limit_is_not_worth_a_line() {
    let proxy = setup().start();
    let ample = open_files(&proxy) + 2 * 4096 + 100;
    let files = fs::read_to_string(format!("/proc/{}/limits", proxy.pid())).unwrap();
    let line = files
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft: Option<usize> = line
        .unwrap()
        .split_whitespace()
        .nth(3)
        .unwrap()
        .parse()
        .ok();

    let is_told = proxy
        .logs()
        .iter()
        .any(|event| !event["open_files"].is_null());

    assert_eq!(is_told, soft.is_some_and(|soft| soft < ample));
}

/// Callers who give up while the platform hangs leave attempts behind, and these must not count as connections.
#[test]
fn those_who_have_gone_take_nobodys_place() {
    let (chat, folder, gate) = (Mattermost::start(), Folder::new(), Gate::new());
    let setup = crate::store::setup(&chat).set("WORKERS", "1");
    let proxy = below(100, setup.outbox(&folder)).start();
    let channels: Vec<String> = (0..50)
        .map(|n| chat.set_channel(&format!("c{n}"), Access::Member))
        .collect();
    channels.iter().for_each(|_| chat.hold_next(&gate));

    // 25 at a time are let in, and one worker may have 39 in all.
    for some in channels.chunks(25) {
        std::thread::scope(|scope| {
            let post = |channel| {
                let answer = proxy.post_message(channel, "held", &[("wait", "1")]);
                assert_eq!(answer.status, 202, "{}", answer.text());
            };
            some.iter()
                .for_each(|channel| drop(scope.spawn(move || post(channel))));
        });
        eventually("they have gone", || proxy.get("/health").status == 200);
    }

    gate.open();
    chat.wait_for_posts(channels.len());
}

/// Kept connections are closed for one that is needed: below this limit a worker has two to all of them.
#[test]
fn connections_that_are_kept_make_room_for_another() {
    let upstreams: Vec<Upstream> = (0..12)
        .map(|_| Upstream::start(|_| Reply::text(200, "ok")))
        .collect();
    let hooks = upstreams.iter().enumerate().map(|(n, upstream)| {
        let secret = unique("", 24);
        format!(
            "h{n}=slack+{}/services/T0TEAM/B0HOOK/{secret}",
            upstream.url()
        )
    });
    let channels = hooks.collect::<Vec<_>>().join(" ");
    let setup = setup().set("WORKERS", "1").set("CHANNELS", channels);
    let proxy = below(40, setup).start();
    let before = open_files(&proxy);

    for round in ["first", "second"] {
        for n in 0..upstreams.len() {
            let answer = proxy.post_message(&format!("h{n}"), round, &[]);
            assert_eq!(answer.status, 200, "{round} {n}: {}", answer.text());
        }
    }

    // The last caller's own may not be closed yet.
    assert!(open_files(&proxy) <= before + 3);
    assert!(
        upstreams
            .iter()
            .all(|upstream| upstream.requests().len() == 2)
    );
}

#[track_caller]
fn refused(limit: usize, env: &[(&str, &str)]) -> String {
    let setup = env.iter().fold(Proxy::setup(), |setup, (name, value)| {
        setup.set(name, *value)
    });
    let Refused { code, stderr, .. } = below(limit, setup).run();
    assert_eq!(code, 78, "{limit}: {stderr}");
    stderr
}

fn least(said: &str) -> usize {
    let (_, rest) = said.split_once("at least ").expect("no number");
    rest.split(';').next().unwrap().parse().unwrap()
}

/// It would end in a panic of actix, or without having let anybody in.
#[test]
fn too_low_a_limit_is_refused_with_the_least_number() {
    for limit in [8, 16, 22, 33] {
        let said = refused(limit, &[]);
        let line = format!("ulimit -n: this process may have {limit} files open");
        assert!(said.contains(&line), "{said}");
        assert!(least(&said) > limit, "{said}");
    }
    let said = refused(LIMIT, &[("WORKERS", "8"), ("MAX_PARTS", "none")]);
    assert!(said.contains("with WORKERS=8"), "{said}");
    assert!(said.contains("MAX_PARTS"), "not all faults: {said}");
}

#[test]
fn a_command_says_so_too() {
    let script = format!(
        "ulimit -n 8; exec {} send console:demo hello",
        env!("CARGO_BIN_EXE_message-webhook-proxy")
    );
    let setup = Proxy::setup().program("/bin/sh").arg("-c").arg(&script);

    let Refused { code, stderr, .. } = setup.run();

    assert_eq!(code, 78, "{stderr}");
    assert!(
        stderr.contains("ulimit -n") && least(&stderr) > 8,
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1);
}

/// Nobody asked for as many workers as there are cores, and the least number is for one.
#[test]
fn it_starts_with_the_least_number() {
    let least = least(&refused(8, &[]));

    let proxy = below(least, Proxy::setup()).start();

    assert_eq!(proxy.post_message("console:demo", "few", &[]).status, 200);
    refused(least - 1, &[]);
}
