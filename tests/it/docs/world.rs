//! Where the pages' commands run: a folder, three fake platforms, a proxy that others have set up at `https://proxy.example.org`, and the
//! reader's own at `localhost:3000`. The program, curl and the shell are real; docker, kubectl and the like are stand-ins that look at their arguments.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::markdown::Block;
use crate::support::{
    Environment as _, Folder, Mattermost, Proxy, Reply, Slack, Teams, Upstream, unique,
};

/// What no page may really do to this machine: they only look whether they are called sensibly.
const STAND_INS: &[(&str, &[&str])] = &[
    ("cargo", &["run", "install", "build"]),
    (
        "docker",
        &[
            "build", "run", "compose", "exec", "cp", "stop", "start", "logs",
        ],
    ),
    ("git", &["push", "pull", "clone"]),
    (
        "heroku",
        &[
            "create",
            "stack:set",
            "config:set",
            "webhooks:add",
            "logs",
            "open",
        ],
    ),
    (
        "kubectl",
        &["apply", "create", "rollout", "logs", "port-forward"],
    ),
    (
        "sudo",
        &["install", "cp", "systemctl", "nginx", "journalctl", "tee"],
    ),
];

/// How long one section may take; what hangs is ended with all that it has started.
const DEADLINE_S: &str = "60";

pub struct World {
    folder: Folder,
    pub mattermost: Mattermost,
    slack: Slack,
    teams: Teams,
    internal: Upstream,
    /// `https://proxy.example.org`.
    pub proxy: Proxy,
    token: String,
    queued: String,
}

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

impl World {
    pub fn new() -> Self {
        let (mattermost, slack, teams) = (Mattermost::start(), Slack::start(), Teams::start());
        let folder = Folder::new();
        let token = unique("", 32);
        let channels = format!(
            "builds=mattermost:{} deploys=mattermost:{} alerts=slack:{} away=slack+http://{}/hook",
            mattermost.channel("builds"),
            mattermost.channel("deploys"),
            slack.channel("ops"),
            Upstream::refused_addr()
        );
        let proxy = Proxy::setup()
            .with(&mattermost)
            .with(&slack)
            .with(&teams)
            .set("PROXY_TOKENS", format!("ci={token}"))
            .set("SIGNING_KEYS", unique("", 40))
            .set("CHANNELS", channels)
            .without_limits()
            .outbox(&folder)
            .start();
        let stored =
            proxy.post_message_as(&token, "away", "for somebody who is away", &[("wait", "0")]);
        let queued = stored.json()["id"].as_str().unwrap().to_owned();
        let internal = Upstream::start(|_| Reply::status(200));
        let world = Self {
            folder,
            mattermost,
            slack,
            teams,
            internal,
            proxy,
            token,
            queued,
        };
        world.furnish();
        world
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    pub fn slack_posts(&self) -> usize {
        self.slack.posts().len()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The stand-ins, and the files of the repository that pages name.
    fn furnish(&self) {
        for name in ["bin", "home", "work", "work/tests"] {
            fs::create_dir(self.path(name)).unwrap();
        }
        for name in [
            "deploy",
            "Dockerfile",
            "heroku.yml",
            "app.json",
            "Cargo.toml",
        ] {
            symlink(root().join(name), self.path("work").join(name)).unwrap();
        }
        assert!(root().join("tests/run").exists());
        script(&self.path("work/tests/run"), "#!/bin/sh\n");
        fs::write(
            self.path("home/.curlrc"),
            "silent\nshow-error\nwrite-out = \"%{stderr}\\nSTATUS %{http_code}\\n\"\n",
        )
        .unwrap();
        script(&self.path("bin/message-webhook-proxy"), &self.program());
        script(&self.path("bin/stop-serving"), &self.stop());
        script(&self.path("bin/wait-for-it"), &self.listening());
        for (tool, verbs) in STAND_INS {
            script(&self.path("bin").join(tool), &stand_in(tool, verbs));
        }
    }

    /// The real program. `serve` tells who it is, and the fakes' addresses stand beside their credentials.
    fn program(&self) -> String {
        format!(
            r#"#!/bin/sh
[ -z "${{SLACK_BOT_TOKEN:-}}${{SLACK_CLIENT_ID:-}}" ] || export SLACK_API_URL={slack}
[ -z "${{TEAMS_APP_ID:-}}" ] || export TEAMS_LOGIN_URL={login} TEAMS_SERVICE_URL={service}
case "${{1:-serve}}" in serve) ;; *) exec {real} "$@" ;; esac
echo $$ >{pid}
exec {real} "$@" >>{log} 2>&1
"#,
            real = env!("CARGO_BIN_EXE_message-webhook-proxy"),
            pid = self.path("pid").display(),
            log = self.path("serve.log").display(),
            slack = self.slack.api_url(),
            login = self.teams.url(),
            service = self.teams.service_url(),
        )
    }

    /// Ends the shell's proxy, if there is one.
    fn stop(&self) -> String {
        format!(
            r#"#!/bin/sh
[ -s {pid} ] || exit 0
read -r old <{pid}
kill "$old" 2>/dev/null
while kill -0 "$old" 2>/dev/null; do sleep 0.02; done
rm -f {pid}
"#,
            pid = self.path("pid").display(),
        )
    }

    /// Waits until the shell's proxy listens, or has ended.
    fn listening(&self) -> String {
        format!(
            r#"#!/bin/sh
while [ ! -s {pid} ]; do sleep 0.02; done
read -r pid <{pid}
until {real} healthcheck >/dev/null 2>&1; do
    kill -0 "$pid" 2>/dev/null || {{ cat {log} >&2; exit 1; }}
    sleep 0.02
done
"#,
            real = env!("CARGO_BIN_EXE_message-webhook-proxy"),
            pid = self.path("pid").display(),
            log = self.path("serve.log").display(),
        )
    }

    /// Writes down what the page says to save.
    pub fn save(&self, block: &Block) {
        if let Some(name) = &block.saved_as {
            fs::write(self.path("work").join(name), &block.text).unwrap();
        }
    }

    /// Executes the blocks in one shell; each answer of HTTP is a success, or the status that the line's comment says.
    pub fn run(&self, page: &str, blocks: &[&Block]) -> Result<(), String> {
        let text: String = blocks.iter().map(|block| block.text.as_str()).collect();
        let first = if text.contains("localhost:3000") {
            "message-webhook-proxy &\n"
        } else {
            ""
        };
        let output = self.shell(&patient(&self.fill(&format!("{first}{text}"))), &[]);
        let wanted: Vec<&str> = text.lines().filter_map(said_status).collect();
        let got: Vec<&str> = output
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix("STATUS "))
            .filter(|status| !status.starts_with(['2', '3']))
            .collect();
        if output.ok && got == wanted {
            return Ok(());
        }
        Err(format!(
            "{page}:{}: answers {got:?}, announced {wanted:?}\n{text}\n{}\n{}",
            blocks[0].line, output.stdout, output.stderr
        ))
    }

    /// One script in a shell of its own, with these variables beside the shell's.
    pub fn shell(&self, script: &str, variables: &[(&str, &str)]) -> Output {
        let port = free_port();
        let path = format!(
            "{}:{}",
            self.path("bin").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let home = self.path("home").display().to_string();
        let output = Command::new("timeout")
            .args([
                DEADLINE_S,
                "bash",
                "-c",
                &format!(
                    "set -euo pipefail\ntrap stop-serving EXIT\n{}",
                    script.replace("localhost:3000", &format!("127.0.0.1:{port}"))
                ),
            ])
            .current_dir(self.path("work"))
            .env_clear()
            .envs([
                ("PATH", path.as_str()),
                ("HOME", &home),
                ("CURL_HOME", &home),
                ("LANG", "C.UTF-8"),
                ("HOST", "127.0.0.1"),
                ("PORT", &port.to_string()),
                ("TOKEN", &self.token),
                ("PROXY_TOKEN", &self.token),
                ("ID", &self.queued),
            ])
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        self.stop_serving();
        Output {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn stop_serving(&self) {
        if let Ok(pid) = fs::read_to_string(self.path("pid")) {
            Command::new("/bin/kill").arg(pid.trim()).status().ok();
            fs::remove_file(self.path("pid")).unwrap();
        }
    }

    /// The pages' made-up addresses and credentials become the fakes'.
    pub fn fill(&self, text: &str) -> String {
        let address = self.proxy.addr().to_string();
        let teams = self.teams.env();
        let of = |name: &str| {
            teams
                .iter()
                .find(|(known, _)| known == name)
                .unwrap()
                .1
                .clone()
        };
        let mut text = text.to_owned();
        for (made_up, real) in [
            ("https://proxy.example.org", format!("http://{address}")),
            ("https://ci:", "http://ci:".to_owned()),
            ("@proxy.example.org", format!("@{address}")),
            ("YOUR-PROXY-TOKEN", self.token.clone()),
            (
                "https://chat.example.com/hooks/your-hook",
                self.mattermost.hook_url(),
            ),
            ("https://chat.example.com", self.mattermost.url()),
            ("your-mattermost-token", self.mattermost.token()),
            (
                "your-mattermost-channel-id",
                self.mattermost.channel("builds"),
            ),
            ("xoxb-your-token", self.slack.token()),
            (
                "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXX",
                self.slack.webhook_url(),
            ),
            ("your-signing-secret", unique("", 32)),
            ("your-app-id", of("TEAMS_APP_ID")),
            ("your-client-secret", of("TEAMS_APP_PASSWORD")),
            ("your-tenant-id", of("TEAMS_TENANT_ID")),
            (
                "19:your-channel@thread.tacv2",
                self.teams.channel("General"),
            ),
            ("http://api.internal:8080", self.internal.url()),
        ] {
            text = text.replace(made_up, &real);
        }
        self.sign(&text)
    }

    /// Every `c.0.SIGNATURE` becomes the signature of the channel before it.
    fn sign(&self, text: &str) -> String {
        let mut parts = text.split("c.0.SIGNATURE");
        let mut signed = parts.next().unwrap_or_default().to_owned();
        for rest in parts {
            let (_, after) = signed
                .rsplit_once("/post/channel/")
                .expect("a channel before the signature");
            let channel: String = after.chars().take_while(|c| !"/?".contains(*c)).collect();
            let body = serde_json::json!({"channel": channel, "scope": "c", "expires": "never"});
            let bearer = format!("Bearer {}", self.token);
            let answer = self.proxy.send(
                "POST",
                "/sign",
                &[
                    ("Authorization", &bearer),
                    ("Content-Type", "application/json"),
                ],
                body.to_string(),
            );
            signed.push_str(answer.json()["sig"].as_str().expect("a signature"));
            signed.push_str(rest);
        }
        signed
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop_serving();
    }
}

pub struct Output {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

/// A reader waits until the program says that it listens, and has stopped the one before it.
fn patient(script: &str) -> String {
    let starts = |line: &str| {
        line.ends_with("message-webhook-proxy &") || line.trim() == "cargo run --release"
    };
    script
        .lines()
        .map(|line| match starts(line) {
            true => format!(
                "stop-serving\n{} &\nwait-for-it\n",
                line.trim_end_matches(" &")
            ),
            false => format!("{line}\n"),
        })
        .collect()
}

/// `# 405: why` at the end of a line: this answer is meant.
fn said_status(line: &str) -> Option<&str> {
    let (_, comment) = line.rsplit_once("# ")?;
    let status = comment.get(..3)?;
    let is_status = status.starts_with(['4', '5']) && status.bytes().all(|b| b.is_ascii_digit());
    is_status.then_some(status)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Refuses a verb that the tool does not have here, and a file that does not exist.
fn stand_in(tool: &str, verbs: &[&str]) -> String {
    let acts = match tool {
        "cargo" => "case \"$1\" in run) exec message-webhook-proxy ;; esac\n",
        "sudo" => "case \"$1\" in tee) exec cat ;; esac\n",
        _ => "",
    };
    format!(
        r#"#!/bin/sh
case "$1" in {verbs}) ;; *) echo "{tool} $1: not a verb of the stand-in" >&2; exit 1 ;; esac
for word in "$@"; do
    case "$word" in
    -* | /* | *:* | *=* ) ;;
    deploy/* | *.yaml | *.yml | *.service | target/release/*)
        [ "$word" = target/release/message-webhook-proxy ] || [ -e "$word" ] || {{ echo "{tool}: no file $word" >&2; exit 1; }} ;;
    esac
done
{acts}"#,
        verbs = verbs.join(" | ")
    )
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
