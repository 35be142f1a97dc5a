//! `metric{label="value"} 0+1x10 _ stale {{count:3}}`: series in one line.

use std::fmt;

use ferula_model::{CounterReset, Histogram, Labels, METRIC_NAME, stale_marker};

use crate::cursor::Cursor;
use crate::histogram::Literal;

/// One value of a sequence.
#[derive(Clone, Debug)]
pub enum Item {
    /// A float; `stale` is the staleness marker.
    Float(f64),
    /// A histogram, and the reset hint if the literal states one.
    Histogram(Box<Histogram>, Option<CounterReset>),
}

/// A series with its values, one per step; `None` where there is no sample.
#[derive(Clone, Debug)]
pub struct SeriesLine {
    /// Its labels.
    pub labels: Labels,
    /// Its values.
    pub values: Vec<Option<Item>>,
    /// How much later than each sample its counting began, in milliseconds, as a line before this
    /// one says (so it is mostly negative); empty if none does.
    pub starts: Vec<Option<i64>>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NotationError {
    /// What.
    pub what: String,
    /// Where, in bytes from 1.
    pub column: usize,
}

impl fmt::Display for NotationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.what)
    }
}

/// Parses a series line.
pub fn parse_series(line: &str) -> Result<SeriesLine, NotationError> {
    let mut cursor = Cursor::new(line.trim());
    let labels = labels(&mut cursor)?;
    let mut values = Vec::new();
    while !at_end(&mut cursor) {
        item(&mut cursor, &mut values)?;
    }
    Ok(SeriesLine {
        labels,
        values,
        starts: Vec::new(),
    })
}

/// Parses a line that gives start timestamps to the series of the next one:
/// `metric{label="value"}@st _ -30s -30s-1mx2`. `None` if the line is another one.
pub(crate) fn parse_starts(line: &str) -> Result<Option<SeriesLine>, NotationError> {
    let mut cursor = Cursor::new(line.trim());
    let labels = labels(&mut cursor)?;
    if !cursor.eat("@st") {
        return Ok(None);
    }
    let mut starts = Vec::new();
    while !at_end(&mut cursor) {
        start_item(&mut cursor, &mut starts)?;
        expect_space(&cursor)?;
    }
    Ok(Some(SeriesLine {
        labels,
        values: Vec::new(),
        starts,
    }))
}

fn at_end(cursor: &mut Cursor<'_>) -> bool {
    cursor.skip_space();
    cursor.at_end()
}

fn expect_space(cursor: &Cursor<'_>) -> Result<(), NotationError> {
    match cursor.peek() {
        None | Some(' ' | '\t') => Ok(()),
        Some(_) => Err(cursor.error("expected white space after a value")),
    }
}

/// Parses a label set: `metric{label="value"}`.
pub fn parse_labels(text: &str) -> Result<Labels, NotationError> {
    let mut cursor = Cursor::new(text.trim());
    let labels = labels(&mut cursor)?;
    if cursor.at_end() {
        Ok(labels)
    } else {
        Err(cursor.error("unexpected text after the labels"))
    }
}

fn labels(cursor: &mut Cursor<'_>) -> Result<Labels, NotationError> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut pairs = Vec::new();
    let name = cursor.take_while(word);
    if !name.is_empty() {
        pairs.push((METRIC_NAME.to_owned(), name.to_owned()));
    }
    cursor.skip_space();
    // `{{` opens a histogram: the series has a name and no braces.
    if cursor.rest().starts_with("{{") || !cursor.eat("{") {
        if pairs.is_empty() {
            return Err(cursor.error("expected a metric name or {"));
        }
        return Ok(Labels::from_pairs(pairs));
    }
    loop {
        cursor.skip_space();
        if cursor.eat("}") {
            return Ok(Labels::from_pairs(pairs));
        }
        let quoted = matches!(cursor.peek(), Some('"' | '\'' | '`'));
        let label = if quoted {
            cursor.string()?
        } else {
            cursor.take_while(word).to_owned()
        };
        cursor.skip_space();
        if cursor.eat("=") {
            cursor.skip_space();
            let value = cursor.string()?;
            pairs.push((label, value));
        } else if quoted {
            pairs.push((METRIC_NAME.to_owned(), label));
        } else {
            return Err(cursor.error("expected ="));
        }
        cursor.skip_space();
        if !cursor.eat(",") && cursor.peek() != Some('}') {
            return Err(cursor.error("expected , or }"));
        }
    }
}

/// One item, which yields one or more values.
fn item(cursor: &mut Cursor<'_>, values: &mut Vec<Option<Item>>) -> Result<(), NotationError> {
    if cursor.eat("_") {
        let count = if cursor.eat("x") {
            cursor.repeat_count()?
        } else {
            1
        };
        values.extend(std::iter::repeat_n(None, count));
    } else if cursor.eat("stale") {
        let count = if cursor.eat("x") {
            cursor.repeat_count()? + 1
        } else {
            1
        };
        values.extend(std::iter::repeat_n(
            Some(Item::Float(stale_marker())),
            count,
        ));
    } else if cursor.rest().starts_with("{{") {
        histograms(cursor, values)?;
    } else {
        floats(cursor, values)?;
    }
    expect_space(cursor)
}

/// One item of start timestamps, which yields one or more.
fn start_item(cursor: &mut Cursor<'_>, starts: &mut Vec<Option<i64>>) -> Result<(), NotationError> {
    if cursor.eat("_") {
        let count = if cursor.eat("x") {
            cursor.repeat_count()?
        } else {
            1
        };
        starts.extend(std::iter::repeat_n(None, count));
        return Ok(());
    }
    let mut start = cursor.signed_duration()?;
    let change = match cursor.peek() {
        Some('+' | '-') => cursor.signed_duration()?,
        _ => 0,
    };
    let more = if cursor.eat("x") {
        cursor.repeat_count()?
    } else {
        0
    };
    for _ in 0..=more {
        starts.push(Some(start));
        start += change;
    }
    Ok(())
}

fn floats(cursor: &mut Cursor<'_>, values: &mut Vec<Option<Item>>) -> Result<(), NotationError> {
    let mut value = cursor.number()?;
    let delta = match cursor.peek() {
        Some('+' | '-') => cursor.number()?,
        _ => 0.0,
    };
    let more = if cursor.eat("x") {
        cursor.repeat_count()?
    } else {
        0
    };
    for i in 0..=more {
        if i > 0 {
            value += delta;
        }
        values.push(Some(Item::Float(value)));
    }
    Ok(())
}

fn histograms(
    cursor: &mut Cursor<'_>,
    values: &mut Vec<Option<Item>>,
) -> Result<(), NotationError> {
    let mut histogram = Literal::parse(cursor)?;
    let factor = match cursor.peek() {
        Some('-') => -1.0,
        _ => 1.0,
    };
    let delta = if cursor.eat("+") || cursor.eat("-") {
        Some(Literal::parse(cursor)?)
    } else {
        None
    };
    let more = if cursor.eat("x") {
        cursor.repeat_count()?
    } else {
        0
    };
    for i in 0..=more {
        if let (true, Some(delta)) = (i > 0, &delta) {
            histogram
                .add(delta, factor)
                .map_err(|what| cursor.error(what))?;
        }
        values.push(Some(Item::Histogram(
            Box::new(histogram.build()),
            histogram.reset,
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats_of(line: &str) -> Vec<Option<f64>> {
        parse_series(line)
            .unwrap()
            .values
            .into_iter()
            .map(|item| match item {
                Some(Item::Float(v)) => Some(v),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn sequences() {
        let some = |values: &[f64]| values.iter().map(|&v| Some(v)).collect::<Vec<_>>();
        assert_eq!(floats_of("a 0+10x2"), some(&[0.0, 10.0, 20.0]));
        assert_eq!(floats_of("a 8-2x1 3x1"), some(&[8.0, 6.0, 3.0, 3.0]));
        assert_eq!(floats_of("a 0x1 1e2 5m"), some(&[0.0, 0.0, 100.0, 300.0]));
        assert_eq!(floats_of("a 1 _ _x2 -Inf").len(), 5);
        assert!(floats_of("a stale")[0].unwrap().is_nan());
        assert_eq!(floats_of(r#"{a="b"} .5"#), some(&[0.5]));
    }

    #[test]
    fn start_timestamps() {
        let starts = |line: &str| parse_starts(line).map(|line| line.map(|line| line.starts));
        assert_eq!(
            starts("a{b=\"c\"}@st _x2 -30s -1m+1sx1 0 +5ms"),
            Ok(Some(vec![
                None,
                None,
                Some(-30_000),
                Some(-60_000),
                Some(-59_000),
                Some(0),
                Some(5)
            ]))
        );
        assert_eq!(starts("a 1s"), Ok(None));
        assert!(starts("a@st 1").is_err());
    }

    #[test]
    fn label_sets() {
        let labels = |text: &str| parse_labels(text).unwrap().to_string();
        assert_eq!(
            labels(r#"m{a="b", c='d',}"#),
            r#"{__name__="m", a="b", c="d"}"#
        );
        assert_eq!(
            labels(r#"{"my.metric", "x.y"="\x41"}"#),
            r#"{__name__="my.metric", "x.y"="A"}"#
        );
        assert!(parse_labels("m{a}").is_err());
    }

    #[test]
    fn histogram_sums() {
        let line = parse_series("h {{count:1 buckets:[1]}}+{{count:2 buckets:[1 1]}}x2").unwrap();
        let Some(Some(Item::Histogram(h, None))) = line.values.last() else {
            panic!("no histogram")
        };
        assert_eq!(h.count(), 5.0);
        assert_eq!(h.positive_spans[0].length, 2);
    }
}
