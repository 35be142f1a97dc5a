//! The server's own metrics, under the names Prometheus's dashboards and alerts look for where
//! they mean the same.

use std::sync::atomic::Ordering::Relaxed;

use ferula_api::DURATION_BOUNDS;
use ferula_exposition::{HistogramSnapshot, SummarySnapshot, TextWriter};
use ferula_promql::{QUANTILES, Slice};
use ferula_shard::ShardStats;

use crate::host::Process;
use crate::process;

/// The Prometheus whose API and language Ferula speaks; clients choose features by it.
pub(crate) const COMPATIBLE_VERSION: &str = "3.5.0";

/// The page `/metrics`.
pub(crate) fn page(process: &Process) -> String {
    let mut out = TextWriter::new();
    build_and_config(&mut out, process);
    this_process(&mut out, process);
    memory(&mut out);
    http(&mut out, process);
    engine(&mut out, process);
    scrape(&mut out, process);
    if let Some(shard) = process.shard.get() {
        storage(&mut out, &shard.stats());
    }
    out.finish()
}

fn flag(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}

fn build_and_config(out: &mut TextWriter, process: &Process) {
    let build = [
        ("version", COMPATIBLE_VERSION),
        ("ferula_version", env!("CARGO_PKG_VERSION")),
    ];
    out.gauge("prometheus_build_info", "What was built: a constant 1.")
        .sample(&build, 1.0);
    let ready = ferula_api::Host::readiness(process) == ferula_api::Readiness::Ready;
    out.gauge("prometheus_ready", "Whether requests are served.")
        .sample(&[], flag(ready));
    let in_force = process.reloader.in_force();
    out.gauge(
        "prometheus_config_last_reload_successful",
        "Whether the last attempt to read the configuration went well.",
    )
    .sample(&[], flag(in_force.last_reload_ok));
    out.gauge(
        "prometheus_config_last_reload_success_timestamp_seconds",
        "When the configuration in force was read.",
    )
    .sample(&[], in_force.since as f64 / 1_000.0);
}

fn this_process(out: &mut TextWriter, process: &Process) {
    let stats = process::stats(&*process.disk);
    out.counter(
        "process_cpu_seconds_total",
        "User and system CPU time spent.",
    )
    .sample(&[], stats.cpu_seconds);
    out.gauge("process_resident_memory_bytes", "Memory in use.")
        .sample(&[], stats.resident_bytes as f64);
    out.gauge("process_virtual_memory_bytes", "Address space in use.")
        .sample(&[], stats.virtual_bytes as f64);
    out.gauge("process_threads", "Threads of the process.")
        .sample(&[], stats.threads as f64);
    out.gauge("process_open_fds", "Open file descriptors.")
        .sample(&[], stats.open_fds as f64);
    out.gauge("process_max_fds", "File descriptors that may be open.")
        .sample(&[], stats.max_fds as f64);
    out.gauge("process_start_time_seconds", "When the process began.")
        .sample(&[], process.started as f64 / 1_000.0);
}

fn memory(out: &mut TextWriter) {
    use tikv_jemalloc_ctl::{epoch, stats};
    // The numbers are as of the last epoch; without a fresh one they are merely older.
    let _ = epoch::advance();
    let help = "Bytes as the allocator counts them.";
    let mut family = out.gauge("ferula_allocator_bytes", help);
    for (kind, read) in [
        ("allocated", stats::allocated::read()),
        ("active", stats::active::read()),
        ("resident", stats::resident::read()),
        ("retained", stats::retained::read()),
    ] {
        family.sample(&[("kind", kind)], read.unwrap_or(0) as f64);
    }
}

fn http(out: &mut TextWriter, process: &Process) {
    let handlers = process.http.snapshot();
    let mut family = out.counter("prometheus_http_requests_total", "HTTP requests answered.");
    for (handler, stats) in &handlers {
        for (code, count) in &stats.codes {
            let labels = [("handler", &**handler), ("code", &*code.to_string())];
            family.sample(&labels, *count as f64);
        }
    }
    let help = "How long requests took.";
    let mut family = out.histogram("prometheus_http_request_duration_seconds", help);
    for (handler, stats) in &handlers {
        let snapshot = HistogramSnapshot {
            bounds: &DURATION_BOUNDS,
            counts: &stats.durations,
            sum: stats.duration_sum.as_secs_f64(),
        };
        family.histogram(&[("handler", handler)], &snapshot);
    }
}

fn engine(out: &mut TextWriter, process: &Process) {
    let (metrics, options) = (process.engine.metrics(), process.engine.options());
    out.gauge("prometheus_engine_queries", "Queries running or waiting.")
        .sample(&[], process.engine.active_count() as f64);
    out.gauge(
        "prometheus_engine_queries_concurrent_max",
        "Queries that may run at once.",
    )
    .sample(&[], options.concurrency_max as f64);
    out.gauge(
        "ferula_query_memory_bytes",
        "Memory held by queries and by answers on their way out.",
    )
    .sample(&[], process.engine.bytes_held() as f64);
    out.gauge(
        "ferula_query_memory_bytes_max",
        "Memory that queries may hold together.",
    )
    .sample(&[], options.bytes_max_total as f64);
    out.counter(
        "prometheus_engine_query_samples_total",
        "Samples looked at by all queries.",
    )
    .sample(&[], metrics.samples_total.load(Relaxed) as f64);
    out.counter(
        "prometheus_engine_query_samples_read_total",
        "Samples read by all queries: of windows that overlap, only what is new in each.",
    )
    .sample(&[], metrics.samples_read_total.load(Relaxed) as f64);
    out.gauge(
        "prometheus_engine_query_log_enabled",
        "Whether queries are logged.",
    )
    .sample(&[], flag(process.query_log.enabled()));
    out.counter(
        "prometheus_engine_query_log_failures_total",
        "Queries that could not be logged.",
    )
    .sample(&[], process.query_log.failures() as f64);
    let slices = Slice::ALL.map(|slice| (slice.name(), metrics.durations(slice)));
    let mut family = out.summary(
        "prometheus_engine_query_duration_seconds",
        "How long parts of queries take, over the last ten minutes.",
    );
    for (name, taken) in &slices {
        let quantiles: Vec<_> = QUANTILES.into_iter().zip(taken.quantiles).collect();
        let snapshot = SummarySnapshot {
            quantiles: &quantiles,
            sum: taken.sum,
            count: taken.count,
        };
        family.summary(&[("slice", name)], &snapshot);
    }
    let mut family = out.histogram(
        "prometheus_engine_query_duration_histogram_seconds",
        "How long parts of queries take.",
    );
    for (name, taken) in &slices {
        let snapshot = HistogramSnapshot {
            bounds: &ferula_promql::DURATION_BOUNDS,
            counts: &taken.buckets,
            sum: taken.sum,
        };
        family.histogram(&[("slice", name)], &snapshot);
    }
}

fn scrape(out: &mut TextWriter, process: &Process) {
    let m = process.scrape.metrics();
    let mut count = |name: &str, help: &str, value: u64| {
        let name = format!("prometheus_target_{name}_total");
        out.counter(&name, help).sample(&[], value as f64);
    };
    count(
        "scrape_pools",
        "Scrape pools that were to be created.",
        m.scrape_pools.get(),
    );
    count(
        "scrape_pool_reloads",
        "Scrape pools that were to be changed.",
        m.scrape_pool_reloads.get(),
    );
    count(
        "scrapes_exceeded_sample_limit",
        "Scrapes beyond their sample limit.",
        m.scrapes_exceeded_sample_limit.get(),
    );
    count(
        "scrapes_exceeded_body_size_limit",
        "Scrapes beyond their body size limit.",
        m.scrapes_exceeded_body_size_limit.get(),
    );
    count(
        "scrapes_sample_duplicate_timestamp",
        "Scraped samples in conflict with a stored one.",
        m.scrapes_sample_duplicate_timestamp.get(),
    );
    count(
        "scrapes_sample_out_of_order",
        "Scraped samples older than their series' newest.",
        m.scrapes_sample_out_of_order.get(),
    );
    count(
        "scrapes_sample_out_of_bounds",
        "Scraped samples too old or too far in the future.",
        m.scrapes_sample_out_of_bounds.get(),
    );
    count(
        "scrape_pool_exceeded_target_limit",
        "Times a job had more targets than its limit.",
        m.scrape_pool_exceeded_target_limit.get(),
    );
    count(
        "scrape_pool_exceeded_label_limits",
        "Scrapes beyond a label limit.",
        m.scrape_pool_exceeded_label_limits.get(),
    );
    out.counter("ferula_scrapes_total", "Scrapes tried.")
        .sample(&[], m.scrapes.get() as f64);
    out.counter(
        "ferula_scraped_samples_total",
        "Samples exposed to all scrapes.",
    )
    .sample(&[], m.samples_scraped.get() as f64);
    let pools = process.scrape.pools();
    let mut family = out.gauge("prometheus_target_scrape_pool_targets", "Targets scraped.");
    for pool in &pools {
        family.sample(&[("scrape_job", &*pool.scrape_pool)], pool.active as f64);
    }
    let help = "Targets that could not be made.";
    let mut family = out.counter("prometheus_target_sync_failed_total", help);
    for pool in &pools {
        family.sample(
            &[("scrape_job", &*pool.scrape_pool)],
            pool.sync_failed as f64,
        );
    }
}

/// Blocks, and what upkeep has done to them.
fn blocks(out: &mut TextWriter, stats: &ShardStats) {
    let (blocks, upkeep) = (&stats.blocks, &stats.upkeep);
    let mut gauge = |name: &str, help: &str, value: f64| {
        out.gauge(name, help).sample(&[], value);
    };
    gauge(
        "prometheus_tsdb_blocks_loaded",
        "Blocks that are open.",
        blocks.len() as f64,
    );
    gauge(
        "prometheus_tsdb_storage_blocks_bytes",
        "Bytes that blocks take on disk.",
        blocks.iter().map(|b| b.bytes).sum::<u64>() as f64,
    );
    gauge(
        "ferula_block_samples",
        "Samples in blocks.",
        blocks.iter().map(|b| b.samples).sum::<u64>() as f64,
    );
    let oldest = blocks.iter().map(|b| b.range.start).min();
    if let Some(oldest) = oldest.or(stats.head.min_time) {
        gauge(
            "prometheus_tsdb_lowest_timestamp_seconds",
            "Time of the oldest sample, at the earliest.",
            oldest as f64 / 1_000.0,
        );
    }
    let mut count = |name: &str, help: &str, value: f64| {
        out.counter(name, help).sample(&[], value);
    };
    count(
        "prometheus_tsdb_compactions_total",
        "Blocks cut from the head, and merges of blocks.",
        (upkeep.cuts + upkeep.merges) as f64,
    );
    count(
        "prometheus_tsdb_compactions_failed_total",
        "Times that upkeep of blocks failed.",
        upkeep.failures as f64,
    );
    count(
        "prometheus_tsdb_head_truncations_total",
        "Times that samples of the head were given up after a block was cut.",
        upkeep.cuts as f64,
    );
    count(
        "ferula_compaction_seconds_total",
        "Seconds spent on cutting and merging blocks.",
        upkeep.seconds,
    );
    count(
        "prometheus_tsdb_checkpoint_creations_total",
        "Checkpoints written.",
        upkeep.checkpoints as f64,
    );
    count(
        "prometheus_tsdb_time_retentions_total",
        "Blocks given up because of their age.",
        upkeep.expired_by_time as f64,
    );
    count(
        "prometheus_tsdb_size_retentions_total",
        "Blocks given up because there was too much.",
        upkeep.expired_by_size as f64,
    );
}

fn storage(out: &mut TextWriter, stats: &ShardStats) {
    blocks(out, stats);
    let head = &stats.head;
    let mut gauge = |name: &str, help: &str, value: f64| {
        out.gauge(name, help).sample(&[], value);
    };
    gauge(
        "prometheus_tsdb_head_series",
        "Series in the head.",
        head.series as f64,
    );
    gauge(
        "prometheus_tsdb_head_chunks",
        "Chunks in the head.",
        head.chunks as f64,
    );
    gauge(
        "ferula_head_bytes",
        "Bytes the head holds.",
        head.bytes as f64,
    );
    gauge(
        "ferula_head_bytes_max",
        "Bytes the head may hold.",
        stats.head_bytes_max as f64,
    );
    if let (Some(min), Some(max)) = (head.min_time, head.max_time) {
        let seconds = |ms: i64| ms as f64 / 1_000.0;
        gauge(
            "prometheus_tsdb_head_min_time_seconds",
            "Time of the oldest sample.",
            seconds(min),
        );
        gauge(
            "prometheus_tsdb_head_max_time_seconds",
            "Time of the newest sample.",
            seconds(max),
        );
    }
    gauge(
        "prometheus_tsdb_wal_segment_current",
        "First commit of the newest segment.",
        stats.log_segment as f64,
    );
    gauge(
        "prometheus_tsdb_wal_storage_size_bytes",
        "Bytes the log takes on disk.",
        stats.log_size_bytes as f64,
    );
    gauge(
        "prometheus_tsdb_data_replay_duration_seconds",
        "How long the last replay took.",
        stats.replay_seconds,
    );
    gauge(
        "ferula_write_queue_bytes",
        "Bytes of batches that wait for the writer.",
        stats.queue_bytes as f64,
    );
    let appended = "Samples stored.";
    out.counter("prometheus_tsdb_head_samples_appended_total", appended)
        .sample(&[("type", "float")], stats.verdicts.floats as f64)
        .sample(&[("type", "histogram")], stats.verdicts.histograms as f64);
    let late = "Samples stored that came out of order.";
    let name = "prometheus_tsdb_head_out_of_order_samples_appended_total";
    out.counter(name, late)
        .sample(&[], stats.verdicts.late as f64);
    let mut count = |name: &str, help: &str, value: f64| {
        out.counter(name, help).sample(&[], value);
    };
    count(
        "prometheus_tsdb_head_series_created_total",
        "Series created.",
        stats.verdicts.series_created as f64,
    );
    count(
        "ferula_samples_duplicate_total",
        "Identical resends.",
        stats.verdicts.duplicates as f64,
    );
    count(
        "ferula_log_commits_total",
        "Commits written to the log.",
        stats.log_commits as f64,
    );
    count(
        "ferula_log_bytes_total",
        "Bytes written to the log.",
        stats.log_bytes as f64,
    );
    count(
        "prometheus_tsdb_wal_writes_failed_total",
        "Writes and syncs of the log that failed.",
        stats.log_failures as f64,
    );
    count(
        "prometheus_tsdb_wal_corruptions_total",
        "Places where the log was found damaged.",
        stats.log_corruptions as f64,
    );
    count(
        "ferula_log_syncs_total",
        "Syncs of the log.",
        stats.syncs as f64,
    );
    count(
        "ferula_log_sync_seconds_total",
        "Time spent in them.",
        stats.sync_seconds,
    );
    let help = "Samples not stored, by reason.";
    let mut family = out.counter("ferula_samples_rejected_total", help);
    for (reason, n) in &stats.verdicts.rejected {
        family.sample(&[("reason", reason)], *n as f64);
    }
}
