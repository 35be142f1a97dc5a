//! What is sent to servers: floats and histograms of every kind, and a text for backfills.

use std::sync::Arc;

use ferula_e2e::http::Request;
use ferula_e2e::remote_write::{
    EncodedLabels, FloatHistogram, NativeHistogram, Side, WriteRequest,
};
use ferula_e2e::server::{Server, seconds};
use ferula_model::{CounterReset, Counts, Histogram, Labels, Span, Timestamp, stale_marker};
use ferula_storage::{Columns, HistogramPoint};

use crate::files::{Series, floats};

/// When the history of [`openmetrics`] begins.
const HISTORY: Timestamp = 1_600_000_000_000;

/// A text for the reference's backfill, and what is in it.
pub(crate) fn openmetrics() -> (String, Series) {
    const T: i64 = HISTORY;
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

/// What is sent to a real server: floats and histograms of every kind.
pub(crate) struct Sent {
    pub(crate) request: WriteRequest,
    pub(crate) series: Series,
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

pub(crate) fn native(h: &Histogram) -> NativeHistogram {
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

pub(crate) fn float(h: &Histogram) -> FloatHistogram {
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
pub(crate) fn integers(zero: u64, first: i32, buckets: Vec<u64>) -> Histogram {
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

pub(crate) fn fractions(reset: CounterReset, scale: f64) -> Histogram {
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

pub(crate) fn custom(scale: f64) -> Histogram {
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

pub(crate) fn sent(start: Timestamp) -> Sent {
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

/// Questions about all that [`sent`] has, which all releases answer alike.
const QUERIES: [&str; 9] = [
    "f",
    "h",
    "late",
    "rate(f[5m])",
    "changes(f[10m])",
    "resets(h[20m])",
    "count_over_time(h[30m])",
    "histogram_fraction(0, 0.5, h)",
    "{__name__=~\"f|h\"} and on (kind) h",
];

/// Where a series of histograms begins, later releases extrapolate less; and they add up more
/// exactly.
const QUERIES_OF_A_RELEASE: [&str; 4] = [
    "avg_over_time(h{kind=\"gauges\"}[5m])",
    "rate(h[2m])",
    "increase(h{kind=\"integers\"}[10m])",
    "histogram_quantile(0.9, rate(h{kind!=\"gauges\"}[5m]))",
];

/// Answers to questions about all that [`sent`] has, as text.
pub(crate) fn answers(server: &Server, start: Timestamp) -> Vec<String> {
    let ask = |query: &&str| ask(server, query, [start, start + 2_000_000, 23_000]);
    QUERIES.iter().map(ask).collect()
}

/// The same, and answers that depend on the release.
pub(crate) fn answers_of_a_release(server: &Server, start: Timestamp) -> Vec<String> {
    let ask = |query: &&str| ask(server, query, [start, start + 2_000_000, 23_000]);
    QUERIES
        .iter()
        .chain(&QUERIES_OF_A_RELEASE)
        .map(ask)
        .collect()
}

/// Answers to questions about all that [`openmetrics`] has, as text.
pub(crate) fn history_answers(server: &Server) -> Vec<String> {
    let ranges = [
        [HISTORY, HISTORY + 1_000_000, 17_000],
        [HISTORY, HISTORY + 70_000_000, 700_000],
    ];
    let queries = [
        "one",
        "long",
        "odd",
        "{__name__=~\"many_.\"}",
        "rate(long[15m])",
    ];
    let ask = |range| queries.map(|query| ask(server, query, range));
    ranges.into_iter().flat_map(ask).collect()
}

/// The answer to a query for a range (start, end, step), its series in order.
fn ask(server: &Server, query: &str, [start, end, step]: [i64; 3]) -> String {
    let form = [
        ("query", query),
        ("start", &seconds(start)),
        ("end", &seconds(end)),
        ("step", &seconds(step)),
    ];
    let answer = server
        .client()
        .post_form("/api/v1/query_range", &form)
        .unwrap();
    let text = answer.text();
    assert_eq!(answer.status, 200, "{query}: {text}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let series = json["data"]["result"].as_array().unwrap();
    let mut series: Vec<String> = series.iter().map(ToString::to_string).collect();
    series.sort();
    format!("{query}: {}", series.join("\n"))
}

pub(crate) fn send(server: &Server, request: &WriteRequest) {
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
