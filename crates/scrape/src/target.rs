//! From what discovery found to what is scraped. Pure.

use std::time::Duration;

use ferula_config::ScrapeConfig;
use ferula_model::text::duration;
use ferula_model::{Builder, Labels};
use http::Uri;

use crate::timing::Fnv;

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const METRICS_PATH: &str = "__metrics_path__";
const SCRAPE_INTERVAL: &str = "__scrape_interval__";
const SCRAPE_TIMEOUT: &str = "__scrape_timeout__";
const PARAM_PREFIX: &str = "__param_";
const META_PREFIX: &str = "__meta_";
const JOB: &str = "job";
const INSTANCE: &str = "instance";

/// Labels that steer how native histograms are treated, with what stands there unless said
/// otherwise.
const CONTROLS: [&str; 3] = [
    "__convert_classic_histograms_to_nhcb__",
    "__always_scrape_classic_histograms__",
    "__scrape_native_histograms__",
];

/// What is scraped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Everything known after relabelling, `__` labels included.
    pub(crate) all_labels: Labels,
    /// What samples get: the labels without `__` in front.
    pub(crate) labels: Labels,
    /// Where, with the query.
    pub(crate) url: Uri,
    /// From one scrape to the next.
    pub(crate) interval: Duration,
    /// How long a scrape may take.
    pub(crate) timeout: Duration,
}

impl Target {
    /// Tells targets of one pool apart, and spreads them over time: the same after a restart.
    pub(crate) fn identity(&self) -> u64 {
        let hash = format!("{:016}", self.all_labels.hash64());
        Fnv::new()
            .write(hash.as_bytes())
            .write(self.url.to_string().as_bytes())
            .finish()
    }

    /// Equal for targets that make the same samples of the same page, if not at the same times.
    pub(crate) fn kinship(&self) -> (String, Labels) {
        (self.url.to_string(), self.labels.clone())
    }
}

/// Why labels make no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("no address")]
    NoAddress,
    #[error("\"{0}\" is not a valid hostname")]
    Hostname(String),
    #[error("{0}: {1:?} is no duration above zero")]
    Duration(&'static str, String),
    #[error("scrape timeout cannot be greater than scrape interval ({timeout:?} > {interval:?})")]
    TimeoutAboveInterval { timeout: String, interval: String },
    #[error("{0}: {1:?} is neither true nor false")]
    Bool(&'static str, String),
    #[error("\"{0}\" is no URL: {1}")]
    Url(String, String),
}

/// The labels of a target as discovery and configuration give them, before relabelling.
pub(crate) fn discovered(config: &ScrapeConfig, own: &Labels, group: &Labels) -> Builder {
    let mut labels = Builder::from(group);
    for (name, value) in own {
        labels.set(name, value);
    }
    let interval = duration::format(config.scrape_interval);
    let timeout = duration::format(config.scrape_timeout);
    let mut default = |name: &str, value: &str| {
        if labels.get(name).is_empty() {
            labels.set(name, value);
        }
    };
    default(JOB, &config.job_name);
    default(SCRAPE_INTERVAL, &interval);
    default(SCRAPE_TIMEOUT, &timeout);
    default(METRICS_PATH, &config.metrics_path);
    default(SCHEME, &config.scheme);
    for control in CONTROLS {
        default(control, "false");
    }
    for (name, values) in &config.params {
        if let Some(first) = values.first() {
            default(&format!("{PARAM_PREFIX}{name}"), first);
        }
    }
    labels
}

/// The target that the labels found by [`discovered`] mean. `None` if relabelling drops it.
pub(crate) fn target(
    config: &ScrapeConfig,
    mut labels: Builder,
) -> Result<Option<Target>, TargetError> {
    if !ferula_relabel::apply(&config.relabel_configs, &mut labels) {
        return Ok(None);
    }
    let address = labels.get(ADDRESS).to_owned();
    if address.is_empty() {
        return Err(TargetError::NoAddress);
    }
    if address.contains('/') {
        return Err(TargetError::Hostname(address));
    }
    let (interval, timeout) = times(&labels)?;
    for control in CONTROLS {
        let value = labels.get(control);
        if !value.is_empty() && !is_go_bool(value) {
            return Err(TargetError::Bool(control, value.to_owned()));
        }
    }
    labels.retain(|name, _| !name.starts_with(META_PREFIX));
    if labels.get(INSTANCE).is_empty() {
        labels.set(INSTANCE, &address);
    }
    let url = url(config, &labels)?;
    let all_labels = labels.build();
    Ok(Some(Target {
        labels: all_labels.filter(|name| !name.starts_with("__")),
        all_labels,
        url,
        interval,
        timeout,
    }))
}

fn times(labels: &Builder) -> Result<(Duration, Duration), TargetError> {
    let read = |name| {
        let text = labels.get(name);
        match duration::parse(text) {
            Ok(duration) if !duration.is_zero() => Ok(duration),
            _ => Err(TargetError::Duration(name, text.to_owned())),
        }
    };
    let (interval, timeout) = (read(SCRAPE_INTERVAL)?, read(SCRAPE_TIMEOUT)?);
    if timeout > interval {
        return Err(TargetError::TimeoutAboveInterval {
            timeout: labels.get(SCRAPE_TIMEOUT).to_owned(),
            interval: labels.get(SCRAPE_INTERVAL).to_owned(),
        });
    }
    Ok((interval, timeout))
}

/// The texts Go reads as a truth value.
fn is_go_bool(text: &str) -> bool {
    [
        "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False",
    ]
    .contains(&text)
}

fn url(config: &ScrapeConfig, labels: &Builder) -> Result<Uri, TargetError> {
    let mut params: Vec<(&str, Vec<&str>)> = config
        .params
        .iter()
        .map(|(name, values)| (name.as_str(), values.iter().map(String::as_str).collect()))
        .collect();
    for (label, value) in labels.iter() {
        let Some(name) = label.strip_prefix(PARAM_PREFIX) else {
            continue;
        };
        match params.iter_mut().find(|(n, _)| *n == name) {
            Some((_, values)) if !values.is_empty() => values[0] = value,
            Some((_, values)) => values.push(value),
            None => params.push((name, vec![value])),
        }
    }
    params.sort_by_key(|(name, _)| *name);
    let mut text = format!("{}://{}", labels.get(SCHEME), labels.get(ADDRESS));
    let path = labels.get(METRICS_PATH);
    if !path.is_empty() && !path.starts_with('/') {
        text.push('/');
    }
    escape_path(&mut text, path);
    let mut separator = '?';
    for (name, values) in &params {
        for value in values {
            text.push(separator);
            separator = '&';
            escape_query(&mut text, name);
            text.push('=');
            escape_query(&mut text, value);
        }
    }
    match text.parse::<Uri>() {
        Ok(url) if url.host().is_some_and(|h| !h.is_empty()) => Ok(url),
        Ok(_) => Err(TargetError::Url(text, "it has no host".to_owned())),
        Err(error) => Err(TargetError::Url(text, error.to_string())),
    }
}

/// Appends a path, with what cannot stand in one escaped; a `?` would start the query.
fn escape_path(out: &mut String, path: &str) {
    escape(out, path, |b| {
        b.is_ascii_alphanumeric() || b"-_.~/$&+,:;=@".contains(&b)
    });
}

/// Appends a name or value of the query as forms do: a blank is a plus.
fn escape_query(out: &mut String, text: &str) {
    let start = out.len();
    escape(out, text, |b| {
        b.is_ascii_alphanumeric() || b"-_.~ ".contains(&b)
    });
    if out[start..].contains(' ') {
        let plus = out[start..].replace(' ', "+");
        out.replace_range(start.., &plus);
    }
}

fn escape(out: &mut String, text: &str, keep: impl Fn(u8) -> bool) {
    for byte in text.bytes() {
        if keep(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_config::GlobalConfig;
    use ferula_relabel::{Action, Rule, RuleConfig};
    use proptest::prelude::*;

    fn job() -> ScrapeConfig {
        ScrapeConfig::inheriting(&GlobalConfig::default(), "node")
    }

    fn replace(target_label: &str, replacement: &str) -> Rule {
        Rule::new(RuleConfig {
            target_label: target_label.to_owned(),
            replacement: replacement.to_owned(),
            ..RuleConfig::default()
        })
        .expect("a rule")
    }

    fn make(config: &ScrapeConfig, own: &[(&str, &str)]) -> Result<Option<Target>, TargetError> {
        let own = Labels::from_pairs(own.iter().copied());
        let group = Labels::from_pairs([("env", "prod"), ("zone", "a"), ("__meta_x", "y")]);
        target(config, discovered(config, &own, &group))
    }

    #[test]
    fn defaults_fill_what_discovery_leaves_open() {
        let config = job();
        let own = Labels::from_pairs([("__address__", "h:1"), ("env", "dev")]);
        let group = Labels::from_pairs([("env", "prod"), ("__metrics_path__", "/m")]);
        let found = discovered(&config, &own, &group).build();
        assert_eq!(
            found.to_string(),
            r#"{__address__="h:1", __always_scrape_classic_histograms__="false", __convert_classic_histograms_to_nhcb__="false", __metrics_path__="/m", __scheme__="http", __scrape_interval__="1m", __scrape_native_histograms__="false", __scrape_timeout__="10s", env="dev", job="node"}"#
        );
        let target = target(&config, Builder::from(&found)).unwrap().unwrap();
        assert_eq!(
            target.labels.to_string(),
            r#"{env="dev", instance="h:1", job="node"}"#
        );
        assert_eq!(target.url, "http://h:1/m");
        assert_eq!(
            (target.interval.as_secs(), target.timeout.as_secs()),
            (60, 10)
        );
    }

    #[test]
    fn meta_labels_go_and_instance_stays_if_set() {
        let target = make(
            &job(),
            &[("__address__", "h"), ("instance", "i"), ("__tmp", "t")],
        );
        let target = target.unwrap().unwrap();
        assert_eq!(
            target.labels.to_string(),
            r#"{env="prod", instance="i", job="node", zone="a"}"#
        );
        assert_eq!(target.all_labels.get("__tmp"), Some("t"));
        assert_eq!(target.all_labels.get("__meta_x"), None);
    }

    #[test]
    fn relabelling_may_drop_or_break_a_target() {
        let mut config = job();
        config.relabel_configs = vec![
            Rule::new(RuleConfig {
                source_labels: vec!["env".to_owned()],
                regex: "prod".to_owned(),
                action: Action::Drop,
                ..RuleConfig::default()
            })
            .expect("a rule"),
        ];
        assert_eq!(make(&config, &[("__address__", "h")]), Ok(None));
        for (label, value, expected) in [
            (ADDRESS, "", "no address"),
            (ADDRESS, "h/x", "\"h/x\" is not a valid hostname"),
            (
                SCRAPE_INTERVAL,
                "soon",
                "__scrape_interval__: \"soon\" is no duration above zero",
            ),
            (
                SCRAPE_TIMEOUT,
                "0s",
                "__scrape_timeout__: \"0s\" is no duration above zero",
            ),
            (
                SCRAPE_TIMEOUT,
                "2m",
                "scrape timeout cannot be greater than scrape interval (\"2m\" > \"1m\")",
            ),
            (
                CONTROLS[2],
                "maybe",
                "__scrape_native_histograms__: \"maybe\" is neither true nor false",
            ),
            (
                ADDRESS,
                "h h",
                "\"http://h h/metrics\" is no URL: invalid uri character",
            ),
        ] {
            config.relabel_configs = vec![replace(label, value)];
            let error = make(&config, &[("__address__", "h")]).expect_err(expected);
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn urls() {
        let params = |pairs: &[(&str, &[&str])]| -> Vec<(String, Vec<String>)> {
            let own = |v: &&str| (*v).to_owned();
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), v.iter().map(own).collect()))
                .collect()
        };
        let check = |given: &[(&str, &[&str])], own: &[(&str, &str)], expected: &str| {
            let mut config = job();
            config.params = params(given);
            let mut labels = vec![("__address__", "h:1")];
            labels.extend_from_slice(own);
            assert_eq!(make(&config, &labels).unwrap().unwrap().url, expected);
        };
        check(&[("q", &["v1", "v2"])], &[], "http://h:1/metrics?q=v1&q=v2");
        check(
            &[("q", &["v1", "v2"])],
            &[("__param_q", "x")],
            "http://h:1/metrics?q=x&q=v2",
        );
        check(
            &[("q", &[]), ("a", &["1"])],
            &[("__param_m", "a b&c")],
            "http://h:1/metrics?a=1&m=a+b%26c",
        );
        check(
            &[],
            &[("__metrics_path__", "m/ü?x=1")],
            "http://h:1/m/%C3%BC%3Fx=1",
        );
        check(
            &[],
            &[("__address__", "[::1]:9"), ("__scheme__", "https")],
            "https://[::1]:9/metrics",
        );
    }

    #[test]
    fn identity_tells_targets_apart() {
        let make = |own: &[(&str, &str)]| make(&job(), own).unwrap().unwrap();
        let one = make(&[("__address__", "h:1")]);
        assert_eq!(one.identity(), make(&[("__address__", "h:1")]).identity());
        let text = format!("{:016}{}", one.all_labels.hash64(), one.url);
        assert_eq!(one.identity(), Fnv::new().write(text.as_bytes()).finish());
        let slower = make(&[("__address__", "h:1"), ("__scrape_interval__", "2m")]);
        let other = make(&[("__address__", "h:1"), ("x", "1")]);
        assert!(one.identity() != slower.identity() && one.kinship() == slower.kinship());
        assert!(one.identity() != other.identity() && one.kinship() != other.kinship());
    }

    proptest! {
        #[test]
        fn no_labels_panic(
            address in "\\PC{0,12}|[a-z:@\\[\\]0-9.]{0,12}",
            path in "\\PC{0,8}",
            scheme in "https?|\\PC{0,4}",
            param in "\\PC{0,4}",
            times in "[0-9smh]{0,5}",
        ) {
            let own = [
                (ADDRESS, address.as_str()),
                (METRICS_PATH, &path),
                (SCHEME, &scheme),
                (SCRAPE_INTERVAL, &times),
                ("__param_x", &param),
            ];
            if let Ok(Some(target)) = make(&job(), &own) {
                prop_assert_eq!(target.url.scheme_str().is_some(), true);
                prop_assert_eq!(target.labels.value(INSTANCE), address);
            }
        }
    }
}
