//! What is wrong, where, why, and what to do.

use std::fmt::Write;

use crate::{Source, Span};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The text can be used, but probably does not mean what its author thinks.
    Warning,
    /// The text cannot be used.
    Error,
}

/// One finding in one source text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// A stable code, `E-config-unknown-key`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// Where.
    pub span: Span,
    /// A word beside the carets, or empty.
    pub label: String,
    /// Why, in sentences.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// An error with nothing but its message.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            span,
            label: String::new(),
            notes: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A warning with nothing but its message.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, span, message)
        }
    }

    /// Adds a word beside the carets.
    pub fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds a reason.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds a way out.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

/// The finding with its line and a row of carets, as a terminal shows it:
///
/// ```text
/// error[E-config-unknown-key]: unknown key `scrape_intervall`
///  --> prometheus.yml:5:5
///   |
/// 5 |     scrape_intervall: 5s
///   |     ^^^^^^^^^^^^^^^^ did you mean `scrape_interval`?
/// ```
pub fn render(source: &Source, diagnostic: &Diagnostic) -> String {
    let severity = match diagnostic.severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let at = source.position(diagnostic.span.start);
    let line = source.line(at.line);
    let number = at.line.to_string();
    let margin = " ".repeat(number.len());
    let indent: String = line
        .chars()
        .take(line.get(..at.column - 1).map_or(0, |s| s.chars().count()))
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    let rest = line.get(at.column - 1..).unwrap_or("");
    let wanted = (diagnostic.span.end.saturating_sub(diagnostic.span.start)) as usize;
    let width = rest
        .get(..wanted)
        .map_or(rest.chars().count(), |s| s.chars().count())
        .max(1);
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "{severity}[{}]: {}\n{margin}--> {}:{}:{}\n{margin} |\n{number} | {line}\n{margin} | {indent}{}",
        diagnostic.code,
        diagnostic.message,
        source.name,
        at.line,
        at.column,
        "^".repeat(width),
    );
    if !diagnostic.label.is_empty() {
        let _ = write!(out, " {}", diagnostic.label);
    }
    out.push('\n');
    for (word, lines) in [("note", &diagnostic.notes), ("help", &diagnostic.help)] {
        for text in lines {
            let _ = writeln!(out, "{margin} = {word}: {text}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_line_and_carets() {
        let source = Source::new("prometheus.yml", "global:\n    scrape_intervall: 5s\n");
        let span = Span::new(12, 28);
        let found = Diagnostic::error(
            "E-config-unknown-key",
            span,
            "unknown key `scrape_intervall`",
        )
        .labelled("did you mean `scrape_interval`?");
        assert_eq!(
            render(&source, &found),
            "error[E-config-unknown-key]: unknown key `scrape_intervall`\n \
             --> prometheus.yml:2:5\n  |\n2 |     scrape_intervall: 5s\n  |     \
             ^^^^^^^^^^^^^^^^ did you mean `scrape_interval`?\n"
        );
    }

    #[test]
    fn spans_past_the_end_do_no_harm() {
        let source = Source::new("f", "a");
        let found = Diagnostic::error("E-x", Span::new(7, 90), "gone").help("look elsewhere");
        assert!(render(&source, &found).contains("f:1:2"));
    }
}
