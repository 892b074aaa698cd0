//! What the program is made of: nothing that looks like a credential, and no package from anywhere but crates.io or under a
//! licence that nobody has read.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::architecture::sources;

/// How the credentials begin that others make, and how many characters follow at least in a genuine one.
const FORMS: &[(&str, usize)] = &[
    ("xoxb-", 40),
    ("xoxp-", 40),
    ("xapp-", 40),
    ("hooks.slack.com/services/", 40),
    ("ghp_", 36),
    ("github_pat_", 40),
    ("glpat-", 20),
    ("AKIA", 16),
    ("eyJ", 60),
];

/// A word this long, of letters and digits, was not made by a person.
const RANDOM: usize = 20;

/// More packages are more people to trust: whoever goes beyond it has looked for another way.
const MAX_PACKAGES: usize = 240;

const LICENCES: &[&str] = &[
    "Apache-2.0",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// What is built here, and has neither sum nor licence.
const OWN: &[&str] = &["message-webhook-proxy", "message-webhook-proxy-fuzz"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text of the repository; what is built or installed is none of it.
fn texts(folder: &Path, into: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_symlink()
            || ["target", ".git", "node_modules"]
                .iter()
                .any(|it| name == *it)
        {
            continue;
        }
        if path.is_dir() {
            texts(&path, into);
        } else if let Ok(text) = fs::read_to_string(&path) {
            into.push((path, text));
        }
    }
}

fn has_letter_and_digit(word: &str) -> bool {
    word.bytes().any(|b| b.is_ascii_digit()) && word.bytes().any(|b| b.is_ascii_alphabetic())
}

/// The beginning of the first thing in a text that could be somebody's credential.
fn credential(text: &str) -> Option<&'static str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_/.".contains(c);
    let is_genuine = |rest: &str, least: usize| {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        // An example ends in words, the secret part of a genuine one does not.
        let secret = rest[..end].rsplit('/').next();
        end >= least && secret.is_some_and(has_letter_and_digit)
    };
    let key = "-----BEGIN";
    let has_key = text.match_indices(key).any(|(at, _)| {
        let line = text[at..].lines().next().unwrap();
        line.ends_with("PRIVATE KEY-----")
    });
    let form = FORMS.iter().find(|(begin, least)| {
        let mut found = text.match_indices(begin);
        found.any(|(at, _)| is_genuine(&text[at + begin.len()..], *least))
    });
    has_key.then_some(key).or(form.map(|(begin, _)| *begin))
}

/// The scan sees what it is for.
#[test]
fn a_credential_is_known_by_its_form() {
    let random = "0aB3dE6gH9".repeat(7);

    for (begin, least) in FORMS {
        let text = format!("let token = \"{begin}{}\";", &random[..*least]);
        assert_eq!(credential(&text), Some(*begin));
        let example = format!("{begin}{}", &random[..least - 1]);
        assert_eq!(credential(&example), None, "{example}");
    }
    let key = ["-----BEGIN RSA PRIVATE", " KEY-----\nMIIE"].concat();
    assert!(credential(&key).is_some());
}

/// G2: in no file, of the program, its tests or its documents.
#[test]
fn no_file_of_the_repository_holds_a_credential() {
    let mut all = Vec::new();
    texts(root(), &mut all);

    let found: Vec<_> = all
        .iter()
        .filter_map(|(path, text)| Some((path, credential(text)?)))
        .collect();

    assert!(all.len() > 300, "{}", all.len());
    assert!(found.is_empty(), "{found:?}");
}

/// G2: of whatever form, nothing random is in what is compiled into the program.
#[test]
fn nothing_random_is_compiled_in() {
    for source in sources().iter().filter(|source| !source.is_test()) {
        let text = source.text.split("\n#[cfg(test)]\nmod tests {").next();
        let mut words = text
            .unwrap()
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| word.len() >= RANDOM);
        let random = words.find(|word| has_letter_and_digit(word));
        assert_eq!(random, None, "{}", source.path);
    }
}

/// `name = "value"` of each package of a lock file.
fn packages(lock: &str) -> Vec<Vec<(&str, &str)>> {
    let entries = lock.split("[[package]]").skip(1);
    entries
        .map(|entry| {
            let pairs = entry.lines().filter_map(|line| line.split_once(" = "));
            pairs
                .map(|(name, value)| (name, value.trim_matches('"')))
                .collect()
        })
        .collect()
}

/// G3: what is built is what was looked at, by its sum, and comes from one place.
#[test]
fn every_package_is_of_crates_io_and_known_by_its_sum() {
    for file in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let lock = fs::read_to_string(root().join(file)).unwrap();
        let packages = packages(&lock);

        assert!((100..=MAX_PACKAGES).contains(&packages.len()), "{file}");
        for package in &packages {
            let field = |name: &str| package.iter().find(|(it, _)| *it == name).map(|it| it.1);
            let name = field("name").unwrap();
            if OWN.contains(&name) {
                continue;
            }
            let source = field("source");
            let index = "registry+https://github.com/rust-lang/crates.io-index";
            assert_eq!(source, Some(index), "{file}: {name}");
            let sum = field("checksum").unwrap_or_default();
            assert_eq!(sum.len(), 64, "{file}: {name}");
        }
    }
}

/// Whether all that a licence demands is among what was read.
fn is_read(licence: &str) -> bool {
    let demands = licence.split(" AND ");
    let choices = |demand: &str| {
        demand
            .replace(['(', ')'], "")
            .replace('/', " OR ")
            .split(" OR ")
            .any(|choice| LICENCES.contains(&choice.trim()))
    };
    demands.into_iter().all(choices)
}

#[test]
fn a_licence_is_good_if_one_choice_of_each_demand_is() {
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "Apache-2.0 / MIT",
        "(Apache-2.0 OR MIT) AND BSD-3-Clause",
        "MIT OR Apache-2.0 OR LGPL-2.1-or-later",
    ] {
        assert!(is_read(good), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "Apache-2.0 WITH X",
    ] {
        assert!(!is_read(bad), "{bad}");
    }
}

/// G3. Advisories are not looked at here: their list is no part of the repository.
#[test]
fn every_package_is_under_a_licence_that_was_read() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--locked", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();

    let packages = metadata["packages"].as_array().unwrap().iter();
    let unread: BTreeSet<_> = packages
        .filter(|package| !OWN.contains(&package["name"].as_str().unwrap()))
        .map(|package| (&package["name"], package["license"].as_str().unwrap_or("")))
        .filter(|(_, licence)| !is_read(licence))
        .map(|(name, licence)| format!("{name}: {licence}"))
        .collect();

    assert!(unread.is_empty(), "{unread:?}");
}
