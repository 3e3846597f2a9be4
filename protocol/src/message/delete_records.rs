//! DeleteRecords (key 21): advancing the log start offset of partitions.

use bytestring::ByteString;

use crate::wire::Message;

/// Deletes the records before an offset.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DeleteRecords, versions = "0-2", flexible = "2+")]
pub struct DeleteRecordsRequest {
    /// The topics.
    pub topics: Vec<DeleteRecordsTopic>,
    /// How long the broker may take, ms.
    pub timeout_ms: i32,
}

/// One of [`DeleteRecordsRequest::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DeleteRecordsTopic {
    /// Name of the topic.
    pub name: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<DeleteRecordsPartition>,
}

/// One of [`DeleteRecordsTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DeleteRecordsPartition {
    /// Index of the partition.
    pub partition_index: i32,
    /// The first offset to keep; -1 for the high watermark.
    pub offset: i64,
}

/// What became of each partition.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DeleteRecords, versions = "0-2", flexible = "2+")]
pub struct DeleteRecordsResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// The topics.
    pub topics: Vec<DeleteRecordsTopicResult>,
}

/// One of [`DeleteRecordsResponse::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DeleteRecordsTopicResult {
    /// Name of the topic.
    pub name: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<DeleteRecordsPartitionResult>,
}

/// One of [`DeleteRecordsTopicResult::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DeleteRecordsPartitionResult {
    /// Index of the partition.
    pub partition_index: i32,
    /// First offset that is left, on every replica.
    pub low_watermark: i64,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
}
