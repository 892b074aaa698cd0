//! Contract 1.4: what is answered, as far as the console and every refusal go; what the platforms add is told where they are.

mod problems;
mod receipts;
mod request_ids;
mod safety;

use serde_json::Value;

/// Whether a text has the shape of a UUIDv7 in lower case.
fn is_uuidv7(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    lengths == [8, 4, 4, 4, 12]
        && groups.iter().all(|group| group.chars().all(hex))
        && groups[2].starts_with('7')
        && groups[3].starts_with(['8', '9', 'a', 'b'])
}

/// The names of an object's members.
fn names(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value
        .as_object()
        .expect("no object")
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}
