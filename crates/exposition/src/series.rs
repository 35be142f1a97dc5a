//! A sample as exposed, its labels still text.

use std::borrow::Cow;

use ferula_model::text::number;
use ferula_model::{METRIC_NAME, MetricKind, Timestamp};

use crate::cursor::{self, Item};

/// A sample. Its labels are read only when asked for: a series seen before is found by `raw`.
#[derive(Clone, Debug)]
pub struct Series<'a> {
    /// Name and labels exactly as exposed: the same bytes mean the same series, as long as the
    /// family's type stays the same.
    pub raw: &'a [u8],
    /// The value; every NaN has the same bits, and none is the staleness marker.
    pub value: f64,
    /// When, if the target says so.
    pub timestamp: Option<Timestamp>,
    /// What leads to one of the observations behind the value; OpenMetrics only.
    pub exemplar: Option<Exemplar<'a>>,
    pub(crate) kind: MetricKind,
}

impl<'a> Series<'a> {
    /// The labels as exposed, in that order, the metric's name among them as `__name__`. Empty
    /// values are there, and a name occurring twice is yielded twice. The `le` of a histogram
    /// and the `quantile` of a summary are written the one way OpenMetrics writes them.
    pub fn labels(&self) -> LabelIter<'a> {
        let number_label = match self.kind {
            MetricKind::Histogram => Some("le"),
            MetricKind::Summary => Some("quantile"),
            _ => None,
        };
        let pos = cursor::skip_blanks(self.raw, 0);
        if self.raw.get(pos) == Some(&b'{') {
            return LabelIter::new(self.raw, pos, None, number_label);
        }
        let end = cursor::metric_end(self.raw, pos);
        let (name, list) = self.raw.split_at(end);
        let open = cursor::skip_blanks(list, 0);
        LabelIter::new(list, open, Some(name), number_label)
    }
}

/// An exemplar as exposed.
#[derive(Clone, Debug)]
pub struct Exemplar<'a> {
    /// Its labels in their braces, as exposed.
    pub raw: &'a [u8],
    /// The observed value.
    pub value: f64,
    /// When it was observed, if the target says so.
    pub timestamp: Option<Timestamp>,
}

impl<'a> Exemplar<'a> {
    /// The labels as exposed, in that order.
    pub fn labels(&self) -> LabelIter<'a> {
        LabelIter::new(self.raw, 0, None, None)
    }
}

/// Iterates over names and values; made by [`Series::labels`] and [`Exemplar::labels`]. Only
/// values with escapes, or numbers that are written another way, are copied.
#[derive(Clone, Debug)]
pub struct LabelIter<'a> {
    list: &'a [u8],
    pos: usize,
    name: Option<&'a [u8]>,
    number_label: Option<&'static str>,
}

impl<'a> LabelIter<'a> {
    fn new(
        list: &'a [u8],
        open: usize,
        name: Option<&'a [u8]>,
        number_label: Option<&'static str>,
    ) -> Self {
        Self {
            list,
            pos: open + 1,
            name,
            number_label,
        }
    }
}

impl<'a> Iterator for LabelIter<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        const NAME: Cow<'static, str> = Cow::Borrowed(METRIC_NAME);
        if let Some(name) = self.name.take() {
            return Some((NAME, String::from_utf8_lossy(name)));
        }
        match cursor::next_item(self.list, &mut self.pos)? {
            Item::Name(name) => Some((NAME, cursor::unescape(name, true))),
            Item::Label(name, value) => {
                let name = cursor::unescape(name, true);
                let value = cursor::unescape(value, true);
                if self.number_label == Some(&*name) {
                    return Some((name, canonical_number(value)));
                }
                Some((name, value))
            }
        }
    }
}

/// `1` and `1.00` as `1.0`; what is no number stays.
fn canonical_number(text: Cow<'_, str>) -> Cow<'_, str> {
    let Ok(value) = number::parse(text.as_bytes()) else {
        return text;
    };
    let mut out = String::new();
    number::write_openmetrics(&mut out, value);
    if out == text { text } else { Cow::Owned(out) }
}
