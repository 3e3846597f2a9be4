//! DescribeCluster (key 60): describing the cluster.
//!
//! Version 1 asks controllers (KIP-919), 2 brings fenced brokers (KIP-1073).

use bytestring::ByteString;

use crate::wire::Message;

/// Asks for the nodes of the cluster.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DescribeCluster, versions = "0-2", flexible = "0+")]
pub struct DescribeClusterRequest {
    /// Whether the answer is to name the operations that the principal may do on the cluster.
    pub include_cluster_authorized_operations: bool,
    /// 1 brokers, 2 controllers.
    #[field(versions = "1+", default = "1")]
    pub endpoint_type: i8,
    /// Whether fenced brokers are wanted, too.
    #[field(versions = "2+")]
    pub include_fenced_brokers: bool,
}

/// The nodes.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DescribeCluster, versions = "0-2", flexible = "0+")]
pub struct DescribeClusterResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    pub error_message: Option<ByteString>,
    /// 1 brokers, 2 controllers.
    #[field(versions = "1+", default = "1")]
    pub endpoint_type: i8,
    /// Id of the cluster.
    pub cluster_id: ByteString,
    /// A broker to send administrative requests to, or the active controller; -1 if none is known.
    #[field(default = "-1")]
    pub controller_id: i32,
    /// The brokers of the cluster.
    pub brokers: Vec<DescribeClusterBroker>,
    /// Bits of the operations that the principal may do on the cluster; `i32::MIN` when not asked for.
    #[field(default = "i32::MIN")]
    pub cluster_authorized_operations: i32,
}

/// One of [`DescribeClusterResponse::brokers`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribeClusterBroker {
    /// Id of the broker.
    pub broker_id: i32,
    /// Host name or address.
    pub host: ByteString,
    /// TCP port.
    pub port: i32,
    /// The rack, null for none.
    pub rack: Option<ByteString>,
    /// Whether the broker is fenced.
    #[field(versions = "2+")]
    pub is_fenced: bool,
}
