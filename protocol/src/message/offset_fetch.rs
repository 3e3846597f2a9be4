//! OffsetFetch (key 9): reading the committed offsets of groups.
//!
//! Version 7 can demand stable offsets, 8 asks for many groups (KIP-709), 9 brings member epochs (KIP-848), 10 topic
//! ids.

use bytestring::ByteString;

use crate::Uuid;
use crate::wire::Message;

/// Asks for the committed offsets of groups.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = OffsetFetch, versions = "1-10", flexible = "6+")]
pub struct OffsetFetchRequest {
    /// The groups.
    #[field(versions = "8+")]
    pub groups: Vec<OffsetFetchRequestGroup>,
    /// Id of the group. Versions before 8 ask for one group only.
    #[field(versions = "1-7")]
    pub group_id: ByteString,
    /// The partitions wanted; null for all.
    #[field(versions = "1-7", nullable = "2+")]
    pub topics: Option<Vec<OffsetFetchRequestTopic>>,
    /// Whether offsets in open transactions are to be answered with an error instead of the value before.
    #[field(versions = "7+")]
    pub require_stable: bool,
}

/// One of [`OffsetFetchRequest::groups`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetFetchRequestGroup {
    /// Id of the group.
    pub group_id: ByteString,
    /// Id of the asking member of a consumer group; null for none.
    #[field(versions = "9+")]
    pub member_id: Option<ByteString>,
    /// Epoch of the member of a consumer group, -1 for none.
    #[field(versions = "9+", default = "-1")]
    pub member_epoch: i32,
    /// The partitions wanted; null for all.
    pub topics: Option<Vec<OffsetFetchRequestTopics>>,
}

/// One of [`OffsetFetchRequestGroup::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetFetchRequestTopics {
    /// Id of the topic, zero if unknown.
    #[field(versions = "10+")]
    pub topic_id: Uuid,
    /// Name of the topic.
    #[field(versions = "8-9")]
    pub name: ByteString,
    /// Indexes of the partitions.
    pub partition_indexes: Vec<i32>,
}

/// One of [`OffsetFetchRequest::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetFetchRequestTopic {
    /// Name of the topic.
    pub name: ByteString,
    /// Indexes of the partitions.
    pub partition_indexes: Vec<i32>,
}

/// The committed offsets. Before version 8 in `topics`, from then on in `groups`.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = OffsetFetch, versions = "1-10", flexible = "6+")]
pub struct OffsetFetchResponse {
    /// How long the broker holds the client back because of a quota, ms.
    #[field(versions = "3+")]
    pub throttle_time_ms: i32,
    /// The groups.
    #[field(versions = "8+")]
    pub groups: Vec<OffsetFetchResponseGroup>,
    /// The topics.
    #[field(versions = "1-7")]
    pub topics: Vec<OffsetFetchResponseTopic>,
    /// What went wrong; 0 for nothing.
    #[field(versions = "2-7")]
    pub error_code: i16,
}

/// One of [`OffsetFetchResponse::groups`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetFetchResponseGroup {
    /// Id of the group.
    pub group_id: ByteString,
    /// The topics.
    pub topics: Vec<OffsetFetchResponseTopics>,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
}

/// One of [`OffsetFetchResponseGroup::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetFetchResponseTopics {
    /// Id of the topic, zero if unknown.
    #[field(versions = "10+")]
    pub topic_id: Uuid,
    /// Name of the topic.
    #[field(versions = "8-9")]
    pub name: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<OffsetFetchResponsePartitions>,
}

/// One of [`OffsetFetchResponseTopics::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetFetchResponsePartitions {
    /// Index of the partition.
    pub partition_index: i32,
    /// The offset of the next record to consume; -1 when none is committed.
    pub committed_offset: i64,
    /// Leader epoch of the last consumed record, -1 if unknown.
    #[field(default = "-1")]
    pub committed_leader_epoch: i32,
    /// Free text stored with the offset.
    pub metadata: Option<ByteString>,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
}

/// One of [`OffsetFetchResponse::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetFetchResponseTopic {
    /// Name of the topic.
    pub name: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<OffsetFetchResponsePartition>,
}

/// One of [`OffsetFetchResponseTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OffsetFetchResponsePartition {
    /// Index of the partition.
    pub partition_index: i32,
    /// The offset of the next record to consume; -1 when none is committed.
    pub committed_offset: i64,
    /// Leader epoch of the last consumed record, -1 if unknown.
    #[field(versions = "5+", default = "-1")]
    pub committed_leader_epoch: i32,
    /// Free text stored with the offset.
    pub metadata: Option<ByteString>,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
}
