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
}

/// The oldest timestamp a head takes whose newest sample is at `newest`; if it is empty, anything
/// but what lies below its floor.
pub fn min_valid(newest: Option<Timestamp>, floor: Timestamp) -> Timestamp {
    let bound = newest.map_or(Timestamp::MIN, |t| t.saturating_sub(BEHIND_MS_MAX));
    bound.max(floor)
}

/// Decides on the sample (`timestamp`, `value`).
///
/// `newest` is the timestamp of the series' newest sample, staged ones included. `held` looks a
/// sample of the series up; it is asked only for timestamps up to `newest`, which is rare.
#[inline]
pub fn judge(
    timestamp: Timestamp,
    value: impl FnOnce() -> Value,
    newest: Option<Timestamp>,
    held: impl FnOnce(Timestamp) -> Option<Value>,
    min_valid: Timestamp,
) -> Verdict {
    match newest {
        Some(newest) if timestamp <= newest => {
            judge_old(timestamp, &value(), newest, held, min_valid)
        }
        _ if timestamp >= min_valid => Verdict::Accept,
        _ => Verdict::OutOfBounds,
    }
}

fn judge_old(
    timestamp: Timestamp,
    value: &Value,
    newest: Timestamp,
    held: impl FnOnce(Timestamp) -> Option<Value>,
    min_valid: Timestamp,
) -> Verdict {
    match held(timestamp) {
        Some(existing) if same(&existing, value) => Verdict::DuplicateOk,
        Some(existing) => Verdict::DuplicateConflict { existing },
        None if timestamp < min_valid => Verdict::OutOfBounds,
        None => Verdict::OutOfOrder { newest },
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
            min_valid(newest, Timestamp::MIN),
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
                }
            }
            let newest = stored.keys().next_back().copied();
            for (t, value) in accepted {
                prop_assert_eq!(check(&stored, newest, t, value), Verdict::DuplicateOk);
            }
        }
    }
}
