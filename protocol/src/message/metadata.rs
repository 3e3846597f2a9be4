//! Metadata (key 3): which brokers and topics there are, and who leads.
//!
//! Version 8 brings authorized operations, 10 topic ids, 12 look-up by topic id, 13 an error for the whole request
//! (KIP-1102).

use bytestring::ByteString;

use crate::Uuid;
use crate::wire::Message;

/// Asks for brokers and topics.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = Metadata, versions = "0-13", flexible = "9+")]
pub struct MetadataRequest {
    /// The topics wanted; null for all. In version 0 an empty list stands for all.
    #[field(nullable = "1+")]
    pub topics: Option<Vec<MetadataRequestTopic>>,
    /// Whether a topic that does not exist may be created.
    #[field(versions = "4+", default = "true")]
    pub allow_auto_topic_creation: bool,
    /// Whether the answer is to name the operations that the principal may do on the cluster.
    #[field(versions = "8-10")]
    pub include_cluster_authorized_operations: bool,
    /// Whether the answer is to name the operations that the principal may do on each topic.
    #[field(versions = "8+")]
    pub include_topic_authorized_operations: bool,
}

/// One of [`MetadataRequest::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct MetadataRequestTopic {
    /// Id of the topic, zero if unknown.
    #[field(versions = "10+")]
    pub topic_id: Uuid,
    /// Name of the topic; null when `topic_id` is given.
    #[field(nullable = "10+")]
    pub name: Option<ByteString>,
}

/// The brokers and topics.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = Metadata, versions = "0-13", flexible = "9+")]
pub struct MetadataResponse {
    /// How long the broker holds the client back because of a quota, ms.
    #[field(versions = "3+")]
    pub throttle_time_ms: i32,
    /// The brokers of the cluster.
    pub brokers: Vec<MetadataResponseBroker>,
    /// Id of the cluster.
    #[field(versions = "2+")]
    pub cluster_id: Option<ByteString>,
    /// A broker to send administrative requests to, -1 if none is known.
    #[field(versions = "1+", default = "-1")]
    pub controller_id: i32,
    /// The topics.
    pub topics: Vec<MetadataResponseTopic>,
    /// What went wrong with the whole request; 0 for nothing.
    #[field(versions = "13+")]
    pub error_code: i16,
    /// Bits of the operations that the principal may do on the cluster; `i32::MIN` when not asked for.
    #[field(versions = "8-10", default = "i32::MIN")]
    pub cluster_authorized_operations: i32,
}

/// One of [`MetadataResponse::brokers`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct MetadataResponseBroker {
    /// Id of the node.
    pub node_id: i32,
    /// Host name or address.
    pub host: ByteString,
    /// TCP port.
    pub port: i32,
    /// The rack, null for none.
    #[field(versions = "1+")]
    pub rack: Option<ByteString>,
}

/// One of [`MetadataResponse::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct MetadataResponseTopic {
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// Name of the topic; null if an id was asked for that no topic has.
    #[field(nullable = "12+")]
    pub name: Option<ByteString>,
    /// Id of the topic, zero if unknown.
    #[field(versions = "10+")]
    pub topic_id: Uuid,
    /// Whether the topic is one of the cluster's own.
    #[field(versions = "1+")]
    pub is_internal: bool,
    /// The partitions of the topic.
    pub partitions: Vec<MetadataResponsePartition>,
    /// Bits of the operations that the principal may do on the topic; `i32::MIN` when not asked for.
    #[field(versions = "8+", default = "i32::MIN")]
    pub topic_authorized_operations: i32,
}

/// One of [`MetadataResponseTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct MetadataResponsePartition {
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// Index of the partition.
    pub partition_index: i32,
    /// Broker id of the leader, -1 if unknown.
    pub leader_id: i32,
    /// Leader epoch, -1 if unknown.
    #[field(versions = "7+", default = "-1")]
    pub leader_epoch: i32,
    /// All replicas, the preferred leader first.
    pub replica_nodes: Vec<i32>,
    /// The replicas in sync.
    pub isr_nodes: Vec<i32>,
    /// The replicas that are not alive.
    #[field(versions = "5+")]
    pub offline_replicas: Vec<i32>,
}
