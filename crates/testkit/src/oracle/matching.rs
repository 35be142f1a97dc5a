//! Binary operators of two vectors at one step (§6.4 to §6.6).

use std::collections::{BTreeMap, BTreeSet};

use ferula_model::Labels;
use ferula_promql::syntax::ast::{Binary, BinaryOp, Cardinality, Matching};

use super::binary::drops_name;
use super::eval::Eval;
use super::labels::{all_but, nameless, only};
use super::operate::Made;
use super::value::{Element, Val};
use super::{Result, failed};

/// The labels two elements must have in common.
fn signature(matching: &Matching, labels: &Labels) -> Labels {
    if matching.on {
        only(labels, &matching.labels)
    } else {
        all_but(labels, &matching.labels)
    }
}

fn matching(binary: &Binary) -> &Matching {
    binary.matching.as_ref().expect("two vectors match somehow")
}

impl Eval<'_> {
    /// `and`, `or`, `unless` (§6.6)
    pub(super) fn set(
        &self,
        binary: &Binary,
        mut lhs: Vec<Element>,
        mut rhs: Vec<Element>,
    ) -> Vec<Element> {
        let matching = matching(binary);
        let signatures = |side: &[Element]| -> BTreeSet<Labels> {
            let side = side.iter();
            side.map(|e| signature(matching, &e.labels)).collect()
        };
        let (on_left, on_right) = (signatures(&lhs), signatures(&rhs));
        let has =
            |set: &BTreeSet<Labels>, e: &Element| set.contains(&signature(matching, &e.labels));
        match binary.op {
            BinaryOp::And => lhs.retain(|e| has(&on_right, e)),
            BinaryOp::Unless => lhs.retain(|e| !has(&on_right, e)),
            _ => {
                rhs.retain(|e| !has(&on_left, e));
                lhs.append(&mut rhs);
            }
        }
        lhs
    }

    /// Arithmetic, comparison and trimming (§6.4).
    pub(super) fn join(
        &self,
        binary: &Binary,
        lhs: &[Element],
        rhs: &[Element],
    ) -> Result<Vec<Element>> {
        let matching = matching(binary);
        let swapped = matching.card == Cardinality::OneToMany;
        let (manys, ones) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
        // With `group_right` the fill values change sides, as the reference's tests ask for (§6.5).
        let (fill_many, fill_one) = (matching.fill_left, matching.fill_right);
        let (empty, both_empty) = (
            manys.is_empty() || ones.is_empty(),
            manys.is_empty() && ones.is_empty(),
        );
        if both_empty || empty && !matching.fills() {
            return Ok(Vec::new());
        }
        let ones = by_signature(matching, ones)?;
        let mut joined = Joined {
            eval: self,
            binary,
            seen: BTreeMap::new(),
            out: Vec::new(),
        };
        for many in manys {
            let group = signature(matching, &many.labels);
            match (ones.get(&group), fill_one) {
                (Some(one), _) => joined.pair(&group, many, one)?,
                (None, Some(value)) => joined.pair(&group, many, &filled(&group, value))?,
                (None, None) => {}
            }
        }
        if let Some(value) = fill_many {
            let matched: BTreeSet<Labels> = manys
                .iter()
                .map(|e| signature(matching, &e.labels))
                .collect();
            for (group, one) in ones.iter().filter(|(group, _)| !matched.contains(group)) {
                joined.pair(group, &filled(group, value), one)?;
            }
        }
        Ok(joined.out)
    }
}

/// An element made up for a side that has none in a match group (§6.5).
fn filled(group: &Labels, value: f64) -> Element {
    Element {
        labels: group.clone(),
        drop_name: false,
        val: Val::Float(value),
        stored: 0,
        start: 0,
    }
}

/// The elements of the one side, each alone in its match group.
fn by_signature<'e>(
    matching: &Matching,
    ones: &'e [Element],
) -> Result<BTreeMap<Labels, &'e Element>> {
    let mut found: BTreeMap<Labels, &Element> = BTreeMap::new();
    for one in ones {
        let group = signature(matching, &one.labels);
        if let Some(other) = found.get(&group) {
            let side = if matching.card == Cardinality::OneToMany {
                "left"
            } else {
                "right"
            };
            let mut both = [other.labels.to_string(), one.labels.to_string()];
            both.sort();
            return Err(failed(format!(
                "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                both[0], both[1]
            )));
        }
        found.insert(group, one);
    }
    Ok(found)
}

/// The pairs of elements that have met.
struct Joined<'a, 'q> {
    eval: &'a Eval<'q>,
    binary: &'a Binary,
    /// The labels of the results of each match group.
    seen: BTreeMap<Labels, BTreeSet<Labels>>,
    out: Vec<Element>,
}

impl Joined<'_, '_> {
    fn pair(&mut self, group: &Labels, many: &Element, one: &Element) -> Result<()> {
        let (op, return_bool) = (self.binary.op, self.binary.return_bool);
        let matching = matching(self.binary);
        let swapped = matching.card == Cardinality::OneToMany;
        // Where names go at the end, `bool` leaves them until then (§10).
        let delayed = self.eval.delayed();
        let drops = drops_name(op, return_bool && !delayed);
        let labels = result_labels(matching, drops, &many.labels, &one.labels);
        let seen = self.seen.entry(group.clone()).or_default();
        if matching.card == Cardinality::OneToOne {
            if !seen.is_empty() {
                return Err(failed(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                ));
            }
            seen.insert(labels.clone());
        } else if !seen.insert(labels.clone()) {
            return Err(failed(
                "multiple matches for labels: grouping labels must ensure unique matches",
            ));
        }
        let (a, b) = if swapped {
            (&one.val, &many.val)
        } else {
            (&many.val, &one.val)
        };
        let made = self.eval.operate(op, a, b, self.binary.span.start);
        let val = match (made, return_bool) {
            (Made::Nothing, _) | (Made::False, false) => return Ok(()),
            (Made::False, true) => Val::Float(0.0),
            (Made::Val(_), true) => Val::Float(1.0),
            (Made::Val(val), false) => val,
        };
        self.out.push(Element {
            labels,
            drop_name: return_bool && delayed,
            val,
            stored: 0,
            start: 0,
        });
        Ok(())
    }
}

/// The labels of the result of two elements.
fn result_labels(matching: &Matching, drops: bool, many: &Labels, one: &Labels) -> Labels {
    let mut labels = if drops { nameless(many) } else { many.clone() };
    if matching.card == Cardinality::OneToOne {
        let listed = |name: &str| matching.labels.iter().any(|l| l == name);
        labels = labels.filter(|name| listed(name) == matching.on);
    }
    for name in &matching.include {
        labels = labels.with(name, one.value(name));
    }
    labels
}
