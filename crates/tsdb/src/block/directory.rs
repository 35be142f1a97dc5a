//! Where pages are: the root of the index, and what it leads to.
//!
//! ```text
//! place        := gap uv | len uv                 a frame begins `gap` bytes behind the one before
//! root         := groups | columns of timestamps uv | times | tenants
//! groups       := n uv | n x (place, groups uv, series uv)
//! times        := n uv | n x place
//! tenants      := n uv | n x (len uv, name, series uv, place)
//! group page   := n uv | n x (series uv, pages uv, pages x (place, oldest zz, newest - oldest uv))
//! times page   := n uv | n x place
//! ```
//!
//! Places in the root are places in the index; those in group pages and times pages are places in
//! the objects with samples, as if these were one.

use ferula_model::{Range, TenantId, Timestamp};

use super::cache::Page;
use super::overlaps;
use super::page::PAGE_SERIES;
use crate::Damaged;
use crate::bytes::{Reader, put_uv, put_zz};

/// Groups of series in a page of the directory.
pub(super) const GROUPS_OF_PAGE: usize = 256;

/// Pages of timestamps in a page of their directory.
pub(super) const TIMES_OF_PAGE: usize = 1_024;

/// Where a frame is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) len: u32,
}

/// Writes places as differences.
#[derive(Default)]
pub(super) struct PlaceWriter {
    end: u64,
}

impl PlaceWriter {
    pub(super) fn put(&mut self, place: Place, out: &mut Vec<u8>) {
        // Frames are written in order, so a gap is small; wrapping makes any order possible.
        put_uv(out, place.offset.wrapping_sub(self.end));
        put_uv(out, place.len.into());
        self.end = place.offset + u64::from(place.len);
    }
}

/// Reads what [`PlaceWriter`] wrote.
#[derive(Default)]
pub(super) struct PlaceReader {
    end: u64,
}

impl PlaceReader {
    pub(super) fn take(&mut self, r: &mut Reader<'_>) -> Result<Place, Damaged> {
        let offset = self.end.wrapping_add(r.uv()?);
        let len = r.uv32()?;
        self.end = offset.wrapping_add(len.into());
        Ok(Place { offset, len })
    }
}

/// A count of things of which each takes `bytes` or more.
pub(super) fn count(r: &mut Reader<'_>, bytes: usize) -> Result<usize, Damaged> {
    let n = r.uv()?;
    match n <= (r.left() / bytes) as u64 {
        true => Ok(n as usize),
        false => Err(Damaged("too short")),
    }
}

pub(super) fn at_end(r: &Reader<'_>) -> Result<(), Damaged> {
    match r.is_empty() {
        true => Ok(()),
        false => Err(Damaged("longer than what it holds")),
    }
}

/// Where the samples of up to 32 neighbouring series are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) series: u32,
    pub(super) pages: Vec<PageEntry>,
}

/// A page of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageEntry {
    pub(super) place: Place,
    pub(super) oldest: Timestamp,
    pub(super) newest: Timestamp,
}

/// The body of a page of the directory.
pub(super) fn put_groups(groups: &[Group]) -> Vec<u8> {
    let (mut out, mut places) = (Vec::new(), PlaceWriter::default());
    put_uv(&mut out, groups.len() as u64);
    let mut before: Timestamp = 0;
    for group in groups {
        put_uv(&mut out, group.series.into());
        put_uv(&mut out, group.pages.len() as u64);
        for page in &group.pages {
            places.put(page.place, &mut out);
            put_zz(&mut out, page.oldest.wrapping_sub(before));
            put_uv(&mut out, page.newest.wrapping_sub(page.oldest) as u64);
            before = page.oldest;
        }
    }
    out
}

/// Groups of series, ready for looking up.
#[derive(Debug)]
pub(super) struct GroupPage {
    /// The first series of each group, counted within the page, and the end.
    firsts: Vec<u32>,
    /// The first page of each group, and the end.
    bounds: Vec<u32>,
    pages: Vec<PageEntry>,
}

/// A page that may have samples of a series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) place: Place,
    /// The series' place in the page.
    pub(super) series: usize,
    /// How many series the page has.
    pub(super) of: usize,
}

impl GroupPage {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Damaged> {
        let mut r = Reader::new(body);
        let n = count(&mut r, 2)?;
        let (mut firsts, mut bounds) = (vec![0], vec![0]);
        let (mut pages, mut places) = (Vec::new(), PlaceReader::default());
        let (mut first, mut before): (u32, Timestamp) = (0, 0);
        for _ in 0..n {
            let series = r.uv32()?;
            if series > PAGE_SERIES as u32 {
                return Err(Damaged("a group has more series than it can"));
            }
            first += series;
            for _ in 0..r.uv()? {
                let place = places.take(&mut r)?;
                let oldest = before.wrapping_add(r.zz()?);
                let newest = oldest.wrapping_add(r.uv()? as i64);
                before = oldest;
                pages.push(PageEntry {
                    place,
                    oldest,
                    newest,
                });
            }
            firsts.push(first);
            bounds.push(pages.len() as u32);
        }
        at_end(&r)?;
        Ok(Self {
            firsts,
            bounds,
            pages,
        })
    }

    /// How many series there are.
    pub(super) fn series(&self) -> u32 {
        self.firsts[self.firsts.len() - 1]
    }

    /// How many groups there are.
    pub(super) fn groups(&self) -> usize {
        self.firsts.len() - 1
    }

    /// The pages of the group that series `i` is in, which may have samples of the range, and its
    /// place in them.
    pub(super) fn find(&self, i: u32, range: Range) -> impl Iterator<Item = Found> {
        // Groups are full, but for few, so this is the place or shortly before it.
        let mut group = (i as usize / PAGE_SERIES).min(self.groups());
        while group < self.groups() && self.firsts[group + 1] <= i {
            group += 1;
        }
        let bounds = match (self.bounds.get(group), self.bounds.get(group + 1)) {
            (Some(&from), Some(&to)) => from as usize..to as usize,
            _ => 0..0,
        };
        let first = self.firsts[group];
        let of = self.firsts.get(group + 1).map_or(0, |end| end - first) as usize;
        let pages = self.pages[bounds].iter();
        let inside = pages.filter(move |page| overlaps(range, page.oldest, page.newest));
        inside.map(move |page| Found {
            place: page.place,
            series: (i - first) as usize,
            of,
        })
    }
}

impl Page for GroupPage {
    fn heap(&self) -> usize {
        self.firsts.capacity() * 4
            + self.bounds.capacity() * 4
            + self.pages.capacity() * size_of::<PageEntry>()
    }
}

/// A list of places.
#[derive(Debug)]
pub(super) struct Places(pub(super) Vec<Place>);

impl Places {
    pub(super) fn put(places: &[Place], out: &mut Vec<u8>) {
        let mut writer = PlaceWriter::default();
        put_uv(out, places.len() as u64);
        for place in places {
            writer.put(*place, out);
        }
    }

    pub(super) fn take(r: &mut Reader<'_>) -> Result<Self, Damaged> {
        let mut reader = PlaceReader::default();
        let places = (0..count(r, 2)?).map(|_| reader.take(r));
        places.collect::<Result<_, _>>().map(Self)
    }

    /// Takes all of a page.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Damaged> {
        let mut r = Reader::new(body);
        let places = Self::take(&mut r)?;
        at_end(&r)?;
        Ok(places)
    }
}

impl Page for Places {
    fn heap(&self) -> usize {
        self.0.capacity() * size_of::<Place>()
    }
}

/// What leads to everything else.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) groups: Vec<GroupPageEntry>,
    /// How many columns of timestamps there are.
    pub(super) columns: u32,
    pub(super) times: Vec<Place>,
    pub(super) tenants: Vec<TenantEntry>,
}

/// A page of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupPageEntry {
    pub(super) place: Place,
    /// Its first series.
    pub(super) first: u32,
    pub(super) series: u32,
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TenantEntry {
    pub(super) tenant: TenantId,
    /// Its first series.
    pub(super) first: u32,
    pub(super) series: u32,
    pub(super) place: Place,
}

impl Root {
    pub(super) fn put(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_uv(&mut out, self.groups.len() as u64);
        let mut places = PlaceWriter::default();
        for page in &self.groups {
            places.put(page.place, &mut out);
            put_uv(&mut out, page.series.into());
        }
        put_uv(&mut out, self.columns.into());
        Places::put(&self.times, &mut out);
        put_uv(&mut out, self.tenants.len() as u64);
        let mut places = PlaceWriter::default();
        for tenant in &self.tenants {
            let name = tenant.tenant.as_str();
            put_uv(&mut out, name.len() as u64);
            out.extend_from_slice(name.as_bytes());
            put_uv(&mut out, tenant.series.into());
            places.put(tenant.place, &mut out);
        }
        out
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, Damaged> {
        let too_many = Damaged("a block has more series than it can");
        let mut r = Reader::new(body);
        let mut root = Self::default();
        let (mut places, mut first) = (PlaceReader::default(), 0u32);
        for _ in 0..count(&mut r, 3)? {
            let (place, series) = (places.take(&mut r)?, r.uv32()?);
            root.groups.push(GroupPageEntry {
                place,
                first,
                series,
            });
            first = first.checked_add(series).ok_or(too_many)?;
        }
        let series_of_groups = first;
        root.columns = r.uv32()?;
        root.times = Places::take(&mut r)?.0;
        (places, first) = (PlaceReader::default(), 0);
        for _ in 0..count(&mut r, 4)? {
            let tenant = TenantId::new(r.str()?);
            let tenant = tenant.map_err(|_| Damaged("a tenant's name is none"))?;
            let series = r.uv32()?;
            root.tenants.push(TenantEntry {
                tenant,
                first,
                series,
                place: places.take(&mut r)?,
            });
            first = first.checked_add(series).ok_or(too_many)?;
        }
        at_end(&r)?;
        let sorted = root.tenants.is_sorted_by(|a, b| a.tenant < b.tenant);
        match sorted && first == series_of_groups {
            true => Ok(root),
            false => Err(Damaged("the tenants do not fit the groups of series")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: u64, len: u32) -> Place {
        Place { offset, len }
    }

    #[test]
    fn groups_are_found() {
        let page = |offset, oldest| PageEntry {
            place: place(offset, 10),
            oldest,
            newest: oldest + 99,
        };
        let groups = [
            Group {
                series: 32,
                pages: vec![page(64, 0), page(80, 100)],
            },
            Group {
                series: 3,
                pages: vec![page(7, i64::MIN)],
            },
            Group {
                series: 32,
                pages: vec![],
            },
        ];
        let parsed = GroupPage::parse(&put_groups(&groups)).unwrap();
        assert_eq!((parsed.series(), parsed.groups()), (67, 3));
        let find = |i, start, end| -> Vec<_> {
            let found = parsed.find(i, Range { start, end });
            found.map(|f| (f.place.offset, f.series, f.of)).collect()
        };
        assert_eq!(find(31, 0, 500), [(64, 31, 32), (80, 31, 32)]);
        assert_eq!(find(5, 199, 500), [(80, 5, 32)]);
        assert_eq!(find(34, i64::MIN, 0), [(7, 2, 3)]);
        assert_eq!(find(35, i64::MIN, i64::MAX), []);
        assert_eq!(find(67, i64::MIN, i64::MAX), []);
    }

    #[test]
    fn the_root_reads_back() {
        let root = Root {
            groups: vec![
                GroupPageEntry {
                    place: place(32, 9),
                    first: 0,
                    series: 40,
                },
                GroupPageEntry {
                    place: place(41, 9),
                    first: 40,
                    series: 2,
                },
            ],
            columns: 70,
            times: vec![place(50, 4)],
            tenants: vec![TenantEntry {
                tenant: TenantId::anonymous(),
                first: 0,
                series: 42,
                place: place(54, 3),
            }],
        };
        let body = root.put();
        assert_eq!(Root::parse(&body).unwrap(), root);
        for len in 0..body.len() {
            assert!(Root::parse(&body[..len]).is_err());
        }
    }
}
