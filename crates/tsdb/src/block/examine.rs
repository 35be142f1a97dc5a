//! Parts of blocks apart from blocks: what fuzzing reads.

use ferula_model::Range;
use ferula_storage::Columns;

use super::directory::{GroupPage, Places, Root};
use super::envelope::unseal;
use super::index::{PostingsPage, SetPage, StringPage, TenantIndex};
use super::meta;
use super::page::{CHUNK_SAMPLES_MAX, Draft, PAGE_SERIES};
use super::times::{PAGE_COLUMNS, TimesPage};
use super::{ints, values};
use crate::Damaged;
use crate::bytes::{Reader, put_uv};

/// A part of a block: a frame, or the body of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A frame around any of the others.
    Frame,
    /// The JSON of a meta, without its checksum.
    Meta,
    /// The root of the index.
    Root,
    /// A page of the directory.
    Groups,
    /// A page of places.
    Places,
    /// A page of columns of timestamps.
    Times,
    /// A page of samples; two bytes in front say how many samples a chunk has.
    Samples,
    /// What leads to a tenant's labels.
    Tenant,
    /// A page of values of labels.
    Strings,
    /// A page of lists of series.
    Postings,
    /// A page of label sets.
    Sets,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 11] = [
        Self::Frame,
        Self::Meta,
        Self::Root,
        Self::Groups,
        Self::Places,
        Self::Times,
        Self::Samples,
        Self::Tenant,
        Self::Strings,
        Self::Postings,
        Self::Sets,
    ];
}

/// Reads all there is in a part, as a block does once it has found the checksum to be right.
pub fn examine(part: Part, bytes: &[u8]) -> Result<(), Damaged> {
    let whole = Range::ALL;
    match part {
        Part::Frame => unseal(bytes.to_vec()).map(drop),
        Part::Meta => match std::str::from_utf8(bytes).ok().and_then(meta::parse) {
            Some(_) => Ok(()),
            None => Err(Damaged("it does not say what a meta says")),
        },
        Part::Root => Root::parse(bytes).map(drop),
        Part::Groups => {
            let page = GroupPage::parse(bytes)?;
            for i in 0..=page.series().min(1 << 16) {
                page.find(i, whole).for_each(drop);
            }
            Ok(())
        }
        Part::Places => Places::parse(bytes).map(drop),
        Part::Times => times(bytes.to_vec()),
        Part::Samples => samples(bytes),
        Part::Tenant => {
            let index = TenantIndex::parse(bytes)?;
            for pair in [0, index.pairs() / 2, index.pairs()] {
                let _ = (index.strings_of(pair), index.postings_of(pair));
            }
            Ok(())
        }
        Part::Strings => {
            let page = StringPage::parse(bytes)?;
            let all = (0..page.len()).all(|i| page.get(i).is_some());
            assert!(all && page.get(page.len()).is_none(), "values by number");
            Ok(())
        }
        Part::Postings => {
            let page = PostingsPage::parse(bytes.to_vec())?;
            let mut runs = Vec::new();
            for i in 0..page.lists() {
                runs.clear();
                page.list(i, u32::MAX, &mut runs)?;
                assert!(runs.is_sorted_by(|a, b| a.1 <= b.0), "runs in order");
            }
            Ok(())
        }
        Part::Sets => {
            let page = SetPage::parse(bytes.to_vec())?;
            for column in 0..page.columns() {
                for i in 0..super::index::SETS_OF_PAGE {
                    if page.value(column, i).is_err() {
                        break;
                    }
                }
            }
            Ok(())
        }
    }
}

fn times(body: Vec<u8>) -> Result<(), Damaged> {
    let page = TimesPage::parse(body)?;
    for i in 0..PAGE_COLUMNS {
        let Ok(column) = page.column(i) else {
            break;
        };
        let mut r = Reader::new(column);
        let n = r.uv()?;
        if n > CHUNK_SAMPLES_MAX as u64 {
            return Err(Damaged("a chunk has more samples than it can"));
        }
        ints::take(&mut r, n as usize, &mut Vec::new(), |t| t)?;
    }
    Ok(())
}

fn samples(bytes: &[u8]) -> Result<(), Damaged> {
    let mut r = Reader::new(bytes);
    let n = 1 + usize::from(u16::from_le_bytes(r.array()?)) % CHUNK_SAMPLES_MAX;
    values::take(&mut r.clone(), n, &mut Vec::new()).ok();
    let draft = Draft::parse(r.rest().to_vec())?;
    let page = draft.finish(|_, out| {
        put_uv(out, n as u64);
        let times: Vec<i64> = (0..n as i64).collect();
        ints::put(&times, out);
        Ok::<_, Damaged>(())
    })?;
    let mut columns = Columns::default();
    for i in 0..PAGE_SERIES {
        columns.clear();
        // One that cannot be decoded says nothing of the next.
        if page.decode(i, Range::ALL, &mut columns).is_err() {
            continue;
        }
        let starts = columns.start_timestamps.len();
        assert_eq!(columns.timestamps.len(), columns.values.len(), "columns");
        assert!(starts == 0 || starts == columns.values.len(), "columns");
    }
    Ok(())
}
