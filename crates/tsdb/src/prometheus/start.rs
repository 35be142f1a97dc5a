//! When the counting of each sample began, in the encodings that say so.

use ferula_model::Timestamp;

use super::varbit::{take_int, take_varint};
use crate::Damaged;
use crate::chunk::bits::BitReader;

/// What a chunk's header byte says, and what was read so far.
#[derive(Debug)]
pub(crate) struct StartTimes {
    /// Whether the first sample's is in the chunk.
    first_known: bool,
    /// Number of the first sample whose own is in the chunk; 0 if there is none.
    change_on: usize,
    start: Timestamp,
    /// Distance of the latest from the timestamp of the sample before it.
    distance: i64,
}

impl StartTimes {
    pub(crate) fn new(header: u8) -> Self {
        Self {
            first_known: header & 0x80 != 0,
            change_on: usize::from(header & 0x7f),
            start: 0,
            distance: 0,
        }
    }

    /// Takes what follows sample number `i`; 0 says that nothing is known.
    pub(crate) fn take(
        &mut self,
        r: &mut BitReader<'_>,
        i: usize,
        timestamp: Timestamp,
        before: Timestamp,
    ) -> Result<Timestamp, Damaged> {
        if i == 0 {
            if self.first_known {
                self.start = timestamp.wrapping_sub(take_varint(r)?);
            }
        } else if self.change_on > 0 && i >= self.change_on {
            let read = take_int(r);
            self.distance = match i == self.change_on {
                true => read,
                false => self.distance.wrapping_add(read),
            };
            self.start = before.wrapping_sub(self.distance);
        }
        Ok(self.start)
    }
}
