//! When queries are evaluated, and how long their windows are.

use ferula_model::Timestamp;
use ferula_promql::Times;

use super::QueryGen;

impl QueryGen<'_> {
    /// An instant, mostly amid the samples.
    pub(super) fn instant(&mut self) -> Timestamp {
        let (start, end) = (self.scenario.start_ms, self.scenario.end_ms);
        let time = match self.random.below(100) {
            0..3 => self.random.between(start - 60_000, start + 60_000),
            3..8 => self.random.between(end - 60_000, end + 360_000),
            _ => self.random.between(start + 900_000, end),
        };
        // Whole seconds, exactly on a sample, or anything.
        match self.random.below(10) {
            0..4 => time - time.rem_euclid(1000),
            4..8 => time - (time - start).rem_euclid(self.scenario.interval_ms),
            _ => time,
        }
    }

    pub(super) fn times(&mut self) -> Times {
        let start = self.instant();
        if self.random.chance(45) {
            return Times::Instant(start);
        }
        let interval = self.scenario.interval_ms;
        let step_ms = self
            .random
            .pick(&[15_000, 60_000, interval, 7_000, 133_000, 30_001]);
        let steps = self.random.between(0, 12);
        let past_last = self.random.pick(&[0, 0, step_ms / 3]);
        // Backwards from an instant that has samples before it.
        let first = start - steps * step_ms;
        Times::Range {
            start: first,
            end: start + past_last,
            step_ms,
        }
    }

    /// The width of a window, which mostly holds several samples.
    pub(super) fn width(&mut self) -> String {
        let interval = self.scenario.interval_ms;
        let ms = match self.random.below(20) {
            0 => self.random.pick(&[1, 500, interval, interval + 1]),
            1..5 => interval * self.random.between(2, 4),
            5..9 => self.random.pick(&[60_000, 90_000, 150_000]),
            _ => self
                .random
                .pick(&[300_000, 300_000, 240_000, 600_000, 457_003]),
        };
        let width = self.duration(ms);
        if self.allowed.duration_arithmetic && self.random.chance(8) {
            let more = self.duration_part();
            return match self.random.below(4) {
                0 => format!("{width} + {more}"),
                1 => format!("{width} * 2"),
                2 => format!("({width} + 1m) / 2"),
                _ => format!("2m - -{more}"),
            };
        }
        if self.allowed.duration_functions && self.random.chance(6) {
            return match self.random.below(4) {
                0 => format!("step() + {width}"),
                1 => format!("max_of(step(), {width})"),
                2 => format!("min_of(range() + 1m, {width})"),
                _ => format!("range() / 2 + {width}"),
            };
        }
        width
    }

    /// The distance of the points of a subquery.
    pub(super) fn resolution(&mut self) -> String {
        let interval = self.scenario.interval_ms;
        let ms = self
            .random
            .pick(&[60_000, 30_000, interval, 45_000, 20_000, 17_501]);
        if self.random.chance(15) {
            return String::new();
        }
        self.duration(ms)
    }

    fn duration_part(&mut self) -> String {
        let ms = self.random.pick(&[10_000, 15_000, 1_500, 45_000]);
        self.duration(ms)
    }

    /// Milliseconds in one of the forms they can be written in.
    fn duration(&mut self, ms: i64) -> String {
        let (minutes, seconds, rest) = (ms / 60_000, ms / 1000 % 60, ms % 1000);
        match self.random.below(8) {
            0 if rest == 0 => format!("{}", ms / 1000),
            0 => format!("{}.{rest:03}", ms / 1000),
            1 if rest == 0 => format!("{}s", ms / 1000),
            2 => format!("{ms}ms"),
            _ => {
                let part = |value: i64, unit: &str| match value {
                    0 => String::new(),
                    value => format!("{value}{unit}"),
                };
                format!(
                    "{}{}{}",
                    part(minutes, "m"),
                    part(seconds, "s"),
                    part(rest, "ms")
                )
            }
        }
    }

    /// Nothing mostly, or `offset` and `@` in any order.
    pub(super) fn modifiers(&mut self) -> String {
        let mut modifiers = Vec::new();
        if self.random.chance(10) {
            modifiers.push(format!(" offset {}", self.offset()));
        }
        if self.random.chance(8) {
            let at = match self.random.below(5) {
                0 => "start()".to_owned(),
                1 => "end()".to_owned(),
                _ => {
                    let ms = self.instant();
                    format!("{}.{:03}", ms / 1000, ms % 1000)
                }
            };
            modifiers.push(format!(" @ {at}"));
        }
        if self.random.chance(50) {
            modifiers.reverse();
        }
        modifiers.concat()
    }

    fn offset(&mut self) -> String {
        let offset = self
            .random
            .pick(&["1m", "30s", "5m", "90", "7.5", "-1m", "-15s", "2m3s"]);
        if self.allowed.duration_arithmetic && self.random.chance(10) {
            return self
                .random
                .pick(&["(1m + 30s)", "(2 * 45s)", "-(30s)"])
                .to_owned();
        }
        if self.allowed.duration_functions && self.random.chance(10) {
            return self
                .random
                .pick(&["step()", "-step()", "(range() / 3)", "min_of(step(), 1m)"])
                .to_owned();
        }
        offset.to_owned()
    }
}
