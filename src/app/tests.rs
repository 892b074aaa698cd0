//! P-3: a panic costs the request or the attempt in which it happens, and nothing else.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use futures_util::future::LocalBoxFuture;
use tokio::sync::oneshot;

use super::*;
use crate::backends::{Backend, Part, Recipient, Wire};
use crate::config;
use crate::domain::delivery::{Failure, Post, Posted};
use crate::env::Env;

/// A platform whose first answers make its backend panic.
struct Panics(AtomicUsize);

impl Backend for Panics {
    fn render(&self, post: &Post, _to: &Recipient) -> Vec<Part> {
        vec![Part::json(&post.message.as_str())]
    }

    fn deliver<'a>(
        &'a self,
        _wire: &'a dyn Wire,
        _to: &'a Recipient,
        _part: &'a Part,
    ) -> LocalBoxFuture<'a, Result<Posted, Failure>> {
        Box::pin(async {
            let left = self.0.fetch_sub(1, Ordering::SeqCst);
            assert!(left == 0, "a bug in a backend");
            self.0.store(0, Ordering::SeqCst);
            Ok(Posted::default())
        })
    }
}

/// Serves with a backend that panics so often, for as long as `talk` talks.
fn serve(database_url: &str, panics: usize, talk: impl FnOnce(SocketAddr) + Send + 'static) {
    let env = [("PORT", "0"), ("DATABASE_URL", database_url)];
    let mut settings = config::parse(Env::of(&env)).unwrap();
    for platform in &mut settings.platforms {
        platform.bot = (platform.name == "console")
            .then(|| Arc::new(Panics(AtomicUsize::new(panics))) as Arc<dyn Backend>);
    }
    actix_web::rt::System::new().block_on(async move {
        let app = App::build(settings, None).unwrap();
        let (address, (end, ended)) = (app.address(), oneshot::channel::<()>());
        let talking = thread::spawn(move || {
            talk(address);
            drop(end);
        });
        let over = async { drop(ended.await) };
        app.run(over).await.unwrap();
        talking.join().unwrap();
    });
}

fn ask(address: SocketAddr, method: &str, target: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{method} {target} HTTP/1.1\r\nHost: p\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_panic_while_a_caller_waits_is_a_500_and_the_next_post_works() {
    serve("none", 1, |address| {
        let first = ask(address, "POST", "/post/channel/demo/msg/one");
        let second = ask(address, "POST", "/post/channel/demo/msg/two");

        assert!(first.starts_with("HTTP/1.1 500 "), "{first}");
        assert!(first.contains("\"code\":\"internal-error\""), "{first}");
        assert!(second.starts_with("HTTP/1.1 200 "), "{second}");
    });
}

#[test]
fn a_panic_in_a_delivery_is_an_attempt_that_is_made_again() {
    let file = std::env::temp_dir().join(format!("app-{}.db", uuid::Uuid::now_v7()));
    let url = format!("sqlite:{}", file.display());
    serve(&url, 1, |address| {
        let stored = ask(address, "POST", "/post/channel/demo/msg/one?wait=0");
        let id = stored.split("\"id\":\"").nth(1).unwrap().split('"').next();
        let retry = format!("/deliveries/{}/retry", id.unwrap());
        // It waits a minute after a panic, unless somebody asks for it.
        let behind = thread::spawn(move || {
            let behind = ask(address, "POST", "/post/channel/demo/msg/two?wait=60");
            assert!(behind.starts_with("HTTP/1.1 200 "), "{behind}");
        });
        while !behind.is_finished() {
            let asked = ask(address, "POST", &retry);
            let is_over = asked.contains("\"code\":\"already-settled\"");
            assert!(is_over || asked.starts_with("HTTP/1.1 200 "), "{asked}");
        }
        behind.join().unwrap();
    });
    for suffix in ["", "-wal", ".reserve"] {
        std::fs::remove_file(format!("{}{suffix}", file.display())).ok();
    }
}
