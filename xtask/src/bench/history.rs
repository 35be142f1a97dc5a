//! A day of the fleet's life, written to a server as a sender that catches up does: many samples of
//! each series per request, all series moving on together.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ferula_e2e::http::Client;
use ferula_e2e::remote_write::{EncodedLabels, WriteRequest};
use ferula_e2e::server::{Kind, Server, now_ms};
use ferula_e2e::wait_for;

use super::fleet::{self, Series};
use super::natives::{self, Native};
use super::send::post;
use super::value_at;

const CONNECTIONS: usize = 4;
const SERIES_PER_REQUEST: usize = 2_000;
const SAMPLES_PER_REQUEST: u64 = 60;
const STEP_MS: i64 = 15_000;

/// How old the newest sample is at the start. Older than the half minute for which VictoriaMetrics
/// by default does not answer with the newest data.
const NEWEST_AGE_MS: i64 = 60_000;

/// How long written samples may take until queries find them.
const VISIBLE_MAX: Duration = Duration::from_secs(60);

/// How much is written.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) instances: usize,
    pub(crate) hours: i64,
}

/// The samples, the same for every server they are sent to.
pub(crate) struct History {
    floats: Vec<(Series, EncodedLabels)>,
    natives: Vec<(Native, EncodedLabels)>,
    instances: usize,
    first: i64,
    steps: u64,
}

impl History {
    /// A history that ends a moment ago.
    pub(crate) fn new(size: Size) -> Result<Self> {
        let newest = (now_ms() - NEWEST_AGE_MS) / STEP_MS * STEP_MS;
        let steps = size.hours * 3_600_000 / STEP_MS;
        let encoded = |labels: Vec<(&'static str, String)>| {
            EncodedLabels::new(labels.iter().map(|(name, value)| (*name, value.as_str())))
        };
        let instances = 0..size.instances;
        let floats = instances
            .clone()
            .flat_map(|instance| fleet::series_of(instance).chain(fleet::info_of(instance)));
        let natives = instances.flat_map(natives::natives_of);
        Ok(Self {
            floats: floats.map(|one| (one, encoded(one.labels()))).collect(),
            natives: natives.map(|one| (one, encoded(one.labels()))).collect(),
            instances: size.instances,
            first: newest - (steps - 1) * STEP_MS,
            steps: u64::try_from(steps)?,
        })
    }

    /// The same without native histograms, which one of the servers does not keep.
    pub(crate) fn of_floats(size: Size) -> Result<Self> {
        let natives = Vec::new();
        Ok(Self {
            natives,
            ..Self::new(size)?
        })
    }

    /// The newest sample's timestamp.
    pub(crate) fn newest(&self) -> i64 {
        self.time(self.steps - 1)
    }

    /// How many series a server of this kind gets.
    pub(crate) fn series(&self, kind: Kind) -> usize {
        self.floats.len() + self.natives_for(kind).len()
    }

    /// How many samples a server of this kind gets.
    #[expect(clippy::cast_precision_loss)] // far below 2^53
    pub(crate) fn samples(&self, kind: Kind) -> f64 {
        self.series(kind) as f64 * self.steps as f64
    }

    /// VictoriaMetrics keeps no native histograms.
    fn natives_for(&self, kind: Kind) -> &[(Native, EncodedLabels)] {
        match kind {
            Kind::VictoriaMetrics => &[],
            Kind::Ferula | Kind::Prometheus => &self.natives,
        }
    }

    fn time(&self, step: u64) -> i64 {
        self.first + step.cast_signed() * STEP_MS
    }

    /// Sends everything, and returns how long that took.
    pub(crate) fn send(&self, server: &Server) -> Result<Duration> {
        let clock = Instant::now();
        let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| server.client()).collect();
        for begin in (0..self.steps).step_by(usize::try_from(SAMPLES_PER_REQUEST)?) {
            let steps = begin..self.steps.min(begin + SAMPLES_PER_REQUEST);
            // No series runs ahead of the others: servers refuse what is too far behind.
            std::thread::scope(|scope| {
                let senders: Vec<_> = clients
                    .iter_mut()
                    .enumerate()
                    .map(|(number, client)| {
                        let steps = steps.clone();
                        scope.spawn(move || self.send_part(client, number, steps))
                    })
                    .collect();
                senders
                    .into_iter()
                    .try_for_each(|sender| sender.join().expect("no sender panics"))
            })?;
            let natives = self.natives_for(server.kind());
            for part in natives.chunks(SERIES_PER_REQUEST / 10) {
                let mut request = WriteRequest::default();
                for (series, labels) in part {
                    let samples = steps.clone();
                    let samples = samples.map(|step| (self.time(step), series.value(step)));
                    request.push_histograms(labels, samples);
                }
                post(&mut clients[0], &request)?;
            }
        }
        Ok(clock.elapsed())
    }

    /// Sends the floats of one connection.
    fn send_part(
        &self,
        client: &mut Client,
        connection: usize,
        steps: std::ops::Range<u64>,
    ) -> Result<()> {
        let parts = self.floats.chunks(SERIES_PER_REQUEST);
        for part in parts.skip(connection).step_by(CONNECTIONS) {
            let mut request = WriteRequest::default();
            for (series, labels) in part {
                let samples = steps.clone();
                let samples = samples.map(|step| (self.time(step), series.value(step)));
                request.push(labels, samples);
            }
            post(client, &request)?;
        }
        Ok(())
    }

    /// Waits until the server finds all series at the newest moment, and all samples of one metric
    /// of each kind.
    pub(crate) fn check(&self, server: &Server) -> Result<()> {
        self.check_value(
            server,
            r#"count({__name__=~"fleet_.+"})"#,
            self.series(server.kind()) as u64,
        )?;
        let window = self.steps.cast_signed() * STEP_MS / 1000;
        let samples = |metric: &str| format!("sum(count_over_time({metric}[{window}s]))");
        let floats = fleet::SERIES_PER_FAMILY * self.instances;
        self.check_value(
            server,
            &samples("fleet_operations_0_total"),
            floats as u64 * self.steps,
        )?;
        match self.natives_for(server.kind()).len() {
            0 => Ok(()),
            natives => self.check_value(
                server,
                &samples("fleet_request_duration_seconds"),
                natives as u64 * self.steps,
            ),
        }
    }

    fn check_value(&self, server: &Server, query: &str, wanted: u64) -> Result<()> {
        wait_for(query, VISIBLE_MAX, || {
            let found = value_at(server, query, self.newest())?;
            ensure!(found == wanted as f64, "{found} instead of {wanted}");
            Ok(())
        })
    }
}
