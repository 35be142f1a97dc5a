//! Samples that come in any order, kept compressed until they are taken out series by series.

use std::collections::HashMap;
use std::sync::Arc;

use ferula_model::{Histogram, Labels, Range, Timestamp};
use ferula_storage::{Columns, HistogramPoint};

use super::record::Times;
use super::sort::sort_first_wins;
use crate::Damaged;
use crate::bytes::{Reader, put_zz};
use crate::chunk::bits::BitTail;
use crate::chunk::histogram;
use crate::chunk::xor::{self, HEADER_BITS, XorTail};

/// Samples of a chunk: the encoder counts to 255.
const CHUNK_SAMPLES: u8 = 240;

/// Series and their samples.
#[derive(Debug, Default)]
pub struct Gather {
    numbers: HashMap<Labels, u32>,
    series: Vec<Series>,
    samples: u64,
}

#[derive(Debug)]
struct Series {
    labels: Labels,
    floats: Vec<Piece>,
    histograms: Vec<Piece>,
    open: Open,
}

/// The encoders of a series.
#[derive(Debug)]
struct Open {
    tail: XorTail,
    bits: u32,
    /// The histogram before, and when it was.
    histogram: Option<(Timestamp, Arc<Histogram>)>,
}

/// Encoded samples.
#[derive(Debug)]
struct Piece {
    min: Timestamp,
    max: Timestamp,
    count: u8,
    bytes: Vec<u8>,
    /// Start timestamps of floats, if any is known.
    starts: Vec<Timestamp>,
}

impl Piece {
    fn begin(timestamp: Timestamp, bytes: Vec<u8>) -> Self {
        Self {
            min: timestamp,
            max: timestamp,
            count: 0,
            bytes,
            starts: Vec::new(),
        }
    }

    fn cover(&mut self, timestamp: Timestamp) {
        self.min = self.min.min(timestamp);
        self.max = self.max.max(timestamp);
        self.count += 1;
    }
}

impl Gather {
    /// The number of a series, which is new if it is not known.
    ///
    /// # Errors
    /// When there are more series than numbers.
    pub fn series(&mut self, labels: &Labels) -> Result<u32, Damaged> {
        if let Some(&number) = self.numbers.get(labels) {
            return Ok(number);
        }
        let number = u32::try_from(self.series.len()).map_err(|_| Damaged("too many series"))?;
        self.numbers.insert(labels.clone(), number);
        self.series.push(Series {
            labels: labels.clone(),
            floats: Vec::new(),
            histograms: Vec::new(),
            open: Open {
                tail: XorTail::empty(),
                bits: HEADER_BITS,
                histogram: None,
            },
        });
        Ok(number)
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// How many samples there are, repeated ones included.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Adds a float.
    pub fn float(&mut self, number: u32, times: Times, value: f64) {
        let Times { timestamp, start } = times;
        let series = &mut self.series[number as usize];
        self.samples += 1;
        let open = &mut series.open;
        if series.floats.is_empty() || open.tail.count >= CHUNK_SAMPLES {
            if let Some(full) = series.floats.last_mut() {
                full.bytes.shrink_to_fit();
            }
            (open.tail, open.bits) = (XorTail::empty(), HEADER_BITS);
            series.floats.push(Piece::begin(timestamp, vec![0, 0]));
        }
        let piece = series.floats.last_mut().expect("one was just pushed");
        let used = open.bits & 7;
        let last = match used {
            0 => 0,
            _ => piece.bytes.pop().unwrap_or_default(),
        };
        let mut out = BitTail::after(last, used);
        open.tail.push(&mut out, timestamp, value.to_bits());
        let (added, len) = out.finish();
        piece.bytes.extend_from_slice(added);
        open.bits = open.bits - used + len;
        if start != 0 || !piece.starts.is_empty() {
            piece.starts.resize(piece.count.into(), 0);
            piece.starts.push(start);
        }
        piece.cover(timestamp);
    }

    /// Adds a native histogram.
    pub fn histogram(&mut self, number: u32, times: Times, histogram: Arc<Histogram>) {
        let Times { timestamp, start } = times;
        let series = &mut self.series[number as usize];
        self.samples += 1;
        let full = |piece: &Piece| piece.count >= CHUNK_SAMPLES;
        if series.histograms.last().is_none_or(full) {
            series.open.histogram = None;
            series.histograms.push(Piece::begin(timestamp, Vec::new()));
        }
        let piece = series.histograms.last_mut().expect("one was just pushed");
        let before = series.open.histogram.as_ref();
        let time_before = before.map_or(0, |before| before.0);
        put_zz(&mut piece.bytes, timestamp.wrapping_sub(time_before));
        put_zz(&mut piece.bytes, start);
        histogram::encode(
            &mut piece.bytes,
            before.map(|before| &*before.1),
            &histogram,
        );
        series.open.histogram = Some((timestamp, histogram));
        piece.cover(timestamp);
    }

    /// The numbers of all series in order of labels.
    pub fn sorted(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..self.series.len() as u32).collect();
        numbers.sort_unstable_by(|a, b| self.labels(*a).cmp(self.labels(*b)));
        numbers
    }

    /// The labels of a series.
    pub fn labels(&self, number: u32) -> &Labels {
        &self.series[number as usize].labels
    }

    /// The first and the last timestamp of all.
    pub fn bounds(&self) -> Option<(Timestamp, Timestamp)> {
        let pieces = self
            .series
            .iter()
            .flat_map(|s| s.floats.iter().chain(&s.histograms));
        pieces.fold(None, |bounds, piece| match bounds {
            None => Some((piece.min, piece.max)),
            Some((min, max)) => Some((piece.min.min(min), piece.max.max(max))),
        })
    }

    /// Appends a series' samples of a range, in order of time, of each timestamp the one that
    /// came first. Returns how many later ones had another value.
    ///
    /// # Errors
    /// When what was kept cannot be read: a mistake of this module.
    pub fn columns(
        &self,
        number: u32,
        range: Range,
        columns: &mut Columns,
    ) -> Result<u64, Damaged> {
        let series = &self.series[number as usize];
        let inside = |piece: &&Piece| piece.min < range.end && piece.max >= range.start;
        let mut all = Columns::default();
        for piece in series.floats.iter().filter(inside) {
            let from = all.timestamps.len();
            let count = piece.count.into();
            xor::decode(&piece.bytes, count, &mut all.timestamps, &mut all.values)?;
            if !piece.starts.is_empty() || !all.start_timestamps.is_empty() {
                all.start_timestamps.resize(from, 0);
                all.start_timestamps.extend_from_slice(&piece.starts);
                all.start_timestamps
                    .resize(from + usize::from(piece.count), 0);
            }
        }
        for piece in series.histograms.iter().filter(inside) {
            decode_histograms(piece, &mut all.histograms)?;
        }
        let conflicts = sort_first_wins(&mut all);
        super::block::append(&all, |t| range.contains(t), columns);
        Ok(conflicts)
    }
}

fn decode_histograms(piece: &Piece, out: &mut Vec<HistogramPoint>) -> Result<(), Damaged> {
    let mut r = Reader::new(&piece.bytes);
    let (mut timestamp, mut before) = (0i64, None::<Arc<Histogram>>);
    while !r.is_empty() {
        timestamp = timestamp.wrapping_add(r.zz()?);
        let start_timestamp = r.zz()?;
        let histogram = Arc::new(histogram::decode(&mut r, before.as_deref())?);
        before = Some(histogram.clone());
        out.push(HistogramPoint {
            timestamp,
            start_timestamp,
            histogram,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_of_a_timestamp_stays() {
        let mut gather = Gather::default();
        let labels = Labels::from_pairs([("a", "b")]);
        let series = gather.series(&labels).unwrap();
        assert_eq!(gather.series(&labels).unwrap(), series);
        let mut put = |timestamp, start, value| {
            gather.float(series, Times { timestamp, start }, value);
        };
        for t in 0..1_000 {
            put(t * 10, 0, t as f64);
        }
        put(15, 3, 1.5);
        put(20, 0, 2.0);
        put(30, 0, 33.0);
        put(-5, 0, 0.5);
        let times = |timestamp| Times {
            timestamp,
            start: 1,
        };
        gather.histogram(series, times(25), Arc::new(Histogram::stale()));
        gather.histogram(series, times(40), Arc::new(Histogram::stale()));
        assert_eq!(gather.bounds(), Some((-5, 9_990)));
        let mut columns = Columns::default();
        let range = Range { start: -5, end: 41 };
        let conflicts = gather.columns(series, range, &mut columns).unwrap();
        assert_eq!(conflicts, 2, "33 and a histogram where floats are");
        assert_eq!(columns.timestamps, [-5, 0, 10, 15, 20, 30, 40]);
        assert_eq!(columns.values, [0.5, 0.0, 1.0, 1.5, 2.0, 3.0, 4.0]);
        assert_eq!(columns.start_timestamps, [0, 0, 0, 3, 0, 0, 0]);
        let histograms: Vec<i64> = columns.histograms.iter().map(|p| p.timestamp).collect();
        assert_eq!(histograms, [25]);
    }
}
