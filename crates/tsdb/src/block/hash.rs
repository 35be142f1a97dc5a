//! The hash of all samples, whatever their order: a sum of one hash for each.
//!
//! Moving samples from head to block, or from blocks to a larger one, must not change it, but for
//! what is left out on purpose.

use std::sync::Arc;

use ferula_model::{Histogram, Labels, TenantId};
use ferula_storage::Columns;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::chunk::histogram;

const START: u64 = 0xa076_1d64_78bd_642f;
const HISTOGRAM: u64 = 0xe703_7ed1_a0b4_28db;
const SECOND_TIME: u64 = 0x8ebc_6af0_9c88_c6e3;
const SECOND_VALUE: u64 = 0x5899_65cc_7537_4cc3;

/// A series' identity within its tenant: equal if the label sets are.
pub fn identity(labels: &Labels) -> u128 {
    xxh3_128(labels.as_bytes())
}

/// Adds up the hashes of one series' samples.
pub(crate) struct SampleHasher {
    tenant: u64,
    encoded: Vec<u8>,
}

impl SampleHasher {
    pub(crate) fn new(tenant: &TenantId) -> Self {
        Self {
            tenant: xxh3_64(tenant.as_str().as_bytes()),
            encoded: Vec::new(),
        }
    }

    /// The sum over the samples of the series with this identity.
    pub(crate) fn sum(&mut self, identity: u128, samples: &Columns) -> u128 {
        let seeds = (
            identity as u64 ^ self.tenant,
            (identity >> 64) as u64 ^ self.tenant.rotate_left(32),
        );
        let mut sum = 0u128;
        let times = samples.timestamps.iter();
        let mut starts = samples.start_timestamps.iter();
        for (&time, value) in times.zip(&samples.values) {
            let start = starts.next().copied().unwrap_or(0);
            sum = sum.wrapping_add(of_sample(seeds, time, start, value.to_bits()));
        }
        for point in &samples.histograms {
            let value = self.of_histogram(&point.histogram);
            let hash = of_sample(seeds, point.timestamp, point.start_timestamp, value);
            sum = sum.wrapping_add(hash);
        }
        sum
    }

    fn of_histogram(&mut self, histogram: &Arc<Histogram>) -> u64 {
        self.encoded.clear();
        histogram::encode(&mut self.encoded, None, histogram);
        xxh3_64(&self.encoded) ^ HISTOGRAM
    }
}

#[inline]
fn of_sample((a, b): (u64, u64), time: i64, start: i64, value: u64) -> u128 {
    let time = time as u64;
    let value = match start {
        0 => value,
        start => fold(value ^ START, start as u64 ^ b),
    };
    let low = fold(time ^ a, value ^ b);
    let high = fold(time ^ b ^ SECOND_TIME, value ^ a ^ SECOND_VALUE);
    u128::from(high) << 64 | u128::from(low)
}

/// Both halves of a product, one upon the other.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_storage::HistogramPoint;

    fn hash(tenant: &str, series: u128, columns: &Columns) -> u128 {
        SampleHasher::new(&TenantId::new(tenant).unwrap()).sum(series, columns)
    }

    #[test]
    fn everything_about_a_sample_counts() {
        let plain = Columns {
            timestamps: vec![1, 2],
            values: vec![0.0, 7.0],
            ..Columns::default()
        };
        let mut others = vec![plain.clone(); 5];
        others[0].values[0] = -0.0;
        others[1].timestamps[1] = 3;
        others[2].values.swap(0, 1);
        others[3].start_timestamps = vec![0, 1];
        others[4].histograms.push(HistogramPoint {
            timestamp: 3,
            start_timestamp: 0,
            histogram: Arc::new(Histogram::stale()),
        });
        let mut hashes: Vec<u128> = others.iter().map(|c| hash("a", 5, c)).collect();
        hashes.push(hash("a", 5, &plain));
        hashes.push(hash("b", 5, &plain));
        hashes.push(hash("a", 6, &plain));
        let unknown = Columns {
            start_timestamps: vec![0, 0],
            ..plain
        };
        assert_eq!(hash("a", 5, &unknown), hashes[5]);
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 8);
    }
}
