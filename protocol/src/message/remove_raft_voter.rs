//! RemoveRaftVoter (key 81): taking the vote of a controller (KIP-853).

use bytestring::ByteString;

use crate::Uuid;
use crate::wire::Message;

/// Takes a voter out of the metadata quorum.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = RemoveRaftVoter, versions = "0", flexible = "0+")]
pub struct RemoveRaftVoterRequest {
    /// The cluster that is meant; null for whichever is asked.
    pub cluster_id: Option<ByteString>,
    /// Id of the node.
    pub voter_id: i32,
    /// Id of the directory that its metadata log is in.
    pub voter_directory_id: Uuid,
}

/// Whether the voter was taken out.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = RemoveRaftVoter, versions = "0", flexible = "0+")]
pub struct RemoveRaftVoterResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    pub error_message: Option<ByteString>,
}
