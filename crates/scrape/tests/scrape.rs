//! What one target's scrapes leave in the store.
#![allow(clippy::unwrap_used)] // helpers outside of test functions

mod support;

use ferula_exposition::ScrapeProtocol;
use ferula_model::{Labels, MetricKind};
use ferula_scrape::Health;
use support::{START_MS, World, serve};

#[tokio::test]
async fn samples_and_report_are_stored() {
    let server = serve("# TYPE a counter\n# HELP a what\na 1\nb{x=\"y\"} 2.5\n").await;
    let world = World::with_target(&server, |_| {}).await;
    world.tick().await;
    assert_eq!(world.samples(&server, "a"), "1@10 1@20");
    assert_eq!(world.samples(&server, "up"), "1@10 1@20");
    assert_eq!(
        world.samples(&server, "scrape_samples_scraped"),
        "2@10 2@20"
    );
    assert_eq!(
        world.samples(&server, "scrape_samples_post_metric_relabeling"),
        "2@10 2@20"
    );
    assert_eq!(world.samples(&server, "scrape_series_added"), "2@10 0@20");
    assert_eq!(
        world.samples(&server, "scrape_duration_seconds"),
        "0@10 0@20"
    );
    assert_eq!(world.store.names().len(), 7);
    let target = &world.manager.active_targets()[0];
    assert_eq!(
        (target.health, target.last_error.as_str()),
        (Health::Up, "")
    );
    assert_eq!(target.last_scrape, Some(START_MS + 20_000));
    assert_eq!(target.scrape_url, format!("http://{}/metrics", server.addr));
    let mut seen = Vec::new();
    world
        .manager
        .visit_metadata(None, |labels, family, metadata| {
            assert_eq!(labels, &target.labels);
            seen.push((family.to_owned(), metadata.kind, metadata.help.to_string()));
        });
    assert_eq!(
        seen,
        [("a".to_owned(), MetricKind::Counter, "what".to_owned())]
    );
}

#[tokio::test]
async fn a_known_series_is_named_by_reference() {
    let body: String = (0..100).map(|i| format!("m{{i=\"{i}\"}} {i}\n")).collect();
    let server = serve(&body).await;
    let world = World::with_target(&server, |_| {}).await;
    assert_eq!(world.store.by_labels(), 105);
    for _ in 0..10 {
        world.tick().await;
    }
    assert_eq!(world.store.by_labels(), 105);
}

#[tokio::test]
async fn what_vanishes_is_marked_once() {
    let server = serve("a 1\nb 1\n").await;
    let world = World::with_target(&server, |_| {}).await;
    server.show("a 2\n");
    world.tick().await;
    world.tick().await;
    server.show("b 3\na 3\n");
    world.tick().await;
    assert_eq!(world.samples(&server, "a"), "1@10 2@20 2@30 3@40");
    assert_eq!(world.samples(&server, "b"), "1@10 stale@20 3@40");
    server.show("");
    world.tick().await;
    assert_eq!(world.samples(&server, "a"), "1@10 2@20 2@30 3@40 stale@50");
    assert_eq!(world.samples(&server, "up"), "1@10 1@20 1@30 1@40 1@50");
}

#[tokio::test]
async fn a_failed_scrape_marks_everything() {
    let server = serve("a 1\n").await;
    let world = World::with_target(&server, |_| {}).await;
    server.page.lock().status = "500 Internal Server Error";
    world.tick().await;
    assert_eq!(
        world.last_error(),
        "server returned HTTP status 500 Internal Server Error"
    );
    assert_eq!(world.manager.active_targets()[0].health, Health::Down);
    world.tick().await;
    server.page.lock().status = "200 OK";
    world.tick().await;
    assert_eq!(world.samples(&server, "a"), "1@10 stale@20 1@40");
    assert_eq!(world.samples(&server, "up"), "1@10 0@20 0@30 1@40");
    assert_eq!(
        world.samples(&server, "scrape_samples_scraped"),
        "1@10 0@20 0@30 1@40"
    );
    assert_eq!(world.last_error(), "");
}

#[tokio::test]
async fn a_malformed_body_is_not_stored_in_part() {
    let server = serve("a 1\nb 1\n").await;
    let world = World::with_target(&server, |_| {}).await;
    server.show("a 2\nnew 1\nb {\n");
    world.tick().await;
    assert!(
        world.last_error().starts_with("line 3, "),
        "{}",
        world.last_error()
    );
    assert_eq!(world.samples(&server, "a"), "1@10 stale@20");
    assert_eq!(world.samples(&server, "b"), "1@10 stale@20");
    assert_eq!(world.samples(&server, "new"), "");
    assert_eq!(
        world.samples(&server, "scrape_samples_scraped"),
        "2@10 2@20"
    );
    assert_eq!(world.samples(&server, "up"), "1@10 0@20");
    server.show("a 3\nnew 3\nb 3\n");
    world.tick().await;
    assert_eq!(world.samples(&server, "new"), "3@30");
    assert_eq!(
        world.samples(&server, "scrape_series_added"),
        "2@10 1@20 1@30"
    );
}

#[tokio::test]
async fn limits_fail_the_scrape_when_exceeded() {
    let server = serve("a 1\nb 1\nc_dropped 1\n").await;
    let drop_c = ferula_relabel::Rule::new(ferula_relabel::RuleConfig {
        action: ferula_relabel::Action::Drop,
        source_labels: vec!["__name__".to_owned()],
        regex: "c_.*".to_owned(),
        ..Default::default()
    })
    .unwrap();
    let world = World::with_target(&server, |job| {
        job.limits.sample_limit = 2;
        job.limits.body_size_limit = 100;
        job.limits.label_limit = 4;
        job.metric_relabel_configs = vec![drop_c];
        job.extra_scrape_metrics = true;
    })
    .await;
    server.show("a 2\nb 2\nd 2\nc_dropped 2\n");
    world.tick().await;
    assert_eq!(world.last_error(), "sample limit exceeded");
    server.show(&format!("a 3\n{}\n", "#".repeat(95)));
    world.tick().await;
    assert_eq!(world.last_error(), "body size limit exceeded");
    server.show(&format!("a 3\n{}\n", "#".repeat(94)));
    world.tick().await;
    assert_eq!(world.last_error(), "");
    server.show("a{x=\"1\"} 1\na{x=\"1\",y=\"1\"} 1\n");
    world.tick().await;
    assert!(
        world.last_error().starts_with("label_limit exceeded"),
        "{}",
        world.last_error()
    );
    assert_eq!(world.samples(&server, "a"), "1@10 stale@20 3@40 stale@50");
    assert_eq!(world.samples(&server, "up"), "1@10 0@20 0@30 1@40 0@50");
    assert_eq!(
        world.samples(&server, "scrape_samples_scraped"),
        "3@10 4@20 0@30 1@40 2@50"
    );
    let after = world.samples(&server, "scrape_samples_post_metric_relabeling");
    assert_eq!(after, "2@10 3@20 0@30 1@40 1@50");
    assert_eq!(
        world.samples(&server, "scrape_body_size_bytes"),
        "20@10 24@20 -1@30 99@40 28@50"
    );
    assert_eq!(
        world.samples(&server, "scrape_sample_limit"),
        "2@10 2@20 2@30 2@40 2@50"
    );
    let metrics = world.manager.metrics();
    assert_eq!(metrics.scrapes_exceeded_sample_limit.get(), 1);
    assert_eq!(metrics.scrapes_exceeded_body_size_limit.get(), 1);
    assert_eq!(metrics.scrape_pool_exceeded_label_limits.get(), 1);
}

#[tokio::test]
async fn bad_samples_are_left_out_and_counted() {
    let now = START_MS + 10_000;
    let late = now + 11 * 60_000;
    let server = serve(&format!("a 1\na 2\nb 1 {late}\nc 1 {}\nd 1\n", now - 5_000)).await;
    let world = World::with_target(&server, |_| {}).await;
    assert_eq!(world.samples(&server, "a"), "1@10");
    assert_eq!(world.samples(&server, "b"), "");
    assert_eq!(world.samples(&server, "c"), "1@5");
    assert_eq!(world.samples(&server, "up"), "1@10");
    assert_eq!(world.samples(&server, "scrape_samples_scraped"), "5@10");
    server.show(&format!("a 1\na 2\nc 2 {}\n", now - 6_000));
    world.tick().await;
    // What says its own time gets no marker; a repeated line counts when it is known, too.
    assert_eq!(world.samples(&server, "c"), "1@5");
    assert_eq!(world.samples(&server, "d"), "1@10 stale@20");
    let metrics = world.manager.metrics();
    assert_eq!(metrics.scrapes_sample_duplicate_timestamp.get(), 2);
    assert_eq!(metrics.scrapes_sample_out_of_bounds.get(), 1);
    assert_eq!(metrics.scrapes_sample_out_of_order.get(), 1);
}

#[tokio::test]
async fn exposed_timestamps_may_be_ignored() {
    let server = serve("a 1 1000\na 2 1000\n").await;
    let world = World::with_target(&server, |job| job.honor_timestamps = false).await;
    server.show("");
    world.tick().await;
    assert_eq!(world.samples(&server, "a"), "1@10 stale@20");
}

#[tokio::test]
async fn the_content_type_must_be_known() {
    let server = serve("a 1\n").await;
    server.page.lock().content_type = "";
    let world = World::with_target(&server, |_| {}).await;
    assert!(
        world.last_error().contains("blank Content-Type"),
        "{}",
        world.last_error()
    );
    assert_eq!(world.samples(&server, "up"), "0@10");
    server.page.lock().content_type = "application/openmetrics-text; version=1.0.0";
    server.show("a 1\n# EOF\n");
    world.tick().await;
    assert_eq!(world.samples(&server, "a"), "1@20");
    let fallback = Some(ScrapeProtocol::PrometheusText0_0_4);
    world
        .configure(&[support::job(|job| job.fallback_scrape_protocol = fallback)])
        .await;
    server.page.lock().content_type = "";
    server.show("a 2\n");
    world.tick().await;
    assert_eq!(world.samples(&server, "a"), "1@20 2@30");
}

#[tokio::test]
async fn references_that_get_old_lose_nothing() {
    let server = serve("a 1\nb 1\nc 1\n").await;
    let world = World::with_target(&server, |_| {}).await;
    let by_labels = world.store.by_labels();
    // What vanishes with the first scrape after it is marked, too.
    world.store.rename();
    server.show("a 2\nc 2\n");
    world.tick().await;
    world.store.rename();
    server.page.lock().status = "503 Busy";
    world.tick().await;
    world.store.rename();
    server.page.lock().status = "200 OK";
    world.tick().await;
    assert_eq!(world.samples(&server, "a"), "1@10 2@20 stale@30 2@40");
    assert_eq!(world.samples(&server, "b"), "1@10 stale@20");
    assert_eq!(world.samples(&server, "c"), "1@10 2@20 stale@30 2@40");
    assert_eq!(world.samples(&server, "up"), "1@10 1@20 0@30 1@40");
    assert_eq!(world.store.by_labels(), by_labels);
}

#[tokio::test]
async fn a_store_that_forgot_is_told_again() {
    let server = serve("a 1\nb 1\n").await;
    let world = World::with_target(&server, |_| {}).await;
    world.store.renumber();
    server.show("a 2\nc 2\n");
    world.tick().await;
    world.tick().await;
    for metric in ["up", "scrape_duration_seconds"] {
        assert!(world.samples(&server, metric).ends_with("@30"), "{metric}");
    }
    assert_eq!(world.samples(&server, "a"), "1@10 2@20 2@30");
    assert_eq!(world.samples(&server, "c"), "2@20 2@30");
    assert_eq!(
        world.samples(&server, "scrape_series_added"),
        "2@10 1@20 0@30"
    );
    // Fetch failures tell it again, too.
    world.store.renumber();
    server.page.lock().status = "503 Busy";
    world.tick().await;
    assert_eq!(world.samples(&server, "up"), "1@10 1@20 1@30 0@40");
}

#[tokio::test]
async fn what_could_not_be_stored_is_not_taken_for_stored() {
    let server = serve("a 1\nb 1\n").await;
    let world = World::with_target(&server, |_| {}).await;
    world.store.refuse(true);
    server.show("a 2\nc 2\n");
    world.tick().await;
    assert_eq!(
        world.last_error(),
        "the scrape was not stored: overloaded: the test says so"
    );
    world.store.refuse(false);
    world.tick().await;
    assert_eq!(world.samples(&server, "a"), "1@10 2@30");
    assert_eq!(world.samples(&server, "b"), "1@10 stale@30");
    assert_eq!(world.samples(&server, "c"), "2@30");
    assert_eq!(world.samples(&server, "up"), "1@10 1@30");
}

#[tokio::test]
async fn honoured_labels_and_renames_reach_the_store() {
    let server = serve("a{instance=\"x\",job=\"k\"} 1\n").await;
    let world = World::with_target(&server, |_| {}).await;
    let instance = server.addr.to_string();
    let renamed = Labels::from_pairs([
        ("__name__", "a"),
        ("exported_instance", "x"),
        ("exported_job", "k"),
        ("instance", &instance),
        ("job", "j"),
    ]);
    assert_eq!(world.samples_of(&renamed), "1@10");
    world
        .configure(&[support::job(|job| job.honor_labels = true)])
        .await;
    world.tick().await;
    let own = Labels::from_pairs([("__name__", "a"), ("instance", "x"), ("job", "k")]);
    assert_eq!(world.samples_of(&own), "1@20");
    // The series that the old configuration made is gone.
    assert_eq!(world.samples_of(&renamed), "1@10 stale@20");
}

#[tokio::test]
async fn a_long_body_is_read_as_a_short_one() {
    let body: String = (0..60_000)
        .map(|i| format!("metric_{i}{{label=\"v\"}} 1\n"))
        .collect();
    assert!(body.len() > 1 << 20);
    let server = serve(&body).await;
    let world = World::with_target(&server, |_| {}).await;
    world.tick().await;
    assert_eq!(
        world.samples(&server, "scrape_samples_scraped"),
        "60000@10 60000@20"
    );
    assert_eq!(
        world.samples(&server, "scrape_series_added"),
        "60000@10 0@20"
    );
}

/// Whatever order and choice of series a target shows, the store has what a store would that
/// was told every sample and every disappearance by name.
#[tokio::test]
async fn as_if_told_by_name() {
    let server = serve("").await;
    let world = World::with_target(&server, |_| {}).await;
    let mut expected = vec![Vec::<String>::new(); 12];
    let mut before = [false; 12];
    let mut random = 12_345u64;
    for _ in 0..100 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let shown: [bool; 12] = std::array::from_fn(|i| random >> (20 + 2 * i) & 3 != 0);
        let turn = (random >> 60) as usize % 12;
        let mut body = String::new();
        for i in (0..12).map(|i| (i + turn) % 12).filter(|i| shown[*i]) {
            body.push_str(&format!("m{i}{{a=\"b\"}} {}\n", random % 7));
        }
        let fails = random >> 50 & 7 == 0;
        if fails {
            body.push_str("broken\n");
        }
        server.show(&body);
        world.tick().await;
        let at = world.second();
        for i in 0..12 {
            let there = shown[i] && !fails;
            if there {
                expected[i].push(format!("{}@{at}", random % 7));
            } else if before[i] {
                expected[i].push(format!("stale@{at}"));
            }
            before[i] = there;
        }
    }
    for (i, expected) in expected.iter().enumerate() {
        let labels = Labels::from_pairs([
            ("__name__", format!("m{i}").as_str()),
            ("a", "b"),
            ("instance", &server.addr.to_string()),
            ("job", "j"),
        ]);
        assert_eq!(world.samples_of(&labels), expected.join(" "), "m{i}");
    }
}
