//! Selectors of the scenario's series, in the ways they can be written.

use super::{QueryGen, Vector, Want};
use crate::random::data::{Kind, Metric};

impl QueryGen<'_> {
    /// A metric of one of the kinds; there is at least one.
    pub(super) fn metric(&mut self, kinds: &[Kind]) -> Metric {
        let of: Vec<&Metric> = self
            .scenario
            .metrics
            .iter()
            .filter(|metric| kinds.contains(&metric.kind))
            .collect();
        self.random.pick(&of).clone()
    }

    /// An instant vector straight from storage.
    pub(super) fn instant_selector(&mut self, want: Want) -> Vector {
        let metric = match want {
            Want::Floats => {
                let kind = self.random.weighted(&[
                    (6, Kind::Counter),
                    (8, Kind::Gauge),
                    (3, Kind::Special),
                    (1, Kind::Time),
                    (1, Kind::Buckets),
                    (1, Kind::Mixed),
                ]);
                self.metric(&[kind])
            }
            Want::Histograms => self.histogram_metric(),
        };
        let series = self.series(&metric);
        let smoothed = if self.allowed.extended && self.random.chance(2) {
            " smoothed"
        } else {
            ""
        };
        let modifiers = self.modifiers();
        let text = held_together(format!("{series}{smoothed}{modifiers}"));
        Vector::new(text, metric.labels)
    }

    pub(super) fn histogram_metric(&mut self) -> Metric {
        let kind = self.random.weighted(&[
            (6, Kind::Exponential),
            (3, Kind::ExponentialGauge),
            (4, Kind::Custom),
            (2, Kind::Mixed),
        ]);
        self.metric(&[kind])
    }

    /// Name and matchers.
    pub(super) fn series(&mut self, metric: &Metric) -> String {
        let name = &metric.name;
        // Its name is shared by all scenarios; its instances are not.
        if metric.name == "target_info" {
            return format!("{name}{{instance=~\"{}.*\"}}", self.scenario.prefix());
        }
        let mut matchers = Vec::new();
        for &label in metric.labels {
            if self.random.chance(15) {
                matchers.push(self.matcher(label));
            }
        }
        if self.random.chance(3) {
            matchers.push(
                self.random
                    .pick(&["missing=\"\"", "job!=\"none\"", "job=~\".+\""])
                    .to_owned(),
            );
        }
        match self.random.below(30) {
            0 => {
                matchers.insert(0, format!("__name__=\"{name}\""));
                format!("{{{}}}", matchers.join(", "))
            }
            1 => {
                matchers.push(format!("\"{name}\""));
                format!("{{{}}}", matchers.join(","))
            }
            2 if metric.kind == Kind::Gauge => {
                let prefix = self.scenario.prefix();
                matchers.push(format!("__name__=~\"{prefix}(usage|limit|odd)\""));
                format!("{{{}}}", matchers.join(","))
            }
            _ if matchers.is_empty() => name.clone(),
            _ => format!("{name}{{{}}}", matchers.join(", ")),
        }
    }

    /// A test that mostly lets some series through.
    pub(super) fn matcher(&mut self, label: &str) -> String {
        let values = self.scenario.values(label);
        let (one, other) = (self.random.pick(&values), self.random.pick(&values));
        let (one, other) = (one.to_owned(), other.to_owned());
        let quoted = |text: &str| text.replace('+', "\\\\+").replace('.', "\\\\.");
        match self.random.below(6) {
            0 | 1 => format!("{label}=\"{one}\""),
            2 => format!("{label}!=\"{one}\""),
            3 => format!("{label}=~\"{}|{}\"", quoted(&one), quoted(&other)),
            4 => format!("{label}!~\"{}.+\"", quoted(&one[..one.len() - 1])),
            _ => format!("{label}=~\"{}.*\"", quoted(&one[..one.len() - 1])),
        }
    }
}

/// A text in parentheses if it ends with a computed offset: an operator behind that would become
/// part of the duration.
pub(super) fn held_together(text: String) -> String {
    if text.contains(" offset (") || text.contains(" offset -(") {
        format!("({text})")
    } else {
        text
    }
}
