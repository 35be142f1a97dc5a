//! `prometheus.WriteRequest`, the message of remote write 1.0, read in place.

use ferula_model::{Histogram, HistogramError, MetricKind, Timestamp};

use crate::error::WireError;
use crate::histogram;
use crate::protobuf::{Messages, Reader};

/// A request. Nothing is decoded before it is asked for: each iterator walks the bytes and stops
/// at the first malformed field, after which nothing of the request should be kept.
#[derive(Clone, Copy, Debug)]
pub struct WriteRequest<'a> {
    message: Reader<'a>,
}

impl<'a> WriteRequest<'a> {
    const SERIES: u32 = 1;
    const METADATA: u32 = 3;

    /// A request that is `message`, already decompressed.
    pub fn new(message: &'a [u8]) -> Self {
        Self {
            message: Reader::new(message),
        }
    }

    /// The series, in the order sent. The same labels may come more than once.
    pub fn series(&self) -> impl Iterator<Item = Result<TimeSeries<'a>, WireError>> + use<'a> {
        Messages::new(self.message, Self::SERIES).map(|m| m.and_then(TimeSeries::read))
    }

    /// The metadata, in the order sent.
    pub fn metadata(&self) -> impl Iterator<Item = Result<Metadata<'a>, WireError>> + use<'a> {
        Messages::new(self.message, Self::METADATA).map(|m| m.and_then(Metadata::read))
    }
}

/// A series of a request: where its parts lie.
#[derive(Clone, Copy, Debug)]
pub struct TimeSeries<'a> {
    message: Reader<'a>,
    /// From the first to the last field of each kind, by field number
    parts: [(usize, usize); 4],
    /// Other fields lie between the labels.
    scattered: bool,
}

impl<'a> TimeSeries<'a> {
    const LABELS: u32 = 1;
    const SAMPLES: u32 = 2;
    const EXEMPLARS: u32 = 3;
    const HISTOGRAMS: u32 = 4;

    fn read(message: Reader<'a>) -> Result<Self, WireError> {
        let mut series = Self {
            message,
            parts: [(0, 0); 4],
            scattered: false,
        };
        let mut fields = message;
        while let Some(field) = fields.next()? {
            let Some((start, end)) = series.parts.get_mut(field.number as usize - 1) else {
                continue;
            };
            field.message()?;
            if *end == 0 {
                *start = field.start;
            } else if field.number == Self::LABELS && *end != field.start {
                series.scattered = true;
            }
            *end = fields.pos();
        }
        Ok(series)
    }

    #[inline(always)]
    fn part(&self, number: u32) -> Messages<'a> {
        let (start, end) = self.parts[number as usize - 1];
        Messages::new(self.message.part(start, end), number)
    }

    /// The labels as they are on the wire: the same bytes mean the same labels, so a series seen
    /// before is found without reading them. `scratch` is used only if the sender put other
    /// fields between the labels.
    #[inline]
    pub fn raw_labels<'b>(&self, scratch: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        let (start, end) = self.parts[0];
        if !self.scattered {
            return self.message.slice(start, end);
        }
        scratch.clear();
        let mut fields = self.message.part(start, end);
        // The fields were walked when the series was read, so there is no error to meet.
        while let Ok(Some(field)) = fields.next() {
            if field.number == Self::LABELS {
                scratch.extend_from_slice(self.message.slice(field.start, fields.pos()));
            }
        }
        scratch
    }

    /// The labels as sent: in that order, empty values and repeated names among them.
    #[inline]
    pub fn labels(&self) -> LabelIter<'a> {
        LabelIter(self.part(Self::LABELS))
    }

    /// The float samples, in the order sent.
    #[inline]
    pub fn samples(&self) -> impl Iterator<Item = Result<Sample, WireError>> + use<'a> {
        self.part(Self::SAMPLES).map(|m| m.and_then(Sample::read))
    }

    /// The exemplars, in the order sent.
    pub fn exemplars(&self) -> impl Iterator<Item = Result<Exemplar<'a>, WireError>> + use<'a> {
        self.part(Self::EXEMPLARS)
            .map(|m| m.and_then(Exemplar::read))
    }

    /// The native histograms, in the order sent.
    pub fn histograms(&self) -> impl Iterator<Item = Result<HistogramSample, WireError>> + use<'a> {
        self.part(Self::HISTOGRAMS)
            .map(|m| m.and_then(histogram::read))
    }
}

/// Iterates over names and values; made by [`TimeSeries::labels`] and [`Exemplar::labels`].
#[derive(Clone, Debug)]
pub struct LabelIter<'a>(Messages<'a>);

impl<'a> Iterator for LabelIter<'a> {
    type Item = Result<(&'a str, &'a str), WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let message = self.0.next()?;
        Some(message.and_then(|mut fields| {
            let mut label = ("", "");
            while let Some(field) = fields.next()? {
                match field.number {
                    1 => label.0 = field.text()?,
                    2 => label.1 = field.text()?,
                    _ => {}
                }
            }
            Ok(label)
        }))
    }
}

/// A float sample.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When.
    pub timestamp: Timestamp,
    /// What, bit for bit as sent: it may be the staleness marker.
    pub value: f64,
}

impl Sample {
    #[inline]
    fn read(mut fields: Reader<'_>) -> Result<Self, WireError> {
        let mut sample = Self {
            timestamp: 0,
            value: 0.0,
        };
        while let Some(field) = fields.next()? {
            match field.number {
                1 => sample.value = field.double()?,
                2 => sample.timestamp = field.int64()?,
                _ => {}
            }
        }
        Ok(sample)
    }
}

/// A native-histogram sample.
#[derive(Clone, Debug)]
pub struct HistogramSample {
    /// When.
    pub timestamp: Timestamp,
    /// What, or why that is no histogram; whether it contradicts itself is for
    /// [`Histogram::validate`] to say.
    pub histogram: Result<Histogram, HistogramError>,
}

/// An exemplar as sent.
#[derive(Clone, Debug)]
pub struct Exemplar<'a> {
    /// When it was observed; 0 if the sender does not say.
    pub timestamp: Timestamp,
    /// The observed value.
    pub value: f64,
    message: Reader<'a>,
}

impl<'a> Exemplar<'a> {
    fn read(message: Reader<'a>) -> Result<Self, WireError> {
        let mut exemplar = Self {
            timestamp: 0,
            value: 0.0,
            message,
        };
        let mut fields = message;
        while let Some(field) = fields.next()? {
            match field.number {
                2 => exemplar.value = field.double()?,
                3 => exemplar.timestamp = field.int64()?,
                _ => {}
            }
        }
        Ok(exemplar)
    }

    /// The labels as sent, in that order.
    pub fn labels(&self) -> LabelIter<'a> {
        LabelIter(Messages::new(self.message, 1))
    }
}

/// What a metric family is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata<'a> {
    /// The kind; unknown if the sender names one that does not exist.
    pub kind: MetricKind,
    /// The family's name.
    pub family: &'a str,
    /// What it means.
    pub help: &'a str,
    /// What it is measured in.
    pub unit: &'a str,
}

impl<'a> Metadata<'a> {
    fn read(mut fields: Reader<'a>) -> Result<Self, WireError> {
        let mut metadata = Self::default();
        while let Some(field) = fields.next()? {
            match field.number {
                1 => metadata.kind = metric_kind(field.int64()? as i32),
                2 => metadata.family = field.text()?,
                4 => metadata.help = field.text()?,
                5 => metadata.unit = field.text()?,
                _ => {}
            }
        }
        Ok(metadata)
    }
}

fn metric_kind(number: i32) -> MetricKind {
    match number {
        1 => MetricKind::Counter,
        2 => MetricKind::Gauge,
        3 => MetricKind::Histogram,
        4 => MetricKind::GaugeHistogram,
        5 => MetricKind::Summary,
        6 => MetricKind::Info,
        7 => MetricKind::StateSet,
        _ => MetricKind::Unknown,
    }
}
