//! `label_replace` and `label_join`.

use ferula_model::{Labels, METRIC_NAME};

use super::row::Key;
use super::{Exec, Frame};
use crate::error::QueryError;
use crate::plan::{Grid, Node, Relabel};

impl<'q> Exec<'q> {
    /// Changes labels; series that end up with the same ones become one.
    pub(super) fn relabel(
        &self,
        relabel: &Relabel,
        child: &Node,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        let mut frame = self.frame(child, grid)?;
        for i in 0..frame.len() {
            let meta = frame.meta(i);
            if let Some((labels, names)) = change(relabel, meta.labels) {
                let drop_name = meta.drop_name && !names;
                frame.set_key(i, Key { labels, drop_name });
            }
        }
        frame.merge_same_labels()
    }
}

/// The changed labels, and whether the metric got a name of its own; `None` if the labels stay.
fn change(relabel: &Relabel, labels: &Labels) -> Option<(Labels, bool)> {
    match relabel {
        Relabel::Replace {
            target,
            template,
            source,
            regex,
        } => {
            let captures = regex.captures(labels.value(source))?;
            let mut value = String::new();
            template.expand(&captures, &mut value);
            Some((labels.with(target, &value), target == METRIC_NAME))
        }
        Relabel::Join {
            target,
            separator,
            sources,
        } => {
            let values: Vec<&str> = sources.iter().map(|s| labels.value(s)).collect();
            let value = values.join(separator);
            Some((labels.with(target, &value), target == METRIC_NAME))
        }
    }
}
