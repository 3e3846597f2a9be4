//! OffsetCommit (key 8): committing offsets of a group.
//!
//! Version 9 brings member epochs (KIP-848), 10 topic ids.

use bytestring::ByteString;

use crate::Uuid;
use crate::wire::Message;

/// Commits offsets of a group.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = OffsetCommit, versions = "2-10", flexible = "8+")]
pub struct OffsetCommitRequest {
    /// Id of the group.
    pub group_id: ByteString,
    /// Generation of the classic group, or epoch of the member of a consumer group; -1 for an offset committed from
    /// outside of a group.
    #[field(default = "-1")]
    pub generation_id_or_member_epoch: i32,
    /// Id that the coordinator gave to the member; empty for a member that has none yet.
    pub member_id: ByteString,
    /// Configured id of a static member; null for a dynamic one.
    #[field(versions = "7+")]
    pub group_instance_id: Option<ByteString>,
    /// How long the offsets are kept, ms; -1 for as long as the broker wants.
    #[field(versions = "2-4", default = "-1")]
    pub retention_time_ms: i64,
    /// The topics.
    pub topics: Vec<OffsetCommitRequestTopic>,
}

/// One of [`OffsetCommitRequest::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetCommitRequestTopic {
    /// Id of the topic, zero if unknown.
    #[field(versions = "10+")]
    pub topic_id: Uuid,
    /// Name of the topic.
    #[field(versions = "2-9")]
    pub name: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<OffsetCommitRequestPartition>,
}

/// One of [`OffsetCommitRequestTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetCommitRequestPartition {
    /// Index of the partition.
    pub partition_index: i32,
    /// The offset of the next record to consume; -1 when none is committed.
    pub committed_offset: i64,
    /// Leader epoch of the last consumed record, -1 if unknown.
    #[field(versions = "6+", default = "-1")]
    pub committed_leader_epoch: i32,
    /// Free text stored with the offset.
    pub committed_metadata: Option<ByteString>,
}

/// What became of each partition.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = OffsetCommit, versions = "2-10", flexible = "8+")]
pub struct OffsetCommitResponse {
    /// How long the broker holds the client back because of a quota, ms.
    #[field(versions = "3+")]
    pub throttle_time_ms: i32,
    /// The topics.
    pub topics: Vec<OffsetCommitResponseTopic>,
}

/// One of [`OffsetCommitResponse::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetCommitResponseTopic {
    /// Id of the topic, zero if unknown.
    #[field(versions = "10+")]
    pub topic_id: Uuid,
    /// Name of the topic.
    #[field(versions = "2-9")]
    pub name: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<OffsetCommitResponsePartition>,
}

/// One of [`OffsetCommitResponseTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetCommitResponsePartition {
    /// Index of the partition.
    pub partition_index: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
}
