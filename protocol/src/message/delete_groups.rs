//! DeleteGroups (key 42): deleting groups.
//!
//! Version 3 brings a message per group.

use bytestring::ByteString;

use crate::wire::Message;

/// Deletes groups that have no members.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DeleteGroups, versions = "0-3", flexible = "2+")]
pub struct DeleteGroupsRequest {
    /// Ids of the groups.
    pub groups_names: Vec<ByteString>,
}

/// What became of each group.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DeleteGroups, versions = "0-3", flexible = "2+")]
pub struct DeleteGroupsResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// The answers, one per item of the request.
    pub results: Vec<DeletableGroupResult>,
}

/// One of [`DeleteGroupsResponse::results`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DeletableGroupResult {
    /// Id of the group.
    pub group_id: ByteString,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    #[field(versions = "3+")]
    pub error_message: Option<ByteString>,
}
