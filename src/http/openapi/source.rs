//! The way back, as the document shows it.

use serde_json::{Value, json};

use super::answers::references;
use super::operation::Operation;
use crate::inbound::Source;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// What a platform calls.
pub(super) fn operation(source: Source) -> Operation {
    let (summary, security, media): (_, &[_], &[_]) = match source {
        Source::SlackEvents => ("An event of Slack", &["slack"], &[JSON]),
        Source::Slack => (
            "An interaction or a slash command of Slack",
            &["slack"],
            &[FORM],
        ),
        Source::Teams => ("An activity of Microsoft Teams", &["teams"], &[JSON]),
        Source::Mattermost => (
            "A slash command or an outgoing webhook of Mattermost",
            &[],
            &[FORM, JSON],
        ),
    };
    let content = media.iter().map(|media| {
        let schema = json!({"schema": {"type": "object"}});
        ((*media).to_owned(), schema)
    });
    let operation = Operation::new(source.name(), "way back", summary)
        .says(format!("For a look with a browser: {}.", source.expects()));
    let answers = match source {
        Source::Mattermost => operation
            .answers(
                "200",
                "What the server shows; nothing, if the proxy's own bot wrote the message.",
                JSON,
                "Said",
            )
            .answers("200", "", "text/plain", "Text"),
        Source::SlackEvents => operation.answers(
            "200",
            "Acknowledged; the challenge, if that was asked.",
            "text/plain",
            "Text",
        ),
        Source::Slack | Source::Teams => relayed(operation),
    };
    Operation {
        parameters: parameters(source),
        body: Some(json!({"required": true, "content": Value::Object(content.collect())})),
        security: security.to_vec(),
        ..answers
    }
}

/// What the internal API answers goes back as it is: status, media type and all.
fn relayed(mut operation: Operation) -> Operation {
    for (status, what) in [
        ("200", "Let in; the body is the internal API's, or empty."),
        ("default", "What the internal API answered."),
    ] {
        let answer = json!({"description": what, "headers": references(&["X-Request-Id"])});
        operation.answers.insert(status.to_owned(), answer);
    }
    operation
}

fn parameters(source: Source) -> Vec<Value> {
    match source {
        Source::Slack | Source::SlackEvents => {
            vec![
                json!({"name": "X-Slack-Request-Timestamp", "in": "header", "required": true,
                "description": "When Slack signed it, in Unix seconds; good for 300 s.", "schema": {"type": "integer"}}),
            ]
        }
        Source::Teams | Source::Mattermost => Vec::new(),
    }
}

/// Where an administrator of a workspace begins.
pub(super) fn install() -> Operation {
    let answer = json!({"description": "On to Slack.", "headers": references(&["X-Request-Id", "Location", "Set-Cookie"])});
    let mut operation = Operation::new(
        "slack-install",
        "way back",
        "Begins to install the app in a workspace of Slack",
    )
    .says("404 where `SLACK_CLIENT_ID` and `SLACK_CLIENT_SECRET` are not set.");
    operation.answers.insert("302".to_owned(), answer);
    operation
}

/// Where Slack sends the administrator back.
pub(super) fn installed() -> Operation {
    let query = |name: &str, what: &str| json!({"name": name, "in": "query", "description": what, "schema": {"type": "string"}});
    let words = [
        ("200", "Installed."),
        ("400", "Slack sent no code."),
        (
            "403",
            "Not begun in this browser, too long ago, or cancelled.",
        ),
        ("502", "Slack did not complete it."),
        ("503", "The installation cannot be stored now."),
    ];
    let operation = words.iter().fold(
        Operation::new(
            "slack-installed",
            "way back",
            "Slack sends the administrator back",
        ),
        |operation, (status, what)| operation.answers(status, what, "text/plain", "Line"),
    );
    let operation = operation.answers("503", "", "application/problem+json", "Problem");
    Operation {
        parameters: vec![
            query("state", "What this browser was sent out with."),
            query("code", "Slack's code."),
            query("error", "Why Slack did not install it."),
        ],
        ..operation
    }
}
