//! Makes messages that no encoder would: fields in any order, repeated, unknown, packed or not.

/// Whether a field may have a wire type or content that its schema forbids.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Never,
    Sometimes,
}

/// What a field holds.
#[derive(Clone, Copy)]
enum Kind {
    Message(&'static [(u32, Kind)]),
    Text,
    Double,
    Varint,
    /// The schema of a histogram, kept from what is stored in another way than sent.
    Schema,
    Varints,
    Doubles,
}

use Kind::{Double, Doubles, Message, Schema, Text, Varint, Varints};

const REQUEST: &[(u32, Kind)] = &[
    (1, Message(SERIES)),
    (1, Message(SERIES)),
    (3, Message(METADATA)),
];
const SERIES: &[(u32, Kind)] = &[
    (1, Message(LABEL)),
    (1, Message(LABEL)),
    (2, Message(SAMPLE)),
    (3, Message(EXEMPLAR)),
    (4, Message(HISTOGRAM)),
];
const LABEL: &[(u32, Kind)] = &[(1, Text), (2, Text)];
const SAMPLE: &[(u32, Kind)] = &[(1, Double), (2, Varint)];
const EXEMPLAR: &[(u32, Kind)] = &[(1, Message(LABEL)), (2, Double), (3, Varint)];
const METADATA: &[(u32, Kind)] = &[(1, Varint), (2, Text), (4, Text), (5, Text)];
const SPAN: &[(u32, Kind)] = &[(1, Varint), (2, Varint)];
const HISTOGRAM: &[(u32, Kind)] = &[
    (1, Varint),
    (2, Double),
    (3, Double),
    (4, Schema),
    (5, Double),
    (6, Varint),
    (7, Double),
    (8, Message(SPAN)),
    (9, Varints),
    (10, Doubles),
    (11, Message(SPAN)),
    (12, Varints),
    (13, Doubles),
    (14, Varint),
    (15, Varint),
    (16, Doubles),
];

/// A request made of decisions, one per byte; none left means to stop.
pub(crate) fn message(entropy: &[u8], wrong: Wrong) -> Vec<u8> {
    let mut maker = Maker { entropy, wrong };
    let mut out = Vec::new();
    while !maker.entropy.is_empty() {
        maker.fields(&mut out, REQUEST);
    }
    out
}

struct Maker<'a> {
    entropy: &'a [u8],
    wrong: Wrong,
}

impl Maker<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.entropy.split_first() else {
            return 0;
        };
        self.entropy = rest;
        byte
    }

    /// Small more often than not, sometimes anything.
    fn number(&mut self) -> u64 {
        match self.byte() {
            b if b < 200 => b.into(),
            b if b < 225 => u64::MAX - u64::from(self.byte()),
            b => (0..8).fold(b.into(), |n, _| n << 8 | u64::from(self.byte())),
        }
    }

    fn fields(&mut self, out: &mut Vec<u8>, schema: &[(u32, Kind)]) {
        for _ in 0..self.byte() % 8 {
            match self.byte() {
                b if b < 12 => self.unknown(out, 2),
                b if b < 20 && self.wrong == Wrong::Sometimes => {
                    out.extend([b ^ self.byte(), self.byte()]);
                }
                b => {
                    let (number, kind) = schema[b as usize % schema.len()];
                    self.field(out, number, kind);
                }
            }
        }
    }

    fn field(&mut self, out: &mut Vec<u8>, number: u32, kind: Kind) {
        match kind {
            Message(schema) => {
                let mut inner = Vec::new();
                self.fields(&mut inner, schema);
                bytes(out, number, &inner);
            }
            Text => {
                let len = self.byte() as usize % 6;
                let mut text = "aä€😀\0z"
                    .chars()
                    .cycle()
                    .skip(len)
                    .take(len)
                    .collect::<String>()
                    .into_bytes();
                if self.wrong == Wrong::Sometimes && self.byte() > 250 {
                    text.push(0xff);
                }
                bytes(out, number, &text);
            }
            Double => fixed64(out, number, self.number()),
            Varint => varint(out, number, self.number()),
            Schema => varint(out, number, self.number() % 17),
            Varints => {
                if self.byte().is_multiple_of(3) {
                    return varint(out, number, self.number());
                }
                let mut packed = Vec::new();
                for _ in 0..self.byte() % 5 {
                    push_varint(&mut packed, self.number());
                }
                bytes(out, number, &packed);
            }
            Doubles => {
                if self.byte().is_multiple_of(3) {
                    return fixed64(out, number, self.number());
                }
                let mut packed = Vec::new();
                for _ in 0..self.byte() % 5 {
                    packed.extend(self.number().to_le_bytes());
                }
                bytes(out, number, &packed);
            }
        }
    }

    /// A field that no schema here has.
    fn unknown(&mut self, out: &mut Vec<u8>, depth: u32) {
        let number = 17 + u32::from(self.byte()) * 1_000;
        match self.byte() % 5 {
            0 => varint(out, number, self.number()),
            1 => fixed64(out, number, self.number()),
            2 => bytes(out, number, &[0xff; 3]),
            3 => {
                push_varint(out, u64::from(number) << 3 | 5);
                out.extend([1, 2, 3, 4]);
            }
            _ => {
                push_varint(out, u64::from(number) << 3 | 3);
                if depth > 0 {
                    self.unknown(out, depth - 1);
                }
                push_varint(out, u64::from(number) << 3 | 4);
            }
        }
    }
}

fn varint(out: &mut Vec<u8>, number: u32, value: u64) {
    push_varint(out, u64::from(number) << 3);
    push_varint(out, value);
}

fn fixed64(out: &mut Vec<u8>, number: u32, value: u64) {
    push_varint(out, u64::from(number) << 3 | 1);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    push_varint(out, u64::from(number) << 3 | 2);
    push_varint(out, content.len() as u64);
    out.extend(content);
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
