use bytes::Bytes;

use super::header::{CONTROL_BIT, CRC_START, DELETE_HORIZON_BIT, TIMESTAMP_TYPE_BIT, TRANSACTIONAL_BIT, put};
use super::varint::{put_varint, put_varlong, varlong_len};
use super::{
    BATCH_HEADER_LEN, Batch, BatchError, BatchHeader, Compression, LOG_OVERHEAD, NO_LEADER_EPOCH, NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP, RecordHeader, TimestampType,
};

/// The header fields of a batch to be built. The default is an uncompressed batch of a producer without id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchOptions {
    /// Codec of the records.
    pub compression: Compression,
    /// Level of that codec: see [`Compression::compress`].
    pub compression_level: Option<i32>,
    /// Offset of the first record.
    pub base_offset: i64,
    /// Epoch of the leader that writes the batch.
    pub partition_leader_epoch: i32,
    /// Producer id or -1.
    pub producer_id: i64,
    /// Producer epoch or -1.
    pub producer_epoch: i16,
    /// Sequence number of the first record or -1.
    pub base_sequence: i32,
    /// Part of a transaction.
    pub transactional: bool,
    /// Holds control records.
    pub control: bool,
    /// Makes it a batch with this log append time (milliseconds); `None` keeps the records' own time stamps.
    pub log_append_time_ms: Option<i64>,
    /// Delete horizon (milliseconds), set by the log cleaner.
    pub delete_horizon_ms: Option<i64>,
    /// Last offset of the batch where it lies behind the last record, as after compaction.
    pub last_offset: Option<i64>,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            compression: Compression::None,
            compression_level: None,
            base_offset: 0,
            partition_leader_epoch: NO_LEADER_EPOCH,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            transactional: false,
            control: false,
            log_append_time_ms: None,
            delete_horizon_ms: None,
            last_offset: None,
        }
    }
}

impl BatchOptions {
    /// The options that rebuild a batch with this header from some of its records, as the log cleaner does: same offsets,
    /// producer and flags, same codec at its default level.
    ///
    /// # Errors
    /// [`BatchError::UnsupportedCompression`].
    pub fn like(header: &BatchHeader) -> Result<Self, BatchError> {
        Ok(Self {
            compression: header.compression()?,
            compression_level: None,
            base_offset: header.base_offset,
            partition_leader_epoch: header.partition_leader_epoch,
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            transactional: header.is_transactional(),
            control: header.is_control(),
            log_append_time_ms: match header.timestamp_type() {
                TimestampType::CreateTime => None,
                TimestampType::LogAppendTime => Some(header.max_timestamp),
            },
            delete_horizon_ms: header.delete_horizon_ms(),
            last_offset: Some(header.last_offset()),
        })
    }

    fn attributes(&self) -> i16 {
        let flag = |set: bool, bit: i16| if set { bit } else { 0 };
        i16::from(self.compression.codec())
            | flag(self.log_append_time_ms.is_some(), TIMESTAMP_TYPE_BIT)
            | flag(self.transactional, TRANSACTIONAL_BIT)
            | flag(self.control, CONTROL_BIT)
            | flag(self.delete_horizon_ms.is_some(), DELETE_HORIZON_BIT)
    }
}

/// A record to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NewRecord<'a> {
    /// Time stamp in milliseconds, -1 for none.
    pub timestamp: i64,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value.
    pub value: Option<&'a [u8]>,
    /// Headers, in order.
    pub headers: &'a [RecordHeader],
}

/// Why a batch could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A batch with all its overhead has at most `i32::MAX` bytes.
    #[error("record batch exceeds 2 GiB")]
    TooLarge,
    /// Offsets must grow and stay within `i32::MAX` of the base offset.
    #[error("offset {offset} does not fit the batch")]
    Offset {
        /// The refused offset.
        offset: i64,
    },
    /// Time stamps further apart than 64 bits can say.
    #[error("time stamp {timestamp} is too far from the first one of the batch")]
    Timestamp {
        /// The refused time stamp.
        timestamp: i64,
    },
    /// The codec failed.
    #[error("compression failed: {0}")]
    Compress(#[from] std::io::Error),
}

/// Writes one record batch. Holds the uncompressed records until [`build`](Self::build).
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    options: BatchOptions,
    /// Room for the header, then the records.
    buffer: Vec<u8>,
    base_timestamp: Option<i64>,
    max_timestamp: i64,
    last_delta: i32,
    count: i32,
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new(options: BatchOptions) -> Self {
        let base_timestamp = options.delete_horizon_ms;
        let buffer = vec![0; BATCH_HEADER_LEN];
        Self { options, buffer, base_timestamp, max_timestamp: NO_TIMESTAMP, last_delta: -1, count: 0 }
    }

    /// Appends a record at the next offset.
    ///
    /// # Errors
    /// [`BuildError`]; the builder is unchanged then.
    pub fn push(&mut self, record: NewRecord<'_>) -> Result<(), BuildError> {
        let delta = i64::from(self.last_delta) + 1;
        self.push_at(self.options.base_offset.saturating_add(delta), record)
    }

    /// Appends a record at `offset`, which must lie behind the last one.
    ///
    /// # Errors
    /// [`BuildError`]; the builder is unchanged then.
    pub fn push_at(&mut self, offset: i64, record: NewRecord<'_>) -> Result<(), BuildError> {
        let delta = offset.checked_sub(self.options.base_offset).and_then(|delta| i32::try_from(delta).ok());
        let delta = delta.filter(|delta| *delta > self.last_delta).ok_or(BuildError::Offset { offset })?;
        let base = self.base_timestamp.unwrap_or(record.timestamp);
        let timestamp_delta =
            record.timestamp.checked_sub(base).ok_or(BuildError::Timestamp { timestamp: record.timestamp })?;
        let len = record_len(timestamp_delta, delta, &record);
        let size = self.size().saturating_add(len).saturating_add(varlong_len(len as i64));
        let len = i32::try_from(len).ok().filter(|_| size <= i32::MAX as usize).ok_or(BuildError::TooLarge)?;
        put_varint(&mut self.buffer, len);
        put_record(&mut self.buffer, timestamp_delta, delta, &record);
        self.base_timestamp = Some(base);
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.last_delta = delta;
        self.count += 1;
        Ok(())
    }

    /// Records so far.
    pub fn record_count(&self) -> usize {
        self.count.unsigned_abs() as usize
    }

    /// Bytes of the batch so far, before compression.
    pub fn size(&self) -> usize {
        self.buffer.len()
    }

    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Compresses the records, fills in the header and its CRC. A batch without records is written too: the log cleaner needs
    /// such ones, a producer may not send them.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(self) -> Result<Bytes, BuildError> {
        let mut header = self.header()?;
        let mut buffer = match self.options.compression {
            Compression::None => self.buffer,
            _ if self.count == 0 => {
                header.attributes &= !0x07;
                self.buffer
            }
            codec => {
                let mut packed = Vec::with_capacity(BATCH_HEADER_LEN + (self.buffer.len() - BATCH_HEADER_LEN) / 2);
                packed.resize(BATCH_HEADER_LEN, 0);
                codec.compress(self.options.compression_level, &self.buffer[BATCH_HEADER_LEN..], &mut packed)?;
                packed
            }
        };
        header.batch_length = i32::try_from(buffer.len() - LOG_OVERHEAD).map_err(|_| BuildError::TooLarge)?;
        let mut head = header.to_bytes();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[CRC_START..]), &buffer[BATCH_HEADER_LEN..]);
        put(&mut head, 17, crc.to_be_bytes());
        buffer[..BATCH_HEADER_LEN].copy_from_slice(&head);
        Ok(buffer.into())
    }

    /// As [`build`](Self::build), as a [`Batch`] on the same buffer.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build_batch(self) -> Result<Batch, BuildError> {
        Batch::parse(self.build()?).map_err(|_| BuildError::TooLarge)
    }

    fn header(&self) -> Result<BatchHeader, BuildError> {
        let options = &self.options;
        let last_offset_delta = match options.last_offset {
            None => self.last_delta.max(0),
            Some(offset) => {
                let delta = offset.checked_sub(options.base_offset).and_then(|delta| i32::try_from(delta).ok());
                delta.filter(|delta| *delta >= self.last_delta.max(0)).ok_or(BuildError::Offset { offset })?
            }
        };
        Ok(BatchHeader {
            base_offset: options.base_offset,
            batch_length: 0,
            partition_leader_epoch: options.partition_leader_epoch,
            magic: 2,
            crc: 0,
            attributes: options.attributes(),
            last_offset_delta,
            base_timestamp: self.base_timestamp.unwrap_or(NO_TIMESTAMP),
            max_timestamp: options.log_append_time_ms.unwrap_or(self.max_timestamp),
            producer_id: options.producer_id,
            producer_epoch: options.producer_epoch,
            base_sequence: options.base_sequence,
            record_count: self.count,
        })
    }
}

fn nullable_len(field: Option<&[u8]>) -> usize {
    field.map_or(1, |field| varlong_len(field.len() as i64).saturating_add(field.len()))
}

fn record_len(timestamp_delta: i64, offset_delta: i32, record: &NewRecord<'_>) -> usize {
    let headers = record.headers.iter().fold(varlong_len(record.headers.len() as i64), |sum, header| {
        sum.saturating_add(nullable_len(Some(&header.key))).saturating_add(nullable_len(header.value.as_deref()))
    });
    (1 + varlong_len(timestamp_delta) + varlong_len(i64::from(offset_delta)))
        .saturating_add(nullable_len(record.key))
        .saturating_add(nullable_len(record.value))
        .saturating_add(headers)
}

fn put_record(out: &mut Vec<u8>, timestamp_delta: i64, offset_delta: i32, record: &NewRecord<'_>) {
    out.push(0);
    put_varlong(out, timestamp_delta);
    put_varint(out, offset_delta);
    put_nullable(out, record.key);
    put_nullable(out, record.value);
    put_varlong(out, record.headers.len() as i64);
    for header in record.headers {
        put_nullable(out, Some(&header.key));
        put_nullable(out, header.value.as_deref());
    }
}

fn put_nullable(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        None => put_varint(out, -1),
        Some(field) => {
            put_varlong(out, field.len() as i64);
            out.extend_from_slice(field);
        }
    }
}
