//! A child process that never outlives its owner, with its log and what it cost.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::time::{ClockId, clock_gettime};
use rustix::process::Signal;

use crate::wait_for;

/// Ports handed out by [`free_address`]. Below the range from which Linux takes the local port of
/// outgoing connections, so that a client polling a dead server never connects to itself.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// How many of its last log lines a process leaves in the output of a failed test.
const LOG_LINES_SHOWN: usize = 40;

/// A running child. Dropping it kills and reaps it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// What a process uses of the machine's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Resident at this moment.
    pub resident: u64,
    /// The most that was ever resident, or since [`Process::restart_peak`].
    pub peak: u64,
}

impl Process {
    /// Starts `command` with both outputs appended to `<folder>/<name>.log`.
    ///
    /// # Errors
    /// When the program cannot be started or the log not be opened.
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {:?}", command.get_program()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything the process has written so far, over all its starts.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Ends the process at once (SIGKILL) and reaps it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(id.context("an odd process id")?, signal)?;
        Ok(())
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until the process ends by itself.
    ///
    /// # Errors
    /// When it is still running after `limit`.
    pub fn wait_end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} to end", self.name);
        wait_for(&what, limit, || {
            self.child.try_wait()?.context("it is still running")
        })
    }

    /// CPU time used since it started, by all its threads, those that have ended too. Precise to
    /// far less than a millisecond, where `/proc/<id>/stat` counts in steps of ten.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu(&self) -> Result<Duration> {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.id())?);
        let clock = ClockId::pid_cpu_clock_id(id)?;
        Ok(clock_gettime(clock)?.into())
    }

    /// Makes the peak of [`memory`](Self::memory) start at what is resident at this moment.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn restart_peak(&self) -> Result<()> {
        Ok(std::fs::write(
            format!("/proc/{}/clear_refs", self.id()),
            "5",
        )?)
    }

    /// Memory in use.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn memory(&self) -> Result<Memory> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().nth(0)?.parse::<u64>().ok());
            number
                .map(|kib| kib * 1024)
                .with_context(|| format!("no {name} in /proc/…/status"))
        };
        Ok(Memory {
            resident: field("VmRSS:")?,
            peak: field("VmHWM:")?,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!(
                "--- end of the log of {}:\n{}\n---",
                self.name,
                shown.join("\n")
            );
        }
    }
}

/// A loopback address on which nothing listens.
///
/// # Errors
/// When no port of the range is free.
pub fn free_address() -> Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = PORTS.end - PORTS.start;
    // Test programs that run at the same time start looking at different places.
    let first = u16::try_from(std::process::id() * 61 % u32::from(span)).unwrap_or(0);
    for _ in 0..span {
        let offset =
            (u32::from(first) + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % u32::from(span);
        let port = PORTS.start + u16::try_from(offset).unwrap_or(0);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port between {} and {}", PORTS.start, PORTS.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::ensure;

    #[test]
    fn tells_the_cpu_time_of_a_busy_process_and_of_an_idle_one() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let shell = |name, script| {
            let mut command = Command::new("sh");
            Process::start(name, command.args(["-c", script]), folder.path())
        };
        let busy = shell("busy", "while :; do :; done")?;
        let idle = shell("idle", "sleep 60")?;
        wait_for("a loop's CPU time", Duration::from_secs(30), || {
            let used = busy.cpu()?;
            ensure!(used >= Duration::from_millis(100), "{used:?}");
            Ok(())
        })?;
        let idle = idle.cpu()?;
        assert!(idle > Duration::ZERO, "starting took nothing");
        assert!(idle < Duration::from_millis(100), "{idle:?}");
        Ok(())
    }
}
