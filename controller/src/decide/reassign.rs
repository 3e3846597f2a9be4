//! Moving replicas to other brokers (KIP-455).
//!
//! A reassignment has three steps. First the partition gets the replicas that it shall have beside those that it has, and the image
//! says which come and which go. Then the new ones catch up and join the ISR, as replicas do. With the report of the last of them those that
//! go are taken out ([`Change::completed`]), and the partition is what it should be. What has nothing to wait for is done at once.
//!
//! Where this differs from Kafka: a reassignment that takes the place of another one drops at once what that was adding and is not wanted
//! any more, so that taking it back always leads to what there was before the first (Kafka keeps such a replica for good then); and
//! taking back never elects an unclean leader, whatever `unclean.leader.election.enable` says.

use std::collections::BTreeSet;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::{Command, Context, Decision, MAX_PARTITIONS_PER_REQUEST};
use crate::{
    election::{Change, Reassigned},
    image::{PartitionImage, TopicImage},
    placement::{self, AssignmentError},
    record::PartitionChangeRecord,
};

/// Asks for replicas to be moved; each partition succeeds or fails by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AlterPartitionReassignments {
    /// Topics with what their partitions shall have.
    pub topics: Vec<(ByteString, Vec<Target>)>,
    /// Whether a partition may get more or fewer replicas than it has (KIP-860).
    pub allow_factor_change: bool,
}

/// Number of a partition, and the replicas that it shall have in order of preference; `None` takes back what is under way.
pub type Target = (i32, Option<Vec<i32>>);

/// Why the replicas of a partition stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ReassignError {
    /// No such topic or partition.
    #[error("There is no such topic or partition.")]
    Unknown,
    /// There is nothing to take back.
    #[error("No partition reassignment is in progress.")]
    NotInProgress,
    /// The replicas are not legal.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    /// The number of replicas would be another, and must not be.
    #[error("The replication factor would change from {from} to {to}.")]
    FactorChanges {
        /// Replicas that the partition has, or shall have when what is under way is done.
        from: usize,
        /// Replicas asked for.
        to: usize,
    },
    /// The only replicas in sync are those that would be dropped.
    #[error("Only replicas that would be dropped are in sync: acknowledged records could be lost.")]
    NobodyInSync,
    /// The request names the partition more than once.
    #[error("The request names the partition more than once.")]
    Duplicate,
    /// The request as a whole asks for too much.
    #[error("A request may reassign {MAX_PARTITIONS_PER_REQUEST} partitions at most.")]
    TooMany,
}

/// The topics of the request with the numbers of their partitions and what became of them, in its order.
pub type Reassignments = Vec<(ByteString, Vec<(i32, Result<(), ReassignError>)>)>;

impl Command for AlterPartitionReassignments {
    type Response = Reassignments;

    fn decide(self, cx: &mut Context<'_>) -> Decision<Reassignments> {
        let mut records: Vec<PartitionChangeRecord> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut response = Vec::with_capacity(self.topics.len().min(1_000));
        for (name, partitions) in self.topics {
            let topic = cx.image.topics.by_name(&name);
            let mut answers = Vec::with_capacity(partitions.len().min(1_000));
            for (number, target) in partitions {
                let found = topic.and_then(|topic| Some((&**topic, topic.partition(number)?)));
                let decided = match found {
                    _ if records.len() >= MAX_PARTITIONS_PER_REQUEST => Err(ReassignError::TooMany),
                    None => Err(ReassignError::Unknown),
                    Some((topic, _)) if !seen.insert((topic.id, number)) => Err(ReassignError::Duplicate),
                    Some((topic, partition)) => {
                        let target = target.as_deref();
                        reassign(cx, topic, partition, target, self.allow_factor_change)
                            .map(|change| change.record(topic.id, number))
                    }
                };
                answers.push((number, decided.map(|record| records.extend(record))));
            }
            response.push((name, answers));
        }
        Decision { records: records.into_iter().map(Into::into).collect(), response }
    }
}

fn reassign<'a>(
    cx: &Context<'_>,
    topic: &TopicImage,
    partition: &'a PartitionImage,
    target: Option<&[i32]>,
    allow_factor_change: bool,
) -> Result<Change<'a>, ReassignError> {
    let brokers = &cx.image.brokers;
    let to = match target {
        None if !partition.is_reassigning() => return Err(ReassignError::NotInProgress),
        None => Reassigned::back(partition),
        Some(target) => {
            placement::check_assignment(brokers, &partition.replicas, target, None)?;
            let from = partition.target_replicas().len();
            if !allow_factor_change && from != target.len() {
                return Err(ReassignError::FactorChanges { from, to: target.len() });
            }
            Reassigned::to(partition, target)
        }
    };
    if !partition.isr.iter().any(|replica| to.replicas.contains(replica)) {
        return Err(ReassignError::NobodyInSync);
    }
    let directory_of = |replica| placement::directory_of(brokers.get(replica).map(|broker| &**broker));
    let change = Change::of(partition, cx.min_insync(&topic.name)).reassigned(to, directory_of);
    Ok(change.completed(|replica| brokers.may_lead(replica)))
}
