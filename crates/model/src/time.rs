//! Time in storage: milliseconds, and half-open ranges of them.

/// Milliseconds since the Unix epoch.
pub type Timestamp = i64;

/// A half-open span of time, `[start, end)` in milliseconds.
///
/// PromQL's left-open windows and the API's closed ranges become this once, at their edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first instant inside.
    pub start: Timestamp,
    /// The first instant after.
    pub end: Timestamp,
}

impl Range {
    /// Everything but the last representable millisecond.
    pub const ALL: Self = Self {
        start: Timestamp::MIN,
        end: Timestamp::MAX,
    };

    /// `[start, end]`, both ends inside: how the API states ranges.
    pub fn closed(start: Timestamp, end: Timestamp) -> Self {
        Self {
            start,
            end: end.saturating_add(1),
        }
    }

    /// Whether `t` lies inside.
    pub fn contains(self, t: Timestamp) -> bool {
        self.start <= t && t < self.end
    }

    /// Whether no instant lies inside.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Whether some instant lies in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end && !self.is_empty() && !other.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        let r = Range::closed(10, 20);
        assert!(r.contains(10) && r.contains(20) && !r.contains(21) && !r.contains(9));
        assert!(r.overlaps(Range { start: 20, end: 30 }));
        assert!(!r.overlaps(Range { start: 21, end: 30 }));
        assert!(!r.overlaps(Range { start: 15, end: 15 }));
    }
}
