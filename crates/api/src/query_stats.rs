//! What a query took, as its answer and the query log show it.

use std::time::Duration;

use ferula_model::Timestamp;
use ferula_promql::{QueryStats, StepSamples};
use serde::{Serialize, Serializer};

/// Fields in the reference's order.
#[derive(Serialize)]
struct Stats<'a> {
    timings: Timings,
    samples: Samples<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Timings {
    eval_total_time: f64,
    result_sort_time: f64,
    query_preparation_time: f64,
    inner_eval_time: f64,
    exec_queue_time: f64,
    exec_total_time: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Samples<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    total_queryable_samples_per_step: Option<PerStep<'a>>,
    total_queryable_samples: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    samples_read_per_step: Option<PerStep<'a>>,
    samples_read: u64,
    peak_samples: u64,
}

/// A number for each step: `[[seconds, number], …]`.
struct PerStep<'a> {
    steps: &'a [StepSamples],
    number: fn(&StepSamples) -> u64,
}

impl Serialize for PerStep<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let steps = self.steps.iter();
        serializer.collect_seq(steps.map(|step| (Seconds(step.timestamp), (self.number)(step))))
    }
}

/// A time in seconds, a whole number where it can be.
struct Seconds(Timestamp);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % 1_000 {
            0 => serializer.serialize_i64(self.0 / 1_000),
            _ => serializer.serialize_f64(self.0 as f64 / 1_000.0),
        }
    }
}

/// The value of `stats`.
pub(crate) fn json(stats: &QueryStats) -> String {
    let seconds = |time: Duration| time.as_secs_f64();
    let computing = computing(stats);
    let per_step = |number| stats.steps.as_ref().map(|steps| PerStep { steps, number });
    let stats = Stats {
        timings: Timings {
            eval_total_time: seconds(computing),
            result_sort_time: seconds(stats.sort_time),
            query_preparation_time: seconds(stats.prepare_time),
            inner_eval_time: seconds(stats.eval_time),
            exec_queue_time: seconds(stats.queue_time),
            exec_total_time: seconds(stats.queue_time + computing),
        },
        samples: Samples {
            total_queryable_samples_per_step: per_step(|step| step.total),
            total_queryable_samples: stats.samples_total,
            samples_read_per_step: per_step(|step| step.read),
            samples_read: stats.samples_read,
            peak_samples: stats.samples_peak,
        },
    };
    serde_json::to_string(&stats).expect("numbers under names that are text")
}

/// What a query took, in one line: `12 series, 4801 samples, 0.3 MiB, 1.2 ms`.
pub(crate) fn cost(stats: &QueryStats) -> String {
    format!(
        "{} series, {} samples, {:.1} MiB, {:.1} ms",
        stats.series,
        stats.samples_total,
        stats.bytes_peak as f64 / f64::from(1 << 20),
        computing(stats).as_secs_f64() * 1_000.0
    )
}

/// The time from the query's turn until its answer was there.
fn computing(stats: &QueryStats) -> Duration {
    stats.prepare_time + stats.eval_time + stats.sort_time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_in_the_reference_order() {
        let step = |timestamp, total, read| StepSamples {
            timestamp,
            total,
            read,
        };
        let mut stats = QueryStats {
            samples_total: 5,
            samples_read: 4,
            samples_peak: 7,
            sort_time: Duration::from_millis(1),
            ..QueryStats::default()
        };
        assert_eq!(
            json(&stats),
            r#"{"timings":{"evalTotalTime":0.001,"resultSortTime":0.001,"queryPreparationTime":0.0,"innerEvalTime":0.0,"execQueueTime":0.0,"execTotalTime":0.001},"samples":{"totalQueryableSamples":5,"samplesRead":4,"peakSamples":7}}"#
        );
        stats.steps = Some([step(1_000, 2, 2), step(1_500, 3, 2)].into());
        let text = json(&stats);
        let (_, samples) = text.split_once("\"samples\":").unwrap();
        assert_eq!(
            samples,
            r#"{"totalQueryableSamplesPerStep":[[1,2],[1.5,3]],"totalQueryableSamples":5,"samplesReadPerStep":[[1,2],[1.5,2]],"samplesRead":4,"peakSamples":7}}"#
        );
    }
}
