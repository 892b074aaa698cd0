//! A scripted wire and a configured bot, for the tests of this folder.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;

use super::configure;
use crate::backends::wire::{Answer, Call, WireError};
use crate::backends::{Backend, Part, Recipient, Shared, Wire};
use crate::domain::delivery::{Failure, Posted};
use crate::env::{Env, Faults, Reader};

pub(super) const APP: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
pub(super) const TENANT: &str = "3b0f1c22-0000-4000-8000-000000000001";
pub(super) const PASSWORD: &str = "s3cret~Value&=+/";
pub(super) const CHANNEL: &str = "19:opsAlerts01@thread.tacv2";
pub(super) const THREAD: &str = "19:opsAlerts01@thread.tacv2;messageid=1776390257332";

/// A login service and a connector in one; each call yields first, so that callers overlap.
pub(super) struct Fake {
    login: RefCell<Vec<Result<Answer, WireError>>>,
    connector: RefCell<Vec<Result<Answer, WireError>>>,
    pub(super) seen: RefCell<Vec<Seen>>,
    pub(super) now: Cell<u64>,
    issued: Cell<u32>,
}

#[derive(Clone)]
pub(super) struct Seen {
    pub(super) uri: String,
    pub(super) authorization: Option<String>,
    pub(super) content_type: Option<&'static str>,
    pub(super) body: String,
}

pub(super) fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        body: Bytes::copy_from_slice(body.as_bytes()),
        ..Answer::default()
    }
}

impl Fake {
    /// Scripts run from the end; when one is used up, all is well.
    pub(super) fn new() -> Self {
        Self {
            login: RefCell::default(),
            connector: RefCell::default(),
            seen: RefCell::default(),
            now: Cell::new(1000),
            issued: Cell::new(0),
        }
    }

    pub(super) fn login(self, answer: Result<Answer, WireError>) -> Self {
        self.login.borrow_mut().insert(0, answer);
        self
    }

    pub(super) fn connector(self, answer: Result<Answer, WireError>) -> Self {
        self.connector.borrow_mut().insert(0, answer);
        self
    }

    pub(super) fn logins(&self) -> usize {
        self.calls("/oauth2/v2.0/token").len()
    }

    pub(super) fn calls(&self, part: &str) -> Vec<Seen> {
        let seen = self.seen.borrow();
        seen.iter()
            .filter(|c| c.uri.contains(part))
            .cloned()
            .collect()
    }

    fn grant(&self) -> Answer {
        self.issued.set(self.issued.get() + 1);
        let token = format!("tok{}", self.issued.get());
        let body =
            format!(r#"{{"token_type":"Bearer","expires_in":3599,"access_token":"{token}"}}"#);
        answer(200, &body)
    }
}

impl Wire for Fake {
    fn call<'a>(&'a self, call: Call<'a>) -> LocalBoxFuture<'a, Result<Answer, WireError>> {
        self.seen.borrow_mut().push(Seen {
            uri: call.uri.to_string(),
            authorization: call.authorization.map(|v| {
                assert!(v.is_sensitive());
                v.to_str().unwrap().to_owned()
            }),
            content_type: call.content_type,
            body: String::from_utf8(call.body.to_vec()).unwrap(),
        });
        let is_login = call.uri.path().ends_with("/oauth2/v2.0/token");
        Box::pin(async move {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            let script = if is_login {
                &self.login
            } else {
                &self.connector
            };
            let scripted = script.borrow_mut().pop();
            scripted.unwrap_or_else(|| {
                Ok(if is_login {
                    self.grant()
                } else {
                    answer(201, r#"{"id":"1776390257332"}"#)
                })
            })
        })
    }

    fn print(&self, _: String) -> LocalBoxFuture<'_, std::io::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.now.get())
    }
}

pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.build().unwrap().block_on(future)
}

pub(super) fn configured(pairs: &[(&str, &str)]) -> (Option<Arc<dyn Backend>>, Vec<String>) {
    let env = Env::of(pairs);
    let mut reader = Reader::new(&env, Faults::default());
    let backend = configure(&mut reader, &Shared::default());
    (backend, reader.finish().lines().to_vec())
}

pub(super) fn with(
    extra: &[(&'static str, &'static str)],
) -> (Option<Arc<dyn Backend>>, Vec<String>) {
    let base = [
        ("TEAMS_APP_ID", APP),
        ("TEAMS_APP_PASSWORD", PASSWORD),
        ("TEAMS_TENANT_ID", TENANT),
    ];
    let kept = base
        .iter()
        .filter(|(k, _)| extra.iter().all(|(e, _)| e != k));
    let pairs: Vec<_> = kept
        .chain(extra)
        .filter(|(_, v)| !v.is_empty())
        .copied()
        .collect();
    configured(&pairs)
}

pub(super) fn bot() -> Arc<dyn Backend> {
    with(&[]).0.unwrap()
}

pub(super) async fn deliver(
    bot: &dyn Backend,
    wire: &Fake,
    target: &str,
) -> Result<Posted, Failure> {
    let to = Recipient::Target(target.to_owned());
    let part = Part {
        body: Bytes::from_static(b"{\"a\":1}"),
    };
    bot.deliver(wire, &to, &part).await
}
