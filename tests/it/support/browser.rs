//! A browser, driven over WebDriver as a person would: by labels, names of buttons and what is shown.
//!
//! The client is our own: the crates for it bring a second HTTP stack, and a few JSON requests are all it takes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::client::read_response;
use super::{Client, DEADLINE, Folder, Gate, peers};

/// Tests that run at the same time take turns: a browser is many processes.
static TURN: Mutex<()> = Mutex::new(());

/// The key of an element's id in WebDriver's answers (W3C WebDriver, section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// A browser takes its time, beside all the other tests.
const PATIENCE: Duration = Duration::from_secs(60);
/// The key "Enter" (W3C WebDriver, section 17.4.2).
pub const ENTER: &str = "\u{E007}";
/// The key "Tab".
pub const TAB: &str = "\u{E004}";

/// A headless Chromium with a profile of its own.
pub struct Browser {
    client: Client,
    session: String,
    driver: Child,
    // Open as long as the driver may write to it: a closed pipe would end it.
    _said: BufReader<ChildStdout>,
    _profile: Folder,
    _turn: MutexGuard<'static, ()>,
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub name: &'static str,
    pub scheme: &'static str,
    pub width: u32,
    pub height: u32,
}

pub const LOOKS: [Look; 3] = [
    Look {
        name: "light",
        scheme: "light",
        width: 1280,
        height: 900,
    },
    Look {
        name: "dark",
        scheme: "dark",
        width: 1280,
        height: 900,
    },
    Look {
        name: "phone",
        scheme: "light",
        width: 375,
        height: 740,
    },
];

/// Starts the driver; its port. It takes a free one of IPv4 and ends if somebody else has that of IPv6, so it has several
/// tries.
fn start_driver(folder: &Path) -> (Child, BufReader<ChildStdout>, u16) {
    for _ in 0..5 {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            // Chromium keeps its temporary files and crash reports there as well.
            .env("TMPDIR", folder)
            .env("HOME", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("cannot start chromedriver");
        let mut said = BufReader::new(driver.stdout.take().unwrap());
        let port = said
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, port) = line.split_once("successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            });
        if let Some(port) = port {
            return (driver, said, port);
        }
        driver.wait().unwrap();
    }
    panic!("chromedriver listens nowhere");
}

impl Browser {
    #[track_caller]
    pub fn start() -> Self {
        // Installs it where it is missing.
        peers::node();
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = Folder::new();
        let (driver, said, port) = start_driver(profile.path());
        let mut browser = Self {
            client: Client::new(SocketAddr::from(([127, 0, 0, 1], port))),
            session: String::new(),
            driver,
            _said: said,
            _profile: profile,
            _turn: turn,
        };
        let data = browser._profile.path().join("profile");
        let arguments = [
            "--headless=new".to_owned(),
            // Root has no other sandbox, and pages are our own.
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-background-networking".to_owned(),
            "--no-first-run".to_owned(),
            "--lang=en-US".to_owned(),
            format!("--user-data-dir={}", data.display()),
        ];
        let wish = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let made = browser.call("POST", "/session", &wish);
        browser.session = made["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// Opens a page, with the clipboard of its site allowed.
    #[track_caller]
    pub fn open(&self, url: &str) {
        let origin: Vec<&str> = url.split('/').take(3).collect();
        self.devtools(
            "Browser.grantPermissions",
            &json!({"origin": origin.join("/"), "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}),
        );
        self.command("POST", "url", &json!({ "url": url }));
    }

    /// Light or dark, and how wide.
    #[track_caller]
    pub fn look(&self, look: Look) {
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": look.scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &media);
        let metrics = json!({"width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": look.width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Runs a function's body in the page; promises are waited for.
    #[track_caller]
    pub fn run(&self, script: &str, arguments: Value) -> Value {
        let wish = json!({"script": script, "args": arguments});
        self.command("POST", "execute/sync", &wish)
    }

    /// Waits until the body of a function returns something true; that.
    #[track_caller]
    pub fn wait(&self, what: &str, script: &str, arguments: Value) -> Value {
        let (end, never) = (Instant::now() + PATIENCE, Gate::new());
        loop {
            let answer = self.run(script, arguments.clone());
            if !matches!(answer, Value::Null | Value::Bool(false)) {
                return answer;
            }
            assert!(
                Instant::now() < end,
                "not in time: {what}; the page says:\n{}",
                self.run("return document.body.innerText", json!([]))
            );
            never.wait(Duration::from_millis(20));
        }
    }

    /// Waits until this element shows the text.
    #[track_caller]
    pub fn wait_for_text(&self, selector: &str, text: &str) {
        let script = "return document.querySelector(arguments[0])?.checkVisibility() && document.querySelector(arguments[0]).innerText.includes(arguments[1])";
        self.wait(
            &format!("{text} in {selector}"),
            script,
            json!([selector, text]),
        );
    }

    /// What an element shows.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0]).innerText";
        let text = self.run(script, json!([selector]));
        text.as_str().unwrap().to_owned()
    }

    /// The field with this label, as soon as it can be seen.
    #[track_caller]
    fn field(&self, label: &str) -> String {
        let script = "return [...document.querySelectorAll('label')].find((one) => one.checkVisibility() && one.innerText.startsWith(arguments[0]))?.control";
        let found = self.wait(&format!("the field {label}"), script, json!([label]));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Writes into the field with this label, in the place of what is there.
    #[track_caller]
    pub fn write(&self, label: &str, text: &str) {
        let field = self.field(label);
        self.command("POST", &format!("element/{field}/clear"), &json!({}));
        let keys = json!({ "text": text });
        self.command("POST", &format!("element/{field}/value"), &keys);
    }

    /// Chooses from the list with this label.
    #[track_caller]
    pub fn choose(&self, label: &str, option: &str) {
        let field = self.field(label);
        let keys = json!({ "text": option });
        self.command("POST", &format!("element/{field}/value"), &keys);
        let script = "return arguments[0].selectedOptions[0].text";
        let chosen = self.run(script, json!([{ELEMENT: field}]));
        assert!(
            chosen.as_str().unwrap().starts_with(option),
            "{label}: {chosen}"
        );
    }

    /// Clicks the button that a screen reader calls so (or that begins so), as soon as it can be clicked.
    #[track_caller]
    pub fn press(&self, name: &str) {
        let script = "return [...document.querySelectorAll('button')].find((one) => one.checkVisibility() && !one.disabled && (one.getAttribute('aria-label') ?? one.textContent).startsWith(arguments[0]))";
        let found = self.wait(&format!("the button {name}"), script, json!([name]));
        let button = found[ELEMENT].as_str().unwrap();
        self.command("POST", &format!("element/{button}/click"), &json!({}));
    }

    /// Presses keys, wherever the focus is.
    #[track_caller]
    pub fn keys(&self, keys: &[&str]) {
        let press = |key: &&str| {
            [
                json!({"type": "keyDown", "value": key}),
                json!({"type": "keyUp", "value": key}),
            ]
        };
        let actions: Vec<Value> = keys.iter().flat_map(press).collect();
        let wish = json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]});
        self.command("POST", "actions", &wish);
    }

    /// What was copied.
    #[track_caller]
    pub fn clipboard(&self) -> String {
        let text = self.run("return navigator.clipboard.readText()", json!([]));
        text.as_str().unwrap().to_owned()
    }

    /// What axe-core finds wrong: the rule and where.
    #[track_caller]
    pub fn violations(&self) -> Vec<String> {
        let file = peers::node().join("node_modules/axe-core/axe.min.js");
        let source = std::fs::read_to_string(file).unwrap();
        self.run(&format!("{source}; window.axe = axe;"), json!([]));
        let script = "return axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 200) + ' ' + node.failureSummary).join(' | ')}`))";
        let found = self.run(script, json!([]));
        let found = found.as_array().unwrap().iter();
        found.map(|one| one.as_str().unwrap().to_owned()).collect()
    }

    /// The whole page as a picture, among the output of the build.
    #[track_caller]
    pub fn picture(&self, name: &str) {
        let folder = pictures();
        std::fs::create_dir_all(&folder).unwrap();
        let wish = json!({"captureBeyondViewport": true, "format": "png"});
        let made = self.devtools("Page.captureScreenshot", &wish);
        let bytes = STANDARD.decode(made["data"].as_str().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    /// What the browser complained of: scripts that fail, what a policy forbids, requests that come to nothing.
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.command("POST", "se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().unwrap().iter();
        entries
            .map(|one| one["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    #[track_caller]
    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let wish = json!({"cmd": command, "params": parameters});
        self.command("POST", "goog/cdp/execute", &wish)
    }

    #[track_caller]
    fn command(&self, method: &str, command: &str, body: &Value) -> Value {
        self.call(
            method,
            &format!("/session/{}/{command}", self.session),
            body,
        )
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
            self.client.addr,
            body.len()
        );
        let mut stream = TcpStream::connect_timeout(&self.client.addr, DEADLINE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all((head + &body).as_bytes()).unwrap();
        let answer = read_response(&mut BufReader::new(stream), false).unwrap();
        let mut answer_body = answer.json();
        assert_eq!(answer.status, 200, "{method} {path}: {answer_body}");
        answer_body["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; the driver alone would leave it behind. It must not panic while a test does.
        if !self.session.is_empty() && !self.client.is_refused() {
            let end = format!(
                "DELETE /session/{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                self.session, self.client.addr
            );
            let mut connection = self.client.connect();
            connection.send(end.as_bytes());
            connection.try_read_response().ok();
        }
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}

fn pictures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pictures")
}
