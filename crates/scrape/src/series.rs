//! From an exposed series to the one that is stored: the target's labels, relabelling, names,
//! limits. Only a series not seen before comes here.

use std::borrow::Cow;

use ferula_config::{Limits, ScrapeConfig};
use ferula_exposition::Series;
use ferula_model::{Builder, LABEL_LEN_MAX, Labels, METRIC_NAME};

/// What is put in front of an exposed label that the target has, too.
const EXPORTED_PREFIX: &str = "exported_";

/// How much of a name or value an error shows, in characters.
const SHOWN_CHARS_MAX: usize = 50;

/// Why a series fails the whole scrape, in Prometheus's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SeriesError {
    /// A label name stands there twice.
    #[error("label name \"{0}\" is not unique: invalid sample")]
    NotUnique(String),
    /// Relabelling took the metric's name.
    #[error("missing metric name (__name__ label)")]
    NoName,
    /// A name that the job's validation scheme refuses.
    #[error("invalid metric name or label names: {0}")]
    InvalidNames(Labels),
    /// `label_limit` and its like. The text names which, and by how much.
    #[error("{0}")]
    LabelLimit(String),
}

/// The labels a series is stored under. `None` if relabelling drops it.
pub(crate) fn stored_labels(
    series: &Series<'_>,
    target_labels: &Labels,
    config: &ScrapeConfig,
) -> Result<Option<Labels>, SeriesError> {
    let mut exposed: Vec<(Cow<'_, str>, Cow<'_, str>)> = series.labels().collect();
    exposed.sort_by(|(a, _), (b, _)| a.cmp(b));
    if let Some(twice) = exposed.windows(2).find(|w| w[0].0 == w[1].0) {
        return Err(SeriesError::NotUnique(twice[0].0.to_string()));
    }
    let labels = if config.honor_labels {
        under_target(&exposed, target_labels, &config.metric_relabel_configs)
    } else {
        over_exposed(&exposed, target_labels, &config.metric_relabel_configs)
    };
    let Some(labels) = labels else {
        return Ok(None);
    };
    check_names(&labels, config)?;
    check_limits(&labels, &config.limits)?;
    Ok(Some(labels))
}

type Rules = [ferula_relabel::Rule];

/// `honor_labels: true`: the target's labels fill gaps. An exposed empty value is no gap.
fn under_target(
    exposed: &[(Cow<'_, str>, Cow<'_, str>)],
    target_labels: &Labels,
    rules: &Rules,
) -> Option<Labels> {
    let missing = |name: &str| exposed.binary_search_by(|(n, _)| (**n).cmp(name)).is_err();
    let own = target_labels.iter().filter(|(name, _)| missing(name));
    merged(exposed.iter().map(|(n, v)| (&**n, &**v)).chain(own), rules)
}

/// `honor_labels: false`: the target's labels win; what they displace is kept as `exported_…`.
fn over_exposed(
    exposed: &[(Cow<'_, str>, Cow<'_, str>)],
    target_labels: &Labels,
    rules: &Rules,
) -> Option<Labels> {
    let mut displaced: Vec<(&str, &str)> = Vec::new();
    let mut kept: Vec<(&str, &str)> = Vec::with_capacity(exposed.len() + 4);
    for (name, value) in exposed {
        match target_labels.get(name) {
            None => kept.push((name, value)),
            Some(_) if value.is_empty() => {}
            Some(_) => displaced.push((name, value)),
        }
    }
    kept.extend(target_labels.iter());
    if displaced.is_empty() {
        return merged(kept.into_iter(), rules);
    }
    displaced.sort_by_key(|(name, _)| name.len());
    let mut labels = Builder::default();
    for (name, value) in kept {
        labels.set(name, value);
    }
    for (name, value) in displaced {
        let mut free = format!("{EXPORTED_PREFIX}{name}");
        while !labels.get(&free).is_empty() {
            free.insert_str(0, EXPORTED_PREFIX);
        }
        labels.set(&free, value);
    }
    relabelled(labels, rules)
}

/// Labels of pairs with different names, relabelled.
fn merged<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>, rules: &Rules) -> Option<Labels> {
    if rules.is_empty() {
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_unstable_by_key(|(name, _)| *name);
        return Some(Labels::from_sorted(pairs));
    }
    let mut labels = Builder::default();
    for (name, value) in pairs {
        labels.set(name, value);
    }
    relabelled(labels, rules)
}

/// A set that relabelling leaves empty is dropped, too.
fn relabelled(mut labels: Builder, rules: &Rules) -> Option<Labels> {
    if !ferula_relabel::apply(rules, &mut labels) {
        return None;
    }
    Some(labels.build()).filter(|labels| !labels.is_empty())
}

fn check_names(labels: &Labels, config: &ScrapeConfig) -> Result<(), SeriesError> {
    let scheme = config.metric_name_validation_scheme;
    let metric = labels.metric_name();
    if metric.is_empty() {
        return Err(SeriesError::NoName);
    }
    let named = |name: &str| name == METRIC_NAME || scheme.is_label_name(name);
    if !scheme.is_metric_name(metric) || !labels.iter().all(|(name, _)| named(name)) {
        return Err(SeriesError::InvalidNames(labels.clone()));
    }
    Ok(())
}

fn check_limits(labels: &Labels, limits: &Limits) -> Result<(), SeriesError> {
    let exceeds = |len: usize, limit: u64| limit > 0 && len as u64 > limit;
    let metric = || cut(labels.metric_name());
    if exceeds(labels.len(), limits.label_limit) {
        return Err(SeriesError::LabelLimit(format!(
            "label_limit exceeded (metric: {}, number of labels: {}, limit: {})",
            metric(),
            labels.len(),
            limits.label_limit,
        )));
    }
    for (name, value) in labels {
        if exceeds(name.len(), limits.label_name_length_limit) {
            return Err(SeriesError::LabelLimit(format!(
                "label_name_length_limit exceeded (metric: {}, label name: {}, length: {}, limit: {})",
                metric(),
                cut(name),
                name.len(),
                limits.label_name_length_limit,
            )));
        }
        if exceeds(value.len(), limits.label_value_length_limit) {
            return Err(SeriesError::LabelLimit(format!(
                "label_value_length_limit exceeded (metric: {}, label name: {}, value: {:?}, \
                 length: {}, limit: {})",
                metric(),
                cut(name),
                cut(value),
                value.len(),
                limits.label_value_length_limit,
            )));
        }
    }
    Ok(())
}

fn cut(text: &str) -> &str {
    let end = text.char_indices().nth(SHOWN_CHARS_MAX);
    end.map_or(text, |(end, _)| &text[..end])
}

/// Lines are far shorter than what a label can hold, so no exposed label is refused for length.
const _: () = assert!(ferula_exposition::LINE_BYTES_MAX < LABEL_LEN_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_config::GlobalConfig;
    use ferula_exposition::{Entry, Format, Parser};
    use ferula_model::text::NameScheme;
    use ferula_relabel::{Action, Rule, RuleConfig};

    fn job() -> ScrapeConfig {
        ScrapeConfig::inheriting(&GlobalConfig::default(), "j")
    }

    fn stored(config: &ScrapeConfig, line: &str) -> Result<Option<Labels>, SeriesError> {
        let target = Labels::from_pairs([("instance", "i"), ("job", "j")]);
        let mut parser = Parser::new(Format::Prometheus, line.as_bytes());
        match parser.next() {
            Ok(Some(Entry::Series(series))) => stored_labels(&series, &target, config),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn check(config: &ScrapeConfig, line: &str, expected: &str) {
        let text = match stored(config, line) {
            Ok(Some(labels)) => labels.to_string(),
            Ok(None) => "dropped".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(text, expected, "{line}");
    }

    #[test]
    fn the_targets_labels_win() {
        let config = job();
        check(&config, "m 1\n", r#"{__name__="m", instance="i", job="j"}"#);
        check(
            &config,
            "m{z=\"1\",a=\"\"} 1\n",
            r#"{__name__="m", instance="i", job="j", z="1"}"#,
        );
        check(
            &config,
            "m{instance=\"x\",exported_instance=\"y\"} 1\n",
            r#"{__name__="m", exported_exported_instance="x", exported_instance="y", instance="i", job="j"}"#,
        );
        check(
            &config,
            "m{job=\"\",instance=\"x\"} 1\n",
            r#"{__name__="m", exported_instance="x", instance="i", job="j"}"#,
        );
    }

    #[test]
    fn honoured_labels_win() {
        let mut config = job();
        config.honor_labels = true;
        check(
            &config,
            "m{instance=\"x\"} 1\n",
            r#"{__name__="m", instance="x", job="j"}"#,
        );
        check(
            &config,
            "m{instance=\"\"} 1\n",
            r#"{__name__="m", job="j"}"#,
        );
    }

    fn rule(action: Action, source: &str, regex: &str, target: &str, replacement: &str) -> Rule {
        Rule::new(RuleConfig {
            action,
            source_labels: [source]
                .iter()
                .filter(|s| !s.is_empty())
                .map(|s| (*s).into())
                .collect(),
            regex: regex.to_owned(),
            target_label: target.to_owned(),
            replacement: replacement.to_owned(),
            ..RuleConfig::default()
        })
        .expect("a rule")
    }

    #[test]
    fn relabelling_drops_renames_and_breaks() {
        let mut config = job();
        config.metric_relabel_configs = vec![
            rule(Action::Drop, "__name__", "go_.*", "", "$1"),
            rule(
                Action::Replace,
                "__name__",
                "old_(.*)",
                "__name__",
                "new_$1",
            ),
        ];
        check(&config, "go_x 1\n", "dropped");
        check(
            &config,
            "old_x{a=\"1\"} 1\n",
            r#"{__name__="new_x", a="1", instance="i", job="j"}"#,
        );
        config.metric_relabel_configs = vec![rule(Action::LabelDrop, "", "__name__", "", "$1")];
        check(&config, "m 1\n", "missing metric name (__name__ label)");
        config.metric_relabel_configs = vec![rule(Action::LabelDrop, "", ".*", "", "$1")];
        check(&config, "m 1\n", "dropped");
    }

    #[test]
    fn names_follow_the_scheme() {
        let mut config = job();
        let line = "{\"a.b\",\"c.d\"=\"1\"} 1\n";
        check(
            &config,
            line,
            r#"{__name__="a.b", "c.d"="1", instance="i", job="j"}"#,
        );
        check(
            &config,
            "m{a=\"1\",a=\"1\"} 1\n",
            "label name \"a\" is not unique: invalid sample",
        );
        config.metric_name_validation_scheme = NameScheme::Legacy;
        assert!(matches!(
            stored(&config, line),
            Err(SeriesError::InvalidNames(_))
        ));
        check(&config, "m 1\n", r#"{__name__="m", instance="i", job="j"}"#);
    }

    #[test]
    fn limits_count_what_is_stored() {
        let line = "metric{a=\"12345\"} 1\n";
        let mut config = job();
        config.limits.label_limit = 4;
        config.limits.label_name_length_limit = 8;
        config.limits.label_value_length_limit = 6;
        assert!(stored(&config, line).is_ok());
        config.limits.label_limit = 3;
        check(
            &config,
            line,
            "label_limit exceeded (metric: metric, number of labels: 4, limit: 3)",
        );
        config.limits.label_limit = 0;
        config.limits.label_name_length_limit = 7;
        check(
            &config,
            line,
            "label_name_length_limit exceeded (metric: metric, label name: __name__, length: 8, limit: 7)",
        );
        config.limits.label_name_length_limit = 0;
        config.limits.label_value_length_limit = 5;
        check(
            &config,
            line,
            "label_value_length_limit exceeded (metric: metric, label name: __name__, value: \"metric\", length: 6, limit: 5)",
        );
    }
}
