use super::Compression;

/// Why a record batch was refused.
///
/// The broker maps [`BatchError::kind`] to a wire error code; the text is for logs and for the error message of a reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the header or before the length that the header states.
    #[error("record batch is cut short: {needed} bytes needed, {available} available")]
    Truncated {
        /// Bytes that the batch (or its header) takes, counted from its first byte.
        needed: u64,
        /// Bytes that were there.
        available: usize,
    },
    /// The length field is below the smallest batch of its format.
    #[error("batch length {length} is smaller than a batch header")]
    InvalidLength {
        /// The length field as received.
        length: i32,
    },
    /// A message format other than v2 (magic 2). Formats 0 and 1 ended with Kafka 4.0 (KIP-724).
    #[error("message format with magic {magic} is not supported")]
    UnsupportedMagic {
        /// The magic byte as received.
        magic: i8,
    },
    /// The CRC-32C over everything behind the CRC field differs from the stored one.
    #[error("batch CRC is {stored:#010x} but its content gives {computed:#010x}")]
    CorruptCrc {
        /// The value in the header.
        stored: u32,
        /// The value computed over the bytes.
        computed: u32,
    },
    /// A header field that contradicts another one or the rules for produced batches.
    #[error("invalid batch header: {0}")]
    InvalidHeader(HeaderFault),
    /// A record inside the batch that contradicts the header or the record format.
    #[error("invalid record {index} of the batch: {fault}")]
    InvalidRecord {
        /// Position of the record within the batch, counted from 0 (`batch_index` of a produce reply).
        index: i32,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// Codec numbers 5 to 7 have no meaning.
    #[error("compression codec {codec} is not known")]
    UnsupportedCompression {
        /// The low three bits of the attributes.
        codec: u8,
    },
    /// The codec refused its input.
    #[error("{codec} data is corrupt: {reason}")]
    Decompress {
        /// The codec that the header names.
        codec: Compression,
        /// The codec's own words.
        reason: String,
    },
    /// The batch inflates to more than [`Limits::max_decompressed_bytes`](super::Limits).
    #[error("the batch inflates to more than {limit} bytes")]
    TooLarge {
        /// The limit that was passed in, in bytes.
        limit: u64,
    },
}

/// The classes of [`BatchError`] that a caller may have to treat differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchErrorKind {
    /// The bytes are not what their sender wrote (CRC or length): `CORRUPT_MESSAGE`.
    Corrupt,
    /// The bytes are intact but break the rules: `INVALID_RECORD`.
    Invalid,
    /// A message format that is not served: `INVALID_RECORD`.
    UnsupportedMagic,
    /// An unknown codec: `UNSUPPORTED_COMPRESSION_TYPE`.
    UnsupportedCompression,
    /// More than the configured size after inflation: `MESSAGE_TOO_LARGE`.
    TooLarge,
}

impl BatchError {
    /// The class of this error.
    pub fn kind(&self) -> BatchErrorKind {
        match self {
            Self::InvalidLength { .. } | Self::CorruptCrc { .. } => BatchErrorKind::Corrupt,
            Self::Truncated { .. } | Self::InvalidHeader(_) | Self::InvalidRecord { .. } | Self::Decompress { .. } => {
                BatchErrorKind::Invalid
            }
            Self::UnsupportedMagic { .. } => BatchErrorKind::UnsupportedMagic,
            Self::UnsupportedCompression { .. } => BatchErrorKind::UnsupportedCompression,
            Self::TooLarge { .. } => BatchErrorKind::TooLarge,
        }
    }

    pub(super) fn record(index: i32, fault: RecordFault) -> Self {
        Self::InvalidRecord { index, fault }
    }
}

/// What is wrong with a batch header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// A producer sends base offset 0; the leader assigns the real one.
    #[error("base offset is not 0")]
    BaseOffset,
    /// The record count is negative, or 0 where records are required.
    #[error("record count is not positive")]
    RecordCount,
    /// The last offset delta is not the record count less one.
    #[error("last offset delta does not match the record count")]
    LastOffsetDelta,
    /// More records than the remaining bytes can hold (an uncompressed record takes at least 7 bytes).
    #[error("record count is larger than the batch can hold")]
    RecordCountTooLarge,
    /// A time stamp below -1 (-1 means none).
    #[error("time stamp is negative")]
    Timestamp,
    /// Only brokers write control batches.
    #[error("control batch from a client")]
    Control,
    /// Only the log cleaner sets a delete horizon.
    #[error("delete horizon from a client")]
    DeleteHorizon,
    /// A producer id without a sequence number or a producer epoch.
    #[error("producer id without epoch or sequence")]
    Sequence,
    /// Transactional without a producer id.
    #[error("transactional batch without producer id")]
    Transactional,
    /// The offsets of the batch do not fit 63 bits.
    #[error("offset overflow")]
    OffsetOverflow,
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The record's bytes end inside a field, or the batch ends before its record count is reached.
    #[error("the data ends inside the record")]
    Truncated,
    /// A length below what its field allows.
    #[error("negative length")]
    NegativeLength,
    /// A length that reaches behind the record or the batch.
    #[error("length reaches behind the end")]
    LengthTooLarge,
    /// A varint that is longer than its type.
    #[error("varint is too long")]
    Varint,
    /// The fields take fewer bytes than the record's length.
    #[error("record length does not match its content")]
    LengthMismatch,
    /// A header count that is negative or larger than the remaining bytes can hold.
    #[error("header count is out of range")]
    HeaderCount,
    /// Offset deltas of a produced batch are 0, 1, 2, …; those of a stored one grow and end at the last offset delta.
    #[error("offset delta is out of order")]
    OffsetDelta,
    /// Base time stamp plus delta leaves the range of a time stamp.
    #[error("time stamp overflow")]
    TimestampOverflow,
    /// A time stamp below -1 (-1 means none).
    #[error("time stamp is negative")]
    NegativeTimestamp,
    /// Compacted topics need a key in every record.
    #[error("compacted topic cannot accept a record without key")]
    NullKey,
    /// Bytes are left behind the last record.
    #[error("data is left behind the last record")]
    TrailingData,
}
