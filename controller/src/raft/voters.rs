//! Who votes in the quorum: rules on changes of the membership, pure (KIP-853).
//!
//! Voters are told by node id and log directory: a vote was given by a disk. A node becomes a voter after it has followed the log for a while
//! without a vote, one at a time, so that any majority of the old voters and any of the new ones have a node in common.

use std::collections::BTreeSet;

use bytestring::ByteString;
use goatq_protocol::Uuid;
use serde::{Deserialize, Serialize};

use super::Membership;

/// Why the voters stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum VoterError {
    /// Another cluster is meant.
    #[error("The given id {given:?} does not match the cluster id {expected:?}.")]
    Cluster {
        /// The id of this cluster.
        expected: ByteString,
        /// The id given.
        given: ByteString,
    },
    /// The voters of this cluster are fixed.
    #[error("The voters cannot be changed because the feature kraft.version is 0.")]
    Unsupported,
    /// A negative id, or no directory.
    #[error("A voter has an id of at least 0 and the id of its log directory.")]
    Invalid,
    /// The id votes already.
    #[error("Node {0} has a vote already.")]
    Duplicate(i32),
    /// It does not vote, or not with that directory.
    #[error("Node {id} with log directory {directory} has no vote.")]
    NotFound {
        /// The node.
        id: i32,
        /// The directory.
        directory: Uuid,
    },
    /// Nobody would be left.
    #[error("Node {0} has the only vote.")]
    Last(i32),
    /// It does not follow the log, or is behind.
    #[error(
        "Node {id} with log directory {directory} does not follow the metadata log, or is behind: it must run before it gets a vote."
    )]
    Lagging {
        /// The node.
        id: i32,
        /// The directory.
        directory: Uuid,
    },
    /// Another change is under way.
    #[error("Another change of the voters is under way.")]
    Busy,
    /// There is no such node.
    #[error("Node {0} is not known.")]
    Unknown(i32),
    /// It runs, or votes.
    #[error("Node {0} has a vote or is still running: take its vote and stop it first.")]
    InUse(i32),
}

fn number(id: i32) -> Result<u64, VoterError> {
    u64::try_from(id).map_err(|_| VoterError::Invalid)
}

fn valid(id: i32, directory: Uuid) -> Result<u64, VoterError> {
    if directory.is_reserved() { Err(VoterError::Invalid) } else { number(id) }
}

fn votes(membership: &Membership, id: u64) -> bool {
    membership.voter_ids().any(|voter| voter == id)
}

/// Whether node `id` may get a vote. `has_all` says whether it has all that is committed.
///
/// # Errors
/// [`VoterError::Lagging`] may pass with time, the others do not.
pub fn add(membership: &Membership, id: i32, directory: Uuid, has_all: bool) -> Result<u64, VoterError> {
    let own = valid(id, directory)?;
    if votes(membership, own) {
        return Err(VoterError::Duplicate(id));
    }
    let follows = membership.get_node(&own).is_some_and(|node| node.directory_id == directory);
    if follows && has_all { Ok(own) } else { Err(VoterError::Lagging { id, directory }) }
}

/// Whether the vote of node `id` may be taken.
///
/// # Errors
/// See [`VoterError`].
pub fn remove(membership: &Membership, id: i32, directory: Uuid) -> Result<u64, VoterError> {
    let own = valid(id, directory)?;
    let known = membership.get_node(&own).is_some_and(|node| node.directory_id == directory);
    if !known || !votes(membership, own) {
        return Err(VoterError::NotFound { id, directory });
    }
    if membership.voter_ids().count() > 1 { Ok(own) } else { Err(VoterError::Last(id)) }
}

/// Whether node `id`, which has no vote, may be forgotten. `heard` says whether it was heard lately: then it needs the metadata.
///
/// # Errors
/// See [`VoterError`].
pub fn forget(membership: &Membership, id: i32, heard: bool) -> Result<u64, VoterError> {
    let own = number(id)?;
    if membership.get_node(&own).is_none() {
        return Err(VoterError::Unknown(id));
    }
    if heard || votes(membership, own) { Err(VoterError::InUse(id)) } else { Ok(own) }
}

/// Whether nodes that are configured as voters and do not vote could form a quorum of their own, if they know as little as it seems.
pub fn could_split(known: &BTreeSet<u64>, configured: &BTreeSet<u64>) -> bool {
    !known.is_empty() && configured.difference(known).count() * 2 > configured.len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::raft::QuorumNode;

    fn directory(id: u128) -> Uuid {
        Uuid::from_u128(1_000 + id)
    }

    /// These vote, and 8 and 9 follow.
    fn membership(voters: &[u64]) -> Membership {
        let node = |id: u64| (id, QuorumNode { directory_id: directory(id.into()), endpoints: Vec::new() });
        let nodes: BTreeMap<_, _> = voters.iter().copied().chain([8, 9]).map(node).collect();
        Membership::new(vec![voters.iter().copied().collect()], nodes).unwrap()
    }

    #[test]
    fn who_follows_gets_a_vote() {
        let three = membership(&[1, 2, 3]);
        let lagging = |id, of| Err(VoterError::Lagging { id, directory: directory(of) });
        let cases = [
            (8, 8, true, Ok(8)),
            (8, 8, false, lagging(8, 8)),
            (8, 9, true, lagging(8, 9)),
            (7, 7, true, lagging(7, 7)),
            (1, 1, true, Err(VoterError::Duplicate(1))),
            (1, 77, true, Err(VoterError::Duplicate(1))),
            (-1, 8, true, Err(VoterError::Invalid)),
        ];
        for (id, of, has_all, expected) in cases {
            assert_eq!(add(&three, id, directory(of), has_all), expected, "node {id} with {of}");
        }
        assert_eq!(add(&three, 8, Uuid::ZERO, true), Err(VoterError::Invalid));
    }

    #[test]
    fn a_vote_is_taken_from_a_disk() {
        let (three, one) = (membership(&[1, 2, 3]), membership(&[1]));
        let missing = |id, of| Err(VoterError::NotFound { id, directory: directory(of) });
        assert_eq!(remove(&three, 2, directory(2)), Ok(2));
        assert_eq!(remove(&three, 2, directory(3)), missing(2, 3));
        assert_eq!(remove(&three, 8, directory(8)), missing(8, 8));
        assert_eq!(remove(&three, 7, directory(7)), missing(7, 7));
        assert_eq!(remove(&three, 2, Uuid::ZERO), Err(VoterError::Invalid));
        assert_eq!(remove(&one, 1, directory(1)), Err(VoterError::Last(1)));
    }

    #[test]
    fn who_is_gone_can_be_forgotten() {
        let three = membership(&[1, 2, 3]);
        assert_eq!(forget(&three, 8, false), Ok(8));
        assert_eq!(forget(&three, 8, true), Err(VoterError::InUse(8)));
        assert_eq!(forget(&three, 1, false), Err(VoterError::InUse(1)));
        assert_eq!(forget(&three, 7, false), Err(VoterError::Unknown(7)));
        assert_eq!(forget(&three, -7, false), Err(VoterError::Invalid));
    }

    #[test]
    fn a_majority_of_strangers_would_be_a_second_cluster() {
        let cases: [(&[u64], &[u64], bool); 8] = [
            (&[1], &[1, 2, 3], true),
            (&[1, 2, 3], &[4, 5, 6], true),
            (&[1, 2], &[1, 2, 3], false),
            (&[1, 2, 3, 4], &[1, 2, 3], false),
            (&[1, 2, 4], &[1, 2, 3], false),
            (&[1, 2], &[1], false),
            (&[1, 2], &[], false),
            (&[], &[1, 2, 3], false),
        ];
        for (known, configured, expected) in cases {
            let set = |ids: &[u64]| ids.iter().copied().collect();
            assert_eq!(could_split(&set(known), &set(configured)), expected, "{known:?} {configured:?}");
        }
    }
}
