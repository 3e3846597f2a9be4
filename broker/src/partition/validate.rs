//! What a producer's records must be like before they are appended. Pure.
//!
//! Order and answers are Kafka's: exactly one batch of format v2 (KIP-98, KIP-724), base offset 0, size, CRC, header rules, then
//! the records themselves. Records of an uncompressed batch are always looked at. A compressed batch is inflated only when
//! the topic demands it: compaction (keys), another `compression.type`, a `max.decompressed.message.bytes` below Kafka's
//! default, a `message.timestamp.before.max.ms`. Kafka inflates every batch; here the header must do, since inflating costs
//! several times as much as everything else a batch goes through.

mod convert;

use goatq_protocol::record::{
    Batch, BatchError, BatchErrorKind, Compression, Limits, RecordFault, TimestampType, Validation,
};
use goatq_protocol::wire::Records;

use crate::config::TopicConfig;
use crate::config::topic::TopicCompression;

/// Kafka's default of `max.decompressed.message.bytes`: with it no batch has to be inflated just to be measured.
const UNLIMITED: usize = 2_147_483_639;
/// Version of Produce from which zstd may be used (KIP-110).
const ZSTD_VERSION: i16 = 7;
/// Time stamp of a record without one.
const NO_TIMESTAMP: i64 = -1;

/// Why records were refused. Nothing was appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of fault it is.
    pub kind: RefusalKind,
    /// In words, for the client.
    pub message: String,
    /// The records at fault by their index in the batch, if single ones are, with words for each.
    pub records: Vec<(i32, String)>,
}

/// Kinds of [`Refusal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The bytes are not what the producer wrote: CRC or length.
    Corrupt,
    /// The batch or a record breaks the rules.
    Invalid,
    /// A message format before v2.
    Magic,
    /// A codec that does not exist, or not yet in this version of Produce.
    Compression,
    /// Larger than `max.message.bytes`, or inflates to more than `max.decompressed.message.bytes`.
    TooLarge,
    /// A time stamp out of range.
    Timestamp,
}

/// A batch that may be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The batch, changed where the topic demands it.
    pub batch: Batch,
    /// It had to be compressed again.
    pub converted: bool,
}

impl Refusal {
    fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), records: Vec::new() }
    }

    fn of_record(kind: RefusalKind, index: i32, message: String) -> Self {
        // As Kafka words it.
        let summary = format!(
            "One or more records have been rejected due to 1 record errors in total, and only showing the first \
             three errors at most: [RecordError(batchIndex={index}, message='{message}')]"
        );
        Self { kind, message: summary, records: vec![(index, message)] }
    }
}

impl From<BatchError> for Refusal {
    fn from(error: BatchError) -> Self {
        let kind = match error.kind() {
            BatchErrorKind::Corrupt => RefusalKind::Corrupt,
            BatchErrorKind::Invalid => RefusalKind::Invalid,
            BatchErrorKind::UnsupportedMagic => match error {
                BatchError::UnsupportedMagic { magic: 0 | 1 } => RefusalKind::Magic,
                // No format that there ever was: these are not the bytes that the producer wrote.
                _ => RefusalKind::Corrupt,
            },
            BatchErrorKind::UnsupportedCompression => RefusalKind::Compression,
            BatchErrorKind::TooLarge => RefusalKind::TooLarge,
        };
        match error {
            // What single records can be told by; the rest makes the whole batch unreadable.
            BatchError::InvalidRecord {
                index,
                fault: fault @ (RecordFault::NullKey | RecordFault::NegativeTimestamp),
            } => Self::of_record(kind, index, fault.to_string()),
            error => Self::new(kind, error.to_string()),
        }
    }
}

/// Takes the one batch out of what a Produce request of `version` holds for a partition.
///
/// # Errors
/// [`Refusal`]: no or several batches, an old format, a codec that the version does not know.
pub fn single_batch(records: Option<Records>, version: i16) -> Result<Batch, Refusal> {
    let mut bytes = records.unwrap_or_default().into_bytes();
    let batch = match Batch::read(&mut bytes) {
        Ok(batch) => batch,
        Err(BatchError::Truncated { .. }) => {
            let message =
                format!("Produce requests with version {version} must have at least one record batch per partition");
            return Err(Refusal::new(RefusalKind::Invalid, message));
        }
        Err(error) => return Err(error.into()),
    };
    if batch.header().compression()? == Compression::Zstd && version < ZSTD_VERSION {
        let message = format!("Produce requests with version {version} are not allowed to use ZStandard compression");
        return Err(Refusal::new(RefusalKind::Compression, message));
    }
    // As Kafka: a tail that is cut short is no batch, so it is not a second one either.
    if !matches!(Batch::read(&mut bytes), Err(BatchError::Truncated { .. })) {
        let message = format!(
            "Produce requests with version {version} are only allowed to contain exactly one record batch per partition"
        );
        return Err(Refusal::new(RefusalKind::Invalid, message));
    }
    Ok(batch)
}

/// Checks a producer's batch against the rules of its topic and gives it the time stamps and the codec that the topic
/// demands. `now_ms` is wall time.
///
/// # Errors
/// [`Refusal`].
pub fn validate(mut batch: Batch, config: &TopicConfig, now_ms: i64) -> Result<Accepted, Refusal> {
    if batch.header().base_offset != 0 {
        let message =
            format!("The baseOffset of the record batch should be 0, but it is {}", batch.header().base_offset);
        return Err(Refusal::new(RefusalKind::Invalid, message));
    }
    check_size(&batch, config)?;
    batch.verify_crc()?;
    batch.header().check_produced()?;
    let codec = batch.header().compression()?;
    if batch.header().timestamp_type() == TimestampType::LogAppendTime {
        if config.log_append_time {
            let message = "Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime.";
            return Err(Refusal::of_record(RefusalKind::Timestamp, 0, message.to_owned()));
        }
        // On other topics Kafka clears the flag and takes the records' own time stamps.
        batch.set_max_timestamp(batch.header().max_timestamp);
    }
    let target = target_codec(config, codec);
    let inflate = config.compact
        || target.is_some()
        || config.max_decompressed_message_bytes < UNLIMITED
        || (config.timestamp_before_max_ms != i64::MAX && !config.log_append_time);
    let mut times = Times { min: batch.header().base_timestamp, max: batch.header().max_timestamp, max_at: 0 };
    if codec == Compression::None || inflate {
        let limits = Limits { max_decompressed_bytes: config.max_decompressed_message_bytes as u64 };
        let stats = batch.validate_records(Validation { limits, require_keys: config.compact })?;
        times = Times { min: stats.min_timestamp, max: stats.max_timestamp, max_at: stats.max_timestamp_delta };
    }
    if !config.log_append_time {
        times.check(config, now_ms)?;
    }
    if let Some((codec, level)) = target {
        let batch = convert::recompress(&batch, codec, level, config, now_ms)?;
        check_size(&batch, config)?;
        return Ok(Accepted { batch, converted: true });
    }
    if config.log_append_time {
        batch.set_log_append_time(now_ms);
    } else if times.max != batch.header().max_timestamp {
        batch.set_max_timestamp(times.max);
    }
    Ok(Accepted { batch, converted: false })
}

/// The smallest and largest time stamp of a batch.
struct Times {
    min: i64,
    max: i64,
    /// Index of the record with the largest.
    max_at: i32,
}

impl Times {
    fn check(&self, config: &TopicConfig, now_ms: i64) -> Result<(), Refusal> {
        let (before, after) = (config.timestamp_before_max_ms, config.timestamp_after_max_ms);
        let earliest = now_ms.saturating_sub(before);
        let latest = now_ms.saturating_add(after);
        let (timestamp, index) = if self.max != NO_TIMESTAMP && self.max > latest {
            (self.max, self.max_at)
        } else if self.min != NO_TIMESTAMP && self.min < earliest {
            (self.min, 0)
        } else {
            return Ok(());
        };
        let message = format!(
            "Timestamp {timestamp} of message with offset {index} is out of range. The timestamp should be within \
             [{earliest}, {latest}]"
        );
        Err(Refusal::of_record(RefusalKind::Timestamp, index, message))
    }
}

fn check_size(batch: &Batch, config: &TopicConfig) -> Result<(), Refusal> {
    if batch.size() <= config.max_message_bytes {
        return Ok(());
    }
    let message = format!(
        "The record batch size in the append is {} bytes which exceeds the maximum configured value of {}.",
        batch.size(),
        config.max_message_bytes
    );
    Err(Refusal::new(RefusalKind::TooLarge, message))
}

/// The codec and level that a batch with `codec` has to be compressed with again, if the topic demands another one.
fn target_codec(config: &TopicConfig, codec: Compression) -> Option<(Compression, i32)> {
    let TopicCompression::Fixed { codec: wanted, level } = config.compression else { return None };
    let wanted = u8::try_from(wanted).ok().and_then(|wanted| Compression::from_codec(wanted).ok())?;
    (wanted != codec).then_some((wanted, level))
}

#[cfg(test)]
mod tests;
