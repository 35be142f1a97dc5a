//! What start timestamps tell of counters: when a sample's counting began, 0 where that is not
//! known.

use ferula_model::Timestamp;

/// When a sample was taken and when its counting began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamps {
    pub(crate) at: Timestamp,
    /// 0 if it is not known.
    pub(crate) start: Timestamp,
}

impl Stamps {
    /// Whether the counting began anew after `before`, the sample before this one.
    ///
    /// A start at the very time of that sample is one only if that sample's own start makes sense:
    /// otherwise its sender uses the first sample it saw as a start, and counts on.
    pub(crate) fn is_restart_after(self, before: Self) -> bool {
        self.start != 0
            && self.start < self.at
            && (self.start > before.at
                || self.start == before.at && before.start != 0 && before.start < before.at)
    }

    /// Whether the counting claims to have begun before `before` was taken, and yet not when that
    /// one's did: both count the same time.
    pub(crate) fn overlaps(self, before: Self) -> bool {
        self.start != 0 && self.start < before.at && self.start != before.start
    }

    /// The time at which the counter is known to have been zero, if that is in a window that
    /// begins at `begin` and has this sample as its first.
    pub(crate) fn zero_after(self, begin: Timestamp) -> Option<Timestamp> {
        (self.start != 0 && begin < self.start && self.start < self.at).then_some(self.start)
    }
}

/// Calls `f(i, before, sample)` for each sample `i` and the one before it.
pub(crate) fn each_pair(
    timestamps: &[Timestamp],
    starts: &[Timestamp],
    mut f: impl FnMut(usize, Stamps, Stamps),
) {
    let mut stamps = timestamps.iter().zip(starts);
    let mut next = || stamps.next().map(|(&at, &start)| Stamps { at, start });
    let Some(mut before) = next() else {
        return;
    };
    let mut i = 1;
    while let Some(sample) = next() {
        f(i, before, sample);
        before = sample;
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(at: i64, start: i64) -> Stamps {
        Stamps { at, start }
    }

    #[test]
    fn restarts() {
        let check = |before, now, expected| {
            let (before, now): ((i64, i64), (i64, i64)) = (before, now);
            let got = stamps(now.0, now.1).is_restart_after(stamps(before.0, before.1));
            assert_eq!(got, expected, "{before:?} {now:?}");
        };
        check((10, 5), (20, 5), false);
        check((10, 5), (20, 11), true);
        check((10, 5), (20, 20), false); // not before the sample itself
        check((10, 5), (20, 0), false); // not known
        check((10, 5), (20, 10), true); // a delta
        check((10, 0), (20, 10), false); // counting on from an unknown start
        check((10, 10), (20, 10), false);
        check((10, 15), (20, 10), false); // nonsense before
    }

    #[test]
    fn overlaps() {
        assert!(stamps(20, 5).overlaps(stamps(10, 4)));
        assert!(stamps(20, 5).overlaps(stamps(10, 0)));
        assert!(!stamps(20, 5).overlaps(stamps(10, 5)));
        assert!(!stamps(20, 10).overlaps(stamps(10, 4)));
        assert!(!stamps(20, 0).overlaps(stamps(10, 4)));
    }

    #[test]
    fn zeros_in_windows() {
        assert_eq!(stamps(20, 5).zero_after(4), Some(5));
        assert_eq!(stamps(20, 5).zero_after(5), None);
        assert_eq!(stamps(20, 20).zero_after(5), None);
        assert_eq!(stamps(20, 0).zero_after(-5), None);
    }
}
