//! Forming a cluster: the first records of its metadata.

use bytestring::ByteString;

use super::{Command, Context, Decision};
use crate::record::{ClusterRecord, FeatureLevelRecord, MetadataRecord};

/// Gives a new cluster its id and its feature levels; checks the id of one that has it.
#[derive(Debug, Clone)]
pub struct FormCluster {
    /// The id; `None` to take the one that is there, or a new one.
    pub cluster_id: Option<ByteString>,
}

/// The metadata belongs to another cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the metadata log belongs to cluster {found}, not to {expected}")]
pub struct WrongCluster {
    /// The id that was configured.
    pub expected: ByteString,
    /// The id in the log.
    pub found: ByteString,
}

impl Command for FormCluster {
    /// The id of the cluster.
    type Response = Result<ByteString, WrongCluster>;

    fn decide(self, cx: &mut Context<'_>) -> Decision<Self::Response> {
        let found = &cx.image.cluster_id;
        if !found.is_empty() {
            return Decision::unchanged(match self.cluster_id {
                Some(expected) if expected != *found => Err(WrongCluster { expected, found: found.clone() }),
                _ => Ok(found.clone()),
            });
        }
        let cluster_id = self.cluster_id.unwrap_or_else(|| cx.entropy.cluster_id().into());
        let mut records: Vec<MetadataRecord> = vec![ClusterRecord { cluster_id: cluster_id.clone() }.into()];
        let initial = cx.supported.iter().filter(|(_, range)| range.initial > 0);
        records.extend(
            initial.map(|(name, range)| FeatureLevelRecord { name: name.clone(), level: range.initial }.into()),
        );
        Decision { records, response: Ok(cluster_id) }
    }
}
