//! `ferula tsdb list|analyze|verify|repair|dump`, beside a server and without one.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use ferula_e2e::http::Request;
use ferula_e2e::remote_write::{self, EncodedLabels, WriteRequest};
use ferula_e2e::server::{Kind, Server, now_ms, server_binary};
use ferula_e2e::wait_for;
use rustix::process::Signal;

/// More than any of this takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

const MINUTE: i64 = 60_000;

/// What a command said, and whether it was content.
struct Said {
    good: bool,
    out: String,
    err: String,
}

fn tsdb(arguments: &[&str], dir: &Path) -> Said {
    let mut command = Command::new(server_binary().expect("ferula builds"));
    command.arg("tsdb").args(arguments).arg(dir);
    let done = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said {
        good: done.status.success(),
        out: text(&done.stdout),
        err: text(&done.stderr),
    }
}

/// A server with eight hours of two series, of which six are in blocks.
fn filled() -> Option<Server> {
    let server = Server::ferula().expect("ferula builds");
    if server.kind() != Kind::Ferula {
        return None; // these are its own commands
    }
    let server = server.started("scrape_configs: []\n").expect("it starts");
    let end = now_ms() / MINUTE * MINUTE;
    for hour in (0..8).rev() {
        let mut request = WriteRequest::default();
        for i in ["0", "1"] {
            let labels = EncodedLabels::new([("__name__", "m_total"), ("i", i)]);
            let minutes = (0..60).map(|m| end - (hour * 60 + 59 - m) * MINUTE);
            request.push(&labels, minutes.map(|t| (t, 0.5)));
        }
        let sent = server.client().send(&Request {
            method: "POST",
            path: remote_write::PATH,
            headers: &remote_write::HEADERS,
            body: &request.body(),
        });
        assert_eq!(sent.expect("an answer").status, 204);
    }
    wait_for("blocks", LIMIT, || {
        let rows = tsdb(&["list"], &server.data_path()).out.lines().count();
        ensure!(rows >= 3, "{rows} lines");
        Ok(())
    })
    .expect("blocks are cut");
    Some(server)
}

fn stop(server: &mut Server) {
    server.process().signal(Signal::TERM).expect("it runs");
    let status = server.process().wait_end(LIMIT).expect("it ends");
    assert!(status.success(), "{status}");
}

/// The folder of one block.
fn a_block(dir: &Path) -> PathBuf {
    let mut blocks = std::fs::read_dir(dir.join("b")).expect("blocks");
    blocks.next().expect("a block").expect("a block").path()
}

#[test]
fn a_sound_directory_is_shown_beside_its_server() {
    let Some(server) = filled() else { return };
    let dir = server.data_path();
    let listed = tsdb(&["list", "-r"], &dir);
    assert!(listed.good, "{}", listed.err);
    assert!(listed.out.starts_with("BLOCK ULID"), "{}", listed.out);
    assert!(listed.out.contains("  2h  "), "{}", listed.out);
    let verified = tsdb(&["verify"], &dir);
    assert!(verified.good, "{}{}", verified.out, verified.err);
    assert!(verified.out.contains("the head has"), "{}", verified.out);
    let analyzed = tsdb(&["analyze"], &dir);
    for text in [
        "Total Series: 2",
        "Label pairs: 3",
        "\n2 m_total\n",
        "2 __name__=m_total",
    ] {
        assert!(
            analyzed.out.contains(text),
            "{text}: {}{}",
            analyzed.out,
            analyzed.err
        );
    }
    let dumped = tsdb(&["dump", "--match", r#"{i="1"}"#], &dir);
    let lines: Vec<&str> = dumped.out.lines().collect();
    assert_eq!(lines.len(), 480, "{}", dumped.err);
    let start = r#"{__name__="m_total", i="1"} 0.5 "#;
    assert!(
        lines.iter().all(|line| line.starts_with(start)),
        "{}",
        lines[0]
    );
    let taken = tsdb(&["repair", "--give-up-damaged-blocks"], &dir);
    assert!(
        !taken.good && taken.err.contains("is in use by another process"),
        "{}",
        taken.err
    );
    let nothing = tsdb(&["repair"], &dir);
    assert!(
        nothing.good && nothing.out.contains("nothing to repair"),
        "{}",
        nothing.out
    );
    let nowhere = tsdb(&["list"], &dir.join("b"));
    assert!(
        nowhere.err.contains("no data directory of Ferula"),
        "{}",
        nowhere.err
    );
}

#[test]
fn a_damaged_block_is_named_and_can_be_given_up() {
    let Some(mut server) = filled() else { return };
    stop(&mut server);
    let dir = server.data_path();
    let samples = tsdb(&["dump"], &dir).out.lines().count();
    assert_eq!(samples, 960);
    let block = a_block(&dir);
    let id = block
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let chunks = block.join("chunks-000");
    let mut bytes = std::fs::read(&chunks).expect("chunks");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&chunks, bytes).expect("written");

    let verified = tsdb(&["verify"], &dir);
    assert!(!verified.good);
    let named = format!("DAMAGED  b/{id}: ");
    assert!(verified.out.contains(&named), "{}", verified.out);
    assert!(verified.out.contains("put b/"), "{}", verified.out);
    let told = tsdb(&["repair"], &dir);
    assert!(
        told.good && told.out.contains("takes 1 blocks out"),
        "{}",
        told.out
    );
    assert!(block.exists());
    let repaired = tsdb(&["repair", "--give-up-damaged-blocks"], &dir);
    assert!(repaired.good, "{}{}", repaired.out, repaired.err);
    assert!(!block.exists() && dir.join("quarantine").join(&id).join("meta").exists());
    let verified = tsdb(&["verify"], &dir);
    assert!(verified.good, "{}", verified.out);
    server.start().expect("it starts with the rest");
    let left = tsdb(&["dump"], &dir).out.lines().count();
    assert!((1..samples).contains(&left), "{left}");
}
