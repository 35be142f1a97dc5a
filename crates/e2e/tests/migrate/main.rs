//! To and from Prometheus: its blocks and logs are read, blocks that are written are judged by its
//! tools and served by it, and the commands move everything between the two.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // a test: whatever fails ends it

mod commands;
mod files;
mod sent;

use std::time::Duration;

use ferula_e2e::peers::Peer;
use ferula_e2e::server::{Server, now_ms, seconds};
use ferula_e2e::skip;
use ferula_env::SystemDisk;
use ferula_model::Range;
use ferula_storage::Columns;
use ferula_tsdb::prometheus::WalHead;
use rustix::process::Signal;

use files::{Series, assert_same, blocks, promtool, read_blocks, within, write_blocks};
use sent::{answers_of_a_release, openmetrics, send, sent};

#[test]
fn what_the_references_backfill_writes_is_read_and_written_again() {
    if let Err(reason) = Peer::Promtool.find() {
        return skip("prometheus files: backfill", &reason);
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let text = |name: &str| path(name).display().to_string();
    let (openmetrics, expected) = openmetrics();
    std::fs::write(path("in.om"), openmetrics).unwrap();
    let (input, theirs, ours) = (text("in.om"), text("theirs"), text("ours"));
    promtool(&["tsdb", "create-blocks-from", "openmetrics", &input, &theirs]);
    assert!(blocks(&path("theirs")).len() > 5);
    let read = read_blocks(&path("theirs"));
    assert_same(&read, &expected);

    write_blocks(&path("ours"), &read);
    assert_same(&read_blocks(&path("ours")), &expected);
    // The tool opens the folder as a database, which wants a log beside the blocks.
    for data in ["theirs", "ours"] {
        std::fs::create_dir_all(path(data).join("wal")).unwrap();
    }
    let dumped = |data: &str| promtool(&["tsdb", "dump", data]);
    let (theirs, ours_dumped) = (dumped(&theirs), dumped(&ours));
    let samples: usize = expected.iter().map(|s| s.1.len()).sum();
    assert_eq!(theirs.lines().count(), samples);
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert!(sorted(&theirs) == sorted(&ours_dumped), "dumps differ");
    let listed = promtool(&["tsdb", "list", &ours]);
    assert_eq!(listed.lines().count(), 1 + blocks(&path("ours")).len());
    let analyzed = promtool(&["tsdb", "analyze", &ours]);
    assert!(analyzed.contains("Total Series: "), "{analyzed}");
}

#[test]
fn blocks_and_logs_of_a_server_are_read_and_its_answers_stay() {
    let test = "prometheus files: a server's";
    let mut server = match (Server::prometheus(), Peer::Promtool.find()) {
        (Ok(server), Ok(_)) => server,
        (Err(reason), _) | (_, Err(reason)) => return skip(test, &reason),
    };
    let flags = [
        "--enable-feature=native-histograms",
        "--web.enable-admin-api",
    ];
    server.add_arguments(&flags);
    server.start().unwrap();
    let start = (now_ms() / 60_000 - 45) * 60_000;
    let sent = sent(start);
    send(&server, &sent.request);
    let expected_answers = answers_of_a_release(&server, start);

    let snapshot = server
        .client()
        .post_form("/api/v1/admin/tsdb/snapshot", &[])
        .unwrap();
    assert_eq!(snapshot.status, 200, "{}", snapshot.text());
    let snapshots = server.data_path().join("snapshots");
    let snapshot = std::fs::read_dir(snapshots).unwrap().next();
    let snapshot = snapshot.unwrap().unwrap().path();
    let read = read_blocks(&snapshot);
    assert_same(&read, &sent.series);

    // A series is deleted: the log says so.
    let form = [
        ("match[]", "f{kind=\"odd\"}"),
        ("start", &seconds(start + 300_000)),
    ];
    let deleted = server
        .client()
        .post_form("/api/v1/admin/tsdb/delete_series", &form)
        .unwrap();
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    server.process().signal(Signal::TERM).unwrap();
    let ended = Duration::from_secs(60);
    server.process().wait_end(ended).unwrap();
    let mut seen = Vec::new();
    let mut progress = |done, total| seen.push((done, total));
    let head = WalHead::read(&SystemDisk, &server.data_path(), i64::MIN, &mut progress).unwrap();
    assert_eq!((head.torn(), head.undefined()), (None, 0));
    let total = seen[0].1;
    assert_eq!(seen.last(), Some(&(total, total)));
    let of_log = head.sorted().into_iter().map(|number| {
        let mut columns = Columns::default();
        head.columns(number, Range::ALL, &mut columns).unwrap();
        (head.labels(number).clone(), columns)
    });
    let of_log: Series = of_log.collect();
    let mut kept = sent.series.clone();
    for (labels, columns) in &mut kept {
        if labels.value("kind") == "odd" {
            let end = start + 300_000;
            *columns = within(columns, Range { start, end });
        }
    }
    assert_same(&of_log, &kept);

    // Another server has nothing but what was written from what was read.
    let mut second = Server::prometheus().unwrap();
    second.add_arguments(&flags);
    std::fs::create_dir_all(second.data_path()).unwrap();
    write_blocks(&second.data_path(), &read);
    second.start().unwrap();
    for (found, expected) in answers_of_a_release(&second, start)
        .iter()
        .zip(&expected_answers)
    {
        assert!(found == expected, "found\n{found}\nexpected\n{expected}");
    }
    second.process().signal(Signal::TERM).unwrap();
    second.process().wait_end(ended).unwrap();
    let data = second.data_path().display().to_string();
    let listed = promtool(&["tsdb", "list", &data]);
    assert_eq!(
        listed.lines().count(),
        1 + blocks(&second.data_path()).len()
    );
}
