//! Compressing a batch again for a topic that demands another codec (`compression.type`).

use goatq_protocol::record::{Batch, BatchBuilder, BatchOptions, BuildError, Compression, Limits, NewRecord};

use super::{Refusal, RefusalKind};
use crate::config::TopicConfig;

/// Builds the batch anew with `codec`: same records, same producer, the time stamps that the topic demands.
pub(super) fn recompress(
    batch: &Batch,
    codec: Compression,
    level: i32,
    config: &TopicConfig,
    now_ms: i64,
) -> Result<Batch, Refusal> {
    let mut options = BatchOptions::like(batch.header())?;
    options.compression = codec;
    options.compression_level = Some(level);
    options.log_append_time_ms = config.log_append_time.then_some(now_ms);
    let mut builder = BatchBuilder::new(options);
    let limits = Limits { max_decompressed_bytes: config.max_decompressed_message_bytes as u64 };
    for record in batch.records(limits) {
        let record = record?;
        let new = NewRecord {
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &record.headers,
        };
        builder.push_at(record.offset, new).map_err(refusal)?;
    }
    builder.build_batch().map_err(refusal)
}

fn refusal(error: BuildError) -> Refusal {
    let kind = match error {
        BuildError::TooLarge => RefusalKind::TooLarge,
        _ => RefusalKind::Invalid,
    };
    Refusal::new(kind, error.to_string())
}
