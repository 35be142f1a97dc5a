//! Records of a write-ahead log.

use std::sync::Arc;

use ferula_model::{
    BUCKETS_MAX, CounterReset, Counts, Histogram, LABEL_LEN_MAX, Labels, SCHEMA_CUSTOM, Span,
    Timestamp,
};

use super::histograms::populations;
use crate::Damaged;
use crate::bytes::Reader;

/// Takes what records say, in the order in which they say it. Series are numbered by the
/// server that wrote them.
pub trait Records {
    /// A series and its number.
    fn series(&mut self, number: u64, labels: Labels);
    /// A float.
    fn float(&mut self, number: u64, times: Times, value: f64);
    /// A native histogram.
    fn histogram(&mut self, number: u64, times: Times, histogram: Arc<Histogram>);
    /// A deletion, both ends inside.
    fn tombstone(&mut self, number: u64, min: Timestamp, max: Timestamp);
    /// Samples before this time are not to be used.
    fn min_valid(&mut self, time: Timestamp);
}

/// When a sample was taken, and when its counting began (0 if that is not known).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When it was taken.
    pub timestamp: Timestamp,
    /// When its counting began.
    pub start: Timestamp,
}

/// What follows times and series number.
#[derive(Clone, Copy)]
enum Kind {
    Float,
    Histogram,
    FloatHistogram,
}

/// Reads one record. Kinds that are not known, or say nothing about samples, are passed over.
pub fn decode(record: &[u8], to: &mut impl Records) -> Result<(), Damaged> {
    let mut r = Reader::new(record);
    if r.is_empty() {
        return Ok(());
    }
    match r.u8()? {
        1 => series(&mut r, to),
        2 => samples(&mut r, Kind::Float, to),
        7 | 9 => samples(&mut r, Kind::Histogram, to),
        8 | 10 => samples(&mut r, Kind::FloatHistogram, to),
        11 => samples_with_starts(&mut r, Kind::Float, to),
        12 => samples_with_starts(&mut r, Kind::Histogram, to),
        13 => samples_with_starts(&mut r, Kind::FloatHistogram, to),
        3 => {
            while !r.is_empty() {
                to.tombstone(be64(&mut r)?, r.zz()?, r.zz()?);
            }
            Ok(())
        }
        14 => {
            to.min_valid(be64(&mut r)? as i64);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn be64(r: &mut Reader<'_>) -> Result<u64, Damaged> {
    Ok(u64::from_be_bytes(r.array()?))
}

fn double(r: &mut Reader<'_>) -> Result<f64, Damaged> {
    Ok(f64::from_bits(be64(r)?))
}

fn series(r: &mut Reader<'_>, to: &mut impl Records) -> Result<(), Damaged> {
    while !r.is_empty() {
        let number = be64(r)?;
        let count = r.uv()?;
        if count > r.left() as u64 / 2 {
            return Err(Damaged("a series has fewer labels than said"));
        }
        let mut pairs = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let (name, value) = (r.str()?, r.str()?);
            if name.len().max(value.len()) > LABEL_LEN_MAX {
                return Err(Damaged("a label name or value is longer than 16 MiB"));
            }
            pairs.push((name, value));
        }
        to.series(number, Labels::from_pairs(pairs));
    }
    Ok(())
}

/// Times and numbers as differences to those at the front.
fn samples(r: &mut Reader<'_>, kind: Kind, to: &mut impl Records) -> Result<(), Damaged> {
    if r.is_empty() {
        return Ok(());
    }
    let (base, base_time) = (be64(r)?, be64(r)? as i64);
    while !r.is_empty() {
        let number = base.wrapping_add(r.zz()? as u64);
        let times = Times {
            timestamp: base_time.wrapping_add(r.zz()?),
            start: 0,
        };
        sample(r, kind, number, times, to)?;
    }
    Ok(())
}

/// Numbers as differences to the one before, times to the first, start times as marked.
fn samples_with_starts(
    r: &mut Reader<'_>,
    kind: Kind,
    to: &mut impl Records,
) -> Result<(), Damaged> {
    if r.is_empty() {
        return Ok(());
    }
    let mut number = r.zz()? as u64;
    let first = Times {
        timestamp: r.zz()?,
        start: r.zz()?,
    };
    let mut times = first;
    sample(r, kind, number, times, to)?;
    while !r.is_empty() {
        number = number.wrapping_add(r.zz()? as u64);
        times.timestamp = first.timestamp.wrapping_add(r.zz()?);
        times.start = match r.u8()? {
            0 => 0,
            1 => times.start,
            _ => first.start.wrapping_add(r.zz()?),
        };
        sample(r, kind, number, times, to)?;
    }
    Ok(())
}

fn sample(
    r: &mut Reader<'_>,
    kind: Kind,
    number: u64,
    times: Times,
    to: &mut impl Records,
) -> Result<(), Damaged> {
    match kind {
        Kind::Float => to.float(number, times, double(r)?),
        Kind::Histogram => to.histogram(number, times, histogram(r, false)?),
        Kind::FloatHistogram => to.histogram(number, times, histogram(r, true)?),
    }
    Ok(())
}

fn histogram(r: &mut Reader<'_>, float: bool) -> Result<Arc<Histogram>, Damaged> {
    let reset = match r.u8()? {
        1 => CounterReset::Reset,
        2 => CounterReset::NotReset,
        3 => CounterReset::Gauge,
        _ => CounterReset::Unknown,
    };
    let schema = i8::try_from(r.zz()?);
    let schema = schema.map_err(|_| Damaged("a histogram has a schema that is not known"))?;
    let zero_threshold = double(r)?;
    let totals = match float {
        true => [be64(r)?, be64(r)?],
        false => [r.uv()?, r.uv()?],
    };
    let sum = double(r)?;
    let positive_spans = spans(r)?;
    let negative_spans = spans(r)?;
    let counts = match float {
        true => Counts::Float {
            zero: f64::from_bits(totals[0]),
            count: f64::from_bits(totals[1]),
            positive: doubles(r)?,
            negative: doubles(r)?,
        },
        false => Counts::Integer {
            zero: totals[0],
            count: totals[1],
            positive: populations(&differences(r)?)?,
            negative: populations(&differences(r)?)?,
        },
    };
    let custom_values = match schema {
        SCHEMA_CUSTOM => doubles(r)?,
        _ => Vec::new(),
    };
    let histogram = Histogram {
        reset,
        schema,
        zero_threshold,
        sum,
        positive_spans,
        negative_spans,
        custom_values,
        counts,
    };
    if histogram.is_stale() {
        return Ok(Arc::new(Histogram::stale()));
    }
    match histogram.validate() {
        Ok(()) => Ok(Arc::new(histogram)),
        Err(_) => Err(Damaged("a histogram contradicts itself")),
    }
}

/// How many entries follow, of at least so many bytes each.
fn count(r: &mut Reader<'_>, bytes: usize) -> Result<usize, Damaged> {
    let count = r.uv()?;
    if count > (r.left() / bytes).min(BUCKETS_MAX) as u64 {
        return Err(Damaged("a histogram has more numbers than bytes"));
    }
    Ok(count as usize)
}

fn spans(r: &mut Reader<'_>) -> Result<Vec<Span>, Damaged> {
    let count = count(r, 2)?;
    let span = |_| {
        let offset = r.zz()?;
        Ok(Span {
            offset: i32::try_from(offset).map_err(|_| Damaged("a span starts too far out"))?,
            length: r.uv32()?,
        })
    };
    (0..count).map(span).collect()
}

fn differences(r: &mut Reader<'_>) -> Result<Vec<i64>, Damaged> {
    let count = count(r, 1)?;
    (0..count).map(|_| r.zz()).collect()
}

fn doubles(r: &mut Reader<'_>) -> Result<Vec<f64>, Damaged> {
    let count = count(r, 8)?;
    (0..count).map(|_| double(r)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::{put_uv, put_zz};

    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Records for Seen {
        fn series(&mut self, number: u64, labels: Labels) {
            self.0.push(format!("{number} = {labels}"));
        }
        fn float(&mut self, number: u64, times: Times, value: f64) {
            let Times { timestamp, start } = times;
            self.0.push(format!("{number} {value}@{timestamp}<{start}"));
        }
        fn histogram(&mut self, number: u64, times: Times, histogram: Arc<Histogram>) {
            let count = histogram.count();
            self.0
                .push(format!("{number} h{count}@{}", times.timestamp));
        }
        fn tombstone(&mut self, number: u64, min: Timestamp, max: Timestamp) {
            self.0.push(format!("{number} not [{min}, {max}]"));
        }
        fn min_valid(&mut self, time: Timestamp) {
            self.0.push(format!("from {time}"));
        }
    }

    fn seen(record: &[u8]) -> Vec<String> {
        let mut seen = Seen::default();
        decode(record, &mut seen).unwrap();
        seen.0
    }

    #[test]
    fn each_kind_is_read() {
        let mut record = vec![1];
        record.extend(7u64.to_be_bytes());
        record.extend(b"\x02\x08__name__\x02up\x01a\x01b");
        assert_eq!(seen(&record), [r#"7 = {__name__="up", a="b"}"#]);

        let mut record = vec![2];
        record.extend(7u64.to_be_bytes());
        record.extend(1_000i64.to_be_bytes());
        for (number, time) in [(0, 0), (-3, 5)] {
            put_zz(&mut record, number);
            put_zz(&mut record, time);
            record.extend(1.5f64.to_be_bytes());
        }
        assert_eq!(seen(&record), ["7 1.5@1000<0", "4 1.5@1005<0"]);

        let mut record = vec![11];
        for n in [7, 1_000, 900] {
            put_zz(&mut record, n);
        }
        record.extend(1.5f64.to_be_bytes());
        for marker in [1, 0, 2] {
            put_zz(&mut record, 1);
            put_zz(&mut record, 10);
            record.push(marker);
            if marker == 2 {
                put_zz(&mut record, 50);
            }
            record.extend(2f64.to_be_bytes());
        }
        let expected = [
            "7 1.5@1000<900",
            "8 2@1010<900",
            "9 2@1010<0",
            "10 2@1010<950",
        ];
        assert_eq!(seen(&record), expected);

        let mut record = vec![3];
        record.extend(7u64.to_be_bytes());
        put_zz(&mut record, -5);
        put_zz(&mut record, 5);
        assert_eq!(seen(&record), ["7 not [-5, 5]"]);

        assert_eq!(seen(&[&[14], &9i64.to_be_bytes()[..]].concat()), ["from 9"]);
        assert!(seen(&[99, 1, 2, 3]).is_empty() && seen(&[]).is_empty());
    }

    #[test]
    fn histograms_are_read() {
        let mut record = vec![7];
        record.extend(7u64.to_be_bytes());
        record.extend(1_000i64.to_be_bytes());
        put_zz(&mut record, 0);
        put_zz(&mut record, 1);
        record.push(0);
        put_zz(&mut record, 3);
        record.extend(0.001f64.to_be_bytes());
        put_uv(&mut record, 1);
        put_uv(&mut record, 6);
        record.extend(4.0f64.to_be_bytes());
        for n in [1, 0, 2] {
            put_uv(&mut record, n);
        }
        put_uv(&mut record, 0);
        put_uv(&mut record, 2);
        put_zz(&mut record, 2);
        put_zz(&mut record, 1);
        put_uv(&mut record, 0);
        assert_eq!(seen(&record), ["7 h6@1001"]);
        let mut seen = Seen::default();
        for cut in 18..record.len() {
            assert!(decode(&record[..cut], &mut seen).is_err(), "cut at {cut}");
        }
    }
}
