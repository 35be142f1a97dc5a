use super::*;
use ferula_model::stale_marker;
use proptest::prelude::*;

fn encode(timestamps: &[i64], values: &[f64], len_max: usize) -> Option<Vec<u8>> {
    let mut scratch = Scratch {
        timestamps: timestamps.to_vec(),
        values: values.to_vec(),
        ..Scratch::default()
    };
    scratch.encode(len_max).then_some(scratch.bytes)
}

fn decoded(bytes: &[u8]) -> Result<(Vec<i64>, Vec<u64>), Damaged> {
    // Columns are appended to.
    let (mut timestamps, mut values) = (vec![1], vec![2.0]);
    decode(bytes, &mut timestamps, &mut values)?;
    let bits = values[1..].iter().map(|v| v.to_bits()).collect();
    Ok((timestamps[1..].to_vec(), bits))
}

/// Encodes values 15 s apart and returns the bytes behind the timestamps.
fn check(values: &[f64]) -> Vec<u8> {
    let timestamps: Vec<i64> = (1..=values.len() as i64).map(|i| i * 15_000).collect();
    let bytes = encode(&timestamps, values, usize::MAX / 2).unwrap();
    let bits: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
    assert_eq!(decoded(&bytes).unwrap(), (timestamps, bits));
    // Order 1, width 0, the first, the step.
    let times = [1, 0, 0xb0, 0xea, 1, 0xb0, 0xea, 1];
    assert_eq!(bytes[0], values.len() as u8);
    assert_eq!(bytes[1..9], times);
    bytes[9..].to_vec()
}

/// Worked out by hand from the format's description.
#[test]
fn golden_bytes() {
    assert_eq!(check(&[7.0, 7.0, 7.0]), [0, 14]);
    assert_eq!(check(&[-0.0; 4]), [1, 0, 0, 0, 0, 0, 0, 0, 0x80]);
    // Integers: 5, and 2, 0, 3 above 4 in two bits.
    assert_eq!(
        check(&[5.0, 6.0, 4.0, 7.0]),
        [0x40, 0, 2, 10, 1, 0b11_00_10]
    );
    // The same with one digit.
    assert_eq!(
        check(&[0.5, 0.6, 0.4, 0.7]),
        [0x41, 0, 2, 10, 1, 0b11_00_10]
    );
    // Thirds are no decimals: the upper half of the doubles around 1, as differences of their bits.
    let thirds = [1.0 / 3.0, 2.0 / 3.0, 1.0 / 3.0, 2.0 / 3.0];
    let step = (2.0f64 / 3.0).to_bits() - (1.0f64 / 3.0).to_bits();
    assert_eq!(step, 1 << 52);
    let mut expected = vec![0x80, 52 << 2, 1];
    put_zz(&mut expected, (1.0f64 / 3.0).to_bits() as i64);
    expected.extend([0, 0b101]);
    assert_eq!(check(&thirds), expected);
    // A marker among integers: the one before stands in the column, the bits behind it.
    let bytes = check(&[1.0, 2.0, stale_marker(), 3.0]);
    let marker = [1, 2, 2, 0, 0, 0, 0, 0, 0xf0, 0x7f];
    assert_eq!(bytes[..6], [0x60, 0, 1, 2, 2, 0b1_0_0]);
    assert_eq!(bytes[6..], marker);
}

#[test]
fn odd_values_stay_what_they_are() {
    let nan = f64::from_bits(0x7ff8_dead_beef_0001);
    for odd in [
        -0.0,
        nan,
        -nan,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.1 + 0.2,
        1e300,
        5e-324,
    ] {
        for at in [0, 1, 57, 119] {
            for decimal in [1.0, 0.01, 1.0 / 7.0] {
                let mut values: Vec<f64> =
                    (0..120).map(|i| f64::from(i * i % 97) * decimal).collect();
                values[at] = odd;
                check(&values);
                values[60..68].fill(odd);
                check(&values);
            }
        }
    }
}

/// How many bytes the values of 120 samples take.
fn len(value: impl Fn(u64) -> f64) -> usize {
    check(&(0..120).map(value).collect::<Vec<_>>()).len()
}

#[test]
fn sizes_of_the_usual_kinds() {
    let noise = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    assert_eq!(len(|_| 4096.0), 3);
    // A counter that grows by up to 64, with a reset.
    let counter = |i: u64| (i % 80 * 64 + noise(i) % 32 + 1_000_000 * u64::from(i < 80)) as f64;
    assert_eq!(len(counter), 102);
    // Memory in pages of 4 KiB.
    assert_eq!(len(|i| ((1 << 30) + noise(i) % 256 * 4096) as f64), 128);
    // Three digits after the point, five before them.
    assert_eq!(len(|i| (noise(i) % 100_000) as f64 / 1000.0), 259);
    // A few with more digits than the others.
    assert_eq!(
        len(|i| i as f64 % 16.0 + if i % 50 == 3 { 0.125 } else { 0.0 }),
        93
    );
    // Seconds, summed up.
    let mut sum = 1e4;
    let sums: Vec<f64> = (0..120)
        .map(|i| {
            sum += (noise(i) as f64).sqrt() / 4096.0;
            sum
        })
        .collect();
    assert_eq!(check(&sums).len(), 600);
}

#[test]
fn what_does_not_fit_is_left_alone() {
    let values: Vec<f64> = (1..100).map(|i| f64::from(i).sqrt()).collect();
    let timestamps: Vec<i64> = (1..100).collect();
    let len = encode(&timestamps, &values, usize::MAX / 2).unwrap().len();
    assert!(encode(&timestamps, &values, len).is_some());
    assert!(encode(&timestamps, &values, len - 1).is_none());
    let constant = encode(&timestamps, &[f64::NAN; 99], 14).unwrap();
    assert_eq!(constant.len(), 14);
    assert!(encode(&timestamps, &[f64::NAN; 99], 13).is_none());
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (0..1_000u32).prop_map(f64::from),
        (-1_000_000..1_000_000i64, 0..15i32).prop_map(|(v, e)| v as f64 / 10f64.powi(e)),
        Just(stale_marker()),
        Just(-0.0),
        any::<i64>().prop_map(|v| v as f64),
    ]
}

/// Mostly of one kind, with some of others.
fn values() -> impl Strategy<Value = Vec<f64>> {
    let one = |e: i32| {
        (0..5_000i64)
            .prop_map(move |v| v as f64 / 10f64.powi(e))
            .boxed()
    };
    (0..6i32, 0..10u32).prop_flat_map(move |(e, odd)| {
        let element = prop_oneof![40 => one(e), odd + 1 => value()];
        proptest::collection::vec(element, 1..300)
    })
}

fn timestamps() -> impl Strategy<Value = Vec<i64>> {
    let jitter = prop_oneof![20 => 0..8i64, 1 => 0..1_000_000i64];
    let regular = proptest::collection::vec(jitter, 300).prop_map(|jitter| {
        jitter
            .iter()
            .zip(0..)
            .map(|(j, i)| i * 15_000 + j)
            .collect()
    });
    prop_oneof![regular, proptest::collection::vec(any::<i64>(), 300)]
}

proptest! {
    #[test]
    fn decode_undoes_encode(timestamps in timestamps(), values in values()) {
        let timestamps = &timestamps[..values.len()];
        if let Some(bytes) = encode(timestamps, &values, usize::MAX / 2) {
            let bits: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
            prop_assert_eq!(decoded(&bytes).unwrap(), (timestamps.to_vec(), bits));
        } else {
            // Only too many odd values are no reason to go on.
            prop_assert!(values.iter().filter(|v| !v.is_finite()).count() > values.len() / VALUES_PER_ODD);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decoded(&bytes);
    }

    /// The same, behind a beginning that makes sense.
    #[test]
    fn damaged_values_are_read_without_panic(tag in any::<u8>(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut chunk = vec![100, 1, 0, 2, 2, tag];
        chunk.extend(bytes);
        let _ = decoded(&chunk);
    }
}
