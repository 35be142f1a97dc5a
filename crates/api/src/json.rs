//! Prometheus's JSON: field order, number text and escaping that clients compare.

use ferula_model::text::number;
use ferula_model::{Counts, Histogram, Labels, Timestamp, exponential_bound};

/// Appends `text` as a JSON string. Go escapes `<`, `>` and `&` too where `html` is set.
pub(crate) fn string(out: &mut String, text: &str, html: bool) {
    out.push('"');
    let mut plain = 0;
    for (i, c) in text.char_indices() {
        let escape: Option<String> = match c {
            '"' => Some("\\\"".into()),
            '\\' => Some("\\\\".into()),
            '\n' => Some("\\n".into()),
            '\r' => Some("\\r".into()),
            '\t' => Some("\\t".into()),
            c if (c as u32) < 0x20 => Some(format!("\\u{:04x}", c as u32)),
            '<' | '>' | '&' if html => Some(format!("\\u{:04x}", c as u32)),
            '\u{2028}' | '\u{2029}' if html => Some(format!("\\u{:04x}", c as u32)),
            _ => None,
        };
        if let Some(escape) = escape {
            out.push_str(&text[plain..i]);
            out.push_str(&escape);
            plain = i + c.len_utf8();
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// Appends `{"name":"value",…}` in order of name.
pub(crate) fn labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        string(out, name, false);
        out.push(':');
        string(out, value, false);
    }
    out.push('}');
}

/// Appends a sample's time: seconds, whole or with exactly three decimals.
pub(crate) fn timestamp(out: &mut String, t: Timestamp) {
    if t < 0 {
        out.push('-');
    }
    let (seconds, ms) = (t.unsigned_abs() / 1_000, t.unsigned_abs() % 1_000);
    out.push_str(itoa::Buffer::new().format(seconds));
    if ms != 0 {
        let digits = [
            b'0' + (ms / 100) as u8,
            b'0' + (ms / 10 % 10) as u8,
            b'0' + (ms % 10) as u8,
        ];
        out.push('.');
        out.extend(digits.map(char::from));
    }
}

/// Appends a sample's value in quotes.
pub(crate) fn value(out: &mut String, v: f64) {
    out.push('"');
    number::write_api(out, v);
    out.push('"');
}

/// Appends `[time,"value"]`.
pub(crate) fn point(out: &mut String, t: Timestamp, v: f64) {
    out.push('[');
    timestamp(out, t);
    out.push(',');
    value(out, v);
    out.push(']');
}

/// Appends a native histogram: count, sum and the buckets that hold something.
pub(crate) fn histogram(out: &mut String, h: &Histogram) {
    out.push_str("{\"count\":");
    value(out, h.count());
    out.push_str(",\"sum\":");
    value(out, h.sum);
    let mut first = true;
    for bucket in buckets(h).into_iter().filter(|b| b.count != 0.0) {
        out.push_str(if first { ",\"buckets\":[[" } else { ",[" });
        first = false;
        out.push_str(match (bucket.lower_inclusive, bucket.upper_inclusive) {
            (false, true) => "0,",
            (true, false) => "1,",
            (false, false) => "2,",
            (true, true) => "3,",
        });
        value(out, bucket.lower);
        out.push(',');
        value(out, bucket.upper);
        out.push(',');
        value(out, bucket.count);
        out.push(']');
    }
    out.push_str(if first { "}" } else { "]}" });
}

struct Bucket {
    lower: f64,
    upper: f64,
    lower_inclusive: bool,
    upper_inclusive: bool,
    count: f64,
}

/// All buckets from the lowest to the highest.
fn buckets(h: &Histogram) -> Vec<Bucket> {
    let float = h.to_float();
    let Counts::Float {
        zero,
        positive,
        negative,
        ..
    } = &float.counts
    else {
        return Vec::new();
    };
    let mut all: Vec<Bucket> = indexes(&h.negative_spans)
        .zip(negative)
        .map(|(i, &count)| Bucket {
            lower: -bound(h, i),
            upper: -bound(h, i - 1).max(h.zero_threshold),
            lower_inclusive: true,
            upper_inclusive: false,
            count,
        })
        .collect();
    all.reverse();
    if *zero > 0.0 {
        let t = h.zero_threshold;
        all.push(Bucket {
            lower: -t,
            upper: t,
            lower_inclusive: true,
            upper_inclusive: true,
            count: *zero,
        });
    }
    all.extend(indexes(&h.positive_spans).zip(positive).map(|(i, &count)| {
        // The first custom bucket reaches down to -Inf and holds it.
        let lowest = h.has_custom_buckets() && i == 0;
        let lower = if lowest {
            f64::NEG_INFINITY
        } else {
            // What the zero bucket covers is not part of this one.
            bound(h, i - 1).max(if h.has_custom_buckets() {
                f64::NEG_INFINITY
            } else {
                h.zero_threshold
            })
        };
        Bucket {
            lower,
            upper: bound(h, i),
            lower_inclusive: lowest,
            upper_inclusive: true,
            count,
        }
    }));
    all
}

/// The bucket indexes that spans describe.
fn indexes(spans: &[ferula_model::Span]) -> impl Iterator<Item = i64> {
    let mut next = 0i64;
    spans.iter().flat_map(move |span| {
        let start = next + i64::from(span.offset);
        next = start + i64::from(span.length);
        start..next
    })
}

/// The upper bound of bucket `index`.
fn bound(h: &Histogram, index: i64) -> f64 {
    if h.has_custom_buckets() {
        return usize::try_from(index)
            .ok()
            .and_then(|i| h.custom_values.get(i))
            .copied()
            .unwrap_or(f64::INFINITY);
    }
    exponential_bound(h.schema, index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_model::{CounterReset, Span};

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn times_have_no_or_three_decimals() {
        let check = |t, expected: &str| assert_eq!(written(|o| timestamp(o, t)), expected);
        check(1_435_781_451_781, "1435781451.781");
        check(1_500, "1.500");
        check(2_000, "2");
        check(-1_005, "-1.005");
        check(-5, "-0.005");
        check(0, "0");
    }

    #[test]
    fn strings_are_escaped_as_go_does() {
        let check = |text: &str, html, expected: &str| {
            assert_eq!(written(|o| string(o, text, html)), expected);
        };
        check("a\"b\\c\n\u{1}", false, r#""a\"b\\c\n\u0001""#);
        check("<é&>", false, "\"<é&>\"");
        check("<é&>", true, r#""\u003cé\u0026\u003e""#);
    }

    #[test]
    fn the_documented_histogram() {
        let h = Histogram {
            reset: CounterReset::Unknown,
            schema: 0,
            zero_threshold: 0.25,
            sum: 34593.34,
            positive_spans: vec![
                Span {
                    offset: -1,
                    length: 2,
                },
                Span {
                    offset: 1,
                    length: 1,
                },
            ],
            negative_spans: vec![],
            custom_values: vec![],
            counts: Counts::Integer {
                count: 42,
                zero: 3,
                positive: vec![12, 21, 6],
                negative: vec![],
            },
        };
        let expected = r#"{"count":"42","sum":"34593.34","buckets":[[3,"-0.25","0.25","3"],[0,"0.25","0.5","12"],[0,"0.5","1","21"],[0,"2","4","6"]]}"#;
        assert_eq!(written(|o| histogram(o, &h)), expected);
    }
}
