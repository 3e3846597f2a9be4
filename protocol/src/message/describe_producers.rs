//! DescribeProducers (key 61): describing the producers of partitions.

use bytestring::ByteString;

use crate::wire::Message;

/// Asks for the producers that partitions remember (KIP-664).
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DescribeProducers, versions = "0", flexible = "0+")]
pub struct DescribeProducersRequest {
    /// The topics.
    pub topics: Vec<TopicRequest>,
}

/// One of [`DescribeProducersRequest::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct TopicRequest {
    /// Name of the topic.
    pub name: ByteString,
    /// Indexes of the partitions.
    pub partition_indexes: Vec<i32>,
}

/// The producers.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DescribeProducers, versions = "0", flexible = "0+")]
pub struct DescribeProducersResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// The topics.
    pub topics: Vec<TopicResponse>,
}

/// One of [`DescribeProducersResponse::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct TopicResponse {
    /// Name of the topic.
    pub name: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<PartitionResponse>,
}

/// One of [`TopicResponse::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct PartitionResponse {
    /// Index of the partition.
    pub partition_index: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    pub error_message: Option<ByteString>,
    /// The producers that the leader remembers.
    pub active_producers: Vec<ProducerState>,
}

/// One of [`PartitionResponse::active_producers`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct ProducerState {
    /// Id of the producer, -1 for none.
    pub producer_id: i64,
    /// Epoch of the producer, -1 for none.
    pub producer_epoch: i32,
    /// Sequence number of the producer's last record, -1 if unknown.
    #[field(default = "-1")]
    pub last_sequence: i32,
    /// Timestamp of the producer's last record, ms since the epoch.
    #[field(default = "-1")]
    pub last_timestamp: i64,
    /// Epoch of the transaction coordinator that ended the producer's last transaction, -1 if none.
    pub coordinator_epoch: i32,
    /// First offset of the open transaction, -1 if there is none.
    #[field(default = "-1")]
    pub current_txn_start_offset: i64,
}
