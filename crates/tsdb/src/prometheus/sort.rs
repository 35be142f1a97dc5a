//! Samples of several origins become one series.

use ferula_model::Timestamp;
use ferula_storage::Columns;

/// Puts samples in order of time. Of several with one timestamp the first in the columns stays
/// (floats count as first); returns how many others had another value.
pub fn sort_first_wins(columns: &mut Columns) -> u64 {
    let mut conflicts = 0;
    if !columns.timestamps.is_sorted_by(|a, b| a < b) {
        conflicts += sort_floats(columns);
    }
    let times = |c: &Columns| c.histograms.is_sorted_by(|a, b| a.timestamp < b.timestamp);
    if !times(columns) {
        columns.histograms.sort_by_key(|p| p.timestamp);
        columns.histograms.dedup_by(|later, kept| {
            let same = later.timestamp == kept.timestamp;
            conflicts += u64::from(same && later.histogram != kept.histogram);
            same
        });
    }
    let floats = &columns.timestamps;
    columns.histograms.retain(|p| {
        let taken = floats.binary_search(&p.timestamp).is_ok();
        conflicts += u64::from(taken);
        !taken
    });
    conflicts
}

fn sort_floats(columns: &mut Columns) -> u64 {
    let mut order: Vec<(Timestamp, u32)> = columns.timestamps.iter().copied().zip(0..).collect();
    order.sort_unstable();
    let mut conflicts = 0;
    let mut last: Option<(Timestamp, u64)> = None;
    order.retain(|&(t, i)| {
        let bits = columns.values[i as usize].to_bits();
        match last {
            Some((newest, kept)) if newest == t => {
                conflicts += u64::from(kept != bits);
                false
            }
            _ => {
                last = Some((t, bits));
                true
            }
        }
    });
    let values = order.iter().map(|&(_, i)| columns.values[i as usize]);
    columns.values = values.collect();
    if !columns.start_timestamps.is_empty() {
        let starts = order
            .iter()
            .map(|&(_, i)| columns.start_timestamps[i as usize]);
        columns.start_timestamps = starts.collect();
    }
    columns.timestamps = order.into_iter().map(|(t, _)| t).collect();
    conflicts
}
