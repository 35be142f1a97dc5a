//! From nodes to values, collecting mistakes.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use ferula_diag::{Diagnostic, Severity, Source, Span};

use super::{Kind, NodeId, Tree, Value, closest};
use crate::keys::{Key, Section, Status};

/// Findings kept of one file. Who has more has made the same mistake over and over.
const FINDINGS_MAX: usize = 200;

/// Bytes of a value shown in a message.
const SHOWN_BYTES_MAX: usize = 60;

/// A tree being decoded, and what was found wrong with it so far.
pub(crate) struct Cx<'t> {
    pub(crate) source: &'t Source,
    pub(crate) tree: &'t Tree,
    findings: Vec<Diagnostic>,
    /// Findings that were not kept.
    more: usize,
    /// Whether an error was found, kept or not.
    has_errors: bool,
}

/// What reading one value gives: nothing if it was refused, which is then reported already.
pub(crate) type Read<T> = Option<T>;

impl<'t> Cx<'t> {
    pub(crate) fn new(source: &'t Source, tree: &'t Tree) -> Self {
        Self {
            source,
            tree,
            findings: Vec::new(),
            more: 0,
            has_errors: false,
        }
    }

    /// Keeps a finding. One about a node that is reached by several ways is kept once.
    pub(crate) fn report(&mut self, finding: Diagnostic) {
        self.has_errors |= finding.severity == Severity::Error;
        if self.is_full() {
            self.more += 1;
        } else if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn is_full(&self) -> bool {
        self.findings.len() >= FINDINGS_MAX
    }

    /// What was found, in the order of the file.
    pub(crate) fn into_findings(mut self) -> Vec<Diagnostic> {
        self.findings.sort_by_key(|found| found.span.start);
        if self.more > 0 {
            let end = self.source.text.trim_end().len();
            let message = format!("and {} more", self.more);
            let more = Diagnostic::warning("W-config-more", Span::new(end, end), message);
            self.findings.push(more);
        }
        self.findings
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.has_errors
    }

    pub(crate) fn span(&self, id: NodeId) -> Span {
        self.tree.node(id).span
    }

    pub(crate) fn value(&self, id: NodeId) -> Option<Value> {
        Value::of(&self.tree.node(id).kind)
    }

    /// Whether the value was left out.
    pub(crate) fn is_null(&self, id: NodeId) -> bool {
        self.value(id) == Some(Value::Null)
    }

    /// Reports that the value is of another kind than wanted.
    fn mismatch<T>(&mut self, id: NodeId, wanted: &str) -> Read<T> {
        let node = self.tree.node(id);
        let found = match &node.kind {
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
            Kind::Scalar { text, .. } => format!("`{}`", shown(text)),
        };
        let span = match node.kind {
            Kind::Scalar { .. } => node.span,
            // All of it would be too much to underline.
            _ => self.first_line(node.span),
        };
        let message = format!("expected {wanted}, found {found}");
        self.report(Diagnostic::error("E-config-type", span, message));
        None
    }

    /// The part of a span on its first line.
    pub(crate) fn first_line(&self, span: Span) -> Span {
        let (start, end) = (span.start as usize, span.end as usize);
        let text = self.source.text.get(start..end).unwrap_or("");
        let line = text.lines().next().unwrap_or("").trim_end();
        Span::new(start, start + line.len().max(1))
    }

    /// Text: any scalar, as it is written.
    pub(crate) fn text(&mut self, id: NodeId) -> Read<&'t str> {
        match (&self.tree.node(id).kind, self.value(id)) {
            (_, Some(Value::Null)) => Some(""),
            (_, Some(Value::Binary)) => self.mismatch(id, "text, not `!!binary`"),
            (Kind::Scalar { text, .. }, _) => Some(text),
            _ => self.mismatch(id, "text"),
        }
    }

    /// A truth value; absent is false.
    pub(crate) fn bool(&mut self, id: NodeId) -> Read<bool> {
        match self.value(id) {
            Some(Value::Null) => Some(false),
            Some(Value::Bool(b)) => Some(b),
            _ => self.mismatch(id, "`true` or `false`"),
        }
    }

    /// A whole number from zero on; absent is zero.
    pub(crate) fn count(&mut self, id: NodeId) -> Read<u64> {
        let count = match self.value(id) {
            Some(Value::Null) => Some(0),
            Some(Value::Int(int)) => u64::try_from(int).ok(),
            // `1e6` is a whole number, too.
            Some(Value::Float(float)) if float.fract() == 0.0 => (0.0..u64::MAX as f64)
                .contains(&float)
                .then_some(float as u64),
            _ => None,
        };
        count.or_else(|| self.mismatch(id, "a whole number, zero or more"))
    }

    /// The items of a list; absent is empty.
    pub(crate) fn list(&mut self, id: NodeId) -> Read<&'t [NodeId]> {
        match &self.tree.node(id).kind {
            Kind::List(items) => Some(items),
            _ if self.is_null(id) => Some(&[]),
            _ => self.mismatch(id, "a list"),
        }
    }

    /// Whether the value is no list with something in it.
    pub(crate) fn list_is_empty(&self, id: NodeId) -> bool {
        !matches!(&self.tree.node(id).kind, Kind::List(items) if !items.is_empty())
    }

    /// A list of text.
    pub(crate) fn texts(&mut self, id: NodeId) -> Read<Vec<&'t str>> {
        let items = self.list(id)?;
        let read: Vec<_> = items.iter().filter_map(|item| self.text(*item)).collect();
        (read.len() == items.len()).then_some(read)
    }

    /// The pairs of a mapping, `<<` followed; absent is empty. As in the reference, and unlike in
    /// YAML's own words, what comes later wins, be it said or merged; of a list of merged
    /// mappings the first wins. A key given twice is reported.
    pub(crate) fn pairs(&mut self, id: NodeId) -> Read<Vec<Pair<'t>>> {
        let mut layers = Layers::default();
        match &self.tree.node(id).kind {
            Kind::Map(_) => self.lay(id, &mut layers),
            _ if self.is_null(id) => {}
            _ => return self.mismatch(id, "a mapping"),
        }
        Some(layers.pairs)
    }

    /// Lays the pairs of mapping `id` over those that are there. Merges cannot go round in
    /// circles, since a tree has none, and the tree's depth bounds how far they go.
    fn lay(&mut self, id: NodeId, layers: &mut Layers<'t>) {
        let tree = self.tree;
        let Kind::Map(children) = &tree.node(id).kind else {
            self.mismatch::<()>(id, "a mapping to merge");
            return;
        };
        // Only what stands in this very mapping can be there twice by mistake.
        let mut own = HashSet::new();
        for &(key, value) in children {
            if self.value(key) == Some(Value::Merge) {
                match &tree.node(value).kind {
                    Kind::List(items) => {
                        items.iter().rev().for_each(|item| self.lay(*item, layers));
                    }
                    _ => self.lay(value, layers),
                }
                continue;
            }
            let Some(name) = self.text(key) else { continue };
            if own.insert(name) {
                layers.set(Pair { name, key, value });
            } else {
                let span = self.span(key);
                let message = format!("key `{}` is there twice", shown(name));
                self.report(Diagnostic::error("E-config-duplicate-key", span, message));
            }
        }
    }

    /// The keys of a section. Those it does not know are reported, and those it does not serve
    /// where they would have to do something.
    pub(crate) fn fields(&mut self, id: NodeId, section: &'static Section) -> Read<Fields<'t>> {
        let pairs = self.pairs(id)?;
        for pair in &pairs {
            match section.key(pair.name) {
                None => self.unknown(pair, section),
                Some(key) => self.unserved(pair, key),
            }
        }
        Some(Fields { pairs })
    }

    fn unknown(&mut self, pair: &Pair<'_>, section: &Section) {
        let message = format!("unknown key `{}`", shown(pair.name));
        let mut found = Diagnostic::error("E-config-unknown-key", self.span(pair.key), message);
        if self.is_full() {
            // Comparing with every key costs most of the work.
        } else if let Some(meant) = closest(pair.name, section.keys.iter().map(|key| key.name)) {
            found = found.labelled(format!("did you mean `{meant}`?"));
        } else if section.name.is_empty() {
            found = found.labelled("not a key of a configuration file");
        } else {
            found = found.labelled(format!("not a key of {}", section.name));
        }
        self.report(found);
    }

    fn unserved(&mut self, pair: &Pair<'_>, key: &Key) {
        let name = pair.name;
        let span = self.span(pair.key);
        match key.status {
            Status::Supported => {}
            _ if self.is_hollow(pair.value, Place::Value) => {}
            Status::NoEffect(instead) => self.report(
                Diagnostic::warning(
                    "W-config-no-effect",
                    span,
                    format!("`{name}` has no effect"),
                )
                .note(instead),
            ),
            Status::Unserved(help) => self.report(
                Diagnostic::error(
                    "E-config-unserved",
                    span,
                    format!("`{name}` is not supported yet"),
                )
                .help(help),
            ),
        }
    }

    /// Whether a value asks for nothing: absent, empty, false, zero, or made of such.
    fn is_hollow(&self, id: NodeId, place: Place) -> bool {
        match &self.tree.node(id).kind {
            Kind::List(items) => items.iter().all(|i| self.is_hollow(*i, Place::Item)),
            Kind::Map(pairs) => pairs.iter().all(|(_, v)| self.is_hollow(*v, Place::Value)),
            Kind::Scalar { text, .. } => match self.value(id) {
                Some(Value::Null) => true,
                // An item of a list is asked for by being there.
                _ if place == Place::Item => false,
                Some(Value::Bool(b)) => !b,
                Some(Value::Int(n)) => n == 0,
                Some(Value::Float(n)) => n == 0.0,
                _ => matches!(&**text, "" | "0s"),
            },
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Item,
    Value,
}

/// A key of a mapping with its value.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'t> {
    pub(crate) name: &'t str,
    pub(crate) key: NodeId,
    pub(crate) value: NodeId,
}

/// The pairs of a mapping as it is put together.
#[derive(Default)]
struct Layers<'t> {
    pairs: Vec<Pair<'t>>,
    places: HashMap<&'t str, usize>,
}

impl<'t> Layers<'t> {
    fn set(&mut self, pair: Pair<'t>) {
        match self.places.entry(pair.name) {
            Entry::Occupied(place) => self.pairs[*place.get()] = pair,
            Entry::Vacant(place) => {
                place.insert(self.pairs.len());
                self.pairs.push(pair);
            }
        }
    }
}

/// The keys of a section that are there.
pub(crate) struct Fields<'t> {
    pairs: Vec<Pair<'t>>,
}

impl<'t> Fields<'t> {
    pub(crate) fn pair(&self, name: &str) -> Option<Pair<'t>> {
        self.pairs.iter().find(|pair| pair.name == name).copied()
    }

    /// Where the value of a key is, or the key itself if the value was left out.
    pub(crate) fn span(&self, cx: &Cx<'_>, name: &str) -> Option<Span> {
        let pair = self.pair(name)?;
        Some(match cx.is_null(pair.value) {
            true => cx.span(pair.key),
            false => cx.first_line(cx.span(pair.value)),
        })
    }

    /// Sets `to` to what `read` makes of the key's value; leaves it alone if the key is not
    /// there or its value is refused.
    pub(crate) fn read<T>(
        &self,
        cx: &mut Cx<'t>,
        name: &str,
        read: impl FnOnce(&mut Cx<'t>, NodeId) -> Read<T>,
        to: &mut T,
    ) {
        if let Some(value) = self.pair(name).and_then(|pair| read(cx, pair.value)) {
            *to = value;
        }
    }
}

/// A value for a message, cut if it is long.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    if text.len() <= SHOWN_BYTES_MAX && !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut end = SHOWN_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let dots = if end < text.len() { "…" } else { "" };
    Cow::Owned(format!("{}{dots}", text[..end].escape_debug()))
}
