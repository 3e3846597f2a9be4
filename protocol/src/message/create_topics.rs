//! CreateTopics (key 19): creating topics.
//!
//! Version 5 returns configs (KIP-525), 7 topic ids.

use bytestring::ByteString;

use crate::Uuid;
use crate::wire::Message;

/// Creates topics.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = CreateTopics, versions = "2-7", flexible = "5+")]
pub struct CreateTopicsRequest {
    /// The topics.
    pub topics: Vec<CreatableTopic>,
    /// How long the broker may wait for the topics to be there, ms.
    #[field(default = "60000")]
    pub timeout_ms: i32,
    /// Whether the request is only checked and nothing is changed.
    pub validate_only: bool,
}

/// One of [`CreateTopicsRequest::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct CreatableTopic {
    /// Name of the topic.
    pub name: ByteString,
    /// Number of partitions; -1 for the broker's default.
    pub num_partitions: i32,
    /// Number of replicas per partition; -1 for the broker's default.
    pub replication_factor: i16,
    /// The replicas of every partition, if chosen by hand.
    pub assignments: Vec<CreatableReplicaAssignment>,
    /// Configs by name.
    pub configs: Vec<CreatableTopicConfig>,
}

/// One of [`CreatableTopic::assignments`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct CreatableReplicaAssignment {
    /// Index of the partition.
    pub partition_index: i32,
    /// Brokers that hold the replicas, the preferred leader first.
    pub broker_ids: Vec<i32>,
}

/// One of [`CreatableTopic::configs`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct CreatableTopicConfig {
    /// Name of the config.
    pub name: ByteString,
    /// The value, null for none.
    pub value: Option<ByteString>,
}

/// What became of each topic.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = CreateTopics, versions = "2-7", flexible = "5+")]
pub struct CreateTopicsResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// The topics.
    pub topics: Vec<CreatableTopicResult>,
}

/// One of [`CreateTopicsResponse::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct CreatableTopicResult {
    /// Name of the topic.
    pub name: ByteString,
    /// Id of the topic, zero if unknown.
    #[field(versions = "7+")]
    pub topic_id: Uuid,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    pub error_message: Option<ByteString>,
    /// Number of partitions, -1 if unknown.
    #[field(versions = "5+", default = "-1")]
    pub num_partitions: i32,
    /// Number of replicas per partition, -1 if unknown.
    #[field(versions = "5+", default = "-1")]
    pub replication_factor: i16,
    /// The configs of the topic; null if withheld.
    #[field(versions = "5+")]
    pub configs: Option<Vec<CreatableTopicConfigs>>,
    /// Why the configs are withheld; 0 when they are not.
    #[field(versions = "5+", tag = 0)]
    pub topic_config_error_code: i16,
}

/// One of [`CreatableTopicResult::configs`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct CreatableTopicConfigs {
    /// Name of the config.
    pub name: ByteString,
    /// The value, null for none.
    pub value: Option<ByteString>,
    /// Whether the config cannot be changed here.
    pub read_only: bool,
    /// Where the value comes from: 1 topic, 2 broker, 3 default of all brokers, 4 static file, 5 built in, 6 logger, 7
    /// client metrics, 8 group.
    #[field(default = "-1")]
    pub config_source: i8,
    /// Whether the value is secret and therefore withheld.
    pub is_sensitive: bool,
}
