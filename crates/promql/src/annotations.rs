//! Warnings and infos a query collects on its way, in Prometheus's words.

use std::collections::BTreeMap;

use ferula_diag::Span;
use ferula_model::text::quote::quoted;
use parking_lot::Mutex;

/// How many annotations of one kind are shown; the rest is counted.
const SHOWN_MAX: usize = 10;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// The answer may be wrong.
    Warning,
    /// The user may want to know.
    Info,
}

/// The annotations of a query, each text once, in the order of first notice and with the place of
/// the last.
#[derive(Debug, Default)]
pub(crate) struct Annotations {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    warnings: Vec<(String, Span)>,
    infos: Vec<(String, Span)>,
    /// Repairs of classic histograms, merged into one text per query and place.
    repairs: BTreeMap<u32, Repair>,
    /// Metrics with samples whose counting overlaps, and how often that was met.
    overlaps: BTreeMap<String, (u64, Span)>,
}

/// How much repair classic histograms needed to be monotonic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Repair {
    /// The lowest and the highest bucket that were raised.
    pub(crate) buckets: (f64, f64),
    /// The largest step down.
    pub(crate) max_diff: f64,
    /// How many histograms.
    pub(crate) samples: u64,
    /// The first and the last time.
    pub(crate) times: (i64, i64),
}

impl Repair {
    fn merge(&mut self, other: Self) {
        self.buckets.0 = self.buckets.0.min(other.buckets.0);
        self.buckets.1 = self.buckets.1.max(other.buckets.1);
        self.max_diff = self.max_diff.max(other.max_diff);
        self.samples += other.samples;
        self.times.0 = self.times.0.min(other.times.0);
        self.times.1 = self.times.1.max(other.times.1);
    }
}

impl Annotations {
    /// Notes `message` about the expression at `span`.
    pub(crate) fn add(&self, level: Level, message: String, span: Span) {
        let mut kept = self.kept.lock();
        let list = match level {
            Level::Warning => &mut kept.warnings,
            Level::Info => &mut kept.infos,
        };
        // Of several places the last one is told.
        match list.iter_mut().find(|(text, _)| *text == message) {
            Some((_, place)) => *place = span,
            None => list.push((message, span)),
        }
    }

    /// Notes a warning.
    pub(crate) fn warn(&self, message: impl Into<String>, span: Span) {
        self.add(Level::Warning, message.into(), span);
    }

    /// Notes an info.
    pub(crate) fn info(&self, message: impl Into<String>, span: Span) {
        self.add(Level::Info, message.into(), span);
    }

    /// Notes that classic histograms below `span` were repaired.
    pub(crate) fn repaired(&self, repair: Repair, span: Span) {
        let mut kept = self.kept.lock();
        kept.repairs
            .entry(span.start)
            .and_modify(|known| known.merge(repair))
            .or_insert(repair);
    }

    /// Notes that samples of metric `name` claim to count from before the sample before them was
    /// taken, in `count` windows.
    pub(crate) fn overlapping(&self, name: &str, count: u64, span: Span) {
        let mut kept = self.kept.lock();
        match kept.overlaps.get_mut(name) {
            Some((total, _)) => *total += count,
            None => {
                kept.overlaps.insert(name.to_owned(), (count, span));
            }
        }
    }

    /// The texts of warnings and infos, with places in the query `text`.
    pub(crate) fn render(self, text: &str) -> (Vec<String>, Vec<String>) {
        let mut kept = self.kept.into_inner();
        for (start, repair) in std::mem::take(&mut kept.repairs) {
            let span = Span { start, end: start };
            kept.infos.push((repair_text(&repair), span));
        }
        for (name, (count, span)) in std::mem::take(&mut kept.overlaps) {
            kept.warnings.push((overlap_text(&name, count), span));
        }
        (
            render(kept.warnings, "warning", text),
            render(kept.infos, "info", text),
        )
    }
}

fn render(list: Vec<(String, Span)>, kind: &str, text: &str) -> Vec<String> {
    let omitted = list.len().saturating_sub(SHOWN_MAX);
    let source = ferula_diag::Source::new("", text);
    let mut lines: Vec<String> = list
        .into_iter()
        .take(SHOWN_MAX)
        .map(|(message, span)| {
            let at = source.position(span.start);
            format!("PromQL {kind}: {message} ({}:{})", at.line, at.column)
        })
        .collect();
    if omitted > 0 {
        lines.push(format!("{omitted} more {kind} annotations omitted"));
    }
    lines
}

fn repair_text(repair: &Repair) -> String {
    use crate::functions::format::{general_precise, rfc3339};
    use ferula_model::text::number::Form;
    format!(
        "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile), from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
        Form::General.show(repair.buckets.0),
        Form::General.show(repair.buckets.1),
        general_precise(repair.max_diff, 2),
        repair.samples,
        rfc3339(repair.times.0),
        rfc3339(repair.times.1),
    )
}

fn overlap_text(name: &str, count: u64) -> String {
    let name = quoted(name);
    let often = match count {
        1 => String::new(),
        _ => format!(" ({count} occurrences)"),
    };
    format!(
        "sample has start time that overlaps with previous sample timestamp for metric {name}{often}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_once_and_ten_of_them() {
        let annotations = Annotations::default();
        for i in 0..12 {
            annotations.warn(format!("w{i}"), Span::new(4, 5));
            annotations.warn(format!("w{i}"), Span::new(3, 4));
        }
        let (warnings, infos) = annotations.render("ab\ncd");
        assert!(infos.is_empty());
        assert_eq!(warnings.len(), 11);
        assert_eq!(warnings[0], "PromQL warning: w0 (2:1)");
        assert_eq!(warnings[10], "2 more warning annotations omitted");
    }
}
