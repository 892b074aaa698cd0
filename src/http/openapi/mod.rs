//! `/openapi.json`: what every route takes and answers, for programs (contract, section 9; `OpenAPI` 3.1.1).
//!
//! It is made from the tables that the program itself walks: routes and their methods, options, problem codes, sources.
//! What is written here besides has a test that compares it with the code. It shows nothing of the configuration but
//! whether posting needs credentials, and the limits that a caller meets.

mod answers;
mod operation;
mod post;
mod schema;
mod source;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use answers::Answers;
pub use answers::codes;
use operation::Operation;

use super::route::Route;
use super::{Context, install};

/// What the document depends on.
#[derive(Debug, Clone, Default)]
pub(super) struct Surface {
    /// `PUBLIC_URL`, or empty.
    pub public_url: String,
    /// Whether GET posts.
    pub get_posts: bool,
    /// Whether there is an outbox.
    pub has_outbox: bool,
    /// Whether posting needs credentials.
    pub is_closed: bool,
    /// Whether URLs can be signed.
    pub has_keys: bool,
    /// Whether a token may stand in the query.
    pub query_token: bool,
    /// Whether the counters need a token.
    pub metrics_token: bool,
    /// Whether workspaces can install the app.
    pub installs: bool,
    /// `MAX_URL`
    pub max_url_bytes: usize,
    /// `MAX_BODY`
    pub max_body_bytes: usize,
}

const DESCRIPTION: &str = "Turns a URL into a Mattermost, Slack or Teams message. \
Every answer carries `X-Request-Id`. A refusal is `application/problem+json` (RFC 9457) with a `code` and a `detail` that names the cure; \
with `Accept: text/plain` it is one plain line. A method that is not listed here is 405 `method-not-allowed` with `Allow`; \
a path that is not listed is 404 `not-found`. HEAD answers like GET, without a body.";

impl Surface {
    /// What these settings make of it.
    pub(super) fn of(context: &Context<'_>) -> Self {
        let (settings, callers) = (&context.state.settings, &context.state.callers);
        Self {
            public_url: settings.public_url.clone(),
            get_posts: settings.get_posts,
            has_outbox: context.dispatcher.desk().is_some(),
            installs: install::is_on(context),
            is_closed: !callers.is_open(),
            has_keys: !callers.keys.is_empty(),
            query_token: callers.allow_query_token && !callers.tokens.is_empty(),
            metrics_token: settings.metrics_token.is_some(),
            max_url_bytes: settings.max_url_bytes,
            max_body_bytes: settings.max_body_bytes,
        }
    }

    /// Whether anything is there: some routes are 404, whatever the method, until they are configured.
    fn has(&self, route: Route<'_>) -> bool {
        match route {
            Route::SlackInstall | Route::SlackInstalled => self.installs,
            _ => true,
        }
    }

    /// The security scheme that an option of a post is, if it is one here.
    fn scheme(&self, option: &str) -> Option<&'static str> {
        match option {
            "sig" if self.has_keys => Some("sig"),
            "token" if self.query_token => Some("token"),
            _ => None,
        }
    }
}

/// The document.
pub(super) fn document(surface: &Surface) -> Value {
    let mut answers = Answers::new(surface);
    let paths: Map<String, Value> = Route::all()
        .filter(|route| surface.has(*route))
        .map(|route| (route.pattern().to_owned(), path(route, &mut answers)))
        .collect();
    let mut document = json!({
        "openapi": "3.1.1",
        "info": {
            "title": env!("CARGO_PKG_NAME"),
            "version": env!("CARGO_PKG_VERSION"),
            "summary": env!("CARGO_PKG_DESCRIPTION"),
            "description": DESCRIPTION,
        },
        "tags": [
            {"name": "posts", "description": "A URL becomes a message."},
            {"name": "deliveries", "description": "What became of what was promised."},
            {"name": "way back", "description": "What the platforms call. Whatever they have not signed is refused."},
            {"name": "operating", "description": "Does it live, can it take posts, what has it counted."},
        ],
        "paths": paths,
        "components": {
            "schemas": schema::all(),
            "parameters": post::parameters(surface),
            "headers": answers::headers(),
            "responses": answers.into_components(),
            "securitySchemes": schemes(surface),
        },
    });
    if !surface.public_url.is_empty() {
        document["servers"] = json!([{"url": surface.public_url}]);
    }
    document
}

/// Every method that the route allows.
fn path(route: Route<'_>, answers: &mut Answers<'_>) -> Value {
    let mut item = Map::new();
    for method in route.allow(answers.surface.get_posts).split(", ") {
        let operation = Operation::of(route, method, answers);
        item.insert(method.to_ascii_lowercase(), operation.into_value());
    }
    item.insert(
        "parameters".to_owned(),
        json!([{"$ref": "#/components/parameters/X-Request-Id"}]),
    );
    Value::Object(item)
}

fn schemes(surface: &Surface) -> Value {
    let mut schemes = json!({
        "bearer": {"type": "http", "scheme": "bearer", "description": "A secret of `PROXY_TOKENS`; for `/metrics`, `METRICS_TOKEN`."},
        "basic": {"type": "http", "scheme": "basic", "description": "The same as the password; the name does not matter."},
        "slack": {"type": "apiKey", "in": "header", "name": "X-Slack-Signature", "description": "Slack's signature of time and body (`SLACK_SIGNING_SECRETS`)."},
        "teams": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The token of Microsoft's Bot Framework."},
    });
    if surface.has_keys {
        schemes["sig"] = json!({"type": "apiKey", "in": "query", "name": "sig",
            "description": "The signature of a signed URL, `<scope>.<exp>.<mac>`: opens one channel, or is exactly one message."});
    }
    if surface.query_token {
        schemes["token"] = json!({"type": "apiKey", "in": "query", "name": "token",
            "description": "A secret of `PROXY_TOKENS`. Everything in between logs it."});
    }
    schemes
}
