//! The floor: where the head ends and blocks begin.
//!
//! Raising it is one instant for all readers. The memory below it is given back afterwards, a few
//! series at a time, so that commits need not wait.

use std::sync::atomic::Ordering;

use ferula_model::Timestamp;
use parking_lot::RwLockWriteGuard;

use super::Head;
use super::series::Freed;

/// So many series are truncated under one lock: about a tenth of a millisecond.
const SLICE_SERIES: u32 = 256;

impl Head {
    /// Samples below are in blocks, and not shown here.
    pub fn floor(&self) -> Timestamp {
        self.data.read().floor
    }

    /// The oldest and the newest timestamp, if there is a sample. The oldest one is not below
    /// the floor; after a truncation, the first sample may be later.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.data.read().span
    }

    /// Stops showing and taking samples below `floor`. `under_lock` runs at the same instant:
    /// whatever it makes visible replaces what is hidden here, for every selection. A floor is
    /// never lowered.
    ///
    /// `floor` must be at least [`min_valid`](super::min_valid)'s hour behind the newest sample:
    /// what a batch that is being written may hold is not below it then.
    pub fn raise_floor(&self, floor: Timestamp, under_lock: impl FnOnce()) {
        let mut data = self.data.write();
        if floor > data.floor {
            data.floor = floor;
            data.untruncated = data.samples > 0;
            data.span = data
                .span
                .filter(|(_, newest)| *newest >= floor)
                .map(|(oldest, newest)| (oldest.max(floor), newest));
        }
        under_lock();
    }

    /// Takes what series gave back off the bytes that count.
    pub(super) fn give_back(&self, freed: &Freed) {
        let less = |bytes: u64| Some(bytes.saturating_sub(freed.bytes));
        let _ = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Gives back the memory of chunks that lie below the floor as a whole.
    pub fn truncate(&self) {
        let (floor, series) = {
            let data = self.data.read();
            (data.floor, data.len)
        };
        let _numbers = self.renumbering.read();
        for from in (0..series).step_by(SLICE_SERIES as usize) {
            let mut freed = Freed::default();
            let mut data = self.data.write();
            for sid in from..series.min(from + SLICE_SERIES) {
                data.series_mut(sid).truncate(floor, &mut freed);
            }
            data.give_back(&freed);
            self.give_back(&freed);
            // Who waits comes first; the memory is given back outside of the lock.
            RwLockWriteGuard::unlock_fair(data);
            drop(freed);
        }
        let mut freed = Freed::default();
        let mut data = self.data.write();
        let late: Vec<u32> = data.late.keys().copied().collect();
        data.remove_late(&late, |t| t < floor, &mut freed);
        data.give_back(&freed);
        self.give_back(&freed);
        if data.floor == floor {
            data.untruncated = false;
        }
    }
}
