//! Loading: labels on one thread, samples on the others.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ferula_model::{Timestamp, Value};
use ferula_objects::ObjectReader;
use parking_lot::Mutex;

use super::contents::{Contents, Kind, Section};
use super::dictionary::Filling;
use super::{Checkpoint, CheckpointError};
use crate::head::late::LateSeries;
use crate::head::series::Series;
use crate::head::{PAGE_SERIES, Totals};
use crate::log::Dictionary;
use crate::log::segment::Identity;
use crate::{Damaged, HeadWriter};

/// What a checkpoint brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The log is to be replayed behind this commit.
    pub commit: u64,
    /// Series with samples.
    pub series: u64,
    /// Samples.
    pub samples: u64,
}

impl Checkpoint {
    /// What a manifest should say of an object, going by its contents.
    pub fn of(object: &dyn ObjectReader) -> Result<Self, CheckpointError> {
        Ok(Contents::read(object)?.1)
    }
}

impl HeadWriter {
    /// Fills the empty head from a checkpoint; the floor has been raised to where it belongs.
    /// Then [`Self::replay`] what the log has behind the checkpoint's commit. After an error the
    /// head is of no use.
    pub fn load_checkpoint(
        &mut self,
        object: &dyn ObjectReader,
        expected: &Checkpoint,
        identity: Identity,
    ) -> Result<Loaded, CheckpointError> {
        let (contents, found) = Contents::read(object)?;
        let what = if found != *expected {
            "its length or its contents"
        } else if contents.identity != identity {
            "it belongs to another data directory or shard"
        } else {
            ""
        };
        if !what.is_empty() {
            return Err(CheckpointError::Foreign { what });
        }
        let head = self.head.clone();
        let floor = head.floor();
        let pages = Pages::of(&contents)?;
        let filled = {
            let help = || pages.load(object, floor);
            let mut index = head.index.write();
            index.generation = contents.dictionary.generation;
            let work = || {
                let mut filling = Filling::new(&mut index, contents.dictionary);
                let filled = fill(&mut filling, &contents, object);
                if filled.is_err() {
                    pages.stop.store(true, Ordering::Relaxed);
                }
                pages.load(object, floor);
                filled.and_then(|()| Ok(filling.finish()?))
            };
            let helpers = ferula_env::spawn::cores().min(pages.sections.len());
            ferula_env::spawn::beside(helpers.saturating_sub(1), help, work)
        };
        filled?;
        let (pages, totals) = pages.finish()?;
        let late = load_late(&contents, object, floor)?;
        let mut data = head.data.write();
        data.fill(pages, &totals);
        let mut samples = totals.samples;
        for (sid, timestamp, value) in late {
            samples += u64::from(data.insert_late(sid, timestamp, &value));
        }
        drop(data);
        self.logged = contents.dictionary;
        self.loaded = true;
        Ok(Loaded {
            commit: contents.commit,
            series: totals.series,
            samples,
        })
    }
}

fn fill(
    filling: &mut Filling<'_>,
    contents: &Contents,
    object: &dyn ObjectReader,
) -> Result<(), CheckpointError> {
    let mut buffer = Vec::new();
    let is_dictionary = |s: &&Section| !matches!(s.kind, Kind::Samples | Kind::Late);
    for section in contents.sections.iter().filter(is_dictionary) {
        filling.section(section.kind, &mut section.read(object, &mut buffer)?)?;
    }
    Ok(())
}

/// The samples out of order that are not below the floor.
fn load_late(
    contents: &Contents,
    object: &dyn ObjectReader,
    floor: Timestamp,
) -> Result<Vec<(u32, Timestamp, Value)>, CheckpointError> {
    let mut buffer = Vec::new();
    let mut late = Vec::new();
    for section in contents.sections.iter().filter(|s| s.kind == Kind::Late) {
        let mut r = section.read(object, &mut buffer)?;
        while !r.is_empty() {
            let (sid, samples) = LateSeries::take_image(&mut r)?;
            if sid >= contents.dictionary.series {
                return Err(Damaged("samples of a series that is not there").into());
            }
            let above = samples.into_iter().filter(|(t, _)| *t >= floor);
            late.extend(above.map(|(t, value)| (sid, t, value)));
        }
    }
    Ok(late)
}

/// Pages of series, loaded by several threads.
struct Pages<'a> {
    dictionary: Dictionary,
    sections: Vec<&'a Section>,
    /// The next one to be loaded.
    next: AtomicUsize,
    stop: AtomicBool,
    loaded: Mutex<Vec<Option<Vec<Series>>>>,
    totals: Mutex<Totals>,
    failed: Mutex<Option<CheckpointError>>,
}

impl<'a> Pages<'a> {
    fn of(contents: &'a Contents) -> Result<Self, Damaged> {
        let dictionary = contents.dictionary;
        let sections = contents.sections.iter();
        let sections: Vec<_> = sections.filter(|s| s.kind == Kind::Samples).collect();
        if sections.len() != (dictionary.series as usize).div_ceil(PAGE_SERIES) {
            return Err(Damaged("it has not as many sections as its series take"));
        }
        let loaded = sections.iter().map(|_| None).collect();
        Ok(Self {
            dictionary,
            sections,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            loaded: Mutex::new(loaded),
            totals: Mutex::default(),
            failed: Mutex::default(),
        })
    }

    /// Loads pages until none is left.
    fn load(&self, object: &dyn ObjectReader, floor: Timestamp) {
        let mut buffer = Vec::new();
        let mut totals = Totals::default();
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(section) = self.sections.get(number) else {
                break;
            };
            let read = section.read(object, &mut buffer);
            let page = read.and_then(|mut r| {
                let page = self.page(number, &mut r, floor, &mut totals)?;
                match r.is_empty() {
                    true => Ok(page),
                    false => Err(Damaged("a section is longer than its series").into()),
                }
            });
            match page {
                Ok(page) => self.loaded.lock()[number] = Some(page),
                Err(error) => {
                    *self.failed.lock() = Some(error);
                    self.stop.store(true, Ordering::Relaxed);
                }
            }
        }
        self.totals.lock().add(&totals);
    }

    fn page(
        &self,
        number: usize,
        r: &mut crate::bytes::Reader<'_>,
        floor: Timestamp,
        totals: &mut Totals,
    ) -> Result<Vec<Series>, Damaged> {
        let count = (self.dictionary.series as usize - number * PAGE_SERIES).min(PAGE_SERIES);
        if r.left() < count {
            return Err(Damaged("a section is shorter than its series"));
        }
        // A lone page grows, so that a small head stays small.
        let capacity = if self.sections.len() == 1 {
            count
        } else {
            PAGE_SERIES
        };
        let mut page = Vec::with_capacity(capacity);
        for _ in 0..count {
            page.push(Series::take_image(r, floor, totals)?);
        }
        Ok(page)
    }

    fn finish(self) -> Result<(Vec<Vec<Series>>, Totals), CheckpointError> {
        if let Some(error) = self.failed.into_inner() {
            return Err(error);
        }
        let pages: Option<Vec<_>> = self.loaded.into_inner().into_iter().collect();
        let pages = pages.ok_or(Damaged("a page is missing"))?;
        Ok((pages, self.totals.into_inner()))
    }
}
