use super::{BatchError, Compression, HeaderFault};

/// Bytes of a v2 batch header: everything before the first record.
pub const BATCH_HEADER_LEN: usize = 61;
/// Bytes of the base offset and length fields, which the length field does not count.
pub const LOG_OVERHEAD: usize = 12;
/// `producer_id` of a batch without producer.
pub const NO_PRODUCER_ID: i64 = -1;
/// `producer_epoch` of a batch without producer.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// `base_sequence` of a batch without sequence numbers.
pub const NO_SEQUENCE: i32 = -1;
/// Time stamp of a record without one.
pub const NO_TIMESTAMP: i64 = -1;
/// `partition_leader_epoch` of a batch that no leader has written yet.
pub const NO_LEADER_EPOCH: i32 = -1;

/// An uncompressed record has at least: length, attributes, time stamp delta, offset delta, key length, value length, header count.
pub(super) const MIN_RECORD_LEN: usize = 7;

/// Where the CRC starts to count: from the attributes to the end of the batch.
pub(super) const CRC_START: usize = 21;
const MAGIC_AT: usize = 16;
/// Batch length of the smallest legacy message (format 0): the bound below which no format makes sense.
const MIN_LEGACY_LENGTH: i32 = 14;

const CODEC_MASK: i16 = 0x07;
pub(super) const TIMESTAMP_TYPE_BIT: i16 = 0x08;
pub(super) const TRANSACTIONAL_BIT: i16 = 0x10;
pub(super) const CONTROL_BIT: i16 = 0x20;
pub(super) const DELETE_HORIZON_BIT: i16 = 0x40;

/// What the time stamps of a batch mean (KIP-32).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampType {
    /// Set by the producer, record by record.
    #[default]
    CreateTime,
    /// Set by the leader: every record has the batch's maximum time stamp.
    LogAppendTime,
}

/// The parsed header of one v2 record batch (KIP-98). Values are as received: [`BatchHeader::parse`] checks only what is
/// needed to find the batch's end; [`BatchHeader::check_produced`] checks what a producer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record; 0 from a producer.
    pub base_offset: i64,
    /// Bytes behind this field: the size of the batch less [`LOG_OVERHEAD`].
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch, -1 from a producer.
    pub partition_leader_epoch: i32,
    /// Message format, always 2.
    pub magic: i8,
    /// CRC-32C of everything behind this field.
    pub crc: u32,
    /// Codec (bits 0-2), time stamp type (3), transactional (4), control (5), delete horizon (6).
    pub attributes: i16,
    /// Offset of the last record less the base offset. Survives compaction even when that record does not.
    pub last_offset_delta: i32,
    /// Time stamp that the records' deltas count from; with the delete horizon flag the horizon itself (milliseconds).
    pub base_timestamp: i64,
    /// Largest time stamp of the batch, or its log append time (milliseconds).
    pub max_timestamp: i64,
    /// Id of the idempotent or transactional producer, or -1.
    pub producer_id: i64,
    /// Epoch of that producer, or -1.
    pub producer_epoch: i16,
    /// Sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// Number of records in the batch.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`.
    ///
    /// Guarantees on success: magic is 2 and `batch_length` covers at least the header, so [`size`](Self::size) is safe to
    /// use for finding the next batch. Does not look at the CRC.
    ///
    /// # Errors
    /// [`BatchError::Truncated`], [`BatchError::InvalidLength`] or [`BatchError::UnsupportedMagic`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let Some(magic) = bytes.get(MAGIC_AT) else {
            return Err(BatchError::Truncated { needed: BATCH_HEADER_LEN as u64, available: bytes.len() });
        };
        let magic = i8::from_ne_bytes([*magic]);
        let batch_length = i32_at(bytes, 8);
        if batch_length < MIN_LEGACY_LENGTH {
            return Err(BatchError::InvalidLength { length: batch_length });
        }
        if magic != 2 {
            return Err(BatchError::UnsupportedMagic { magic });
        }
        if batch_length < (BATCH_HEADER_LEN - LOG_OVERHEAD) as i32 {
            return Err(BatchError::InvalidLength { length: batch_length });
        }
        let Some(head) = bytes.first_chunk::<BATCH_HEADER_LEN>() else {
            return Err(BatchError::Truncated { needed: BATCH_HEADER_LEN as u64, available: bytes.len() });
        };
        Ok(Self {
            base_offset: i64_at(head, 0),
            batch_length,
            partition_leader_epoch: i32_at(head, 12),
            magic,
            crc: u32::from_be_bytes(array_at(head, 17)),
            attributes: i16::from_be_bytes(array_at(head, CRC_START)),
            last_offset_delta: i32_at(head, 23),
            base_timestamp: i64_at(head, 27),
            max_timestamp: i64_at(head, 35),
            producer_id: i64_at(head, 43),
            producer_epoch: i16::from_be_bytes(array_at(head, 51)),
            base_sequence: i32_at(head, 53),
            record_count: i32_at(head, 57),
        })
    }

    /// The header's bytes, as [`parse`](Self::parse) reads them.
    pub fn to_bytes(&self) -> [u8; BATCH_HEADER_LEN] {
        let mut head = [0; BATCH_HEADER_LEN];
        put(&mut head, 0, self.base_offset.to_be_bytes());
        put(&mut head, 8, self.batch_length.to_be_bytes());
        put(&mut head, 12, self.partition_leader_epoch.to_be_bytes());
        put(&mut head, MAGIC_AT, self.magic.to_be_bytes());
        put(&mut head, 17, self.crc.to_be_bytes());
        put(&mut head, CRC_START, self.attributes.to_be_bytes());
        put(&mut head, 23, self.last_offset_delta.to_be_bytes());
        put(&mut head, 27, self.base_timestamp.to_be_bytes());
        put(&mut head, 35, self.max_timestamp.to_be_bytes());
        put(&mut head, 43, self.producer_id.to_be_bytes());
        put(&mut head, 51, self.producer_epoch.to_be_bytes());
        put(&mut head, 53, self.base_sequence.to_be_bytes());
        put(&mut head, 57, self.record_count.to_be_bytes());
        head
    }

    /// Bytes of the whole batch, at least [`BATCH_HEADER_LEN`].
    pub fn size(&self) -> usize {
        LOG_OVERHEAD + usize::try_from(self.batch_length).unwrap_or(0)
    }

    /// Offset of the last record (saturating, so that a corrupt header cannot overflow).
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// Offset behind the last record.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Sequence number of the last record, wrapping from `i32::MAX` to 0; -1 without sequence numbers.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 { NO_SEQUENCE } else { add_sequence(self.base_sequence, self.last_offset_delta) }
    }

    /// Whether the batch holds control records (transaction markers, Raft control records).
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether a producer id is set.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// Whether the log cleaner has set a delete horizon.
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & DELETE_HORIZON_BIT != 0
    }

    /// The time (milliseconds) after which tombstones and markers of the batch may go (KIP-534).
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        self.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// The codec of the records.
    ///
    /// # Errors
    /// [`BatchError::UnsupportedCompression`] for codec numbers 5 to 7.
    pub fn compression(&self) -> Result<Compression, BatchError> {
        Compression::from_codec((self.attributes & CODEC_MASK) as u8)
    }

    /// What the time stamps mean.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & TIMESTAMP_TYPE_BIT == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    /// Checks that need the header only, for a batch that a client produced: base offset 0, a positive record count that
    /// matches the last offset delta and fits the bytes, sane time stamps, no control batch, producer fields consistent,
    /// known codec. Constant time.
    ///
    /// # Errors
    /// [`BatchError::InvalidHeader`] or [`BatchError::UnsupportedCompression`].
    pub fn check_produced(&self) -> Result<(), BatchError> {
        let fault = if self.base_offset != 0 {
            HeaderFault::BaseOffset
        } else if self.is_control() {
            HeaderFault::Control
        } else if self.has_delete_horizon() {
            HeaderFault::DeleteHorizon
        } else if self.record_count <= 0 {
            HeaderFault::RecordCount
        } else if self.last_offset_delta != self.record_count - 1 {
            HeaderFault::LastOffsetDelta
        } else if self.base_timestamp < NO_TIMESTAMP || self.max_timestamp < NO_TIMESTAMP {
            HeaderFault::Timestamp
        } else if self.has_producer_id() && (self.base_sequence < 0 || self.producer_epoch < 0) {
            HeaderFault::Sequence
        } else if self.is_transactional() && !self.has_producer_id() {
            HeaderFault::Transactional
        } else {
            return self.check_record_count();
        };
        Err(BatchError::InvalidHeader(fault))
    }

    /// Refuses a record count that the bytes of an uncompressed batch cannot hold, or a negative one.
    pub(super) fn check_record_count(&self) -> Result<(), BatchError> {
        let Ok(count) = usize::try_from(self.record_count) else {
            return Err(BatchError::InvalidHeader(HeaderFault::RecordCount));
        };
        let body = self.size() - BATCH_HEADER_LEN;
        if self.compression()? == Compression::None && count > body / MIN_RECORD_LEN {
            return Err(BatchError::InvalidHeader(HeaderFault::RecordCountTooLarge));
        }
        Ok(())
    }
}

/// The sequence number `by` records after `sequence`, wrapping from `i32::MAX` to 0 as producers do.
pub fn add_sequence(sequence: i32, by: i32) -> i32 {
    ((i64::from(sequence) + i64::from(by)).rem_euclid(1 << 31)) as i32
}

pub(super) fn put<const N: usize>(head: &mut [u8; BATCH_HEADER_LEN], at: usize, value: [u8; N]) {
    head[at..at + N].copy_from_slice(&value);
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(array_at(bytes, at))
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(array_at(bytes, at))
}
