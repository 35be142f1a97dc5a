//! Chunks of floats: encodings 1 (XOR) and 4 (XOR2).

use ferula_model::{Timestamp, stale_marker};
use ferula_storage::Columns;

use super::start::StartTimes;
use super::varbit::{Window, take_uvarint, take_varint};
use crate::Damaged;
use crate::chunk::bits::{BitReader, BitTail};
use crate::chunk::xor::{self, HEADER_BITS, XorTail};

/// The most samples [`encode_xor`] takes.
pub(crate) const SAMPLES_MAX: usize = 240;

/// Encodes floats, at most [`SAMPLES_MAX`] of them, as XOR chunk.
pub(crate) fn encode_xor(timestamps: &[Timestamp], values: &[f64]) -> Vec<u8> {
    debug_assert!(timestamps.len() <= SAMPLES_MAX && timestamps.len() == values.len());
    let mut tail = XorTail::empty();
    let mut bytes = (timestamps.len() as u16).to_be_bytes().to_vec();
    let mut bits = HEADER_BITS;
    for (&timestamp, value) in timestamps.iter().zip(values) {
        let used = bits & 7;
        let last = match used {
            0 => 0,
            _ => bytes.pop().unwrap_or_default(),
        };
        let mut out = BitTail::after(last, used);
        tail.push(&mut out, timestamp, value.to_bits());
        let (added, len) = out.finish();
        bytes.extend_from_slice(added);
        bits = bits - used + len;
    }
    bytes
}

/// Appends the samples of an XOR chunk.
pub(crate) fn decode_xor(data: &[u8], columns: &mut Columns) -> Result<(), Damaged> {
    if data.len() < 2 {
        return Err(Damaged("a chunk has no header"));
    }
    let count = usize::from(xor::count(data));
    xor::decode(data, count, &mut columns.timestamps, &mut columns.values)?;
    if !columns.start_timestamps.is_empty() {
        columns.start_timestamps.resize(columns.timestamps.len(), 0);
    }
    Ok(())
}

/// Appends the samples of an XOR2 chunk.
pub(crate) fn decode_xor2(data: &[u8], columns: &mut Columns) -> Result<(), Damaged> {
    let [high, low, starts, ..] = *data else {
        return Err(Damaged("a chunk has no header"));
    };
    let count = usize::from(u16::from_be_bytes([high, low]));
    // A sample after the second takes a bit or more.
    if count > data.len() * 8 {
        return Err(Damaged("a chunk is too short for its samples"));
    }
    let mut r = BitReader::new(data);
    r.skip(24);
    let mut samples = Xor2::default();
    let mut starts = StartTimes::new(starts);
    let from = columns.timestamps.len();
    let mut known = !columns.start_timestamps.is_empty();
    for i in 0..count {
        let before = samples.timestamp;
        let value = samples.next(&mut r, i)?;
        let start = starts.take(&mut r, i, samples.timestamp, before)?;
        if start != 0 && !known {
            // Those before this one are not known.
            columns.start_timestamps.resize(from + i, 0);
            known = true;
        }
        if known {
            columns.start_timestamps.push(start);
        }
        columns.timestamps.push(samples.timestamp);
        columns.values.push(value);
    }
    match r.overran() {
        true => Err(Damaged("a chunk is too short for its samples")),
        false => Ok(()),
    }
}

/// What the next sample of an XOR2 chunk refers to.
struct Xor2 {
    timestamp: Timestamp,
    delta: i64,
    /// Bits of the newest value that is no staleness marker.
    bits: u64,
    window: Window,
}

impl Default for Xor2 {
    fn default() -> Self {
        Self {
            timestamp: 0,
            delta: 0,
            bits: 0,
            window: Window::NONE,
        }
    }
}

impl Xor2 {
    fn next(&mut self, r: &mut BitReader<'_>, i: usize) -> Result<f64, Damaged> {
        match i {
            0 => {
                self.timestamp = take_varint(r)?;
                let value = f64::from_bits(r.take(64));
                if !ferula_model::is_stale(value) {
                    self.bits = value.to_bits();
                }
                Ok(value)
            }
            1 => {
                self.advance(take_uvarint(r)? as i64);
                self.value(r)
            }
            _ => self.joint(r),
        }
    }

    /// Timestamp and value behind one prefix.
    fn joint(&mut self, r: &mut BitReader<'_>) -> Result<f64, Damaged> {
        let prefix = (r.peek() >> 59 << 59).leading_ones();
        r.skip((prefix + 1).min(5));
        if matches!(prefix, 0 | 1 | 5) {
            self.advance(0);
        }
        let signed = |raw: u64, bits: u32| (raw << (64 - bits)) as i64 >> (64 - bits);
        match prefix {
            0 => return Ok(f64::from_bits(self.bits)),
            1 => {
                self.bits ^= match r.take(1) {
                    0 => self.window.take_in(r)?,
                    _ => self.window.take_new(r)?,
                };
                return Ok(f64::from_bits(self.bits));
            }
            2 => self.advance(signed(r.take(13), 13)),
            3 => self.advance(signed(r.take(20), 20)),
            4 => self.advance(r.take(64) as i64),
            _ => return Ok(stale_marker()),
        }
        self.value(r)
    }

    /// The distance to the next timestamp differs by `change`.
    fn advance(&mut self, change: i64) {
        self.delta = self.delta.wrapping_add(change);
        self.timestamp = self.timestamp.wrapping_add(self.delta);
    }

    /// A value on its own: the same, in the window, a new window, or the staleness marker.
    fn value(&mut self, r: &mut BitReader<'_>) -> Result<f64, Damaged> {
        let ones = (r.peek() >> 61 << 61).leading_ones();
        r.skip((ones + 1).min(3));
        match ones {
            0 => {}
            1 => self.bits ^= self.window.take_in(r)?,
            2 => self.bits ^= self.window.take_new(r)?,
            _ => return Ok(stale_marker()),
        }
        Ok(f64::from_bits(self.bits))
    }
}

#[cfg(test)]
mod tests {
    use super::super::varbit::BitWriter;
    use super::*;
    use crate::bytes::{put_uv, put_zz};
    use proptest::prelude::*;

    /// Writes XOR2 as plainly as the format's description says it, for the decoder to read.
    fn encode_xor2(samples: &[(i64, i64, u64)]) -> Vec<u8> {
        let mut body = BitWriter::after(vec![0, 0, 0]);
        let bytewise = |body: &mut BitWriter, bytes: Vec<u8>| {
            bytes.into_iter().for_each(|b| body.put(b.into(), 8));
        };
        let (mut header, mut baseline, mut window) = (0u8, 0u64, None);
        let (mut delta, mut distance, mut change_on) = (0i64, 0i64, 0);
        let stale = stale_marker().to_bits();
        for (i, &(start, t, bits)) in samples.iter().enumerate() {
            let before = i.checked_sub(1).map(|i| samples[i]);
            let xor = bits ^ baseline;
            let mut put_new = |body: &mut BitWriter, new: [u64; 2], reuse: [u64; 2]| {
                let (l, z) = (xor.leading_zeros().min(31), xor.trailing_zeros());
                let (l, z) = match window {
                    Some((wl, wz)) if l >= wl && z >= wz => {
                        body.put(reuse[0], reuse[1] as u32);
                        (wl, wz)
                    }
                    _ => {
                        body.put(new[0], new[1] as u32);
                        body.put(l.into(), 5);
                        body.put(u64::from(64 - l - z) & 63, 6);
                        window = Some((l, z));
                        (l, z)
                    }
                };
                body.put(xor >> z, 64 - l - z);
            };
            let mut put_value = |body: &mut BitWriter| match () {
                () if bits == stale => body.put(0b111, 3),
                () if xor == 0 => body.put(0, 1),
                () => put_new(body, [0b110, 3], [0b10, 2]),
            };
            match before {
                None => {
                    let mut out = Vec::new();
                    put_zz(&mut out, t);
                    bytewise(&mut body, out);
                    body.put(bits, 64);
                    if start != 0 {
                        let mut out = Vec::new();
                        put_zz(&mut out, t - start);
                        bytewise(&mut body, out);
                        header |= 0x80;
                    }
                }
                Some((_, before, _)) if i == 1 => {
                    delta = t - before;
                    let mut out = Vec::new();
                    put_uv(&mut out, delta as u64);
                    bytewise(&mut body, out);
                    put_value(&mut body);
                }
                Some((_, before, _)) => {
                    let dod = t - before - delta;
                    delta = t - before;
                    match dod {
                        0 if bits == stale => body.put(0b11111, 5),
                        0 if xor == 0 => body.put(0, 1),
                        0 => {
                            body.put(0b10, 2);
                            put_new(&mut body, [1, 1], [0, 1]);
                        }
                        -4096..=4095 => {
                            body.put(0b110, 3);
                            body.put(dod as u64 & 0x1fff, 13);
                            put_value(&mut body);
                        }
                        -524_288..=524_287 => {
                            body.put(0b1110, 4);
                            body.put(dod as u64 & 0xf_ffff, 20);
                            put_value(&mut body);
                        }
                        _ => {
                            body.put(0b11110, 5);
                            body.put(dod as u64, 64);
                            put_value(&mut body);
                        }
                    }
                }
            }
            if let Some((start_before, before, _)) = before {
                if change_on > 0 {
                    body.put_int(before - start - distance);
                    distance = before - start;
                } else if start != start_before || i == 127 {
                    change_on = i;
                    distance = before - start;
                    body.put_int(distance);
                }
            }
            if bits != stale {
                baseline = bits;
            }
        }
        let mut bytes = body.finish();
        bytes[..2].copy_from_slice(&(samples.len() as u16).to_be_bytes());
        bytes[2] = header | change_on as u8;
        bytes
    }

    fn samples() -> impl Strategy<Value = Vec<(i64, i64, u64)>> {
        let step = prop_oneof![
            Just(15_000i64),
            14_990..15_010i64,
            1..1_000_000i64,
            1..1i64 << 40
        ];
        let value = prop_oneof![
            Just(stale_marker().to_bits()),
            Just(1.0f64.to_bits()),
            (0..50u32).prop_map(|v| f64::from(v).to_bits()),
            any::<u64>()
        ];
        let start = prop_oneof![4 => Just(0i64), 1 => Just(500), 1 => Just(90_000)];
        let sample = (step, value, start);
        (any::<bool>(), proptest::collection::vec(sample, 1..200)).prop_map(|(with, samples)| {
            let mut t = -1_000_000;
            let next = |(step, value, start): (i64, u64, i64)| {
                t += step;
                (if with { start } else { 0 }, t, value)
            };
            samples.into_iter().map(next).collect()
        })
    }

    proptest! {
        #[test]
        fn xor2_is_read(samples in samples()) {
            let mut columns = Columns::default();
            decode_xor2(&encode_xor2(&samples), &mut columns).unwrap();
            let known = samples.iter().any(|s| s.0 != 0);
            prop_assert_eq!(columns.start_timestamps.len(), if known { samples.len() } else { 0 });
            for (i, &(start, t, bits)) in samples.iter().enumerate() {
                prop_assert_eq!(columns.timestamps[i], t);
                prop_assert_eq!(columns.values[i].to_bits(), bits);
                prop_assert_eq!(columns.start_timestamps.get(i).copied().unwrap_or(0), start);
            }
        }

        #[test]
        fn xor_is_written_and_read(samples in samples()) {
            let timestamps: Vec<i64> = samples.iter().map(|s| s.1).collect();
            let values: Vec<f64> = samples.iter().map(|s| f64::from_bits(s.2)).collect();
            let mut columns = Columns::default();
            decode_xor(&encode_xor(&timestamps, &values), &mut columns).unwrap();
            prop_assert_eq!(columns.timestamps, timestamps);
            let bits = |v: Vec<f64>| v.into_iter().map(f64::to_bits).collect::<Vec<_>>();
            prop_assert_eq!(bits(columns.values), bits(values));
        }
    }
}
