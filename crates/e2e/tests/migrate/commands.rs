//! `ferula tsdb import`, `export` and `create-blocks-from`, as users run them.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use ferula_e2e::peers::Peer;
use ferula_e2e::remote_write::{EncodedLabels, WriteRequest};
use ferula_e2e::server::{Server, now_ms, server_binary};
use ferula_e2e::{skip, wait_for};
use rustix::process::Signal;

use crate::files::{blocks, promtool, read_blocks, write_blocks};
use crate::sent::{answers, history_answers, openmetrics, send, sent};

/// Keeps what was sampled in 2020.
const KEEP: &str = "--storage.tsdb.retention.time=20y";

const CONFIG: &str = "storage:\n  tsdb:\n    out_of_order_time_window: 2h\n";

fn run(arguments: &[&str]) -> Output {
    let binary = server_binary().unwrap();
    let output = Command::new(binary).arg("tsdb").args(arguments).output();
    output.unwrap()
}

/// What a command that succeeds says.
fn said(arguments: &[&str]) -> String {
    let output = run(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// How a command that fails says so.
fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(!output.status.success(), "{arguments:?} went well");
    String::from_utf8(output.stderr).unwrap()
}

fn stop(server: &mut Server) {
    server.process().signal(Signal::TERM).unwrap();
    server.process().wait_end(Duration::from_secs(60)).unwrap();
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn assert_same(found: &[String], expected: &[String]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let same = found
            .bytes()
            .zip(expected.bytes())
            .take_while(|(a, b)| a == b);
        let from = same.count().saturating_sub(100);
        let around = |text: &String| text.chars().skip(from).take(300).collect::<String>();
        let (query, _) = expected.split_once(": ").unwrap();
        let (a, b) = (around(found), around(expected));
        assert!(found == expected, "{query}\nfound\n{a}\nexpected\n{b}");
    }
}

fn prometheus() -> Server {
    let mut server = Server::prometheus().unwrap();
    let flags = [
        KEEP,
        "--enable-feature=native-histograms",
        "--web.enable-admin-api",
    ];
    server.add_arguments(&flags);
    server.write_config(CONFIG).unwrap();
    std::fs::create_dir_all(server.data_path()).unwrap();
    server
}

/// Samples that go back in time, one at a time.
fn send_late(server: &Server, start: i64) {
    for i in (0..40).rev() {
        let mut request = WriteRequest::default();
        let labels = EncodedLabels::new([("__name__", "late")]);
        request.push(&labels, [(start + i * 30_000, i as f64)]);
        send(server, &request);
    }
}

#[test]
fn everything_moves_to_ferula_and_back() {
    let test = "migrate: everything moves";
    if let (Err(reason), _) | (_, Err(reason)) = (Peer::Prometheus.find(), Peer::Promtool.find()) {
        return skip(test, &reason);
    }
    let dir = tempfile::tempdir().unwrap();
    let history = dir.path().join("history.om");
    std::fs::write(&history, openmetrics().0).unwrap();
    let mut first = prometheus();
    let theirs = text(&first.data_path());
    promtool(&[
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        &text(&history),
        &theirs,
    ]);
    first.start().unwrap();
    let start = (now_ms() / 60_000 - 45) * 60_000;
    send(&first, &sent(start).request);
    send_late(&first, start);
    let deleted = first
        .client()
        .post_form("/api/v1/admin/tsdb/delete_series", &[("match[]", "many_1")])
        .unwrap();
    assert_eq!(deleted.status, 204);
    let expected = [answers(&first, start), history_answers(&first)].concat();
    let empty = expected
        .iter()
        .filter(|answer| answer.ends_with(": "))
        .count();
    assert!(
        empty <= 1,
        "{empty} of {} answers are empty",
        expected.len()
    );

    let mut ferula = Server::ferula().unwrap();
    ferula.add_arguments(&[KEEP]);
    let ours = text(&ferula.data_path());
    let import = ["import", "--from", &theirs, "--to", &ours];
    let running = refused(&import);
    assert!(running.contains("a Prometheus runs on"), "{running}");
    stop(&mut first);
    let imported = said(&import);
    assert!(imported.contains("all were read back"), "{imported}");
    assert!(imported.contains("300 samples were left out"), "{imported}");
    assert_eq!(said(&import).trim(), "there is nothing new to import");

    ferula.start().unwrap();
    let found = [answers(&ferula, start), history_answers(&ferula)].concat();
    assert_same(&found, &expected);
    let in_use = refused(&["export", "--from", &ours, "--to", &theirs]);
    assert!(in_use.contains("in use by another process"), "{in_use}");
    // What arrives now lies in the head, above the log's imported samples or among them.
    let mut request = WriteRequest::default();
    let labels = EncodedLabels::new([("__name__", "f"), ("kind", "later")]);
    request.push(&labels, (0..40).map(|i| (start + i * 15_000 + 7, i as f64)));
    send(&ferula, &request);
    let expected = [answers(&ferula, start), history_answers(&ferula)].concat();
    stop(&mut ferula);

    let mut second = prometheus();
    let exported = said(&[
        "export",
        "--from",
        &ours,
        "--to",
        &text(&second.data_path()),
    ]);
    assert!(exported.contains("all were read back"), "{exported}");
    second.start().unwrap();
    let found = [answers(&second, start), history_answers(&second)].concat();
    assert_same(&found, &expected);
    stop(&mut second);

    let part = dir.path().join("part");
    let narrow = [
        "--match",
        "one",
        "--match",
        "{__name__=\"many_2\",v=\"value 2\"}",
    ];
    let export = ["export", "--from", &ours, "--to", &text(&part)];
    let exported = said(&[&export[..], &narrow].concat());
    assert!(
        exported.starts_with("exported 4 samples into 1 blocks"),
        "{exported}"
    );
    assert_eq!(blocks(&part).len(), 1);
    let full = refused(&[&export[..], &narrow].concat());
    assert!(full.contains("is not empty"), "{full}");
}

/// Small blocks make the server cut and write checkpoints while it is sent samples.
#[test]
fn what_a_checkpoint_and_small_blocks_hold_is_imported() {
    if let Err(reason) = Peer::Prometheus.find() {
        return skip("migrate: a checkpoint", &reason);
    }
    let mut server = prometheus();
    server.add_arguments(&[
        "--storage.tsdb.min-block-duration=4m",
        "--storage.tsdb.max-block-duration=4m",
    ]);
    server.start().unwrap();
    let start = (now_ms() / 60_000 - 45) * 60_000;
    let checkpoints = || {
        let files = std::fs::read_dir(server.data_path().join("wal")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("checkpoint.")).count()
    };
    let mut sent = 0;
    let wait = Duration::from_secs(60);
    wait_for("a checkpoint", wait, || {
        // Each batch may be the one that has the server cut a block.
        if sent < 130 {
            let mut request = WriteRequest::default();
            for series in 0..20 {
                let value = format!("{series}");
                let labels = EncodedLabels::new([("__name__", "f"), ("series", &*value)]);
                request.push(&labels, [(start + sent * 15_000, (sent * series) as f64)]);
            }
            send(&server, &request);
            sent += 1;
        }
        anyhow::ensure!(
            sent >= 100 && checkpoints() > 0,
            "{sent} batches, no checkpoint"
        );
        Ok(())
    })
    .unwrap();
    let expected = answers(&server, start);
    stop(&mut server);
    let mut ferula = Server::ferula().unwrap();
    let (theirs, ours) = (text(&server.data_path()), text(&ferula.data_path()));
    let imported = said(&["import", "--from", &theirs, "--to", &ours]);
    assert!(
        imported.starts_with(&format!("imported {} samples", sent * 20)),
        "{imported}"
    );
    ferula.start().unwrap();
    assert_same(&answers(&ferula, start), &expected);
    stop(&mut ferula);
}

#[test]
fn an_import_that_was_stopped_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours) = (dir.path().join("theirs"), dir.path().join("ours"));
    let (_, series) = openmetrics();
    write_blocks(&theirs, &series);
    let (from, to) = (text(&theirs), text(&ours));
    let import = ["import", "--from", &from, "--to", &to];
    let folders = blocks(&theirs);
    let chunks = folders[2].join("chunks/000001");
    let whole = std::fs::read(&chunks).unwrap();
    let mut damaged = whole.clone();
    damaged[20] ^= 1;
    std::fs::write(&chunks, damaged).unwrap();
    let error = refused(&import);
    let place = format!("{}, byte 10: the checksum does not match", chunks.display());
    assert!(error.contains(&place), "{error}");

    std::fs::write(&chunks, whole).unwrap();
    let output = run(&import);
    let (stdout, stderr) = (output.stdout, output.stderr);
    let error = String::from_utf8(stderr).unwrap();
    assert!(
        error.contains("2 blocks have been imported before"),
        "{error}"
    );
    let said_then = String::from_utf8(stdout).unwrap();
    let blocks_then = format!("into {} blocks", folders.len() - 2);
    assert!(said_then.contains(&blocks_then), "{said_then}");

    let back = dir.path().join("back");
    said(&["export", "--from", &to, "--to", &text(&back)]);
    crate::files::assert_same(&read_blocks(&back), &series);
    let nothing = refused(&["import", "--from", &text(dir.path()), "--to", &to]);
    assert!(
        nothing.contains("holds neither blocks nor a log"),
        "{nothing}"
    );
}

#[test]
fn a_text_becomes_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let history = dir.path().join("history.om");
    std::fs::write(&history, openmetrics().0).unwrap();
    let mut ferula = Server::ferula().unwrap();
    ferula.add_arguments(&[KEEP]);
    let (history, data) = (text(&history), text(&ferula.data_path()));
    let backfill = ["create-blocks-from", "openmetrics", &history, &data];
    let imported = said(&backfill);
    assert!(imported.starts_with("imported 4908 samples"), "{imported}");
    let again = said(&backfill);
    assert!(again.starts_with("imported 4908 samples"), "{again}");
    ferula.start().unwrap();
    let found = history_answers(&ferula);
    stop(&mut ferula);
    // The same from the reference's blocks, if there is one.
    if let Err(reason) = Peer::Prometheus.find().and(Peer::Promtool.find()) {
        return skip("migrate: a text becomes blocks", &reason);
    }
    let mut reference = prometheus();
    let theirs = text(&reference.data_path());
    promtool(&[
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        &history,
        &theirs,
    ]);
    reference.start().unwrap();
    assert_same(&found, &history_answers(&reference));
    stop(&mut reference);
}
