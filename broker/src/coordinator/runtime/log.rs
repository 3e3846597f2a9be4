//! The log as a coordinator sees it, whatever is below.

use bytes::Bytes;
use futures_util::future::BoxFuture;

/// Why records did not become part of the committed log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WriteError {
    /// Another node, or a later epoch of this one, leads the partition.
    #[error("this node does not lead the partition in this epoch")]
    NotLeader,
    /// The batch is larger than the topic allows.
    #[error("the records are too large for one batch")]
    TooLarge,
    /// The log directory refuses writes.
    #[error("the log directory failed")]
    Storage,
    /// Appended, but not committed in time; it may be later.
    #[error("not committed in time")]
    TimedOut,
}

/// Why a log could not be replayed.
#[derive(Debug, thiserror::Error)]
#[error("the log cannot be read: {0}")]
pub(crate) struct LogReadError(pub(crate) String);

/// One partition that this node leads in one epoch. Implemented over the node's partitions, and in memory for tests.
pub(crate) trait CoordinatorLog: Send + Sync + 'static {
    /// Appends one whole batch; offsets are set by the log. Synchronous. Returns the offset of its first record.
    ///
    /// # Errors
    /// See [`WriteError`]; nothing was appended then.
    fn append(&self, batch: Bytes, now_ms: i64) -> Result<i64, WriteError>;

    /// First offset of the log.
    fn start_offset(&self) -> i64;

    /// Offset of the next record.
    fn end_offset(&self) -> i64;

    /// End of the committed part.
    fn high_watermark(&self) -> i64;

    /// Completes when everything below `end` is committed. Fails when this node stops leading in this epoch.
    fn committed(&self, end: i64) -> BoxFuture<'_, Result<(), WriteError>>;

    /// Whole committed batches from the one that holds `offset` on, about `max_bytes` of them; each chunk holds one
    /// or more. Empty at the high watermark.
    fn read(&self, offset: i64, max_bytes: usize) -> BoxFuture<'_, Result<Vec<Bytes>, LogReadError>>;

    /// Largest batch that the log takes, in bytes.
    fn max_batch_bytes(&self) -> usize;
}
