//! What the operating system says of this process.

use std::path::Path;

use ferula_env::Disk;

/// Bytes of `/proc` files read at most.
const PROC_BYTES_MAX: u64 = 1 << 16;

/// The process in numbers; what cannot be read is 0.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProcessStats {
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) virtual_bytes: u64,
    pub(crate) threads: u64,
    pub(crate) open_fds: u64,
    pub(crate) max_fds: u64,
}

/// Reads the numbers.
pub(crate) fn stats(disk: &dyn Disk) -> ProcessStats {
    let text = |path: &str| {
        let bytes = disk
            .read(Path::new(path), PROC_BYTES_MAX)
            .unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let page = rustix::param::page_size() as u64;
    let tick = rustix::param::clock_ticks_per_second() as f64;
    let stat = text("/proc/self/stat");
    // The command in parentheses may hold blanks; what follows it does not.
    let fields: Vec<u64> = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
    let limits = text("/proc/self/limits");
    let max_fds = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    ProcessStats {
        cpu_seconds: (field(14) + field(15)) as f64 / tick,
        threads: field(20),
        virtual_bytes: field(23),
        resident_bytes: field(24) * page,
        open_fds: disk
            .list(Path::new("/proc/self/fd"))
            .map_or(0, |names| names.len() as u64),
        max_fds: max_fds.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_threads_and_memory() {
        let stats = stats(&*ferula_env::SystemDisk::shared());
        assert!(stats.threads >= 1 && stats.resident_bytes > 100_000 && stats.open_fds >= 3);
        assert!(stats.virtual_bytes >= stats.resident_bytes && stats.max_fds >= 64);
    }
}
