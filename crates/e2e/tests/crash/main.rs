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
use writers::{Pace, check, line_up, write_until_killed};

const ROUNDS: u64 = 30;
const WRITERS: u64 = 4;

/// The longest time between the first acknowledgement of a round and the kill.
const KILL_AFTER_MS_MAX: u64 = 120;

/// Size of a file of Ferula's log.
const LOG_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// How far from the end of a log file the rounds around it begin, and how many follow: together
/// they write several times as much.
const FILE_END_BYTES: u64 = 200 * 1024;
const ROUNDS_AT_FILE_END: u64 = 10;

/// Length of the label that fills the log.
const FILLER_LABEL_BYTES: u64 = 4096;

const PACE: Pace = Pace {
    step_ms: 10,
    history_ms: 30 * 60 * 1000,
};

/// So fast that each round brings a few blocks of [`SMALL_BLOCK`], far slower than what is late
/// by more than writers in a round can be is refused.
const FAST_PACE: Pace = Pace {
    step_ms: 5_000,
    history_ms: 36 * 60 * 60 * 1000,
};

/// The span of time of the smallest blocks where many are to be cut and merged.
const SMALL_BLOCK: &str = "5m";

#[test]
fn acknowledged_samples_survive_kill_9() {
    let mut server = started();
    let (history, seed) = crash_rounds(&mut server, PACE, ROUNDS, |_| true);

    server.process().signal(Signal::TERM).expect("it runs");
    let status = server
        .process()
        .wait_end(Duration::from_secs(60))
        .expect("it ends");
    assert!(status.success(), "an orderly end, not {status}");
    server
        .start()
        .expect("the server starts after an orderly end");
    let when = format!("orderly restart, seed {seed}");
    check(&server, PACE, &history, &when);
}

/// Crashes while blocks are cut and merged, checkpoints written and the log is cut off.
#[test]
fn acknowledged_samples_survive_kill_9_in_upkeep() {
    let mut server = Server::ferula().expect("the server builds");
    if server.kind() != Kind::Ferula {
        return; // its blocks are cut once a minute
    }
    server.add_arguments(&["--storage.tsdb.min-block-duration", SMALL_BLOCK]);
    let mut server = server.started("").expect("the server starts");
    crash_rounds(&mut server, FAST_PACE, ROUNDS, |server| blocks(server) >= 3);
}

/// Blocks that are on the disk.
fn blocks(server: &Server) -> usize {
    let folder = std::fs::read_dir(server.data_path().join("b"));
    folder.map_or(0, Iterator::count)
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
    crash_rounds(&mut server, PACE, ROUNDS_AT_FILE_END, |server| {
        newest_log(server).1 < before
    });
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
///
/// There are more than `rounds` of them if that is not enough, as on a busy machine.
fn crash_rounds(
    server: &mut Server,
    pace: Pace,
    rounds: u64,
    enough: impl Fn(&Server) -> bool,
) -> (History, u64) {
    let seed = u64::try_from(now_ms()).expect("after 1970");
    let mut random = Random::new(seed);
    // The reference calls a repeated request out of order; Ferula promises that retries succeed.
    let repeats = server.kind() == Kind::Ferula;
    let mut writers = pace.writers(WRITERS, seed, repeats);
    let mut history = History::default();

    for round in 0.. {
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
        line_up(&mut writers);
        check(
            server,
            pace,
            &history,
            &format!("round {round}, seed {seed}"),
        );
        if round + 1 >= rounds && enough(server) {
            break;
        }
        assert!(round < 6 * rounds, "what is to be met does not happen");
    }
    println!(
        "{} sent, {} acknowledged, seed {seed}",
        history.sent(),
        history.acknowledged()
    );
    (history, seed)
}
