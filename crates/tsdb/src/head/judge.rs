//! What becomes of one sample: the one place that decides.
//!
//! Per series and timestamp there is one value, and the first one accepted stays. An identical
//! resend of anything the head still holds is a success, whatever its age.

use ferula_model::{Timestamp, Value, is_stale};

/// How far behind the head's newest sample a sample may be.
pub(super) const BEHIND_MS_MAX: i64 = 60 * 60 * 1_000;

/// What is to become of a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is stored.
    Accept,
    /// It is stored out of order: its series has newer samples, or others have much newer ones.
    AcceptLate,
    /// It is stored already, bit for bit.
    DuplicateOk,
    /// Another value is stored at its timestamp.
    DuplicateConflict {
        /// What is stored.
        existing: Value,
    },
    /// The series has newer samples, and none at its timestamp.
    OutOfOrder {
        /// The series' newest timestamp.
        newest: Timestamp,
    },
    /// It is older than the head takes.
    OutOfBounds,
    /// It is older than the window for samples out of order reaches.
    TooOld,
}

/// The oldest timestamp a head takes whose newest sample is at `newest`; if it is empty, anything
/// but what lies below its floor.
pub fn min_valid(newest: Option<Timestamp>, floor: Timestamp) -> Timestamp {
    let bound = newest.map_or(Timestamp::MIN, |t| t.saturating_sub(BEHIND_MS_MAX));
    bound.max(floor)
}

/// How old a sample may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The oldest timestamp taken in order.
    pub min_valid: Timestamp,
    /// The oldest timestamp taken out of order; `None` if none is.
    pub late: Option<Timestamp>,
}

impl Bounds {
    /// The oldest timestamp that is taken at all.
    pub fn oldest(self) -> Timestamp {
        self.late
            .map_or(self.min_valid, |late| late.min(self.min_valid))
    }
}

/// Decides on the sample (`timestamp`, `value`).
///
/// `newest` is the timestamp of the series' newest sample, staged ones included. `held` looks a
/// sample of the series up; it is asked only for timestamps that are not taken in order, which is
/// rare.
#[inline]
pub fn judge(
    timestamp: Timestamp,
    value: impl FnOnce() -> Value,
    newest: Option<Timestamp>,
    held: impl FnOnce(Timestamp) -> Option<Value>,
    bounds: Bounds,
) -> Verdict {
    match newest {
        Some(newest) if timestamp <= newest => {
            judge_old(timestamp, &value(), Some(newest), held, bounds)
        }
        _ if timestamp >= bounds.min_valid => Verdict::Accept,
        // Nothing but a late sample can be there.
        newest if bounds.late.is_some() => judge_old(timestamp, &value(), newest, held, bounds),
        _ => Verdict::OutOfBounds,
    }
}

fn judge_old(
    timestamp: Timestamp,
    value: &Value,
    newest: Option<Timestamp>,
    held: impl FnOnce(Timestamp) -> Option<Value>,
    bounds: Bounds,
) -> Verdict {
    match (held(timestamp), bounds.late, newest) {
        (Some(existing), ..) if same(&existing, value) => Verdict::DuplicateOk,
        (Some(existing), ..) => Verdict::DuplicateConflict { existing },
        (None, Some(late), _) if timestamp >= late => Verdict::AcceptLate,
        (None, Some(_), _) => Verdict::TooOld,
        (None, None, Some(newest)) if timestamp >= bounds.min_valid => {
            Verdict::OutOfOrder { newest }
        }
        (None, None, _) => Verdict::OutOfBounds,
    }
}

/// Whether `sent` is what is stored. The float staleness marker is stored as a histogram's
/// where it follows histograms, so the two are one.
fn same(stored: &Value, sent: &Value) -> bool {
    match (stored, sent) {
        (Value::Histogram(h), Value::Float(v)) => h.is_stale() && is_stale(*v),
        (stored, sent) => stored == sent,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use ferula_model::{Histogram, stale_marker};
    use proptest::prelude::*;

    const HOUR: i64 = BEHIND_MS_MAX;

    /// Judges against a series that holds `series`, in a head whose newest sample is `newest`.
    fn check(series: &BTreeMap<i64, Value>, newest: Option<i64>, t: i64, v: Value) -> Verdict {
        let last = series.keys().next_back().copied();
        judge(
            t,
            || v,
            last,
            |t| series.get(&t).cloned(),
            Bounds {
                min_valid: min_valid(newest, Timestamp::MIN),
                late: None,
            },
        )
    }

    #[test]
    fn the_append_table() {
        let f = Value::Float;
        let none = BTreeMap::new();
        assert_eq!(check(&none, None, -5, f(1.0)), Verdict::Accept);
        assert_eq!(check(&none, Some(HOUR), 0, f(1.0)), Verdict::Accept);
        assert_eq!(
            check(&none, Some(HOUR + 1), 0, f(1.0)),
            Verdict::OutOfBounds
        );

        // A floor bounds an empty head, too, and a full one where it is higher.
        assert_eq!(min_valid(None, 7), 7);
        assert_eq!(min_valid(Some(HOUR + 9), 7), 9);
        assert_eq!(min_valid(Some(HOUR), 7), 7);

        let two = BTreeMap::from([(10, f(1.0)), (20, f(f64::NAN))]);
        let newest = 20;
        for (head, t, v, expected) in [
            (20, 21, 1.0, Verdict::Accept),
            (20, 20, f64::NAN, Verdict::DuplicateOk),
            (
                20,
                20,
                stale_marker(),
                Verdict::DuplicateConflict {
                    existing: f(f64::NAN),
                },
            ),
            (20, 10, 1.0, Verdict::DuplicateOk),
            (
                20,
                10,
                -1.0,
                Verdict::DuplicateConflict { existing: f(1.0) },
            ),
            (20, 15, 1.0, Verdict::OutOfOrder { newest }),
            // Far behind the head's newest sample.
            (3 * HOUR, 10, 1.0, Verdict::DuplicateOk),
            (
                3 * HOUR,
                10,
                2.0,
                Verdict::DuplicateConflict { existing: f(1.0) },
            ),
            (3 * HOUR, 15, 1.0, Verdict::OutOfBounds),
            (3 * HOUR, 21, 1.0, Verdict::OutOfBounds),
        ] {
            assert_eq!(
                check(&two, Some(head), t, f(v)),
                expected,
                "{t} {v} at {head}"
            );
        }
    }

    #[test]
    fn within_the_window_order_does_not_matter() {
        let f = Value::Float;
        let two = BTreeMap::from([(10, f(1.0)), (HOUR, f(2.0))]);
        let check = |t, v| {
            let (last, bounds) = (
                two.keys().next_back().copied(),
                Bounds {
                    min_valid: 2 * HOUR,
                    late: Some(20),
                },
            );
            judge(t, || f(v), last, |t| two.get(&t).cloned(), bounds)
        };
        assert_eq!(check(20, 1.0), Verdict::AcceptLate);
        assert_eq!(check(19, 1.0), Verdict::TooOld);
        // What is held already is judged by its value at any age.
        assert_eq!(check(10, 1.0), Verdict::DuplicateOk);
        let existing = f(2.0);
        assert_eq!(check(HOUR, 1.0), Verdict::DuplicateConflict { existing });
        // Newer than its series' newest, but not than what chunks take.
        assert_eq!(check(2 * HOUR - 1, 1.0), Verdict::AcceptLate);
        assert_eq!(check(2 * HOUR, 1.0), Verdict::Accept);
        let bounds = Bounds {
            min_valid: 50,
            late: Some(20),
        };
        assert_eq!(bounds.oldest(), 20);
        let none = || f(1.0);
        assert_eq!(judge(30, none, None, |_| None, bounds), Verdict::AcceptLate);
    }

    #[test]
    fn markers_of_both_kinds_are_one() {
        let stale = Value::Histogram(Arc::new(Histogram::stale()));
        let series = BTreeMap::from([(10, stale.clone())]);
        assert_eq!(
            check(&series, Some(10), 10, stale.clone()),
            Verdict::DuplicateOk
        );
        let float = Value::Float(stale_marker());
        assert_eq!(check(&series, Some(10), 10, float), Verdict::DuplicateOk);
        let existing = stale;
        let verdict = check(&series, Some(10), 10, Value::Float(0.0));
        assert_eq!(verdict, Verdict::DuplicateConflict { existing });
    }

    proptest! {
        /// Whatever is sent in whatever order, the first value of a timestamp stays, and a
        /// second round of everything that was accepted is all success.
        #[test]
        fn first_write_wins(sent in proptest::collection::vec((0..40i64, 0..3u8), 0..60)) {
            let mut stored = BTreeMap::new();
            let mut accepted = Vec::new();
            for (t, v) in sent {
                let t = t * HOUR / 8;
                let newest = stored.keys().next_back().copied();
                let value = Value::Float(v.into());
                match check(&stored, newest, t, value.clone()) {
                    Verdict::Accept => {
                        prop_assert!(stored.insert(t, value.clone()).is_none());
                        accepted.push((t, value));
                    }
                    Verdict::DuplicateOk => prop_assert_eq!(stored.get(&t), Some(&value)),
                    Verdict::DuplicateConflict { existing } => {
                        prop_assert_eq!(stored.get(&t), Some(&existing));
                        prop_assert_ne!(existing, value);
                    }
                    Verdict::OutOfOrder { .. } | Verdict::OutOfBounds => {
                        prop_assert!(!stored.contains_key(&t));
                    }
                    Verdict::AcceptLate | Verdict::TooOld => prop_assert!(false, "no window"),
                }
            }
            let newest = stored.keys().next_back().copied();
            for (t, value) in accepted {
                prop_assert_eq!(check(&stored, newest, t, value), Verdict::DuplicateOk);
            }
        }
    }
}
