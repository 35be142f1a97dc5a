//! Native histograms of the generated fleet: request durations as a client library keeps them,
//! cumulative from the start of an instance.

use ferula_e2e::random::Random;
use ferula_e2e::remote_write::NativeHistogram;

use super::fleet;

/// Native histograms of one instance.
const PER_INSTANCE: usize = 6;

/// Eight buckets from one power of two to the next.
const SCHEMA: i32 = 3;

/// The first bucket ends at 2^-8 s, 4 ms.
const FIRST_BUCKET: i32 = -64;

/// 24 buckets cover durations up to eight times the shortest.
const BUCKETS: u64 = 24;

/// How many steps' observations a histogram has right after a restart. Prometheus 3.5 extrapolates
/// the rates of native histograms below zero, later versions and Ferula do not: this keeps zero out
/// of reach.
const STEPS_AT_START: u64 = 100;

/// One native histogram of one instance, by number.
#[derive(Clone, Copy)]
pub(crate) struct Native {
    instance: usize,
    index: usize,
}

/// The native histograms of an instance.
pub(crate) fn natives_of(instance: usize) -> impl Iterator<Item = Native> {
    (0..PER_INSTANCE).map(move |index| Native { instance, index })
}

impl Native {
    /// All labels as a sender writes them, sorted by name.
    pub(crate) fn labels(self) -> Vec<(&'static str, String)> {
        let mut labels = vec![
            ("__name__", "fleet_request_duration_seconds".to_owned()),
            ("handler", format!("/api/v1/resource_{}", self.index)),
        ];
        labels.extend(fleet::instance_labels(self.instance));
        labels.sort_unstable();
        labels
    }

    /// The histogram at a step.
    pub(crate) fn value(self, step: u64) -> NativeHistogram {
        let id = (self.instance * PER_INSTANCE + self.index) as u64;
        let uptime = fleet::uptime(self.instance, step) + STEPS_AT_START;
        let mut random = Random::new(id.wrapping_mul(0x9e37) ^ step << 32);
        // The middle buckets fill fastest. Noise below the growth of a step keeps all of them growing.
        let bucket = |number: u64| {
            let growth = number.min(BUCKETS - 1 - number) + 1 + id % 3;
            uptime * growth + random.below(growth)
        };
        let buckets: Vec<u64> = (0..BUCKETS).map(bucket).collect();
        let duration = |number: usize| {
            let exponent = f64::from(FIRST_BUCKET) + number as f64 - 0.5;
            (exponent / f64::from(1 << SCHEMA)).exp2()
        };
        #[expect(clippy::cast_precision_loss)] // far below 2^53
        let sum = buckets
            .iter()
            .enumerate()
            .map(|(number, &count)| count as f64 * duration(number));
        NativeHistogram {
            schema: SCHEMA,
            sum: sum.sum(),
            zero_count: 0,
            first: FIRST_BUCKET,
            buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn populations_grow_from_step_to_step() {
        for native in natives_of(3) {
            for step in 0..50 {
                let (before, after) = (native.value(step), native.value(step + 1));
                let mut pairs = before.buckets.iter().zip(&after.buckets);
                assert!(pairs.all(|(before, after)| before <= after));
                assert!(before.sum < after.sum);
            }
        }
    }
}
