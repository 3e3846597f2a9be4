//! Produce (key 0): appending record batches.
//!
//! From version 9 flexible; 12 adds partitions to the transaction implicitly (KIP-890); 13 names topics by id.

use bytestring::ByteString;

use crate::Uuid;
use crate::wire::{Message, Records};

/// Appends record batches to partitions. With `acks` 0 there is no response.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = Produce, versions = "3-13", flexible = "9+")]
pub struct ProduceRequest {
    /// The transactional id of the producer; null without transactions.
    pub transactional_id: Option<ByteString>,
    /// How many replicas must have the records before the response: 0 none (there is no response), 1 the leader, -1 all
    /// in sync.
    pub acks: i16,
    /// How long the broker may take, ms.
    pub timeout_ms: i32,
    /// What to append, by topic.
    pub topic_data: Vec<TopicProduceData>,
}

/// One of [`ProduceRequest::topic_data`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct TopicProduceData {
    /// Id of the topic, zero if unknown.
    #[field(versions = "13+")]
    pub topic_id: Uuid,
    /// Name of the topic.
    #[field(versions = "3-12")]
    pub name: ByteString,
    /// The partitions of the topic.
    pub partition_data: Vec<PartitionProduceData>,
}

/// One of [`TopicProduceData::partition_data`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct PartitionProduceData {
    /// Index of the partition.
    pub index: i32,
    /// Record batches.
    pub records: Option<Records>,
}

/// What became of each partition.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = Produce, versions = "3-13", flexible = "9+")]
pub struct ProduceResponse {
    /// The answers, one per topic or resource.
    pub responses: Vec<TopicProduceResponse>,
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// Addresses of the brokers named in `current_leader`.
    #[field(versions = "10+", tag = 0)]
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// One of [`ProduceResponse::responses`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct TopicProduceResponse {
    /// Id of the topic, zero if unknown.
    #[field(versions = "13+")]
    pub topic_id: Uuid,
    /// Name of the topic.
    #[field(versions = "3-12")]
    pub name: ByteString,
    /// One answer per partition.
    pub partition_responses: Vec<PartitionProduceResponse>,
}

/// One of [`TopicProduceResponse::partition_responses`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct PartitionProduceResponse {
    /// Index of the partition.
    pub index: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// Offset of the first appended record.
    pub base_offset: i64,
    /// When the broker appended the records, ms since the epoch; -1 where their own timestamps count.
    #[field(default = "-1")]
    pub log_append_time_ms: i64,
    /// First offset of the log, -1 if unknown.
    #[field(versions = "5+", default = "-1")]
    pub log_start_offset: i64,
    /// The records that made the broker refuse the batch.
    #[field(versions = "8+")]
    pub record_errors: Vec<BatchIndexAndErrorMessage>,
    /// What went wrong in words; null for nothing.
    #[field(versions = "8+")]
    pub error_message: Option<ByteString>,
    /// The leader that the client should turn to, if it is another one.
    #[field(versions = "10+", tag = 0)]
    pub current_leader: LeaderIdAndEpoch,
}

/// One of [`PartitionProduceResponse::record_errors`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct BatchIndexAndErrorMessage {
    /// Index of the record within its batch.
    pub batch_index: i32,
    /// What is wrong with the record.
    pub batch_index_error_message: Option<ByteString>,
}

/// What [`PartitionProduceResponse::current_leader`] holds.
#[derive(Debug, Clone, PartialEq, Message)]
pub struct LeaderIdAndEpoch {
    /// Broker id of the leader, -1 if unknown.
    #[field(default = "-1")]
    pub leader_id: i32,
    /// Leader epoch, -1 if unknown.
    #[field(default = "-1")]
    pub leader_epoch: i32,
}

/// One of [`ProduceResponse::node_endpoints`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct NodeEndpoint {
    /// Id of the node.
    pub node_id: i32,
    /// Host name or address.
    pub host: ByteString,
    /// TCP port.
    pub port: i32,
    /// The rack, null for none.
    pub rack: Option<ByteString>,
}
