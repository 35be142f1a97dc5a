//! From matchers to series numbers.

use ferula_model::{MatchOp, Matcher, TenantId};

use super::index::{Index, TenantIndex};

/// Reading a candidate's labels costs about as much as going over this many listed series.
const READS_PER_LISTED: usize = 4;

/// The series of a tenant for which all matchers hold, in order of number.
pub(super) fn matching(index: &Index, tenant: &TenantId, matchers: &[Matcher]) -> Vec<u32> {
    let Some(tenant) = index.tenant(tenant) else {
        return Vec::new();
    };
    let mut candidates: Option<Vec<u32>> = None;
    let Some(equal) = equal_pairs(index, tenant, matchers) else {
        return Vec::new();
    };
    for pair in equal {
        narrow(&mut candidates, index, tenant, &[pair], true);
    }
    for matcher in matchers {
        let is_equal = matcher.op() == MatchOp::Equal && !matcher.matches_empty();
        if !is_equal && candidates.as_ref().is_none_or(|c| !c.is_empty()) {
            apply(&mut candidates, index, tenant, matcher);
        }
    }
    candidates.unwrap_or_else(|| tenant.all.iter().collect())
}

/// The pairs that the equality matchers name, the rarest first; `None` if one of them is of no
/// series.
fn equal_pairs(index: &Index, tenant: &TenantIndex, matchers: &[Matcher]) -> Option<Vec<u32>> {
    let mut pairs = matchers
        .iter()
        .filter(|m| m.op() == MatchOp::Equal && !m.matches_empty())
        .map(|m| index.find_pair(tenant, m.name(), m.value()))
        .collect::<Option<Vec<_>>>()?;
    pairs.sort_by_key(|&pair| tenant.pairs[pair as usize].series.len());
    Some(pairs)
}

/// Applies a matcher that is not a plain equality.
///
/// One that a missing label passes takes away the series whose value fails; any other keeps
/// those whose value passes. Which values do is tested once per value, or, where few
/// candidates are left, on theirs.
fn apply(
    candidates: &mut Option<Vec<u32>>,
    index: &Index,
    tenant: &TenantIndex,
    matcher: &Matcher,
) {
    let keeps = !matcher.matches_empty();
    if let Some(pairs) = listed(index, tenant, matcher, keeps) {
        return narrow(candidates, index, tenant, &pairs, keeps);
    }
    let name = index.symbols.find(matcher.name());
    let pairs = name.map_or(&[][..], |name| tenant.pairs_named(name));
    if let (Some(ids), Some(name)) = (candidates.as_mut(), name)
        && ids.len() < pairs.len() / 4
    {
        ids.retain(|&sid| {
            let value = index.value(sid, name).map_or("", |v| index.symbols.get(v));
            matcher.matches(value)
        });
        return;
    }
    let wanted = |pair: &&u32| {
        let value = index.symbols.get(tenant.pairs[**pair as usize].value);
        matcher.matches(value) == keeps
    };
    let pairs: Vec<u32> = pairs.iter().filter(wanted).copied().collect();
    narrow(candidates, index, tenant, &pairs, keeps);
}

/// The pairs that matter to a pattern which is a list of words, found without testing others.
fn listed(index: &Index, tenant: &TenantIndex, matcher: &Matcher, keeps: bool) -> Option<Vec<u32>> {
    // A word in the list passes `=~` and fails `!~`; those are the ones to be kept or removed.
    let fits = match matcher.op() {
        MatchOp::Regex => keeps,
        MatchOp::NotRegex => !keeps,
        MatchOp::Equal | MatchOp::NotEqual => false,
    };
    let words = matcher.regex().filter(|_| fits)?.set_matches()?;
    let find = |word: &String| index.find_pair(tenant, matcher.name(), word);
    let mut pairs: Vec<u32> = words.iter().filter_map(find).collect();
    pairs.sort_unstable();
    pairs.dedup();
    Some(pairs)
}

/// Keeps the candidates that have one of `pairs`, all of one name (`inside`), or none of them.
fn narrow(
    candidates: &mut Option<Vec<u32>>,
    index: &Index,
    tenant: &TenantIndex,
    pairs: &[u32],
    inside: bool,
) {
    let series = |pair: &u32| &tenant.pairs[*pair as usize].series;
    let listed: usize = pairs.iter().map(|pair| series(pair).len()).sum();
    match (candidates.as_mut(), pairs) {
        (None, pairs) if inside => *candidates = Some(union(tenant, pairs)),
        (None, []) => {}
        (None, _) => {
            let mut all: Vec<u32> = tenant.all.iter().collect();
            remove(&mut all, &union(tenant, pairs));
            *candidates = Some(all);
        }
        (Some(ids), [pair]) => series(pair).filter(ids, inside),
        (Some(ids), [first, ..]) if ids.len() * READS_PER_LISTED < listed => {
            let name = tenant.pairs[*first as usize].name;
            let of_name = |p: &u32| tenant.pairs[*p as usize].name == name;
            ids.retain(|&sid| {
                let pair = index.pairs_of(sid).1.find(of_name);
                pair.is_some_and(|p| pairs.binary_search(&p).is_ok()) == inside
            });
        }
        (Some(ids), pairs) if inside => {
            let found = union(tenant, pairs);
            keep(ids, &found);
        }
        (Some(ids), pairs) => remove(ids, &union(tenant, pairs)),
    }
}

/// The series that have one of `pairs`; these are of one name, so no series has two.
fn union(tenant: &TenantIndex, pairs: &[u32]) -> Vec<u32> {
    let mut ids = Vec::new();
    for &pair in pairs {
        ids.extend(tenant.pairs[pair as usize].series.iter());
    }
    if pairs.len() > 1 {
        sort_distinct(&mut ids);
    }
    ids
}

/// Sorts numbers of which none is there twice. Many numbers are marked in a set of bits and read
/// back, which takes no comparisons.
fn sort_distinct(ids: &mut Vec<u32>) {
    let Some(&largest) = ids.iter().max() else {
        return;
    };
    let words = largest as usize / 64 + 1;
    if words > ids.len() {
        return ids.sort_unstable();
    }
    let mut marks = vec![0u64; words];
    for id in ids.drain(..) {
        marks[id as usize / 64] |= 1 << (id % 64);
    }
    for (word, mut marks) in marks.into_iter().enumerate() {
        while marks != 0 {
            ids.push(word as u32 * 64 + marks.trailing_zeros());
            marks &= marks - 1;
        }
    }
}

fn keep(ids: &mut Vec<u32>, sorted: &[u32]) {
    let mut sorted = sorted.iter().copied().peekable();
    ids.retain(|&id| {
        while sorted.next_if(|&other| other < id).is_some() {}
        sorted.peek() == Some(&id)
    });
}

fn remove(ids: &mut Vec<u32>, sorted: &[u32]) {
    let mut sorted = sorted.iter().copied().peekable();
    ids.retain(|&id| {
        while sorted.next_if(|&other| other < id).is_some() {}
        sorted.peek() != Some(&id)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_model::Labels;
    use proptest::prelude::*;

    fn label() -> impl Strategy<Value = (String, String)> {
        ("[ab]", "[xyz]{0,2}")
    }

    fn matcher() -> impl Strategy<Value = Matcher> {
        let op = prop_oneof![
            Just(MatchOp::Equal),
            Just(MatchOp::NotEqual),
            Just(MatchOp::Regex),
            Just(MatchOp::NotRegex)
        ];
        let patterns = ["x.*", ".+", ".*", "x|yy", "", "(x|)", "[yz]{2}"].map(str::to_owned);
        let value = prop_oneof![proptest::sample::select(patterns.to_vec()), "[xyz]{0,2}"];
        (op, "[abc]", value).prop_map(|(op, name, value)| Matcher::new(op, name, value).unwrap())
    }

    proptest! {
        #[test]
        fn finds_what_a_scan_finds(
            sets in proptest::collection::btree_set(proptest::collection::vec(label(), 0..3), 0..40),
            matchers in proptest::collection::vec(matcher(), 0..4),
        ) {
            let mut index = Index::new(1);
            let tenant = TenantId::anonymous();
            let number = index.intern_tenant(&tenant);
            let mut all = Vec::new();
            for labels in sets.iter().map(|set| Labels::from_pairs(set.iter().cloned())) {
                let hash = index.hash(number, &labels);
                if index.find(number, hash, &labels).is_none() {
                    prop_assert_eq!(index.create(number, hash, &labels) as usize, all.len());
                    all.push(labels);
                }
            }
            let expected: Vec<u32> = (0..all.len() as u32)
                .filter(|&sid| matchers.iter().all(|m| m.matches(all[sid as usize].value(m.name()))))
                .collect();
            prop_assert_eq!(matching(&index, &tenant, &matchers), expected);
            for (sid, labels) in all.iter().enumerate() {
                prop_assert_eq!(&index.labels(sid as u32), labels);
            }
            let mut sorted: Vec<u32> = (0..all.len() as u32).collect();
            sorted.sort_by(|&a, &b| index.cmp(a, b));
            prop_assert!(sorted.is_sorted_by(|&a, &b| all[a as usize] < all[b as usize]));
        }
    }
}
