//! Why work on a partition fails, one enum per operation. The APIs turn them into error codes.

use goatq_storage::error::{AppendError as LogAppendError, LogError, ReadError};

use super::validate::Refusal;

/// Why a producer's records were not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// This node does not lead the partition.
    #[error("this node is not the leader of the partition")]
    NotLeader,
    /// This node stops, and another one is about to lead.
    #[error("this node is about to leave the lead of the partition")]
    HandsOver {
        /// The epoch that is about to end.
        leader_epoch: i32,
    },
    /// Fewer replicas are in sync than the topic demands for `acks=all`.
    #[error("{in_sync} replicas in sync, {wanted} are needed")]
    NotEnoughReplicas {
        /// In sync now.
        in_sync: usize,
        /// `min.insync.replicas`.
        wanted: usize,
    },
    /// The records break the rules.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A transactional batch, but the producer has no transaction on this partition.
    #[error("the producer has no ongoing transaction on this partition")]
    NotInTransaction,
    /// The log refused them or failed.
    #[error(transparent)]
    Log(#[from] LogAppendError),
}

/// Why a follower did not append what its leader sent.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaAppendError {
    /// The batches are damaged.
    #[error("the leader sent damaged batches: {0}")]
    Corrupt(String),
    /// The log refused them or failed.
    #[error(transparent)]
    Append(#[from] LogAppendError),
    /// The log could not begin where the leader's does.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Why an append by a coordinator was refused. Nothing was appended.
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
    /// The offset is below the log start or above the log end.
    #[error("offset is outside {start}..={end}")]
    OutOfRange {
        /// First offset of the log.
        start: i64,
        /// End of the log.
        end: i64,
    },
    /// The bytes on disk are damaged.
    #[error("{what}")]
    Corrupt {
        /// Base offset of the segment.
        segment: i64,
        /// What is wrong with them.
        what: String,
    },
    /// The disk failed.
    #[error("storage failed: {0}")]
    Storage(String),
}

/// Why this node cannot answer for the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeaderError {
    /// Another node leads, or none.
    #[error("this node is not the leader of the partition")]
    NotLeader,
    /// The client knows an older epoch.
    #[error("the leader epoch of the request is older than the broker's")]
    Fenced,
    /// The client knows a newer epoch.
    #[error("the leader epoch of the request is newer than the broker's")]
    UnknownEpoch,
    /// The log directory failed.
    #[error("the log directory failed")]
    Storage,
}

impl From<ReadError> for PartitionReadError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::OutOfRange { start, end, .. } => Self::OutOfRange { start, end },
            ReadError::Corrupt { segment, .. } => Self::Corrupt { segment, what: error.to_string() },
            error @ ReadError::Io(_) => Self::Storage(error.to_string()),
        }
    }
}
