//! OffsetDelete (key 47): deleting committed offsets.

use bytestring::ByteString;

use crate::wire::Message;

/// Deletes committed offsets of a group (KIP-496).
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = OffsetDelete, versions = "0")]
pub struct OffsetDeleteRequest {
    /// Id of the group.
    pub group_id: ByteString,
    /// The topics.
    pub topics: Vec<OffsetDeleteRequestTopic>,
}

/// One of [`OffsetDeleteRequest::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetDeleteRequestTopic {
    /// Name of the topic.
    pub name: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<OffsetDeleteRequestPartition>,
}

/// One of [`OffsetDeleteRequestTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetDeleteRequestPartition {
    /// Index of the partition.
    pub partition_index: i32,
}

/// What became of each partition.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = OffsetDelete, versions = "0")]
pub struct OffsetDeleteResponse {
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// The topics.
    pub topics: Vec<OffsetDeleteResponseTopic>,
}

/// One of [`OffsetDeleteResponse::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetDeleteResponseTopic {
    /// Name of the topic.
    pub name: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<OffsetDeleteResponsePartition>,
}

/// One of [`OffsetDeleteResponseTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetDeleteResponsePartition {
    /// Index of the partition.
    pub partition_index: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
}
