//! Annotations (§11): each text once, ten of a kind.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use ferula_model::Timestamp;
use ferula_model::text::number::Form;

use super::calendar::date;

const SHOWN_MAX: usize = 10;

/// Texts with their places.
type List = Vec<(String, u32)>;

/// What a query notices on its way. A place is the first byte of an expression.
#[derive(Default)]
pub(super) struct Notes {
    warnings: RefCell<List>,
    infos: RefCell<List>,
    /// Repairs of classic histograms, one text per place (§9.8).
    repairs: RefCell<BTreeMap<u32, Vec<Repair>>>,
    /// Metrics with samples whose counting overlaps: in how many windows, and where (§9.2).
    overlaps: RefCell<BTreeMap<String, (u64, BTreeSet<u32>)>>,
}

/// A classic histogram that had to be made monotonic.
#[derive(Clone, Debug)]
pub(super) struct Repair {
    pub(super) lowest: f64,
    pub(super) highest: f64,
    pub(super) max_diff: f64,
    pub(super) time: Timestamp,
}

impl Notes {
    pub(super) fn warn(&self, text: impl Into<String>, at: u32) {
        once(&self.warnings, text.into(), at);
    }

    pub(super) fn info(&self, text: impl Into<String>, at: u32) {
        once(&self.infos, text.into(), at);
    }

    pub(super) fn repaired(&self, repair: Repair, at: u32) {
        let mut repairs = self.repairs.borrow_mut();
        repairs.entry(at).or_default().push(repair);
    }

    /// Notes a window with samples that count from before the sample before them.
    pub(super) fn overlapping(&self, name: String, at: u32) {
        let mut overlaps = self.overlaps.borrow_mut();
        let (count, places) = overlaps.entry(name).or_default();
        *count += 1;
        places.insert(at);
    }

    /// The texts of warnings and infos, with places in the query `text`.
    ///
    /// The third list has the same texts at other places.
    pub(super) fn render(self, text: &str) -> (Vec<String>, Vec<String>, Vec<String>) {
        let (mut warnings, mut infos) = (self.warnings.into_inner(), self.infos.into_inner());
        for (name, (count, places)) in self.overlaps.into_inner() {
            let often = match count {
                1 => String::new(),
                _ => format!(" ({count} occurrences)"),
            };
            let text =
                "sample has start time that overlaps with previous sample timestamp for metric";
            let text = format!("{text} {name}{often}");
            warnings.extend(places.into_iter().map(|at| (text.clone(), at)));
        }
        for (at, repairs) in self.repairs.into_inner() {
            infos.push((repair_text(&repairs), at));
        }
        let (warnings, more_warnings) = render(warnings, "warning", text);
        let (infos, more_infos) = render(infos, "info", text);
        (warnings, infos, [more_warnings, more_infos].concat())
    }
}

fn once(list: &RefCell<List>, text: String, at: u32) {
    let mut list = list.borrow_mut();
    if !list.contains(&(text.clone(), at)) {
        list.push((text, at));
    }
}

/// Each text once, as the user sees it, and the same texts at other places.
fn render(list: List, kind: &str, text: &str) -> (Vec<String>, Vec<String>) {
    let mut seen = BTreeSet::new();
    let (mut first, mut elsewhere) = (Vec::new(), Vec::new());
    for (message, at) in list {
        let before = &text.as_bytes()[..at as usize];
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|&&b| b != b'\n').count() + 1;
        let shown = format!("PromQL {kind}: {message} ({line}:{column})");
        if seen.insert(message) {
            first.push(shown);
        } else {
            elsewhere.push(shown);
        }
    }
    let omitted = first.len().saturating_sub(SHOWN_MAX);
    if omitted > 0 {
        first.truncate(SHOWN_MAX);
        first.push(format!("{omitted} more {kind} annotations omitted"));
    }
    (first, elsewhere)
}

fn repair_text(repairs: &[Repair]) -> String {
    let of = |value: fn(&Repair) -> f64, pick: fn(f64, f64) -> f64| {
        repairs.iter().map(value).reduce(pick).unwrap_or(f64::NAN)
    };
    let times = || repairs.iter().map(|r| r.time);
    format!(
        "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile), from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
        Form::General.show(of(|r| r.lowest, f64::min)),
        Form::General.show(of(|r| r.highest, f64::max)),
        two_digits(of(|r| r.max_diff, f64::max)),
        repairs.len(),
        rfc3339(times().min().unwrap_or(0)),
        rfc3339(times().max().unwrap_or(0)),
    )
}

/// Go's `%.2g`.
fn two_digits(v: f64) -> String {
    if !v.is_finite() {
        return Form::General.show(v).to_string();
    }
    let scientific = format!("{v:.1e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..2).contains(&exponent) {
        // Reading the rounded digits back and printing the fewest that give them.
        let rounded: f64 = scientific.parse().unwrap_or(v);
        return format!("{rounded}");
    }
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// A time in UTC; fractions of a second only if there are any.
fn rfc3339(time: Timestamp) -> String {
    let (second, ms) = (time.div_euclid(1000), time.rem_euclid(1000));
    let (year, month, day) = date(second.div_euclid(86_400));
    let of_day = second.rem_euclid(86_400);
    let (h, m, s) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let fraction = match ms {
        0 => String::new(),
        ms => format!(".{ms:03}").trim_end_matches('0').to_owned(),
    };
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}{fraction}Z")
}
