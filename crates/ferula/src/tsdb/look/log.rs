//! Whether a shard's head can be brought back: its checkpoint and its log.

use super::data::DataDir;

/// Reads checkpoint and log as a start does, and says what is found; `false` if something is
/// damaged.
pub(super) fn verify(data: &DataDir, shard: u32) -> bool {
    let found = match data.find(shard, false) {
        Ok(found) => found,
        Err(error) => {
            super::say(&format!(
                "DAMAGED  {error:#}\n         restore the directory from a backup; the server does not start like this\n"
            ));
            return false;
        }
    };
    let (log, records) = (&found.replayed, &found.records);
    let head = found.samples.head().stats();
    super::say(&format!(
        "ok       shard {shard}, log: {} segments, {} commits behind the checkpoint; the head has {} samples of {} series\n",
        log.segments, log.frames, head.samples, head.series
    ));
    for what in &log.damage {
        super::say(&format!(
            "DAMAGED  shard {shard}, log: {what}; the server starts with the rest\n"
        ));
    }
    let left_out = records.unknown_series + records.out_of_order + records.bad_records;
    if left_out > 0 {
        let why = records.last_error.map(|e| format!(": {e}"));
        super::say(&format!(
            "DAMAGED  shard {shard}, log: {left_out} records are left out{}\n",
            why.unwrap_or_default()
        ));
    }
    if let Some(torn) = log.tail.as_ref().and_then(|tail| tail.torn) {
        super::say(&format!(
            "note     shard {shard}, log: {} bytes behind its end ({}): a crash left them, or a server is writing\n",
            torn.bytes, torn.why
        ));
    }
    log.damage.is_empty() && left_out == 0
}
