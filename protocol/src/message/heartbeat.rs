//! Heartbeat (key 12): staying in a classic group.

use bytestring::ByteString;

use crate::wire::Message;

/// Tells the coordinator that the member is alive.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = Heartbeat, versions = "0-4", flexible = "4+")]
pub struct HeartbeatRequest {
    /// Id of the group.
    pub group_id: ByteString,
    /// Generation of the group.
    pub generation_id: i32,
    /// Id that the coordinator gave to the member; empty for a member that has none yet.
    pub member_id: ByteString,
    /// Configured id of a static member; null for a dynamic one.
    #[field(versions = "3+")]
    pub group_instance_id: Option<ByteString>,
}

/// Whether the member may go on.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = Heartbeat, versions = "0-4", flexible = "4+")]
pub struct HeartbeatResponse {
    /// How long the broker holds the client back because of a quota, ms.
    #[field(versions = "1+")]
    pub throttle_time_ms: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
}
