//! What black-box tests cannot see: what is used before it is stored, and what meets a removal half-way.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::LocalBoxFuture;

use super::renewal::AFTER_SUCCESS;
use super::*;
use crate::backends::{Backend, Part, Recipient, Wire};
use crate::clock::{Clock, SystemClock};
use crate::dispatch::{ClientSettings, HttpWire, Platform, Platforms, Queue};
use crate::domain::channel::Webhooks;
use crate::domain::delivery::{Post, Posted, Refusal};
use crate::domain::quota::Limit;
use crate::outbox::{Open, Store};
use crate::telemetry::Metrics;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A platform that grants what it is told, and notes what it posts with.
#[derive(Default)]
struct App {
    used: Mutex<HashMap<String, Installation>>,
    granted: Mutex<u32>,
    is_good: AtomicBool,
}

impl App {
    fn token(&self, workspace: &str) -> Option<String> {
        let used = self.used.lock().unwrap();
        used.get(workspace).map(|i| i.token.expose().to_owned())
    }
}

fn installation(number: u32) -> Installation {
    Installation {
        workspace: "T1".to_owned(),
        name: "Acme".to_owned(),
        token: Secret::new(format!("token {number}")),
        renewal: Some(Renewal {
            token: Secret::new(format!("refresh {number}")),
            expires_ms: 0,
        }),
    }
}

impl Backend for App {
    fn render(&self, _: &Post, _: &Recipient) -> Vec<Part> {
        Vec::new()
    }

    fn deliver<'a>(
        &'a self,
        _: &'a dyn Wire,
        _: &'a Recipient,
        _: &'a Part,
    ) -> LocalBoxFuture<'a, Result<Posted, Failure>> {
        Box::pin(async { Ok(Posted::default()) })
    }

    fn installer(&self) -> Option<&dyn Installer> {
        Some(self)
    }
}

thread_local! {
    /// What happens at the platform while it grants.
    static MEANWHILE: Cell<Option<fn(&App)>> = const { Cell::new(None) };
}

impl Installer for App {
    fn consent_url(&self, _: &str, _: Option<&str>) -> Option<String> {
        None
    }

    fn obtain<'a>(
        &'a self,
        _: &'a dyn Wire,
        grant: Grant<'a>,
        _: u64,
    ) -> LocalBoxFuture<'a, Result<Installation, Failure>> {
        Box::pin(async move {
            if let Grant::Code { code: "bad", .. } = grant {
                return Err(Failure::refused(Refusal::Workspace, "invalid_code", "bad"));
            }
            if let Some(meanwhile) = MEANWHILE.take() {
                meanwhile(self);
            }
            let mut granted = self.granted.lock().unwrap();
            *granted += 1;
            Ok(installation(*granted))
        })
    }

    fn check_workspace<'a>(
        &'a self,
        _: &'a dyn Wire,
        _: &'a str,
    ) -> LocalBoxFuture<'a, Result<(), Failure>> {
        let is_good = self.is_good.load(Ordering::Relaxed);
        let dead = Failure::refused(Refusal::Workspace, "account_inactive", "gone");
        Box::pin(async move { is_good.then_some(()).ok_or(dead) })
    }

    fn room_for(&self, _: &str) -> Result<(), NoRoom> {
        Ok(())
    }

    fn adopt(&self, installation: Installation) -> Result<(), NoRoom> {
        let mut used = self.used.lock().unwrap();
        used.insert(installation.workspace.clone(), installation);
        Ok(())
    }

    fn lock(&self, _: &str) {}

    fn forget(&self, workspace: &str) {
        self.used.lock().unwrap().remove(workspace);
    }

    fn installation(&self, workspace: &str) -> Option<Installation> {
        self.used.lock().unwrap().get(workspace).cloned()
    }

    fn due(&self, _: u64) -> Vec<Installation> {
        self.used.lock().unwrap().values().cloned().collect()
    }
}

/// Runs a test with a dispatcher that has an outbox of its own.
fn stage<F: Future<Output = ()>>(test: impl FnOnce(Arc<Dispatcher>, Arc<App>, Store) -> F) {
    let path = std::env::temp_dir().join(format!("installations-{}.db", uuid::Uuid::now_v7()));
    actix_web::rt::System::new().block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let app = Arc::new(App::default());
        let now_ms = u64::try_from(clock.unix().as_millis()).unwrap();
        let opened = Store::open(&Open {
            path: &path,
            now_ms,
            clock: Arc::clone(&clock),
        });
        let store = opened.unwrap().store;
        let platform = Platform {
            name: "slack",
            bot: Some(Arc::clone(&app) as Arc<dyn Backend>),
            webhooks: None,
            pace: Limit::default(),
        };
        let platforms = Platforms::new(
            vec![platform],
            &Webhooks::default(),
            None,
            None,
            Installations::new(StoreKeys::parse(KEY).unwrap()),
            Arc::clone(&clock),
            Arc::new(Metrics::new().unwrap()),
        );
        let settings = ClientSettings {
            timeout: Duration::from_secs(1),
            tls: None,
            max_open: usize::MAX,
        };
        let wire = HttpWire::new(&settings, Arc::clone(&clock), clock.now());
        let desk = Desk {
            store: store.clone(),
            queue: Arc::new(Queue::new(10)),
        };
        let dispatcher = Dispatcher::new(Arc::new(platforms), wire, Some(desk));
        let dispatcher = actix_web::web::Data::new(dispatcher).into_inner();
        test(dispatcher, app, store.clone()).await;
        store.close(false);
    });
    std::fs::remove_file(path).ok();
}

async fn install(dispatcher: &Arc<Dispatcher>, code: &str) -> Result<Installed, InstallError> {
    let dispatcher = Arc::clone(dispatcher);
    dispatcher.install("slack", code.to_owned(), None).await
}

async fn notes(store: &Store) -> Vec<Note> {
    store.notes(Space::Installation).await.unwrap()
}

/// The token of the one note.
async fn kept(dispatcher: &Dispatcher, store: &Store) -> String {
    let note = notes(store).await.remove(0);
    let (installation, _) = dispatcher.shared.installations.open(&note).unwrap();
    installation.token.expose().to_owned()
}

#[test]
fn what_is_removed_is_neither_used_nor_stored() {
    stage(|dispatcher, app, store| async move {
        install(&dispatcher, "good").await.unwrap();
        let before = (app.token("T1"), kept(&dispatcher, &store).await);

        dispatcher.uninstall("slack", "T1").await.unwrap();
        dispatcher.uninstall("slack", "T2").await.unwrap();

        assert_eq!(before, (Some("token 1".into()), "token 1".into()));
        assert_eq!(app.token("T1"), None);
        assert!(notes(&store).await.is_empty());
    });
}

/// An event of a removal that comes after the app was installed again.
#[test]
fn a_token_that_is_good_is_not_removed() {
    stage(|dispatcher, app, store| async move {
        install(&dispatcher, "good").await.unwrap();
        app.is_good.store(true, Ordering::Relaxed);

        dispatcher.uninstall("slack", "T1").await.unwrap();

        assert_eq!(app.token("T1"), Some("token 1".into()));
        assert_eq!(notes(&store).await.len(), 1);
    });
}

#[test]
fn what_cannot_be_stored_is_not_used() {
    stage(|dispatcher, app, store| async move {
        store.close(false);

        let refused = install(&dispatcher, "good").await;
        let failed = install(&dispatcher, "bad").await;

        assert!(matches!(refused, Err(InstallError::NotStored(_))));
        assert!(matches!(failed, Err(InstallError::Failed(_))));
        assert_eq!(app.token("T1"), None);
    });
}

#[test]
fn a_renewal_is_stored_and_used_and_then_left_alone() {
    stage(|dispatcher, app, store| async move {
        install(&dispatcher, "good").await.unwrap();

        dispatcher.renew_due().await;
        let renewed = (app.token("T1"), kept(&dispatcher, &store).await);
        let wait = dispatcher.renew_due().await;

        assert_eq!(renewed, (Some("token 2".into()), "token 2".into()));
        assert_eq!(app.token("T1"), Some("token 2".into()));
        assert!(wait <= AFTER_SUCCESS && wait > AFTER_SUCCESS / 2);
    });
}

#[test]
fn a_renewal_brings_back_nothing_that_was_removed_meanwhile() {
    stage(|dispatcher, app, store| async move {
        install(&dispatcher, "good").await.unwrap();
        dispatcher.uninstall("slack", "T1").await.unwrap();
        app.adopt(installation(1)).unwrap();
        MEANWHILE.set(Some(|app| app.forget("T1")));

        dispatcher.renew_due().await;

        assert_eq!(app.token("T1"), None);
        assert!(notes(&store).await.is_empty());
    });
}

#[test]
fn a_renewal_does_not_replace_a_newer_installation() {
    stage(|dispatcher, app, store| async move {
        install(&dispatcher, "good").await.unwrap();
        MEANWHILE.set(Some(|app| app.adopt(installation(99)).unwrap()));

        dispatcher.renew_due().await;

        assert_eq!(app.token("T1"), Some("token 99".into()));
        assert_eq!(kept(&dispatcher, &store).await, "token 1");
    });
}
