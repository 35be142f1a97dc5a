//! kill -9 and power cuts during remote write, again and again: every acknowledged sample must be
//! there, once and unchanged, after each restart.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

mod power;
mod writers;

use std::path::PathBuf;
use std::time::Duration;

use ferula_e2e::files::log_end;
use ferula_e2e::history::History;
use ferula_e2e::http::Request;
use ferula_e2e::random::Random;
use ferula_e2e::remote_write::{self, EncodedLabels, WriteRequest};
use ferula_e2e::server::{Kind, Server, now_ms};
use rustix::process::Signal;
use writers::{Writer, check, write_until_killed};

const ROUNDS: u64 = 30;
const WRITERS: u64 = 4;

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
        write_until_killed(
            server,
            &mut writers,
            random.below(KILL_AFTER_MS_MAX),
            |_| {},
        );
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
