//! Errors of a partition log, one enum per operation.

use std::io;

/// Why an append was refused. Nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The first sequence of the batch does not follow the last one of its producer.
    #[error("producer {producer_id} sent sequence {got} at epoch {epoch}, expected {expected}")]
    OutOfOrderSequence {
        /// Producer id of the batch.
        producer_id: i64,
        /// Producer epoch of the batch.
        epoch: i16,
        /// Its first sequence.
        got: i32,
        /// The sequence that would have followed; 0 for a new epoch.
        expected: i32,
    },
    /// The producer was fenced by one with a newer epoch.
    #[error("producer {producer_id} sent epoch {got}, the newest is {current}")]
    InvalidProducerEpoch {
        /// Producer id of the batch.
        producer_id: i64,
        /// Its epoch.
        got: i16,
        /// The newest epoch in this log.
        current: i16,
    },
    /// A plain batch inside the producer's own open transaction.
    #[error("producer {producer_id} sent a non-transactional batch inside its transaction")]
    InvalidTxnState {
        /// Producer id of the batch.
        producer_id: i64,
    },
    /// A transaction marker from a coordinator that was replaced.
    #[error("marker of producer {producer_id} from coordinator epoch {got}, the newest is {current}")]
    CoordinatorFenced {
        /// Producer id of the marker.
        producer_id: i64,
        /// Coordinator epoch of the marker.
        got: i32,
        /// The newest coordinator epoch seen for this producer.
        current: i32,
    },
    /// The batches of one append do not fit in a segment.
    #[error("{size} bytes in one append, segments hold {limit}")]
    TooLarge {
        /// Bytes of the append.
        size: u64,
        /// `segment.bytes`.
        limit: u64,
    },
    /// A batch has fields that cannot be stored: a negative record span, an offset or timestamp out of range, no records.
    #[error("malformed batch: {0}")]
    Malformed(&'static str),
    /// A replicated batch begins below the end of the log, or its offsets go back.
    #[error("replicated batch begins at {got}, the log ends at {end}")]
    UnexpectedOffset {
        /// Base offset of the batch.
        got: i64,
        /// End of the log, or of the batch before.
        end: i64,
    },
    /// The disk reserve is reached (clients), or the disk is full: nothing is appended until there is room again.
    #[error("there is no room on the disk")]
    OutOfSpace,
    /// A write or sync failed in this log directory before; nothing is appended any more.
    #[error("the log directory failed earlier")]
    Poisoned,
    /// The log was closed or deleted.
    #[error("the log is closed")]
    Closed,
    /// A file could not be opened or written. A failed write has poisoned the directory.
    #[error("append failed: {0}")]
    Io(#[from] io::Error),
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The offset is below the start or beyond the end of the log.
    #[error("offset {offset} is outside {start}..={end}")]
    OutOfRange {
        /// The offset asked for.
        offset: i64,
        /// The log start offset.
        start: i64,
        /// The log end offset.
        end: i64,
    },
    /// The bytes at the offset are damaged.
    #[error("damaged data at offset {offset}, segment {segment}, position {position}: {reason}")]
    Corrupt {
        /// The offset asked for.
        offset: i64,
        /// Base offset of the segment.
        segment: i64,
        /// Byte position of the damage.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The disk failed.
    #[error("read failed: {0}")]
    Io(#[from] io::Error),
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory belongs to another incarnation of the topic.
    #[error("partition.metadata names topic id {found}, expected {expected}")]
    TopicIdMismatch {
        /// The id in the file.
        found: String,
        /// The id asked for.
        expected: String,
    },
    /// `partition.metadata` cannot be understood.
    #[error("partition.metadata: {0}")]
    Metadata(String),
    /// A file name or size that no log of Kafka has.
    #[error("unusable file {name}: {reason}")]
    UnusableFile {
        /// Name of the file.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The disk failed.
    #[error("opening the log failed: {0}")]
    Io(#[from] io::Error),
}

/// Why a change of a log (truncation, retention, compaction, checkpoint) failed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The new start is beyond the limit that the caller gave (the high watermark).
    #[error("offset {offset} is outside {start}..={end}")]
    OutOfRange {
        /// The offset asked for.
        offset: i64,
        /// The log start offset.
        start: i64,
        /// The greatest offset allowed.
        end: i64,
    },
    /// Data that the operation needs is damaged; nothing was changed.
    #[error(transparent)]
    Damaged(ReadError),
    /// A write or sync failed in this log directory before.
    #[error("the log directory failed earlier")]
    Poisoned,
    /// The log was closed or deleted.
    #[error("the log is closed")]
    Closed,
    /// The disk failed. A failed write, sync or rename has poisoned the directory, but for want of room.
    #[error("log operation failed: {0}")]
    Io(#[from] io::Error),
}

impl From<ReadError> for LogError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => LogError::Io(error),
            other => LogError::Damaged(other),
        }
    }
}
