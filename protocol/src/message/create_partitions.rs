//! CreatePartitions (key 37): adding partitions to topics.

use bytestring::ByteString;

use crate::wire::Message;

/// Adds partitions to topics.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = CreatePartitions, versions = "0-3", flexible = "2+")]
pub struct CreatePartitionsRequest {
    /// The topics.
    pub topics: Vec<CreatePartitionsTopic>,
    /// How long the broker may take, ms.
    pub timeout_ms: i32,
    /// Whether the request is only checked and nothing is changed.
    pub validate_only: bool,
}

/// One of [`CreatePartitionsRequest::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct CreatePartitionsTopic {
    /// Name of the topic.
    pub name: ByteString,
    /// Number of partitions that the topic is to have.
    pub count: i32,
    /// The replicas of every new partition, if chosen by hand; null if not.
    pub assignments: Option<Vec<CreatePartitionsAssignment>>,
}

/// One of [`CreatePartitionsTopic::assignments`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct CreatePartitionsAssignment {
    /// Brokers that hold the replicas, the preferred leader first.
    pub broker_ids: Vec<i32>,
}

/// What became of each topic.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = CreatePartitions, versions = "0-3", flexible = "2+")]
pub struct CreatePartitionsResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// The answers, one per item of the request.
    pub results: Vec<CreatePartitionsTopicResult>,
}

/// One of [`CreatePartitionsResponse::results`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct CreatePartitionsTopicResult {
    /// Name of the topic.
    pub name: ByteString,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    pub error_message: Option<ByteString>,
}
