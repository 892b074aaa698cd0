//! What is pasted into other systems: their files are read, and what they would execute or call is executed and called.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::markdown::Block;
use super::world::World;
use crate::support::peers;

/// What a stranger may call a branch.
const BRANCH: &str = "fix/50%25-off & $(more) `it`";
/// What the CI systems set, by their own documentation of predefined variables.
const CI: &[(&str, &str)] = &[
    ("GITHUB_REPOSITORY", "acme/shop"),
    ("GITHUB_REF_NAME", BRANCH),
    ("GITHUB_RUN_NUMBER", "42"),
    ("GITHUB_RUN_ID", "7"),
    ("GITHUB_SERVER_URL", "https://github.com"),
    ("JOB_STATUS", "failure"),
    ("CI_PROJECT_PATH", "acme/shop"),
    ("CI_COMMIT_REF_NAME", BRANCH),
    ("CI_JOB_NAME", "unit tests"),
    ("CI_PIPELINE_ID", "42"),
    (
        "CI_PIPELINE_URL",
        "https://gitlab.example.com/acme/shop/-/pipelines/42",
    ),
    ("JOB_NAME", "shop/main"),
    ("BUILD_NUMBER", "42"),
    ("BUILD_URL", "https://jenkins.example.com/job/shop/42/"),
    ("CIRCLE_PROJECT_REPONAME", "shop"),
    ("CIRCLE_BRANCH", BRANCH),
    ("CIRCLE_BUILD_NUM", "42"),
    ("CIRCLE_BUILD_URL", "https://circleci.com/gh/acme/shop/42"),
    ("DRONE_REPO", "acme/shop"),
    ("DRONE_BUILD_NUMBER", "42"),
    ("DRONE_BUILD_STATUS", "failure"),
    ("DRONE_BUILD_LINK", "https://drone.example.com/acme/shop/42"),
    ("CI_REPO", "acme/shop"),
    ("CI_PIPELINE_NUMBER", "42"),
    ("BUILD_DEFINITIONNAME", "shop"),
    ("BUILD_BUILDNUMBER", "20261121.42"),
    ("BUILD_SOURCEBRANCHNAME", "main"),
    ("AGENT_JOBSTATUS", "Failed"),
    ("BUILDKITE_PIPELINE_SLUG", "shop"),
    ("BUILDKITE_BUILD_NUMBER", "42"),
    ("BUILDKITE_BRANCH", BRANCH),
    (
        "BUILDKITE_BUILD_URL",
        "https://buildkite.com/acme/shop/builds/42",
    ),
    ("BUILDKITE_COMMAND_EXIT_STATUS", "1"),
];

/// Reads the block as what it is, and does what it would do; how many posts that was.
pub fn check(world: &World, page: &str, block: &Block) -> usize {
    let before = posted(world);
    let at = format!("{page}:{}", block.line);
    match block.language.as_str() {
        "json" => {
            serde_json::from_str::<Value>(&block.text).unwrap_or_else(|e| panic!("{at}: {e}"));
        }
        "yaml" => {
            let file = yaml(&at, &block.text);
            for name in variables(&file) {
                let known = message_webhook_proxy::config::all_vars().any(|var| var.name == name);
                assert!(known, "{at}: {name}");
            }
            for text in strings(&file) {
                act(world, &at, &text);
            }
        }
        "groovy" => {
            for text in block.text.split("'''").skip(1).step_by(2) {
                act(world, &at, text);
            }
        }
        "dockerfile" => {
            let (_, check) = block.text.split_once(" CMD ").expect("a HEALTHCHECK");
            let check = check.replace("\\\n", " ").replace("; exit 1", "");
            act(world, &at, &check);
        }
        "text" => {
            for line in block.text.lines() {
                act(world, &at, line.trim());
            }
        }
        _ => {}
    }
    posted(world) - before
}

/// A shell line is executed; a URL is called as a webhook field would call it.
fn act(world: &World, at: &str, text: &str) {
    let before = posted(world);
    // What Buildkite, Drone and Woodpecker make of it before a shell sees it.
    let text = &text.replace("$$", "$");
    if text.contains("curl ") || text.contains("message-webhook-proxy send") {
        assert!(
            !text.contains("${{"),
            "{at}: an expression in a shell line: {text}"
        );
        let output = world.shell(&world.fill(text), CI);
        assert!(
            output.ok,
            "{at}: {text}\n{}{}",
            output.stdout, output.stderr
        );
        assert!(
            !output.stderr.contains("STATUS 4"),
            "{at}: {text}\n{}",
            output.stdout
        );
    } else if text.contains("proxy.example.org/post/") {
        let quoted = text.trim_matches(['"', '\'']);
        let call = format!(
            "curl -fsS -X POST -H 'Content-Type: application/json' -d '{{\"a body\": \"is ignored\"}}' '{quoted}'"
        );
        let output = world.shell(&world.fill(&call), &[]);
        assert!(
            output.ok,
            "{at}: {text}\n{}{}",
            output.stdout, output.stderr
        );
    } else {
        return;
    }
    assert!(posted(world) > before, "{at}: nothing was posted by {text}");
    if text.contains("_REF_NAME") || text.contains("_BRANCH") {
        let last = world.mattermost.posts().pop().unwrap();
        let whole = format!("{}{}", last.message, last.props);
        assert!(whole.contains(BRANCH), "{at}: {whole}");
    }
    for post in world.mattermost.posts() {
        let whole = format!("{}{}", post.message, post.props);
        assert!(
            !whole.contains("%20") && !whole.replace(BRANCH, "").contains('$'),
            "{at}: {whole}"
        );
    }
}

fn posted(world: &World) -> usize {
    world.mattermost.posts().len() + world.slack_posts()
}

/// As YAML 1.1 reads it.
fn yaml(at: &str, text: &str) -> Value {
    let program = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout, default=str)";
    let mut python = Command::new(peers::python())
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    python
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{at}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(map) => map.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// The names of a container's `env:` list.
fn variables(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(variables).collect(),
        Value::Object(map) => match (map.get("name"), map.get("value")) {
            (Some(Value::String(name)), Some(_)) => vec![name.clone()],
            _ => map.values().flat_map(variables).collect(),
        },
        _ => Vec::new(),
    }
}
