//! Partitions of this node: the log plus what its leader knows about it.
//!
//! A [`Partition`] is what every API above the log works on: produce and the coordinators append to it, fetch and
//! loading coordinators read from it, and both wait on it. [`PartitionRegistry`] finds them by topic name or id.

pub mod registry;

pub use registry::PartitionRegistry;

use bytes::Bytes;
use goatq_protocol::Uuid;

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record of the batch.
    pub base_offset: i64,
    /// Offset of the last record of the batch.
    pub last_offset: i64,
    /// The broker's time in milliseconds when the topic stamps records itself, else -1.
    pub log_append_time_ms: i64,
    /// First offset of the log at the time of the append.
    pub log_start_offset: i64,
}

/// Why an append by a coordinator was refused.
#[derive(Debug, thiserror::Error)]
pub enum InternalAppendError {
    /// This node does not lead the partition (any more).
    #[error("this node is not the leader of the partition")]
    NotLeader,
    /// The batch is not one well-formed batch, or larger than the topic allows.
    #[error("batch refused: {0}")]
    Invalid(String),
    /// The log directory is out of space or poisoned, or the write failed.
    #[error("storage failed: {0}")]
    Storage(String),
}

/// Why waiting for a commit ended without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Leadership ended or the partition was deleted before the record was committed; it may still survive.
    #[error("this node stopped leading the partition")]
    NotLeader,
    /// The log directory failed: the record will never be acknowledged by this node.
    #[error("the log directory failed")]
    Storage,
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum PartitionReadError {
    /// The offset is below the log start or above the upper bound of the reader.
    #[error("offset is outside {start}..={end}")]
    OutOfRange {
        /// First offset of the log.
        start: i64,
        /// End the reader may see.
        end: i64,
    },
    /// The bytes on disk are damaged or could not be read.
    #[error("storage failed: {0}")]
    Storage(String),
}

/// One partition that this node holds.
pub struct Partition {
    topic: String,
    topic_id: Uuid,
    index: i32,
}

impl Partition {
    /// Name of the topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Id of the topic.
    pub fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    /// Index of the partition in its topic.
    pub fn index(&self) -> i32 {
        self.index
    }

    /// Whether this node leads the partition at present.
    pub fn is_leader(&self) -> bool {
        todo!()
    }

    /// Leader epoch this node knows.
    pub fn leader_epoch(&self) -> i32 {
        todo!()
    }

    /// First offset that can be read.
    pub fn log_start_offset(&self) -> i64 {
        todo!()
    }

    /// Offset of the next record; everything below the high watermark is committed, the rest is not yet.
    pub fn log_end_offset(&self) -> i64 {
        todo!()
    }

    /// End of the committed part: records below it are never lost or changed (invariant 2).
    pub fn high_watermark(&self) -> i64 {
        todo!()
    }

    /// Appends one whole batch made by this node (a coordinator): offsets and epoch are set here.
    /// Synchronous; the record counts once [`Self::wait_committed`] says so.
    ///
    /// # Errors
    /// See [`InternalAppendError`]; nothing was appended then.
    pub fn append_internal(&self, batch: Bytes, now_ms: i64) -> Result<Appended, InternalAppendError> {
        let _ = (batch, now_ms);
        todo!()
    }

    /// Waits until the record at `offset` is committed (high watermark > `offset`). Cancel-safe.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub async fn wait_committed(&self, offset: i64) -> Result<(), CommitError> {
        let _ = offset;
        todo!()
    }

    /// Reads whole batches from the one that holds `offset` up to the high watermark: about `max_bytes`, but at least
    /// one batch when there is one. Each chunk is one or several whole batches; the first may begin below `offset`.
    /// An empty answer means `offset` is the high watermark.
    ///
    /// # Errors
    /// See [`PartitionReadError`].
    pub async fn read_committed_batches(
        &self,
        offset: i64,
        max_bytes: usize,
    ) -> Result<Vec<Bytes>, PartitionReadError> {
        let _ = (offset, max_bytes);
        todo!()
    }
}
