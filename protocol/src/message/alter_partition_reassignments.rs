//! AlterPartitionReassignments (key 45): moving replicas to other brokers (KIP-455).
//!
//! Version 1 can forbid that the number of replicas changes (KIP-860).

use bytestring::ByteString;

use crate::wire::Message;

/// Asks for replicas to be moved.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = AlterPartitionReassignments, versions = "0-1", flexible = "0+")]
pub struct AlterPartitionReassignmentsRequest {
    /// How long the broker may take, ms.
    #[field(default = "60000")]
    pub timeout_ms: i32,
    /// Whether a partition may get more or fewer replicas than it has.
    #[field(versions = "1+", default = "true")]
    pub allow_replication_factor_change: bool,
    /// The topics.
    pub topics: Vec<ReassignableTopic>,
}

/// One of [`AlterPartitionReassignmentsRequest::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct ReassignableTopic {
    /// Name of the topic.
    pub name: ByteString,
    /// Its partitions.
    pub partitions: Vec<ReassignablePartition>,
}

/// One of [`ReassignableTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct ReassignablePartition {
    /// Number of the partition.
    pub partition_index: i32,
    /// The replicas it shall have, in order of preference; null to take back what is under way.
    pub replicas: Option<Vec<i32>>,
}

/// What became of the moves.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = AlterPartitionReassignments, versions = "0-1", flexible = "0+")]
pub struct AlterPartitionReassignmentsResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// What the request said.
    #[field(versions = "1+", default = "true")]
    pub allow_replication_factor_change: bool,
    /// What went wrong with the whole request; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    pub error_message: Option<ByteString>,
    /// The topics.
    pub responses: Vec<ReassignableTopicResponse>,
}

/// One of [`AlterPartitionReassignmentsResponse::responses`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct ReassignableTopicResponse {
    /// Name of the topic.
    pub name: ByteString,
    /// Its partitions.
    pub partitions: Vec<ReassignablePartitionResponse>,
}

/// One of [`ReassignableTopicResponse::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct ReassignablePartitionResponse {
    /// Number of the partition.
    pub partition_index: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    pub error_message: Option<ByteString>,
}
