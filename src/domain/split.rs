//! Cutting a long text into parts: at a line, else at a word, never inside a character.

use unicode_segmentation::UnicodeSegmentation as _;

/// Cuts `text` so that the cost of every part is at most `max`. `cost` is what one character (a grapheme:
/// what a reader sees as one) takes in the platform's unit *after* escaping, at most; so a part can be
/// escaped on its own, and no escape is ever cut.
///
/// The parts together are the text, except that parts of nothing but white space are left out.
#[must_use]
pub fn split(text: &str, max: usize, cost: impl Fn(&str) -> usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (part, after) = rest.split_at(cut(rest, max, &cost));
        if !part.trim().is_empty() {
            parts.push(part);
        }
        rest = after;
    }
    parts
}

/// The first part of `text` whose cost is at most `max`, and all that follows it, for a first part with a
/// limit of its own; see [`split`].
#[must_use]
pub fn split_first(text: &str, max: usize, cost: impl Fn(&str) -> usize) -> (&str, &str) {
    text.split_at(cut(text, max, &cost))
}

/// Where the first part ends: after the last line end that fits, else the last space, else the last
/// character. A boundary in the first half is passed over, or short lines would make tiny parts.
fn cut(text: &str, max: usize, cost: &impl Fn(&str) -> usize) -> usize {
    let (mut used, mut line, mut word) = (0, None, None);
    for (start, grapheme) in text.grapheme_indices(true) {
        used += cost(grapheme);
        if used > max {
            let half = start / 2;
            let boundary = line
                .filter(|&at| at > half)
                .or(word.filter(|&at| at > half));
            // A single character above the limit is cut between code points, so that there is an end.
            let first = text.chars().next().map_or(1, char::len_utf8);
            return boundary.unwrap_or(start).max(first);
        }
        let end = start + grapheme.len();
        if grapheme.ends_with('\n') {
            line = Some(end);
        } else if grapheme.ends_with(char::is_whitespace) {
            word = Some(end);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chars(grapheme: &str) -> usize {
        grapheme.chars().count()
    }

    #[test]
    fn at_a_line_else_a_word_else_a_character() {
        assert_eq!(
            split("one two\nthree four", 12, chars),
            ["one two\n", "three four"]
        );
        assert_eq!(split("one two three", 9, chars), ["one two ", "three"]);
        assert_eq!(split("abcdefgh", 3, chars), ["abc", "def", "gh"]);
        assert_eq!(split("short", 100, chars), ["short"]);
        assert_eq!(split("a\nbcdefghijkl", 10, chars), ["a\nbcdefghi", "jkl"]);
    }

    #[test]
    fn the_first_part_may_have_its_own_limit() {
        assert_eq!(
            split_first("one two three", 9, chars),
            ("one two ", "three")
        );
        assert_eq!(split_first("short", 100, chars), ("short", ""));
        assert_eq!(split_first("", 1, chars), ("", ""));
    }

    #[test]
    fn families_stay_together() {
        let family = "👩‍👩‍👧‍👦";
        let text = family.repeat(4);
        assert_eq!(
            split(&text, 16, chars),
            [family.repeat(2), family.repeat(2)]
        );
    }

    #[test]
    fn a_character_above_the_limit_still_ends() {
        let tower = format!("a{}", "\u{301}".repeat(50));
        assert_eq!(split(&tower, 10, chars).concat(), tower);
    }

    #[test]
    fn parts_of_white_space_are_left_out() {
        assert_eq!(split(&format!("a{}b", " ".repeat(50)), 10, chars).len(), 2);
    }

    proptest! {
        #[test]
        fn parts_fit_and_lose_nothing(text in "[a-z \n&é👩]{0,300}", max in 8usize..60) {
            let parts = split(&text, max, chars);
            prop_assert!(parts.iter().all(|p| p.chars().count() <= max));
            let visible = |s: &str| s.split_whitespace().collect::<String>();
            prop_assert_eq!(visible(&parts.concat()), visible(&text));
        }
    }
}
