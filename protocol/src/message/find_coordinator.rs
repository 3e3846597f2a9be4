//! FindCoordinator (key 10): finding the coordinator of a group, a transaction or a share partition.
//!
//! Version 4 asks for many keys (KIP-699), 6 for share partitions (KIP-932).

use bytestring::ByteString;

use crate::wire::Message;

/// Asks for coordinators.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = FindCoordinator, versions = "0-6", flexible = "3+")]
pub struct FindCoordinatorRequest {
    /// The key looked for, before version 4.
    #[field(versions = "0-3")]
    pub key: ByteString,
    /// 0 group, 1 transaction, 2 share partition.
    #[field(versions = "1+")]
    pub key_type: i8,
    /// The keys looked for.
    #[field(versions = "4+")]
    pub coordinator_keys: Vec<ByteString>,
}

/// The coordinators. Before version 4 a single one, in the fields of the response itself.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = FindCoordinator, versions = "0-6", flexible = "3+")]
pub struct FindCoordinatorResponse {
    /// How long the broker holds the client back because of a quota, ms.
    #[field(versions = "1+")]
    pub throttle_time_ms: i32,
    /// One answer per key.
    #[field(versions = "4+")]
    pub coordinators: Vec<Coordinator>,
    /// What went wrong; 0 for nothing.
    #[field(versions = "0-3")]
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    #[field(versions = "1-3")]
    pub error_message: Option<ByteString>,
    /// Id of the node.
    #[field(versions = "0-3")]
    pub node_id: i32,
    /// Host name or address.
    #[field(versions = "0-3")]
    pub host: ByteString,
    /// TCP port.
    #[field(versions = "0-3")]
    pub port: i32,
}

/// One of [`FindCoordinatorResponse::coordinators`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct Coordinator {
    /// The key that was looked for.
    pub key: ByteString,
    /// Id of the node.
    pub node_id: i32,
    /// Host name or address.
    pub host: ByteString,
    /// TCP port.
    pub port: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    pub error_message: Option<ByteString>,
}
