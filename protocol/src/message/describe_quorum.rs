//! DescribeQuorum (key 55): the state of the metadata quorum (KIP-595).
//!
//! Version 1 brings timestamps (KIP-836), 2 directory ids, nodes and messages of errors (KIP-853).

use bytestring::ByteString;

use crate::Uuid;
use crate::wire::Message;

/// Asks for the state of quorums.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DescribeQuorum, versions = "0-2", flexible = "0+")]
pub struct DescribeQuorumRequest {
    /// The topics; there is one, `__cluster_metadata`.
    pub topics: Vec<DescribeQuorumRequestTopic>,
}

/// One of [`DescribeQuorumRequest::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribeQuorumRequestTopic {
    /// Its name.
    pub topic_name: ByteString,
    /// Its partitions.
    pub partitions: Vec<DescribeQuorumRequestPartition>,
}

/// One of [`DescribeQuorumRequestTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribeQuorumRequestPartition {
    /// Number of the partition.
    pub partition_index: i32,
}

/// The state of quorums.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DescribeQuorum, versions = "0-2", flexible = "0+")]
pub struct DescribeQuorumResponse {
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    #[field(versions = "2+", nullable = "2+")]
    pub error_message: Option<ByteString>,
    /// The topics.
    pub topics: Vec<DescribeQuorumTopic>,
    /// The nodes that are voters or observers.
    #[field(versions = "2+")]
    pub nodes: Vec<DescribeQuorumNode>,
}

/// One of [`DescribeQuorumResponse::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribeQuorumTopic {
    /// Its name.
    pub topic_name: ByteString,
    /// Its partitions.
    pub partitions: Vec<DescribeQuorumPartition>,
}

/// One of [`DescribeQuorumTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribeQuorumPartition {
    /// Number of the partition.
    pub partition_index: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    #[field(versions = "2+", nullable = "2+")]
    pub error_message: Option<ByteString>,
    /// Who leads; -1 if nobody is known to.
    pub leader_id: i32,
    /// The epoch of the leader.
    pub leader_epoch: i32,
    /// The high watermark.
    pub high_watermark: i64,
    /// Those who vote.
    pub current_voters: Vec<DescribeQuorumReplica>,
    /// Those who follow without a vote.
    pub observers: Vec<DescribeQuorumReplica>,
}

/// One of [`DescribeQuorumPartition::current_voters`] or [`DescribeQuorumPartition::observers`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribeQuorumReplica {
    /// Id of the node.
    pub replica_id: i32,
    /// Id of the directory of its log.
    #[field(versions = "2+")]
    pub replica_directory_id: Uuid,
    /// The last known end of its log; -1 if it is not known.
    pub log_end_offset: i64,
    /// When the leader last heard of it, ms of the leader's wall clock; -1 if that is not known.
    #[field(versions = "1+", default = "-1")]
    pub last_fetch_timestamp: i64,
    /// When it last had everything; -1 if that is not known.
    #[field(versions = "1+", default = "-1")]
    pub last_caught_up_timestamp: i64,
}

/// One of [`DescribeQuorumResponse::nodes`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribeQuorumNode {
    /// Id of the node.
    pub node_id: i32,
    /// Its listeners for controllers.
    pub listeners: Vec<DescribeQuorumListener>,
}

/// One of [`DescribeQuorumNode::listeners`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribeQuorumListener {
    /// Name of the listener.
    pub name: ByteString,
    /// Host name or address.
    pub host: ByteString,
    /// TCP port.
    pub port: u16,
}
