//! When a target is scraped, and what time its samples get.

use std::time::Duration;

use ferula_model::{Labels, Timestamp};

/// FNV-1a with 64 bits, which Prometheus spreads targets over time by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fnv(u64);

impl Fnv {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn write(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self
    }

    pub(crate) fn finish(self) -> u64 {
        self.0
    }
}

/// What tells this server's scrape times from another's: servers with other names or external
/// labels scrape a target at other phases.
pub fn offset_seed(host: &str, external_labels: &Labels) -> u64 {
    Fnv::new()
        .write(host.as_bytes())
        .write(external_labels.to_string().as_bytes())
        .finish()
}

/// How long after `now_ms` the next scrape is due: at the first instant from there on whose
/// remainder by `interval` is the target's own. The same after every restart.
pub(crate) fn until_first_scrape(
    now_ms: i64,
    interval: Duration,
    identity: u64,
    seed: u64,
) -> Duration {
    let interval = interval.as_nanos().max(1);
    let own = u128::from(identity ^ seed) % interval;
    let now = (i128::from(now_ms) * 1_000_000).rem_euclid(interval as i128) as u128;
    let wait = if own >= now {
        own - now
    } else {
        own + interval - now
    };
    Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
}

/// How scrape times are straightened so that timestamps compress.
#[derive(Clone, Copy, Debug)]
pub struct Alignment {
    /// A scrape this much late gets the time at which it was due. At most a hundredth of the
    /// interval counts. Zero switches this off.
    pub tolerance: Duration,
}

/// The times at which scrapes were due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aligner {
    due_ms: i64,
}

impl Aligner {
    /// The first scrape is due when it starts.
    pub(crate) fn starting_at(now_ms: i64) -> Self {
        Self { due_ms: now_ms }
    }

    /// The timestamp of a scrape that starts at `now_ms`.
    pub(crate) fn timestamp(
        &mut self,
        now_ms: i64,
        interval: Duration,
        alignment: Alignment,
    ) -> Timestamp {
        let interval_ms = (interval.as_millis() as i64).max(1);
        let late = now_ms.saturating_sub(self.due_ms);
        if late < 0 {
            return now_ms;
        }
        self.due_ms += late - late % interval_ms;
        let tolerance = alignment.tolerance.min(interval / 100);
        if now_ms - self.due_ms <= tolerance.as_millis() as i64 {
            self.due_ms
        } else {
            now_ms
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TWO_MS: Alignment = Alignment {
        tolerance: Duration::from_millis(2),
    };

    #[test]
    fn fnv_is_the_published_one() {
        assert_eq!(Fnv::new().finish(), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Fnv::new().write(b"a").finish(), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(Fnv::new().write(b"foobar").finish(), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn servers_differ_by_name_and_labels() {
        let labels = |v| Labels::from_pairs([("replica", v)]);
        let seeds = [
            offset_seed("a", &labels("1")),
            offset_seed("b", &labels("1")),
            offset_seed("a", &labels("2")),
        ];
        assert!(seeds[0] != seeds[1] && seeds[0] != seeds[2]);
        assert_eq!(seeds[0], Fnv::new().write(br#"a{replica="1"}"#).finish());
    }

    proptest! {
        #[test]
        fn the_phase_is_the_targets_own(
            now_ms in -1_000_000i64..2_000_000_000_000,
            interval_ms in 1u64..100_000,
            identity: u64,
            seed: u64,
        ) {
            let interval = Duration::from_millis(interval_ms);
            let wait = until_first_scrape(now_ms, interval, identity, seed);
            prop_assert!(wait < interval);
            let at = i128::from(now_ms) * 1_000_000 + wait.as_nanos() as i128;
            let own = u128::from(identity ^ seed) % interval.as_nanos();
            prop_assert_eq!(at.rem_euclid(interval.as_nanos() as i128) as u128, own);
        }
    }

    /// Starts at 0 with an interval of 1 s; `scrapes` are (start, timestamp).
    fn check(alignment: Alignment, scrapes: &[(i64, i64)]) {
        let mut aligner = Aligner::starting_at(0);
        for (now, expected) in scrapes {
            let got = aligner.timestamp(*now, Duration::from_secs(1), alignment);
            assert_eq!(got, *expected, "at {now} of {scrapes:?}");
        }
    }

    #[test]
    fn a_little_late_is_on_time() {
        check(
            TWO_MS,
            &[
                (0, 0),
                (1_001, 1_000),
                (2_002, 2_000),
                (3_003, 3_003),
                (4_001, 4_000),
            ],
        );
    }

    #[test]
    fn early_and_skipped_scrapes_keep_the_grid() {
        check(
            TWO_MS,
            &[
                (0, 0),
                (998, 998),
                (2_001, 2_000),
                (7_500, 7_500),
                (9_002, 9_000),
            ],
        );
        // The clock was set back.
        check(TWO_MS, &[(5_000, 5_000), (4_000, 4_000), (6_001, 6_000)]);
    }

    #[test]
    fn off_means_off() {
        let off = Alignment {
            tolerance: Duration::ZERO,
        };
        check(off, &[(0, 0), (1_001, 1_001), (2_000, 2_000)]);
    }
}
