//! Chunks by their encoding byte.

use ferula_storage::Columns;

use super::{floats, histograms};
use crate::Damaged;

/// Floats.
pub(crate) const XOR: u8 = 1;
/// Native histograms of integers.
pub(crate) const HISTOGRAM: u8 = 2;
/// Native histograms of floats.
pub(crate) const FLOAT_HISTOGRAM: u8 = 3;
/// Floats with joint prefixes, and start timestamps where they are known.
const XOR2: u8 = 4;
/// [`HISTOGRAM`] with start timestamps.
const HISTOGRAM_STARTS: u8 = 5;
/// [`FLOAT_HISTOGRAM`] with start timestamps.
const FLOAT_HISTOGRAM_STARTS: u8 = 6;

/// Appends the samples of a chunk's data. On an error, what was appended is not to be used.
pub fn decode(encoding: u8, data: &[u8], columns: &mut Columns) -> Result<(), Damaged> {
    match encoding {
        XOR => floats::decode_xor(data, columns),
        XOR2 => floats::decode_xor2(data, columns),
        HISTOGRAM => histograms::decode(data, false, false, columns),
        FLOAT_HISTOGRAM => histograms::decode(data, true, false, columns),
        HISTOGRAM_STARTS => histograms::decode(data, false, true, columns),
        FLOAT_HISTOGRAM_STARTS => histograms::decode(data, true, true, columns),
        _ => Err(Damaged("a chunk has an encoding that is not known")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ferula_model::{CounterReset, Counts, Histogram};
    use ferula_storage::HistogramPoint;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::cut::cut;
    use super::*;
    use crate::chunk::histogram::tests::histogram;

    /// A histogram that the format can hold: what the store accepts.
    fn plausible() -> impl Strategy<Value = Histogram> {
        histogram().prop_map(|mut h| {
            h.zero_threshold = h.zero_threshold.abs();
            if let Counts::Integer {
                positive, negative, ..
            } = &mut h.counts
            {
                positive.iter_mut().chain(negative).for_each(|n| *n >>= 2);
            }
            if h.schema != ferula_model::SCHEMA_CUSTOM {
                h.custom_values.clear();
            }
            h
        })
    }

    /// The hints as they are read back: the first of a chunk says nothing.
    fn without_hints(columns: &Columns) -> Vec<HistogramPoint> {
        let strip = |p: &HistogramPoint| {
            let mut h = (*p.histogram).clone();
            if h.reset != CounterReset::Gauge {
                h.reset = CounterReset::Unknown;
            }
            HistogramPoint {
                histogram: Arc::new(h),
                ..p.clone()
            }
        };
        columns.histograms.iter().map(strip).collect()
    }

    proptest! {
        #[test]
        fn what_is_cut_is_read_back(
            kinds in vec(plausible(), 1..3),
            picks in vec((0..4usize, 0..40u64, 1..30_000i64), 1..300),
        ) {
            let mut columns = Columns::default();
            let mut t = -100_000;
            for (pick, bump, step) in picks {
                t += step;
                if pick == 3 {
                    columns.timestamps.push(t);
                    columns.values.push(bump as f64 / 3.0);
                    continue;
                }
                let mut h = kinds.get(pick).cloned().unwrap_or_else(Histogram::stale);
                if let Counts::Integer { count, .. } = &mut h.counts && !h.sum.is_nan() {
                    *count = count.wrapping_add(bump);
                }
                columns.histograms.push(HistogramPoint {
                    timestamp: t,
                    start_timestamp: 0,
                    histogram: Arc::new(h),
                });
            }
            let mut back = Columns::default();
            let mut newest = i64::MIN;
            for chunk in cut(&columns) {
                prop_assert!(chunk.min > newest && chunk.max >= chunk.min);
                newest = chunk.max;
                decode(chunk.encoding, &chunk.data, &mut back).unwrap();
            }
            prop_assert_eq!(&back.timestamps, &columns.timestamps);
            prop_assert_eq!(&back.values, &columns.values);
            let (a, b) = (without_hints(&back), without_hints(&columns));
            prop_assert_eq!(a, b);
        }

        #[test]
        fn any_bytes_are_read_without_panic(encoding in 0..8u8, bytes in vec(any::<u8>(), 0..200)) {
            let _ = decode(encoding, &bytes, &mut Columns::default());
        }
    }
}
