//! Reading the log back, oldest segment first.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use ferula_env::{Disk, DiskFile};

use super::LogError;
use super::frame::{self, Frame};
use super::segment::{self, Header, Identity};

/// Read ahead by this much; a frame that is larger is read whole.
const READ_BYTES: usize = 1 << 20;

/// The same where only the headers of frames are looked at.
const SKIP_BYTES: usize = 4 << 10;

/// How far a replay has come. Watched from other threads.
#[derive(Debug, Default)]
pub struct Progress {
    segments_total: AtomicU64,
    segments_done: AtomicU64,
}

impl Progress {
    /// Segments there are.
    pub fn total(&self) -> u64 {
        self.segments_total.load(Ordering::Relaxed)
    }

    /// Segments replayed.
    pub fn done(&self) -> u64 {
        self.segments_done.load(Ordering::Relaxed)
    }
}

/// Gets what a replay reads.
pub trait Visitor {
    /// A segment begins. An error ends the replay.
    fn segment(&mut self, header: &Header) -> Result<(), String>;

    /// A frame whose checksum and number are right. `false` if it is dead: an owner already
    /// fenced off wrote it. An error ends the replay.
    fn frame(&mut self, frame: Frame<'_>) -> Result<bool, String>;
}

/// What is to be replayed.
pub struct Replay<'a> {
    /// Where it lies.
    pub disk: &'a dyn Disk,
    /// The segments' directory.
    pub dir: &'a Path,
    /// Whose log it must be.
    pub identity: Identity,
    /// Frames up to this commit are in a checkpoint, and passed over; segments that hold nothing
    /// else may be missing. 0 without a checkpoint.
    pub after: u64,
    /// Told how far it has come.
    pub progress: &'a Progress,
}

/// What a replay found.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Where the log goes on; `None` if there is none yet.
    pub tail: Option<Tail>,
    /// Segments read.
    pub segments: u64,
    /// Frames applied.
    pub frames: u64,
    /// Frames left out because their writer had been fenced off.
    pub dead_frames: u64,
    /// Parts of older segments that cannot be read, as messages: acknowledged data is lost.
    pub damage: Vec<String>,
}

/// The end of the log.
#[derive(Clone, Debug)]
pub struct Tail {
    /// The newest segment.
    pub header: Header,
    /// Where its next frame goes.
    pub offset: u64,
    /// The number of the last frame.
    pub commit: u64,
    /// Bytes behind the end that a crash left; they are no commit that was acknowledged.
    pub torn: Option<Torn>,
}

/// What a crash left behind the log's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// From the end of the log to the last byte that is not zero.
    pub bytes: u64,
    /// What is wrong with the frame there.
    pub why: &'static str,
}

/// Reads the segments that are needed in order.
pub fn replay(what: &Replay<'_>, visitor: &mut dyn Visitor) -> Result<Replayed, LogError> {
    let headers = read_headers(what)?;
    what.progress
        .segments_total
        .store(headers.len() as u64, Ordering::Relaxed);
    let mut found = Replayed::default();
    for (i, header) in headers.iter().enumerate() {
        let name = segment::file_name(header.seq);
        let refused = |why| LogError::Refused {
            segment: name.clone(),
            why,
        };
        visitor.segment(header).map_err(refused)?;
        let mut source = Source::open(what, &name)?;
        let next = headers.get(i + 1).map(|next| next.seq);
        let mut end = End::before(header, what.after);
        skip_frames(&mut source, what.after, &mut end).map_err(LogError::Read)?;
        read_segment(&mut source, next, visitor, &mut found, &mut end)
            .map_err(|stop| stop.at(&name))?;
        match next {
            Some(next) => note_damage(&mut found, &name, &end, next),
            None => found.tail = Some(tail(&mut source, header, end)?),
        }
        found.segments += 1;
        what.progress.segments_done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(found)
}

/// All headers from the first commit that is needed on, checked to be one unbroken chain.
fn read_headers(what: &Replay<'_>) -> Result<Vec<Header>, LogError> {
    let names = what.disk.list(what.dir).map_err(LogError::Read)?;
    let numbers = names.iter().filter_map(|n| segment::parse_file_name(n));
    let mut numbers: Vec<u64> = numbers.collect();
    // Deleting old segments may have been interrupted: whatever is left of them is not read.
    let before = numbers.partition_point(|seq| *seq <= what.after + 1);
    numbers.drain(..before.saturating_sub(1));
    if numbers.is_empty() && what.after > 0 {
        return Err(LogError::MissingSegment {
            expected: format!("the segment with commit {}", what.after + 1),
            found: "an empty log".to_owned(),
        });
    }
    let mut headers: Vec<Header> = Vec::new();
    for seq in numbers {
        let name = segment::file_name(seq);
        let bad = |what: &str| LogError::BadSegment {
            segment: name.clone(),
            what: what.into(),
        };
        let file = what
            .disk
            .open(&what.dir.join(&name))
            .map_err(LogError::Read)?;
        let mut bytes = [0; segment::HEADER_BYTES];
        if file.read_at(&mut bytes, 0).map_err(LogError::Read)? < bytes.len() {
            return Err(bad("too short for a log segment"));
        }
        let header = Header::decode(&bytes).map_err(bad)?;
        if header.identity != what.identity {
            return Err(bad("belongs to another data directory or shard"));
        }
        if header.seq != seq {
            return Err(bad("renamed: its header has another number"));
        }
        let follows = match headers.last() {
            Some(last) => header.previous == last.checksum(),
            None => seq <= what.after + 1 && (seq > 1 || header.previous == 0),
        };
        if !follows {
            let expected = match headers.last() {
                Some(last) => format!("the segment after {}", segment::file_name(last.seq)),
                None if what.after == 0 => segment::file_name(1),
                None => format!("the segment with commit {}", what.after + 1),
            };
            return Err(LogError::MissingSegment {
                expected,
                found: name,
            });
        }
        headers.push(header);
    }
    Ok(headers)
}

/// Where reading a segment ended.
struct End {
    offset: u64,
    /// The number of the last frame applied.
    commit: u64,
    /// What is wrong with what follows; `None` if nothing does.
    why: Option<&'static str>,
}

impl End {
    /// The beginning of a segment, as if everything up to commit `after` had been read.
    fn before(header: &Header, after: u64) -> Self {
        Self {
            offset: segment::HEADER_BYTES as u64,
            commit: (header.seq - 1).max(after),
            why: None,
        }
    }
}

/// Why a replay cannot go on.
enum Stop {
    Read(io::Error),
    Refused(String),
}

impl Stop {
    fn at(self, segment: &str) -> LogError {
        match self {
            Self::Read(e) => LogError::Read(e),
            Self::Refused(why) => LogError::Refused {
                segment: segment.into(),
                why,
            },
        }
    }
}

/// Passes over the frames up to commit `after`, going by their headers.
fn skip_frames(source: &mut Source, after: u64, end: &mut End) -> io::Result<()> {
    source.ahead = SKIP_BYTES;
    while let Some((commit, len)) = source.header(end.offset)? {
        if commit > after {
            break;
        }
        end.offset += len;
    }
    source.ahead = READ_BYTES;
    Ok(())
}

/// Reads frames from `end` on, and moves it.
fn read_segment(
    source: &mut Source,
    next: Option<u64>,
    visitor: &mut dyn Visitor,
    found: &mut Replayed,
    end: &mut End,
) -> Result<(), Stop> {
    loop {
        let frame = match source.frame(end.offset).map_err(Stop::Read)? {
            Read::Nothing => return Ok(()),
            Read::Bad(why) => {
                end.why = Some(why);
                return Ok(());
            }
            Read::Frame(frame) => frame,
        };
        // A segment that follows says where this one ended when its writer gave it up.
        if next.is_some_and(|next| frame.commit >= next) {
            found.dead_frames += 1;
            return Ok(());
        }
        let len = (frame::HEADER_BYTES + frame.body.len()) as u64;
        let commit = frame.commit;
        if commit > end.commit + 1 {
            end.why = Some("frames are missing before it");
            return Ok(());
        }
        if commit == end.commit + 1 && visitor.frame(frame).map_err(Stop::Refused)? {
            end.commit = commit;
            found.frames += 1;
        } else {
            found.dead_frames += 1;
        }
        end.offset += len;
    }
}

fn note_damage(found: &mut Replayed, name: &str, end: &End, next: u64) {
    let lost = next - 1 - end.commit;
    if lost > 0 {
        let why = end.why.unwrap_or("zeros where a frame should be");
        found.damage.push(format!(
            "{name}: {why}, at byte {}; {lost} commits up to {} are lost",
            end.offset,
            next - 1,
        ));
    }
}

fn tail(source: &mut Source, header: &Header, end: End) -> Result<Tail, LogError> {
    let bytes = source.last_non_zero(end.offset).map_err(LogError::Read)?;
    let torn = (bytes > 0).then(|| Torn {
        bytes,
        why: end.why.unwrap_or("zeros where a frame should begin"),
    });
    Ok(Tail {
        header: *header,
        offset: end.offset,
        commit: end.commit,
        torn,
    })
}

/// What lies at an offset.
enum Read<'a> {
    Nothing,
    Bad(&'static str),
    Frame(Frame<'a>),
}

/// A segment file, read ahead.
struct Source {
    file: Box<dyn DiskFile>,
    len: u64,
    buffer: Vec<u8>,
    /// The offset of the buffer's first byte.
    at: u64,
    /// How much is read ahead.
    ahead: usize,
}

impl Source {
    fn open(what: &Replay<'_>, name: &str) -> Result<Self, LogError> {
        let file = what
            .disk
            .open(&what.dir.join(name))
            .map_err(LogError::Read)?;
        let len = file.len().map_err(LogError::Read)?;
        Ok(Self {
            file,
            len,
            buffer: Vec::new(),
            at: 0,
            ahead: READ_BYTES,
        })
    }

    /// `len` bytes at `offset`, which the file has.
    fn bytes(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let end = self.at + self.buffer.len() as u64;
        if offset < self.at || offset + len as u64 > end {
            let ahead = self.ahead.max(len).min((self.len - offset) as usize);
            self.buffer.resize(ahead, 0);
            let read = self.file.read_at(&mut self.buffer, offset)?;
            self.buffer.truncate(read);
            self.at = offset;
        }
        let from = (offset - self.at) as usize;
        self.buffer
            .get(from..from + len)
            .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the file shrank"))
    }

    /// Number and length of the frame at `offset`, if its header looks like one. Its checksum
    /// has not been compared.
    fn header(&mut self, offset: u64) -> io::Result<Option<(u64, u64)>> {
        let left = self.len.saturating_sub(offset);
        if left < frame::HEADER_BYTES as u64 {
            return Ok(None);
        }
        let header = self.bytes(offset, frame::HEADER_BYTES)?;
        let header = header.try_into().expect("as many bytes as asked for");
        let Some(header) = frame::Header::parse(header) else {
            return Ok(None);
        };
        let len = frame::HEADER_BYTES as u64 + u64::from(header.len);
        Ok((len <= left).then(|| (header.commit(), len)))
    }

    fn frame(&mut self, offset: u64) -> io::Result<Read<'_>> {
        let left = self.len.saturating_sub(offset);
        if left < frame::HEADER_BYTES as u64 {
            return Ok(Read::Nothing);
        }
        let header = self.bytes(offset, frame::HEADER_BYTES)?;
        let header = header.try_into().expect("as many bytes as asked for");
        let Some(header) = frame::Header::parse(header) else {
            return Ok(Read::Nothing);
        };
        let len = frame::HEADER_BYTES + header.len as usize;
        if len as u64 > left {
            return Ok(Read::Bad("it ends behind the segment's end"));
        }
        let body = &self.bytes(offset, len)?[frame::HEADER_BYTES..];
        Ok(match header.check(body) {
            Ok(frame) => Read::Frame(frame),
            Err(why) => Read::Bad(why),
        })
    }

    /// How many bytes from `offset` to the last one that is not zero.
    fn last_non_zero(&mut self, offset: u64) -> io::Result<u64> {
        let (mut at, mut last) = (offset, 0);
        while at < self.len {
            let len = READ_BYTES.min((self.len - at) as usize);
            let bytes = self.bytes(at, len)?;
            if let Some(i) = bytes.iter().rposition(|b| *b != 0) {
                last = at + i as u64 + 1 - offset;
            }
            at += len as u64;
        }
        Ok(last)
    }
}
