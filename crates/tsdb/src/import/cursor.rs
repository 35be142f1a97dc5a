//! Sources of samples, series by series in order of labels.

use ferula_model::{Labels, Range};
use ferula_storage::Columns;

use crate::Damaged;
use crate::prometheus::{Block, Entry, Error, Gather, WalHead};

/// A source that is gone through once for each block that is written of it.
pub trait Cursor {
    /// What it is, for messages.
    fn name(&self) -> String;
    /// Starts at the first series again.
    fn rewind(&mut self);
    /// The next series.
    fn next(&mut self) -> Result<Option<Labels>, Error>;
    /// Appends the samples of a range of the series that was given last. Returns how many more
    /// there are that are deleted.
    fn samples(&mut self, range: Range, columns: &mut Columns) -> Result<u64, Error>;
    /// How many samples it says it has, deleted ones included, if it does.
    fn promised(&self) -> Option<u64> {
        None
    }
}

/// A block of Prometheus.
#[derive(Debug)]
pub struct PrometheusCursor {
    block: Block,
    entry: Option<Entry>,
}

impl PrometheusCursor {
    /// Goes through a block.
    pub fn new(block: Block) -> Self {
        Self { block, entry: None }
    }
}

impl Cursor for PrometheusCursor {
    fn name(&self) -> String {
        format!("block {}", self.block.meta().ulid)
    }

    fn rewind(&mut self) {
        self.block.rewind();
        self.entry = None;
    }

    fn next(&mut self) -> Result<Option<Labels>, Error> {
        self.entry = self.block.next_series()?;
        Ok(self.entry.as_ref().map(|entry| entry.labels.clone()))
    }

    fn samples(&mut self, range: Range, columns: &mut Columns) -> Result<u64, Error> {
        match &self.entry {
            Some(entry) => self.block.samples(entry, range, columns),
            None => Ok(0),
        }
    }

    fn promised(&self) -> Option<u64> {
        Some(self.block.meta().stats.num_samples)
    }
}

/// The head of a Prometheus that is not running.
#[derive(Debug)]
pub struct LogCursor {
    head: WalHead,
    order: Order,
}

impl LogCursor {
    /// Goes through a head.
    pub fn new(head: WalHead) -> Self {
        let order = Order::new(head.sorted());
        Self { head, order }
    }
}

impl Cursor for LogCursor {
    fn name(&self) -> String {
        "the write-ahead log".to_owned()
    }

    fn rewind(&mut self) {
        self.order.next = 0;
    }

    fn next(&mut self) -> Result<Option<Labels>, Error> {
        let number = self.order.advance();
        Ok(number.map(|number| self.head.labels(number).clone()))
    }

    fn samples(&mut self, range: Range, columns: &mut Columns) -> Result<u64, Error> {
        if let Some(number) = self.order.current() {
            let read = self.head.columns(number, range, columns);
            read.map_err(|damaged| kept_wrong(&self.name(), damaged))?;
        }
        Ok(0)
    }
}

/// Samples that were gathered from a text.
#[derive(Debug)]
pub struct GatherCursor {
    gather: Gather,
    order: Order,
}

impl GatherCursor {
    /// Goes through what was gathered.
    pub fn new(gather: Gather) -> Self {
        let order = Order::new(gather.sorted());
        Self { gather, order }
    }
}

impl Cursor for GatherCursor {
    fn name(&self) -> String {
        "the text".to_owned()
    }

    fn rewind(&mut self) {
        self.order.next = 0;
    }

    fn next(&mut self) -> Result<Option<Labels>, Error> {
        let number = self.order.advance();
        Ok(number.map(|number| self.gather.labels(number).clone()))
    }

    fn samples(&mut self, range: Range, columns: &mut Columns) -> Result<u64, Error> {
        if let Some(number) = self.order.current() {
            let read = self.gather.columns(number, range, columns);
            read.map_err(|damaged| kept_wrong(&self.name(), damaged))?;
        }
        Ok(0)
    }
}

/// Numbers of series in order of labels, and how far one has come.
#[derive(Debug)]
struct Order {
    numbers: Vec<u32>,
    next: usize,
}

impl Order {
    fn new(numbers: Vec<u32>) -> Self {
        Self { numbers, next: 0 }
    }

    fn advance(&mut self) -> Option<u32> {
        self.next += 1;
        self.current()
    }

    fn current(&self) -> Option<u32> {
        self.numbers.get(self.next.checked_sub(1)?).copied()
    }
}

fn kept_wrong(name: &str, Damaged(what): Damaged) -> Error {
    Error::damaged(name, 0, what)
}
