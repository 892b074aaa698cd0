//! The program itself, as a child with an environment of its own.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::client::{Client, Response};
use super::{
    DEADLINE, Environment, Folder, Ledger, canary, documented, message_path, output, percent_decode,
};

/// Longer than the default `SHUTDOWN_GRACE` of 25 s, which a drain may use up.
const DRAIN_DEADLINE: Duration = Duration::from_secs(35);
/// Load tests post thousands of messages; the first ones prove as much as all.
const MESSAGES_WATCHED: usize = 256;

/// What a `Proxy` will be started with: `Proxy::setup().with(&mattermost).set("PROXY_TOKENS", "ci=…").start()`.
#[derive(Clone, Debug)]
pub struct Setup {
    program: String,
    env: Vec<(String, String)>,
    args: Vec<String>,
    canaries: Vec<String>,
    dir: Option<PathBuf>,
    stdin: Option<Vec<u8>>,
}

impl Setup {
    /// Sets a variable, replacing what was set before.
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Takes a default away again.
    pub fn unset(mut self, name: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self
    }

    /// Sets the variables that point at a fake.
    pub fn with(self, fake: &impl Environment) -> Self {
        fake.env()
            .into_iter()
            .fold(self, |setup, (name, value)| setup.set(&name, value))
    }

    /// Takes every limit and pace away, for tests whose subject they are not.
    pub fn without_limits(self) -> Self {
        [
            "RATE_LIMIT_CALLER",
            "RATE_LIMIT_CHANNEL",
            "RATE_LIMIT_GLOBAL",
            "PACE_SLACK",
            "PACE_TEAMS",
            "PACE_MATTERMOST",
        ]
        .into_iter()
        .fold(self, |setup, name| setup.set(name, "off"))
    }

    /// Gives it an outbox in this folder; a second proxy there finds what the first one left.
    pub fn outbox(self, folder: &Folder) -> Self {
        self.set("DATABASE_URL", folder.database_url())
    }

    /// Runs another program: only for the fixture's own tests, which need one that misbehaves.
    pub fn program(mut self, path: &str) -> Self {
        self.program = path.to_owned();
        self
    }

    /// Starts the program behind a command of the shell, such as a limit.
    pub fn after(self, command: &str) -> Self {
        let script = format!("{command}; exec {}", self.program);
        self.program("/bin/sh").arg("-c").arg(&script)
    }

    /// Adds a command-line argument.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Runs it in this folder, for what it does by default where it stands.
    pub fn dir(mut self, path: &Path) -> Self {
        self.dir = Some(path.to_owned());
        self
    }

    /// Adds command-line arguments.
    pub fn args(self, args: &[&str]) -> Self {
        args.iter().fold(self, |setup, arg| setup.arg(arg))
    }

    /// What it reads from standard input; else that is at its end.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Adds a text that must not be printed.
    pub fn canary(mut self, text: &str) -> Self {
        self.canaries.push(text.to_owned());
        self
    }

    /// Starts the proxy and waits until it listens.
    #[track_caller]
    pub fn start(self) -> Proxy {
        let mut proxy = self.spawn();
        let address = proxy.stderr.wait(DEADLINE, |lines| {
            lines.iter().find_map(|line| output::listening(line))
        });
        let Some(address) = address else {
            panic!(
                "the proxy does not listen; it said:\n{}",
                proxy.stderr.all().join("\n")
            )
        };
        let mut addr: SocketAddr = address
            .parse()
            .unwrap_or_else(|_| panic!("`listening` has a bad address: {address}"));
        if addr.ip().is_unspecified() {
            addr.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        proxy.client = Client::new(addr);
        proxy
    }

    /// Runs the program to its own end, as for bad configuration and for sub-commands.
    #[track_caller]
    pub fn run(self) -> Refused {
        let mut proxy = self.spawn();
        let ended = proxy.exit.wait(DEADLINE, |exits| exits.first().copied());
        let (stdout, stderr) = (proxy.stdout_all(), proxy.stderr_all());
        let Some(status) = ended else {
            panic!("the program did not end by itself; it said:\n{stderr}")
        };
        proxy.check_canaries();
        proxy.checked = true;
        Refused {
            code: status.code().unwrap_or(-1),
            stdout,
            stderr,
        }
    }

    #[track_caller]
    fn spawn(self) -> Proxy {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .args(&self.args)
            .stdin(match self.stdin {
                Some(_) => Stdio::piped(),
                None => Stdio::null(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let mut child = command.spawn().expect("cannot start the proxy");
        if let (Some(mut input), Some(bytes)) = (child.stdin.take(), self.stdin) {
            // It may stop reading when it has enough.
            std::thread::spawn(move || input.write_all(&bytes).ok());
        }
        let (stdout, out_reader) = output::collect(child.stdout.take().unwrap());
        let (stderr, err_reader) = output::collect(child.stderr.take().unwrap());
        let pid = child.id();
        let exit = Arc::new(Ledger::default());
        let into = exit.clone();
        std::thread::spawn(move || {
            // Only after both pipes have ended: who sees the status also sees every line.
            let status = wait(&mut child);
            out_reader.join().ok();
            err_reader.join().ok();
            into.push(status);
        });
        Proxy {
            client: Client::new(SocketAddr::from(([127, 0, 0, 1], 0))),
            pid,
            stdout,
            stderr,
            exit,
            read: Mutex::new(0),
            secrets: Mutex::new([canary::secrets(&self.env), self.canaries].concat()),
            messages: Mutex::default(),
            checked: false,
        }
    }
}

fn wait(child: &mut Child) -> ExitStatus {
    child.wait().expect("cannot wait for the proxy")
}

/// How a run that was to end by itself ended.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The exit code; -1 if a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A running proxy. Dropping it kills it and proves that it printed no secret and logged no message.
pub struct Proxy {
    client: Client,
    pid: u32,
    stdout: Arc<Ledger<String>>,
    stderr: Arc<Ledger<String>>,
    exit: Arc<Ledger<ExitStatus>>,
    /// How many lines `stdout_line` has handed out.
    read: Mutex<usize>,
    secrets: Mutex<Vec<String>>,
    messages: Mutex<Vec<String>>,
    checked: bool,
}

impl Proxy {
    /// The defaults: a free loopback port, JSON logs, no outbox.
    pub fn setup() -> Setup {
        let setup = Setup {
            program: env!("CARGO_BIN_EXE_message-webhook-proxy").to_owned(),
            env: Vec::new(),
            args: Vec::new(),
            canaries: Vec::new(),
            dir: None,
            stdin: None,
        };
        [
            ("HOST", "127.0.0.1"),
            ("PORT", "0"),
            ("LOG_FORMAT", "json"),
            ("DATABASE_URL", "none"),
            ("RUST_LOG", "info"),
        ]
        .into_iter()
        .fold(setup, |setup, (name, value)| setup.set(name, value))
    }

    /// Starts with these variables over the defaults.
    #[track_caller]
    pub fn start(env: &[(&str, &str)]) -> Self {
        env.iter()
            .fold(Self::setup(), |setup, (name, value)| {
                setup.set(name, *value)
            })
            .start()
    }

    /// Runs with these variables, expecting the program to refuse and exit.
    #[track_caller]
    pub fn refused(env: &[(&str, &str)]) -> Refused {
        env.iter()
            .fold(Self::setup(), |setup, (name, value)| {
                setup.set(name, *value)
            })
            .run()
    }

    /// Adds a text that must not be printed, neither to stdout nor to stderr.
    pub fn with_canary(self, text: &str) -> Self {
        self.add_canary(text);
        self
    }

    pub fn add_canary(&self, text: &str) {
        lock(&self.secrets).push(text.to_owned());
    }

    /// Adds a message: it must not appear in the log. Shorter ones than 8 characters are not watched.
    pub fn add_message(&self, text: &str) {
        let mut messages = lock(&self.messages);
        if text.chars().count() >= canary::SHORTEST_MESSAGE && messages.len() < MESSAGES_WATCHED {
            messages.push(text.to_owned());
        }
    }

    pub fn addr(&self) -> SocketAddr {
        self.client.addr
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.client.addr)
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    #[track_caller]
    pub fn get(&self, target: impl AsRef<[u8]>) -> Response {
        self.request("GET", target, &[])
    }

    #[track_caller]
    pub fn post(&self, target: impl AsRef<[u8]>) -> Response {
        self.request("POST", target, &[])
    }

    /// Any request without a body; a message or signature in the target becomes a canary.
    #[track_caller]
    pub fn request(
        &self,
        method: &str,
        target: impl AsRef<[u8]>,
        headers: &[(&str, &str)],
    ) -> Response {
        self.watch(target.as_ref());
        let answer = self.client.request(method, target.as_ref(), headers);
        documented::check(method, target.as_ref(), &answer);
        answer
    }

    /// Any request with a body.
    #[track_caller]
    pub fn send(
        &self,
        method: &str,
        target: impl AsRef<[u8]>,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Response {
        self.watch(target.as_ref());
        let answer = self.client.send(method, target.as_ref(), headers, body);
        documented::check(method, target.as_ref(), &answer);
        answer
    }

    /// Posts `text`, properly encoded.
    #[track_caller]
    pub fn post_message(&self, channel: &str, text: &str, query: &[(&str, &str)]) -> Response {
        self.post(message_path(channel, text, query))
    }

    /// The same with a bearer token.
    #[track_caller]
    pub fn post_message_as(
        &self,
        token: &str,
        channel: &str,
        text: &str,
        query: &[(&str, &str)],
    ) -> Response {
        self.request(
            "POST",
            message_path(channel, text, query),
            &[("Authorization", &format!("Bearer {token}"))],
        )
    }

    /// The next line on stdout.
    #[track_caller]
    pub fn stdout_line(&self) -> String {
        let mut read = lock(&self.read);
        let line = self
            .stdout
            .wait(DEADLINE, |lines| lines.get(*read).cloned());
        *read += 1;
        line.unwrap_or_else(|| {
            panic!(
                "no further line on stdout; the log says:\n{}",
                self.stderr.all().join("\n")
            )
        })
    }

    /// Every line on stdout until now, also those that `stdout_line` has returned.
    pub fn stdout_so_far(&self) -> Vec<String> {
        self.stdout.all()
    }

    /// Every log event until now; panics if a line is not JSON.
    #[track_caller]
    pub fn logs(&self) -> Vec<Value> {
        output::events(&self.stderr.all())
    }

    /// Every line on stderr until now, as it came: for `LOG_FORMAT=text`.
    pub fn log_lines(&self) -> Vec<String> {
        self.stderr.all()
    }

    /// The first log event, past or to come, that `wanted` accepts.
    #[track_caller]
    pub fn wait_for_log(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let parse = |line: &String| serde_json::from_str::<Value>(line).ok();
        let mut found = None;
        self.stderr.wait(DEADLINE, |lines| {
            found = lines.iter().filter_map(parse).find(|event| wanted(event));
            found.as_ref().map(Value::to_string)
        });
        found.unwrap_or_else(|| panic!("no such log event in:\n{}", self.stderr.all().join("\n")))
    }

    /// SIGTERM, then the exit status.
    #[track_caller]
    pub fn terminate(&self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Sends a signal by name (`TERM`, `STOP`, `CONT`) and returns at once.
    pub fn signal(&self, name: &str) {
        if self.exit.len() == 0 {
            // std knows no signals, and the crate forbids the unsafe code that would.
            Command::new("/bin/kill")
                .args([format!("-{name}"), self.pid.to_string()])
                // It may have ended on its own just now, which is not worth a line in the test output.
                .stderr(Stdio::null())
                .status()
                .expect("cannot run /bin/kill");
        }
    }

    /// Waits for the program to end by itself.
    #[track_caller]
    pub fn wait(&self) -> ExitStatus {
        let status = self
            .exit
            .wait(DRAIN_DEADLINE, |exits| exits.first().copied());
        status.unwrap_or_else(|| {
            panic!(
                "the proxy does not end; it said:\n{}",
                self.stderr.all().join("\n")
            )
        })
    }

    /// SIGKILL, and waits until it is gone.
    #[track_caller]
    pub fn kill(&self) -> ExitStatus {
        self.signal("KILL");
        self.wait()
    }

    /// Resident memory in KiB.
    #[track_caller]
    pub fn rss_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))
            .expect("the proxy is gone");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("no VmRSS");
        line.trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("VmRSS is a number")
    }

    /// Panics if a secret or a message was printed. Dropping does this as well.
    #[track_caller]
    pub fn check_canaries(&self) {
        let secrets = lock(&self.secrets).clone();
        let log = self.stderr_all();
        // The console backend prints messages as `[channel] message`: that is its work.
        let lines = self
            .stdout
            .all()
            .into_iter()
            .filter(|line| !line.starts_with('['));
        let leaks = [
            canary::find(&secrets, &log).map(|leak| format!("secret on stderr: {leak}")),
            canary::find(&secrets, &lines.collect::<Vec<_>>().join("\n"))
                .map(|leak| format!("secret on stdout: {leak}")),
            canary::find(&lock(&self.messages), &log)
                .map(|leak| format!("message on stderr: {leak}")),
        ];
        let leaks: Vec<String> = leaks.into_iter().flatten().collect();
        assert!(
            leaks.is_empty(),
            "the proxy printed what it must not: {leaks:?}"
        );
    }

    fn watch(&self, target: &[u8]) {
        let target = String::from_utf8_lossy(target);
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let text = path
            .split_once("/msg/")
            .and_then(|(_, text)| String::from_utf8(percent_decode(text)).ok());
        let encoded = path
            .split_once("/b64/")
            .map(|(_, text)| text.trim_end_matches('=').to_owned());
        let options = super::encoding::form_decode(query);
        let hidden = options
            .into_iter()
            .filter(|(name, _)| matches!(name.as_str(), "message" | "sig" | "token" | "title"));
        text.into_iter()
            .chain(encoded)
            .chain(hidden.map(|(_, value)| value))
            .for_each(|text| self.add_message(&text));
    }

    fn stdout_all(&self) -> String {
        self.stdout.all().join("\n")
    }

    fn stderr_all(&self) -> String {
        self.stderr.all().join("\n")
    }
}

/// `connect`, `raw`, and requests that are not watched for canaries.
impl Deref for Proxy {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.signal("KILL");
        self.exit.wait_for(1, DEADLINE);
        if !self.checked && !std::thread::panicking() {
            self.check_canaries();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
