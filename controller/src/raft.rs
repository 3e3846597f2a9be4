//! Raft: openraft's types, and what it is given to stand on.
//!
//! - [`entry`]: an entry of the log as one record batch. [`log_store`]: the log itself, on [`goatq_storage::log::Log`].
//! - [`quorum_state`]: the small file with the vote. [`snapshot`]: snapshot files.
//! - [`state_machine`]: applies entries to the image and publishes it.
//! - [`network`]: how nodes of the quorum talk; the seam behind which the wire lies. [`wire`]: what they say as bytes, [`pieces`]: how a
//!   snapshot is cut for it. [`admission`]: who may be a node of the quorum, [`voters`]: who may vote in it.

use std::fmt;

use bytes::Bytes;
use openraft::vote::leader_id_std::{CommittedLeaderId, LeaderId};

pub mod admission;
pub mod entry;
pub mod log_store;
pub mod membership;
pub mod network;
pub mod pieces;
pub mod quorum_state;
pub mod snapshot;
pub mod state_machine;
pub mod voters;
pub mod wire;

pub use membership::QuorumNode;

openraft::declare_raft_types!(
    /// Openraft with the types of the metadata quorum. Node ids are `node.id`, terms are the leader epochs of the log; one
    /// leader per term at most, as in Raft's paper.
    pub MetadataRaft:
        D = EntryData,
        R = Applied,
        NodeId = u64,
        Node = QuorumNode,
        Term = u64,
        LeaderId = LeaderId<u64, u64>,
);

/// Term and index of an entry.
pub type LogId = openraft::LogId<CommittedLeaderId<u64>>;
/// A vote for, or the establishment of, a leader.
pub type Vote = openraft::Vote<LeaderId<u64, u64>>;
/// One entry of the log.
pub type Entry = openraft::type_config::alias::EntryOf<MetadataRaft>;
/// What an entry carries.
pub type Payload = openraft::type_config::alias::PayloadOf<MetadataRaft>;
/// Voters and learners.
pub type Membership = openraft::Membership<u64, QuorumNode>;
/// Voters and learners, and the entry that says so.
pub type StoredMembership = openraft::type_config::alias::StoredMembershipOf<MetadataRaft>;
/// What a snapshot holds.
pub type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<MetadataRaft>;

/// The log id of a term and an index.
pub fn log_id(term: u64, index: u64) -> LogId {
    LogId::new_term_index(term, index)
}

/// A change of metadata, as an entry carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryData {
    /// The image's `changed_index` that the change was decided against. It is applied only if that is still so: between the
    /// decision and now another leader may have changed something.
    pub based_on: i64,
    /// Encoded [`crate::record::MetadataRecord`]s.
    pub records: Bytes,
}

impl fmt::Display for EntryData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of records on {}", self.records.len(), self.based_on)
    }
}

/// What applying an entry came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Its records are in the image.
    Done,
    /// It was decided against an image that had changed since: nothing was done, it has to be decided again.
    Stale,
}
