//! `label_replace` and `label_join`.

use ferula_model::{LABEL_LEN_MAX, Labels, METRIC_NAME};

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
            self.check()?;
            let meta = frame.meta(i);
            if let Some((labels, names)) = change(relabel, meta.labels)? {
                let drop_name = meta.drop_name && !names;
                frame.set_key(i, Key { labels, drop_name })?;
            }
        }
        frame.merge_same_labels()
    }
}

/// The changed labels, and whether the metric got a name of its own; `None` if the labels stay.
fn change(relabel: &Relabel, labels: &Labels) -> Result<Option<(Labels, bool)>, QueryError> {
    let (target, value) = match relabel {
        Relabel::Replace {
            target,
            template,
            source,
            regex,
        } => {
            let Some(captures) = regex.captures(labels.value(source)) else {
                return Ok(None);
            };
            check_len("label_replace", target, template.expanded_len(&captures))?;
            let mut value = String::new();
            template.expand(&captures, &mut value);
            (target, value)
        }
        Relabel::Join {
            target,
            separator,
            sources,
        } => {
            let values: Vec<&str> = sources.iter().map(|s| labels.value(s)).collect();
            let separators = separator.len() * values.len().saturating_sub(1);
            let lens = values.iter().map(|value| value.len());
            check_len("label_join", target, lens.sum::<usize>() + separators)?;
            (target, values.join(separator))
        }
    };
    Ok(Some((labels.with(target, &value), target == METRIC_NAME)))
}

/// Refuses a value before it is made.
fn check_len(function: &str, target: &str, len: usize) -> Result<(), QueryError> {
    if len <= LABEL_LEN_MAX {
        return Ok(());
    }
    Err(QueryError::execution(format!(
        "{function}() would set label {target:?} to a value of {len} bytes, more than the {LABEL_LEN_MAX} a label may have"
    )))
}
