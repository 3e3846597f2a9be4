//! Who may be a node of the quorum: rules on the membership, pure.
//!
//! A node id belongs to a log directory. A voter that comes with another one has lost its disk, and with it the votes it gave and the
//! entries that it acknowledged: it must not take part any more. A node without a vote may begin anew.

use goatq_protocol::Uuid;
use serde::{Deserialize, Serialize};

use super::{Membership, QuorumNode};

/// Nodes without a vote that a quorum takes at most.
pub const MAX_LEARNERS: usize = 10_000;

/// What is to be done about a node that says where it is and what its directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// A voter of which all is known.
    Known,
    /// The same without a vote: what it comes back with may be an older copy of its log, as nobody counts on what it was sent.
    Back,
    /// It is new: it gets the metadata, and no vote.
    Add,
    /// It is known, but not like that.
    Update {
        /// What it was sent before may be gone: it has no vote, and another log or an older copy.
        anew: bool,
    },
}

/// Why a node is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    /// A voter with another disk.
    #[error(
        "node {node} votes in the quorum with log directory {expected}, but comes with {given}: its disk was swapped or wiped, so it \
         must not vote"
    )]
    SwappedDisk {
        /// The node.
        node: i32,
        /// The directory that it had.
        expected: Uuid,
        /// The directory that it has.
        given: Uuid,
    },
    /// A disk that is another node's.
    #[error("node {node} comes with log directory {directory}, which is that of node {other}")]
    ForeignDisk {
        /// The node.
        node: i32,
        /// The directory.
        directory: Uuid,
        /// Whose it is.
        other: i32,
    },
    /// An id that is none.
    #[error("{0} cannot be the id of a node")]
    Id(i32),
    /// There are too many.
    #[error("the quorum has {MAX_LEARNERS} nodes without a vote already")]
    TooMany,
}

fn number(id: u64) -> i32 {
    i32::try_from(id).unwrap_or(i32::MAX)
}

/// What to do about node `id`, which says that it is `node`.
///
/// # Errors
/// See [`Refusal`].
pub fn admit(membership: &Membership, id: i32, node: &QuorumNode) -> Result<Admission, Refusal> {
    let own = u64::try_from(id).map_err(|_| Refusal::Id(id))?;
    let directory = node.directory_id;
    if directory.is_reserved() {
        return Err(Refusal::SwappedDisk { node: id, expected: Uuid::ZERO, given: directory });
    }
    if let Some((other, _)) =
        membership.nodes().find(|(other, known)| **other != own && known.directory_id == directory)
    {
        return Err(Refusal::ForeignDisk { node: id, directory, other: number(*other) });
    }
    let Some(known) = membership.get_node(&own) else {
        let room = membership.learner_ids().count() < MAX_LEARNERS;
        return if room { Ok(Admission::Add) } else { Err(Refusal::TooMany) };
    };
    let votes = membership.voter_ids().any(|voter| voter == own);
    let anew = !known.directory_id.is_zero() && known.directory_id != directory;
    if anew && votes {
        return Err(Refusal::SwappedDisk { node: id, expected: known.directory_id, given: directory });
    }
    Ok(match known == node {
        true if votes => Admission::Known,
        true => Admission::Back,
        false => Admission::Update { anew: !votes },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn node(directory: u128) -> QuorumNode {
        QuorumNode { directory_id: Uuid::from_u128(directory), endpoints: Vec::new() }
    }

    /// Voter 1 whose disk is known, voter 2 whose disk is not, learner 3.
    fn membership() -> Membership {
        let nodes = BTreeMap::from([(1, node(1_001)), (2, QuorumNode::default()), (3, node(1_003))]);
        Membership::new(vec![[1, 2].into()], nodes).unwrap()
    }

    #[test]
    fn nodes_are_told_by_their_disks() {
        let swapped = |expected, given| {
            Err(Refusal::SwappedDisk { node: 1, expected: Uuid::from_u128(expected), given: Uuid::from_u128(given) })
        };
        let foreign =
            |node, directory, other| Err(Refusal::ForeignDisk { node, directory: Uuid::from_u128(directory), other });
        let cases = [
            (1, 1_001, Ok(Admission::Known)),
            (1, 1_099, swapped(1_001, 1_099)),
            (1, 1_003, foreign(1, 1_003, 3)),
            (2, 1_002, Ok(Admission::Update { anew: false })),
            (2, 1_001, foreign(2, 1_001, 1)),
            (3, 1_003, Ok(Admission::Back)),
            (3, 1_033, Ok(Admission::Update { anew: true })),
            (4, 1_004, Ok(Admission::Add)),
            (4, 1_003, foreign(4, 1_003, 3)),
            (-1, 1_004, Err(Refusal::Id(-1))),
            (1, 7, swapped(0, 7)),
        ];
        for (id, directory, expected) in cases {
            assert_eq!(admit(&membership(), id, &node(directory)), expected, "node {id} with {directory}");
        }
    }
}
