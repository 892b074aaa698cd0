//! One operation: a method at a route.

use serde_json::{Map, Value, json};

use super::answers::{Answers, references};
use super::{Surface, post, source};
use crate::http::deliveries::MAX_LIMIT;
use crate::http::page::Asset;
use crate::http::route::Route;

/// What a route does with a method, and what it answers besides problems.
pub(super) struct Operation {
    /// With the method it is the operation's id.
    pub name: String,
    pub tag: &'static str,
    pub summary: String,
    pub description: String,
    pub parameters: Vec<Value>,
    pub body: Option<Value>,
    pub security: Vec<&'static str>,
    pub answers: Map<String, Value>,
}

impl Operation {
    /// The operation of a method that the route allows.
    pub(super) fn of(route: Route<'_>, method: &str, answers: &mut Answers<'_>) -> Self {
        let mut operation = Self::of_route(route, method, answers.surface);
        operation.name = format!("{}-{}", method.to_ascii_lowercase(), operation.name);
        match method {
            "OPTIONS" => operation.ask_methods(),
            "HEAD" => operation.leave_bodies_out(),
            _ => {}
        }
        let path = post::path_parameters(route.pattern());
        operation.parameters.extend(path);
        for (status, problem) in answers.problems(route, method) {
            operation.answers.entry(status).or_insert(problem);
        }
        operation
    }

    fn of_route(route: Route<'_>, method: &str, surface: &Surface) -> Self {
        match route {
            Route::Post { form, .. } => post::operation(form, surface),
            Route::Deliveries => deliveries(surface),
            Route::Delivery(_) => delivery(method, surface),
            Route::Retry(_) => retry(surface),
            Route::Inbound(source) => source::operation(source),
            Route::SlackInstall => source::install(),
            Route::SlackInstalled => source::installed(),
            Route::Metrics => metrics(surface),
            Route::Ready => ready(),
            Route::Home => page("home", "The page for people").may_be_known(),
            Route::Asset(_) => asset(),
            Route::Channels => channels(surface),
            Route::Events => events(surface),
            Route::Sign => sign(surface),
            Route::Problems => page("problems", "What every problem code means"),
            Route::Health => Self::new("health", "operating", "The process lives").answers(
                "200",
                "It lives.",
                "application/json",
                "Health",
            ),
            Route::OpenApi | Route::Unknown => Self::new("openapi", "operating", "This document")
                .answers("200", "OpenAPI 3.1.", "application/json", "Document"),
        }
    }

    pub(super) fn new(name: &str, tag: &'static str, summary: &str) -> Self {
        Self {
            name: name.to_owned(),
            tag,
            summary: summary.to_owned(),
            description: String::new(),
            parameters: Vec::new(),
            body: None,
            security: Vec::new(),
            answers: Map::new(),
        }
    }

    /// One more answer, or one more media type of an answer, by the name of its schema.
    pub(super) fn answers(mut self, status: &str, what: &str, media: &str, schema: &str) -> Self {
        let answer = self.answers.entry(status).or_insert_with(
            || json!({"description": what, "headers": references(&["X-Request-Id"]), "content": {}}),
        );
        let target = format!("#/components/schemas/{schema}");
        answer["content"][media] = json!({"schema": {"$ref": target}});
        self
    }

    /// A header of an answer.
    pub(super) fn header(mut self, status: &str, name: &str) -> Self {
        let target = format!("#/components/headers/{name}");
        self.answers[status]["headers"][name] = json!({"$ref": target});
        self
    }

    /// It may be what the browser has.
    fn may_be_known(mut self) -> Self {
        let answer = json!({"description": "The browser has it.", "headers": references(&["X-Request-Id", "ETag"])});
        self.answers.insert("304".to_owned(), answer);
        self.parameters.push(json!({"name": "If-None-Match", "in": "header", "description": "The `ETag` of what the browser has.",
            "schema": {"type": "string"}}));
        self
    }

    /// Says more.
    pub(super) fn says(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    fn ask_methods(&mut self) {
        self.summary = "The methods that are allowed here".to_owned();
        self.description = String::new();
        self.parameters.clear();
        self.body = None;
        self.security.clear();
        let headers = references(&["X-Request-Id", "Allow"]);
        let answer = json!({"description": "`Allow` lists them.", "headers": headers});
        self.answers = Map::from_iter([("204".to_owned(), answer)]);
    }

    fn leave_bodies_out(&mut self) {
        for answer in self.answers.values_mut().filter_map(Value::as_object_mut) {
            answer.remove("content");
            answer.remove("links");
        }
    }

    /// As the document has it.
    pub(super) fn into_value(self) -> Value {
        let mut value = json!({
            "operationId": self.name,
            "tags": [self.tag],
            "summary": self.summary,
            "parameters": self.parameters,
            "responses": self.answers,
        });
        if !self.description.is_empty() {
            value["description"] = self.description.into();
        }
        if let Some(body) = self.body {
            value["requestBody"] = body;
        }
        if !self.security.is_empty() {
            let either = self.security.iter().map(|name| json!({*name: []}));
            value["security"] = either.collect();
        }
        value
    }
}

/// What opens receipts and counters.
fn token_if(is_needed: bool) -> Vec<&'static str> {
    if is_needed {
        vec!["bearer", "basic"]
    } else {
        Vec::new()
    }
}

fn deliveries(surface: &Surface) -> Operation {
    let query = |name: &str, what: &str, schema: Value| json!({"name": name, "in": "query", "description": what, "schema": schema});
    Operation {
        parameters: vec![
            query(
                "status",
                "Only these.",
                json!({"enum": ["queued", "delivered", "failed"]}),
            ),
            query(
                "channel",
                "Only this channel, as a post may write it: an alias, `backend:target`, an id or a name.",
                post::channel_schema(),
            ),
            query(
                "after",
                "The `next` of the page before.",
                json!({"type": "string", "format": "uuid"}),
            ),
            query(
                "limit",
                "How many.",
                json!({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}),
            ),
        ],
        security: token_if(surface.is_closed),
        ..Operation::new("deliveries", "deliveries", "Receipts, newest first")
            .says("A token that is bound to channels sees its own alone. Without an outbox there are none.")
            .answers("200", "A page of receipts.", "application/json", "Receipts")
    }
}

fn delivery(method: &str, surface: &Surface) -> Operation {
    let (summary, what) = match method {
        "DELETE" => (
            "Drops what waits of a message",
            "It ends `failed`, reason `dropped`; the receipt stays.",
        ),
        _ => ("One receipt", "What became of the message."),
    };
    Operation {
        security: token_if(surface.is_closed),
        ..Operation::new("delivery", "deliveries", summary).answers(
            "200",
            what,
            "application/json",
            "StoredReceipt",
        )
    }
}

fn retry(surface: &Surface) -> Operation {
    Operation {
        security: token_if(surface.is_closed),
        ..Operation::new("retry", "deliveries", "Tries a message again")
            .says("What waits is tried now, but not within a pause that the platform asked for; what failed is queued again, at the end.")
            .answers("200", "The receipt as it stands now.", "application/json", "StoredReceipt")
    }
}

fn events(surface: &Surface) -> Operation {
    Operation {
        security: token_if(surface.is_closed),
        ..Operation::new("events", "deliveries", "Receipts that change, as they change")
            .says("Server-sent events named `receipt`, each with a receipt as its data, until the reader goes, falls behind, or an hour is over.")
            .answers("200", "The stream.", "text/event-stream", "Text")
    }
}

fn channels(surface: &Surface) -> Operation {
    Operation {
        security: token_if(surface.is_closed),
        parameters: vec![
            json!({"name": "backend", "in": "query", "description": "Instead of the aliases: what the bot of this platform can see.",
                "schema": {"type": "string"}}),
        ],
        ..Operation::new(
            "channels",
            "posts",
            "The channels that this caller may choose",
        )
        .answers(
            "200",
            "Aliases, and what a token is bound to; with `backend`, the platform's channels.",
            "application/json",
            "Channels",
        )
    }
}

fn sign(surface: &Surface) -> Operation {
    let body = json!({"application/json": {"schema": {"$ref": "#/components/schemas/Wish"}}});
    Operation {
        body: Some(json!({"required": true, "content": body})),
        security: token_if(surface.is_closed),
        ..Operation::new("sign", "posts", "Makes a signed URL")
            .says("For whoever could make that post with a token. 404 where `SIGNING_KEYS` is not set.")
            .answers("200", "Path and query of the URL.", "application/json", "SignedUrl")
    }
}

fn asset() -> Operation {
    let operation = Operation::new("asset", "operating", "A file of the page for people");
    let files = Asset::all().iter().map(|asset| asset.media);
    let media = files.filter_map(|media| media.split(';').next());
    let operation = media.fold(operation, |operation, media| {
        operation.answers("200", "The file.", media, "Text")
    });
    operation.header("200", "ETag").may_be_known()
}

fn metrics(surface: &Surface) -> Operation {
    Operation {
        security: token_if(surface.metrics_token),
        ..Operation::new("metrics", "operating", "Counters").answers(
            "200",
            "Prometheus text, version 0.0.4.",
            "text/plain",
            "Text",
        )
    }
}

fn ready() -> Operation {
    Operation::new("ready", "operating", "It can take posts")
        .says("A backend that cannot be reached is listed as `failing` and does not make it 503.")
        .answers("200", "It can.", "application/json", "Readiness")
        .answers(
            "503",
            "It is stopping, or the outbox cannot be written.",
            "application/json",
            "Readiness",
        )
}

fn page(name: &str, summary: &str) -> Operation {
    Operation::new(name, "operating", summary)
        .says("HTML where `Accept` holds `text/html`, else plain text.")
        .answers("200", summary, "text/html", "Text")
        .answers("200", summary, "text/plain", "Text")
}
