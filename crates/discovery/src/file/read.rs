//! One file of target groups.

use std::collections::BTreeMap;
use std::path::Path;

use ferula_config::{CONFIG_BYTES_MAX, StaticConfig, load_target_groups};
use ferula_diag::Source;
use ferula_env::Disk;
use ferula_model::{LABEL_LEN_MAX, Labels};
use serde::Deserialize;

use crate::TargetGroup;

/// The label with the file's path.
const FILE_PATH: &str = "__meta_filepath";

/// The groups in a file, JSON or YAML by its name. The error says where in the file it is.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<Vec<TargetGroup>, String> {
    let name = path.to_string_lossy();
    let bytes = disk
        .read(path, CONFIG_BYTES_MAX)
        .map_err(|e| e.to_string())?;
    let text = str::from_utf8(&bytes).map_err(|e| {
        let before = &bytes[..e.valid_up_to()];
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        format!("{name}:{line}: not UTF-8")
    })?;
    let json = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("json"));
    let stated = if json {
        from_json(&name, text)?
    } else {
        from_yaml(&name, text)?
    };
    let groups = stated.iter().enumerate().map(|(i, group)| {
        let mut group = TargetGroup::new(format!("{name}:{i}"), group);
        group.labels = group.labels.with(FILE_PATH, &name);
        group
    });
    Ok(groups.collect())
}

fn from_yaml(name: &str, text: &str) -> Result<Vec<StaticConfig>, String> {
    let source = Source::new(name, text);
    load_target_groups(&source).map_err(|findings| {
        let Some(first) = findings.first() else {
            return format!("{name}: not a list of target groups");
        };
        let at = source.position(first.span.start);
        format!("{name}:{}:{}: {}", at.line, at.column, first.message)
    })
}

/// A target group in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    targets: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
}

fn from_json(name: &str, text: &str) -> Result<Vec<StaticConfig>, String> {
    let groups: Option<Vec<Group>> =
        serde_json::from_str(text).map_err(|e| format!("{name}: {e}"))?;
    let groups = groups.unwrap_or_default().into_iter();
    groups.map(|group| group.stated(name)).collect()
}

impl Group {
    fn stated(self, file: &str) -> Result<StaticConfig, String> {
        let labels = self.labels.unwrap_or_default();
        for (name, value) in &labels {
            if name.is_empty() {
                return Err(format!("{file}: a label without a name"));
            }
            if name.len().max(value.len()) > LABEL_LEN_MAX {
                return Err(format!("{file}: a label is too long"));
            }
        }
        Ok(StaticConfig {
            targets: self.targets.unwrap_or_default(),
            labels: Labels::from_pairs(labels),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(json: &str) -> String {
        from_json("f.json", json).unwrap_err()
    }

    #[test]
    fn json() {
        let groups = from_json(
            "f.json",
            r#"[{"targets": ["a:1", "b\/\ud83d\ude00"], "labels": {"x": "y"}}, {"targets": null}]"#,
        );
        let want = StaticConfig {
            targets: vec!["a:1".to_owned(), "b/😀".to_owned()],
            labels: Labels::from_pairs([("x", "y")]),
        };
        assert_eq!(groups.unwrap(), [want, StaticConfig::default()]);
        assert_eq!(from_json("f.json", "null").unwrap(), []);
        assert!(error("").starts_with("f.json: EOF"));
        assert!(error("[null]").contains("line 1 column 5"));
        assert!(error(r#"[{"target": []}]"#).contains("unknown field `target`"));
        assert!(error(r#"[{"labels": {"": "x"}}]"#).contains("without a name"));
        assert!(error(r#"[{"labels": {"a": 1}}]"#).contains("expected a string"));
        assert!(error(&"[".repeat(100_000)).contains("f.json"));
    }

    #[test]
    fn yaml_errors_say_where() {
        let error = from_yaml("f.yml", "- targets: [a]\n- target: b\n").unwrap_err();
        assert_eq!(error, "f.yml:2:3: unknown key `target`");
    }
}
