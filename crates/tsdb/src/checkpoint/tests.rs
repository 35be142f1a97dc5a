#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io;
use std::sync::Arc;

use ferula_model::Timestamp;
use ferula_objects::{ObjectReader, ObjectWriter, Objects, read_all};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::{Given, IDENTITY, Store, batch, commit};
use crate::{Head, HeadSettings, HeadWriter};

/// An object in memory.
#[derive(Debug)]
struct Bytes(Vec<u8>);

impl ObjectReader for Bytes {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let from = self.0.get(offset as usize..).unwrap_or_default();
        match from.get(..bytes.len()) {
            Some(from) => bytes.copy_from_slice(from),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }
}

impl ObjectWriter for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<ferula_objects::Created> {
        Ok(ferula_objects::Created::New)
    }
}

fn empty() -> (Arc<Head>, HeadWriter) {
    Head::new(HeadSettings {
        bytes_max: u64::MAX,
        hash_seed: 5,
    })
}

fn given() -> impl Strategy<Value = Given> {
    prop_oneof![
        6 => (0..5u8).prop_map(|v| Given::Float(f64::from(v) / 3.0)),
        1 => Just(Given::Float(f64::NAN)),
        1 => Just(Given::Float(ferula_model::stale_marker())),
        2 => (0..4u64).prop_map(Given::Histogram),
    ]
}

/// What is sent at one time: series and values.
type Sent = Vec<(u32, Given)>;

fn sent() -> impl Strategy<Value = Sent> {
    vec((0..12u32, given()), 1..10).prop_map(|mut sent| {
        sent.sort_by_key(|(series, _)| *series);
        sent.dedup_by_key(|(series, _)| *series);
        sent
    })
}

fn at(time: Timestamp, sent: &Sent) -> Vec<(u32, Timestamp, Given)> {
    sent.iter().map(|&(id, given)| (id, time, given)).collect()
}

fn tenant(number: usize) -> &'static str {
    ["anonymous", "b"][number % 2]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A head that is taken down comes back as it was from a checkpoint and the log behind it,
    /// although commits, with new series among them, went on while the checkpoint was written.
    #[test]
    fn a_checkpoint_and_what_follows_give_the_head_back(
        before in vec(sent(), 0..12),
        repeat in 1..30usize,
        during in vec(sent(), 0..20),
        after in vec(sent(), 0..10),
        floor in 0..300i64,
    ) {
        let mut store = Store::new();
        let mut time = 0;
        for sent in before.iter().cycle().take(before.len() * repeat) {
            time += 1;
            store.send(tenant(time as usize / 3), &at(time, sent));
        }
        if floor > 0 {
            store.cut(floor.min(time - 100));
        }
        let mut rest = during.iter();
        store.checkpoint(|writer, log| {
            if let Some(sent) = rest.next() {
                time += 1;
                commit(writer, log, &batch(tenant(time as usize), &at(time, sent)));
            }
        });
        for sent in &after {
            time += 1;
            store.send(tenant(time as usize / 2), &at(time, sent));
        }
        store.delete_segments();
        for round in 0..2 {
            let (dump, stats) = (store.dump(), store.head.stats());
            store = store.reopen();
            prop_assert_eq!(&store.dump(), &dump, "round {}", round);
            let found = store.found;
            prop_assert_eq!(
                (found.unknown_series, found.out_of_order, found.bad_records),
                (0, 0, 0)
            );
            prop_assert_eq!(&store.replayed.damage, &Vec::<String>::new());
            prop_assert_eq!(store.head.stats().known, stats.known);
            // The encoders are where they were: what comes next is stored as it would have been.
            for sent in &after {
                time += 1;
                store.send(tenant(time as usize / 2), &at(time, sent));
            }
        }
    }
}

#[test]
fn segments_go_and_the_log_goes_on() {
    let mut store = Store::new();
    let all: Sent = (0..40).map(|id| (id, Given::Float(0.1 + 0.2))).collect();
    for time in 0..50 {
        store.send("anonymous", &at(time, &all));
    }
    assert!(store.segments().len() > 4);
    assert_eq!(store.delete_segments(), 0, "there is no checkpoint yet");
    store.checkpoint(|_, _| {});
    for time in 50..100 {
        store.send("anonymous", &at(time, &all));
    }
    let before = store.segments();
    let deleted = store.delete_segments() as usize;
    assert!(deleted > 3 && deleted < before.len());
    assert_eq!(store.segments(), before[deleted..]);
    assert_eq!(store.delete_segments(), 0);
    let dump = store.dump();
    store = store.reopen();
    assert_eq!(store.dump(), dump);
    assert!(store.found.samples >= 50 * 40, "only the tail is replayed");
    assert!(store.found.samples < 60 * 40);

    // A deletion that a crash cut short leaves a gap that is behind the checkpoint.
    for time in 100..200 {
        store.send("anonymous", &at(time, &all));
    }
    store.checkpoint(|_, _| {});
    let names = store.segments();
    let missing = store.dir.path().join("log").join(&names[1]);
    ferula_env::Disk::remove(&ferula_env::SystemDisk, &missing).unwrap();
    let dump = store.dump();
    store = store.reopen();
    assert_eq!(store.dump(), dump);
    assert!(store.delete_segments() > 0);
    assert!(store.segments().len() < 3);
}

#[test]
fn a_log_that_begins_behind_the_checkpoint_is_refused() {
    use crate::log::{LogError, Progress, Replay, Replayed, Visitor, frame, replay, segment};
    struct Nobody;
    impl Visitor for Nobody {
        fn segment(&mut self, _: &segment::Header) -> Result<(), String> {
            Ok(())
        }
        fn frame(&mut self, _: frame::Frame<'_>) -> Result<bool, String> {
            Ok(true)
        }
    }
    let mut store = Store::new();
    let all: Sent = (0..40).map(|id| (id, Given::Float(0.1 + 0.2))).collect();
    for time in 0..50 {
        store.send("anonymous", &at(time, &all));
    }
    store.checkpoint(|_, _| {});
    for time in 50..60 {
        store.send("anonymous", &at(time, &all));
    }
    store.delete_segments();
    let dir = store.dir.path().join("log");
    let try_replay = |after| -> Result<Replayed, LogError> {
        let what = Replay {
            disk: &ferula_env::SystemDisk,
            dir: &dir,
            identity: IDENTITY,
            after,
            progress: &Progress::default(),
        };
        replay(&what, &mut Nobody)
    };
    let first = store.segments()[0][..20].parse::<u64>().unwrap();
    assert!(try_replay(first - 1).is_ok());
    for after in [0, first - 2] {
        let error = try_replay(after).unwrap_err().to_string();
        assert!(error.contains("segment missing"), "{error}");
    }
}

/// A checkpoint with two tenants, floats and histograms, finished chunks and open ones.
fn small() -> (Vec<u8>, Checkpoint) {
    let mut store = Store::new();
    for time in 0..130 {
        let value = Given::Float(time as f64);
        store.send(
            "anonymous",
            &[(0, time, value), (1, time, Given::Float(0.5))],
        );
        store.send("b", &[(2, time, Given::Histogram(time as u64))]);
    }
    let mark = store.writer.mark(&mut store.log).unwrap();
    let mut object = store.objects.writer("x").unwrap();
    let written = store.head.write_checkpoint(&mark, IDENTITY, &mut *object);
    let written = written.unwrap();
    let _ = object.finish().unwrap();
    (read_all(&store.objects, "x", 1 << 20).unwrap(), written)
}

fn load(bytes: &[u8], expected: &Checkpoint) -> Result<Loaded, CheckpointError> {
    empty()
        .1
        .load_checkpoint(&Bytes(bytes.to_vec()), expected, IDENTITY)
}

#[test]
fn a_flipped_bit_or_a_missing_end_is_noticed() {
    let (bytes, written) = small();
    let loaded = load(&bytes, &written).unwrap();
    assert_eq!((loaded.series, loaded.samples), (3, 390));
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(load(&flipped, &written).is_err(), "byte {at}");
    }
    for len in 0..bytes.len() {
        assert!(load(&bytes[..len], &written).is_err(), "{len} bytes");
    }
    let mut other = written;
    other.commit += 1;
    let error = load(&bytes, &other).unwrap_err().to_string();
    assert!(error.contains("not the checkpoint"), "{error}");
}

/// The bytes `docs/internals/checkpoint.md` describes, worked out by hand.
#[test]
fn golden() {
    let (head, mut writer) = empty();
    let report = writer.stage(&batch("anonymous", &[(4, 1_000, Given::Float(2.0))]));
    assert_eq!(report.unwrap().samples, 1);
    writer.apply();
    let mark = Mark {
        commit: 9,
        dictionary: Dictionary::of(&head.index.read()),
    };
    let mut object = Bytes(Vec::new());
    let written = head.write_checkpoint(&mark, IDENTITY, &mut object).unwrap();
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let sections = [
        // A tenant: 9 bytes of name.
        concat!("09", "616e6f6e796d6f7573"),
        // Symbols: length plus one, text.
        concat!(
            "09",
            "5f5f6e616d655f5f",
            "03",
            "6d31",
            "05",
            "6576656e",
            "04",
            "796573",
            "03",
            "6964",
            "02",
            "34"
        ),
        // Pairs of tenant 0.
        concat!("000001", "000203", "000405"),
        // Series: three pairs plus one, tenant 0.
        concat!("04", "00", "000102"),
        // A float series without finished chunks; newest 1000; one sample of 96 bits behind the
        // count's 16: timestamp, value.
        concat!(
            "01",
            "00",
            "d00f",
            "01",
            "60",
            "0000",
            "d00f",
            "4000000000000000",
            "00",
            "0000000000000040",
            "ff",
            "00"
        ),
    ];
    assert_eq!(
        hex(&object.0[8..]).split_at(sections.concat().len()).0,
        sections.concat()
    );
    assert_eq!(&object.0[..8], b"FRLCKPT\x01");
    let contents = 8 + sections.concat().len() / 2;
    let fixed = concat!(
        "07070707070707070707070707070707",
        "03000000",
        "00000000",
        "0900000000000000",
        "0000000000000080",
        "01000000",
        "06000000",
        "01000000",
        "05000000",
    );
    assert_eq!(hex(&object.0[contents..contents + 56]), fixed);
    let first = &object.0[contents + 56..contents + 80];
    assert_eq!(hex(&first[..4]), "01000000");
    let crc = crc32c::crc32c(&object.0[8..18]).to_le_bytes();
    assert_eq!(first[4..8], crc);
    assert_eq!(
        hex(&first[8..]),
        concat!("0800000000000000", "0a00000000000000")
    );
    let trailer = contents + 56 + 5 * 24;
    assert_eq!(
        object.0[trailer..trailer + 8],
        (contents as u64).to_le_bytes()
    );
    assert_eq!(hex(&object.0[trailer + 8..trailer + 12]), "b0000000");
    assert_eq!(&object.0[trailer + 16..], b"FRLCKPT\x01");
    assert_eq!(written.len, object.0.len() as u64);
    assert_eq!(Checkpoint::of(&object).unwrap(), written);
}
