//! ElectLeaders (key 43): electing leaders by hand.
//!
//! Version 1 has unclean elections and an error for the whole request (KIP-460).

use bytestring::ByteString;

use crate::wire::Message;

/// Asks for leaders to be elected.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = ElectLeaders, versions = "0-2", flexible = "2+")]
pub struct ElectLeadersRequest {
    /// 0 the preferred replica, 1 any that is alive where no replica in sync is.
    #[field(versions = "1+")]
    pub election_type: i8,
    /// The partitions; null for all.
    pub topic_partitions: Option<Vec<TopicPartitions>>,
    /// How long the broker may take, ms.
    #[field(default = "60000")]
    pub timeout_ms: i32,
}

/// One of [`ElectLeadersRequest::topic_partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct TopicPartitions {
    /// Name of the topic.
    pub topic: ByteString,
    /// Its partitions.
    pub partitions: Vec<i32>,
}

/// Which elections took place.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = ElectLeaders, versions = "0-2", flexible = "2+")]
pub struct ElectLeadersResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// What went wrong with the whole request; 0 for nothing.
    #[field(versions = "1+")]
    pub error_code: i16,
    /// The topics.
    pub replica_election_results: Vec<ReplicaElectionResult>,
}

/// One of [`ElectLeadersResponse::replica_election_results`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct ReplicaElectionResult {
    /// Name of the topic.
    pub topic: ByteString,
    /// Its partitions.
    pub partition_result: Vec<PartitionResult>,
}

/// One of [`ReplicaElectionResult::partition_result`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct PartitionResult {
    /// Number of the partition.
    pub partition_id: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words, or what is to be known of the election.
    pub error_message: Option<ByteString>,
}
