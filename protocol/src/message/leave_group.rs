//! LeaveGroup (key 13): leaving a classic group.
//!
//! Version 3 removes several members at once (KIP-345), 5 brings reasons (KIP-800).

use bytestring::ByteString;

use crate::wire::Message;

/// Removes members from a group.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = LeaveGroup, versions = "0-5", flexible = "4+")]
pub struct LeaveGroupRequest {
    /// Id of the group.
    pub group_id: ByteString,
    /// The members that leave.
    #[field(versions = "3+")]
    pub members: Vec<MemberIdentity>,
    /// Id of the member that leaves, before version 3.
    #[field(versions = "0-2")]
    pub member_id: ByteString,
}

/// One of [`LeaveGroupRequest::members`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct MemberIdentity {
    /// Id that the coordinator gave to the member; empty for a member that has none yet.
    pub member_id: ByteString,
    /// Configured id of a static member; null for a dynamic one.
    pub group_instance_id: Option<ByteString>,
    /// Why, for the log.
    #[field(versions = "5+")]
    pub reason: Option<ByteString>,
}

/// What became of each member.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = LeaveGroup, versions = "0-5", flexible = "4+")]
pub struct LeaveGroupResponse {
    /// How long the broker holds the client back because of a quota, ms.
    #[field(versions = "1+")]
    pub throttle_time_ms: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// The members of the group.
    #[field(versions = "3+")]
    pub members: Vec<MemberResponse>,
}

/// One of [`LeaveGroupResponse::members`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct MemberResponse {
    /// Id that the coordinator gave to the member; empty for a member that has none yet.
    pub member_id: ByteString,
    /// Configured id of a static member; null for a dynamic one.
    pub group_instance_id: Option<ByteString>,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
}
