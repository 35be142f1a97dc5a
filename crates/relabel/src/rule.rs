//! What a rule is, and which rules are refused.

use std::fmt;
use std::str::FromStr;

use ferula_model::text::regex::{self, Regex, Template};
use ferula_model::text::{NameScheme, is_legacy_label_name, quote::quoted};

/// What a rule does with the value it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Writes the replacement to the target label if the value matches.
    Replace,
    /// Drops the set unless the value matches.
    Keep,
    /// Drops the set if the value matches.
    Drop,
    /// Drops the set unless the value is the target label's.
    KeepEqual,
    /// Drops the set if the value is the target label's.
    DropEqual,
    /// Writes the value's hash modulo the modulus to the target label.
    HashMod,
    /// Copies labels with matching names to other names.
    LabelMap,
    /// Removes labels with matching names.
    LabelDrop,
    /// Removes labels without matching names.
    LabelKeep,
    /// Writes the value in lower case to the target label.
    Lowercase,
    /// Writes the value in upper case to the target label.
    Uppercase,
}

/// Every action with the name a configuration gives it.
const ACTIONS: [(Action, &str); 11] = [
    (Action::Replace, "replace"),
    (Action::Keep, "keep"),
    (Action::Drop, "drop"),
    (Action::KeepEqual, "keepequal"),
    (Action::DropEqual, "dropequal"),
    (Action::HashMod, "hashmod"),
    (Action::LabelMap, "labelmap"),
    (Action::LabelDrop, "labeldrop"),
    (Action::LabelKeep, "labelkeep"),
    (Action::Lowercase, "lowercase"),
    (Action::Uppercase, "uppercase"),
];

impl Action {
    /// All there are.
    pub const ALL: [Self; 11] = [
        Self::Replace,
        Self::Keep,
        Self::Drop,
        Self::KeepEqual,
        Self::DropEqual,
        Self::HashMod,
        Self::LabelMap,
        Self::LabelDrop,
        Self::LabelKeep,
        Self::Lowercase,
        Self::Uppercase,
    ];

    /// The name a configuration gives it.
    pub fn as_str(self) -> &'static str {
        ACTIONS
            .iter()
            .find(|(action, _)| *action == self)
            .map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown relabel action {}", quoted(.0))]
pub struct UnknownAction(String);

impl FromStr for Action {
    type Err = UnknownAction;

    /// Upper and lower case are the same.
    fn from_str(word: &str) -> Result<Self, UnknownAction> {
        ACTIONS
            .iter()
            .find(|(_, name)| word.eq_ignore_ascii_case(name))
            .map(|(action, _)| *action)
            .ok_or_else(|| UnknownAction(word.to_string()))
    }
}

/// A rule as a configuration states it; [`RuleConfig::default`] has the documented defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleConfig {
    /// The labels whose values, joined by the separator, are the value the rule reads.
    pub source_labels: Vec<String>,
    /// What joins them.
    pub separator: String,
    /// The pattern the whole value must match.
    pub regex: String,
    /// The modulus of hashmod.
    pub modulus: u64,
    /// The label to write; groups of the match are filled in for replace.
    pub target_label: String,
    /// What to write; groups of the match are filled in.
    pub replacement: String,
    /// What to do.
    pub action: Action,
    /// Which names of labels the rule may make.
    pub names: NameScheme,
}

impl Default for RuleConfig {
    fn default() -> Self {
        Self {
            source_labels: Vec::new(),
            separator: ";".to_string(),
            regex: "(.*)".to_string(),
            modulus: 0,
            target_label: String::new(),
            replacement: "$1".to_string(),
            action: Action::Replace,
            names: NameScheme::Utf8,
        }
    }
}

/// Why a configuration is no rule; displays Prometheus's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The pattern is none.
    #[error(transparent)]
    Regex(#[from] regex::Error),
    /// A source label has no name.
    #[error("{} is not a valid label name", quoted(.0))]
    SourceLabel(String),
    /// hashmod without a modulus.
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    NoModulus,
    /// An action that writes a label, without the label.
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    NoTarget(Action),
    /// The label to write cannot be one's name.
    #[error("{} is invalid 'target_label' for {action} action", quoted(.target))]
    Target {
        /// The label to write.
        target: String,
        /// The rule's action.
        action: Action,
    },
    /// The names labelmap writes cannot be names.
    #[error("{} is invalid 'replacement' for labelmap action", quoted(.0))]
    MapReplacement(String),
    /// A replacement where there is nothing to replace.
    #[error("'replacement' can not be set for {0} action")]
    UnusedReplacement(Action),
    /// More than two labels to compare.
    #[error("{0} action requires only 'source_labels' and `target_label`, and no other fields")]
    OnlySourceAndTarget(Action),
    /// More than names to test.
    #[error("{0} action requires only 'regex', and no other fields")]
    OnlyRegex(Action),
}

impl RuleError {
    /// The configuration's field to look at.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Regex(_) => "regex",
            Self::SourceLabel(_) => "source_labels",
            Self::NoModulus => "modulus",
            Self::NoTarget(_) | Self::Target { .. } => "target_label",
            Self::MapReplacement(_) | Self::UnusedReplacement(_) => "replacement",
            Self::OnlySourceAndTarget(_) | Self::OnlyRegex(_) => "action",
        }
    }
}

/// A rule that can be applied.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(crate) config: RuleConfig,
    pub(crate) regex: Regex,
    pub(crate) target: Template,
    pub(crate) replacement: Template,
}

impl Rule {
    /// Makes a rule of its configuration.
    pub fn new(config: RuleConfig) -> Result<Self, RuleError> {
        let regex = Regex::new(&config.regex)?;
        check(&config)?;
        Ok(Self {
            regex,
            target: Template::new(&config.target_label),
            replacement: Template::new(&config.replacement),
            config,
        })
    }

    /// The configuration it was made of.
    pub fn config(&self) -> &RuleConfig {
        &self.config
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config
    }
}

impl Eq for Rule {}

/// Refuses what has no meaning, in the order Prometheus does.
fn check(config: &RuleConfig) -> Result<(), RuleError> {
    use Action::*;
    let action = config.action;
    let default = RuleConfig::default();
    if let Some(name) = config.source_labels.iter().find(|name| name.is_empty()) {
        return Err(RuleError::SourceLabel(name.clone()));
    }
    if action == HashMod && config.modulus == 0 {
        return Err(RuleError::NoModulus);
    }
    let fixed_target = matches!(
        action,
        HashMod | Lowercase | Uppercase | KeepEqual | DropEqual
    );
    if fixed_target || action == Replace {
        if config.target_label.is_empty() {
            return Err(RuleError::NoTarget(action));
        }
        let template = action == Replace && config.target_label.contains('$');
        let good = match template {
            true => is_name_template(&config.target_label, config.names),
            false => config.names.is_label_name(&config.target_label),
        };
        if !good {
            let target = config.target_label.clone();
            return Err(RuleError::Target { target, action });
        }
    }
    let no_replacement = matches!(action, Lowercase | Uppercase | KeepEqual | DropEqual);
    if no_replacement && config.replacement != default.replacement {
        return Err(RuleError::UnusedReplacement(action));
    }
    if action == LabelMap && !is_name_template(&config.replacement, config.names) {
        return Err(RuleError::MapReplacement(config.replacement.clone()));
    }
    let unused = RuleConfig {
        source_labels: config.source_labels.clone(),
        target_label: config.target_label.clone(),
        regex: config.regex.clone(),
        action,
        names: config.names,
        ..default
    };
    if matches!(action, KeepEqual | DropEqual)
        && (*config != unused || config.regex != RuleConfig::default().regex)
    {
        return Err(RuleError::OnlySourceAndTarget(action));
    }
    if matches!(action, LabelDrop | LabelKeep)
        && (*config != unused
            || !config.source_labels.is_empty()
            || !config.target_label.is_empty())
    {
        return Err(RuleError::OnlyRegex(action));
    }
    Ok(())
}

/// Whether a name can come of `template` once its groups are filled in.
fn is_name_template(template: &str, names: NameScheme) -> bool {
    match names {
        NameScheme::Utf8 => !template.is_empty(),
        NameScheme::Legacy => without_groups(template).is_some_and(|s| is_legacy_label_name(&s)),
    }
}

/// `template` with an underscore for each `$1` and `${name}`; none if a `$` starts no group.
fn without_groups(template: &str) -> Option<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut pieces = template.split('$');
    let mut out = pieces.next()?.to_string();
    for piece in pieces {
        out.push('_');
        if let Some(braced) = piece.strip_prefix('{') {
            let (name, rest) = braced.split_once('}')?;
            if name.is_empty() || !name.chars().all(word) {
                return None;
            }
            out.push_str(rest);
        } else {
            if !piece.starts_with(word) {
                return None;
            }
            out.push_str(piece);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: RuleConfig, want: &str) {
        let got = Rule::new(config).map_or_else(|e| e.to_string(), |_| "ok".to_string());
        assert_eq!(got, want);
    }

    fn with(action: Action) -> RuleConfig {
        RuleConfig {
            action,
            ..RuleConfig::default()
        }
    }

    #[test]
    fn actions_are_read_in_any_case() {
        assert_eq!("KeepEqual".parse(), Ok(Action::KeepEqual));
        assert_eq!(
            "kep\n".parse::<Action>().unwrap_err().to_string(),
            r#"unknown relabel action "kep\n""#
        );
        for (action, name) in ACTIONS {
            assert_eq!(name.parse(), Ok(action));
        }
    }

    #[test]
    fn fields_an_action_needs() {
        use Action::*;
        check(
            with(HashMod),
            "relabel configuration for hashmod requires non-zero modulus",
        );
        for action in [Replace, KeepEqual, DropEqual, Lowercase, Uppercase] {
            check(
                with(action),
                &format!("relabel configuration for {action} action requires 'target_label' value"),
            );
        }
        for action in [Keep, Drop, LabelMap, LabelDrop, LabelKeep] {
            check(with(action), "ok");
        }
        let hashmod = RuleConfig {
            modulus: 8,
            ..with(HashMod)
        };
        check(
            hashmod.clone(),
            "relabel configuration for hashmod action requires 'target_label' value",
        );
        let target_label = "shard".to_string();
        check(
            RuleConfig {
                target_label,
                ..hashmod
            },
            "ok",
        );
    }

    #[test]
    fn fields_an_action_does_not_know() {
        use Action::*;
        let target = RuleConfig {
            target_label: "t".into(),
            ..RuleConfig::default()
        };
        for action in [KeepEqual, DropEqual] {
            let rule = RuleConfig {
                action,
                source_labels: vec!["a".into(), "b".into()],
                ..target.clone()
            };
            check(rule.clone(), "ok");
            let only = format!(
                "{action} action requires only 'source_labels' and `target_label`, and no other fields"
            );
            let modulus = 1;
            check(
                RuleConfig {
                    modulus,
                    ..rule.clone()
                },
                &only,
            );
            let regex = "x".into();
            check(RuleConfig { regex, ..rule }, &only);
        }
        for action in [LabelDrop, LabelKeep] {
            let only = format!("{action} action requires only 'regex', and no other fields");
            check(
                RuleConfig {
                    action,
                    ..target.clone()
                },
                &only,
            );
            let source_labels = vec!["a".to_string()];
            check(
                RuleConfig {
                    source_labels,
                    ..with(action)
                },
                &only,
            );
            let regex = "x".into();
            check(
                RuleConfig {
                    regex,
                    ..with(action)
                },
                "ok",
            );
        }
        for action in [Lowercase, Uppercase, KeepEqual, DropEqual] {
            let replacement = "x".into();
            check(
                RuleConfig {
                    action,
                    replacement,
                    ..target.clone()
                },
                &format!("'replacement' can not be set for {action} action"),
            );
        }
    }

    #[test]
    fn names_that_cannot_be() {
        let target = |target: &str, names, want: &str| {
            let target_label = target.to_string();
            let config = RuleConfig {
                target_label,
                names,
                ..RuleConfig::default()
            };
            check(config, want);
        };
        for good in ["a", "_a1", "$1", "${x}_b", "a$1", "$a1$b", "a_${1}${2}"] {
            target(good, NameScheme::Legacy, "ok");
            target(good, NameScheme::Utf8, "ok");
        }
        for bad in [
            "1a", "a.b", "$", "a$", "${", "${}", "${1}-", "1$1", "$$", "${a-b}", "é",
        ] {
            let want = format!(
                "{} is invalid 'target_label' for replace action",
                quoted(bad)
            );
            target(bad, NameScheme::Legacy, &want);
            target(bad, NameScheme::Utf8, "ok");
        }
        let map = |replacement: &str, names, want: &str| {
            let replacement = replacement.to_string();
            check(
                RuleConfig {
                    replacement,
                    names,
                    ..with(Action::LabelMap)
                },
                want,
            );
        };
        map(
            "",
            NameScheme::Utf8,
            r#""" is invalid 'replacement' for labelmap action"#,
        );
        map("a-$1", NameScheme::Utf8, "ok");
        map(
            "a-$1",
            NameScheme::Legacy,
            r#""a-$1" is invalid 'replacement' for labelmap action"#,
        );
        check(
            RuleConfig {
                source_labels: vec![String::new()],
                ..with(Action::Keep)
            },
            r#""" is not a valid label name"#,
        );
    }

    #[test]
    fn patterns_that_are_none() {
        let regex = "(".to_string();
        let error = Rule::new(RuleConfig {
            regex,
            ..with(Action::Keep)
        });
        assert_eq!(error.unwrap_err().field(), "regex");
    }
}
