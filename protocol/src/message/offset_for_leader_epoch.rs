//! OffsetForLeaderEpoch (key 23): finding the end of a leader epoch.

use bytestring::ByteString;

use crate::wire::Message;

/// Asks where leader epochs end, to find where two logs diverge (KIP-101, KIP-320).
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = OffsetForLeaderEpoch, versions = "2-4", flexible = "4+")]
pub struct OffsetForLeaderEpochRequest {
    /// Broker id of a fetching replica, -1 for consumers.
    #[field(versions = "3+", default = "-2")]
    pub replica_id: i32,
    /// The topics.
    pub topics: Vec<OffsetForLeaderTopic>,
}

/// One of [`OffsetForLeaderEpochRequest::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetForLeaderTopic {
    /// Name of the topic.
    pub topic: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<OffsetForLeaderPartition>,
}

/// One of [`OffsetForLeaderTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetForLeaderPartition {
    /// Index of the partition.
    pub partition: i32,
    /// Leader epoch that the client knows, -1 if it knows none; another one than the broker's is refused.
    #[field(default = "-1")]
    pub current_leader_epoch: i32,
    /// The epoch whose end is wanted.
    pub leader_epoch: i32,
}

/// The ends of the epochs.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = OffsetForLeaderEpoch, versions = "2-4", flexible = "4+")]
pub struct OffsetForLeaderEpochResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// The topics.
    pub topics: Vec<OffsetForLeaderTopicResult>,
}

/// One of [`OffsetForLeaderEpochResponse::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetForLeaderTopicResult {
    /// Name of the topic.
    pub topic: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<EpochEndOffset>,
}

/// One of [`OffsetForLeaderTopicResult::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct EpochEndOffset {
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// Index of the partition.
    pub partition: i32,
    /// Largest epoch up to the asked one that the leader knows, -1 if none.
    #[field(default = "-1")]
    pub leader_epoch: i32,
    /// End of the epoch, exclusive; -1 if unknown.
    #[field(default = "-1")]
    pub end_offset: i64,
}
