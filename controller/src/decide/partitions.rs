//! Adding partitions to topics.

use std::collections::BTreeMap;

use bytestring::ByteString;
use goatq_protocol::Uuid;
use serde::{Deserialize, Serialize};

use super::{Command, Context, Decision, MAX_PARTITIONS_PER_REQUEST};
use crate::{
    balance::drained,
    image::MetadataImage,
    placement::{self, AssignmentError, PlacementError},
    record::{MetadataRecord, PartitionRecord},
};

/// Asks for topics to be given more partitions; each succeeds or fails by itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CreatePartitions {
    /// The topics.
    pub topics: Vec<MorePartitions>,
    /// Only check.
    pub validate_only: bool,
}

/// How many partitions a topic shall have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MorePartitions {
    /// The topic.
    pub name: ByteString,
    /// Partitions afterwards, the present ones included.
    pub count: i32,
    /// Replicas of each new partition, chosen by hand; `None` to have them chosen.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// Why a topic gets no more partitions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum CreatePartitionsError {
    /// No such topic.
    #[error("There is no topic of that name.")]
    UnknownTopic,
    /// It has as many already.
    #[error("Topic already has {0} partition(s).")]
    SameCount(i32),
    /// It has more already.
    #[error("Topic {name} has {current} partition(s) now; {wanted} would be fewer.")]
    NoIncrease {
        /// The topic.
        name: ByteString,
        /// Partitions that it has.
        current: i32,
        /// Partitions asked for.
        wanted: i32,
    },
    /// The request names it more than once.
    #[error("The request has this topic more than once.")]
    Duplicate,
    /// The assignment is not legal.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    /// Too few brokers for the topic's replication factor.
    #[error(transparent)]
    ReplicationFactor(#[from] PlacementError),
    /// The request as a whole asks for too much.
    #[error("A request may create {MAX_PARTITIONS_PER_REQUEST} partitions at most.")]
    TooManyPartitions,
}

/// Each topic of the request once, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatePartitionsResponse {
    /// Names and what became of them.
    pub topics: Vec<(ByteString, Result<(), CreatePartitionsError>)>,
}

impl Command for CreatePartitions {
    type Response = CreatePartitionsResponse;

    fn decide(self, cx: &mut Context<'_>) -> Decision<CreatePartitionsResponse> {
        let mut times: BTreeMap<ByteString, usize> = BTreeMap::new();
        for topic in &self.topics {
            *times.entry(topic.name.clone()).or_default() += 1;
        }
        let mut room = MAX_PARTITIONS_PER_REQUEST;
        let mut records: Vec<MetadataRecord> = Vec::new();
        let mut topics = Vec::with_capacity(self.topics.len().min(1_000));
        for topic in self.topics {
            let added = match times.remove(&topic.name) {
                None => continue,
                Some(1) => add(&topic, cx, room),
                Some(_) => Err(CreatePartitionsError::Duplicate),
            };
            let result = added.map(|added| {
                room = room.saturating_sub(added.len());
                records.extend(added.into_iter().map(MetadataRecord::from));
            });
            topics.push((topic.name, result));
        }
        if self.validate_only {
            records.clear();
        }
        Decision { records, response: CreatePartitionsResponse { topics } }
    }
}

fn add(
    topic: &MorePartitions,
    cx: &mut Context<'_>,
    room: usize,
) -> Result<Vec<PartitionRecord>, CreatePartitionsError> {
    let present = cx.image.topics.by_name(&topic.name).ok_or(CreatePartitionsError::UnknownTopic)?;
    let current = present.partition_count();
    if topic.count == current {
        return Err(CreatePartitionsError::SameCount(current));
    }
    let added =
        topic.count.checked_sub(current).filter(|added| *added > 0).ok_or_else(|| {
            CreatePartitionsError::NoIncrease { name: topic.name.clone(), current, wanted: topic.count }
        })?;
    let added = usize::try_from(added).unwrap_or(usize::MAX);
    let factor = present.partitions.first().map_or(1, |partition| partition.target_replicas().len());
    if let Some(assignments) = &topic.assignments
        && assignments.len() != added
    {
        return Err(AssignmentError::WrongCount { added, given: assignments.len() }.into());
    }
    if added > room {
        return Err(CreatePartitionsError::TooManyPartitions);
    }
    let replicas = match &topic.assignments {
        Some(assignments) => {
            for replicas in assignments {
                placement::check_assignment(&cx.image.brokers, &[], replicas, Some(factor))?;
            }
            assignments.clone()
        }
        None => placement::place(&cx.image.brokers, &drained(&cx.image.configs), added, factor, cx.entropy)?,
    };
    let min_insync = cx.min_insync(&topic.name);
    (current..)
        .zip(replicas)
        .map(|(partition, replicas)| Ok(new_partition(cx.image, (present.id, partition), replicas, min_insync)?))
        .collect()
}

/// A partition as it starts: led by the first of its replicas that is alive, with all that are alive in sync. Where these are fewer than
/// `min_insync`, nothing can be committed yet, and the others, which have all of that, are eligible to lead (KIP-966).
pub(super) fn new_partition(
    image: &MetadataImage,
    (topic_id, partition_id): (Uuid, i32),
    replicas: Vec<i32>,
    min_insync: usize,
) -> Result<PartitionRecord, AssignmentError> {
    let isr: Vec<i32> = replicas.iter().copied().filter(|replica| image.brokers.may_lead(*replica)).collect();
    let leader = *isr.first().ok_or(AssignmentError::NoneAlive(partition_id))?;
    let is_short = isr.len() < min_insync.min(replicas.len());
    let elr = replicas.iter().copied().filter(|replica| is_short && !isr.contains(replica)).collect();
    let directories = replicas
        .iter()
        .map(|replica| placement::directory_of(image.brokers.get(*replica).map(|broker| &**broker)))
        .collect();
    Ok(PartitionRecord {
        topic_id,
        partition_id,
        replicas,
        isr,
        elr,
        leader,
        leader_epoch: 0,
        partition_epoch: 0,
        directories,
        ..PartitionRecord::default()
    })
}
