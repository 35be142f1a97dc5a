//! Writing the log: one frame, one sync, one acknowledgement.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ferula_env::{Clock, Disk, DiskFile};

use super::LogError;
use super::frame::{Fence, FrameBuf, Kind};
use super::replay::Tail;
use super::segment::{self, Header, Identity, Writer};

/// A segment that waits to be used; it has no number yet.
const SPARE: &str = "spare";

/// A sign that a sync failed. It need not be durable: once the machine has started anew, a read
/// finds what the device has, and there is nothing to make up for.
const UNSYNCED: &str = "unsynced";

/// A frame holds at most this many bytes. One that is larger than a segment gets one of its own.
const FRAME_BYTES_MAX: u64 = 256 << 20;

/// Zeros are written, and torn ends copied, in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;

/// When a commit is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before it is acknowledged.
    EachCommit,
    /// Whenever [`Log::sync`] is called: what came since is lost with the machine.
    OnDemand,
}

/// How a log is to be written.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The segments' directory.
    pub dir: PathBuf,
    /// Size of a segment file.
    pub segment_bytes: u64,
    /// When a commit is synced.
    pub sync: Sync,
    /// Whose log it is.
    pub identity: Identity,
    /// Who writes.
    pub writer: Writer,
}

/// What a log did, for those who watch; shared with other threads.
#[derive(Debug, Default)]
pub struct LogStats {
    /// Frames written.
    pub commits: AtomicU64,
    /// Bytes written, headers included.
    pub bytes: AtomicU64,
    /// Syncs.
    pub syncs: AtomicU64,
    /// Nanoseconds spent in them.
    pub sync_nanos: AtomicU64,
    /// Writes and syncs that failed.
    pub failures: AtomicU64,
    /// The newest segment's first commit.
    pub segment: AtomicU64,
    /// Segments there are, the spare one not included.
    pub segments: AtomicU64,
}

/// The log of one shard, open for writing by the one who holds the epoch.
#[derive(Debug)]
pub struct Log {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    settings: LogSettings,
    stats: Arc<LogStats>,
    segment: Segment,
    spare: Option<Box<dyn DiskFile>>,
    /// The number of the last frame.
    commit: u64,
    unsynced: bool,
    broken: bool,
}

#[derive(Debug)]
struct Segment {
    file: Box<dyn DiskFile>,
    header: Header,
    len: u64,
    /// Where the next frame goes.
    offset: u64,
}

impl Log {
    /// Goes on behind `tail`, which a replay found, or begins. Whatever a crash left there is
    /// put aside; then a fence opens the writer's epoch. When this returns, that is durable.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        settings: LogSettings,
        tail: Option<&Tail>,
        stats: Arc<LogStats>,
    ) -> Result<Self, LogError> {
        disk.create_dir_all(&settings.dir)
            .map_err(LogError::Broken)?;
        for dir in settings.dir.ancestors().take(4) {
            if !dir.as_os_str().is_empty() {
                disk.sync_dir(dir).map_err(LogError::Broken)?;
            }
        }
        let names = disk.list(&settings.dir).map_err(LogError::Broken)?;
        if names.iter().any(|name| name == SPARE) {
            disk.remove(&settings.dir.join(SPARE))
                .map_err(LogError::Broken)?;
        }
        let unsynced = names.iter().any(|name| name == UNSYNCED);
        let (segment, commit, spare) = match tail {
            Some(tail) => {
                let segment = reopen(&*disk, &settings, tail, unsynced)?;
                (segment, tail.commit, None)
            }
            None => (create_first(&*disk, &settings, clock.now_ms())?, 0, None),
        };
        if unsynced {
            disk.remove(&settings.dir.join(UNSYNCED))
                .map_err(LogError::Broken)?;
        }
        let segments = names
            .iter()
            .filter(|n| segment::parse_file_name(n).is_some())
            .count();
        stats
            .segments
            .store(segments.max(1) as u64, Ordering::Relaxed);
        stats.segment.store(segment.header.seq, Ordering::Relaxed);
        let (unsynced, broken) = (false, false);
        let mut log = Self {
            disk,
            clock,
            settings,
            stats,
            segment,
            spare,
            commit,
            unsynced,
            broken,
        };
        log.fence()?;
        Ok(log)
    }

    fn fence(&mut self) -> Result<(), LogError> {
        let Writer { epoch, nonce } = self.settings.writer;
        let fence = Fence {
            epoch,
            nonce,
            wall_ms: self.clock.now_ms(),
        };
        let mut frame = FrameBuf::default();
        frame.body().extend_from_slice(&fence.encode());
        self.append(Kind::Fence, &mut frame)?;
        self.sync()
    }

    /// Makes the records in `frame` one commit. When this returns, the commit is durable (or,
    /// with [`Sync::OnDemand`], written), and it may be acknowledged. After
    /// [`LogError::Broken`] nobody knows whether it is: it must not be, and this log is done.
    pub fn commit(&mut self, frame: &mut FrameBuf) -> Result<u64, LogError> {
        self.append(Kind::Data, frame)?;
        match self.settings.sync {
            Sync::EachCommit => self.sync()?,
            Sync::OnDemand => {}
        }
        Ok(self.commit)
    }

    /// Writes records that nobody waits for. They are durable with the next commit, which they
    /// come before.
    pub fn define(&mut self, frame: &mut FrameBuf) -> Result<(), LogError> {
        self.append(Kind::Data, frame)
    }

    /// How large a frame of definitions should be: so small that several fit into a segment.
    pub fn definitions_bytes(&self) -> usize {
        (self.settings.segment_bytes / 16) as usize
    }

    /// Makes everything written durable.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.refuse_if_broken()?;
        if !self.unsynced {
            return Ok(());
        }
        let started = self.clock.monotonic();
        let done = self.segment.file.sync_data();
        self.note_sync(self.clock.monotonic().saturating_sub(started));
        if let Err(e) = done {
            // If this fails too, all that can be done has been: the shard stops here.
            let _ = self.disk.create_new(&self.settings.dir.join(UNSYNCED));
            return Err(self.break_off(e));
        }
        self.unsynced = false;
        Ok(())
    }

    /// The number of the last frame.
    pub fn last_commit(&self) -> u64 {
        self.commit
    }

    fn append(&mut self, kind: Kind, frame: &mut FrameBuf) -> Result<(), LogError> {
        self.refuse_if_broken()?;
        let (len, max) = (frame.len() as u64, FRAME_BYTES_MAX);
        if len > max {
            return Err(LogError::TooLarge { bytes: len, max });
        }
        if self.segment.offset + len > self.segment.len {
            self.rotate(len)?;
        }
        let bytes = frame.finish(kind, self.settings.writer.epoch, self.commit + 1);
        self.unsynced = true;
        if let Err(e) = self.segment.file.write_at(bytes, self.segment.offset) {
            return Err(self.break_off(e));
        }
        self.segment.offset += len;
        if self.segment.offset > self.segment.len / 2 {
            self.prepare();
        }
        self.commit += 1;
        self.stats.commits.fetch_add(1, Ordering::Relaxed);
        self.stats.bytes.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }

    /// Goes on in a new segment with room for `len` bytes. If there is no room for one, nothing
    /// has changed.
    fn rotate(&mut self, len: u64) -> Result<(), LogError> {
        let spare = match self.spare.take() {
            Some(spare) => spare,
            None => make_spare(&*self.disk, &self.settings).map_err(LogError::DiskFull)?,
        };
        let needed = segment::HEADER_BYTES as u64 + len;
        if needed > self.settings.segment_bytes
            && let Err(e) = spare.preallocate(needed)
        {
            // Another one is made for a smaller frame.
            return Err(LogError::DiskFull(e));
        }
        // The old segment is not touched again; the new one must not be found without it.
        self.sync()?;
        let header = Header {
            identity: self.settings.identity,
            seq: self.commit + 1,
            writer: self.settings.writer,
            previous: self.segment.header.checksum(),
            wall_ms: self.clock.now_ms(),
        };
        let begun = begin(&*self.disk, &self.settings, spare, header);
        self.segment = begun.map_err(|e| self.break_off(e))?;
        self.stats.segment.store(header.seq, Ordering::Relaxed);
        self.stats.segments.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Sets the next segment aside before it is needed, once half of this one is used, if that
    /// has not been done: so a full disk is noticed while there is still room. Failing is no harm
    /// yet.
    fn prepare(&mut self) {
        if self.spare.is_none() && !self.broken {
            self.spare = make_spare(&*self.disk, &self.settings).ok();
        }
    }

    fn refuse_if_broken(&self) -> Result<(), LogError> {
        if self.broken {
            let e = io::Error::other("an earlier write failed, so its state is not known");
            return Err(LogError::Broken(e));
        }
        Ok(())
    }

    fn break_off(&mut self, error: io::Error) -> LogError {
        self.broken = true;
        self.stats.failures.fetch_add(1, Ordering::Relaxed);
        LogError::Broken(error)
    }

    fn note_sync(&self, took: Duration) {
        self.stats.syncs.fetch_add(1, Ordering::Relaxed);
        self.stats
            .sync_nanos
            .fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
    }
}

fn create_first(
    disk: &dyn Disk,
    settings: &LogSettings,
    wall_ms: i64,
) -> Result<Segment, LogError> {
    let spare = make_spare(disk, settings).map_err(LogError::DiskFull)?;
    let LogSettings {
        identity, writer, ..
    } = *settings;
    let header = Header {
        identity,
        seq: 1,
        writer,
        previous: 0,
        wall_ms,
    };
    begin(disk, settings, spare, header).map_err(LogError::Broken)
}

/// A file of zeros with all its space reserved.
fn make_spare(disk: &dyn Disk, settings: &LogSettings) -> io::Result<Box<dyn DiskFile>> {
    let path = settings.dir.join(SPARE);
    let file = match disk.create_new(&path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove(&path)?;
            disk.create_new(&path)?
        }
        file => file?,
    };
    if let Err(e) = file.preallocate(settings.segment_bytes) {
        drop(file);
        // Give back what was reserved; if that fails too, the first error says why.
        let _ = disk.remove(&path);
        return Err(e);
    }
    Ok(file)
}

/// Gives the spare file its header and its name.
fn begin(
    disk: &dyn Disk,
    settings: &LogSettings,
    file: Box<dyn DiskFile>,
    header: Header,
) -> io::Result<Segment> {
    file.write_at(&header.encode(), 0)?;
    file.sync_data()?;
    let name = segment::file_name(header.seq);
    disk.rename(&settings.dir.join(SPARE), &settings.dir.join(name))?;
    disk.sync_dir(&settings.dir)?;
    let len = file.len()?;
    Ok(Segment {
        file,
        header,
        len,
        offset: segment::HEADER_BYTES as u64,
    })
}

fn reopen(
    disk: &dyn Disk,
    settings: &LogSettings,
    tail: &Tail,
    unsynced: bool,
) -> Result<Segment, LogError> {
    let name = segment::file_name(tail.header.seq);
    let file = disk
        .open(&settings.dir.join(&name))
        .map_err(LogError::Broken)?;
    if unsynced {
        write_again(&*file, tail.offset).map_err(LogError::Broken)?;
    }
    if let Some(torn) = tail.torn {
        put_aside(disk, settings, &*file, &name, tail.offset, torn.bytes)
            .map_err(LogError::Broken)?;
    }
    let len = file.len().map_err(LogError::Broken)?;
    Ok(Segment {
        file,
        header: tail.header,
        len,
        offset: tail.offset,
    })
}

/// Writes the bytes up to `end` once more. After a failed sync the system may hold them in memory,
/// give them to readers and take them for written, though the device never got them.
fn write_again(file: &dyn DiskFile, end: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    for at in (0..end).step_by(PIECE_BYTES) {
        let len = PIECE_BYTES.min((end - at) as usize);
        let read = file.read_at(&mut piece[..len], at)?;
        file.write_at(&piece[..read], at)?;
    }
    file.sync_data()
}

/// Copies a torn end to a file beside the segment, and zeroes it.
fn put_aside(
    disk: &dyn Disk,
    settings: &LogSettings,
    file: &dyn DiskFile,
    name: &str,
    offset: u64,
    bytes: u64,
) -> io::Result<()> {
    let copy = create_numbered(disk, settings, name)?;
    let mut piece = vec![0; PIECE_BYTES];
    let pieces = || (0..bytes).step_by(PIECE_BYTES);
    for at in pieces() {
        let len = PIECE_BYTES.min((bytes - at) as usize);
        let read = file.read_at(&mut piece[..len], offset + at)?;
        copy.write_at(&piece[..read], at)?;
    }
    copy.sync_data()?;
    disk.sync_dir(&settings.dir)?;
    piece.fill(0);
    for at in pieces() {
        let len = PIECE_BYTES.min((bytes - at) as usize);
        file.write_at(&piece[..len], offset + at)?;
    }
    file.sync_data()
}

/// `{segment}.torn`, or with a number behind it if a crash before left one.
fn create_numbered(
    disk: &dyn Disk,
    settings: &LogSettings,
    name: &str,
) -> io::Result<Box<dyn DiskFile>> {
    let mut number = 1;
    loop {
        let name = match number {
            1 => format!("{name}.torn"),
            n => format!("{name}.torn.{n}"),
        };
        match disk.create_new(&settings.dir.join(name)) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
            file => return file,
        }
    }
}
