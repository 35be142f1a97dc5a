//! Targets that come, go and change, and configurations that are replaced.
#![allow(clippy::unwrap_used)] // helpers outside of test functions

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ferula_env::spawn;
use ferula_model::Labels;
use ferula_relabel::{Action, Rule, RuleConfig};
use support::{Server, World, job, serve};

fn rule(action: Action, source: &str, regex: &str) -> Rule {
    let (source_labels, regex) = (vec![source.to_owned()], regex.to_owned());
    let config = RuleConfig {
        action,
        source_labels,
        regex,
        ..RuleConfig::default()
    };
    Rule::new(config).unwrap()
}

fn address(server: &Server) -> String {
    server.addr.to_string()
}

#[tokio::test]
async fn a_target_that_is_gone_is_marked_after_two_intervals() {
    let server = serve("a 1\n").await;
    let world = World::with_target(&server, |_| {}).await;
    world.find(&[]).await;
    world.pass().await;
    assert_eq!(world.samples(&server, "a"), "1@10");
    world.pass().await;
    world.pass().await;
    world.until(|| world.store.batches() == 2).await;
    // Second 20 was the first tick it missed.
    assert_eq!(world.samples(&server, "a"), "1@10 stale@20");
    assert_eq!(world.samples(&server, "up"), "1@10 stale@20");
    assert_eq!(
        world.samples(&server, "scrape_series_added"),
        "1@10 stale@20"
    );
}

#[tokio::test]
async fn a_target_that_comes_back_soon_leaves_no_gap() {
    let server = serve("a 1\n").await;
    let world = World::with_target(&server, |_| {}).await;
    world.find(&[]).await;
    world.pass().await;
    world.find(&[&address(&server)]).await;
    let sent = world.store.by_labels();
    world
        .until(|| world.manager.metrics().scrapes.get() == 2)
        .await;
    for _ in 0..4 {
        world.tick().await;
    }
    assert_eq!(world.samples(&server, "a"), "1@10 1@20 1@30 1@40 1@50 1@60");
    assert_eq!(
        world.store.by_labels(),
        sent,
        "the loop went on with what it knew"
    );
}

#[tokio::test]
async fn a_job_that_is_gone_fades() {
    let server = serve("a 1\n").await;
    let other = serve("b 1\n").await;
    let world = World::with_target(&server, |_| {}).await;
    world.find(&[&address(&other)]).await;
    world.tick().await;
    // One loop runs, one is about to write markers; neither does.
    world.configure(&[]).await;
    for _ in 0..5 {
        world.pass().await;
    }
    assert_eq!(world.samples(&server, "a"), "1@10");
    assert_eq!(world.samples(&other, "b"), "1@20");
    assert!(world.manager.active_targets().is_empty());
}

#[tokio::test]
async fn shutdown_waits_for_the_scrape_in_flight() {
    let server = serve("a 1\n").await;
    let world = World::with_target(&server, |_| {}).await;
    let permits = server.gate.available_permits() as u32;
    let held = server.gate.acquire_many(permits).await.unwrap();
    world.clock.advance(support::INTERVAL);
    world
        .until(|| server.requests.load(Ordering::SeqCst) == 2)
        .await;
    let manager = Arc::clone(&world.manager);
    let stopping = spawn::task(async move { manager.shutdown().await });
    world.settle().await;
    assert!(!stopping.is_finished());
    drop(held);
    stopping.await.unwrap();
    assert_eq!(world.samples(&server, "a"), "1@10 1@20");
    // Nothing starts any more.
    world.configure(&[job(|_| {})]).await;
    assert!(world.manager.active_targets().is_empty());
}

#[tokio::test]
async fn a_hung_target_times_out_and_skips_no_other_tick() {
    let server = serve("a 1\n").await;
    let world = World::with_target(&server, |_| {}).await;
    let permits = server.gate.available_permits() as u32;
    let held = server.gate.acquire_many(permits).await.unwrap();
    world.clock.advance(support::INTERVAL);
    world
        .until(|| server.requests.load(Ordering::SeqCst) == 2)
        .await;
    world.clock.advance(support::INTERVAL);
    // The answer to the request that ran out of time, and to the one of the tick meanwhile due.
    world
        .until(|| server.requests.load(Ordering::SeqCst) == 3)
        .await;
    let error = world.last_error();
    assert_eq!(
        error,
        format!(
            "Get \"http://{}/metrics\": context deadline exceeded",
            server.addr
        )
    );
    drop(held);
    world
        .until(|| world.manager.metrics().scrapes.get() == 3)
        .await;
    assert_eq!(world.samples(&server, "up"), "1@10 0@20 1@30");
    assert_eq!(
        world.samples(&server, "scrape_duration_seconds"),
        "0@10 10@20 0@30"
    );
}

#[tokio::test]
async fn a_reload_of_the_interval_alone_loses_nothing() {
    let server = serve("a 1\n").await;
    let world = World::with_target(&server, |_| {}).await;
    let sent = world.store.by_labels();
    world
        .configure(&[job(|j| j.scrape_interval = Duration::from_secs(20))])
        .await;
    let target = &world.manager.active_targets()[0];
    assert_eq!(target.scrape_interval, Duration::from_secs(20));
    assert!(target.last_scrape.is_some(), "the state survives");
    for scrapes in 2..=3 {
        world.clock.advance(Duration::from_secs(20));
        world
            .until(|| world.manager.metrics().scrapes.get() == scrapes)
            .await;
    }
    assert_eq!(world.samples(&server, "a"), "1@10 1@30 1@50");
    assert_eq!(world.store.by_labels(), sent);
}

#[tokio::test]
async fn unchanged_jobs_are_left_alone() {
    let server = serve("a 1\n").await;
    let world = World::with_target(&server, |_| {}).await;
    let reloads = || world.manager.metrics().scrape_pool_reloads.get();
    world.configure(&[job(|_| {})]).await;
    assert_eq!(reloads(), 0);
    let metric = rule(Action::Drop, "__name__", "b");
    world
        .configure(&[job(|j| j.metric_relabel_configs = vec![metric.clone()])])
        .await;
    assert_eq!(reloads(), 1);
    world
        .configure(&[job(|j| j.metric_relabel_configs = vec![metric.clone()])])
        .await;
    assert_eq!(reloads(), 1);
    world.tick().await;
    assert_eq!(world.samples(&server, "a"), "1@10 1@20");
}

#[tokio::test]
async fn series_a_reload_drops_are_marked() {
    let server = serve("a 1\nb 1\n").await;
    let world = World::with_target(&server, |_| {}).await;
    let metric = rule(Action::Drop, "__name__", "b");
    world
        .configure(&[job(|j| j.metric_relabel_configs = vec![metric])])
        .await;
    world.tick().await;
    assert_eq!(world.samples(&server, "a"), "1@10 1@20");
    assert_eq!(world.samples(&server, "b"), "1@10 stale@20");
}

#[tokio::test]
async fn relabelled_targets_replace_the_old_ones() {
    let server = serve("a 1\n").await;
    let world = World::with_target(&server, |_| {}).await;
    let name_it = Rule::new(RuleConfig {
        target_label: "instance".to_owned(),
        replacement: "named".to_owned(),
        ..RuleConfig::default()
    })
    .unwrap();
    world
        .configure(&[job(|j| j.relabel_configs = vec![name_it])])
        .await;
    world.tick().await;
    let named = Labels::from_pairs([("__name__", "a"), ("instance", "named"), ("job", "j")]);
    assert_eq!(world.samples_of(&named), "1@20");
    world.tick().await;
    world.tick().await;
    world
        .until(|| world.samples(&server, "a") == "1@10 stale@20")
        .await;
}

#[tokio::test]
async fn too_many_targets_are_not_scraped_at_all() {
    let (one, two) = (serve("a 1\n").await, serve("a 1\n").await);
    let world = World::with_target(&one, |j| j.limits.target_limit = 1).await;
    world.find(&[&address(&one), &address(&two)]).await;
    world.tick().await;
    assert_eq!(
        world.last_error(),
        "target_limit exceeded (number of targets: 2, limit: 1)"
    );
    assert_eq!(world.samples(&one, "a"), "1@10 stale@20");
    assert_eq!(world.samples(&two, "up"), "0@20");
    assert_eq!(two.requests.load(Ordering::SeqCst), 0);
    assert_eq!(
        world
            .manager
            .metrics()
            .scrape_pool_exceeded_target_limit
            .get(),
        1
    );
    world.find(&[&address(&one)]).await;
    world.tick().await;
    assert_eq!(world.samples(&one, "a"), "1@10 stale@20 1@30");
}

#[tokio::test]
async fn dropped_targets_are_remembered_in_part_and_counted_in_full() {
    let world = World::new();
    world
        .configure(&[job(|j| {
            j.relabel_configs = vec![rule(Action::Drop, "__address__", "x.*")];
            j.limits.keep_dropped_targets = 2;
        })])
        .await;
    let found = |addresses: &[&str]| {
        let own = addresses
            .iter()
            .map(|a| Labels::from_pairs([("__address__", a)]))
            .collect();
        let labels = Labels::from_pairs([("__meta_zone", "a")]);
        let group = ferula_discovery::TargetGroup {
            source: "0".into(),
            targets: own,
            labels,
        };
        [("j".to_owned(), vec![group])].into_iter().collect()
    };
    world.targets.send_replace(Arc::new(found(&[
        "x1",
        "x2",
        "x3",
        "y:1",
        "y:1",
        "bad/address",
    ])));
    world
        .until(|| world.manager.active_targets().len() == 1)
        .await;
    let dropped = world.manager.dropped_targets();
    assert_eq!(dropped.len(), 2);
    assert_eq!(dropped[0].discovered_labels.get("__meta_zone"), Some("a"));
    let status = &world.manager.pools()[0];
    assert_eq!(
        (status.active, status.dropped, status.sync_failed),
        (1, 3, 1)
    );
    assert_eq!(world.manager.scrape_pools(), ["j"]);
}

#[tokio::test]
async fn what_discovery_found_before_the_job_was_there_counts() {
    let server = serve("a 1\n").await;
    let world = World::new();
    let own = vec![Labels::from_pairs([("__address__", address(&server))])];
    let group = ferula_discovery::TargetGroup {
        source: "0".into(),
        targets: own,
        labels: Labels::empty(),
    };
    world.targets.send_replace(Arc::new(
        [("j".to_owned(), vec![group])].into_iter().collect(),
    ));
    world.settle().await;
    world.configure(&[job(|_| {})]).await;
    assert_eq!(world.manager.active_targets().len(), 1);
    world.tick().await;
    assert_eq!(world.samples(&server, "a"), "1@10");
}
