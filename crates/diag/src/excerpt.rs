//! The part of a line that is shown, and where the carets go below it.

/// Columns of a line that are shown. A longer one is cut around the carets.
const COLUMNS_MAX: usize = 120;

/// Columns kept before the carets in a line that is cut.
const BEFORE_COLUMNS_MAX: usize = 60;

/// A tab is shown as so many blanks, wherever it stands.
const TAB_COLUMNS: usize = 4;

/// What is shown of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// The line, or a part of it.
    pub(crate) text: String,
    /// Columns to the first caret.
    pub(crate) indent: usize,
    /// How many carets there are, at least one.
    pub(crate) carets: usize,
}

/// Shows `line` with carets under its bytes `[start, end)`; both may lie past its end. The work
/// is bounded, however long the line is.
pub(crate) fn excerpt(line: &str, start: usize, end: usize) -> Excerpt {
    let start = line.floor_char_boundary(start);
    let end = line.ceil_char_boundary(end).max(start);
    let (before, rest) = line.split_at(start);
    let (marked, after) = rest.split_at(end - start);
    let fits = prefix(line, COLUMNS_MAX).len() == line.len();

    let mut text = String::new();
    let before_max = if fits {
        COLUMNS_MAX
    } else {
        BEFORE_COLUMNS_MAX
    };
    let kept = suffix(before, before_max);
    if kept.len() < before.len() {
        text.push('…');
    }
    show(kept, &mut text);
    let indent = width(&text);

    let room = COLUMNS_MAX.saturating_sub(indent);
    let kept_marked = prefix(marked, room);
    show(kept_marked, &mut text);
    let carets = width(&text) - indent;
    let kept_after = match kept_marked.len() == marked.len() {
        true => prefix(after, room.saturating_sub(carets)),
        false => "",
    };
    show(kept_after, &mut text);
    if kept_marked.len() + kept_after.len() < rest.len() {
        text.push('…');
    }
    Excerpt {
        text,
        indent,
        carets: carets.max(1),
    }
}

/// Columns a character takes on a terminal: near enough to put a caret below it.
fn columns(c: char) -> usize {
    match u32::from(c) {
        0x09 => TAB_COLUMNS,
        0x0300..=0x036F | 0x200B..=0x200F | 0x20D0..=0x20FF | 0xFE00..=0xFE0F => 0,
        0x1100..=0x115F
        | 0x2E80..=0x303E
        | 0x3041..=0xA4CF
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60
        | 0xFFE0..=0xFFE6
        | 0x1F300..=0x1F64F
        | 0x1F680..=0x1F6FF
        | 0x1F900..=0x1FAFF
        | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Counts characters in until they take too much room.
struct Room {
    columns: usize,
    chars: usize,
}

impl Room {
    fn new(columns: usize) -> Self {
        // Letters with a few marks on each are fine; endless marks would take no column at all.
        let chars = 4 * columns;
        Self { columns, chars }
    }

    /// Whether there is room for one more, which is then taken.
    fn take(&mut self, c: char) -> bool {
        match (
            self.columns.checked_sub(columns(c)),
            self.chars.checked_sub(1),
        ) {
            (Some(columns), Some(chars)) => {
                *self = Self { columns, chars };
                true
            }
            _ => false,
        }
    }
}

/// As much of the start as fits.
fn prefix(text: &str, columns_max: usize) -> &str {
    let mut room = Room::new(columns_max);
    let cut = text.char_indices().find(|(_, c)| !room.take(*c));
    &text[..cut.map_or(text.len(), |(at, _)| at)]
}

/// As much of the end as fits.
fn suffix(text: &str, columns_max: usize) -> &str {
    let mut room = Room::new(columns_max);
    let cut = text.char_indices().rev().find(|(_, c)| !room.take(*c));
    &text[cut.map_or(0, |(at, c)| at + c.len_utf8())..]
}

/// Adds text as a terminal can show it: what would move the cursor or change colours is replaced.
pub(crate) fn show(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\t' => out.extend([' '; TAB_COLUMNS]),
            c if is_harmless(c) => out.push(c),
            _ => out.push(char::REPLACEMENT_CHARACTER),
        }
    }
}

/// No control character, and none that changes the direction of what follows.
fn is_harmless(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The line and its carets below each other.
    fn check(line: &str, start: usize, end: usize, want: &str) {
        let shown = excerpt(line, start, end);
        let below = format!("{}{}", " ".repeat(shown.indent), "^".repeat(shown.carets));
        assert_eq!(format!("{}\n{below}", shown.text), want, "{line:?}");
    }

    #[test]
    fn carets_stand_below_what_they_mean() {
        check("a: b", 3, 4, "a: b\n   ^");
        check("größe: x", 9, 10, "größe: x\n       ^");
        check("größe: x", 0, 7, "größe: x\n^^^^^");
        check("日本: x", 8, 9, "日本: x\n      ^");
        check("日本: x", 3, 6, "日本: x\n  ^^");
        check("e\u{301}: x", 5, 6, "e\u{301}: x\n   ^");
        check("\ta: b", 1, 2, "    a: b\n    ^");
        check("a\u{1b}[31m: b", 8, 9, "a\u{fffd}[31m: b\n        ^");
    }

    #[test]
    fn spans_that_do_not_fit_do_no_harm() {
        check("ab", 7, 90, "ab\n  ^");
        check("ab", 1, 90, "ab\n ^");
        check("", 0, 0, "\n^");
        check("é", 1, 1, "é\n^");
        check("ab", 1, 0, "ab\n ^");
    }

    #[test]
    fn long_lines_are_cut_around_the_carets() {
        let line = format!("{}WRONG{}", "x".repeat(1000), "y".repeat(1000));
        let shown = excerpt(&line, 1000, 1005);
        assert_eq!(
            shown.text,
            format!("…{}WRONG{}…", "x".repeat(60), "y".repeat(54))
        );
        assert_eq!((shown.indent, shown.carets), (61, 5));
        let shown = excerpt(&line, 0, 2005);
        assert_eq!(shown.text, format!("{}…", "x".repeat(120)));
        assert_eq!((shown.indent, shown.carets), (0, 120));
        let shown = excerpt(&line, 2004, 2005);
        assert_eq!(shown.text, format!("…{}", "y".repeat(61)));
        assert_eq!((shown.indent, shown.carets), (61, 1));
    }

    proptest! {
        #[test]
        fn any_line_is_shown_within_bounds(line in "(.|\t|日|\u{301}){0,300}", a in 0usize..400, b in 0usize..400) {
            let shown = excerpt(&line, a, b);
            // One for each ellipsis.
            prop_assert!(width(&shown.text) <= COLUMNS_MAX + 2);
            prop_assert!(shown.indent + shown.carets <= COLUMNS_MAX + 2);
            prop_assert!(!shown.text.chars().any(char::is_control));
            let marks = "\u{301}".repeat(6_000);
            prop_assert!(excerpt(&marks, a, b).text.len() < 2_000);
        }
    }
}
