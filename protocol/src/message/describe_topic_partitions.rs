//! DescribeTopicPartitions (key 75): describing topics page by page.

use bytestring::ByteString;

use crate::Uuid;
use crate::wire::Message;

/// Asks for partitions, page by page (KIP-966).
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DescribeTopicPartitions, versions = "0", flexible = "0+")]
pub struct DescribeTopicPartitionsRequest {
    /// The topics wanted; empty for all.
    pub topics: Vec<TopicRequest>,
    /// Most partitions that the response is to hold.
    #[field(default = "2000")]
    pub response_partition_limit: i32,
    /// Where to go on; null to start from the beginning.
    pub cursor: Option<Cursor>,
}

/// One of [`DescribeTopicPartitionsRequest::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct TopicRequest {
    /// Name of the topic.
    pub name: ByteString,
}

/// What [`DescribeTopicPartitionsRequest::cursor`] holds.
#[derive(Debug, Clone, PartialEq, Message)]
pub struct Cursor {
    /// Topic to go on with.
    pub topic_name: ByteString,
    /// Partition to go on with.
    pub partition_index: i32,
}

/// A page of partitions, in order of topic name.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DescribeTopicPartitions, versions = "0", flexible = "0+")]
pub struct DescribeTopicPartitionsResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// The topics.
    pub topics: Vec<DescribeTopicPartitionsResponseTopic>,
    /// Where to go on; null at the end.
    pub next_cursor: Option<Cursor>,
}

/// One of [`DescribeTopicPartitionsResponse::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribeTopicPartitionsResponseTopic {
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// Name of the topic.
    pub name: Option<ByteString>,
    /// Id of the topic, zero if unknown.
    pub topic_id: Uuid,
    /// Whether the topic is one of the cluster's own.
    pub is_internal: bool,
    /// The partitions of the topic.
    pub partitions: Vec<DescribeTopicPartitionsResponsePartition>,
    /// Bits of the operations that the principal may do on the topic; `i32::MIN` when not asked for.
    #[field(default = "i32::MIN")]
    pub topic_authorized_operations: i32,
}

/// One of [`DescribeTopicPartitionsResponseTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribeTopicPartitionsResponsePartition {
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// Index of the partition.
    pub partition_index: i32,
    /// Broker id of the leader, -1 if unknown.
    pub leader_id: i32,
    /// Leader epoch, -1 if unknown.
    #[field(default = "-1")]
    pub leader_epoch: i32,
    /// All replicas, the preferred leader first.
    pub replica_nodes: Vec<i32>,
    /// The replicas in sync.
    pub isr_nodes: Vec<i32>,
    /// Replicas outside of the ISR that hold all committed records (KIP-966).
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// Replicas that were last known to be eligible (KIP-966).
    pub last_known_elr: Option<Vec<i32>>,
    /// The replicas that are not alive.
    pub offline_replicas: Vec<i32>,
}
