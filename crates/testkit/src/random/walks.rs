//! Floats that follow each other as those of counters and gauges do.

use super::seed::Random;

/// A counter that grows, sometimes starts anew, and sometimes stands still.
pub(super) struct CounterWalk {
    value: f64,
    scale: f64,
    fractions: bool,
    reset_permille: u64,
}

impl CounterWalk {
    pub(super) fn new(random: &mut Random, scale: f64) -> Self {
        let first = random.pick(&[0.0, 0.0, 1.0, 1000.0]);
        Self {
            value: first * scale,
            scale,
            fractions: random.chance(30),
            reset_permille: random.pick(&[0, 5, 20, 60]),
        }
    }

    pub(super) fn next(&mut self, random: &mut Random) -> f64 {
        if random.below(1000) < self.reset_permille {
            self.value = 0.0;
        }
        let step = random.below(10);
        let step = if self.fractions {
            step as f64 + 0.1
        } else {
            step as f64
        };
        self.value += step * self.scale;
        self.value
    }
}

/// A gauge that wanders, jumps or stands still.
pub(super) struct GaugeWalk {
    value: f64,
    step: f64,
    still: bool,
    digits: f64,
}

impl GaugeWalk {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            value: random.between(-20, 100) as f64,
            step: random.pick(&[0.5, 3.0, 40.0]),
            still: random.chance(10),
            digits: random.pick(&[1.0, 4.0, 1000.0, 0.0]),
        }
    }

    pub(super) fn next(&mut self, random: &mut Random) -> f64 {
        if !self.still && !random.chance(10) {
            self.value += (random.unit() - 0.5) * self.step;
        }
        // Rounded values meet each other more often, as equality and ties need.
        if self.digits > 0.0 {
            (self.value * self.digits).round() / self.digits
        } else {
            self.value
        }
    }
}

/// A value that arithmetic treats specially, or one at the edge of what a float holds.
pub(super) fn special(random: &mut Random) -> f64 {
    random.pick(&[
        f64::NAN,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -0.0,
        1.0,
        -1.0,
        5e-324,
        1e-300,
        1.7e308,
        -1.7e308,
        9_007_199_254_740_993.0,
        0.1,
    ])
}
