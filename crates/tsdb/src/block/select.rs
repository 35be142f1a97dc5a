//! From matchers to ordinals.
//!
//! Series are kept as runs of neighbours, numbered within the tenant. Equalities come first, the
//! rarest pair before the others. Which values pass another matcher is found out with as few
//! tests as its form allows: none for a list of words, for anything and for nonempty; those of a
//! prefix; or, where few series are left, theirs alone.

use std::collections::HashMap;

use ferula_model::{MatchOp, Matcher, Range, TenantId};

use super::cache::Kind;
use super::directory::TenantEntry;
use super::files::Of;
use super::index::PostingsPage;
use super::index::runs::{self, Run};
use super::labels::TenantReader;
use super::{Block, BlockError, overlaps};

/// Reading a candidate's value costs about as much as testing so many values in a row.
const TESTS_PER_READ: usize = 4;

/// Which values of a name count.
enum Wanted {
    All,
    /// By their numbers, sorted.
    Some(Vec<u32>),
}

impl Block {
    /// The series of a tenant for which all matchers hold, in order. Some may have no sample in
    /// the range.
    pub fn select(
        &self,
        tenant: &TenantId,
        matchers: &[Matcher],
        range: Range,
    ) -> Result<Vec<u32>, BlockError> {
        let (oldest, newest) = self.meta().times;
        let Some(entry) = self
            .find_tenant(tenant)
            .filter(|_| overlaps(range, oldest, newest))
        else {
            return Ok(Vec::new());
        };
        let found = Selection::new(self, entry)?.matching(matchers)?;
        Ok(runs::numbers(&found).map(|n| entry.first + n).collect())
    }
}

struct Selection<'a> {
    block: &'a Block,
    reader: TenantReader<'a>,
    /// What is left of the tenant's series; `None` is all.
    left: Option<Vec<Run>>,
}

impl<'a> Selection<'a> {
    fn new(block: &'a Block, entry: &'a TenantEntry) -> Result<Self, BlockError> {
        Ok(Self {
            block,
            reader: TenantReader::new(block, entry)?,
            left: None,
        })
    }

    fn series(&self) -> u32 {
        self.reader.entry.series
    }

    fn matching(mut self, matchers: &[Matcher]) -> Result<Vec<Run>, BlockError> {
        let is_equal = |m: &&Matcher| m.op() == MatchOp::Equal && !m.value().is_empty();
        let mut equal = Vec::new();
        for matcher in matchers.iter().filter(is_equal) {
            let Some(pair) = self.find_pair(matcher.name(), matcher.value())? else {
                return Ok(Vec::new());
            };
            equal.push((self.listed(pair)?, pair));
        }
        equal.sort_unstable();
        for (_, pair) in equal {
            let list = self.union(&[pair])?;
            self.narrow(list, true);
        }
        for matcher in matchers.iter().filter(|m| !is_equal(m)) {
            if self.left.as_ref().is_none_or(|left| !left.is_empty()) {
                self.apply(matcher)?;
            }
        }
        let all = vec![(0, self.series())];
        Ok(self.left.unwrap_or(all))
    }

    /// Applies a matcher that is not a plain equality. One that a missing label passes takes away
    /// the series whose value fails; any other keeps those whose value passes.
    fn apply(&mut self, matcher: &Matcher) -> Result<(), BlockError> {
        let keeps = !matcher.matches_empty();
        let Some(name) = self.reader.index.name(matcher.name()) else {
            if keeps {
                self.left = Some(Vec::new());
            }
            return Ok(());
        };
        let values = self.reader.index.names[name as usize].values as usize;
        let wanted = match self.known(name, matcher, keeps)? {
            Some(wanted) => wanted,
            None => {
                let few = self.left.as_ref().map(|left| runs::len(left));
                if few.is_some_and(|few| few * TESTS_PER_READ < values) {
                    return self.test_series(name, matcher);
                }
                Wanted::Some(self.test_values(name, matcher, keeps)?)
            }
        };
        match wanted {
            Wanted::All => {
                let list = self.reader.index.pairs() + name;
                let having = self.union(&[list])?;
                self.narrow(having, keeps);
            }
            Wanted::Some(wanted) => self.narrow_to(name, &wanted, keeps)?,
        }
        Ok(())
    }

    /// The values that pass (of a matcher that keeps) or fail, if that is known without a test.
    fn known(
        &mut self,
        name: u32,
        matcher: &Matcher,
        keeps: bool,
    ) -> Result<Option<Wanted>, BlockError> {
        let none = || Some(Wanted::Some(Vec::new()));
        let regex = match (matcher.op(), matcher.regex()) {
            (MatchOp::Regex | MatchOp::NotRegex, Some(regex)) => regex,
            // `=""`, `!=""` and `!="x"`: whoever has the label, or the one value.
            _ if matcher.value().is_empty() => return Ok(Some(Wanted::All)),
            _ => {
                let value = self.find_value(name, matcher.value())?;
                return Ok(Some(Wanted::Some(value.into_iter().collect())));
            }
        };
        let matching = wants_matching(matcher, keeps);
        if regex.is_anything() || regex.is_nonempty() {
            // A value is never empty.
            return Ok(if matching { Some(Wanted::All) } else { none() });
        }
        let Some(words) = regex.set_matches().filter(|_| matching) else {
            return Ok(None);
        };
        let mut values = Vec::new();
        for word in words {
            values.extend(self.find_value(name, word)?);
        }
        values.sort_unstable();
        values.dedup();
        Ok(Some(Wanted::Some(values)))
    }

    /// Tests the values that may be wanted.
    fn test_values(
        &mut self,
        name: u32,
        matcher: &Matcher,
        keeps: bool,
    ) -> Result<Vec<u32>, BlockError> {
        let prefix = matcher.regex().map_or("", |regex| regex.prefix());
        let prefix = if wants_matching(matcher, keeps) {
            prefix
        } else {
            ""
        };
        let values = self.reader.index.names[name as usize].values;
        let from = match prefix {
            "" => 0,
            prefix => self.partition(name, |value| value < prefix)?,
        };
        let mut wanted = Vec::new();
        for value in from..values {
            let text = self.reader.text(name, value)?;
            if !text.starts_with(prefix) {
                break;
            }
            if matcher.matches(text) == keeps {
                wanted.push(value);
            }
        }
        Ok(wanted)
    }

    /// Keeps the candidates whose value passes, testing each value once.
    fn test_series(&mut self, name: u32, matcher: &Matcher) -> Result<(), BlockError> {
        let mut tested: HashMap<Option<u32>, bool> = HashMap::new();
        tested.insert(None, matcher.matches_empty());
        let first = self.reader.entry.first;
        let candidates = self.left.take().unwrap_or_default();
        let mut kept = Vec::new();
        for series in runs::numbers(&candidates) {
            let value = self.reader.value(first + series, name)?;
            let passes = match (tested.get(&value), value) {
                (Some(&passes), _) => passes,
                (None, value) => {
                    let text = self.reader.text(name, value.unwrap_or_default())?;
                    let passes = matcher.matches(text);
                    tested.insert(value, passes);
                    passes
                }
            };
            if passes {
                kept.push(series);
            }
        }
        self.left = Some(runs::of_numbers(kept));
        Ok(())
    }

    /// Keeps the candidates that have one of these values, or none of them.
    fn narrow_to(&mut self, name: u32, values: &[u32], keeps: bool) -> Result<(), BlockError> {
        let few = self.left.as_ref().map(|left| runs::len(left));
        if let Some(few) = few
            && few * TESTS_PER_READ < values.len()
        {
            let first = self.reader.entry.first;
            let mut kept = Vec::new();
            for series in runs::numbers(&self.left.take().unwrap_or_default()) {
                let value = self.reader.value(first + series, name)?;
                let listed = value.is_some_and(|v| values.binary_search(&v).is_ok());
                if listed == keeps {
                    kept.push(series);
                }
            }
            self.left = Some(runs::of_numbers(kept));
            return Ok(());
        }
        let of_name = self.reader.index.names[name as usize].first;
        let all = self.reader.index.names[name as usize].values;
        if values.len() <= all as usize / 2 {
            let pairs: Vec<u32> = values.iter().map(|value| of_name + value).collect();
            let list = self.union(&pairs)?;
            self.narrow(list, keeps);
            return Ok(());
        }
        // The others are fewer: those that have the label, but for them.
        let mut listed = values.iter().copied().peekable();
        let others = (0..all).filter(|value| listed.next_if_eq(value).is_none());
        let others: Vec<u32> = others.map(|value| of_name + value).collect();
        let having = self.union(&[self.reader.index.pairs() + name])?;
        let others = runs::complement(&self.union(&others)?, self.series());
        self.narrow(runs::intersection(&having, &others), keeps);
        Ok(())
    }

    /// Keeps what is in `list`, or what is not.
    fn narrow(&mut self, list: Vec<Run>, inside: bool) {
        let list = match inside {
            true => list,
            false => runs::complement(&list, self.series()),
        };
        self.left = Some(match &self.left {
            Some(left) => runs::intersection(left, &list),
            None => list,
        });
    }

    /// The series of several lists, given in order.
    fn union(&self, lists: &[u32]) -> Result<Vec<Run>, BlockError> {
        let mut all = Vec::new();
        let mut known = None;
        for &list in lists {
            let (first, page) = match known.take() {
                Some((first, end, page)) if list < end => (first, page),
                _ => self.postings(list)?,
            };
            let appended = page.list(list - first, self.series(), &mut all);
            appended.map_err(|what| self.reader.damaged(what.0))?;
            known = Some((first, first + page.lists(), page));
        }
        if lists.len() > 1 {
            runs::normalise(&mut all, self.series());
        }
        Ok(all)
    }

    /// How many series a list has.
    fn listed(&self, list: u32) -> Result<u32, BlockError> {
        let (first, page) = self.postings(list)?;
        let series = page.series(list - first);
        series.map_err(|what| self.reader.damaged(what.0))
    }

    /// The page with a list, and its first list.
    fn postings(&self, list: u32) -> Result<(u32, std::sync::Arc<PostingsPage>), BlockError> {
        let entry = self.reader.index.postings_of(list);
        let missing = || self.reader.damaged("there is no such list");
        let (first, place) = entry.map(|e| (e.first, e.place)).ok_or_else(missing)?;
        let files = &self.block.files;
        let page = files.page(Kind::Postings, Of::Index, place, PostingsPage::parse)?;
        Ok((first, page))
    }

    fn find_pair(&mut self, name: &str, value: &str) -> Result<Option<u32>, BlockError> {
        let Some(name) = self.reader.index.name(name) else {
            return Ok(None);
        };
        let first = self.reader.index.names[name as usize].first;
        Ok(self.find_value(name, value)?.map(|value| first + value))
    }

    /// The number of a value within its name.
    fn find_value(&mut self, name: u32, value: &str) -> Result<Option<u32>, BlockError> {
        let at = self.partition(name, |other| other < value)?;
        if at == self.reader.index.names[name as usize].values {
            return Ok(None);
        }
        let found = self.reader.text(name, at)? == value;
        Ok(found.then_some(at))
    }

    /// How many values of a name come before the others; those do for which `before` holds.
    fn partition(&mut self, name: u32, before: impl Fn(&str) -> bool) -> Result<u32, BlockError> {
        let index = self.reader.index.clone();
        let entry = &index.names[name as usize];
        let (first, end) = (entry.first, entry.first + entry.values);
        // Pages that begin within the name tell where to look.
        let pages = &index.strings;
        let from = pages.partition_point(|page| page.first <= first);
        let to = pages.partition_point(|page| page.first < end);
        let inside = &pages[from..to.max(from)];
        let i = inside.partition_point(|page| before(&page.value));
        let mut low = match i.checked_sub(1) {
            Some(i) => inside[i].first - first + 1,
            None => 0,
        };
        let mut high = inside.get(i).map_or(end, |page| page.first) - first;
        while low < high {
            let middle = low + (high - low) / 2;
            match before(self.reader.text(name, middle)?) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Ok(low)
    }
}

/// Whether the values that count are those that the pattern matches, rather than the others.
fn wants_matching(matcher: &Matcher, keeps: bool) -> bool {
    (matcher.op() == MatchOp::Regex) == keeps
}
