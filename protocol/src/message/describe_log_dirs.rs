//! DescribeLogDirs (key 35): describing log directories.
//!
//! Version 3 brings an error for the whole request, 4 volume sizes (KIP-827), 5 cordoned directories (KIP-1066).

use bytestring::ByteString;

use crate::wire::Message;

/// Asks for log directories and the replicas in them.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DescribeLogDirs, versions = "1-5", flexible = "2+")]
pub struct DescribeLogDirsRequest {
    /// The partitions wanted; null for all.
    pub topics: Option<Vec<DescribableLogDirTopic>>,
}

/// One of [`DescribeLogDirsRequest::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribableLogDirTopic {
    /// Name of the topic.
    pub topic: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<i32>,
}

/// The log directories.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DescribeLogDirs, versions = "1-5", flexible = "2+")]
pub struct DescribeLogDirsResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// What went wrong; 0 for nothing.
    #[field(versions = "3+")]
    pub error_code: i16,
    /// The answers, one per item of the request.
    pub results: Vec<DescribeLogDirsResult>,
}

/// One of [`DescribeLogDirsResponse::results`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribeLogDirsResult {
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// Absolute path of the directory.
    pub log_dir: ByteString,
    /// The topics.
    pub topics: Vec<DescribeLogDirsTopic>,
    /// Size of the volume, -1 if unknown.
    #[field(versions = "4+", default = "-1")]
    pub total_bytes: i64,
    /// Free bytes of the volume, -1 if unknown.
    #[field(versions = "4+", default = "-1")]
    pub usable_bytes: i64,
    /// Whether the directory takes no new replicas (KIP-1066).
    #[field(versions = "5+")]
    pub is_cordoned: bool,
}

/// One of [`DescribeLogDirsResult::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribeLogDirsTopic {
    /// Name of the topic.
    pub name: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<DescribeLogDirsPartition>,
}

/// One of [`DescribeLogDirsTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribeLogDirsPartition {
    /// Index of the partition.
    pub partition_index: i32,
    /// Bytes of the replica's segments.
    pub partition_size: i64,
    /// How far the replica is behind: behind the high watermark, or for a future replica behind the current one.
    pub offset_lag: i64,
    /// Whether the replica is on its way into this directory and not current yet.
    pub is_future_key: bool,
}
