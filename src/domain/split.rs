//! Cutting a long text into parts: at a line, else at a word, never inside a character.

use unicode_segmentation::UnicodeSegmentation as _;

/// Cuts `text` so that the cost of every part is at most `max`. `cost` is what one character (a grapheme:
/// what a reader sees as one) takes in the platform's unit *after* escaping, at most; so a part can be
/// escaped on its own, and no escape is ever cut. Of a character above `max` its code points are asked for, too.
///
/// The parts together are the text, except that parts of nothing but white space are left out.
#[must_use]
pub fn split(text: &str, max: usize, cost: impl Fn(&str) -> usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (part, after) = rest.split_at(cut(rest, max, &cost, true));
        if !part.trim().is_empty() {
            parts.push(part);
        }
        rest = after;
    }
    parts
}

/// The first part of `text` whose cost is at most `max`, and all that follows it, for a first part with a
/// limit of its own; see [`split`]. What is above that limit may fit into what follows, so it is cut only if nothing
/// stands before it.
#[must_use]
pub fn split_first(text: &str, max: usize, cost: impl Fn(&str) -> usize) -> (&str, &str) {
    text.split_at(cut(text, max, &cost, false))
}

/// Where the first part ends: after the last line end that fits, else the last space, else the last
/// character. A boundary in the first half is passed over, or short lines would make tiny parts. A character that
/// is above the limit by itself is cut anyway, so where `fills` it fills the part it begins in.
fn cut(text: &str, max: usize, cost: &impl Fn(&str) -> usize, fills: bool) -> usize {
    let (mut used, mut line, mut word) = (0, None, None);
    for (start, grapheme) in text.grapheme_indices(true) {
        let own = cost(grapheme);
        if own > max && (fills || start == 0) {
            return start + cut_within(grapheme, max - used, cost, start == 0);
        }
        used += own;
        if used > max {
            let half = start / 2;
            let boundary = line
                .filter(|&at| at > half)
                .or(word.filter(|&at| at > half));
            return boundary.unwrap_or(start);
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

/// How much of a character above the limit fits into `room`, whole code points. Where it is all that a part would
/// have, at least its first one, so that there is an end.
fn cut_within(grapheme: &str, room: usize, cost: &impl Fn(&str) -> usize, is_alone: bool) -> usize {
    let (mut used, mut end) = (0, 0);
    for c in grapheme.chars() {
        used += cost(c.encode_utf8(&mut [0; 4]));
        if used > room && !(is_alone && end == 0) {
            break;
        }
        end += c.len_utf8();
    }
    end
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
        assert_eq!(split_first("ok 👩‍👩‍👧‍👦", 6, chars), ("ok ", "👩‍👩‍👧‍👦"));
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
    fn a_character_above_the_limit_fills_its_parts() {
        let tower = |marks| format!("a{}", "\u{301}".repeat(marks));
        let lengths = |text: &str, max| -> Vec<usize> {
            split(text, max, chars).into_iter().map(chars).collect()
        };

        assert_eq!(lengths(&tower(4003), 4000), [4000, 4]);
        assert_eq!(
            lengths(&tower(20_000), 4000),
            [4000, 4000, 4000, 4000, 4000, 1]
        );
        let within = format!("one two {} three", tower(50));
        assert_eq!(lengths(&within, 20), [20, 20, 20, 5]);
        assert_eq!(split(&within, 20, chars).concat(), within);
        assert_eq!(split_first(&tower(50), 20, chars).0.chars().count(), 20);
    }

    #[test]
    fn a_code_point_above_the_limit_is_a_part() {
        assert_eq!(split("abc", 0, chars), ["a", "b", "c"]);
        assert_eq!(split("a👩b", 3, str::len), ["a", "👩", "b"]);
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

        /// The marks take 2, 3 and 4 bytes; a "\u{20dd}" of three costs as much as an escape.
        #[test]
        fn one_character_above_the_limit_leaves_no_room(
            text in "a[\u{301}\u{20dd}\u{1f3fb}]{0,300}",
            max in 8usize..60,
        ) {
            let parts = split(&text, max, str::len);
            prop_assert_eq!(parts.concat(), text.as_str());
            prop_assert!(parts.iter().all(|p| p.len() <= max));
            for (part, next) in parts.iter().zip(parts.iter().skip(1)) {
                let more = next.chars().next().map_or(0, char::len_utf8);
                prop_assert!(part.len() + more > max, "{} and {more} of {max}", part.len());
            }
            prop_assert!(parts.len() <= text.len().div_ceil(max - 4) + 1);
        }

        #[test]
        fn what_stands_around_characters_above_the_limit_is_kept(
            text in "([a-z \n]{0,20}b\u{301}{0,90}){1,6}",
            max in 8usize..60,
        ) {
            let parts = split(&text, max, chars);
            prop_assert!(parts.iter().all(|p| chars(p) <= max));
            let visible = |s: &str| s.split_whitespace().collect::<String>();
            prop_assert_eq!(visible(&parts.concat()), visible(&text));
        }
    }
}
