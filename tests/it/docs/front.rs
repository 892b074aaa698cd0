//! A real nginx, with the page's configuration, in front of the proxy.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::world::World;
use crate::support::{Client, DEADLINE, Folder, peers};

/// Encoded, and what must be posted.
const MESSAGES: &[(&str, &str)] = &[
    ("a%2Fb", "a/b"),
    ("a//b", "a//b"),
    ("https://x.example//y", "https://x.example//y"),
    ("a%252Fb", "a%2Fb"),
    ("a/../b", "a/../b"),
    ("a%2F..%2F.%2Fb", "a/.././b"),
    ("100%25%20done", "100% done"),
    ("why%3F%23because", "why?#because"),
    ("two%0Alines", "two\nlines"),
    ("%E2%9C%93%20a+b;c", "✓ a+b;c"),
];
/// Three bytes each in the URL, and one in the post: with the rest of the line almost the 32 KiB that the proxy takes by
/// default.
const LONG: usize = 10_900;

struct Nginx {
    child: Child,
    addr: SocketAddr,
    _folder: Folder,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Every message arrives, whatever is in it.
pub fn hands_on_every_message(world: &World, server: &str) {
    let nginx = start(world, server);
    let client = Client::new(nginx.addr);
    let bearer = format!("Bearer {}", world.token());
    let (encoded, text) = ("%78".repeat(LONG), "x".repeat(LONG));
    let cases = MESSAGES
        .iter()
        .copied()
        .chain([(encoded.as_str(), text.as_str())]);
    for (at, (encoded, text)) in cases.enumerate() {
        let answer = client.request(
            "POST",
            format!("/post/channel/builds/msg/{encoded}"),
            &[("Authorization", &bearer)],
        );
        assert_eq!(answer.status, 200, "{encoded}: {}", answer.text());
        assert_eq!(world.mattermost.posts()[at].message, text);
    }
}

fn start(world: &World, server: &str) -> Nginx {
    let folder = Folder::new();
    let addr = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let server: String = server
        .lines()
        .filter(|line| !line.trim_start().starts_with("ssl_"))
        .map(|line| {
            line.replace("listen 443 ssl", &format!("listen {addr}"))
                .replace("127.0.0.1:3000", &world.proxy.addr().to_string())
                + "\n"
        })
        .collect();
    let path = folder.path().display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {path}/{kind};\n"))
        .concat();
    let file = folder.path().join("nginx.conf");
    fs::write(
        &file,
        format!("daemon off;\nmaster_process off;\npid {path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{server}}}\n"),
    )
    .unwrap();
    peers::node();
    let child = Command::new("nginx")
        .arg("-c")
        .arg(&file)
        .arg("-e")
        .arg("stderr")
        .stderr(Stdio::inherit())
        .spawn()
        .expect("tests/peers/install has nginx");
    let nginx = Nginx {
        child,
        addr,
        _folder: folder,
    };
    let end = Instant::now() + DEADLINE;
    while Client::new(addr).is_refused() {
        assert!(Instant::now() < end, "nginx does not listen");
        std::thread::yield_now();
    }
    nginx
}
