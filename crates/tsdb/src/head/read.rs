//! Reading: a consistent snapshot, taken under a short lock.

use std::sync::Arc;

use ferula_model::{Labels, Matcher, Range, TenantId};
use ferula_storage::{LabelQuery, SelectRequest, Selected, SelectedSeries};

use super::index::{Index, Pair};
use super::select::matching;
use super::snapshot::{Moment, Source};
use super::{Data, Head};

impl Head {
    /// The series that match, with their samples as they are at this instant: those not below
    /// the floor. What `under_lock` returns belongs to the same instant: no commit becomes
    /// visible and no floor is raised while it runs.
    pub fn select<T>(
        &self,
        request: &SelectRequest,
        under_lock: impl FnOnce() -> T,
    ) -> (Selected, T) {
        let index = self.index.read();
        let mut ids = matching(&index, &request.tenant, &request.matchers);
        self.order.lock().sort(&index, &mut ids);
        let data = self.data.read();
        let beside = under_lock();
        let mut moment = Moment {
            open: Vec::new(),
            floor: data.floor,
        };
        let range = data.above_floor(request.range);
        let snapshots: Vec<_> = ids
            .into_iter()
            .filter(|&sid| range.is_some_and(|range| data.may_overlap(sid, range)))
            .filter_map(|sid| {
                let snapshot = data.series(sid)?.snapshot(&mut moment.open);
                Some((sid, snapshot, data.late(sid).cloned()))
            })
            .collect();
        drop(data);
        let moment = Arc::new(moment);
        let names = request.hints.labels.as_ref().map(|names| -> Vec<u32> {
            let found = names.iter().filter_map(|name| index.symbols.find(name));
            found.collect()
        });
        let series = snapshots
            .into_iter()
            .map(|(sid, snapshot, late)| SelectedSeries {
                labels: match &names {
                    Some(names) => index.labels_named(sid, names),
                    None => index.labels(sid),
                },
                source: Arc::new(Source {
                    snapshot,
                    late,
                    moment: moment.clone(),
                }),
            });
        let selected = Selected {
            series: series.collect(),
            warnings: Vec::new(),
        };
        (selected, beside)
    }

    /// Label sets of the series that match, sorted.
    pub fn series(&self, query: &LabelQuery) -> Vec<Labels> {
        let index = self.index.read();
        let mut ids = self.published(&index, query);
        self.order.lock().sort(&index, &mut ids);
        ids.truncate(limit(query));
        ids.into_iter().map(|sid| index.labels(sid)).collect()
    }

    /// Label names of the series that match, sorted.
    pub fn label_names(&self, query: &LabelQuery) -> Vec<String> {
        let index = self.index.read();
        let Some(tenant) = index.tenant(&query.tenant) else {
            return Vec::new();
        };
        let mut names: Vec<u32> = if self.wants_all(query) {
            let data = self.data.read();
            let used = |name: &u32| {
                let pairs = tenant.pairs_named(*name).iter();
                pairs
                    .map(|&pair| &tenant.pairs[pair as usize])
                    .any(|pair| has_series(&data, pair))
            };
            tenant.names().filter(used).collect()
        } else {
            let mut seen = vec![false; tenant.pairs.len()];
            let mut names = Vec::new();
            for sid in self.published(&index, query) {
                for pair in index.pairs_of(sid).1 {
                    if !std::mem::replace(&mut seen[pair as usize], true) {
                        names.push(tenant.pairs[pair as usize].name);
                    }
                }
            }
            names
        };
        names.sort_unstable();
        names.dedup();
        texts(&index, names, limit(query))
    }

    /// Values of label `name` among the series that match, sorted.
    pub fn label_values(&self, name: &str, query: &LabelQuery) -> Vec<String> {
        let index = self.index.read();
        let (Some(tenant), Some(name)) = (index.tenant(&query.tenant), index.symbols.find(name))
        else {
            return Vec::new();
        };
        let mut values: Vec<u32> = if self.wants_all(query) {
            let data = self.data.read();
            let pairs = tenant
                .pairs_named(name)
                .iter()
                .map(|&p| &tenant.pairs[p as usize]);
            pairs
                .filter(|pair| has_series(&data, pair))
                .map(|pair| pair.value)
                .collect()
        } else {
            let ids = self.published(&index, query);
            ids.into_iter()
                .filter_map(|sid| index.value(sid, name))
                .collect()
        };
        values.sort_unstable();
        values.dedup();
        texts(&index, values, limit(query))
    }

    /// Whether every series of the tenant counts: no matcher, and a range that leaves no
    /// sample out. Samples of one series may lie outside of a range that overlaps the head's;
    /// that is the coarseness the contract allows.
    fn wants_all(&self, query: &LabelQuery) -> bool {
        let span = self.data.read().span;
        let overlaps = span
            .is_some_and(|(oldest, newest)| Range::closed(oldest, newest).overlaps(query.range));
        query.matchers.is_empty() && overlaps
    }

    /// The series that match and may have samples in the range, in order of number.
    fn published(&self, index: &Index, query: &LabelQuery) -> Vec<u32> {
        let mut ids = match query.matchers.as_slice() {
            [] => matching(index, &query.tenant, &[]),
            sets => any_of(index, &query.tenant, sets),
        };
        let data = self.data.read();
        let data: &Data = &data;
        match data.above_floor(query.range) {
            Some(range) => {
                ids.retain(|&sid| data.may_overlap(sid, range));
            }
            None => ids.clear(),
        }
        ids
    }
}

fn any_of(index: &Index, tenant: &TenantId, sets: &[Vec<Matcher>]) -> Vec<u32> {
    let mut ids: Vec<u32> = sets
        .iter()
        .flat_map(|set| matching(index, tenant, set))
        .collect();
    if sets.len() > 1 {
        ids.sort_unstable();
        ids.dedup();
    }
    ids
}

/// Whether a series with this label has samples.
fn has_series(data: &Data, pair: &Pair) -> bool {
    if data.all_are_live() {
        return pair.series.first().is_some_and(|sid| sid < data.len);
    }
    let mut published = pair.series.iter().take_while(|sid| *sid < data.len);
    published.any(|sid| data.is_live(sid))
}

fn limit(query: &LabelQuery) -> usize {
    match query.limit {
        0 => usize::MAX,
        limit => limit,
    }
}

fn texts(index: &Index, symbols: Vec<u32>, limit: usize) -> Vec<String> {
    let mut texts: Vec<&str> = symbols.into_iter().map(|s| index.symbols.get(s)).collect();
    texts.sort_unstable();
    texts.into_iter().take(limit).map(str::to_owned).collect()
}
