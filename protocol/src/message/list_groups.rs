//! ListGroups (key 16): listing the groups of a coordinator.
//!
//! Version 4 filters by state (KIP-518), 5 by type (KIP-848).

use bytestring::ByteString;

use crate::wire::Message;

/// Asks for the groups of this coordinator.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = ListGroups, versions = "0-5", flexible = "3+")]
pub struct ListGroupsRequest {
    /// The group states wanted; empty for all.
    #[field(versions = "4+")]
    pub states_filter: Vec<ByteString>,
    /// The group types wanted; empty for all.
    #[field(versions = "5+")]
    pub types_filter: Vec<ByteString>,
}

/// The groups.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = ListGroups, versions = "0-5", flexible = "3+")]
pub struct ListGroupsResponse {
    /// How long the broker holds the client back because of a quota, ms.
    #[field(versions = "1+")]
    pub throttle_time_ms: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// The groups.
    pub groups: Vec<ListedGroup>,
}

/// One of [`ListGroupsResponse::groups`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct ListedGroup {
    /// Id of the group.
    pub group_id: ByteString,
    /// What kind of group it is, e.g. `consumer` or `connect`.
    pub protocol_type: ByteString,
    /// State of the group, e.g. `Stable`.
    #[field(versions = "4+")]
    pub group_state: ByteString,
    /// Type of the group: `classic`, `consumer`, `share` or `streams`.
    #[field(versions = "5+")]
    pub group_type: ByteString,
}
