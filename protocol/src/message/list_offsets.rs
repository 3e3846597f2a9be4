//! ListOffsets (key 2): looking up offsets by timestamp.
//!
//! Version 7 finds the largest timestamp, 8 the local start (KIP-405), 9 the tiered end, 10 brings a timeout, 11 the
//! start of what is to be uploaded (KIP-1023).

use bytestring::ByteString;

use crate::wire::Message;

/// Looks up offsets by timestamp.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = ListOffsets, versions = "1-11", flexible = "6+")]
pub struct ListOffsetsRequest {
    /// Broker id of a fetching replica, -1 for consumers.
    pub replica_id: i32,
    /// 0 read_uncommitted, 1 read_committed.
    #[field(versions = "2+")]
    pub isolation_level: i8,
    /// The topics.
    pub topics: Vec<ListOffsetsTopic>,
    /// How long the broker may take to look into tiered storage, ms.
    #[field(versions = "10+")]
    pub timeout_ms: i32,
}

/// One of [`ListOffsetsRequest::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct ListOffsetsTopic {
    /// Name of the topic.
    pub name: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<ListOffsetsPartition>,
}

/// One of [`ListOffsetsTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct ListOffsetsPartition {
    /// Index of the partition.
    pub partition_index: i32,
    /// Leader epoch that the client knows, -1 if it knows none; another one than the broker's is refused.
    #[field(versions = "4+", default = "-1")]
    pub current_leader_epoch: i32,
    /// The timestamp to look up, or one of this module's constants.
    pub timestamp: i64,
}

/// The offsets.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = ListOffsets, versions = "1-11", flexible = "6+")]
pub struct ListOffsetsResponse {
    /// How long the broker holds the client back because of a quota, ms.
    #[field(versions = "2+")]
    pub throttle_time_ms: i32,
    /// The topics.
    pub topics: Vec<ListOffsetsTopicResponse>,
}

/// One of [`ListOffsetsResponse::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct ListOffsetsTopicResponse {
    /// Name of the topic.
    pub name: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<ListOffsetsPartitionResponse>,
}

/// One of [`ListOffsetsTopicResponse::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct ListOffsetsPartitionResponse {
    /// Index of the partition.
    pub partition_index: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// Timestamp of the record found, -1 if none was asked for or found.
    #[field(default = "-1")]
    pub timestamp: i64,
    /// The offset found, -1 if none was.
    #[field(default = "-1")]
    pub offset: i64,
    /// Leader epoch, -1 if unknown.
    #[field(versions = "4+", default = "-1")]
    pub leader_epoch: i32,
}
