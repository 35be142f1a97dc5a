//! Repeatable random numbers: the same seed gives the same run.

/// The splitmix64 generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Starts the sequence of a seed and a purpose, so that neighbouring seeds share nothing.
    pub fn of(seed: u64, purpose: u64) -> Self {
        let mut random = Self(seed ^ purpose.rotate_left(32));
        let mixed = random.bits();
        Self(mixed ^ purpose)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }

    /// A number in `[0, 1)` with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// Whether something happens that does so in `percent` of all cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of them; there is at least one.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// One of them, more often the larger the number beside it.
    pub fn weighted<T: Copy>(&mut self, of: &[(u64, T)]) -> T {
        let total = of.iter().map(|(weight, _)| weight).sum();
        let mut left = self.below(total);
        for &(weight, item) in of {
            if left < weight {
                return item;
            }
            left -= weight;
        }
        of[0].1
    }
}
