//! Deleting series, snapshots and retention, as an operator asks for them over HTTP.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use anyhow::{Context as _, ensure};
use ferula_e2e::answer::Series;
use ferula_e2e::http::{Request, Response};
use ferula_e2e::remote_write::{self, EncodedLabels, WriteRequest};
use ferula_e2e::server::{Kind, Server, now_ms};
use ferula_e2e::wait_for;
use serde_json::Value;

/// More than any of this takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// A server with ten hours of samples, most of them in blocks, and the time of the last one.
fn filled() -> (Server, i64) {
    let mut server = Server::ferula().expect("ferula builds");
    server.add_arguments(&[
        "--web.enable-admin-api",
        "--web.enable-lifecycle",
        // Not merged, so that their number does not depend on the hour of the day.
        "--storage.tsdb.max-block-duration=2h",
    ]);
    let server = server.started("scrape_configs: []\n").expect("it starts");
    let end = now_ms() / MINUTE * MINUTE;
    for hour in (0..10).rev() {
        let mut request = WriteRequest::default();
        for name in ["good_total", "bad_total"] {
            for i in ["0", "1"] {
                let labels = EncodedLabels::new([("__name__", name), ("i", i)]);
                let minutes = (0..60).map(|m| end - hour * HOUR - (59 - m) * MINUTE);
                request.push(&labels, minutes.map(|t| (t, (t / MINUTE % 1_000) as f64)));
            }
        }
        push(&server, &request);
    }
    wait_for("blocks", LIMIT, || {
        let count = blocks(&server)?.len();
        ensure!(count >= 3, "{count} blocks");
        Ok(())
    })
    .expect("blocks are cut");
    (server, end)
}

fn push(server: &Server, request: &WriteRequest) {
    let sent = server.client().send(&Request {
        method: "POST",
        path: remote_write::PATH,
        headers: &remote_write::HEADERS,
        body: &request.body(),
    });
    let sent = sent.expect("an answer");
    assert_eq!(sent.status, 204, "{}", sent.text());
}

fn json(response: &Response) -> anyhow::Result<Value> {
    let text = response.text();
    serde_json::from_str(&text).with_context(|| text.clone())
}

fn get(server: &Server, path: &str) -> anyhow::Result<Value> {
    json(&server.client().get(path)?)
}

fn blocks(server: &Server) -> anyhow::Result<Vec<Value>> {
    let answer = get(server, "/api/v1/status/tsdb/blocks")?;
    let blocks = answer["data"]["blocks"].as_array();
    blocks.cloned().with_context(|| answer.to_string())
}

fn admin(server: &Server, path: &str, form: &[(&str, &str)]) -> Response {
    let path = format!("/api/v1/admin/tsdb/{path}");
    server.client().post_form(&path, form).expect("an answer")
}

/// All samples of the last ten hours.
fn everything(server: &Server, end: i64) -> Vec<Series> {
    let query = r#"{__name__=~"good_total|bad_total"}"#;
    let answer = server.query_range(query, end - 10 * HOUR, end, MINUTE);
    answer.expect("an answer").series
}

fn names(server: &Server) -> Vec<String> {
    let answer = get(server, "/api/v1/label/__name__/values").expect("an answer");
    let names = answer["data"].as_array().expect("names");
    names
        .iter()
        .filter_map(|n| Some(n.as_str()?.to_owned()))
        .collect()
}

#[test]
fn what_is_deleted_is_gone_and_stays_so() {
    let (mut server, end) = filled();
    if server.kind() != Kind::Ferula {
        return; // the reference keeps names until it compacts
    }
    let before = everything(&server, end);
    assert_eq!(before.len(), 4);
    let deleted = admin(&server, "delete_series", &[("match[]", "bad_total")]);
    assert_eq!((deleted.status, deleted.text()), (204, String::new()));
    let check = |server: &Server, context: &str| {
        let after = everything(server, end);
        assert_eq!(after.len(), 2, "{context}");
        assert!(
            after.iter().all(|series| before.contains(series)),
            "{context}"
        );
        assert_eq!(names(server), ["good_total"], "{context}");
    };
    check(&server, "at once");
    server.kill();
    server.start().expect("it starts again");
    check(&server, "after a crash");
    let tombstones = |server: &Server| -> u64 {
        let blocks = blocks(server).expect("blocks");
        let of = |block: &Value| block["stats"]["numTombstones"].as_u64();
        blocks.iter().filter_map(of).sum()
    };
    assert!(tombstones(&server) > 0);
    let samples = |server: &Server| -> u64 {
        let blocks = blocks(server).expect("blocks");
        let of = |block: &Value| block["stats"]["numSamples"].as_u64();
        blocks.iter().filter_map(of).sum()
    };
    let with_deleted = samples(&server);
    assert_eq!(admin(&server, "clean_tombstones", &[]).status, 204);
    assert_eq!(
        (tombstones(&server), samples(&server)),
        (0, with_deleted / 2)
    );
    check(&server, "cleaned");
    // Written after the deletion, to its range.
    let mut request = WriteRequest::default();
    let labels = EncodedLabels::new([("__name__", "bad_total"), ("i", "0")]);
    request.push(&labels, [(end + 1, 5.0)]);
    push(&server, &request);
    let value = server.query("bad_total", end + 1).expect("an answer");
    assert_eq!(value.only_value(), Some(5.0));
}

#[test]
fn a_snapshot_answers_as_the_server_did() {
    let (server, end) = filled();
    let before = everything(&server, end);
    let made = json(&admin(&server, "snapshot", &[])).expect("an answer");
    let name = made["data"]["name"].as_str().expect("a name").to_owned();
    assert_eq!(
        name.len(),
        "20060102T150405Z-0123456789abcdef".len(),
        "{name}"
    );
    let folder = server.data_path().join("snapshots").join(&name);
    let mut restored = Server::ferula().expect("ferula builds");
    let folder = folder.to_str().expect("a path").to_owned();
    restored.add_arguments(&["--storage.tsdb.path", &folder]);
    let restored = restored.started("scrape_configs: []\n").expect("it starts");
    assert_eq!(everything(&restored, end), before);
    assert_eq!(names(&restored), names(&server));
    // Where its samples are: all in blocks, none in the head.
    if server.kind() == Kind::Ferula {
        let path = "/api/ferula/v1/series?match[]=good_total";
        let of = |server: &Server| get(server, path).expect("an answer")["data"].clone();
        let (here, there) = (of(&server), of(&restored));
        assert_eq!(here[0]["active"], true, "{here}");
        assert!(here[0]["head"]["samples"].as_u64() > Some(60), "{here}");
        assert_eq!(there[0]["head"], Value::Null, "{there}");
        assert_eq!(here[0]["minTime"], there[0]["minTime"]);
        assert_eq!(here[0]["maxTime"], there[0]["maxTime"]);
    }
}

#[test]
fn retention_follows_the_configuration() {
    let (server, _) = filled();
    let count = blocks(&server).expect("blocks").len();
    let config = |retention: &str| {
        format!("scrape_configs: []\nstorage: {{tsdb: {{retention: {retention}}}}}\n")
    };
    let reload = |text: String| {
        server.write_config(&text).expect("written");
        let reloaded = server.client().post_form("/-/reload", &[]);
        assert_eq!(reloaded.expect("an answer").status, 200);
        let info = get(&server, "/api/v1/status/runtimeinfo").expect("an answer");
        info["data"]["storageRetention"].as_str().map(str::to_owned)
    };
    assert_eq!(
        reload(config("{time: 30d, size: 5GB}")).as_deref(),
        Some("30d or 5GiB")
    );
    assert_eq!(blocks(&server).expect("blocks").len(), count);
    assert_eq!(reload(config("{time: 1h}")).as_deref(), Some("1h"));
    wait_for("blocks to expire", LIMIT, || {
        let left = blocks(&server)?.len();
        ensure!(left == 1, "{left} blocks");
        Ok(())
    })
    .expect("all but the newest expire");
}
