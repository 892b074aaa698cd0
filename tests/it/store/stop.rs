//! P-2 with an outbox: what is under way is finished or kept, and the last words count it.

use std::thread;

use serde_json::Value;

use super::{assert_shown, hold, queue_all, setup, start, wait_for_status};
use crate::support::{
    Connection, Folder, Gate, Mattermost, Proxy, Reply, Response, log_field, log_message,
    message_path,
};

/// A post whose caller waits as long as it may.
fn begin(proxy: &Proxy, channel: &str, text: &str) -> Connection {
    let mut connection = proxy.connect();
    let target = message_path(channel, text, &[("wait", "60")]);
    connection.send(format!("POST {target} HTTP/1.1\r\nHost: p\r\n\r\n").as_bytes());
    connection
}

/// `delivered`, `kept` and `refused` of the last words.
#[track_caller]
fn counts(proxy: &Proxy) -> [u64; 3] {
    let all = |event: &Value| {
        ["delivered", "kept", "refused"].map(|name| log_field(event, name).and_then(Value::as_u64))
    };
    let told: Vec<[u64; 3]> = proxy
        .logs()
        .iter()
        .map(all)
        .filter_map(|[delivered, kept, refused]| Some([delivered?, kept?, refused?]))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    told[0]
}

#[track_caller]
fn wait_until_stopping(proxy: &Proxy) {
    proxy.wait_for_log(|event| log_message(event).starts_with("stopping"));
}

/// P-2: the platform hangs and callers wait; they get a promise, which the next run keeps.
#[test]
fn a_hung_platform_holds_nothing_up_and_loses_nothing() {
    const WAITING: usize = 10;
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let builds = chat.channel("builds");
    let proxy = start(&chat, &folder);
    // The first attempt fails, so that the message is stored; at the second the platform hangs.
    chat.next(Reply::status(503));
    chat.next(Reply::stall());
    let mut callers = vec![begin(&proxy, &builds, "the platform hangs on this")];
    super::eventually("the platform hangs", || super::sends(&chat) == 2);
    let queued = queue_all(&proxy, &builds, "behind it", WAITING);
    callers.push(begin(&proxy, &builds, "the last one waits as well"));
    super::eventually("all are stored", || {
        super::listed(&proxy, "queued").len() >= WAITING + 2
    });

    proxy.signal("TERM");
    proxy.signal("TERM");
    let answers: Vec<Response> = callers.iter_mut().map(Connection::read_response).collect();
    let status = proxy.wait();
    let [delivered, kept, refused] = counts(&proxy);
    let again = start(&chat, &folder);

    for answer in answers {
        assert_eq!(answer.verdict(), (202, "queued".to_owned()));
        wait_for_status(&again, answer.json()["id"].as_str().unwrap(), "delivered");
    }
    assert_eq!(status.code(), Some(0));
    assert_eq!([delivered, kept, refused], [0, WAITING as u64 + 2, 0]);
    let first = "the platform hangs on this".to_owned();
    let last = "the last one waits as well".to_owned();
    assert_shown(&chat, &builds, &[vec![first], queued, vec![last]].concat());
}

/// P-2: what the platform has taken is noted before the end, so the next run does not send it.
#[test]
fn a_delivery_under_way_is_finished() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let builds = chat.channel("builds");
    let proxy = setup(&chat)
        .outbox(&folder)
        .set("SHUTDOWN_GRACE", "20s")
        .start();
    let gate = Gate::new();
    chat.hold_next(&gate);
    let mut caller = begin(&proxy, &builds, "under way at the end");
    chat.wait_for_posts(1);

    proxy.signal("TERM");
    wait_until_stopping(&proxy);
    gate.open();
    let answer = caller.read_response();
    let status = proxy.wait();
    let again = start(&chat, &folder);
    super::post(&again, &builds, "of the next run");
    chat.wait_for_posts(2);

    assert_eq!(answer.status, 200);
    assert_eq!(status.code(), Some(0));
    assert_eq!(counts(&proxy)[1..], [0, 0]);
    assert_eq!(super::sends(&chat), 2, "a delivered post was sent again");
}

/// P-2: under load every caller is told the truth: a promise is kept, a refusal was no promise.
#[test]
fn under_load_every_promise_is_kept() {
    const CALLERS: usize = 8;
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let builds = chat.channel("builds");
    let proxy = start(&chat, &folder);
    let (gate, _) = hold(&proxy, &chat, &builds);

    let promised: Vec<String> = thread::scope(|scope| {
        let load = |caller: usize| {
            let (proxy, builds) = (&proxy, &builds);
            move || load(proxy, builds, caller)
        };
        let callers: Vec<_> = (0..CALLERS).map(|n| scope.spawn(load(n))).collect();
        super::eventually("there is load", || {
            super::listed(&proxy, "queued").len() > 40
        });
        proxy.signal("TERM");
        callers
            .into_iter()
            .flat_map(|caller| caller.join().unwrap())
            .collect()
    });
    let status = proxy.wait();
    gate.open();
    let _again = start(&chat, &folder);
    super::eventually("every promise is kept", || {
        let shown = super::shown(&chat, &builds);
        promised.iter().all(|text| shown.contains(text))
    });

    assert_eq!(status.code(), Some(0));
    let mut shown = super::promised(super::shown(&chat, &builds), &promised);
    let all = shown.len();
    shown.sort();
    shown.dedup();
    assert_eq!((all, shown.len()), (promised.len(), promised.len()));
}

/// Posts until nobody answers any more; the texts that were promised.
fn load(proxy: &Proxy, channel: &str, caller: usize) -> Vec<String> {
    let mut promised = Vec::new();
    let Some(mut connection) = connect(proxy) else {
        return promised;
    };
    for n in 0..5_000 {
        let text = format!("caller {caller} says {n:05}");
        let target = message_path(channel, &text, &[("wait", "0")]);
        connection.send(format!("POST {target} HTTP/1.1\r\nHost: p\r\n\r\n").as_bytes());
        match connection.try_read_response() {
            Ok(answer) if answer.status == 202 => promised.push(text),
            Ok(answer) => {
                assert_eq!(answer.verdict(), (503, "shutting-down".to_owned()));
                break;
            }
            Err(_) => break,
        }
    }
    promised
}

/// Nobody listens once the proxy has stopped.
fn connect(proxy: &Proxy) -> Option<Connection> {
    (!proxy.is_refused()).then(|| proxy.connect())
}

/// P-2: with nothing to do the end is at once, and says so.
#[test]
fn an_idle_proxy_ends_with_nothing_to_count() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let proxy = start(&chat, &folder);

    assert_eq!(proxy.terminate().code(), Some(0));

    assert_eq!(counts(&proxy), [0, 0, 0]);
}
