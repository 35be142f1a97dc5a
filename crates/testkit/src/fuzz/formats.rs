//! The formats samples arrive in.

use ferula_exposition::{Entry, Format, Parser, Series, TextWriter};
use ferula_model::{Histogram, MetricKind};
use ferula_wire::{Encoder, Sample, TimeSeries, WireError, WriteRequest, snappy};

/// A block may not grow beyond this here; real limits are wider, but find nothing more.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A body in Prometheus text.
pub fn exposition_text(data: &[u8]) {
    exposition(Format::Prometheus, data);
}

/// A body in OpenMetrics.
pub fn openmetrics(data: &[u8]) {
    exposition(Format::OpenMetrics, data);
}

/// A series is the same by itself as in its body, and what is written of it reads the same.
fn exposition(format: Format, data: &[u8]) {
    let mut parser = Parser::new(format, data);
    loop {
        match parser.next() {
            Ok(None) => return,
            Ok(Some(Entry::Series(series))) => {
                assert!(!ferula_model::is_stale(series.value));
                series_alone(format, &series);
                series_written(&series);
            }
            Ok(Some(_)) => {}
            Err(error) => {
                let lines = data.split(|b| *b == b'\n').count();
                assert!((1..=lines).contains(&error.line), "{error}");
                assert!(matches!(parser.next(), Ok(None)), "entries after an error");
                return;
            }
        }
    }
}

fn series_alone(format: Format, series: &Series<'_>) {
    let line = [series.raw, b" 1\n"].concat();
    let Ok(Some(Entry::Series(alone))) = Parser::new(format, &line).next() else {
        panic!("{:?} is no series by itself", series.raw);
    };
    assert_eq!(alone.raw, series.raw);
    // The kind of the family is not known here, so numbers are as exposed.
    let names = |s: &Series<'_>| s.labels().map(|(n, _)| n.into_owned()).collect::<Vec<_>>();
    assert_eq!(names(&alone), names(series));
}

fn series_written(series: &Series<'_>) {
    let mut labels: Vec<_> = series.labels().collect();
    // By its place: a label may be called `__name__`, too.
    let bare = !series.raw.trim_ascii_start().starts_with(b"{");
    if !bare {
        return;
    }
    let (_, name) = labels.remove(0);
    let pairs: Vec<_> = labels.iter().map(|(n, v)| (&**n, &**v)).collect();
    let mut page = TextWriter::new();
    page.family(&name, "", MetricKind::Unknown)
        .sample(&pairs, series.value);
    let page = page.finish();
    let mut parser = Parser::new(Format::Prometheus, page.as_bytes());
    while let Some(entry) = parser.next().expect("what was written is well-formed") {
        if let Entry::Series(read) = entry {
            assert_eq!(read.value.to_bits(), series.value.to_bits());
            assert!(read.labels().skip(1).eq(labels));
            return;
        }
    }
    panic!("no series in {page:?}");
}

/// A snappy block of a remote-write request, or the request itself: what is decoded can be
/// encoded, and then decodes the same.
pub fn remote_write(data: &[u8]) {
    let mut message = Vec::new();
    if snappy::decompress(data, MESSAGE_BYTES_MAX, &mut message).is_ok() {
        request(&message);
    }
    request(data);
}

fn request(message: &[u8]) {
    let request = WriteRequest::new(message);
    for metadata in request.metadata() {
        if metadata.is_err() {
            break;
        }
    }
    for series in request.series() {
        match series.and_then(|series| Decoded::of(&series)) {
            Ok(decoded) => decoded.comes_back(),
            Err(WireError::Malformed { offset, .. }) => {
                assert!(offset <= message.len());
                return;
            }
            Err(other) => panic!("decoding a message: {other}"),
        }
    }
}

#[derive(Debug, PartialEq)]
struct Decoded {
    raw: Vec<u8>,
    labels: Vec<(String, String)>,
    samples: Vec<(i64, u64)>,
    histograms: Vec<(i64, Histogram)>,
}

impl Decoded {
    fn of(series: &TimeSeries<'_>) -> Result<Self, WireError> {
        let mut decoded = Self {
            raw: series.raw_labels(&mut Vec::new()).to_vec(),
            labels: Vec::new(),
            samples: Vec::new(),
            histograms: Vec::new(),
        };
        for label in series.labels() {
            let (name, value) = label?;
            decoded.labels.push((name.to_owned(), value.to_owned()));
        }
        for sample in series.samples() {
            let sample = sample?;
            decoded
                .samples
                .push((sample.timestamp, sample.value.to_bits()));
        }
        for exemplar in series.exemplars() {
            for label in exemplar?.labels() {
                label?;
            }
        }
        for sample in series.histograms() {
            let sample = sample?;
            if let Ok(histogram) = sample.histogram {
                let _ = histogram.validate();
                decoded.histograms.push((sample.timestamp, histogram));
            }
        }
        Ok(decoded)
    }

    fn comes_back(&self) {
        let labels = self.labels.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let sample = |&(timestamp, bits): &(i64, u64)| Sample {
            timestamp,
            value: f64::from_bits(bits),
        };
        let samples: Vec<_> = self.samples.iter().map(sample).collect();
        let histograms: Vec<_> = self.histograms.iter().map(|(t, h)| (*t, h)).collect();
        let mut encoder = Encoder::new();
        encoder.series(labels, &samples, &histograms);
        let request = WriteRequest::new(encoder.message());
        let series = request.series().next().expect("one series");
        let mut back = Self::of(&series.expect("well-formed")).expect("well-formed");
        // Another encoder may have written the labels with other bytes.
        back.raw.clone_from(&self.raw);
        assert_eq!(&back, self);
    }
}
