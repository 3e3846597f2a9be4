//! A leader reports who is in sync with it. A reassignment ends with the report that all replicas are that it waits for. A leader may
//! report that it is not in sync itself, because its disk is slow: then another one leads.

use std::borrow::Cow;

use goatq_protocol::Uuid;
use serde::{Deserialize, Serialize};

use super::{
    Command, Context, Decision,
    brokers::{UnknownBroker, registered},
};
use crate::{
    election::Change,
    image::{MetadataImage, PartitionImage, TopicImage},
    record::{MetadataRecord, PartitionChangeRecord},
};

/// A leader asks for the in-sync replicas of its partitions to be changed; each succeeds or fails by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AlterPartition {
    /// The leader.
    pub broker_id: i32,
    /// The epoch of its registration.
    pub broker_epoch: i64,
    /// The partitions.
    pub partitions: Vec<NewIsr>,
}

/// The in-sync replicas that a partition shall have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewIsr {
    /// The topic.
    pub topic_id: Uuid,
    /// Number of the partition.
    pub partition: i32,
    /// The epoch under which the broker leads it.
    pub leader_epoch: i32,
    /// The epoch of the partition that the broker knows.
    pub partition_epoch: i32,
    /// In-sync replicas, each with the epoch of the registration that fetched (KIP-903); -1 for one that is not known.
    pub isr: Vec<(i32, i64)>,
}

/// Why the ISR of a partition stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum AlterPartitionError {
    /// No such topic.
    #[error("There is no topic with that id.")]
    UnknownTopic,
    /// No such partition.
    #[error("The topic has no such partition.")]
    UnknownPartition,
    /// The broker does not lead it any more.
    #[error("The leader epoch is {0}.")]
    FencedLeaderEpoch(i32),
    /// The broker knows an epoch that this controller does not: it is not the active one.
    #[error("The broker knows a newer epoch than this controller.")]
    NewerEpoch,
    /// The partition has changed meanwhile.
    #[error("The partition epoch is {0}.")]
    InvalidUpdateVersion(i32),
    /// The broker is not the leader, or the ISR is not one.
    #[error("{0}")]
    Invalid(Cow<'static, str>),
    /// A replica of the new ISR is fenced, about to stop, or was registered anew.
    #[error("Replica {0} is not eligible.")]
    Ineligible(i32),
    /// The change was made, and ended a reassignment or a leadership: there is another leader, or the same under a new epoch.
    #[error("The change was made, and there is a new leader epoch.")]
    NewLeaderElected,
}

/// What a partition looks like after a change of its ISR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlteredPartition {
    /// Its leader.
    pub leader: i32,
    /// The leader's epoch.
    pub leader_epoch: i32,
    /// The new ISR.
    pub isr: Vec<i32>,
    /// The new epoch of the partition.
    pub partition_epoch: i32,
}

/// Topic and number of each partition of the request, in its order, with what became of it.
pub type AlteredPartitions = Vec<(Uuid, i32, Result<AlteredPartition, AlterPartitionError>)>;

impl Command for AlterPartition {
    type Response = Result<AlteredPartitions, UnknownBroker>;

    fn decide(self, cx: &mut Context<'_>) -> Decision<Self::Response> {
        if let Err(unknown) = registered(cx.image, self.broker_id, self.broker_epoch) {
            return Decision::unchanged(Err(unknown));
        }
        let mut records: Vec<MetadataRecord> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        let mut answers = Vec::with_capacity(self.partitions.len().min(1_000));
        for new in self.partitions {
            let checked = match seen.insert((new.topic_id, new.partition)) {
                true => check(cx.image, self.broker_id, &new),
                false => Err(AlterPartitionError::Invalid("The request names the partition more than once.".into())),
            };
            let answer = checked.and_then(|(topic, partition)| {
                let isr: Vec<i32> = new.isr.iter().map(|(replica, _)| *replica).collect();
                let may_lead = |replica| cx.image.brokers.may_lead(replica);
                let change = Change::of(partition, cx.min_insync(&topic.name)).in_sync(isr, may_lead);
                let change = change.completed(may_lead);
                let (isr, leads_anew) = (change.isr().to_vec(), change.leads_anew());
                // A new partition epoch in any case: what was proposed before is outdated.
                let same = PartitionChangeRecord {
                    topic_id: new.topic_id,
                    partition_id: new.partition,
                    ..PartitionChangeRecord::default()
                };
                records.push(change.record(new.topic_id, new.partition).unwrap_or(same).into());
                if leads_anew {
                    return Err(AlterPartitionError::NewLeaderElected);
                }
                Ok(AlteredPartition {
                    leader: partition.leader,
                    leader_epoch: partition.leader_epoch,
                    isr,
                    partition_epoch: partition.partition_epoch.saturating_add(1),
                })
            });
            answers.push((new.topic_id, new.partition, answer));
        }
        Decision { records, response: Ok(answers) }
    }
}

type Found<'a> = (&'a TopicImage, &'a PartitionImage);

fn check<'a>(image: &'a MetadataImage, broker: i32, new: &NewIsr) -> Result<Found<'a>, AlterPartitionError> {
    let topic = image.topics.by_id(&new.topic_id).ok_or(AlterPartitionError::UnknownTopic)?;
    let partition = topic.partition(new.partition).ok_or(AlterPartitionError::UnknownPartition)?;
    let epoch_of = |replica| {
        image
            .brokers
            .get(replica)
            .filter(|broker| broker.may_lead() && !partition.is_lost(replica))
            .map(|broker| broker.epoch)
    };
    check_isr(partition, broker, new, epoch_of)?;
    Ok((topic, partition))
}

/// Whether a partition may get the ISR that `broker` asks for. `epoch_of` says the broker epoch of each broker that may lead.
///
/// # Errors
/// See [`AlterPartitionError`].
pub fn check_isr(
    partition: &PartitionImage,
    broker: i32,
    new: &NewIsr,
    epoch_of: impl Fn(i32) -> Option<i64>,
) -> Result<(), AlterPartitionError> {
    if new.leader_epoch > partition.leader_epoch || new.partition_epoch > partition.partition_epoch {
        return Err(AlterPartitionError::NewerEpoch);
    }
    if new.leader_epoch < partition.leader_epoch {
        return Err(AlterPartitionError::FencedLeaderEpoch(partition.leader_epoch));
    }
    if broker != partition.leader {
        return Err(AlterPartitionError::Invalid("Only the leader can change the ISR.".into()));
    }
    if new.partition_epoch < partition.partition_epoch {
        return Err(AlterPartitionError::InvalidUpdateVersion(partition.partition_epoch));
    }
    let gives_up = !new.isr.iter().any(|(replica, _)| *replica == partition.leader);
    if gives_up && (new.isr.is_empty() || new.isr.iter().any(|(replica, _)| !partition.isr.contains(replica))) {
        return Err(AlterPartitionError::Invalid(
            "The ISR must have the leader in it, or others that were in it before.".into(),
        ));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (replica, epoch) in &new.isr {
        if !seen.insert(replica) || !partition.replicas.contains(replica) {
            return Err(AlterPartitionError::Invalid("The ISR must consist of replicas, each once.".into()));
        }
        if epoch_of(*replica).is_none_or(|known| *epoch != -1 && *epoch != known) {
            return Err(AlterPartitionError::Ineligible(*replica));
        }
    }
    Ok(())
}
