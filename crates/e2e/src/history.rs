//! What was sent and acknowledged, and whether what a server returns agrees with it.
//!
//! The rule: an acknowledged sample is there once with the value sent; one that was sent but not
//! acknowledged is absent or there once with the value sent; nothing else is there. Start with
//! [`History::faults`], then the tests that plant each fault.

use std::collections::BTreeMap;
use std::fmt;

use crate::answer::Answer;

/// Every sample a set of writers sent.
#[derive(Clone, Debug, Default)]
pub struct History {
    series: BTreeMap<String, BTreeMap<i64, Sent>>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    value: f64,
    acknowledged: bool,
}

/// A disagreement between what was sent and what is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Name of the series.
    pub series: String,
    /// Timestamp of the sample in milliseconds.
    pub timestamp: i64,
    /// What is wrong with it.
    pub kind: FaultKind,
}

/// The ways a store can be wrong about a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FaultKind {
    /// Acknowledged, but not there.
    Lost,
    /// There more than once.
    Repeated,
    /// There with another value than the one sent.
    Changed {
        /// The value sent.
        sent: f64,
        /// The value stored.
        stored: f64,
    },
    /// There, but never sent.
    Invented,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {:?}", self.series, self.timestamp, self.kind)
    }
}

impl History {
    /// Notes that a sample is about to be sent. Sending the same one again changes nothing.
    pub fn send(&mut self, series: &str, timestamp: i64, value: f64) {
        let samples = match self.series.get_mut(series) {
            Some(samples) => samples,
            None => self.series.entry(series.to_owned()).or_default(),
        };
        let first = samples.entry(timestamp).or_insert(Sent {
            value,
            acknowledged: false,
        });
        assert_eq!(
            first.value.to_bits(),
            value.to_bits(),
            "a writer must repeat itself exactly"
        );
    }

    /// Notes that the server took responsibility for a sample sent before.
    pub fn acknowledge(&mut self, series: &str, timestamp: i64) {
        let sent = self
            .series
            .get_mut(series)
            .and_then(|samples| samples.get_mut(&timestamp));
        sent.expect("only what was sent is acknowledged")
            .acknowledged = true;
    }

    /// Adds what another writer did; no two writers share a series.
    pub fn merge(&mut self, other: Self) {
        for (series, samples) in other.series {
            self.series.entry(series).or_default().extend(samples);
        }
    }

    /// How many samples were acknowledged.
    pub fn acknowledged(&self) -> usize {
        let samples = self.series.values().flat_map(BTreeMap::values);
        samples.filter(|sent| sent.acknowledged).count()
    }

    /// How many samples were sent.
    pub fn sent(&self) -> usize {
        self.series.values().map(BTreeMap::len).sum()
    }

    /// Compares with what the server returns; `label` holds the series' names. Empty if all is well.
    pub fn faults(&self, label: &str, stored: &Answer) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut seen: BTreeMap<&str, BTreeMap<i64, usize>> = BTreeMap::new();
        for series in &stored.series {
            let name = series.labels.get(label).map_or("", String::as_str);
            let times = seen.entry(name).or_default();
            for &(timestamp, value) in &series.points {
                let count = times.entry(timestamp).or_default();
                *count += 1;
                let sent = self
                    .series
                    .get(name)
                    .and_then(|samples| samples.get(&timestamp));
                let kind = match sent {
                    None => FaultKind::Invented,
                    Some(sent) if sent.value.to_bits() != value.to_bits() => FaultKind::Changed {
                        sent: sent.value,
                        stored: value,
                    },
                    Some(_) if *count > 1 => FaultKind::Repeated,
                    Some(_) => continue,
                };
                faults.push(fault(name, timestamp, kind));
            }
        }
        for (name, samples) in &self.series {
            for (&timestamp, sent) in samples {
                let there = seen
                    .get(name.as_str())
                    .is_some_and(|times| times.contains_key(&timestamp));
                if sent.acknowledged && !there {
                    faults.push(fault(name, timestamp, FaultKind::Lost));
                }
            }
        }
        faults
    }
}

fn fault(series: &str, timestamp: i64, kind: FaultKind) -> Fault {
    Fault {
        series: series.to_owned(),
        timestamp,
        kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Series;

    /// `a` has an acknowledged sample at 1 and 2 and an unacknowledged one at 3.
    fn history() -> History {
        let mut history = History::default();
        for (timestamp, value) in [(1, 10.0), (2, 20.0), (3, 30.0)] {
            history.send("a", timestamp, value);
        }
        history.acknowledge("a", 1);
        history.acknowledge("a", 2);
        history
    }

    fn stored(series: &[(&str, &[(i64, f64)])]) -> Answer {
        let series = series.iter().map(|(name, points)| Series {
            labels: [("series".to_owned(), (*name).to_owned())].into(),
            points: points.to_vec(),
        });
        Answer {
            kind: "matrix".to_owned(),
            series: series.collect(),
            text: String::new(),
            notes: Vec::new(),
        }
    }

    fn check(series: &[(&str, &[(i64, f64)])], expected: &[(&str, i64, FaultKind)]) {
        let faults = history().faults("series", &stored(series));
        let expected: Vec<Fault> = expected
            .iter()
            .map(|&(name, timestamp, kind)| fault(name, timestamp, kind))
            .collect();
        assert_eq!(faults, expected);
    }

    #[test]
    fn an_unacknowledged_sample_may_be_there_or_not() {
        check(&[("a", &[(1, 10.0), (2, 20.0)])], &[]);
        check(&[("a", &[(1, 10.0), (2, 20.0), (3, 30.0)])], &[]);
    }

    #[test]
    fn each_planted_fault_is_found() {
        use FaultKind::{Changed, Invented, Lost, Repeated};
        check(&[], &[("a", 1, Lost), ("a", 2, Lost)]);
        check(&[("a", &[(1, 10.0)])], &[("a", 2, Lost)]);
        check(
            &[("a", &[(1, 10.0), (2, 20.0), (2, 20.0)])],
            &[("a", 2, Repeated)],
        );
        // The same series returned twice is a repetition too.
        check(
            &[("a", &[(1, 10.0), (2, 20.0)]), ("a", &[(2, 20.0)])],
            &[("a", 2, Repeated)],
        );
        let changed = |sent, stored| Changed { sent, stored };
        check(
            &[("a", &[(1, 10.0), (2, 20.5)])],
            &[("a", 2, changed(20.0, 20.5))],
        );
        check(
            &[("a", &[(1, 10.0), (2, 20.0), (3, 31.0)])],
            &[("a", 3, changed(30.0, 31.0))],
        );
        check(
            &[("a", &[(1, 10.0), (2, 20.0), (4, 1.0)])],
            &[("a", 4, Invented)],
        );
        check(
            &[("a", &[(1, 10.0), (2, 20.0)]), ("b", &[(1, 1.0)])],
            &[("b", 1, Invented)],
        );
    }

    #[test]
    fn a_zero_with_another_sign_is_a_change() {
        let mut history = History::default();
        history.send("a", 1, 0.0);
        let faults = history.faults("series", &stored(&[("a", &[(1, -0.0)])]));
        assert!(
            matches!(faults[0].kind, FaultKind::Changed { .. }),
            "{faults:?}"
        );
    }
}
