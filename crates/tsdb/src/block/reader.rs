//! Reading a block.

use std::sync::Arc;

use ferula_model::{Labels, Range, TenantId, Ulid};
use ferula_objects::Objects;
use ferula_storage::Columns;

use super::cache::{BlockCache, Kind, Page};
use super::directory::{Found, GroupPage, Place, Places, Root, TIMES_OF_PAGE, TenantEntry};
use super::files::{Files, Of};
use super::hash::identity;
use super::index::{SETS_OF_PAGE, TenantIndex};
use super::meta::BlockMeta;
use super::page::{Copied, Draft, SamplePage};
use super::times::{PAGE_COLUMNS, TimesPage};
use super::{BlockError, FOLDER, LabelReader, META, key};
use crate::Damaged;

/// A block that can be read. Its objects stay readable while this lives, whoever deletes them.
#[derive(Debug)]
pub struct Block {
    meta: BlockMeta,
    pub(super) files: Files,
    pub(super) root: Root,
}

/// Pages of samples of the series that was read last.
#[derive(Default)]
pub(super) struct HeldPages(Vec<(Place, Arc<SamplePage>)>);

/// The identities of the series whose label sets are a page.
struct Identities(Vec<u128>);

impl Page for Identities {
    fn heap(&self) -> usize {
        self.0.capacity() * 16
    }
}

impl Block {
    /// Opens a block.
    pub fn open(
        objects: &Arc<dyn Objects>,
        id: Ulid,
        cache: Arc<BlockCache>,
    ) -> Result<Self, BlockError> {
        let meta = BlockMeta::read(&**objects, id)?;
        let files = Files::open(&**objects, &meta, cache)?;
        let (offset, len) = meta.root;
        let place = Place { offset, len };
        let body = files.body(Of::Index, place)?;
        let damaged = |what| files.damaged(Of::Index, place, what);
        let root = Root::parse(&body).map_err(damaged)?;
        let series = root
            .groups
            .last()
            .map_or(0, |page| page.first + page.series);
        if u64::from(series) != meta.series {
            return Err(damaged(Damaged("it has other series than the meta says")));
        }
        Ok(Self { meta, files, root })
    }

    /// The names of all blocks there are, and of what is left of some, sorted.
    pub fn list(objects: &dyn Objects) -> Result<Vec<Ulid>, BlockError> {
        let names = objects.list(FOLDER).map_err(|error| BlockError::Io {
            key: FOLDER.to_owned(),
            error,
        })?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Deletes a block: first what makes it one, then the rest. Half a block is deleted, too.
    pub fn delete(objects: &dyn Objects, id: Ulid) -> Result<(), BlockError> {
        let folder = format!("{FOLDER}/{id}");
        let names = match objects.list(&folder) {
            Ok(names) => names,
            Err(error) => return Err(BlockError::Io { key: folder, error }),
        };
        let rest = names.into_iter().filter(|name| name != META);
        for name in std::iter::once(META.to_owned()).chain(rest) {
            let key = key(id, &name);
            if let Err(error) = objects.delete(&key) {
                return Err(BlockError::Io { key, error });
            }
        }
        Ok(())
    }

    /// What it says about itself.
    pub fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    /// Appends the samples of a series to columns, in order of time. What is appended may begin
    /// before the range, and end after it.
    pub fn decode(
        &self,
        ordinal: u32,
        range: Range,
        columns: &mut Columns,
    ) -> Result<(), BlockError> {
        let (first, groups) = self.groups_of(ordinal)?;
        for found in groups.find(ordinal - first, range) {
            let page = self.samples(found)?;
            let decoded = page.decode(found.series, range, columns);
            decoded.map_err(|what| self.files.damaged(Of::Chunks, found.place, what))?;
        }
        Ok(())
    }

    /// Appends all samples of a series, and the chunks that they are in. Pages do not go through
    /// the cache, where others are wanted more, but stay in `held` for the series' neighbours.
    pub(super) fn copy(
        &self,
        ordinal: u32,
        held: &mut HeldPages,
        columns: &mut Columns,
        copied: &mut Vec<Copied>,
    ) -> Result<(), BlockError> {
        let (first, groups) = self.groups_of(ordinal)?;
        let mut before = std::mem::take(&mut held.0);
        for found in groups.find(ordinal - first, Range::ALL) {
            let known = before.iter().position(|(place, _)| *place == found.place);
            let page = match known {
                Some(i) => before.swap_remove(i).1,
                None => Arc::new(self.read_samples(found.place, found.of)?),
            };
            let decoded = page.copy(found.series, columns, copied);
            decoded.map_err(|what| self.files.damaged(Of::Chunks, found.place, what))?;
            held.0.push((found.place, page));
        }
        Ok(())
    }

    /// The labels of a series.
    pub fn labels(&self, ordinal: u32) -> Result<Labels, BlockError> {
        LabelReader::new(self).labels(ordinal)
    }

    /// The labels of a series that have one of the names.
    pub fn labels_named(&self, ordinal: u32, names: &[String]) -> Result<Labels, BlockError> {
        LabelReader::new(self).labels_named(ordinal, names)
    }

    /// Reads the labels of many series, best in order of ordinals.
    pub fn label_reader(&self) -> LabelReader<'_> {
        LabelReader::new(self)
    }

    /// A hash of a series' labels, the same in whatever block.
    pub fn identity(&self, ordinal: u32) -> Result<u128, BlockError> {
        let mut found = self.identities(&[ordinal])?;
        found.pop().ok_or_else(|| self.no_such_series(ordinal))
    }

    /// The hashes of the labels of several series of one tenant, which are in order.
    pub fn identities(&self, ordinals: &[u32]) -> Result<Vec<u128>, BlockError> {
        let mut found = Vec::with_capacity(ordinals.len());
        let Some(&first) = ordinals.first() else {
            return Ok(found);
        };
        let tenant = self.tenant_of(first)?;
        let index = self.tenant_index(tenant)?;
        let mut known: Option<(Place, Arc<Identities>)> = None;
        for &ordinal in ordinals {
            let (place, i) = self.set_place(tenant, &index, ordinal)?;
            let page = match &known {
                Some((of, page)) if *of == place => page,
                _ => {
                    &known
                        .insert((place, self.identities_of(tenant, place, ordinal - i)?))
                        .1
                }
            };
            let identity = page.0.get(i as usize).copied();
            found.push(identity.ok_or_else(|| self.no_such_series(ordinal))?);
        }
        Ok(found)
    }

    /// The identities of the series from `from` on whose label sets are a page.
    fn identities_of(
        &self,
        tenant: &TenantEntry,
        place: Place,
        from: u32,
    ) -> Result<Arc<Identities>, BlockError> {
        self.files.cached(Kind::Identities, place, || {
            let mut labels = self.label_reader();
            let to = (tenant.first + tenant.series).min(from + SETS_OF_PAGE as u32);
            let identities = (from..to).map(|n| Ok(identity(&labels.labels(n)?)));
            Ok(Identities(identities.collect::<Result<_, BlockError>>()?))
        })
    }

    /// The tenant of a series.
    pub fn tenant(&self, ordinal: u32) -> Result<&TenantId, BlockError> {
        Ok(&self.tenant_of(ordinal)?.tenant)
    }

    pub(super) fn find_tenant(&self, tenant: &TenantId) -> Option<&TenantEntry> {
        let tenants = &self.root.tenants;
        let found = tenants.binary_search_by(|entry| entry.tenant.cmp(tenant));
        found.ok().map(|i| &tenants[i])
    }

    pub(super) fn tenant_of(&self, ordinal: u32) -> Result<&TenantEntry, BlockError> {
        let tenants = &self.root.tenants;
        let after = tenants.partition_point(|entry| entry.first <= ordinal);
        let found = after.checked_sub(1).map(|i| &tenants[i]);
        let found = found.filter(|entry| ordinal - entry.first < entry.series);
        found.ok_or_else(|| self.no_such_series(ordinal))
    }

    pub(super) fn tenant_index(
        &self,
        tenant: &TenantEntry,
    ) -> Result<Arc<TenantIndex>, BlockError> {
        self.files
            .page(Kind::Tenant, Of::Index, tenant.place, |body| {
                TenantIndex::parse(&body)
            })
    }

    /// Where the label set of a series is: the page, and its number in that.
    pub(super) fn set_place(
        &self,
        tenant: &TenantEntry,
        index: &TenantIndex,
        ordinal: u32,
    ) -> Result<(Place, u32), BlockError> {
        let n = ordinal.wrapping_sub(tenant.first);
        let size = SETS_OF_PAGE as u32;
        let place = index.sets.get((n / size) as usize).copied();
        Ok((place.ok_or_else(|| self.no_such_series(ordinal))?, n % size))
    }

    #[cold]
    pub(super) fn no_such_series(&self, ordinal: u32) -> BlockError {
        BlockError::NoSeries {
            block: self.meta.id,
            ordinal,
            series: self.meta.series,
        }
    }

    /// The page of the directory that a series is in, and the first series of that.
    pub(super) fn groups_of(&self, ordinal: u32) -> Result<(u32, Arc<GroupPage>), BlockError> {
        let pages = &self.root.groups;
        let after = pages.partition_point(|page| page.first <= ordinal);
        let found = after.checked_sub(1).map(|i| pages[i]);
        let found = found.filter(|page| ordinal - page.first < page.series);
        let entry = found.ok_or_else(|| self.no_such_series(ordinal))?;
        let page = self
            .files
            .page(Kind::Groups, Of::Index, entry.place, |body| {
                let page = GroupPage::parse(&body)?;
                match page.series() == entry.series {
                    true => Ok(page),
                    false => Err(Damaged("it has other series than the root says")),
                }
            })?;
        Ok((entry.first, page))
    }

    #[inline]
    fn samples(&self, found: Found) -> Result<Arc<SamplePage>, BlockError> {
        self.files.cached(Kind::Samples, found.place, || {
            self.read_samples(found.place, found.of)
        })
    }

    /// Reads a page of samples of so many series.
    pub(super) fn read_samples(
        &self,
        place: Place,
        series: usize,
    ) -> Result<SamplePage, BlockError> {
        let body = self.files.body(Of::Chunks, place)?;
        let damaged = |what| self.files.damaged(Of::Chunks, place, what);
        let draft = Draft::parse(body).map_err(damaged)?;
        if draft.series() != series {
            return Err(damaged(Damaged(
                "it has other series than the directory says",
            )));
        }
        draft.finish(|column, out| {
            let page = self.times(column).map_err(|e| e.at(damaged))?;
            let bytes = page.column(column % PAGE_COLUMNS).map_err(damaged)?;
            out.extend_from_slice(bytes);
            Ok(())
        })
    }

    /// The page of a column of timestamps.
    fn times(&self, column: u32) -> Result<Arc<TimesPage>, TimesError> {
        let missing = || TimesError::Missing(Damaged("there is no such column of timestamps"));
        let page = (column / PAGE_COLUMNS) as usize;
        let directory = self.root.times.get(page / TIMES_OF_PAGE);
        let directory = *directory.ok_or_else(missing)?;
        let places = self
            .files
            .page(Kind::TimesDirectory, Of::Index, directory, |body| {
                Places::parse(&body)
            })?;
        let place = places.0.get(page % TIMES_OF_PAGE).copied();
        let place = place.ok_or_else(missing)?;
        Ok(self
            .files
            .page(Kind::Times, Of::Chunks, place, TimesPage::parse)?)
    }
}

/// Why a column of timestamps is not there.
enum TimesError {
    /// The page that refers to it is wrong.
    Missing(Damaged),
    Block(BlockError),
}

impl From<BlockError> for TimesError {
    fn from(error: BlockError) -> Self {
        Self::Block(error)
    }
}

impl TimesError {
    /// The error, if the page that refers to it is damaged so.
    fn at(self, damaged: impl FnOnce(Damaged) -> BlockError) -> BlockError {
        match self {
            Self::Missing(what) => damaged(what),
            Self::Block(error) => error,
        }
    }
}
