//! A file's bytes: what readers see, what is durable, and what lies between.

/// The bytes of one file.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// What readers see.
    live: Vec<u8>,
    /// What is there after a power cut at least.
    durable: Vec<u8>,
    /// What was done since the last sync, oldest first.
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

impl Content {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.live
    }

    pub(super) fn len(&self) -> u64 {
        self.live.len() as u64
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let offset = offset as usize;
        put(&mut self.live, bytes, offset);
        let bytes = bytes.to_vec();
        self.pending.push(Change::Write { offset, bytes });
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.live.resize(len as usize, 0);
        self.pending.push(Change::SetLen(len as usize));
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            match change {
                Change::Write { offset, bytes } => put(&mut self.durable, &bytes, offset),
                Change::SetLen(len) => self.durable.resize(len, 0),
            }
        }
    }

    pub(super) fn flip_bit(&mut self, bit: u64) {
        for bytes in [&mut self.live, &mut self.durable] {
            if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// A sync failed: a part of what was to be synced is durable, the rest never will be, though
    /// readers go on seeing it.
    pub(super) fn fail_sync(&mut self, random: &mut Random) {
        survive(
            &mut self.durable,
            &std::mem::take(&mut self.pending),
            random,
        );
    }

    /// What a power cut leaves that loses what is not durable.
    pub(super) fn lose_all(&self) -> Self {
        Self::of(self.durable.clone())
    }

    /// What a power cut leaves that finds a part of the rest written.
    pub(super) fn lose_some(&self, random: &mut Random) -> Self {
        let mut bytes = self.durable.clone();
        match random.below(4) {
            0 => {}
            1 => return Self::of(self.live_if_pending(bytes)),
            _ => survive(&mut bytes, &self.pending, random),
        }
        Self::of(bytes)
    }

    /// All pending changes done. Not `live`: a failed sync may have lost some of that for good.
    fn live_if_pending(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        for change in &self.pending {
            match change {
                Change::Write { offset, bytes: new } => put(&mut bytes, new, *offset),
                Change::SetLen(len) => bytes.resize(*len, 0),
            }
        }
        bytes
    }

    fn of(bytes: Vec<u8>) -> Self {
        Self {
            live: bytes.clone(),
            durable: bytes,
            pending: Vec::new(),
        }
    }
}

/// Does a part of the changes. A file may have grown without the bytes that made it grow.
fn survive(file: &mut Vec<u8>, pending: &[Change], random: &mut Random) {
    for change in pending {
        match change {
            Change::SetLen(len) => {
                if random.coin() {
                    file.resize(*len, 0);
                }
            }
            Change::Write { offset, bytes } => match random.below(5) {
                0 => {}
                1 => put(file, bytes, *offset),
                2 => {
                    let end = offset + bytes.len();
                    file.resize(file.len().max(end), 0);
                }
                3 => put(file, &bytes[..random.below(bytes.len() + 1)], *offset),
                _ => scatter(file, bytes, *offset, random),
            },
        }
    }
}

/// Writes some pieces and leaves others out.
fn scatter(file: &mut Vec<u8>, bytes: &[u8], offset: usize, random: &mut Random) {
    let piece_max = 1 + random.below(bytes.len().max(1));
    if random.coin() {
        file.resize(file.len().max(offset + bytes.len()), 0);
    }
    let mut from = 0;
    while from < bytes.len() {
        let to = bytes.len().min(from + 1 + random.below(piece_max));
        if random.coin() {
            put(file, &bytes[from..to], offset + from);
        }
        from = to;
    }
}

fn put(file: &mut Vec<u8>, bytes: &[u8], offset: usize) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

/// Numbers that a seed determines (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// Below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}
