//! The target that reads checkpoints.

use std::io;

use ferula_model::{Range, TenantId};
use ferula_objects::ObjectReader;
use ferula_storage::{Batch, Columns, Hints, Origin, SampleEntry, SelectRequest, SeriesKey};
use ferula_tsdb::checkpoint::Checkpoint;
use ferula_tsdb::log::segment::Identity;
use ferula_tsdb::{Head, HeadSettings};

/// Larger ones make fuzzing slow and find nothing more.
const BYTES_MAX: usize = 1 << 13;

/// Whose checkpoints those of the corpus are.
const IDENTITY: Identity = Identity {
    cluster: [7; 16],
    shard: 3,
};

/// Where a trailer, a table of contents and its entries have what is needed here; see
/// `docs/internals/checkpoint.md`.
const TRAILER_BYTES: usize = 24;
const ENTRIES_AT: usize = 56;
const ENTRY_BYTES: usize = 24;

/// Bytes as an object.
#[derive(Debug)]
struct Bytes(Vec<u8>);

impl ObjectReader for Bytes {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let from = self.0.get(offset as usize..).unwrap_or_default();
        let from = from
            .get(..bytes.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(from);
        Ok(())
    }
}

/// Makes the checksums right: damage that they notice is not what is looked for here.
fn repair(bytes: &mut [u8]) -> Option<()> {
    let end = bytes.len().checked_sub(TRAILER_BYTES)?;
    let field = |bytes: &[u8], at: usize| -> Option<usize> {
        let field = bytes.get(at..at + 8)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(field)).ok()
    };
    let contents = field(bytes, end).filter(|from| *from <= end)?;
    for entry in (contents + ENTRIES_AT..end).step_by(ENTRY_BYTES) {
        let (offset, len) = (field(bytes, entry + 8)?, field(bytes, entry + 16)?);
        let crc = crc32c::crc32c(bytes.get(offset..offset.checked_add(len)?)?);
        bytes[entry + 4..entry + 8].copy_from_slice(&crc.to_le_bytes());
    }
    let crc = crc32c::crc32c(&bytes[contents..end]);
    bytes[end + 12..end + 16].copy_from_slice(&crc.to_le_bytes());
    Some(())
}

/// A checkpoint whose checksums are right, whatever is in it: loading it ends with a head that
/// can be read and written, or with an error.
pub fn checkpoint(data: &[u8]) {
    if data.len() > BYTES_MAX {
        return;
    }
    let mut data = data.to_vec();
    if repair(&mut data).is_none() {
        return;
    }
    let object = Bytes(data);
    let Ok(named) = Checkpoint::of(&object) else {
        return;
    };
    let settings = HeadSettings {
        bytes_max: 1 << 30,
        hash_seed: 1,
    };
    let (head, mut writer) = Head::new(settings);
    if writer.load_checkpoint(&object, &named, IDENTITY).is_err() {
        return;
    }
    writer.replayed();
    let request = SelectRequest {
        tenant: TenantId::anonymous(),
        matchers: Vec::new(),
        range: Range::ALL,
        hints: Hints::default(),
    };
    let selected = head.select(&request, || ()).0;
    let mut batch = Batch::new(TenantId::anonymous(), Origin::Push);
    let mut columns = Columns::default();
    for (number, series) in selected.series.into_iter().enumerate() {
        columns.clear();
        // A chunk may be damaged; it says so.
        let _ = series.source.decode(Range::ALL, &mut columns);
        batch.series.push(SeriesKey::Labels(series.labels));
        batch.samples.push(SampleEntry {
            series: number as u32,
            timestamp: i64::MAX - 1,
            value: 1.0,
        });
    }
    let _ = writer.stage(&batch);
    writer.apply();
    head.raise_floor(0, || ());
    head.truncate();
}
