//! JoinGroup (key 11): joining a classic group.
//!
//! Version 4 makes new members join twice (KIP-394), 5 brings static members (KIP-345), 8 reasons (KIP-800), 9
//! `skip_assignment` (KIP-814).

use bytes::Bytes;
use bytestring::ByteString;

use crate::wire::Message;

/// Joins a group, or joins it again for the next generation.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = JoinGroup, versions = "0-9", flexible = "6+")]
pub struct JoinGroupRequest {
    /// Id of the group.
    pub group_id: ByteString,
    /// How long the member may be silent, ms.
    pub session_timeout_ms: i32,
    /// How long the group waits for the member to join again, ms; -1 for the session timeout.
    #[field(versions = "1+", default = "-1")]
    pub rebalance_timeout_ms: i32,
    /// Id that the coordinator gave to the member; empty for a member that has none yet.
    pub member_id: ByteString,
    /// Configured id of a static member; null for a dynamic one.
    #[field(versions = "5+")]
    pub group_instance_id: Option<ByteString>,
    /// What kind of group it is, e.g. `consumer` or `connect`.
    pub protocol_type: ByteString,
    /// The protocols that the member knows, the preferred one first.
    pub protocols: Vec<JoinGroupRequestProtocol>,
    /// Why, for the log.
    #[field(versions = "8+")]
    pub reason: Option<ByteString>,
}

/// One of [`JoinGroupRequest::protocols`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct JoinGroupRequestProtocol {
    /// Name of the protocol.
    pub name: ByteString,
    /// What the member says about itself; its format is the protocol's.
    pub metadata: Bytes,
}

/// The generation that the member is in.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = JoinGroup, versions = "0-9", flexible = "6+")]
pub struct JoinGroupResponse {
    /// How long the broker holds the client back because of a quota, ms.
    #[field(versions = "2+")]
    pub throttle_time_ms: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// Generation of the group.
    #[field(default = "-1")]
    pub generation_id: i32,
    /// What kind of group it is, e.g. `consumer` or `connect`.
    #[field(versions = "7+")]
    pub protocol_type: Option<ByteString>,
    /// The protocol that the group agreed on.
    #[field(nullable = "7+")]
    pub protocol_name: Option<ByteString>,
    /// Member id of the leader of the group.
    pub leader: ByteString,
    /// Whether the leader is not to compute an assignment, for the group has a valid one (KIP-814).
    #[field(versions = "9+")]
    pub skip_assignment: bool,
    /// Id that the coordinator gave to the member; empty for a member that has none yet.
    pub member_id: ByteString,
    /// All members, for the leader only.
    pub members: Vec<JoinGroupResponseMember>,
}

/// One of [`JoinGroupResponse::members`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct JoinGroupResponseMember {
    /// Id that the coordinator gave to the member; empty for a member that has none yet.
    pub member_id: ByteString,
    /// Configured id of a static member; null for a dynamic one.
    #[field(versions = "5+")]
    pub group_instance_id: Option<ByteString>,
    /// What the member said about itself.
    pub metadata: Bytes,
}
