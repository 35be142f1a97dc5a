//! The one door to clock, randomness, threads, disk and network.
//!
//! Everything that a simulation must be able to stand in for is reached through here; clippy
//! refuses the rest (`clippy.toml`). Never holds business logic.
#![allow(clippy::disallowed_methods)] // this crate is the door

mod clock;
mod disk;
mod fault;
pub mod net;
mod sim;
pub mod spawn;

pub use clock::{Clock, Elapsed, ManualClock, SystemClock, timeout};
pub use disk::{AppendFile, Disk, DiskFile, DiskLock, FileStat, SystemDisk};
pub use fault::{Faults, FaultyDisk};
pub use sim::{Crash, SimDisk};

/// A seed no other process shares, for hash tables and nonces.
pub fn random_u64() -> u64 {
    let mut bytes = [0u8; 8];
    fill_random(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Fills `bytes` from the operating system's generator.
pub fn fill_random(bytes: &mut [u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty()) {
            Ok(n) => rest = &mut rest[n..],
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => panic!("the operating system gives no random bytes: {e}"),
        }
    }
}
