//! Values of control records. Each holds its own version in its first field.

use crate::Uuid;
use crate::wire::Message;

/// Value of a commit or abort marker.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0")]
pub struct EndTxnMarker {
    /// Epoch of the transaction coordinator that wrote the marker.
    pub coordinator_epoch: i32,
}

/// Value of the record with which a Raft leader begins its epoch.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0-1", flexible = "0+")]
pub struct LeaderChangeMessage {
    /// Version of the schema.
    pub version: i16,
    /// Node id of the leader.
    pub leader_id: i32,
    /// All voters.
    pub voters: Vec<Voter>,
    /// The voters that elected the leader.
    pub granting_voters: Vec<Voter>,
}

/// One of [`LeaderChangeMessage::voters`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct Voter {
    /// Node id of the voter.
    pub voter_id: i32,
    /// Log directory of the voter.
    #[field(versions = "1+")]
    pub voter_directory_id: Uuid,
}
