//! The label sets of 1,024 series, name by name.
//!
//! ```text
//! page   := series uv | columns uv | columns
//! column := name uv | values - 1 uv | values x value uv | [series x place u8 or u16]
//! ```
//!
//! `name` is a name's number less that of the column before; `value` is 0 for series without the
//! label, otherwise one more than the value's number within its name, and written less the value
//! before. With one value all series have it; with up to 256, places are bytes.

use crate::Damaged;
use crate::block::cache::Page;
use crate::block::directory::{at_end, count};
use crate::bytes::{Reader, put_uv};

use super::SETS_OF_PAGE;

/// The label sets of some series, to be written.
#[derive(Default)]
pub(super) struct SetPacker {
    /// Per name the values, up to the last series that has one.
    columns: Vec<Vec<u32>>,
    series: usize,
}

impl SetPacker {
    pub(super) fn new(names: usize) -> Self {
        Self {
            columns: vec![Vec::new(); names],
            series: 0,
        }
    }

    /// Gives the next series: pairs of name and value, by number.
    pub(super) fn add(&mut self, labels: impl Iterator<Item = (u32, u32)>) {
        for (name, value) in labels {
            let column = &mut self.columns[name as usize];
            column.resize(self.series, 0);
            column.push(value + 1);
        }
        self.series += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        self.series == SETS_OF_PAGE
    }

    /// The body of a page.
    pub(super) fn finish(&mut self) -> Option<Vec<u8>> {
        let n = std::mem::take(&mut self.series);
        if n == 0 {
            return None;
        }
        let used = self.columns.iter().filter(|c| !c.is_empty()).count();
        let mut body = Vec::new();
        put_uv(&mut body, n as u64);
        put_uv(&mut body, used as u64);
        let mut before = 0;
        for (name, column) in self.columns.iter_mut().enumerate() {
            if !column.is_empty() {
                column.resize(n, 0);
                put_uv(&mut body, (name - before) as u64);
                before = name;
                put_column(column, &mut body);
                column.clear();
            }
        }
        Some(body)
    }
}

fn put_column(column: &[u32], body: &mut Vec<u8>) {
    let mut values = column.to_vec();
    values.sort_unstable();
    values.dedup();
    put_uv(body, values.len() as u64 - 1);
    let mut before = 0;
    for &value in &values {
        put_uv(body, (value - before).into());
        before = value;
    }
    let place = |value: &u32| values.partition_point(|other| other < value);
    match values.len() {
        1 => {}
        2..=256 => body.extend(column.iter().map(|value| place(value) as u8)),
        _ => body.extend(
            column
                .iter()
                .flat_map(|value| (place(value) as u16).to_le_bytes()),
        ),
    }
}

/// A page of label sets.
#[derive(Debug)]
pub(in crate::block) struct SetPage {
    body: Vec<u8>,
    series: usize,
    columns: Vec<Column>,
    values: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    name: u32,
    /// Its values.
    values: (u32, u32),
    /// Where in the body its places begin.
    places: u32,
}

impl SetPage {
    pub(in crate::block) fn parse(body: Vec<u8>) -> Result<Self, Damaged> {
        let mut r = Reader::new(&body);
        let series = r.uv()?;
        if series > SETS_OF_PAGE as u64 {
            return Err(Damaged("a page has more label sets than it can"));
        }
        let series = series as usize;
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        let (mut name, mut first) = (0u32, true);
        for _ in 0..count(&mut r, 3)? {
            let step = r.uv32()?;
            if step == 0 && !first {
                return Err(Damaged("a name has two columns"));
            }
            first = false;
            name = name
                .checked_add(step)
                .ok_or(Damaged("there is no such name"))?;
            let n = 1 + count(&mut r, 1)?;
            let from = values.len() as u32;
            let mut value = 0u32;
            for _ in 0..n {
                value = value
                    .checked_add(r.uv32()?)
                    .ok_or(Damaged("there is no such value"))?;
                values.push(value);
            }
            let places = (body.len() - r.left()) as u32;
            r.slice(series * place_len(n))?;
            columns.push(Column {
                name,
                values: (from, values.len() as u32),
                places,
            });
        }
        at_end(&r)?;
        Ok(Self {
            body,
            series,
            columns,
            values,
        })
    }

    /// How many columns there are.
    pub(in crate::block) fn columns(&self) -> usize {
        self.columns.len()
    }

    /// The name of a column.
    pub(in crate::block) fn name(&self, column: usize) -> u32 {
        self.columns[column].name
    }

    /// The column of a name.
    pub(in crate::block) fn find(&self, name: u32) -> Option<usize> {
        self.columns.binary_search_by_key(&name, |c| c.name).ok()
    }

    /// The value that series `i` has in a column, within its name; `None` if it has not the label.
    #[inline]
    pub(in crate::block) fn value(&self, column: usize, i: usize) -> Result<Option<u32>, Damaged> {
        let Column { values, places, .. } = self.columns[column];
        let values = &self.values[values.0 as usize..values.1 as usize];
        if i >= self.series {
            return Err(Damaged("there is no such series"));
        }
        let at = places as usize;
        let place = match place_len(values.len()) {
            0 => 0,
            1 => self.body[at + i].into(),
            _ => u16::from_le_bytes([self.body[at + 2 * i], self.body[at + 2 * i + 1]]).into(),
        };
        let value: Option<&u32> = values.get(place);
        Ok(value
            .ok_or(Damaged("there is no such value"))?
            .checked_sub(1))
    }
}

/// Bytes of a place among so many values.
fn place_len(values: usize) -> usize {
    match values {
        0 | 1 => 0,
        2..=256 => 1,
        _ => 2,
    }
}

impl Page for SetPage {
    fn heap(&self) -> usize {
        self.body.capacity()
            + self.columns.capacity() * size_of::<Column>()
            + self.values.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Sets = Vec<std::collections::BTreeMap<u32, u32>>;

    fn body(sets: &Sets) -> Vec<u8> {
        let mut packer = SetPacker::new(10);
        sets.iter()
            .for_each(|set| packer.add(set.iter().map(|(n, v)| (*n, *v))));
        packer.finish().unwrap()
    }

    #[test]
    fn golden_bytes() {
        let sets: Sets = vec![
            [(0, 7), (3, 1)].into(),
            [(0, 7)].into(),
            [(0, 7), (3, 0)].into(),
        ];
        let expected = [3, 2, 0, 0, 8, 3, 2, 0, 1, 1, 2, 0, 1];
        assert_eq!(body(&sets), expected);
    }

    proptest! {
        #[test]
        fn sets_read_back(sets in proptest::collection::vec(
            proptest::collection::btree_map(0..10u32, prop_oneof![0..3u32, 0..100_000u32], 0..4), 1..SETS_OF_PAGE)
        ) {
            let page = SetPage::parse(body(&sets)).unwrap();
            prop_assert_eq!(page.series, sets.len());
            for (i, set) in sets.iter().enumerate() {
                let labels = (0..page.columns()).filter_map(|c| Some((page.name(c), page.value(c, i).unwrap()?)));
                prop_assert!(labels.eq(set.iter().map(|(n, v)| (*n, *v))));
                for name in 0..10 {
                    let value = page.find(name).and_then(|c| page.value(c, i).unwrap());
                    prop_assert_eq!(value, set.get(&name).copied());
                }
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(page) = SetPage::parse(bytes) {
                for (c, i) in (0..page.columns()).flat_map(|c| (0..=page.series).map(move |i| (c, i))) {
                    let _ = page.value(c, i);
                }
            }
        }
    }
}
