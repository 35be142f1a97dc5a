//! Text to a tree of spanned nodes, within bounds.

use std::collections::HashMap;

use ferula_diag::{Diagnostic, Source, Span};
use granit_parser::{Event, Parser, ScalarStyle, Tag};

/// Lists and mappings inside each other. Real files need about ten.
const DEPTH_MAX: usize = 64;

/// What a tree may hold once every alias is followed: text plus [`NODE_BYTES`] for each node.
/// A few aliases can stand for more than any machine has; a file as large as is read at all,
/// written without aliases, stays well below.
const EXPANDED_BYTES_MAX: usize = 1 << 29;

/// What a node counts for, whatever its text: about what it takes in memory.
const NODE_BYTES: usize = 64;

/// A node of a [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

/// A value with its place.
#[derive(Debug)]
pub(crate) struct Node {
    /// From its first byte to its last; empty for a value left out.
    pub(crate) span: Span,
    pub(crate) kind: Kind,
    /// Bytes it stands for, aliases followed.
    expanded: usize,
    /// Nodes from here to the deepest leaf.
    height: usize,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Kind {
    Scalar {
        text: Box<str>,
        /// Without quotes, so that `yes` and `15` mean more than text.
        plain: bool,
        tag: Option<Box<str>>,
    },
    List(Vec<NodeId>),
    /// Keys and values in the order of the file; a key may be there twice.
    Map(Vec<(NodeId, NodeId)>),
}

/// The first document of a text. Aliases are not copied: they lead to the node they name, so a
/// node can be reached by several ways, but never from itself.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// Absent where the text holds no document.
    pub(crate) root: Option<NodeId>,
    /// Where a second document starts, which is not read.
    pub(crate) second_document: Option<Span>,
}

impl Tree {
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Reads a text; the first mistake against YAML ends it.
    pub(crate) fn parse(source: &Source) -> Result<Self, Box<Diagnostic>> {
        let mut builder = Builder::default();
        let mut options = granit_parser::options! { emit_anchor_events: false };
        options.set_emit_comments(false);
        for event in Parser::new_from_str_with_options(&source.text, options) {
            let (event, span) = event.map_err(|e| {
                let at = e.marker().byte_offset().unwrap_or(source.text.len());
                syntax_error(source, at, e.info())
            })?;
            let span = match span.byte_range() {
                Some(range) => Span::new(range.start, range.end),
                None => Span::default(),
            };
            if builder.tree.second_document.is_some() {
                break;
            }
            builder.event(event, span).map_err(|why| {
                let found = Diagnostic::error("E-config-yaml", span, why.message);
                Box::new(found.note(why.note))
            })?;
        }
        Ok(builder.tree)
    }
}

/// A mistake against YAML at byte `at`; one that shows only at the end of the text is pointed
/// out on the last line with something on it.
fn syntax_error(source: &Source, at: usize, message: String) -> Box<Diagnostic> {
    let at = at.min(source.text.len());
    let before = source.text.get(..at).unwrap_or("");
    let at = match source.text.get(at..) {
        Some(rest) if !rest.trim_start().is_empty() => at,
        _ => before.trim_end().len(),
    };
    let width = source.text.get(at..).and_then(|s| s.chars().next());
    let span = Span::new(at, at + width.map_or(0, char::len_utf8));
    Box::new(Diagnostic::error("E-config-yaml", span, message))
}

/// Why a tree is refused that follows YAML's grammar.
struct Refusal {
    message: String,
    note: &'static str,
}

/// Puts events together, without recursion.
#[derive(Default)]
struct Builder {
    tree: Tree,
    open: Vec<Open>,
    anchors: HashMap<usize, NodeId>,
    expanded: usize,
    documents: usize,
}

/// A list or a mapping whose end has not come.
struct Open {
    span: Span,
    anchor: usize,
    children: Vec<NodeId>,
    is_map: bool,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Refusal> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents == 2 {
                    self.tree.second_document = Some(span);
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let kind = Kind::Scalar {
                    plain: style == ScalarStyle::Plain,
                    text: text.into(),
                    tag: tag.map(|tag| tag_text(&tag)),
                };
                self.leaf(kind, span, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.open(span, anchor, false),
            Event::MappingStart(_, anchor, _) => self.open(span, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor),
            _ => Ok(()),
        }
    }

    fn leaf(&mut self, kind: Kind, span: Span, anchor: usize) -> Result<(), Refusal> {
        let text = match &kind {
            Kind::Scalar { text, tag, .. } => text.len() + tag.as_ref().map_or(0, |t| t.len()),
            _ => 0,
        };
        let node = Node {
            span,
            kind,
            expanded: NODE_BYTES + text,
            height: 1,
        };
        self.expanded += node.expanded;
        let id = self.keep(node, anchor);
        self.place(id)
    }

    fn open(&mut self, span: Span, anchor: usize, is_map: bool) -> Result<(), Refusal> {
        if self.open.len() >= DEPTH_MAX {
            return Err(too_deep());
        }
        self.open.push(Open {
            span,
            anchor,
            children: Vec::new(),
            is_map,
        });
        Ok(())
    }

    /// `end` is the closing bracket, or empty where there is none.
    fn close(&mut self, end: Span) -> Result<(), Refusal> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let mut span = open.span;
        if end.start < end.end {
            span = span.to(end);
        }
        let mut expanded = NODE_BYTES;
        let mut height = 0;
        for &child in &open.children {
            let child = self.tree.node(child);
            // An alias leads elsewhere: only what follows the start belongs to the node.
            if child.span.start >= span.start {
                span.end = span.end.max(child.span.end);
            }
            expanded = expanded.saturating_add(child.expanded);
            height = height.max(child.height);
        }
        let kind = match open.is_map {
            true => Kind::Map(pairs(&open.children)),
            false => Kind::List(open.children),
        };
        self.expanded += NODE_BYTES;
        let node = Node {
            span,
            kind,
            expanded,
            height: height + 1,
        };
        let id = self.keep(node, open.anchor);
        self.place(id)
    }

    fn alias(&mut self, anchor: usize) -> Result<(), Refusal> {
        let Some(&id) = self.anchors.get(&anchor) else {
            return Err(Refusal {
                message: "this alias stands inside what it names".to_owned(),
                note: "following it would never end",
            });
        };
        let node = self.tree.node(id);
        if self.open.len() + node.height > DEPTH_MAX {
            return Err(too_deep());
        }
        self.expanded = self.expanded.saturating_add(node.expanded);
        self.place(id)
    }

    fn keep(&mut self, node: Node, anchor: usize) -> NodeId {
        let id = NodeId(self.tree.nodes.len() as u32);
        self.tree.nodes.push(node);
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        id
    }

    fn place(&mut self, id: NodeId) -> Result<(), Refusal> {
        if self.expanded > EXPANDED_BYTES_MAX {
            return Err(Refusal {
                message: "the file stands for too much once its aliases are followed".to_owned(),
                note: "it would take more than 512 MiB",
            });
        }
        match self.open.last_mut() {
            Some(open) => open.children.push(id),
            None => self.tree.root = Some(id),
        }
        Ok(())
    }
}

fn too_deep() -> Refusal {
    Refusal {
        message: "lists and mappings are nested too deep".to_owned(),
        note: "64 inside each other are allowed",
    }
}

fn pairs(children: &[NodeId]) -> Vec<(NodeId, NodeId)> {
    let (pairs, _) = children.as_chunks::<2>();
    pairs.iter().map(|[key, value]| (*key, *value)).collect()
}

/// `str` for `!!str`, `!name` for tags of one's own.
fn tag_text(tag: &Tag) -> Box<str> {
    match tag.suffix_in_namespace("tag:yaml.org,2002:") {
        Some(core) => core.into(),
        None => format!("!{}", tag.suffix()).into(),
    }
}
