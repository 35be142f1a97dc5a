//! Writers that remember what they sent and what was acknowledged.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferula_e2e::history::History;
use ferula_e2e::http::{Client, Request};
use ferula_e2e::random::Random;
use ferula_e2e::remote_write::{self, EncodedLabels, WriteRequest};
use ferula_e2e::server::{Server, now_ms};
use ferula_e2e::wait_for;

/// Series each writer starts with; every round adds one.
const SERIES_PER_WRITER: u64 = 3;

/// How fast time goes by in what writers send.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// Between two timestamps of a series.
    pub(crate) step_ms: i64,
    /// How far in the past the first sample lies; writers never get as far as the present.
    pub(crate) history_ms: i64,
}

impl Pace {
    /// Writers that begin together.
    pub(crate) fn writers(self, count: u64, seed: u64, repeats: bool) -> Vec<Writer> {
        let first = now_ms() - self.history_ms;
        let ids = 0..count;
        ids.map(|id| Writer::new(id, first, self.step_ms, seed, repeats))
            .collect()
    }
}

/// Lets no writer fall behind the others by more than it does in one round.
pub(crate) fn line_up(writers: &mut [Writer]) {
    let next = writers.iter().map(|writer| writer.next).max();
    for writer in writers {
        writer.next = next.unwrap_or(writer.next);
    }
}

/// Runs all writers and kills the server some time after the first acknowledgement; `first` is done
/// just before.
pub(crate) fn write_until_killed(
    server: &mut Server,
    writers: &mut [Writer],
    after_ms: u64,
    first: impl FnOnce(&mut Server),
) {
    let acknowledged = &AtomicUsize::new(0);
    let address = server.address();
    std::thread::scope(|scope| {
        let running: Vec<_> = writers
            .iter_mut()
            .map(|writer| scope.spawn(move || writer.write_until_it_fails(address, acknowledged)))
            .collect();
        wait_for("the first acknowledgement", Duration::from_secs(30), || {
            let count = acknowledged.load(Ordering::Relaxed);
            anyhow::ensure!(count > 0, "nothing acknowledged");
            Ok(())
        })
        .expect("writes are acknowledged");
        std::thread::sleep(Duration::from_millis(after_ms));
        first(server);
        server.kill();
        for writer in running {
            writer.join().expect("the writer saw no refusal");
        }
    });
}

/// Compares what the server answers with what was sent.
pub(crate) fn check(server: &Server, pace: Pace, history: &History, when: &str) {
    let minutes = pace.history_ms / 60_000 + 30;
    let stored = server
        .query(&format!("crash_sample[{minutes}m]"), now_ms())
        .expect("the query is answered");
    let faults = history.faults("series", &stored);
    let shown: Vec<String> = faults.iter().take(20).map(ToString::to_string).collect();
    assert!(
        faults.is_empty(),
        "{when}: {} faults among {} acknowledged samples, the first are:\n{}",
        faults.len(),
        history.acknowledged(),
        shown.join("\n")
    );
}

/// One connection that sends about series of its own.
pub(crate) struct Writer {
    id: u64,
    random: Random,
    /// Whether the server takes a request again of which it may have all or nothing.
    repeats: bool,
    series: Vec<(String, EncodedLabels)>,
    step_ms: i64,
    next: i64,
    pub(crate) history: History,
    /// Sent without an answer: whether it is stored is not known.
    unanswered: Vec<(usize, i64, f64)>,
}

impl Writer {
    /// A writer whose first sample lies at `first`.
    fn new(id: u64, first: i64, step_ms: i64, seed: u64, repeats: bool) -> Self {
        let mut writer = Self {
            id,
            random: Random::new(seed ^ id.wrapping_mul(0x1234_5678_9abc)),
            repeats,
            series: Vec::new(),
            step_ms,
            next: first,
            history: History::default(),
            unanswered: Vec::new(),
        };
        for _ in 0..SERIES_PER_WRITER {
            writer.add_series();
        }
        writer
    }

    fn add_series(&mut self) {
        let name = format!("{}-{}", self.id, self.series.len());
        let labels = EncodedLabels::new([("__name__", "crash_sample"), ("series", &name)]);
        self.series.push((name, labels));
    }

    /// Sends request after request. Returns when the connection breaks; a refusal is a failure.
    fn write_until_it_fails(&mut self, address: std::net::SocketAddr, acknowledged: &AtomicUsize) {
        let mut client = Client::new(address);
        self.add_series();
        // A sender that got no answer sends the same again. Every other time this one gives up
        // instead, so that samples in doubt are checked too.
        let mut samples = std::mem::take(&mut self.unanswered);
        if samples.is_empty() || !self.repeats || self.random.below(2) == 0 {
            samples = self.next_samples();
        }
        loop {
            for &(series, timestamp, value) in &samples {
                self.history.send(&self.series[series].0, timestamp, value);
            }
            let body = self.body(&samples);
            let response = client.send(&Request {
                method: "POST",
                path: remote_write::PATH,
                headers: &remote_write::HEADERS,
                body: &body,
            });
            let Ok(response) = response else {
                self.unanswered = samples;
                return;
            };
            let (status, text) = (response.status, response.text());
            assert!(
                (200..300).contains(&status),
                "refused with {status}: {text}"
            );
            for &(series, timestamp, _) in &samples {
                self.history.acknowledge(&self.series[series].0, timestamp);
            }
            acknowledged.fetch_add(1, Ordering::Relaxed);
            samples = self.next_samples();
        }
    }

    /// Up to two samples for each series of a random subset, with values of every magnitude.
    fn next_samples(&mut self) -> Vec<(usize, i64, f64)> {
        let rows = 1 + i64::try_from(self.random.below(2)).expect("small");
        let skipped = self.random.below(4);
        let mut samples = Vec::new();
        for series in 0..self.series.len() {
            if series > 0 && self.random.below(4) < skipped {
                continue;
            }
            for row in 0..rows {
                let bits = f64::from_bits(self.random.bits());
                let value = if bits.is_nan() { 0.0 } else { bits };
                samples.push((series, self.next + row * self.step_ms, value));
            }
        }
        self.next += rows * self.step_ms;
        assert!(self.next < now_ms(), "the writers reached the present");
        samples
    }

    fn body(&self, samples: &[(usize, i64, f64)]) -> Vec<u8> {
        let mut request = WriteRequest::default();
        for run in samples.chunk_by(|a, b| a.0 == b.0) {
            let points = run.iter().map(|&(_, timestamp, value)| (timestamp, value));
            request.push(&self.series[run[0].0].1, points);
        }
        request.body()
    }
}
