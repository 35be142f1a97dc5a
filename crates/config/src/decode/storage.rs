//! The `storage` section.

use ferula_diag::Diagnostic;

use super::values;
use crate::yaml::{Cx, NodeId};
use crate::{RetentionConfig, StorageConfig, keys};

/// A disk has no more than this.
const PERCENT_MAX: u64 = 100;

pub(super) fn storage(cx: &mut Cx<'_>, node: NodeId, storage: &mut StorageConfig) {
    let Some(fields) = cx.fields(node, &keys::STORAGE) else {
        return;
    };
    if let Some(exemplars) = fields.pair("exemplars") {
        cx.fields(exemplars.value, &keys::EXEMPLARS);
    }
    let Some(tsdb) = fields.pair("tsdb") else {
        return;
    };
    let Some(fields) = cx.fields(tsdb.value, &keys::TSDB) else {
        return;
    };
    let window = &mut storage.out_of_order_time_window;
    fields.read(cx, "out_of_order_time_window", values::duration, window);
    if let Some(encoding) = fields.pair("chunk_encoding") {
        cx.fields(encoding.value, &keys::CHUNK_ENCODING);
    }
    if let Some(pair) = fields.pair("retention")
        && !cx.is_null(pair.value)
    {
        storage.retention = retention(cx, pair.value);
    }
}

fn retention(cx: &mut Cx<'_>, node: NodeId) -> Option<RetentionConfig> {
    let fields = cx.fields(node, &keys::RETENTION)?;
    let mut retention = RetentionConfig::default();
    fields.read(cx, "time", values::duration, &mut retention.time);
    fields.read(cx, "size", values::size, &mut retention.size);
    fields.read(cx, "percentage", Cx::count, &mut retention.percentage);
    if retention.percentage > PERCENT_MAX
        && let Some(span) = fields.span(cx, "percentage")
    {
        let message = format!("a disk has no more than {PERCENT_MAX} percent");
        cx.report(Diagnostic::error("E-config-value", span, message));
    }
    Some(retention)
}
