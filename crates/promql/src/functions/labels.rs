//! Natural order of label values.

use std::cmp::Ordering;

/// Compares with runs of digits taken as integers, everything else byte by byte.
pub(crate) fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        match (a.first(), b.first()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => {
                let (run_a, rest_a) = split_run(a, x.is_ascii_digit());
                let (run_b, rest_b) = split_run(b, y.is_ascii_digit());
                let order = if x.is_ascii_digit() && y.is_ascii_digit() {
                    compare_integers(run_a, run_b)
                } else {
                    run_a.cmp(run_b)
                };
                if order != Ordering::Equal {
                    return order;
                }
                (a, b) = (rest_a, rest_b);
            }
        }
    }
}

fn split_run(text: &[u8], digits: bool) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|c| c.is_ascii_digit() != digits)
        .unwrap_or(text.len());
    text.split_at(end)
}

/// Compares digits of any length as integers; of equal ones the shorter comes first.
fn compare_integers(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |digits: &[u8]| {
        let zeros = digits.iter().take_while(|&&d| d == b'0').count();
        digits.len() - zeros
    };
    let (sa, sb) = (significant(a), significant(b));
    sa.cmp(&sb)
        .then_with(|| a[a.len() - sa..].cmp(&b[b.len() - sb..]))
        .then_with(|| a.len().cmp(&b.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_order() {
        let mut values = [
            "4m1000", "4m5", "10", "9", "4m600", "1.111.3", "1.2.3", "", "010",
        ];
        values.sort_by(|a, b| natural_order(a, b));
        assert_eq!(
            values,
            [
                "", "1.2.3", "1.111.3", "4m5", "4m600", "4m1000", "9", "10", "010"
            ]
        );
    }
}
