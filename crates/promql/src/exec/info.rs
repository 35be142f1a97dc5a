//! `info`: labels of info metrics for the series they are about.
//!
//! An info series is about a series if both have the same `instance` and `job`. Which one that is
//! may change from step to step; a series then falls into as many as there are label sets.

use std::collections::{BTreeMap, HashSet};

use ferula_model::{Builder, Labels, METRIC_NAME};

use super::row::{Key, Row};
use super::tally::Seen;
use super::{Exec, Frame, Meta, is_absent};
use crate::budget::Amount;
use crate::error::QueryError;
use crate::plan::{Grid, InfoCall};
use crate::select::{Stamp, latest, latest_times};

/// The labels that say what a series is about.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// No info series of a metric at a step.
const NONE: usize = usize::MAX;

type Identity<'a> = [&'a str; 2];

fn identity(labels: &Labels) -> Identity<'_> {
    IDENTIFYING.map(|name| labels.value(name))
}

/// Per identity, the info series of each metric: at each step the row in force, or [`NONE`].
type InForce<'a> = BTreeMap<Identity<'a>, BTreeMap<&'a str, Vec<usize>>>;

impl<'q> Exec<'q> {
    /// Adds labels of info metrics.
    pub(super) fn info(&self, call: &InfoCall, grid: Grid) -> Result<Frame<'q>, QueryError> {
        let base = self.frame(&call.child, grid)?;
        let is_info = |labels: &Labels| {
            let name = labels.metric_name();
            call.names.iter().all(|matcher| matcher.matches(name))
        };
        let has_samples = |&i: &usize| (0..grid.count).any(|step| base.has(i, step));
        let series = (0..base.len()).filter(has_samples);
        let known = Known::new(series.map(|i| base.labels(i)), is_info);
        let infos = self.info_series(call, &known, grid)?;
        let room = self
            .budget
            .charge(Amount::cells((infos.len() * grid.count) as u64))?;
        let in_force = in_force(self, &infos)?;
        let mut out = Frame::new(self.budget, grid.count)?;
        let mut row = Row::default();
        for i in 0..base.len() {
            self.check()?;
            base.copy_row(i, &mut row);
            let meta = base.meta(i);
            if is_info(meta.labels) {
                out.push(meta.resolve(true), &row)?;
                continue;
            }
            let metrics: Vec<&Vec<usize>> = in_force
                .get(&identity(meta.labels))
                .map(|metrics| metrics.values().collect())
                .unwrap_or_default();
            enrich(call, meta, &row, &metrics, &infos, &mut out)?;
        }
        drop(room);
        out.merge_same_labels()
    }

    /// The info series that may be about a known series, with the times of their samples.
    fn info_series(
        &self,
        call: &InfoCall,
        known: &Known<'_>,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        let mut infos = Frame::new(self.budget, grid.count)?;
        let refs = call.source.refs(grid);
        let lookback_ms = self.data[call.source.selection].lookback_ms;
        let mut seen = Seen::default();
        self.decode_each((call.source_id, &call.source), |series, columns| {
            if !known.may_be_about(&series.labels) {
                return Ok(());
            }
            seen.samples = latest(columns, refs, lookback_ms, &mut seen.row);
            self.look_seen(call.source_id, &seen)?;
            let row = &mut seen.row;
            if !row.histograms.is_empty() {
                return Err(QueryError::execution(format!(
                    "this should be an info metric, with float samples: {}",
                    series.labels
                )));
            }
            latest_times(Stamp::Taken, columns, refs, lookback_ms, row);
            infos.push(Meta::named(&series.labels).resolve(true), row)
        })?;
        Ok(infos)
    }
}

/// What identifies the series that may get labels.
struct Known<'a>([HashSet<&'a str>; 2]);

impl<'a> Known<'a> {
    fn new(series: impl Iterator<Item = &'a Labels>, is_info: impl Fn(&Labels) -> bool) -> Self {
        let mut values = [HashSet::new(), HashSet::new()];
        for labels in series.filter(|labels| !is_info(labels)) {
            for (values, value) in values.iter_mut().zip(identity(labels)) {
                if !value.is_empty() {
                    values.insert(value);
                }
            }
        }
        Self(values)
    }

    fn may_be_about(&self, info: &Labels) -> bool {
        let mut pairs = self.0.iter().zip(identity(info));
        self.0.iter().any(|values| !values.is_empty())
            && pairs.all(|(values, value)| values.is_empty() || values.contains(value))
    }
}

/// Of several series of one metric, the one with the newest sample is in force.
fn in_force<'a>(exec: &Exec<'_>, infos: &'a Frame<'_>) -> Result<InForce<'a>, QueryError> {
    let mut all = InForce::new();
    for i in 0..infos.len() {
        exec.check()?;
        let labels = infos.labels(i);
        let rows = all
            .entry(identity(labels))
            .or_default()
            .entry(labels.metric_name())
            .or_insert_with(|| vec![NONE; infos.steps()]);
        for (step, (row, &time)) in rows.iter_mut().zip(infos.values(i)).enumerate() {
            if is_absent(time) {
                continue;
            }
            let newest = (*row != NONE).then(|| infos.values(*row)[step]);
            if newest == Some(time) {
                let ms = (time * 1000.0).round() as i64;
                return Err(QueryError::execution(format!(
                    "found duplicate series for info metric: existing {} @ {ms}, new {labels} @ {ms}",
                    infos.labels(*row),
                )));
            }
            if newest.is_none_or(|newest| newest < time) {
                *row = i;
            }
        }
    }
    Ok(all)
}

/// Splits a series by what is in force for it, and adds the labels of that.
fn enrich(
    call: &InfoCall,
    meta: Meta<'_>,
    row: &Row,
    metrics: &[&Vec<usize>],
    infos: &Frame<'_>,
    out: &mut Frame<'_>,
) -> Result<(), QueryError> {
    let mut parts: BTreeMap<Vec<usize>, Row> = BTreeMap::new();
    let mut rows = Vec::with_capacity(metrics.len());
    let mut histograms = row.histograms.iter().peekable();
    for (step, &value) in row.values.iter().enumerate() {
        let histogram = histograms.next_if(|(at, _)| *at as usize == step);
        if is_absent(value) && histogram.is_none() {
            continue;
        }
        rows.clear();
        rows.extend(metrics.iter().map(|m| m[step]).filter(|&row| row != NONE));
        if rows.is_empty() && call.required {
            continue;
        }
        if !parts.contains_key(&rows) {
            let mut part = Row::default();
            part.reset(row.values.len());
            parts.insert(rows.clone(), part);
        }
        if let Some(part) = parts.get_mut(&rows) {
            part.values[step] = value;
            part.histograms.extend(histogram.cloned());
        }
    }
    for (rows, part) in parts {
        let labels = with_data(call, meta.labels, rows.iter().map(|&i| infos.labels(i)))?;
        let key = Key {
            labels,
            drop_name: meta.drop_name,
        };
        out.push(key, &part)?;
    }
    Ok(())
}

/// `base` with the labels it lacks; no two info series may disagree about one.
fn with_data<'a>(
    call: &InfoCall,
    base: &Labels,
    infos: impl Iterator<Item = &'a Labels>,
) -> Result<Labels, QueryError> {
    let mut added: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, value) in infos.flat_map(|labels| labels.iter()) {
        let wanted = call.wanted.is_empty() || call.wanted.iter().any(|w| w == name);
        if name == METRIC_NAME || !wanted || !base.value(name).is_empty() {
            continue;
        }
        if added
            .insert(name, value)
            .is_some_and(|other| other != value)
        {
            return Err(QueryError::execution(format!("conflicting label: {name}")));
        }
    }
    let mut builder = Builder::from(base);
    for (name, value) in added {
        builder.set(name, value);
    }
    Ok(builder.build())
}
