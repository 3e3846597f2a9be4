//! AlterReplicaLogDirs (key 34): moving replicas between the log directories of a broker (KIP-113).

use bytestring::ByteString;

use crate::wire::Message;

/// Asks for replicas of the broker to be moved to other directories.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = AlterReplicaLogDirs, versions = "1-2", flexible = "2+")]
pub struct AlterReplicaLogDirsRequest {
    /// The directories.
    pub dirs: Vec<AlterReplicaLogDir>,
}

/// One of [`AlterReplicaLogDirsRequest::dirs`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct AlterReplicaLogDir {
    /// Absolute path of the directory.
    pub path: ByteString,
    /// What is to be in it.
    pub topics: Vec<AlterReplicaLogDirTopic>,
}

/// One of [`AlterReplicaLogDir::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct AlterReplicaLogDirTopic {
    /// Name of the topic.
    pub name: ByteString,
    /// Its partitions.
    pub partitions: Vec<i32>,
}

/// Which moves began.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = AlterReplicaLogDirs, versions = "1-2", flexible = "2+")]
pub struct AlterReplicaLogDirsResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// The topics.
    pub results: Vec<AlterReplicaLogDirTopicResult>,
}

/// One of [`AlterReplicaLogDirsResponse::results`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct AlterReplicaLogDirTopicResult {
    /// Name of the topic.
    pub topic_name: ByteString,
    /// Its partitions.
    pub partitions: Vec<AlterReplicaLogDirPartitionResult>,
}

/// One of [`AlterReplicaLogDirTopicResult::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct AlterReplicaLogDirPartitionResult {
    /// Number of the partition.
    pub partition_index: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
}
