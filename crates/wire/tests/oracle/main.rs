//! Remote write against prost, which decodes the same bytes in its own way.
//!
//! Differences allowed: what prost refuses and we accept, or the other way round, is none;
//! groups are taken 64 deep here and a hundred deep there.

mod bytes;
mod schema;

use ferula_model::{CounterReset, Counts, Histogram, HistogramError, MetricKind, Span};
use ferula_wire::{Encoder, LabelIter, Sample, WireError, WriteRequest};
use proptest::prelude::*;
use prost::Message;

type Pairs = Vec<(String, String)>;

/// A request with everything in it decoded, floats by their bits.
#[derive(Debug, Default, PartialEq)]
struct Decoded {
    series: Vec<Series>,
    metadata: Vec<(MetricKind, String, String, String)>,
}

#[derive(Debug, Default, PartialEq)]
struct Series {
    labels: Pairs,
    samples: Vec<(i64, u64)>,
    exemplars: Vec<(Pairs, i64, u64)>,
    histograms: Vec<(i64, Result<Histogram, HistogramError>)>,
}

fn pairs(labels: LabelIter<'_>) -> Result<Pairs, WireError> {
    labels
        .map(|label| label.map(|(n, v)| (n.to_owned(), v.to_owned())))
        .collect()
}

fn ours(message: &[u8]) -> Result<Decoded, WireError> {
    let request = WriteRequest::new(message);
    let mut decoded = Decoded::default();
    for series in request.series() {
        let series = series?;
        let mut out = Series {
            labels: pairs(series.labels())?,
            ..Series::default()
        };
        for sample in series.samples() {
            let sample = sample?;
            out.samples.push((sample.timestamp, sample.value.to_bits()));
        }
        for exemplar in series.exemplars() {
            let e = exemplar?;
            let labels = pairs(e.labels())?;
            out.exemplars.push((labels, e.timestamp, e.value.to_bits()));
        }
        for sample in series.histograms() {
            let sample = sample?;
            out.histograms.push((sample.timestamp, sample.histogram));
        }
        decoded.series.push(out);
    }
    for metadata in request.metadata() {
        let m = metadata?;
        let [family, help, unit] = [m.family, m.help, m.unit].map(str::to_owned);
        decoded.metadata.push((m.kind, family, help, unit));
    }
    Ok(decoded)
}

fn theirs(message: &[u8]) -> Result<Decoded, prost::DecodeError> {
    let pairs =
        |labels: Vec<schema::Label>| labels.into_iter().map(|l| (l.name, l.value)).collect();
    let request = schema::WriteRequest::decode(message)?;
    let series = request.timeseries.into_iter().map(|s| Series {
        labels: pairs(s.labels),
        samples: s
            .samples
            .iter()
            .map(|s| (s.timestamp, s.value.to_bits()))
            .collect(),
        exemplars: s
            .exemplars
            .into_iter()
            .map(|e| (pairs(e.labels), e.timestamp, e.value.to_bits()))
            .collect(),
        histograms: s
            .histograms
            .iter()
            .map(|h| (h.timestamp, histogram(h)))
            .collect(),
    });
    let metadata = request.metadata.into_iter().map(|m| {
        let kind = match m.kind {
            1 => MetricKind::Counter,
            2 => MetricKind::Gauge,
            3 => MetricKind::Histogram,
            4 => MetricKind::GaugeHistogram,
            5 => MetricKind::Summary,
            6 => MetricKind::Info,
            7 => MetricKind::StateSet,
            _ => MetricKind::Unknown,
        };
        (kind, m.metric_family_name, m.help, m.unit)
    });
    Ok(Decoded {
        series: series.collect(),
        metadata: metadata.collect(),
    })
}

/// Stands for a histogram that is stored in a coarser schema; its own test is in the crate.
const NOT_COMPARED: Result<Histogram, HistogramError> = Err(HistogramError::UnexpectedBounds);

/// The model's histogram, for schemas that are taken as they are.
fn histogram(h: &schema::Histogram) -> Result<Histogram, HistogramError> {
    use schema::{Count, ZeroCount};
    if (9..=52).contains(&h.schema) {
        return NOT_COMPARED;
    }
    let spans = |spans: &[schema::Span]| -> Vec<Span> {
        let span = |s: &schema::Span| Span {
            offset: s.offset,
            length: s.length,
        };
        spans.iter().map(span).collect()
    };
    let absolute = |side, deltas: &[i64]| {
        let mut total = 0i64;
        let mut out = Vec::new();
        for &delta in deltas {
            total = total
                .checked_add(delta)
                .filter(|&t| t >= 0)
                .ok_or(HistogramError::NegativeCount(side))?;
            out.push(total as u64);
        }
        Ok(out)
    };
    let counts = match h.count {
        Some(Count::Float(count)) => Counts::Float {
            count,
            zero: match h.zero_count {
                Some(ZeroCount::Float(zero)) => zero,
                _ => 0.0,
            },
            positive: h.positive_counts.clone(),
            negative: h.negative_counts.clone(),
        },
        count => Counts::Integer {
            count: match count {
                Some(Count::Integer(count)) => count,
                _ => 0,
            },
            zero: match h.zero_count {
                Some(ZeroCount::Integer(zero)) => zero,
                _ => 0,
            },
            positive: absolute(ferula_model::BucketSide::Positive, &h.positive_deltas)?,
            negative: absolute(ferula_model::BucketSide::Negative, &h.negative_deltas)?,
        },
    };
    Ok(Histogram {
        reset: match h.reset_hint {
            1 => CounterReset::Reset,
            2 => CounterReset::NotReset,
            3 => CounterReset::Gauge,
            _ => CounterReset::Unknown,
        },
        schema: i8::try_from(h.schema).map_err(|_| HistogramError::Schema(h.schema))?,
        zero_threshold: h.zero_threshold,
        sum: h.sum,
        positive_spans: spans(&h.positive_spans),
        negative_spans: spans(&h.negative_spans),
        custom_values: h.custom_values.clone(),
        counts,
    })
}

/// Both accept and agree, or both refuse.
#[track_caller]
fn check(message: &[u8]) -> Option<Decoded> {
    match (ours(message), theirs(message)) {
        (Ok(mut ours), Ok(theirs)) => {
            for (a, b) in ours.series.iter_mut().zip(&theirs.series) {
                for (a, b) in a.histograms.iter_mut().zip(&b.histograms) {
                    if b.1 == NOT_COMPARED {
                        a.1 = NOT_COMPARED;
                    }
                }
            }
            assert_eq!(ours, theirs);
            Some(ours)
        }
        (Err(_), Err(_)) => None,
        (ours, theirs) => panic!("{message:x?}: ours {ours:?}, theirs {theirs:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn well_formed_messages_agree(entropy in prop::collection::vec(any::<u8>(), 0..400)) {
        let message = bytes::message(&entropy, bytes::Wrong::Never);
        prop_assert!(check(&message).is_some());
    }

    #[test]
    fn nearly_well_formed_messages_agree(entropy in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&bytes::message(&entropy, bytes::Wrong::Sometimes));
    }

    #[test]
    fn damaged_messages_agree(
        entropy in prop::collection::vec(any::<u8>(), 0..400),
        at: prop::sample::Index,
        byte: u8,
        damage in 0..3u8,
    ) {
        let mut message = bytes::message(&entropy, bytes::Wrong::Never);
        if !message.is_empty() {
            let at = at.index(message.len());
            match damage {
                0 => message[at] = byte,
                1 => message.insert(at, byte),
                _ => message.truncate(at),
            }
        }
        check(&message);
    }

    #[test]
    fn arbitrary_bytes_agree(message: Vec<u8>) {
        check(&message);
    }

    #[test]
    fn prost_reads_what_we_write(
        series in prop::collection::vec(
            (
                prop::collection::vec((".{0,4}", ".{0,200}"), 0..4),
                prop::collection::vec((any::<i64>(), any::<u64>()), 0..4),
                prop::collection::vec((any::<i64>(), any_histogram()), 0..3),
            ),
            0..4,
        )
    ) {
        let mut encoder = Encoder::new();
        let mut wanted = Decoded::default();
        for (labels, samples, histograms) in &series {
            let pairs = labels.iter().map(|(n, v)| (n.as_str(), v.as_str()));
            let floats: Vec<_> = samples
                .iter()
                .map(|&(timestamp, bits)| Sample { timestamp, value: f64::from_bits(bits) })
                .collect();
            let borrowed: Vec<_> = histograms.iter().map(|(t, h)| (*t, h)).collect();
            encoder.series(pairs, &floats, &borrowed);
            wanted.series.push(Series {
                labels: labels.clone(),
                samples: samples.clone(),
                exemplars: Vec::new(),
                histograms: histograms.iter().map(|(t, h)| (*t, Ok(h.clone()))).collect(),
            });
        }
        prop_assert_eq!(check(encoder.message()), Some(wanted));
    }
}

/// Histograms whose parts need not agree: the wire does not mind.
fn any_histogram() -> impl Strategy<Value = Histogram> {
    let spans = || {
        let span =
            (any::<i32>(), any::<u32>()).prop_map(|(offset, length)| Span { offset, length });
        prop::collection::vec(span, 0..4)
    };
    let doubles = || prop::collection::vec(any::<f64>(), 0..4);
    let integers = || prop::collection::vec(0..=i64::MAX as u64, 0..4);
    let reset = prop::sample::select(vec![
        CounterReset::Unknown,
        CounterReset::Reset,
        CounterReset::NotReset,
        CounterReset::Gauge,
    ]);
    let counts = prop_oneof![
        (any::<u64>(), any::<u64>(), integers(), integers()).prop_map(
            |(count, zero, positive, negative)| Counts::Integer {
                count,
                zero,
                positive,
                negative
            }
        ),
        (any::<f64>(), any::<f64>(), doubles(), doubles()).prop_map(
            |(count, zero, positive, negative)| Counts::Float {
                count,
                zero,
                positive,
                negative
            }
        ),
    ];
    let schema = (any::<i8>()).prop_filter("taken as it is", |s| !(9..=52).contains(s));
    let head = (reset, schema, any::<f64>(), any::<f64>());
    (head, spans(), spans(), doubles(), counts).prop_map(
        |(
            (reset, schema, zero_threshold, sum),
            positive_spans,
            negative_spans,
            custom_values,
            counts,
        )| {
            Histogram {
                reset,
                schema,
                zero_threshold,
                sum,
                positive_spans,
                negative_spans,
                custom_values,
                counts,
            }
        },
    )
}

#[test]
fn errors_name_the_byte() {
    let cases: [(&[u8], &str); 13] = [
        (&[0x0a, 5, 1], "byte 1: the message ends within a value"),
        (
            &[0x0a, 2, 0x0a, 1],
            "byte 3: the message ends within a value",
        ),
        (&[0x0a], "byte 1: the message ends within a value"),
        (&[0x80], "byte 0: the message ends within a value"),
        (&[0xff; 11], "byte 0: a varint is longer than 64 bits"),
        (&[0x00, 0], "byte 0: a field number is out of range"),
        (&[0x08, 1], "byte 0: field 1 has wire type 0"),
        (&[0x16, 1], "byte 0: field 2 has wire type 6"),
        (&[0x0b, 0x0c], "byte 0: field 1 has wire type 3"),
        (
            &[0x13, 0x1c],
            "byte 1: a group is not closed, or was not open",
        ),
        (&[0x0c], "byte 0: a group is not closed, or was not open"),
        (&[0x13; 70], "byte 65: groups are nested more than 64 deep"),
        (
            &[0x0a, 6, 0x0a, 4, 0x0a, 2, b'a', 0xff],
            "byte 7: a text is not valid UTF-8",
        ),
    ];
    for (message, wanted) in cases {
        let error = ours(message).expect_err(wanted).to_string();
        assert_eq!(error, format!("protobuf: {wanted}"), "{message:x?}");
    }
}

#[test]
fn identity_does_not_depend_on_where_the_labels_lie() {
    let label = |name: &str| {
        let label = schema::Label {
            name: name.to_owned(),
            value: "v".to_owned(),
        };
        schema::TimeSeries {
            labels: vec![label],
            ..Default::default()
        }
        .encode_to_vec()
    };
    let sample = schema::TimeSeries {
        samples: vec![schema::Sample::default()],
        ..Default::default()
    }
    .encode_to_vec();
    let identity = |parts: &[&Vec<u8>]| {
        let series: Vec<u8> = parts.iter().copied().flatten().copied().collect();
        let message = [&[0x0a, series.len() as u8][..], &series].concat();
        let series = WriteRequest::new(&message)
            .series()
            .next()
            .expect("one series")
            .expect("well-formed");
        let mut scratch = b"left over".to_vec();
        let raw = series.raw_labels(&mut scratch).to_vec();
        (raw, scratch)
    };
    let (a, b) = (label("a"), label("b"));
    let wanted = [a.clone(), b.clone()].concat();
    for parts in [[&a, &b, &sample], [&sample, &a, &b]] {
        assert_eq!(identity(&parts), (wanted.clone(), b"left over".to_vec()));
    }
    assert_eq!(identity(&[&a, &sample, &b]).0, wanted);
    assert_ne!(identity(&[&b, &a]).0, wanted);
    assert_eq!(identity(&[&sample]).0, b"");
}

#[test]
fn hostile_histograms_are_refused_alone() {
    let decode = |histogram: schema::Histogram| {
        let message = schema::WriteRequest {
            timeseries: vec![schema::TimeSeries {
                histograms: vec![histogram],
                ..Default::default()
            }],
            ..Default::default()
        };
        let mut decoded = ours(&message.encode_to_vec()).expect("well-formed");
        decoded.series[0].histograms.remove(0).1
    };
    let histogram = schema::Histogram::default;
    let cases = [
        (
            schema::Histogram {
                schema: 300,
                ..histogram()
            },
            "schema 300 is not supported: -4 to 8, or -53 for custom buckets",
        ),
        (
            schema::Histogram {
                positive_deltas: vec![1, -2],
                ..histogram()
            },
            "positive side: a bucket has a negative count",
        ),
        (
            schema::Histogram {
                negative_deltas: vec![0; 65_537],
                ..histogram()
            },
            "more than 65536 buckets",
        ),
        (
            schema::Histogram {
                custom_values: vec![0.0; 65_537],
                ..histogram()
            },
            "more than 65536 buckets",
        ),
        (
            schema::Histogram {
                schema: 9,
                positive_deltas: vec![1],
                ..histogram()
            },
            "positive side: spans need 0 buckets, have 1 buckets",
        ),
    ];
    for (h, wanted) in cases {
        assert_eq!(decode(h).expect_err(wanted).to_string(), wanted);
    }
}

#[test]
fn too_fine_a_schema_is_stored_as_the_finest() {
    let mut encoder = Encoder::new();
    let fine = Histogram {
        schema: 9,
        positive_spans: vec![Span {
            offset: 1,
            length: 3,
        }],
        counts: Counts::Integer {
            count: 6,
            zero: 0,
            positive: vec![1, 2, 3],
            negative: vec![],
        },
        sum: 1.0,
        ..Histogram::stale()
    };
    encoder.series([], &[], &[(5, &fine)]);
    let decoded = ours(encoder.message()).expect("well-formed");
    let stored = Histogram {
        schema: 8,
        positive_spans: vec![Span {
            offset: 1,
            length: 2,
        }],
        counts: Counts::Integer {
            count: 6,
            zero: 0,
            positive: vec![3, 3],
            negative: vec![],
        },
        ..fine
    };
    assert_eq!(stored.validate(), Ok(()));
    assert_eq!(decoded.series[0].histograms, [(5, Ok(stored))]);
}
