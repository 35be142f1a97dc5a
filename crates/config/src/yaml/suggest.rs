//! "Did you mean …?"

/// The word of `known` that `word` most likely stands for, if any is near enough: one slip in
/// short words, one in four letters of long ones.
pub(crate) fn closest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    /// Keys are short; what is much longer is not compared.
    const WORD_CHARS_MAX: usize = 64;
    let chars = word.chars().take(WORD_CHARS_MAX + 1).count();
    if chars > WORD_CHARS_MAX {
        return None;
    }
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(slips, _)| *slips <= (chars / 4).max(1))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// Letters to add, remove, change or swap with their neighbour; case and the kind of dash do
/// not count.
fn distance(a: &str, b: &str) -> usize {
    let letters = |s: &str| -> Vec<char> {
        s.chars()
            .map(|c| {
                if c == '-' {
                    '_'
                } else {
                    c.to_ascii_lowercase()
                }
            })
            .collect()
    };
    let (a, b) = (letters(a), letters(b));
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &to) in b.iter().enumerate() {
            let change = last[j] + usize::from(from != to);
            let mut best = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_word_meant() {
        let known = ["scrape_interval", "scrape_timeout", "job_name", "scheme"];
        let cases = [
            ("scrape_intervall", Some("scrape_interval")),
            ("scrape-interval", Some("scrape_interval")),
            ("Scrape_Intreval", Some("scrape_interval")),
            ("jobname", Some("job_name")),
            ("shceme", Some("scheme")),
            ("interval", None),
            ("x", None),
            ("", None),
        ];
        for (word, want) in cases {
            assert_eq!(closest(word, known), want, "{word:?}");
        }
        assert_eq!(closest(&"x".repeat(1 << 20), known), None);
    }
}
