//! One writer per epoch: what an older one writes after a newer one's fence is dead.

/// Follows the epochs through a shard's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fence {
    epoch: u64,
    /// Whether the epoch is known from elsewhere than a fence in the part of the log followed.
    inherited: bool,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It counts.
    Yes,
    /// Its writer had been fenced off when it was written.
    Dead,
}

impl Fence {
    /// The epoch of the newest fence; 0 before the first.
    pub fn epoch(self) -> u64 {
        self.epoch
    }

    /// What follows begins in the midst of a log, under a writer with `epoch`. Its fence may come
    /// yet, or have been in a part that is gone.
    pub fn inherit(&mut self, epoch: u64) {
        if epoch > self.epoch {
            *self = Self {
                epoch,
                inherited: true,
            };
        }
    }

    /// A writer with `epoch` announces itself. It counts if no newer one has.
    pub fn raise(&mut self, epoch: u64) -> Admitted {
        let first = self.inherited && epoch == self.epoch;
        if epoch <= self.epoch && !first {
            return Admitted::Dead;
        }
        *self = Self {
            epoch,
            inherited: false,
        };
        Admitted::Yes
    }

    /// A frame whose writer's epoch ends in `epoch_low`.
    ///
    /// Sixteen bits tell writers apart that share one log: a frame would have to come from
    /// 65,536 owners ago to be mistaken.
    pub fn admit(self, epoch_low: u16) -> Admitted {
        if self.epoch != 0 && epoch_low == self.epoch as u16 {
            Admitted::Yes
        } else {
            Admitted::Dead
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_writers_are_dead() {
        let mut fence = Fence::default();
        assert_eq!(fence.admit(0), Admitted::Dead);
        assert_eq!(fence.raise(3), Admitted::Yes);
        assert_eq!(fence.admit(3), Admitted::Yes);
        assert_eq!(fence.raise(5), Admitted::Yes);
        assert_eq!(
            (fence.admit(3), fence.admit(5)),
            (Admitted::Dead, Admitted::Yes)
        );
        assert_eq!(
            (fence.raise(5), fence.raise(4)),
            (Admitted::Dead, Admitted::Dead)
        );
        assert_eq!(fence.epoch(), 5);
    }

    #[test]
    fn an_inherited_epoch_may_still_be_announced_once() {
        let mut fence = Fence::default();
        fence.inherit(4);
        assert_eq!(fence.admit(4), Admitted::Yes);
        assert_eq!(fence.raise(4), Admitted::Yes);
        assert_eq!(fence.raise(4), Admitted::Dead);
        fence.inherit(3);
        assert_eq!(fence.epoch(), 4);
    }
}
