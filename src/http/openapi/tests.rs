//! The document compared with the tables: nothing is missing, nothing is invented.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::domain::options::KNOWN;
use crate::http::problem::{CODES, Code, Problem};
use crate::http::receipt::{Delivery, Receipt};

/// Everything that can be on, is.
fn full() -> Surface {
    Surface {
        public_url: "https://proxy.example.org".to_owned(),
        get_posts: true,
        has_outbox: true,
        is_closed: true,
        has_keys: true,
        query_token: true,
        metrics_token: true,
        installs: true,
        max_url_bytes: 1,
        max_body_bytes: 1,
    }
}

fn names(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// What a reference means, or the value itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(target) => document
            .pointer(target.strip_prefix('#').unwrap())
            .unwrap_or_else(|| panic!("{target}")),
        None => value,
    }
}

/// Route, method and operation of each.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    });
    all.filter(|(_, method, _)| *method != "parameters")
        .collect()
}

/// The codes that an operation lists.
fn listed<'a>(document: &'a Value, operation: &'a Value) -> BTreeSet<&'a str> {
    let answers = operation["responses"].as_object().unwrap().values();
    let enums = answers.filter_map(|answer| {
        resolved(document, answer)
            .pointer("/content/application~1problem+json/schema/properties/code/enum")?
            .as_array()
    });
    enums.flatten().filter_map(Value::as_str).collect()
}

#[test]
fn every_route_and_method_is_there_and_no_other() {
    for get_posts in [true, false] {
        let surface = Surface {
            get_posts,
            ..full()
        };

        let document = document(&surface);

        let have: BTreeSet<(String, String)> = operations(&document)
            .into_iter()
            .map(|(path, method, _)| (path.to_owned(), method.to_uppercase()))
            .collect();
        let want: BTreeSet<(String, String)> = Route::all()
            .flat_map(|route| {
                let methods = route.allow(get_posts).split(", ");
                methods.map(move |method| (route.pattern().to_owned(), method.to_owned()))
            })
            .collect();
        assert_eq!(have, want);
    }
}

#[test]
fn every_option_is_there_and_no_other() {
    let open = Surface::default();
    for surface in [full(), open] {
        let document = document(&surface);

        for (path, method, operation) in operations(&document) {
            if !path.starts_with("/post/") || method == "options" {
                continue;
            }
            let parameters = operation["parameters"].as_array().unwrap().iter();
            let queries = parameters
                .map(|parameter| resolved(&document, parameter))
                .filter(|parameter| parameter["in"] == "query" && parameter["name"] != "message");
            let mut have: BTreeSet<&str> = queries
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            let schemes = document["components"]["securitySchemes"]
                .as_object()
                .unwrap();
            let in_query = schemes.values().filter(|scheme| scheme["in"] == "query");
            have.extend(in_query.filter_map(|scheme| scheme["name"].as_str()));
            let want: BTreeSet<&str> = KNOWN.iter().map(|known| known.name).collect();
            assert_eq!(have, want, "{method} {path}");
        }
        for known in KNOWN {
            assert!(
                post::option_schema(known.name, &surface).is_some(),
                "{}",
                known.name
            );
        }
    }
}

#[test]
fn every_code_is_an_answer_of_some_route_and_no_other_is_listed() {
    let with = document(&full());
    let without = document(&Surface {
        has_outbox: false,
        has_keys: false,
        ..full()
    });

    let mut have = BTreeSet::new();
    for document in [&with, &without] {
        for (path, method, operation) in operations(document) {
            let codes = listed(document, operation);
            let route = Route::all().find(|route| route.pattern() == path).unwrap();
            let can: Vec<&str> = codes_of(route, method);
            assert!(
                codes.iter().all(|code| can.contains(code)),
                "{method} {path}"
            );
            have.extend(codes);
        }
    }

    // What no route and no listed method answers; the document's description has it.
    have.insert(Code::MethodNotAllowed.text());
    let want: BTreeSet<&str> = CODES.iter().map(|row| row.text).collect();
    assert_eq!(have, want);
    let known = &with["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
    let known: BTreeSet<&str> = known
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(known, want);
}

fn codes_of(route: Route<'_>, method: &str) -> Vec<&'static str> {
    let codes = codes(route, &method.to_uppercase());
    codes.into_iter().map(Code::text).collect()
}

#[test]
fn a_status_lists_the_codes_that_have_it() {
    let document = document(&full());

    for (path, method, operation) in operations(&document) {
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let answer = resolved(&document, answer);
            let codes = answer
                .pointer("/content/application~1problem+json/schema/properties/code/enum")
                .and_then(Value::as_array);
            for code in codes.into_iter().flatten() {
                let row = CODES.iter().find(|row| code == row.text).unwrap();
                assert_eq!(row.status.to_string(), *status, "{method} {path}");
            }
        }
    }
}

#[test]
fn schemas_have_every_field_of_what_is_written() {
    let text = || Some("x".to_owned());
    let delivery = Delivery {
        message_id: text(),
        link: text(),
        parts: Some(2),
        reason: Some("x".into()),
        platform_code: text(),
        detail: text(),
        attempts: Some(1),
        ambiguous: Some(1),
        error: text(),
        requests: vec![serde_json::value::RawValue::from_string("1".to_owned()).unwrap()],
        ..Delivery::default()
    };
    let receipt = Receipt {
        reason: Some("x".into()),
        created_at: text(),
        attempts: Some(1),
        error: text(),
        message: text(),
        replaced: 1,
        ignored: vec![String::new()],
        deliveries: vec![delivery.clone()],
        ..Receipt::default()
    };
    let problem = Problem {
        platform_code: crate::domain::delivery::PlatformCode::new("x"),
        deliveries: vec![delivery.clone()],
        ..Problem::new(Code::BackendRejected, "x")
    };

    let document = document(&full());

    let written = [
        ("Receipt", serde_json::to_value(&receipt).unwrap()),
        ("Delivery", serde_json::to_value(&delivery).unwrap()),
        (
            "Problem",
            serde_json::from_slice(&problem.to_json("")).unwrap(),
        ),
    ];
    for (name, value) in written {
        let schema = &document["components"]["schemas"][name]["properties"];
        assert_eq!(names(schema), names(&value), "{name}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(document: &Value, value: &Value) {
        resolved(document, value);
        match value {
            Value::Object(fields) => fields.values().for_each(|value| walk(document, value)),
            Value::Array(items) => items.iter().for_each(|value| walk(document, value)),
            _ => {}
        }
    }
    for surface in [full(), Surface::default()] {
        let document = document(&surface);

        walk(&document, &document);

        let ids: Vec<&Value> = operations(&document)
            .iter()
            .map(|(.., operation)| &operation["operationId"])
            .collect();
        let unique: BTreeSet<&str> = ids.iter().filter_map(|id| id.as_str()).collect();
        assert_eq!(unique.len(), ids.len());
    }
}
