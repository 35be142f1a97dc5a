//! What rules do to a label set.

use ferula_model::text::regex::Template;
use ferula_model::{Builder, LABEL_LEN_MAX, Labels};
use md5::{Digest, Md5};

use crate::{Action, Rule, case};

/// One rule's outcome; made by [`apply_traced`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The labels after the rule; empty once the set is dropped.
    pub output: Labels,
    /// Whether the set is still there.
    pub keep: bool,
}

/// Applies rules in order and answers whether the set stays. If it does not, the rules after
/// the one that dropped it are not applied, and what `labels` holds means nothing.
///
/// A set with a name or a value too long for a label is dropped.
pub fn apply(rules: &[Rule], labels: &mut Builder) -> bool {
    let mut value = String::new();
    rules.iter().all(|rule| step(rule, labels, &mut value))
}

/// Applies rules in order, keeping each outcome: one step per rule.
pub fn apply_traced(rules: &[Rule], labels: &Labels) -> Vec<Step> {
    let mut builder = Builder::from(labels);
    let mut value = String::new();
    let mut keep = true;
    let mut outcome = |rule| {
        keep = keep && step(rule, &mut builder, &mut value);
        let output = match keep {
            true => builder.build(),
            false => Labels::empty(),
        };
        Step { output, keep }
    };
    rules.iter().map(&mut outcome).collect()
}

/// Applies one rule; `value` is scratch memory.
fn step(rule: &Rule, labels: &mut Builder, value: &mut String) -> bool {
    let config = &rule.config;
    value.clear();
    for (i, name) in config.source_labels.iter().enumerate() {
        if i > 0 {
            value.push_str(&config.separator);
        }
        value.push_str(labels.get(name));
    }
    let target = config.target_label.as_str();
    match config.action {
        Action::Replace => replace(rule, labels, value),
        Action::Keep => rule.regex.is_match(value),
        Action::Drop => !rule.regex.is_match(value),
        Action::KeepEqual => labels.get(target) == value,
        Action::DropEqual => labels.get(target) != value,
        Action::HashMod => set(labels, target, &(hash(value) % config.modulus).to_string()),
        Action::LabelMap => map_names(rule, labels),
        Action::LabelDrop => {
            labels.retain(|name, _| !rule.regex.is_match(name));
            true
        }
        Action::LabelKeep => {
            labels.retain(|name, _| rule.regex.is_match(name));
            true
        }
        Action::Lowercase => set(labels, target, &case::lower(value)),
        Action::Uppercase => set(labels, target, &case::upper(value)),
    }
}

fn replace(rule: &Rule, labels: &mut Builder, value: &str) -> bool {
    if let (Some(target), Some(replacement)) = (rule.target.constant(), rule.replacement.constant())
    {
        return !rule.regex.is_match(value) || set_if_name(rule, labels, target, replacement);
    }
    let Some(captures) = rule.regex.captures(value) else {
        return true;
    };
    let expand = |template: &Template| {
        let mut out = String::new();
        template.expand(&captures, &mut out);
        out
    };
    let (target, replacement) = (expand(&rule.target), expand(&rule.replacement));
    set_if_name(rule, labels, &target, &replacement)
}

fn set_if_name(rule: &Rule, labels: &mut Builder, name: &str, value: &str) -> bool {
    !rule.config.names.is_label_name(name) || set(labels, name, value)
}

fn map_names(rule: &Rule, labels: &mut Builder) -> bool {
    let mut copies = Vec::new();
    for (name, value) in labels.iter() {
        if let Some(captures) = rule.regex.captures(name) {
            let mut copy = String::new();
            rule.replacement.expand(&captures, &mut copy);
            copies.push((copy, value.to_string()));
        }
    }
    // A label cannot be without a name; other names no scheme allows are refused where the
    // labels are used.
    copies
        .iter()
        .filter(|(name, _)| !name.is_empty())
        .all(|(name, value)| set(labels, name, value))
}

/// Sets a label, or answers that the set must go because the label cannot be held.
fn set(labels: &mut Builder, name: &str, value: &str) -> bool {
    let fits = name.len() <= LABEL_LEN_MAX && value.len() <= LABEL_LEN_MAX;
    if fits {
        labels.set(name, value);
    }
    fits
}

/// The last eight bytes of the MD5 sum, big-endian.
fn hash(value: &str) -> u64 {
    let sum = Md5::digest(value.as_bytes());
    let mut last = [0; 8];
    last.copy_from_slice(&sum[8..]);
    u64::from_be_bytes(last)
}

#[cfg(test)]
mod tests {
    use ferula_model::text::NameScheme;
    use proptest::prelude::*;

    use super::*;
    use crate::RuleConfig;

    /// A rule from words: `action=drop source_labels=a,b regex=x`.
    fn rule(words: &str) -> Rule {
        let mut config = RuleConfig::default();
        for word in words.split(' ') {
            let (key, value) = word.split_once('=').unwrap();
            let text = value.to_string();
            match key {
                "action" => config.action = value.parse().unwrap(),
                "source_labels" => {
                    config.source_labels = value.split(',').map(str::to_string).collect();
                }
                "separator" => config.separator = text,
                "regex" => config.regex = text,
                "modulus" => config.modulus = value.parse().unwrap(),
                "target_label" => config.target_label = text,
                "replacement" => config.replacement = text,
                "names" => config.names = NameScheme::Legacy,
                other => panic!("no such field: {other}"),
            }
        }
        Rule::new(config).unwrap()
    }

    fn labels(words: &str) -> Labels {
        Labels::from_pairs(words.split(' ').filter_map(|word| word.split_once('=')))
    }

    /// The labels after each rule, or `dropped`; the traced and the plain way must agree.
    fn check(input: &str, rules: &[(&str, &str)]) {
        let list: Vec<Rule> = rules.iter().map(|(words, _)| rule(words)).collect();
        let steps = apply_traced(&list, &labels(input));
        for ((words, want), step) in rules.iter().zip(&steps) {
            let want = match *want {
                "dropped" => Step {
                    output: Labels::empty(),
                    keep: false,
                },
                want => Step {
                    output: labels(want),
                    keep: true,
                },
            };
            assert_eq!(step, &want, "{input}: {words}");
        }
        let mut builder = Builder::from(&labels(input));
        let keep = apply(&list, &mut builder);
        assert_eq!(Some(keep), steps.last().map(|step| step.keep));
        if keep {
            assert_eq!(
                Some(builder.build()),
                steps.last().map(|step| step.output.clone())
            );
        }
    }

    #[test]
    fn replace() {
        check(
            "a=foo b=bar",
            &[
                (
                    "source_labels=a regex=f(.*) target_label=d replacement=ch${1}-ch${1}",
                    "a=foo b=bar d=choo-choo",
                ),
                (
                    "source_labels=a,b regex=(.*);(.*) target_label=$2 replacement=$1",
                    "a=foo b=bar bar=foo d=choo-choo",
                ),
                (
                    "source_labels=a regex=o target_label=a replacement=x",
                    "a=foo b=bar bar=foo d=choo-choo",
                ),
                ("target_label=b replacement=", "a=foo bar=foo d=choo-choo"),
                (
                    "target_label=e replacement=1",
                    "a=foo bar=foo d=choo-choo e=1",
                ),
                (
                    "source_labels=nothing target_label=a",
                    "bar=foo d=choo-choo e=1",
                ),
            ],
        );
        check(
            "a=x-y",
            &[
                (
                    "source_labels=a target_label=${1}_z replacement=1 names=legacy",
                    "a=x-y",
                ),
                (
                    "source_labels=a target_label=${1}_z replacement=1",
                    "a=x-y x-y_z=1",
                ),
                (
                    "source_labels=a target_label=$2 replacement=1",
                    "a=x-y x-y_z=1",
                ),
                (
                    "source_labels=a,a separator=+ target_label=b",
                    "a=x-y b=x-y+x-y x-y_z=1",
                ),
            ],
        );
        check(
            "a=line1\nline2",
            &[(
                "source_labels=a target_label=b replacement=$1!",
                "a=line1\nline2 b=line1\nline2!",
            )],
        );
    }

    #[test]
    fn keep_and_drop() {
        check(
            "a=foo",
            &[
                ("action=keep source_labels=a regex=fo+", "a=foo"),
                ("action=drop source_labels=a regex=fo", "a=foo"),
                ("action=drop source_labels=b regex=x", "a=foo"),
                ("action=drop source_labels=b regex=", "dropped"),
                ("target_label=c replacement=1", "dropped"),
            ],
        );
        check(
            "a=foo",
            &[("action=keep source_labels=a regex=fo", "dropped")],
        );
        check(
            "a=foo b=foo c=x",
            &[
                (
                    "action=keepequal source_labels=a target_label=b",
                    "a=foo b=foo c=x",
                ),
                (
                    "action=dropequal source_labels=a target_label=c",
                    "a=foo b=foo c=x",
                ),
                ("action=dropequal source_labels=a target_label=b", "dropped"),
            ],
        );
        check(
            "a=foo",
            &[("action=keepequal source_labels=a target_label=b", "dropped")],
        );
    }

    #[test]
    fn hashmod() {
        // The last eight bytes of the MD5 sums of "foo" and "foo;bar".
        check(
            "a=foo b=bar",
            &[
                (
                    "action=hashmod source_labels=a target_label=d modulus=1000",
                    "a=foo b=bar d=696",
                ),
                (
                    "action=hashmod source_labels=a,b target_label=d modulus=18446744073709551615",
                    "a=foo b=bar d=15973639978189266750",
                ),
            ],
        );
    }

    #[test]
    fn names() {
        check(
            "a_1=x a_2=y b=z",
            &[
                (
                    "action=labelmap regex=a_(.*) replacement=m_$1",
                    "a_1=x a_2=y b=z m_1=x m_2=y",
                ),
                ("action=labeldrop regex=a_.*", "b=z m_1=x m_2=y"),
                ("action=labelkeep regex=m_.|b", "b=z m_1=x m_2=y"),
                ("action=labelkeep regex=m_1", "m_1=x"),
                ("action=labelmap regex=m_1 replacement=$2", "m_1=x"),
            ],
        );
        // Copies are made of the labels as they were, not of other copies.
        check(
            "a=1 aa=2",
            &[(
                "action=labelmap regex=(a+) replacement=a${1}",
                "a=1 aa=1 aaa=2",
            )],
        );
    }

    #[test]
    fn case() {
        check(
            "a=FooBär",
            &[
                (
                    "action=lowercase source_labels=a target_label=l",
                    "a=FooBär l=foobär",
                ),
                (
                    "action=uppercase source_labels=a,l target_label=u",
                    "a=FooBär l=foobär u=FOOBÄR;FOOBÄR",
                ),
                (
                    "action=uppercase source_labels=none target_label=u",
                    "a=FooBär l=foobär",
                ),
            ],
        );
    }

    #[test]
    fn a_value_no_label_can_hold_drops_the_set() {
        let double = rule("source_labels=a,a separator= target_label=a");
        let mut builder = Builder::from(&labels("a=xx"));
        let rules = vec![double; 22];
        assert!(apply(&rules, &mut builder));
        assert_eq!(builder.get("a").len(), 1 << 23);
        assert!(!apply(&rules, &mut builder));
    }

    proptest! {
        #[test]
        fn hashes_are_below_the_modulus(value in ".*", modulus in 1u64..) {
            let rule = rule(&format!("action=hashmod source_labels=a target_label=h modulus={modulus}"));
            let mut builder = Builder::default();
            builder.set("a", &value);
            prop_assert!(apply(&[rule], &mut builder));
            prop_assert!(builder.get("h").parse::<u64>().unwrap() < modulus);
        }
    }
}
