//! AddRaftVoter (key 80): giving a controller a vote (KIP-853).
//!
//! Version 1 can be answered before the change is committed, for controllers that join by themselves (KIP-1186).

use bytestring::ByteString;

use crate::Uuid;
use crate::wire::Message;

/// Takes a voter into the metadata quorum.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = AddRaftVoter, versions = "0-1", flexible = "0+")]
pub struct AddRaftVoterRequest {
    /// The cluster that is meant; null for whichever is asked.
    pub cluster_id: Option<ByteString>,
    /// How long the broker may take, ms.
    pub timeout_ms: i32,
    /// Id of the node.
    pub voter_id: i32,
    /// Id of the directory that its metadata log is in.
    pub voter_directory_id: Uuid,
    /// Where the other controllers reach it.
    pub listeners: Vec<Listener>,
    /// Whether to answer when the change is committed, and not when it is written.
    #[field(versions = "1+", default = "true")]
    pub ack_when_committed: bool,
}

/// Whether the voter was taken in.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = AddRaftVoter, versions = "0-1", flexible = "0+")]
pub struct AddRaftVoterResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    pub error_message: Option<ByteString>,
}

/// One of [`AddRaftVoterRequest::listeners`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct Listener {
    /// Name of the listener.
    pub name: ByteString,
    /// Host name or address.
    pub host: ByteString,
    /// TCP port.
    pub port: u16,
}
