use super::iter::timestamp;
use super::parse::{Fault, RawRecord, Skim, Slice, Stream, parse_record};
use super::{Batch, BatchError, BatchHeader, Compression, HeaderFault, NO_TIMESTAMP, RecordFault};

/// Bounds for inflating a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of inflated records (`max.decompressed.message.bytes`, Kafka 4.4). Uncompressed batches are bounded by
    /// their own size.
    pub max_decompressed_bytes: u64,
}

impl Default for Limits {
    /// Kafka's default: 2,147,483,639 bytes.
    fn default() -> Self {
        Self { max_decompressed_bytes: 2_147_483_639 }
    }
}

/// What [`Batch::validate_records`] demands beyond the format: records parse to the last byte, their count is the header's,
/// offset deltas are 0, 1, 2, … up to the last offset delta, time stamps are at least -1 and do not overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Validation {
    /// Bounds for inflating.
    pub limits: Limits,
    /// Refuse records without a key (compacted topics).
    pub require_keys: bool,
}

/// What was learnt from walking through a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordStats {
    /// Largest time stamp of the records (milliseconds), or the log append time. Producers may have put another one into the
    /// header: see [`Batch::set_max_timestamp`].
    pub max_timestamp: i64,
    /// Smallest time stamp of the records, or the log append time.
    pub min_timestamp: i64,
    /// Offset delta of the first record with the largest time stamp.
    pub max_timestamp_delta: i32,
    /// Bytes of the records after inflation.
    pub decompressed_bytes: u64,
}

pub(super) fn validate(batch: &Batch, rules: Validation) -> Result<RecordStats, BatchError> {
    let header = batch.header();
    header.check_record_count()?;
    if header.last_offset_delta.checked_add(1) != Some(header.record_count) {
        return Err(BatchError::InvalidHeader(HeaderFault::LastOffsetDelta));
    }
    let mut walk = Walk { header, rules, max: (i64::MIN, 0), min: i64::MAX };
    let decompressed_bytes = match header.compression()? {
        Compression::None => walk.plain(batch.body())?,
        codec => {
            let inflate = codec.decompress(batch.body().clone(), rules.limits.max_decompressed_bytes)?;
            walk.inflated(&mut Stream::new(inflate))?
        }
    };
    let (max_timestamp, max_timestamp_delta) = walk.max;
    Ok(RecordStats { max_timestamp, min_timestamp: walk.min, max_timestamp_delta, decompressed_bytes })
}

struct Walk<'a> {
    header: &'a BatchHeader,
    rules: Validation,
    max: (i64, i32),
    min: i64,
}

impl Walk<'_> {
    fn plain(&mut self, body: &[u8]) -> Result<u64, BatchError> {
        let mut rest = Slice(body);
        for index in 0..self.header.record_count {
            let record = rest.next_record().and_then(|mut record| parse_record(&mut record, |_, _| ()));
            self.check(index, record).map_err(|fault| fault.at(index))?;
        }
        self.end(rest.0.is_empty())?;
        Ok(body.len() as u64)
    }

    fn inflated(&mut self, stream: &mut Stream) -> Result<u64, BatchError> {
        for index in 0..self.header.record_count {
            let record = stream
                .next_length()
                .and_then(|left| parse_record(&mut Skim { stream: &mut *stream, left }, |(), _| ()));
            self.check(index, record).map_err(|fault| fault.at(index))?;
        }
        self.end(stream.at_end()?)?;
        Ok(stream.produced())
    }

    fn check<F>(&mut self, index: i32, record: Result<RawRecord<F>, Fault>) -> Result<(), Fault> {
        let record = record?;
        if record.offset_delta != index {
            return Err(RecordFault::OffsetDelta.into());
        }
        if self.rules.require_keys && record.key.is_none() {
            return Err(RecordFault::NullKey.into());
        }
        let timestamp = timestamp(self.header, &record)?;
        if timestamp < NO_TIMESTAMP {
            return Err(RecordFault::NegativeTimestamp.into());
        }
        self.min = self.min.min(timestamp);
        if timestamp > self.max.0 {
            self.max = (timestamp, index);
        }
        Ok(())
    }

    fn end(&self, at_end: bool) -> Result<(), BatchError> {
        if at_end { Ok(()) } else { Err(BatchError::record(self.header.record_count, RecordFault::TrailingData)) }
    }
}
