//! ListOffsets (key 2): looking up offsets by timestamp.
//!
//! Version 7 finds the largest timestamp, 8 the local start (KIP-405), 9 the tiered end, 10 brings a timeout, 11 the
//! start of what is to be uploaded (KIP-1023).

use bytestring::ByteString;

use crate::wire::Message;

/// In place of a timestamp: the end, that is the high watermark, or the last stable offset for read_committed.
pub const LATEST_TIMESTAMP: i64 = -1;
/// In place of a timestamp: the log start offset.
pub const EARLIEST_TIMESTAMP: i64 = -2;
/// In place of a timestamp: the record with the largest timestamp (KIP-734, from version 7).
pub const MAX_TIMESTAMP: i64 = -3;
/// In place of a timestamp: the first offset on local disks (KIP-405, from version 8).
pub const EARLIEST_LOCAL_TIMESTAMP: i64 = -4;
/// In place of a timestamp: the last offset in tiered storage (KIP-1005, from version 9).
pub const LATEST_TIERED_TIMESTAMP: i64 = -5;
/// In place of a timestamp: the first offset that is not in tiered storage yet (KIP-1023, from version 11).
pub const EARLIEST_PENDING_UPLOAD_TIMESTAMP: i64 = -6;

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
