//! Where the light formatting of Teams stands in a text: code, bold, italic, struck. PURE. It is used to
//! *show* a text as Teams would; nothing in here decides what is safe. Formatting does not cross a line
//! and is not nested, which is less than Teams understands; what is not recognised shows as typed.

/// A line of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Text that may hold formatting.
    Text(&'a str),
    /// A line between two fences.
    Code(&'a str),
    /// The three backticks that open or close such lines, and what stands beside them.
    Fence(&'a str),
}

/// A piece of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text that may hold more formatting.
    Text(&'a str),
    /// Code between backticks.
    Code {
        /// The backticks on each side.
        ticks: &'a str,
        /// What stands between them.
        text: &'a str,
    },
}

/// How a span of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// As it is.
    Plain,
    /// `**bold**`
    Bold,
    /// `*italic*` or `_italic_`
    Italic,
    /// `~~struck~~`
    Struck,
}

/// The marks of a style, longer ones first.
const MARKS: [(&str, Style); 5] = [
    ("**", Style::Bold),
    ("__", Style::Bold),
    ("~~", Style::Struck),
    ("*", Style::Italic),
    ("_", Style::Italic),
];

/// The lines of a text; a fence that is not closed holds to the end.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut open: Option<usize> = None;
    text.split('\n').map(move |line| {
        let (ticks, rest) = fence(line);
        match open {
            None if ticks >= 3 && !rest.contains('`') => {
                open = Some(ticks);
                Line::Fence(line)
            }
            None => Line::Text(line),
            Some(opened) if ticks >= opened && rest.trim().is_empty() => {
                open = None;
                Line::Fence(line)
            }
            Some(_) => Line::Code(line),
        }
    })
}

/// The number of backticks a line begins with (after at most three spaces), and the rest.
fn fence(line: &str) -> (usize, &str) {
    let trimmed = line.trim_start_matches(' ');
    if line.len() - trimmed.len() > 3 {
        return (0, line);
    }
    let rest = trimmed.trim_start_matches('`');
    (trimmed.len() - rest.len(), rest)
}

/// The code and the rest of one line.
pub(super) fn pieces(line: &str) -> Vec<Piece<'_>> {
    let runs = tick_runs(line);
    let mut pieces = Vec::new();
    let (mut from, mut next) = (0, 0);
    // Lengths of runs that no later run closes: looked for once, so that hostile text costs no square.
    let mut unclosed = Vec::new();
    while let Some(&(start, ticks)) = runs.get(next) {
        next += 1;
        if unclosed.contains(&ticks) {
            continue;
        }
        let rest = runs.get(next..).unwrap_or_default();
        let Some(skip) = rest.iter().position(|&(_, n)| n == ticks) else {
            unclosed.push(ticks);
            continue;
        };
        let Some(&(end, _)) = rest.get(skip) else {
            continue;
        };
        push_text(&mut pieces, line.get(from..start));
        if let (Some(ticks), Some(text)) =
            (line.get(start..start + ticks), line.get(start + ticks..end))
        {
            pieces.push(Piece::Code { ticks, text });
        }
        from = end + ticks;
        next += skip + 1;
    }
    push_text(&mut pieces, line.get(from..));
    pieces
}

fn push_text<'a>(pieces: &mut Vec<Piece<'a>>, text: Option<&'a str>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        pieces.push(Piece::Text(text));
    }
}

/// Position and length of every run of backticks.
fn tick_runs(line: &str) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (at, _) in line.match_indices('`') {
        match runs.last_mut() {
            Some((start, len)) if *start + *len == at => *len += 1,
            _ => runs.push((at, 1)),
        }
    }
    runs
}

/// The styles of a text without code.
pub(super) fn spans(text: &str) -> Vec<(Style, &str)> {
    let mut spans = Vec::new();
    let (mut from, mut at) = (0, 0);
    let mut dead = [false; MARKS.len()];
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let found = MARKS
            .iter()
            .zip(&mut dead)
            .find(|((mark, _), dead)| !**dead && opens(text, at, mark));
        let step = rest.chars().next().map_or(1, char::len_utf8);
        let Some(((mark, style), dead)) = found else {
            at += step;
            continue;
        };
        let begin = at + mark.len();
        let Some(end) = closing(text, begin, mark) else {
            // No mark after this one closes, so none closes a later one either.
            *dead = true;
            continue;
        };
        push_span(&mut spans, Style::Plain, text.get(from..at));
        push_span(&mut spans, *style, text.get(begin..end));
        at = end + mark.len();
        from = at;
    }
    push_span(&mut spans, Style::Plain, text.get(from..));
    spans
}

fn push_span<'a>(spans: &mut Vec<(Style, &'a str)>, style: Style, text: Option<&'a str>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        spans.push((style, text));
    }
}

/// Whether a mark at `at` opens: a word follows, and none ends there (`2*3` and `a_b` are no formatting).
fn opens(text: &str, at: usize, mark: &str) -> bool {
    let (before, rest) = text.split_at_checked(at).unwrap_or_default();
    let Some(after) = rest.strip_prefix(mark) else {
        return false;
    };
    let sign = mark.chars().next().unwrap_or_default();
    let word_before = |c: char| c.is_alphanumeric() || c == sign;
    !before.ends_with(word_before) && after.starts_with(|c: char| !c.is_whitespace() && c != sign)
}

/// Where the mark that closes stands: a word ends there, and none follows.
fn closing(text: &str, begin: usize, mark: &str) -> Option<usize> {
    let inner = text.get(begin..)?;
    let sign = mark.chars().next()?;
    inner.match_indices(mark).find_map(|(at, _)| {
        let (before, rest) = inner.split_at_checked(at)?;
        let after = rest.strip_prefix(mark)?;
        let ends = before.ends_with(|c: char| !c.is_whitespace() && c != sign);
        let free = !after.starts_with(|c: char| c.is_alphanumeric() || c == sign);
        (ends && free).then_some(begin + at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn code_binds_first() {
        assert_eq!(
            pieces("a `b` ``c`d`` `e"),
            [
                Piece::Text("a "),
                Piece::Code {
                    ticks: "`",
                    text: "b"
                },
                Piece::Text(" "),
                Piece::Code {
                    ticks: "``",
                    text: "c`d"
                },
                Piece::Text(" `e"),
            ]
        );
        assert_eq!(pieces(""), []);
    }

    #[test]
    fn fences_hold_lines() {
        let seen: Vec<_> = lines("a\n```sh\nb\n``\n```\nc").collect();
        assert_eq!(
            seen,
            [
                Line::Text("a"),
                Line::Fence("```sh"),
                Line::Code("b"),
                Line::Code("``"),
                Line::Fence("```"),
                Line::Text("c"),
            ]
        );
        assert_eq!(lines("```x``` y").next(), Some(Line::Text("```x``` y")));
        assert_eq!(lines("    ```").next(), Some(Line::Text("    ```")));
    }

    #[test]
    fn styles_as_teams_reads_them() {
        use Style::{Bold, Italic, Plain, Struck};
        for (text, want) in [
            ("**b** c", vec![(Bold, "b"), (Plain, " c")]),
            (
                "a *i* _j_",
                vec![(Plain, "a "), (Italic, "i"), (Plain, " "), (Italic, "j")],
            ),
            ("(~~s~~)", vec![(Plain, "("), (Struck, "s"), (Plain, ")")]),
            ("2*3*4 job_7_x", vec![(Plain, "2*3*4 job_7_x")]),
            ("* a * b", vec![(Plain, "* a * b")]),
            ("**a", vec![(Plain, "**a")]),
            ("****", vec![(Plain, "****")]),
            ("*a* *b", vec![(Italic, "a"), (Plain, " *b")]),
        ] {
            assert_eq!(spans(text), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_but_marks_is_lost(text in "[a*_~` é\n]{0,60}") {
            let inner: String = pieces(&text).into_iter().map(|p| match p {
                Piece::Text(t) => spans(t).into_iter().map(|(_, s)| s).collect(),
                Piece::Code { text, .. } => text.to_owned(),
            }).collect();
            let letters = |s: &str| s.replace(['*', '_', '~', '`'], "");
            prop_assert_eq!(letters(&inner), letters(&text));
        }
    }

    /// Hostile text costs no square of its length.
    #[test]
    fn many_marks_that_close_nothing_are_cheap() {
        let text = "*a _b ~~c `d ``e ".repeat(20_000);
        assert!(spans(&text).len() < 60_000 && pieces(&text).len() < 60_000);
    }
}
