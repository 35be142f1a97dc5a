//! What an operator does: start with nothing, start with a mistake, reload, look, stop.
#![allow(clippy::disallowed_methods)]

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ferula_e2e::http::Client;
use ferula_e2e::process::{Process, free_address};
use ferula_e2e::server::{Kind, Server, server_binary};
use ferula_e2e::wait_for;
use rustix::process::Signal;
use serde_json::Value;

/// More than any of this takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn starts_with_nothing_and_says_what_it_does() {
    let server = Server::ferula().expect("ferula builds");
    if server.kind() != Kind::Ferula {
        return; // the reference needs a configuration file
    }
    let folder = tempfile::tempdir().expect("a folder");
    let address = free_address().expect("a port");
    let mut command = Command::new(server_binary().expect("ferula builds"));
    command.args(["serve", "--web.listen-address", &address.to_string()]);
    command.current_dir(folder.path());
    let mut process = Process::start("ferula", &mut command, folder.path()).expect("it starts");
    let mut client = Client::new(address);
    wait_for("ferula to be ready", LIMIT, || {
        let response = client.get("/-/ready")?;
        ensure!(response.status == 200, "{}", response.status);
        Ok(())
    })
    .expect("ready");
    let health = wait_for("ferula to scrape itself", LIMIT, || {
        let text = client.get("/api/v1/targets")?.text();
        let json: Value = serde_json::from_str(&text)?;
        let target = &json["data"]["activeTargets"][0];
        ensure!(target["health"] == "up", "{text}");
        Ok(target["scrapeInterval"].clone())
    });
    assert_eq!(health.expect("up"), "15s");
    assert!(
        folder.path().join("ferula-data").is_dir(),
        "stores in ./ferula-data"
    );
    let log = process.log();
    for word in [&address.to_string(), "ferula-data", "15s"] {
        assert!(log.contains(word), "the greeting names {word}:\n{log}");
    }
    for path in ["/play", "/"] {
        let page = client.get(path).expect("a page");
        assert_eq!(page.status, 200, "{path}");
        assert!(
            page.text().to_lowercase().contains("<!doctype html"),
            "{path}"
        );
    }
    process.signal(Signal::TERM).expect("it runs");
    let status = process.wait_end(LIMIT).expect("it ends");
    assert!(status.success(), "{status}");
}

#[test]
fn a_mistake_in_the_configuration_is_shown_in_its_place() {
    let server = Server::ferula().expect("ferula builds");
    let text = "global:\n  scrape_interval: 15s\n  scrape_intervall: 5s\nscrape_configs: []\n";
    let error = server
        .started(text)
        .expect_err("it refuses to start")
        .to_string();
    assert!(error.contains("scrape_intervall"), "{error}");
    assert!(
        error.contains("prometheus.yml:3") || error.contains("line 3"),
        "{error}"
    );
}

#[test]
fn reload_is_all_or_nothing() {
    let config = |job: &str, more: &str| {
        format!(
            "scrape_configs:\n- {{job_name: {job}, scrape_interval: 1s, scrape_timeout: 1s, \
             static_configs: [{{targets: ['127.0.0.1:1']}}]}}\n{more}"
        )
    };
    let mut server = Server::ferula().expect("ferula builds");
    server.write_config(&config("first", "")).expect("written");
    server.start().expect("the server starts");
    let jobs = |server: &Server, wanted: &str| {
        wait_for(&format!("job {wanted}"), LIMIT, || {
            let json = get(server, "/api/v1/targets")?;
            let targets = json["data"]["activeTargets"]
                .as_array()
                .context("no targets")?;
            let jobs: Vec<_> = targets
                .iter()
                .map(|target| &target["labels"]["job"])
                .collect();
            ensure!(jobs == [wanted], "{jobs:?}");
            Ok(())
        })
    };
    let reloaded = |server: &Server, wanted: bool| {
        wait_for("the reload to be noted", LIMIT, || {
            let json = get(server, "/api/v1/status/runtimeinfo")?;
            ensure!(json["data"]["reloadConfigSuccess"] == wanted, "{json}");
            Ok(())
        })
    };
    jobs(&server, "first").expect("the first configuration acts");

    server.write_config(&config("second", "")).expect("written");
    server.process().signal(Signal::HUP).expect("it runs");
    jobs(&server, "second").expect("SIGHUP loads the second configuration");

    server
        .write_config(&config("third", "nonsense: true\n"))
        .expect("written");
    server.process().signal(Signal::HUP).expect("it runs");
    reloaded(&server, false).expect("a bad configuration is noted");
    jobs(&server, "second").expect("a bad configuration changes nothing");
    assert!(
        server.process().log().contains("nonsense"),
        "the log names the mistake"
    );

    let forbidden = server
        .client()
        .post_form("/-/reload", &[])
        .expect("an answer");
    assert_eq!(forbidden.status, 403, "{}", forbidden.text());
    let forbidden = server
        .client()
        .post_form("/-/quit", &[])
        .expect("an answer");
    assert_eq!(forbidden.status, 403, "{}", forbidden.text());

    server.kill();
    server.add_arguments(&["--web.enable-lifecycle"]);
    server.write_config(&config("fourth", "")).expect("written");
    server.start().expect("the server starts");
    server
        .write_config(&config("fifth", "nonsense: true\n"))
        .expect("written");
    let refused = server
        .client()
        .post_form("/-/reload", &[])
        .expect("an answer");
    assert_eq!(refused.status, 500, "{}", refused.text());
    assert!(refused.text().contains("nonsense"), "{}", refused.text());
    jobs(&server, "fourth").expect("a bad configuration changes nothing");
    server.write_config(&config("fifth", "")).expect("written");
    let reload = server
        .client()
        .post_form("/-/reload", &[])
        .expect("an answer");
    assert_eq!(reload.status, 200, "{}", reload.text());
    jobs(&server, "fifth").expect("/-/reload loads the fifth configuration");
    reloaded(&server, true).expect("a good configuration is noted");

    let quit = server
        .client()
        .post_form("/-/quit", &[])
        .expect("an answer");
    assert_eq!(quit.status, 200, "{}", quit.text());
    let status = server.process().wait_end(LIMIT).expect("it ends");
    assert!(status.success(), "{status}");
}

#[test]
fn the_flags_of_the_reference_are_known() {
    let mut server = Server::ferula().expect("ferula builds");
    server.add_arguments(&[
        "--web.enable-lifecycle",
        "--storage.tsdb.retention.time=30d",
        "--query.timeout=1m",
        "--query.max-samples=1000000",
        "--log.level=warn",
    ]);
    let server = server.started("").expect("it starts");
    let flags = get(&server, "/api/v1/status/flags").expect("an answer");
    assert_eq!(flags["data"]["query.max-samples"], "1000000", "{flags}");
    assert_eq!(flags["data"]["web.enable-lifecycle"], "true", "{flags}");
}

fn get(server: &Server, path: &str) -> anyhow::Result<Value> {
    let text = server.client().get(path)?.text();
    serde_json::from_str(&text).with_context(|| text.clone())
}
