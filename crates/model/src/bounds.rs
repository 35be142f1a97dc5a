//! Where exponential buckets end.

use std::sync::LazyLock;

/// The finest schema.
const SCHEMA_MAX: usize = 8;

/// `2^(2^-schema)`, the ratio of neighbouring bounds, as the reference computes it: the first is
/// one unit in the last place below the nearest double.
const RATIOS: [f64; SCHEMA_MAX + 1] = [
    2.0,
    f64::from_bits(std::f64::consts::SQRT_2.to_bits() - 1),
    1.189_207_115_002_721,
    1.090_507_732_665_257_7,
    1.044_273_782_427_413_8,
    1.021_897_148_654_116_6,
    1.010_889_286_051_700_5,
    1.005_429_901_112_802_7,
    1.002_711_275_050_202_5,
];

/// Per schema, the bounds from a half up to one, that excluded.
///
/// Each list has those of the coarser schema in every second place; the ones between are products.
/// Rounding them this way, and not correctly, makes bounds print the digits of the reference's.
static FRACTIONS: LazyLock<[Vec<f64>; SCHEMA_MAX + 1]> = LazyLock::new(|| {
    let mut coarser = vec![0.5];
    std::array::from_fn(|schema| {
        if schema > 0 {
            let between = |bound: &f64| [*bound, *bound * RATIOS[schema]];
            coarser = coarser.iter().flat_map(between).collect();
        }
        coarser.clone()
    })
});

/// The upper bound of bucket `index`: `2^(index * 2^-schema)`. The one that would end at 2^1024
/// ends at the largest double; the next one is infinite.
pub fn exponential_bound(schema: i8, index: i64) -> f64 {
    let (fraction, exponent) = match usize::try_from(schema) {
        Ok(schema) => {
            let fractions = &FRACTIONS[schema.min(SCHEMA_MAX)];
            let within = index.rem_euclid(fractions.len() as i64) as usize;
            (fractions[within], (index >> schema).saturating_add(1))
        }
        Err(_) => (0.5, index.saturating_mul(1 << -schema).saturating_add(1)),
    };
    if fraction == 0.5 && exponent == 1025 {
        return f64::MAX;
    }
    scaled(fraction, exponent)
}

/// `value * 2^exponent`, rounded once.
fn scaled(value: f64, exponent: i64) -> f64 {
    let exponent = exponent.clamp(-2000, 2000) as i32;
    // Half the way stays among normal numbers, where nothing is rounded.
    let half = exponent / 2;
    value * 2f64.powi(half) * 2f64.powi(exponent - half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_have_the_references_digits() {
        // The bounds of a histogram of each schema, as Prometheus 3.5 prints them.
        let check = |schema, index, expected: f64| {
            assert_eq!(
                exponential_bound(schema, index).to_bits(),
                expected.to_bits(),
                "schema {schema}, index {index}"
            );
        };
        check(1, -1, 0.7071067811865475);
        check(2, -3, 0.5946035575013605);
        check(2, -1, 0.8408964152537144);
        check(2, 27, 107.63474115247544);
        check(3, -5, 0.6484197773255048);
        check(0, 6, 64.0);
        check(-1, 3, 64.0);
        check(-4, -2, 2f64.powi(-32));
    }

    #[test]
    fn the_ends_of_what_a_double_holds() {
        assert_eq!(exponential_bound(0, 1024), f64::MAX);
        assert_eq!(exponential_bound(0, 1025), f64::INFINITY);
        assert_eq!(exponential_bound(-1, 512), f64::MAX);
        assert_eq!(exponential_bound(1, 2048), f64::MAX);
        assert_eq!(exponential_bound(0, -1074), f64::from_bits(1));
        assert_eq!(exponential_bound(0, -1075), 0.0);
        assert_eq!(exponential_bound(8, i64::MAX), f64::INFINITY);
        assert_eq!(exponential_bound(-4, i64::MIN), 0.0);
    }

    #[test]
    fn bounds_rise() {
        for schema in -4..=8 {
            let bounds = (-600..600).map(|index| exponential_bound(schema, index));
            assert!(bounds.collect::<Vec<_>>().is_sorted(), "{schema}");
        }
    }
}
