//! kill -9 during remote write, again and again: every acknowledged sample must be there, once and
//! unchanged, after each restart.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferula_e2e::files::log_end;
use ferula_e2e::history::History;
use ferula_e2e::http::{Client, Request};
use ferula_e2e::random::Random;
use ferula_e2e::remote_write::{self, EncodedLabels, WriteRequest};
use ferula_e2e::server::{Kind, Server, now_ms};
use ferula_e2e::wait_for;
use rustix::process::Signal;

const ROUNDS: u64 = 30;
const WRITERS: u64 = 4;

/// Series each writer starts with; every round adds one.
const SERIES_PER_WRITER: u64 = 3;

/// The longest time between the first acknowledgement of a round and the kill.
const KILL_AFTER_MS_MAX: u64 = 120;

/// Size of a file of Ferula's log.
const LOG_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// How far from the end of a log file the rounds around it begin, and how many follow: together
/// they write several times as much.
const FILE_END_BYTES: u64 = 200 * 1024;
const ROUNDS_AT_FILE_END: u64 = 10;

/// Length of the label that fills the log.
const FILLER_LABEL_BYTES: u64 = 4096;

/// Between two timestamps of a series.
const STEP_MS: i64 = 10;

/// How far in the past the first sample lies; writers never get as far as the present.
const HISTORY_MS: i64 = 30 * 60 * 1000;

#[test]
fn acknowledged_samples_survive_kill_9() {
    let mut server = started();
    let (history, seed) = crash_rounds(&mut server, ROUNDS);

    server.process().signal(Signal::TERM).expect("it runs");
    let status = server
        .process()
        .wait_end(Duration::from_secs(60))
        .expect("it ends");
    assert!(status.success(), "an orderly end, not {status}");
    server
        .start()
        .expect("the server starts after an orderly end");
    check(&server, &history, &format!("orderly restart, seed {seed}"));
}

/// Crashes around the moment at which the log goes on in another file.
#[test]
fn acknowledged_samples_survive_a_change_of_log_files() {
    let mut server = started();
    if server.kind() != Kind::Ferula {
        return; // its files have another size
    }
    let filler = fill_log(&server);
    let (_, before) = newest_log(&server);
    crash_rounds(&mut server, ROUNDS_AT_FILE_END);
    let (_, after) = newest_log(&server);
    assert!(after < before, "the rounds ended before the log file did");
    let count = server
        .query("count(filler)", now_ms())
        .expect("the query is answered");
    assert_eq!(count.only_value(), Some(f64::from(filler)));
}

/// Brings the log within [`FILE_END_BYTES`] of the end of its first file with series that have long
/// labels; returns how many.
fn fill_log(server: &Server) -> u32 {
    let mut random = Random::new(7);
    let mut client = server.client();
    let mut sent = 0;
    while newest_log(server).1 + FILE_END_BYTES < LOG_FILE_BYTES {
        let mut request = WriteRequest::default();
        let left = LOG_FILE_BYTES - newest_log(server).1;
        for _ in 0..(left / 2 / FILLER_LABEL_BYTES).clamp(1, 2_000) {
            let words = (0..FILLER_LABEL_BYTES / 16).map(|_| format!("{:016x}", random.bits()));
            let label: String = words.collect();
            let labels = EncodedLabels::new([("__name__", "filler"), ("text", &label)]);
            request.push(&labels, [(now_ms(), 1.0)]);
            sent += 1;
        }
        let response = client.send(&Request {
            method: "POST",
            path: remote_write::PATH,
            headers: &remote_write::HEADERS,
            body: &request.body(),
        });
        let response = response.expect("an answer");
        assert_eq!(response.status, 204, "{}", response.text());
    }
    sent
}

fn newest_log(server: &Server) -> (PathBuf, u64) {
    let newest = log_end(&server.data_path()).expect("readable");
    newest.expect("the server keeps a log")
}

fn started() -> Server {
    Server::ferula()
        .and_then(|server| server.started(""))
        .expect("the server starts")
}

/// Lets writers send, kills the server in the middle, checks, and begins again. Returns what was
/// sent, and the seed.
fn crash_rounds(server: &mut Server, rounds: u64) -> (History, u64) {
    let seed = u64::try_from(now_ms()).expect("after 1970");
    let mut random = Random::new(seed);
    // The reference calls a repeated request out of order; Ferula promises that retries succeed.
    let repeats = server.kind() == Kind::Ferula;
    let first = now_ms() - HISTORY_MS;
    let mut writers: Vec<Writer> = (0..WRITERS)
        .map(|id| Writer::new(id, first, seed, repeats))
        .collect();
    let mut history = History::default();

    for round in 0..rounds {
        write_until_killed(server, &mut writers, random.below(KILL_AFTER_MS_MAX));
        if round % 5 == 4 {
            // A crash in the middle of recovery must cost nothing either.
            server.spawn().expect("the server starts");
            std::thread::sleep(Duration::from_millis(random.below(60)));
            server.kill();
        }
        server.start().expect("the server recovers");
        for writer in &mut writers {
            history.merge(std::mem::take(&mut writer.history));
        }
        check(server, &history, &format!("round {round}, seed {seed}"));
    }
    println!(
        "{} sent, {} acknowledged, seed {seed}",
        history.sent(),
        history.acknowledged()
    );
    (history, seed)
}

/// Runs all writers and kills the server some time after the first acknowledgement.
fn write_until_killed(server: &mut Server, writers: &mut [Writer], after_ms: u64) {
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
        server.kill();
        for writer in running {
            writer.join().expect("the writer saw no refusal");
        }
    });
}

fn check(server: &Server, history: &History, when: &str) {
    let stored = server
        .query("crash_sample[1h]", now_ms())
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
struct Writer {
    id: u64,
    random: Random,
    /// Whether the server takes a request again of which it may have all or nothing.
    repeats: bool,
    series: Vec<(String, EncodedLabels)>,
    next: i64,
    history: History,
    /// Sent without an answer: whether it is stored is not known.
    unanswered: Vec<(usize, i64, f64)>,
}

impl Writer {
    fn new(id: u64, first: i64, seed: u64, repeats: bool) -> Self {
        let mut writer = Self {
            id,
            random: Random::new(seed ^ id.wrapping_mul(0x1234_5678_9abc)),
            repeats,
            series: Vec::new(),
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
                samples.push((series, self.next + row * STEP_MS, value));
            }
        }
        self.next += rows * STEP_MS;
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
