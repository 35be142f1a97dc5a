//! Writes Prometheus text 0.0.4: our own `/metrics` page.

use ferula_model::MetricKind;
use ferula_model::text::number::write_general;
use ferula_model::text::{is_legacy_label_name, is_legacy_metric_name};

/// The `Content-Type` of what [`TextWriter`] writes.
pub const TEXT_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Collects families into one page. Whoever calls it keeps each family in one piece.
#[derive(Debug, Default)]
pub struct TextWriter {
    out: String,
}

impl TextWriter {
    /// An empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a family that only goes up; by custom its name ends in `_total`.
    pub fn counter<'a>(&'a mut self, name: &'a str, help: &str) -> FamilyWriter<'a> {
        self.family(name, help, MetricKind::Counter)
    }

    /// Starts a family that goes up and down.
    pub fn gauge<'a>(&'a mut self, name: &'a str, help: &str) -> FamilyWriter<'a> {
        self.family(name, help, MetricKind::Gauge)
    }

    /// Starts a family of classic histograms.
    pub fn histogram<'a>(&'a mut self, name: &'a str, help: &str) -> FamilyWriter<'a> {
        self.family(name, help, MetricKind::Histogram)
    }

    /// Starts a family of summaries.
    pub fn summary<'a>(&'a mut self, name: &'a str, help: &str) -> FamilyWriter<'a> {
        self.family(name, help, MetricKind::Summary)
    }

    /// Starts a family: its HELP and TYPE lines. Kinds that the format lacks become `untyped`.
    pub fn family<'a>(
        &'a mut self,
        name: &'a str,
        help: &str,
        kind: MetricKind,
    ) -> FamilyWriter<'a> {
        let out = &mut self.out;
        for keyword in ["HELP", "TYPE"] {
            out.push_str("# ");
            out.push_str(keyword);
            out.push(' ');
            match is_legacy_metric_name(name) {
                true => out.push_str(name),
                false => push_quoted(out, name),
            }
            out.push(' ');
            match keyword {
                "HELP" => push_escaped(out, help, false),
                _ => out.push_str(match kind {
                    MetricKind::Counter => "counter",
                    MetricKind::Gauge => "gauge",
                    MetricKind::Histogram => "histogram",
                    MetricKind::Summary => "summary",
                    _ => "untyped",
                }),
            }
            out.push('\n');
        }
        FamilyWriter { out, name }
    }

    /// The page.
    pub fn finish(self) -> String {
        self.out
    }
}

/// A histogram at one moment.
#[derive(Clone, Copy, Debug)]
pub struct HistogramSnapshot<'a> {
    /// Upper bounds, rising, `+Inf` left out.
    pub bounds: &'a [f64],
    /// Observations per bucket, not cumulative: one more than there are bounds.
    pub counts: &'a [u64],
    /// Sum of the observations.
    pub sum: f64,
}

/// A summary at one moment.
#[derive(Clone, Copy, Debug)]
pub struct SummarySnapshot<'a> {
    /// Quantiles and their values.
    pub quantiles: &'a [(f64, f64)],
    /// Sum of the observations.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
}

/// Writes the samples of one family; made by [`TextWriter`].
#[derive(Debug)]
pub struct FamilyWriter<'a> {
    out: &'a mut String,
    name: &'a str,
}

impl FamilyWriter<'_> {
    /// One sample of a counter, a gauge or an untyped family.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.line("", labels, None, value)
    }

    /// One histogram: its buckets, made cumulative, its sum and its count.
    pub fn histogram(&mut self, labels: &[(&str, &str)], h: &HistogramSnapshot<'_>) -> &mut Self {
        let mut total = 0;
        let bounds = h.bounds.iter().copied().chain([f64::INFINITY]);
        for (bound, count) in bounds.zip(h.counts) {
            total += count;
            self.line("_bucket", labels, Some(("le", bound)), total as f64);
        }
        self.line("_sum", labels, None, h.sum);
        self.line("_count", labels, None, total as f64)
    }

    /// One summary: its quantiles, its sum and its count.
    pub fn summary(&mut self, labels: &[(&str, &str)], s: &SummarySnapshot<'_>) -> &mut Self {
        for &(quantile, value) in s.quantiles {
            self.line("", labels, Some(("quantile", quantile)), value);
        }
        self.line("_sum", labels, None, s.sum);
        self.line("_count", labels, None, s.count as f64)
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        number_label: Option<(&str, f64)>,
        value: f64,
    ) -> &mut Self {
        let out = &mut *self.out;
        let bare = is_legacy_metric_name(self.name);
        let mut separator = "{";
        if bare {
            out.push_str(self.name);
            out.push_str(suffix);
        } else {
            out.push_str("{\"");
            push_escaped(out, self.name, true);
            out.push_str(suffix);
            out.push('"');
            separator = ",";
        }
        for (name, value) in labels {
            out.push_str(separator);
            match is_legacy_label_name(name) {
                true => out.push_str(name),
                false => push_quoted(out, name),
            }
            out.push('=');
            push_quoted(out, value);
            separator = ",";
        }
        if let Some((name, value)) = number_label {
            out.push_str(separator);
            out.push_str(name);
            out.push_str("=\"");
            write_general(out, value);
            out.push('"');
            separator = ",";
        }
        if separator == "," {
            out.push('}');
        }
        out.push(' ');
        write_general(out, value);
        out.push('\n');
        self
    }
}

fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    push_escaped(out, text, true);
    out.push('"');
}

/// Appends `text` with backslashes, line feeds and (if `quotes`) quotes escaped.
fn push_escaped(out: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page() {
        let mut page = TextWriter::new();
        page.counter("a_total", "Back\\slash\nand \"quotes\".")
            .sample(&[], 1.0)
            .sample(&[("b", "x\"y\\z\n"), ("c.d", "")], 1e6);
        page.gauge("süß", "")
            .sample(&[], f64::NAN)
            .sample(&[("a", "1")], -0.5);
        page.histogram("h", "H.").histogram(
            &[("a", "1")],
            &HistogramSnapshot {
                bounds: &[0.1, 1.0],
                counts: &[1, 2, 3],
                sum: 12.5,
            },
        );
        page.summary("s", "S.").summary(
            &[],
            &SummarySnapshot {
                quantiles: &[(0.5, 1.0), (0.99, f64::INFINITY)],
                sum: 3.0,
                count: 2,
            },
        );
        page.family("u", "U.", MetricKind::Info).sample(&[], 1.0);
        let wanted = r#"# HELP a_total Back\\slash\nand "quotes".
# TYPE a_total counter
a_total 1
a_total{b="x\"y\\z\n","c.d"=""} 1e+06
# HELP "süß" 
# TYPE "süß" gauge
{"süß"} NaN
{"süß",a="1"} -0.5
# HELP h H.
# TYPE h histogram
h_bucket{a="1",le="0.1"} 1
h_bucket{a="1",le="1"} 3
h_bucket{a="1",le="+Inf"} 6
h_sum{a="1"} 12.5
h_count{a="1"} 6
# HELP s S.
# TYPE s summary
s{quantile="0.5"} 1
s{quantile="0.99"} +Inf
s_sum 3
s_count 2
# HELP u U.
# TYPE u untyped
u 1
"#;
        assert_eq!(page.finish(), wanted);
    }
}
