//! The target that reads what the log holds.

use ferula_model::{Range, TenantId};
use ferula_storage::{Columns, Hints, SelectRequest};
use ferula_tsdb::{Head, HeadSettings, ReplayedRecords};

/// More records make fuzzing slow and find nothing more.
const BODY_BYTES_MAX: usize = 1 << 12;

/// A frame's body: whatever it says, a head that replayed it gives back the samples it counted.
pub fn log_frame(data: &[u8]) {
    if data.len() > BODY_BYTES_MAX {
        return;
    }
    let settings = HeadSettings {
        bytes_max: 1 << 30,
        hash_seed: 1,
    };
    let (head, mut writer) = Head::new(settings);
    let mut found = ReplayedRecords::default();
    writer.replay(data, &mut found);
    writer.replayed();
    let stats = head.stats();
    let gone = found.deleted + found.ended;
    assert_eq!(stats.samples, found.samples - gone, "counted");
    let request = SelectRequest {
        tenant: TenantId::anonymous(),
        matchers: Vec::new(),
        range: Range::ALL,
        hints: Hints::default(),
    };
    let mut columns = Columns::default();
    let mut samples = 0;
    for series in head.select(&request, || ()).0.series {
        columns.clear();
        let decoded = series.source.decode(Range::ALL, &mut columns);
        assert!(decoded.is_ok(), "what was encoded decodes");
        assert!(
            columns.timestamps.is_sorted_by(|a, b| a < b),
            "in order of time"
        );
        samples += columns.len() as u64;
    }
    // Other tenants may have the rest.
    assert!(samples <= stats.samples, "selected");
}
