//! Blocks and logs of a real Prometheus are read, and blocks that are written are judged by its
//! tools and served by it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // a test: whatever fails ends it

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ferula_e2e::http::Request;
use ferula_e2e::peers::Peer;
use ferula_e2e::remote_write::{
    EncodedLabels, FloatHistogram, NativeHistogram, Side, WriteRequest,
};
use ferula_e2e::server::{Server, now_ms, seconds};
use ferula_e2e::skip;
use ferula_env::SystemDisk;
use ferula_model::{
    CounterReset, Counts, Histogram, Labels, Range, Span, Timestamp, Ulid, stale_marker,
};
use ferula_storage::{Columns, HistogramPoint};
use ferula_tsdb::prometheus::{Block, BlockWriter, WalHead};
use rustix::process::Signal;

type Series = Vec<(Labels, Columns)>;

fn promtool(arguments: &[&str]) -> String {
    let binary = Peer::Promtool.find().expect("looked for before");
    let output = Command::new(binary).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The folders of blocks in a data folder.
fn blocks(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data).unwrap().map(|e| e.unwrap().path());
    let mut blocks: Vec<_> = entries.filter(|p| p.join("meta.json").exists()).collect();
    blocks.sort();
    blocks
}

/// Everything in the blocks of a data folder, those of one series put together.
fn read_blocks(data: &Path) -> Series {
    let mut all: BTreeMap<Labels, Columns> = BTreeMap::new();
    for folder in blocks(data) {
        let mut block = Block::open(&SystemDisk, &folder).unwrap();
        let (mut series, mut samples) = (0, 0);
        while let Some(entry) = block.next_series().unwrap() {
            let columns = all.entry(entry.labels.clone()).or_default();
            let before = columns.len();
            block.samples(&entry, Range::ALL, columns).unwrap();
            series += 1;
            samples += (columns.len() - before) as u64;
        }
        let stats = block.meta().stats;
        assert_eq!((series, samples), (stats.num_series, stats.num_samples));
    }
    all.into_iter().collect()
}

fn write_blocks(data: &Path, series: &Series) {
    const WIDTH: i64 = 7_200_000;
    let times = series.iter().flat_map(|(_, c)| {
        let histograms = c.histograms.iter().map(|p| p.timestamp);
        c.timestamps.iter().copied().chain(histograms)
    });
    let (min, max) = times.fold((i64::MAX, i64::MIN), |(a, b), t| (a.min(t), b.max(t)));
    let mut start = min.div_euclid(WIDTH) * WIDTH;
    while start <= max {
        let range = Range {
            start,
            end: start + WIDTH,
        };
        let ulid = Ulid::new(start, 7);
        let mut writer = BlockWriter::create(SystemDisk::shared(), data, ulid, range).unwrap();
        for (labels, columns) in series {
            writer.series(labels, &within(columns, range)).unwrap();
        }
        writer.finish().unwrap();
        start = range.end;
    }
}

fn within(columns: &Columns, range: Range) -> Columns {
    let floats = columns.timestamps.iter().zip(&columns.values);
    let floats = floats.filter(|(t, _)| range.contains(**t));
    let (timestamps, values) = floats.map(|(t, v)| (*t, *v)).unzip();
    let histograms = columns.histograms.iter();
    Columns {
        timestamps,
        values,
        histograms: histograms
            .filter(|p| range.contains(p.timestamp))
            .cloned()
            .collect(),
        ..Columns::default()
    }
}

/// A series as text, bit for bit, but for what a chunk does not keep of histograms: which
/// buckets were there without observations, and hints other than that it is a gauge.
fn shown((labels, columns): &(Labels, Columns)) -> String {
    let mut text = format!("{labels}\n");
    for (t, v) in columns.timestamps.iter().zip(&columns.values) {
        text += &format!("  {t} {:016x}\n", v.to_bits());
    }
    for HistogramPoint {
        timestamp,
        histogram: h,
        ..
    } in &columns.histograms
    {
        let gauge = h.reset == CounterReset::Gauge;
        let side = |spans: &[Span], counts: &[f64]| {
            let mut index = -1;
            let indexes = spans.iter().enumerate().flat_map(|(i, span)| {
                index += span.offset + i32::from(i == 0);
                let from = index;
                index += span.length as i32;
                (0..span.length as i32).map(move |n| from + n)
            });
            let buckets = indexes.zip(counts).filter(|b| *b.1 != 0.0);
            format!("{:?}", buckets.collect::<Vec<_>>())
        };
        let (kind, floats) = match &h.counts {
            Counts::Integer { .. } => ("integer", h.to_float()),
            Counts::Float { .. } => ("float", (**h).clone()),
        };
        let Counts::Float {
            count,
            zero,
            positive,
            negative,
        } = &floats.counts
        else {
            unreachable!("to_float gives floats");
        };
        text += &format!(
            "  {timestamp} {kind} gauge={gauge} {} {:e} sum={:016x} {count} {zero} {} {} {:?}\n",
            h.schema,
            h.zero_threshold,
            h.sum.to_bits(),
            side(&h.positive_spans, positive),
            side(&h.negative_spans, negative),
            h.custom_values,
        );
    }
    text
}

fn assert_same(found: &Series, expected: &Series) {
    let labels = |s: &Series| s.iter().map(|s| s.0.clone()).collect::<Vec<_>>();
    assert_eq!(labels(found), labels(expected));
    for (found, expected) in found.iter().zip(expected) {
        let (found, expected) = (shown(found), shown(expected));
        assert!(found == expected, "found\n{found}\nexpected\n{expected}");
    }
}

fn floats(samples: Vec<(Timestamp, f64)>) -> Columns {
    let (timestamps, values) = samples.into_iter().unzip();
    Columns {
        timestamps,
        values,
        ..Columns::default()
    }
}

/// A text for the reference's backfill, and what is in it.
fn openmetrics() -> (String, Series) {
    const T: i64 = 1_600_000_000_000;
    let mut series: Series = Vec::new();
    let mut add = |pairs: &[(&str, &str)], samples: Vec<(i64, f64)>| {
        series.push((Labels::from_pairs(pairs.iter().copied()), floats(samples)));
    };
    let steady = |n: i64, step: i64, value: &dyn Fn(i64) -> f64| {
        (0..n).map(|i| (T + i * step, value(i))).collect::<Vec<_>>()
    };
    add(&[("__name__", "one")], vec![(T + 1, 0.1)]);
    add(
        &[("__name__", "long"), ("kind", "counter")],
        steady(3_000, 15_000, &|i| (i * 7) as f64),
    );
    add(
        &[("__name__", "long"), ("kind", "noise")],
        steady(1_000, 60_007, &|i| ((i * 7919) % 1009) as f64 / 7.0),
    );
    add(
        &[("__name__", "odd"), ("ü", "\"\\\n 你好")],
        vec![
            (T, f64::from_bits(0x7ff8_0000_0000_0001)),
            (T + 1_000, f64::INFINITY),
            (T + 2_000, f64::NEG_INFINITY),
            (T + 3_000, -0.0),
            (T + 4_000, f64::MIN_POSITIVE / 8.0),
            (T + 900_000, f64::MAX),
            (T + 901_000, -1.0 / 3.0),
        ],
    );
    let many = (0..300).map(|i| (format!("many_{}", i % 3), format!("value {i}")));
    for (name, value) in many.collect::<Vec<_>>() {
        add(
            &[("__name__", &name), ("v", &value)],
            steady(3, 30_000, &|i| i as f64),
        );
    }
    series.sort_by(|a, b| a.0.cmp(&b.0));
    let mut text = String::new();
    for (labels, columns) in &series {
        let pairs = labels.iter().filter(|(name, _)| *name != "__name__");
        let quoted = |text: &str| format!("{text:?}").replace("\\n", "\\n");
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("{}={}", quoted(name), quoted(value)))
            .collect();
        for (t, v) in columns.timestamps.iter().zip(&columns.values) {
            let value = match v {
                v if v.is_nan() => "NaN".to_owned(),
                v if v.is_infinite() => format!("{}Inf", if *v > 0.0 { "+" } else { "-" }),
                v => format!("{v:e}"),
            };
            let name = labels.metric_name();
            text += &format!("{name}{{{}}} {value} {}\n", pairs.join(","), seconds(*t));
        }
    }
    (text + "# EOF\n", series)
}

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

/// What is sent to a real server: floats and histograms of every kind.
struct Sent {
    request: WriteRequest,
    series: Series,
}

impl Sent {
    fn floats(&mut self, pairs: &[(&str, &str)], samples: Vec<(Timestamp, f64)>) {
        let labels = EncodedLabels::new(pairs.iter().copied());
        self.request.push(&labels, samples.iter().copied());
        let labels = Labels::from_pairs(pairs.iter().copied());
        self.series.push((labels, floats(samples)));
    }

    fn histograms(&mut self, kind: &str, samples: Vec<(Timestamp, Histogram)>) {
        let pairs = [("__name__", "h"), ("kind", kind)];
        let encoded = EncodedLabels::new(pairs);
        let integer = |h: &Histogram| matches!(h.counts, Counts::Integer { .. });
        if samples.iter().all(|(_, h)| integer(h)) {
            let native = samples.iter().map(|(t, h)| (*t, native(h)));
            self.request.push_histograms(&encoded, native);
        } else {
            let floats: Vec<_> = samples.iter().map(|(t, h)| (*t, float(h))).collect();
            let floats = floats.iter().map(|(t, h)| (*t, h));
            self.request.push_float_histograms(&encoded, floats);
        }
        let histograms = samples.into_iter().map(|(timestamp, h)| HistogramPoint {
            timestamp,
            start_timestamp: 0,
            histogram: Arc::new(h),
        });
        let columns = Columns {
            histograms: histograms.collect(),
            ..Columns::default()
        };
        self.series.push((Labels::from_pairs(pairs), columns));
    }
}

fn native(h: &Histogram) -> NativeHistogram {
    let Counts::Integer { zero, positive, .. } = &h.counts else {
        unreachable!("only integers come here");
    };
    NativeHistogram {
        schema: h.schema.into(),
        sum: h.sum,
        zero_count: *zero,
        first: h.positive_spans.first().map_or(0, |s| s.offset),
        buckets: positive.clone(),
    }
}

fn float(h: &Histogram) -> FloatHistogram {
    let spans = |spans: &[Span]| spans.iter().map(|s| (s.offset, s.length)).collect();
    let (count, zero_count, positive, negative) = match &h.counts {
        Counts::Float {
            count,
            zero,
            positive,
            negative,
        } => (*count, *zero, positive.clone(), negative.clone()),
        Counts::Integer { .. } => (0.0, 0.0, Vec::new(), Vec::new()),
    };
    FloatHistogram {
        schema: h.schema.into(),
        count,
        sum: h.sum,
        zero_threshold: h.zero_threshold,
        zero_count,
        negative: Side {
            spans: spans(&h.negative_spans),
            counts: negative,
        },
        positive: Side {
            spans: spans(&h.positive_spans),
            counts: positive,
        },
        custom_values: h.custom_values.clone(),
        reset_hint: if h.reset == CounterReset::Gauge { 3 } else { 0 },
    }
}

/// Integer counts from bucket `first` on.
fn integers(zero: u64, first: i32, buckets: Vec<u64>) -> Histogram {
    Histogram {
        schema: 3,
        zero_threshold: 1e-128,
        sum: buckets.iter().sum::<u64>() as f64 * 1.5,
        positive_spans: vec![Span {
            offset: first,
            length: buckets.len() as u32,
        }],
        counts: Counts::Integer {
            count: zero + buckets.iter().sum::<u64>(),
            zero,
            positive: buckets,
            negative: Vec::new(),
        },
        ..Histogram::stale()
    }
}

fn fractions(reset: CounterReset, scale: f64) -> Histogram {
    let span = |offset, length| Span { offset, length };
    Histogram {
        reset,
        schema: 1,
        zero_threshold: 0.000_3,
        sum: scale * 7.25,
        positive_spans: vec![span(-2, 2), span(3, 1)],
        negative_spans: vec![span(0, 1), span(1, 1)],
        counts: Counts::Float {
            count: scale * 6.5,
            zero: scale * 0.5,
            positive: vec![scale, scale * 2.0, scale * 0.25],
            negative: vec![scale * 0.75, scale * 2.0],
        },
        ..Histogram::stale()
    }
}

fn custom(scale: f64) -> Histogram {
    Histogram {
        schema: -53,
        sum: scale * 3.0,
        positive_spans: vec![Span {
            offset: 0,
            length: 5,
        }],
        custom_values: vec![0.005, 0.25, 1.0 / 3.0, 10.0, 1e9],
        counts: Counts::Float {
            count: scale * 10.0,
            zero: 0.0,
            positive: vec![scale, scale * 2.0, 0.0, scale * 3.0, scale * 4.0],
            negative: Vec::new(),
        },
        ..Histogram::stale()
    }
}

fn sent(start: Timestamp) -> Sent {
    let mut sent = Sent {
        request: WriteRequest::default(),
        series: Vec::new(),
    };
    let t = |i: i64| start + i * 15_000 + (i % 3);
    sent.floats(
        &[("__name__", "f"), ("kind", "counter")],
        (0..130).map(|i| (t(i), (i % 70 * 3) as f64)).collect(),
    );
    let odd = [
        1.0,
        f64::from_bits(0x7ff8_0000_0000_0001),
        -0.0,
        f64::INFINITY,
        f64::from_bits(0x8000_0000_0000_0001),
        stale_marker(),
    ];
    sent.floats(
        &[("__name__", "f"), ("kind", "odd")],
        (0..60).map(|i| (t(i), odd[i as usize % 6])).collect(),
    );
    let with_stale = |i: i64, h: Histogram| match i {
        60 | 61 => (t(i), Histogram::stale()),
        i => (t(i), h),
    };
    let growing = |i: i64| {
        let n = i.unsigned_abs() % 90 + 1;
        // Buckets come to it, on both sides.
        match n {
            0..20 => integers(n, 4, vec![n, n * 2]),
            20..40 => integers(n, 4, vec![n, n * 2, 0, n - 19]),
            _ => integers(n, 2, vec![n - 39, 0, n, n * 2, 0, n - 19]),
        }
    };
    sent.histograms(
        "integers",
        (0..130).map(|i| with_stale(i, growing(i))).collect(),
    );
    let counter = |i: i64| fractions(CounterReset::Unknown, (i % 50 + 1) as f64);
    sent.histograms(
        "floats",
        (0..130).map(|i| with_stale(i, counter(i))).collect(),
    );
    let gauge = |i: i64| fractions(CounterReset::Gauge, ((i * 37) % 11 + 1) as f64);
    sent.histograms(
        "gauges",
        (0..130).map(|i| with_stale(i, gauge(i))).collect(),
    );
    let listed = |i: i64| custom((i + 1) as f64);
    sent.histograms(
        "custom",
        (0..130).map(|i| with_stale(i, listed(i))).collect(),
    );
    sent.series.sort_by(|a, b| a.0.cmp(&b.0));
    sent
}

/// Answers to questions about all that was sent, as text.
fn answers(server: &Server, start: Timestamp) -> Vec<String> {
    let (from, to) = (seconds(start), seconds(start + 2_000_000));
    let queries = [
        "f",
        "h",
        "rate(f[5m])",
        "changes(f[10m])",
        "rate(h[2m])",
        "increase(h{kind=\"integers\"}[10m])",
        "resets(h[20m])",
        "count_over_time(h[30m])",
        "histogram_quantile(0.9, rate(h{kind!=\"gauges\"}[5m]))",
        "histogram_fraction(0, 0.5, h)",
        "avg_over_time(h{kind=\"gauges\"}[5m])",
        "{__name__=~\"f|h\"} and on (kind) h",
    ];
    let ask = |query: &&str| {
        let form = [
            ("query", *query),
            ("start", &from),
            ("end", &to),
            ("step", "23"),
        ];
        let mut client = server.client();
        let answer = client.post_form("/api/v1/query_range", &form).unwrap();
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        format!("{query}: {}", answer.text())
    };
    queries.iter().map(ask).collect()
}

fn send(server: &Server, request: &WriteRequest) {
    let headers = [
        ("Content-Encoding", "snappy"),
        ("Content-Type", "application/x-protobuf"),
        ("X-Prometheus-Remote-Write-Version", "0.1.0"),
    ];
    let answer = server.client().send(&Request {
        method: "POST",
        path: "/api/v1/write",
        headers: &headers,
        body: &request.body(),
    });
    let answer = answer.unwrap();
    assert!(answer.status < 300, "{}: {}", answer.status, answer.text());
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
    let expected_answers = answers(&server, start);

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
    for (found, expected) in answers(&second, start).iter().zip(&expected_answers) {
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
