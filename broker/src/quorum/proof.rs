//! Who may talk to whom: pure rules on what both sides of a connection say of themselves.
//!
//! Cluster id, node id and directory id must fit. Proof by certificate belongs here as well, once there are any.

use goatq_protocol::Uuid;

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its cluster.
    pub(crate) cluster_id: String,
    /// `node.id`.
    pub(crate) node_id: i32,
    /// The directory of its metadata log: a node with another disk is another node.
    pub(crate) directory_id: Uuid,
}

/// Why two nodes do not talk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProofError {
    /// They are of two clusters.
    #[error("INCONSISTENT_CLUSTER_ID: node {node} is of cluster {given}, this is cluster {expected}")]
    Cluster {
        /// The other node.
        node: i32,
        /// Its cluster.
        given: String,
        /// This node's.
        expected: String,
    },
    /// They have the same id.
    #[error("another node has the id {0} of this one: each node needs a node.id of its own")]
    SameId(i32),
    /// An address leads to another node than is configured.
    #[error("node {expected} was expected there, but it is node {given}")]
    OtherNode {
        /// Who was meant.
        expected: i32,
        /// Who answers.
        given: i32,
    },
    /// A disk was swapped, wiped, or put back from a copy of another one.
    #[error(
        "INVALID_VOTER_KEY: node {node} is known with log directory {expected}, but comes with {given}: its disk was swapped or wiped"
    )]
    OtherDisk {
        /// The other node.
        node: i32,
        /// Its directory as the cluster knows it.
        expected: Uuid,
        /// The one it has.
        given: Uuid,
    },
}

/// Checks the other side against this one, against who was meant (if that is known), and against the directory that the cluster knows it
/// by (zero when it does not yet).
///
/// # Errors
/// See [`ProofError`].
pub(crate) fn check(own: &Identity, other: &Identity, meant: Option<i32>, known: Uuid) -> Result<(), ProofError> {
    let node = other.node_id;
    if other.cluster_id != own.cluster_id {
        let (given, expected) = (other.cluster_id.clone(), own.cluster_id.clone());
        return Err(ProofError::Cluster { node, given, expected });
    }
    if let Some(expected) = meant
        && expected != node
    {
        return Err(ProofError::OtherNode { expected, given: node });
    }
    if node == own.node_id {
        return Err(ProofError::SameId(node));
    }
    if !known.is_zero() && known != other.directory_id {
        return Err(ProofError::OtherDisk { node, expected: known, given: other.directory_id });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_nodes_of_a_cluster_talk() {
        let identity = |cluster: &str, node_id, directory| Identity {
            cluster_id: cluster.to_owned(),
            node_id,
            directory_id: Uuid::from_u128(directory),
        };
        let own = identity("goats", 1, 1_001);
        let known = Uuid::from_u128(1_002);
        let said = |other, meant, known| check(&own, &other, meant, known).err().map(|error| error.to_string());
        assert_eq!(said(identity("goats", 2, 1_002), Some(2), known), None);
        assert_eq!(said(identity("goats", 2, 1_009), None, Uuid::ZERO), None);
        for (other, meant, known, why) in [
            (identity("sheep", 2, 1_002), Some(2), known, "INCONSISTENT_CLUSTER_ID: node 2 is of cluster sheep"),
            (identity("goats", 3, 1_003), Some(2), known, "node 2 was expected there, but it is node 3"),
            (identity("goats", 1, 1_009), None, Uuid::ZERO, "another node has the id 1"),
            (identity("goats", 2, 1_009), Some(2), known, "INVALID_VOTER_KEY: node 2 is known with log directory"),
        ] {
            assert!(said(other.clone(), meant, known).is_some_and(|said| said.starts_with(why)), "{other:?}");
        }
    }
}
