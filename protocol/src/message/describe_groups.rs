//! DescribeGroups (key 15): describing classic groups.
//!
//! Version 6 answers GROUP_ID_NOT_FOUND (KIP-1043).

use bytes::Bytes;
use bytestring::ByteString;

use crate::wire::Message;

/// Asks for the state of groups.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DescribeGroups, versions = "0-6", flexible = "5+")]
pub struct DescribeGroupsRequest {
    /// Ids of the groups.
    pub groups: Vec<ByteString>,
    /// Whether the answer is to name the operations that the principal may do.
    #[field(versions = "3+")]
    pub include_authorized_operations: bool,
}

/// The state of the groups.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DescribeGroups, versions = "0-6", flexible = "5+")]
pub struct DescribeGroupsResponse {
    /// How long the broker holds the client back because of a quota, ms.
    #[field(versions = "1+")]
    pub throttle_time_ms: i32,
    /// The groups.
    pub groups: Vec<DescribedGroup>,
}

/// One of [`DescribeGroupsResponse::groups`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribedGroup {
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    #[field(versions = "6+")]
    pub error_message: Option<ByteString>,
    /// Id of the group.
    pub group_id: ByteString,
    /// State of the group, e.g. `Stable`.
    pub group_state: ByteString,
    /// What kind of group it is, e.g. `consumer` or `connect`.
    pub protocol_type: ByteString,
    /// The protocol that the group agreed on.
    pub protocol_data: ByteString,
    /// The members of the group.
    pub members: Vec<DescribedGroupMember>,
    /// Bits of the operations that the principal may do; `i32::MIN` when not asked for.
    #[field(versions = "3+", default = "i32::MIN")]
    pub authorized_operations: i32,
}

/// One of [`DescribedGroup::members`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribedGroupMember {
    /// Id that the coordinator gave to the member; empty for a member that has none yet.
    pub member_id: ByteString,
    /// Configured id of a static member; null for a dynamic one.
    #[field(versions = "4+")]
    pub group_instance_id: Option<ByteString>,
    /// Client id of the member.
    pub client_id: ByteString,
    /// Address that the member connected from.
    pub client_host: ByteString,
    /// What the member said when it joined.
    pub member_metadata: Bytes,
    /// What the group assigned to the member.
    pub member_assignment: Bytes,
}
