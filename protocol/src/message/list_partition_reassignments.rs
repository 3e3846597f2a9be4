//! ListPartitionReassignments (key 46): which replicas are being moved (KIP-455).

use bytestring::ByteString;

use crate::wire::Message;

/// Asks which partitions are being moved.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = ListPartitionReassignments, versions = "0", flexible = "0+")]
pub struct ListPartitionReassignmentsRequest {
    /// How long the broker may take, ms.
    #[field(default = "60000")]
    pub timeout_ms: i32,
    /// The topics; null for all.
    pub topics: Option<Vec<ListPartitionReassignmentsTopics>>,
}

/// One of [`ListPartitionReassignmentsRequest::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct ListPartitionReassignmentsTopics {
    /// Name of the topic.
    pub name: ByteString,
    /// Its partitions.
    pub partition_indexes: Vec<i32>,
}

/// The partitions that are being moved.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = ListPartitionReassignments, versions = "0", flexible = "0+")]
pub struct ListPartitionReassignmentsResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    pub error_message: Option<ByteString>,
    /// The topics.
    pub topics: Vec<OngoingTopicReassignment>,
}

/// One of [`ListPartitionReassignmentsResponse::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OngoingTopicReassignment {
    /// Name of the topic.
    pub name: ByteString,
    /// Its partitions.
    pub partitions: Vec<OngoingPartitionReassignment>,
}

/// One of [`OngoingTopicReassignment::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OngoingPartitionReassignment {
    /// Number of the partition.
    pub partition_index: i32,
    /// All replicas, those that come and those that go included.
    pub replicas: Vec<i32>,
    /// The replicas that come.
    pub adding_replicas: Vec<i32>,
    /// The replicas that go.
    pub removing_replicas: Vec<i32>,
}
