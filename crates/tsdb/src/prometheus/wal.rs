//! What a server that is not running has in its write-ahead log: its head.
//!
//! The newest checkpoint, then the segments behind it, then the log of samples that came late.
//! `chunks_head` holds nothing that is not in these as well. Samples before the end of the
//! blocks are left out, as the server does when it starts. Samples that are older than others of
//! their series are taken, where the server would lose them: it writes a commit by kinds, so that
//! a staleness marker may stand before the histograms it follows.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferula_env::Disk;
use ferula_model::{Histogram, Labels, Range, Timestamp};
use ferula_storage::Columns;

use super::error::{Error, at};
use super::gather::Gather;
use super::pages::Segment;
use super::record::{Records, Times, decode};
use super::tombstones::Tombstones;
use super::window::Window;
use crate::Damaged;

/// The log, its checkpoints, and the log of samples that came late.
const WAL: &str = "wal";
const CHECKPOINT: &str = "checkpoint.";
const LATE: &str = "wbl";

/// The head of a server, as its log has it.
#[derive(Debug, Default)]
pub struct WalHead {
    samples: Gather,
    tombstones: Tombstones,
    /// Series by the numbers of the log.
    numbers: HashMap<u64, u32>,
    min_valid: Timestamp,
    late: bool,
    /// Samples of series the log does not define.
    undefined: u64,
    damaged: Option<Damaged>,
    torn: Option<String>,
}

impl WalHead {
    /// Reads the log in a data folder, leaving out what is before `min_valid`, where the blocks
    /// end. `progress` is told how many of how many segments are read.
    pub fn read(
        disk: &dyn Disk,
        data: &Path,
        min_valid: Timestamp,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, Error> {
        let Files { in_order, late } = files(disk, data)?;
        let mut head = Self {
            min_valid,
            ..Self::default()
        };
        let total = (in_order.len() + late.len()) as u64;
        let mut done = 0;
        for (files, late) in [(in_order, false), (late, true)] {
            head.late = late;
            for (i, path) in files.iter().enumerate() {
                progress(done, total);
                done += 1;
                let segment = Segment::new(Window::open(disk, path)?);
                head.segment(segment, i + 1 == files.len())?;
            }
        }
        progress(total, total);
        Ok(head)
    }

    /// Reads a segment. What is damaged at the end of the newest one was being written.
    fn segment(&mut self, mut segment: Segment, newest: bool) -> Result<(), Error> {
        let name = segment.name().to_owned();
        loop {
            match segment.next() {
                Ok(None) => return Ok(()),
                Ok(Some((offset, record))) => {
                    let decoded = decode(record, self);
                    let decoded = decoded.and(self.damaged.take().map_or(Ok(()), Err));
                    at(&name, offset, decoded)?;
                }
                Err(Error::Damaged { file, offset, what }) if newest => {
                    self.torn = Some(format!("{file} ends at byte {offset}: {what}"));
                    return Ok(());
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The first and the last timestamp of all.
    pub fn bounds(&self) -> Option<(Timestamp, Timestamp)> {
        self.samples.bounds()
    }

    /// Where the newest segment ends before its bytes do, as it may after a crash.
    pub fn torn(&self) -> Option<&str> {
        self.torn.as_deref()
    }

    /// Samples whose series the log does not define.
    pub fn undefined(&self) -> u64 {
        self.undefined
    }

    /// The numbers of all series in order of labels.
    pub fn sorted(&self) -> Vec<u32> {
        self.samples.sorted()
    }

    /// The labels of a series.
    pub fn labels(&self, number: u32) -> &Labels {
        self.samples.labels(number)
    }

    /// Appends a series' samples of a range, without those that are deleted.
    ///
    /// # Errors
    /// When what was kept cannot be read: a mistake of this module.
    pub fn columns(&self, number: u32, range: Range, columns: &mut Columns) -> Result<(), Damaged> {
        let mut all = Columns::default();
        self.samples.columns(number, range, &mut all)?;
        let deleted = self.tombstones.of(number.into());
        let keep = |t: Timestamp| !deleted.iter().any(|d| d.0 <= t && t <= d.1);
        super::block::append(&all, keep, columns);
        Ok(())
    }

    /// The series to add a sample to, if it is to be added.
    fn admit(&mut self, number: u64, timestamp: Timestamp) -> Option<u32> {
        let Some(&series) = self.numbers.get(&number) else {
            self.undefined += 1;
            return None;
        };
        // Those that came late have a log of their own, and may be older than the blocks' end.
        (self.late || timestamp >= self.min_valid).then_some(series)
    }
}

impl Records for WalHead {
    fn series(&mut self, number: u64, labels: Labels) {
        match self.samples.series(&labels) {
            Ok(series) => {
                self.numbers.insert(number, series);
            }
            Err(damaged) => self.damaged = Some(damaged),
        }
    }

    fn float(&mut self, number: u64, times: Times, value: f64) {
        if let Some(series) = self.admit(number, times.timestamp) {
            self.samples.float(series, times, value);
        }
    }

    fn histogram(&mut self, number: u64, times: Times, histogram: Arc<Histogram>) {
        if let Some(series) = self.admit(number, times.timestamp) {
            self.samples.histogram(series, times, histogram);
        }
    }

    fn tombstone(&mut self, number: u64, min: Timestamp, max: Timestamp) {
        if let Some(&series) = self.numbers.get(&number) {
            self.tombstones.add(series.into(), min, max);
        }
    }

    fn min_valid(&mut self, time: Timestamp) {
        self.min_valid = self.min_valid.max(time);
    }
}

/// The files of a log, in the order in which they are read.
pub(crate) struct Files {
    in_order: Vec<PathBuf>,
    late: Vec<PathBuf>,
}

impl Files {
    pub(crate) fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.in_order.iter().chain(&self.late)
    }
}

/// The newest checkpoint, the segments behind it, and the log of samples that came late.
pub(crate) fn files(disk: &dyn Disk, data: &Path) -> Result<Files, Error> {
    let wal = data.join(WAL);
    let names = disk.list(&wal)?;
    let checkpoints = names.iter().filter_map(|name| {
        let number: u64 = name.strip_prefix(CHECKPOINT)?.parse().ok()?;
        Some((number, name))
    });
    let checkpoint = checkpoints.max();
    let mut in_order = Vec::new();
    if let Some((_, name)) = checkpoint {
        in_order.extend(segments(disk, &wal.join(name), 0)?);
    }
    let after = checkpoint.map_or(0, |(number, _)| number + 1);
    in_order.extend(segments(disk, &wal, after)?);
    let late = segments(disk, &data.join(LATE), 0)?;
    Ok(Files { in_order, late })
}

/// The segments of a folder from a number on, in order; none if there is no folder.
fn segments(disk: &dyn Disk, folder: &Path, from: u64) -> Result<Vec<PathBuf>, Error> {
    let mut segments: Vec<(u64, String)> = Vec::new();
    for name in disk.list(folder)? {
        let number = name.parse::<u64>().ok();
        if let Some(number) = number.filter(|n| *n >= from) {
            segments.push((number, name));
        }
    }
    segments.sort();
    let gap = segments.windows(2).find(|w| w[0].0 + 1 != w[1].0);
    if let Some([before, after]) = gap {
        let what = format!("segment {} is followed by {}", before.1, after.1);
        return Err(Error::damaged(&folder.display().to_string(), 0, what));
    }
    Ok(segments
        .into_iter()
        .map(|(_, name)| folder.join(name))
        .collect())
}
