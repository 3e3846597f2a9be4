use bytes::Bytes;

use super::header::{CRC_START, TIMESTAMP_TYPE_BIT, put};
use super::{
    BATCH_HEADER_LEN, BatchError, BatchHeader, HeaderFault, LOG_OVERHEAD, Limits, RecordIter, RecordStats,
    TimestampType, Validation, validate,
};

/// One v2 record batch: the 61 header bytes, which the leader may change, and the records behind them as a shared slice of
/// the buffer they came in.
///
/// Nothing but the header is ever copied: a batch read from a socket, appended to a segment and sent to a consumer stays the
/// same `body`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    header: BatchHeader,
    head: [u8; BATCH_HEADER_LEN],
    body: Bytes,
}

impl Batch {
    /// A batch from bytes that hold exactly it. Checks lengths and magic, neither CRC nor content.
    ///
    /// # Errors
    /// As [`BatchHeader::parse`]; [`BatchError::InvalidLength`] when bytes are left behind the batch.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let mut rest = bytes;
        let batch = Self::read(&mut rest)?;
        if rest.is_empty() { Ok(batch) } else { Err(BatchError::InvalidLength { length: batch.header.batch_length }) }
    }

    /// Cuts the first batch off `bytes`, which moves behind it. On error `bytes` stays as it was.
    ///
    /// # Errors
    /// As [`BatchHeader::parse`]; [`BatchError::Truncated`] when the batch is longer than `bytes`.
    pub fn read(bytes: &mut Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let size = header.size();
        if bytes.len() < size {
            return Err(BatchError::Truncated { needed: size as u64, available: bytes.len() });
        }
        let mut head = [0; BATCH_HEADER_LEN];
        head.copy_from_slice(&bytes[..BATCH_HEADER_LEN]);
        let body = bytes.split_to(size).slice(BATCH_HEADER_LEN..);
        Ok(Self { header, head, body })
    }

    /// The parsed header; always equal to what [`head`](Self::head) says.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The header as bytes.
    pub fn head(&self) -> &[u8; BATCH_HEADER_LEN] {
        &self.head
    }

    /// The records as bytes, compressed as the header says.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Bytes of the whole batch.
    pub fn size(&self) -> usize {
        BATCH_HEADER_LEN + self.body.len()
    }

    /// Header and records, for a vectored write.
    pub fn chunks(&self) -> [&[u8]; 2] {
        [&self.head, &self.body]
    }

    /// Header (copied) and records (shared), for a reply that outlives the batch.
    pub fn to_chunks(&self) -> [Bytes; 2] {
        [Bytes::copy_from_slice(&self.head), self.body.clone()]
    }

    /// The whole batch in one new buffer. Copies: for tests and small batches.
    pub fn to_bytes(&self) -> Bytes {
        Bytes::from(self.chunks().concat())
    }

    /// Compares the CRC-32C of the content with the stored one.
    ///
    /// # Errors
    /// [`BatchError::CorruptCrc`].
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let computed = self.compute_crc();
        if computed == self.header.crc {
            Ok(())
        } else {
            Err(BatchError::CorruptCrc { stored: self.header.crc, computed })
        }
    }

    /// Sets base offset and leader epoch. Both lie outside the CRC.
    ///
    /// # Errors
    /// [`HeaderFault::OffsetOverflow`] when the last offset would leave `0..i64::MAX`; the batch is unchanged then.
    pub fn assign(&mut self, base_offset: i64, leader_epoch: i32) -> Result<(), BatchError> {
        let last = base_offset.checked_add(i64::from(self.header.last_offset_delta));
        if base_offset < 0 || last.is_none_or(|last| last < base_offset || last == i64::MAX) {
            return Err(BatchError::InvalidHeader(HeaderFault::OffsetOverflow));
        }
        self.header.base_offset = base_offset;
        self.header.partition_leader_epoch = leader_epoch;
        put(&mut self.head, 0, base_offset.to_be_bytes());
        put(&mut self.head, 12, leader_epoch.to_be_bytes());
        Ok(())
    }

    /// Turns the batch into one with log append time: every record then has time stamp `now_ms`. Recomputes the CRC, so
    /// verify the old one first.
    pub fn set_log_append_time(&mut self, now_ms: i64) {
        self.set_time(TimestampType::LogAppendTime, now_ms);
    }

    /// Corrects the maximum of producer-set time stamps (see [`RecordStats::max_timestamp`]). Recomputes the CRC.
    pub fn set_max_timestamp(&mut self, max_timestamp: i64) {
        self.set_time(TimestampType::CreateTime, max_timestamp);
    }

    fn set_time(&mut self, kind: TimestampType, max_timestamp: i64) {
        match kind {
            TimestampType::CreateTime => self.header.attributes &= !TIMESTAMP_TYPE_BIT,
            TimestampType::LogAppendTime => self.header.attributes |= TIMESTAMP_TYPE_BIT,
        }
        self.header.max_timestamp = max_timestamp;
        self.seal();
    }

    /// The batch without its records: what the log cleaner leaves of a producer's last batch, so that its sequence numbers
    /// and the offset range stay known.
    #[must_use]
    pub fn emptied(&self) -> Self {
        let mut empty = self.clone();
        empty.body = Bytes::new();
        empty.header.attributes &= !0x07;
        empty.header.record_count = 0;
        empty.header.batch_length = (BATCH_HEADER_LEN - LOG_OVERHEAD) as i32;
        empty.seal();
        empty
    }

    /// The records one after the other, inflated as a stream. Slices of `body` when the batch is not compressed, else one
    /// buffer per record. Errors (also an unknown codec) come as items; nothing follows an error.
    pub fn records(&self, limits: Limits) -> RecordIter {
        RecordIter::new(self, limits)
    }

    /// Walks through all records without keeping any: see [`Validation`].
    ///
    /// # Errors
    /// Any of [`BatchError`] but those about length and CRC.
    pub fn validate_records(&self, rules: Validation) -> Result<RecordStats, BatchError> {
        validate::validate(self, rules)
    }

    fn seal(&mut self) {
        self.head = self.header.to_bytes();
        self.header.crc = self.compute_crc();
        put(&mut self.head, 17, self.header.crc.to_be_bytes());
    }

    fn compute_crc(&self) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.head[CRC_START..]), &self.body)
    }
}

/// Cuts a record set into batches. Checks lengths and magic only. After an error nothing more comes.
pub fn split(bytes: &Bytes) -> Split {
    Split { rest: bytes.clone() }
}

/// Iterator of [`split`].
#[derive(Debug, Clone)]
pub struct Split {
    rest: Bytes,
}

impl Split {
    /// The bytes that have not been cut yet: empty after the last batch.
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }
}

impl Iterator for Split {
    type Item = Result<Batch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = Batch::read(&mut self.rest);
        if batch.is_err() {
            self.rest = Bytes::new();
        }
        Some(batch)
    }
}

impl std::iter::FusedIterator for Split {}
