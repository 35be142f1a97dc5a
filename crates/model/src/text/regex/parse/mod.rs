//! Reads Go's syntax.
//!
//! One pass from left to right with an explicit stack of open groups, so that no pattern can
//! exhaust the thread's stack. What is built is bounded as it grows: groups in groups, copies
//! made by repetitions, and ranges in character classes.

mod escape;

use regex_syntax::hir::{Capture, Class, ClassUnicode, Hir, Look, Repetition};

use super::class::{self, CODE_MAX, CodeRange};
use super::{Error, Problem};

/// How deep groups and repetitions may nest. The compiler that follows recurses once per level;
/// 200 levels need less than a quarter of a thread's 2 MiB. (Go allows 1,000.)
const NESTING_MAX: u32 = 200;

/// How often a thing may be repeated by counts, those of the groups around it multiplied; as
/// in Go.
const REPEAT_MAX: u32 = 1_000;

/// What a pattern may consist of: a range of a character class counts one, an element 4, an
/// alternative 2. An element takes about 300 bytes, so that a pattern stays below 160 MiB.
const PARTS_MAX: usize = 1 << 21;
const ELEMENT_PARTS: usize = 4;
const ALTERNATIVE_PARTS: usize = 2;

/// What a table of Unicode counts at least: looking one up takes time, too.
const TABLE_PARTS: usize = 64;

/// How many characters whose case is looked up count one, for the same reason.
const FOLDS_PER_PART: usize = 4;

/// A pattern that has been read.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) hir: Hir,
    /// The names of groups, with their numbers, in order of number. Two may have one name.
    pub(super) names: Vec<(Box<str>, usize)>,
    /// How many groups there are, the whole match among them.
    pub(super) groups: usize,
    /// An upper bound for the states of the compiled form.
    pub(super) states: u64,
}

/// Reads a pattern; `.` matches newline, `^` and `$` match at the ends only, unless the pattern
/// sets other flags.
pub(super) fn parse(pattern: &str) -> Result<Parsed, Error> {
    let mut parser = Parser {
        pattern,
        at: 0,
        flags: Flags {
            fold: false,
            lines: false,
            dot_newline: true,
            lazy: false,
        },
        open: vec![Group::new(None, Flags::default())],
        names: Vec::new(),
        groups: 1,
        parts: 0,
        no_posix_end: false,
        repeated_at: None,
    };
    while parser.at < pattern.len() {
        let repeated_at = parser.repeated_at.take();
        parser.token(repeated_at)?;
    }
    parser.finish()
}

#[derive(Clone, Copy, Default)]
struct Flags {
    /// `i`: upper and lower case are the same.
    fold: bool,
    /// `m`: `^` and `$` match at lines, too.
    lines: bool,
    /// `s`: `.` matches newline.
    dot_newline: bool,
    /// `U`: repetitions take as little as they can, with `?` as much.
    lazy: bool,
}

/// A part of the pattern that has been read.
struct Node {
    hir: Hir,
    /// How deep it is.
    height: u32,
    /// How often something in it is repeated at most.
    repeats: u32,
    /// An upper bound for the states of its compiled form.
    states: u64,
}

impl Node {
    fn leaf(hir: Hir, states: u64) -> Self {
        Self {
            hir,
            height: 1,
            repeats: 1,
            states,
        }
    }

    /// One node of several, side by side.
    fn of(nodes: Vec<Self>, make: impl FnOnce(Vec<Hir>) -> Hir) -> Self {
        let deeper = u32::from(nodes.len() > 1);
        Self {
            height: nodes.iter().map(|n| n.height).max().unwrap_or(0) + deeper,
            repeats: nodes.iter().map(|n| n.repeats).max().unwrap_or(1),
            states: nodes.iter().fold(2, |sum, n| n.states.saturating_add(sum)),
            hir: make(nodes.into_iter().map(|n| n.hir).collect()),
        }
    }
}

/// An element of a sequence. Text is kept as such as long as nothing repeats its end.
enum Item {
    Text(String),
    Node(Node),
}

/// A group that is not closed yet; the outermost one is the pattern.
struct Group {
    /// Its number and whether it captures at all.
    index: Option<u32>,
    /// The flags around it.
    flags: Flags,
    alternatives: Vec<Node>,
    sequence: Vec<Item>,
}

impl Group {
    fn new(index: Option<u32>, flags: Flags) -> Self {
        Self {
            index,
            flags,
            alternatives: Vec::new(),
            sequence: Vec::new(),
        }
    }

    /// Ends an alternative.
    fn bar(&mut self) {
        let nodes = std::mem::take(&mut self.sequence)
            .into_iter()
            .map(|item| match item {
                Item::Text(text) => {
                    let states = text.len() as u64;
                    Node::leaf(Hir::literal(text.into_bytes()), states)
                }
                Item::Node(node) => node,
            });
        self.alternatives
            .push(Node::of(nodes.collect(), Hir::concat));
    }

    fn close(mut self) -> Node {
        self.bar();
        let mut node = Node::of(self.alternatives, Hir::alternation);
        if let Some(index) = self.index {
            node.height += 1;
            node.states = node.states.saturating_add(2);
            node.hir = Hir::capture(Capture {
                index,
                // Names are kept aside: a pattern may use one twice.
                name: None,
                sub: Box::new(node.hir),
            });
        }
        node
    }
}

struct Parser<'p> {
    pattern: &'p str,
    /// The next byte to read; always at the start of a character.
    at: usize,
    flags: Flags,
    open: Vec<Group>,
    names: Vec<(Box<str>, usize)>,
    groups: usize,
    /// How much has been read, as [`PARTS_MAX`] counts.
    parts: usize,
    /// Whether no `:]` follows, so that a `[:` need not look for it.
    no_posix_end: bool,
    /// Where the repetition just read starts, if one was.
    repeated_at: Option<usize>,
}

impl<'p> Parser<'p> {
    fn rest(&self) -> &'p str {
        &self.pattern[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.pattern.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Steps over `text` if it comes next.
    fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// An error about what was read since `start`.
    fn error(&self, problem: Problem, start: usize) -> Error {
        Error::new(problem, &self.pattern[start..self.at])
    }

    fn group(&mut self) -> &mut Group {
        self.open
            .last_mut()
            .expect("the pattern itself is never closed")
    }

    fn push(&mut self, node: Node) {
        self.group().sequence.push(Item::Node(node));
    }

    fn push_look(&mut self, look: Look) {
        self.push(Node::leaf(Hir::look(look), 1));
    }

    fn push_class(&mut self, class: ClassUnicode) {
        // A range of characters is at most a few sequences of up to four bytes.
        let states = 32 + 16 * class.ranges().len() as u64;
        let hir = Hir::class(Class::Unicode(class));
        self.push(Node::leaf(hir, states));
    }

    fn push_char(&mut self, c: char) {
        if self.flags.fold
            && let Some(class) = class::fold_char(c)
        {
            return self.push_class(class);
        }
        let sequence = &mut self.group().sequence;
        if let Some(Item::Text(text)) = sequence.last_mut() {
            text.push(c);
        } else {
            sequence.push(Item::Text(c.into()));
        }
    }

    /// A literal that may be a surrogate, which no text has.
    fn push_code(&mut self, code: u32) {
        match char::from_u32(code) {
            Some(c) => self.push_char(c),
            None => self.push(Node::leaf(Hir::fail(), 1)),
        }
    }

    /// Whether a character comes next that only makes the text before it longer.
    fn continues_text(&self) -> bool {
        let special = |b| b"()[]{}|*+?.^$\\".contains(&b);
        !self.flags.fold && self.peek().is_some_and(|b| !special(b))
    }

    /// Reads one element or operator.
    fn token(&mut self, repeated_at: Option<usize>) -> Result<(), Error> {
        let start = self.at;
        if !self.continues_text() {
            self.charge(ELEMENT_PARTS)?;
        }
        match self.peek() {
            Some(b'(') if self.rest().starts_with("(?") => self.group_with_flags()?,
            Some(b'(') => {
                self.at += 1;
                self.open_group(None)?;
            }
            Some(b'|') => {
                self.at += 1;
                self.charge(ALTERNATIVE_PARTS)?;
                self.group().bar();
            }
            Some(b')') => {
                self.at += 1;
                self.close_group()?;
            }
            Some(b'^') => {
                self.at += 1;
                let lines = self.flags.lines;
                self.push_look(if lines { Look::StartLF } else { Look::Start });
            }
            Some(b'$') => {
                self.at += 1;
                let lines = self.flags.lines;
                self.push_look(if lines { Look::EndLF } else { Look::End });
            }
            Some(b'.') => {
                self.at += 1;
                self.dot();
            }
            Some(b'[') => {
                let class = self.bracket()?;
                self.push_class(class);
            }
            Some(b'*') => {
                self.at += 1;
                self.repeat(0, None, start, repeated_at)?;
            }
            Some(b'+') => {
                self.at += 1;
                self.repeat(1, None, start, repeated_at)?;
            }
            Some(b'?') => {
                self.at += 1;
                self.repeat(0, Some(1), start, repeated_at)?;
            }
            Some(b'{') => self.counted(repeated_at)?,
            Some(b'\\') => self.backslash()?,
            _ => {
                if let Some(c) = self.next() {
                    self.push_char(c);
                }
            }
        }
        Ok(())
    }

    fn dot(&mut self) {
        let ranges: &[CodeRange] = match self.flags.dot_newline {
            true => &[(0, CODE_MAX)],
            false => &[(0, 9), (11, CODE_MAX)],
        };
        self.push_class(class::set(ranges));
    }

    /// Counts what has been read.
    fn charge(&mut self, parts: usize) -> Result<(), Error> {
        self.parts += parts;
        match self.parts <= PARTS_MAX {
            true => Ok(()),
            false => Err(Error::new(Problem::Large, self.pattern)),
        }
    }

    fn check_height(&self, height: u32) -> Result<(), Error> {
        match height <= NESTING_MAX {
            true => Ok(()),
            false => Err(Error::new(Problem::Nesting, self.pattern)),
        }
    }

    /// Opens a group that captures.
    fn open_group(&mut self, name: Option<&str>) -> Result<(), Error> {
        let index = self.groups;
        self.groups += 1;
        if let Some(name) = name {
            self.names.push((name.into(), index));
        }
        let index = u32::try_from(index).map_err(|_| Error::new(Problem::Large, self.pattern))?;
        self.open.push(Group::new(Some(index), self.flags));
        self.check_height(self.open.len() as u32)
    }

    fn close_group(&mut self) -> Result<(), Error> {
        if self.open.len() < 2 {
            return Err(Error::new(Problem::UnexpectedParen, self.pattern));
        }
        if let Some(group) = self.open.pop() {
            self.flags = group.flags;
            let node = group.close();
            self.check_height(node.height)?;
            self.push(node);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Parsed, Error> {
        let outermost = self.open.pop();
        let (Some(group), true) = (outermost, self.open.is_empty()) else {
            return Err(Error::new(Problem::MissingParen, self.pattern));
        };
        let node = group.close();
        self.check_height(node.height)?;
        Ok(Parsed {
            hir: node.hir,
            names: self.names,
            groups: self.groups,
            states: node.states,
        })
    }

    /// Reads `(?P<name>`, `(?<name>`, `(?flags)` or `(?flags:`.
    fn group_with_flags(&mut self) -> Result<(), Error> {
        let start = self.at;
        let rest = self.rest();
        let named = rest.starts_with("(?P<") && rest.len() > 4;
        let named = named
            .then_some(4)
            .or_else(|| (rest.starts_with("(?<") && rest.len() > 3).then_some(3));
        if let Some(skip) = named {
            let Some(end) = rest.find('>') else {
                return Err(Error::new(Problem::NamedCapture, rest));
            };
            self.at += end + 1;
            let name = &rest[skip..end];
            let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(good) {
                return Err(self.error(Problem::NamedCapture, start));
            }
            return self.open_group(Some(name));
        }
        self.at += 2;
        let mut flags = self.flags;
        let mut on = true;
        let mut any = false;
        while let Some(c) = self.next() {
            match c {
                'i' => flags.fold = on,
                'm' => flags.lines = on,
                's' => flags.dot_newline = on,
                'U' => flags.lazy = on,
                '-' if on => {
                    on = false;
                    any = false;
                    continue;
                }
                ':' | ')' if on || any => {
                    if c == ':' {
                        self.open.push(Group::new(None, self.flags));
                        self.check_height(self.open.len() as u32)?;
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => break,
            }
            any = true;
        }
        Err(self.error(Problem::PerlOperator, start))
    }

    /// Repeats what was read last. `start` is where the operator starts.
    fn repeat(
        &mut self,
        min: u32,
        max: Option<u32>,
        start: usize,
        repeated_at: Option<usize>,
    ) -> Result<(), Error> {
        let lazy = self.take("?");
        if let Some(before) = repeated_at {
            return Err(self.error(Problem::NestedRepetition, before));
        }
        let Some(node) = self.pop_last() else {
            return Err(self.error(Problem::MissingArgument, start));
        };
        self.check_height(node.height + 1)?;
        let copies = max.unwrap_or(min).max(1);
        let node = Node {
            height: node.height + 1,
            repeats: node.repeats,
            states: node
                .states
                .saturating_add(2)
                .saturating_mul(u64::from(copies)),
            hir: Hir::repetition(Repetition {
                min,
                max,
                greedy: lazy == self.flags.lazy,
                sub: Box::new(node.hir),
            }),
        };
        self.push(node);
        self.repeated_at = Some(start);
        Ok(())
    }

    /// Takes back what a repetition repeats.
    fn pop_last(&mut self) -> Option<Node> {
        let sequence = &mut self.group().sequence;
        match sequence.pop()? {
            Item::Node(node) => Some(node),
            Item::Text(mut text) => {
                let c = text.pop()?;
                if !text.is_empty() {
                    sequence.push(Item::Text(text));
                }
                let literal = c.to_string().into_bytes();
                Some(Node::leaf(Hir::literal(literal), 4))
            }
        }
    }

    /// Reads `{2}`, `{2,}` or `{2,3}`; a brace that starts none of them stands for itself.
    fn counted(&mut self, repeated_at: Option<usize>) -> Result<(), Error> {
        let start = self.at;
        let Some((min, max, len)) = counts(self.rest()) else {
            self.at += 1;
            self.push_char('{');
            return Ok(());
        };
        self.at += len;
        let (Count::Number(min), max) = (min, max) else {
            return Err(self.error(Problem::RepeatCount, start));
        };
        let max = match max {
            Max::Same => Some(min),
            Max::None => None,
            Max::Count(Count::Number(max)) if max >= min => Some(max),
            Max::Count(_) => return Err(self.error(Problem::RepeatCount, start)),
        };
        if min > REPEAT_MAX || max.is_some_and(|max| max > REPEAT_MAX) {
            return Err(self.error(Problem::RepeatCount, start));
        }
        self.repeat(min, max, start, repeated_at)?;
        let copies = max.unwrap_or(min);
        if let Some(Item::Node(node)) = self.group().sequence.last_mut() {
            node.repeats = match max {
                Some(0) => 1,
                _ => node.repeats.saturating_mul(copies.max(1)),
            };
            if copies >= 2 && node.repeats > REPEAT_MAX {
                return Err(self.error(Problem::RepeatCount, start));
            }
        }
        Ok(())
    }

    fn backslash(&mut self) -> Result<(), Error> {
        let start = self.at;
        match self.pattern.as_bytes().get(start + 1) {
            Some(b'A') => self.push_look(Look::Start),
            Some(b'z') => self.push_look(Look::End),
            Some(b'b') => self.push_look(Look::WordAscii),
            Some(b'B') => self.push_look(Look::WordAsciiNegate),
            Some(b'C') => return Err(Error::new(Problem::Escape, r"\C")),
            Some(b'Q') => {
                let quoted = &self.pattern[start + 2..];
                let (text, len) = match quoted.find(r"\E") {
                    Some(end) => (&quoted[..end], end + 2),
                    None => (quoted, quoted.len()),
                };
                self.at += 2 + len;
                text.chars().for_each(|c| self.push_char(c));
                return Ok(());
            }
            _ => {
                if let Some(class) = self.class_escape()? {
                    self.push_class(class);
                } else {
                    let code = self.escape()?;
                    self.push_code(code);
                }
                return Ok(());
            }
        }
        self.at += 2;
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Count {
    Number(u32),
    /// More digits than any good count has.
    Huge,
}

#[derive(Clone, Copy)]
enum Max {
    /// `{2}`
    Same,
    /// `{2,}`
    None,
    /// `{2,3}`
    Count(Count),
}

/// The counts in the braces at the start of `text`, and how long they are with the braces.
fn counts(text: &str) -> Option<(Count, Max, usize)> {
    let rest = text.strip_prefix('{')?;
    let (min, rest) = count(rest)?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Max::Same, rest),
        Some(rest) if rest.starts_with('}') => (Max::None, rest),
        Some(rest) => {
            let (max, rest) = count(rest)?;
            (Max::Count(max), rest)
        }
    };
    let rest = rest.strip_prefix('}')?;
    Some((min, max, text.len() - rest.len()))
}

/// A number without leading zeros at the start of `text`, and the rest.
fn count(text: &str) -> Option<(Count, &str)> {
    let end = text
        .bytes()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    let count = digits.parse().map_or(Count::Huge, Count::Number);
    Some((count, rest))
}
