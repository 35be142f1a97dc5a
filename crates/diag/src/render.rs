//! Findings as a terminal shows them.

use std::fmt::Write;

use crate::excerpt::{excerpt, show};
use crate::{Diagnostic, Severity, Source};

/// The finding with its line and a row of carets:
///
/// ```text
/// error[E-config-unknown-key]: unknown key `scrape_intervall`
///  --> prometheus.yml:5:5
///   |
/// 5 |     scrape_intervall: 5s
///   |     ^^^^^^^^^^^^^^^^ did you mean `scrape_interval`?
/// ```
///
/// The column counts characters. Of several lines the first is shown, of a long one the part
/// around the carets, and nothing of a text reaches the terminal that would change it.
pub fn render(source: &Source, diagnostic: &Diagnostic) -> String {
    let severity = match diagnostic.severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let at = source.position(diagnostic.span.start);
    let line = source.line(at.line);
    let start = at.column - 1;
    let len = diagnostic.span.end.saturating_sub(diagnostic.span.start) as usize;
    let shown = excerpt(line, start, start + len);
    let column = 1 + line[..line.floor_char_boundary(start)].chars().count();
    let number = at.line.to_string();
    let margin = " ".repeat(number.len());

    let mut out = format!(
        "{severity}[{}]: {}\n",
        diagnostic.code,
        clean(&diagnostic.message)
    );
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "{margin}--> {}:{}:{column}\n{margin} |\n{number} | {}\n{margin} | {:indent$}{}",
        clean(&source.name),
        at.line,
        shown.text.trim_end(),
        "",
        "^".repeat(shown.carets),
        indent = shown.indent,
    );
    if !diagnostic.label.is_empty() {
        let _ = write!(out, " {}", clean(&diagnostic.label));
    }
    out.push('\n');
    for (word, texts) in [("note", &diagnostic.notes), ("help", &diagnostic.help)] {
        for text in texts {
            let _ = writeln!(out, "{margin} = {word}: {}", clean(text));
        }
    }
    out
}

/// All findings of all files with a line that sums them up, `3 errors, 1 warning in 2 files`.
/// Empty if there are none.
pub fn render_all<'a>(files: impl IntoIterator<Item = (&'a Source, &'a [Diagnostic])>) -> String {
    let mut out = String::new();
    let mut names = Vec::new();
    let (mut errors, mut warnings) = (0, 0);
    for (source, findings) in files {
        for finding in findings {
            out.push_str(&render(source, finding));
            out.push('\n');
            match finding.severity {
                Severity::Error => errors += 1,
                Severity::Warning => warnings += 1,
            }
        }
        if !findings.is_empty() {
            names.push(&source.name);
        }
    }
    let counts: Vec<String> = [(errors, "error"), (warnings, "warning")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}{}", if count == 1 { "" } else { "s" }))
        .collect();
    let counts = counts.join(", ");
    match names.as_slice() {
        [] => {}
        [name] => {
            let _ = writeln!(out, "{counts} in {}", clean(name));
        }
        names => {
            let _ = writeln!(out, "{counts} in {} files", names.len());
        }
    }
    out
}

fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    show(text, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;

    #[test]
    fn shows_line_and_carets() {
        let source = Source::new("prometheus.yml", "global:\n    scrape_intervall: 5s\n");
        let message = "unknown key `scrape_intervall`";
        let found = Diagnostic::error("E-config-unknown-key", Span::new(12, 28), message)
            .labelled("did you mean `scrape_interval`?")
            .note("a note")
            .help("a way out");
        let want = "\
error[E-config-unknown-key]: unknown key `scrape_intervall`
 --> prometheus.yml:2:5
  |
2 |     scrape_intervall: 5s
  |     ^^^^^^^^^^^^^^^^ did you mean `scrape_interval`?
  = note: a note
  = help: a way out
";
        assert_eq!(render(&source, &found), want);
    }

    #[test]
    fn columns_count_characters_and_margins_grow() {
        let source = Source::new("f", &format!("{}größe: ⚠\r\n", "\n".repeat(99)));
        let found = Diagnostic::warning("W-x", Span::new(108, 109), "odd");
        let want = "\
warning[W-x]: odd
   --> f:100:8
    |
100 | größe: ⚠
    |        ^
";
        assert_eq!(render(&source, &found), want);
    }

    #[test]
    fn spans_past_the_end_or_over_lines_do_no_harm() {
        let source = Source::new("f", "a\nb");
        let found = |start, end| Diagnostic::error("E-x", Span::new(start, end), "m");
        assert!(render(&source, &found(7, 90)).contains("f:2:2"));
        assert!(render(&source, &found(0, 3)).ends_with("1 | a\n  | ^\n"));
        assert!(render(&Source::new("f", ""), &found(0, 0)).contains("f:1:1"));
    }

    #[test]
    fn nothing_escapes_to_the_terminal() {
        let source = Source::new("\u{1b}[2J", "\u{1b}[2J");
        let found = Diagnostic::error("E-x", Span::new(0, 1), "\u{1b}]0;\n").labelled("\u{202e}");
        let shown = render(&source, &found.help("\r"));
        assert!(!shown.contains(['\u{1b}', '\u{202e}', '\r']), "{shown:?}");
        assert_eq!(shown.lines().count(), 6);
    }

    #[test]
    fn several_files_are_summed_up() {
        let (a, b) = (Source::new("a.yml", "x"), Source::new("b.yml", "y"));
        let error = Diagnostic::error("E-x", Span::new(0, 1), "wrong");
        let warning = Diagnostic::warning("W-x", Span::new(0, 1), "odd");
        let two = [error.clone(), error.clone()];
        let last = |files: &[(&Source, &[Diagnostic])]| {
            let all = render_all(files.iter().copied());
            all.lines().last().unwrap_or("").to_owned()
        };
        let three = [error.clone(), error.clone(), warning.clone()];
        assert_eq!(
            last(&[(&a, &two), (&b, &three[1..])]),
            "3 errors, 1 warning in 2 files"
        );
        assert_eq!(last(&[(&a, &three[2..]), (&b, &[])]), "1 warning in a.yml");
        assert_eq!(last(&[(&a, &[])]), "");
        let all = render_all([(&a, &two[..])]);
        let one = render(&a, &error);
        assert_eq!(all, format!("{one}\n{one}\n2 errors in a.yml\n"));
    }
}
