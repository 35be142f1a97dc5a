//! What discovery finds.

use std::collections::HashMap;
use std::sync::Arc;

use ferula_config::StaticConfig;
use ferula_model::Labels;

/// The label that holds a target's `host:port`.
pub const ADDRESS: &str = "__address__";

/// Targets that were found together, with the labels they share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGroup {
    /// Names the group among those of its provider.
    pub source: String,
    /// Each target's own labels, [`ADDRESS`] among them.
    pub targets: Vec<Labels>,
    /// Labels of all of them; a target's own win.
    pub labels: Labels,
}

impl TargetGroup {
    /// A group as a configuration or a target file states it.
    pub fn new(source: impl Into<String>, stated: &StaticConfig) -> Self {
        let targets = stated.targets.iter();
        Self {
            source: source.into(),
            targets: targets
                .map(|target| Labels::from_pairs([(ADDRESS, target)]))
                .collect(),
            labels: stated.labels.clone(),
        }
    }
}

/// The groups of every job by its name: always all of them. A job without targets is there with
/// no groups.
pub type Targets = Arc<HashMap<String, Vec<TargetGroup>>>;
