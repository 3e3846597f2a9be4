//! UnregisterBroker (key 64): forgetting a broker that will not come back.

use bytestring::ByteString;

use crate::wire::Message;

/// Takes a broker out of the cluster.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = UnregisterBroker, versions = "0", flexible = "0+")]
pub struct UnregisterBrokerRequest {
    /// Id of the broker.
    pub broker_id: i32,
}

/// Whether the broker was taken out.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = UnregisterBroker, versions = "0", flexible = "0+")]
pub struct UnregisterBrokerResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    pub error_message: Option<ByteString>,
}
