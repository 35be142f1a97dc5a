//! Annotations (§11): each text once, ten of a kind.

use std::cell::RefCell;
use std::collections::BTreeMap;

use ferula_model::Timestamp;
use ferula_model::text::number::Form;

use super::calendar::date;

const SHOWN_MAX: usize = 10;

/// What a query notices on its way. A place is the first byte of an expression.
#[derive(Default)]
pub(super) struct Notes {
    warnings: RefCell<Vec<(String, u32)>>,
    infos: RefCell<Vec<(String, u32)>>,
    /// Repairs of classic histograms, one text per place (§9.8).
    repairs: RefCell<BTreeMap<u32, Vec<Repair>>>,
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

    /// The texts of warnings and infos, with places in the query `text`.
    pub(super) fn render(self, text: &str) -> (Vec<String>, Vec<String>) {
        let mut infos = self.infos.into_inner();
        for (at, repairs) in self.repairs.into_inner() {
            infos.push((repair_text(&repairs), at));
        }
        (
            render(self.warnings.into_inner(), "warning", text),
            render(infos, "info", text),
        )
    }
}

fn once(list: &RefCell<Vec<(String, u32)>>, text: String, at: u32) {
    let mut list = list.borrow_mut();
    if !list.iter().any(|(known, _)| *known == text) {
        list.push((text, at));
    }
}

fn render(list: Vec<(String, u32)>, kind: &str, text: &str) -> Vec<String> {
    let omitted = list.len().saturating_sub(SHOWN_MAX);
    let mut lines = Vec::new();
    for (message, at) in list.into_iter().take(SHOWN_MAX) {
        let before = &text.as_bytes()[..at as usize];
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|&&b| b != b'\n').count() + 1;
        lines.push(format!("PromQL {kind}: {message} ({line}:{column})"));
    }
    if omitted > 0 {
        lines.push(format!("{omitted} more {kind} annotations omitted"));
    }
    lines
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
