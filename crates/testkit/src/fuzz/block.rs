//! The target that reads what blocks are made of.

use ferula_tsdb::block::{Part, examine};

/// Longer parts make fuzzing slow and find nothing more.
const BYTES_MAX: usize = 1 << 12;

/// A byte that picks a part of a block, and its bytes: they are read, or refused.
pub fn block(data: &[u8]) {
    let Some((part, bytes)) = data.split_first() else {
        return;
    };
    if bytes.len() <= BYTES_MAX {
        // Refusing is right, too.
        let _ = examine(Part::ALL[usize::from(*part) % Part::ALL.len()], bytes);
    }
}
