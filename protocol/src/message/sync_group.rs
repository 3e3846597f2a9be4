//! SyncGroup (key 14): handing out assignments in a classic group.
//!
//! Version 5 checks protocol type and name (KIP-559).

use bytes::Bytes;
use bytestring::ByteString;

use crate::wire::Message;

/// Asks for the member's assignment; the leader brings those of all.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = SyncGroup, versions = "0-5", flexible = "4+")]
pub struct SyncGroupRequest {
    /// Id of the group.
    pub group_id: ByteString,
    /// Generation of the group.
    pub generation_id: i32,
    /// Id that the coordinator gave to the member; empty for a member that has none yet.
    pub member_id: ByteString,
    /// Configured id of a static member; null for a dynamic one.
    #[field(versions = "3+")]
    pub group_instance_id: Option<ByteString>,
    /// The protocol type as the member knows it; null before version 5.
    #[field(versions = "5+")]
    pub protocol_type: Option<ByteString>,
    /// The protocol as the member knows it; null before version 5.
    #[field(versions = "5+")]
    pub protocol_name: Option<ByteString>,
    /// What each member is to get, from the leader only.
    pub assignments: Vec<SyncGroupRequestAssignment>,
}

/// One of [`SyncGroupRequest::assignments`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct SyncGroupRequestAssignment {
    /// Id that the coordinator gave to the member; empty for a member that has none yet.
    pub member_id: ByteString,
    /// The assignment of the member; its format is the protocol's.
    pub assignment: Bytes,
}

/// The member's assignment.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = SyncGroup, versions = "0-5", flexible = "4+")]
pub struct SyncGroupResponse {
    /// How long the broker holds the client back because of a quota, ms.
    #[field(versions = "1+")]
    pub throttle_time_ms: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What kind of group it is, e.g. `consumer` or `connect`.
    #[field(versions = "5+")]
    pub protocol_type: Option<ByteString>,
    /// The protocol that the group agreed on.
    #[field(versions = "5+")]
    pub protocol_name: Option<ByteString>,
    /// The assignment of the member; its format is the protocol's.
    pub assignment: Bytes,
}
