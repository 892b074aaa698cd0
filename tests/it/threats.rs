//! Every fault that the program must survive, and every threat at its edges, has a test that names its id. What the ids mean is told here in a few
//! words; the tests hold the rest.

use std::fs;
use std::path::Path;

/// Faults of chat servers and the way to them, of the disk, and of the process.
const FAULTS: &[(&str, &str)] = &[
    ("F-1", "connection refused, or no way to the host"),
    ("F-2", "the host's name has no address"),
    ("F-3", "the connection ends before the request is written"),
    ("F-4", "the connection ends after the request is written"),
    ("F-5", "the request is taken and never answered"),
    ("F-6", "the answer comes a byte a second"),
    ("F-7", "the answer has no end"),
    ("F-8", "the answer's head is huge or malformed"),
    ("F-9", "a success whose body cannot be read"),
    ("F-10", "HTTP says yes and the body says no"),
    ("F-11", "429 with seconds to wait"),
    ("F-12", "429 with a date to wait for"),
    ("F-13", "429 without a time"),
    ("F-14", "the statuses that mean later"),
    ("F-15", "every second attempt fails"),
    ("F-16", "the statuses that mean never"),
    ("F-17", "bad or revoked credentials"),
    ("F-18", "the channel is not there, or not for this bot"),
    ("F-19", "a redirect"),
    ("F-20", "a certificate that is not to be trusted"),
    (
        "F-21",
        "interim answers, old versions, bodies where none belong",
    ),
    ("F-22", "more answers than requests"),
    ("F-23", "a kept connection was closed meanwhile"),
    ("F-24", "the platform is back and a backlog waits"),
    ("S-1", "the disk is full"),
    ("S-2", "the disk fails"),
    ("S-3", "the outbox cannot be made where it is to be"),
    (
        "S-4",
        "the outbox's file is damaged, foreign or of a newer version",
    ),
    ("S-5", "a second process on the same outbox"),
    ("S-6", "the database server fails"),
    ("S-7", "an instance is cut off from the database server"),
    ("S-8", "a disk that is wiped at every start"),
    ("S-9", "more waits than may"),
    ("P-1", "kill -9 at any time"),
    ("P-2", "SIGTERM at any time"),
    ("P-3", "a panic"),
    ("P-4", "memory, descriptors or processors are short"),
    ("P-5", "the clock jumps"),
    ("P-6", "two versions on one outbox"),
    ("P-7", "nobody reads the log"),
];

/// What somebody may try at the servers that the proxy calls, at the way back in, at what the program is made of, and at routes that
/// are in no document.
const THREATS: &[(&str, &str)] = &[
    ("E1", "a URL or a name leads to a server inside"),
    ("E2", "an address that came in wants the bot's token"),
    ("E3", "a redirect carries credentials away"),
    ("E4", "a certificate that is not to be trusted is trusted"),
    ("E5", "an answer that is endless, slow, huge or deep"),
    ("F1", "a request that Slack has not signed"),
    ("F2", "a request that Slack has signed once, again"),
    ("F3", "an answer so late that Slack repeats itself"),
    ("F4", "a token that Microsoft has not signed"),
    ("F5", "tokens with any key id, so that keys are fetched"),
    ("F6", "a good sender who says what is not good"),
    ("G2", "a secret in the program, its image or its repository"),
    ("G3", "a package that has turned bad"),
    ("G4", "a way out of the process"),
    ("G5", "a door left open for debugging"),
];

/// Faults and threats without a test, and why.
const LATER: &[(&str, &str)] = &[
    ("S-6", "there is no outbox in PostgreSQL"),
    ("S-7", "there is no outbox in PostgreSQL"),
];

/// The text of every file in these folders, but for this one.
fn texts(folders: &[&str]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open: Vec<_> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if !path.ends_with(file!()) {
            // What is not text names nothing.
            found.extend(fs::read_to_string(path));
        }
    }
    found
}

/// Whether `id` stands in the text as a word: `F-1` is neither in `F-10` nor in `PDF-1`, and `F4` not in `%F4`.
fn names(text: &str, id: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '%' | '+');
    text.match_indices(id).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + id.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[test]
fn an_id_is_named_only_as_a_word() {
    for text in ["F-1", "/// F-1: refused", "(F-1, F-2)", "`F-1`"] {
        assert!(names(text, "F-1"), "{text}");
    }
    for text in ["F-10", "PDF-1", "F-1a", "F-", "X-F-1", "F-1-2", "%F-1"] {
        assert!(!names(text, "F-1"), "{text}");
    }
}

#[test]
fn every_fault_and_threat_is_named_where_it_is_tested() {
    let texts = texts(&["src", "tests"]);
    let is_named = |id: &str| texts.iter().any(|text| names(text, id));
    let is_later = |id: &str| LATER.iter().any(|(later, _)| *later == id);

    let unnamed: Vec<_> = FAULTS
        .iter()
        .chain(THREATS)
        .filter(|(id, _)| !is_later(id) && !is_named(id))
        .collect();

    assert!(unnamed.is_empty(), "no test names {unnamed:?}");
}

#[test]
fn what_is_tested_is_not_put_off() {
    let texts = texts(&["src", "tests"]);

    for (id, reason) in LATER {
        let named = texts.iter().any(|text| names(text, id));
        assert!(!named, "{id} is put off ({reason}) and named by a test");
        let mut all = FAULTS.iter().chain(THREATS);
        assert!(all.any(|(known, _)| known == id), "{id}");
    }
}
