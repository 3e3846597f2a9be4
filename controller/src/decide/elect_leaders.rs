//! Elections that somebody asks for.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::{Command, Context, Decision, MAX_PARTITIONS_PER_REQUEST};
use crate::{
    election::{Change, Wanted},
    image::{PartitionImage, TopicImage},
    record::MetadataRecord,
};

/// Asks for leaders to be elected anew; each partition succeeds or fails by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ElectLeaders {
    /// What is wanted.
    pub election: Election,
    /// Topics with their partitions; `None` for every partition where the election changes something.
    pub partitions: Option<Vec<(ByteString, Vec<i32>)>>,
}

/// Which leader is wanted, with Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Election {
    /// The first replica, if it is in sync.
    Preferred,
    /// Any that is alive, where nobody leads. What it lacks of the acknowledged records is lost.
    Unclean,
}

impl Election {
    /// The election of Kafka's number.
    pub fn from_id(id: i8) -> Option<Self> {
        match id {
            0 => Some(Election::Preferred),
            1 => Some(Election::Unclean),
            _ => None,
        }
    }
}

/// Why a partition keeps the leader it has, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ElectLeadersError {
    /// No such topic or partition.
    #[error("No such topic or partition.")]
    Unknown,
    /// The preferred replica leads, or, for an unclean election, somebody does.
    #[error("The partition has the leader that it should have.")]
    NotNeeded,
    /// The preferred replica is not alive or not in sync.
    #[error("The preferred leader is not available.")]
    PreferredNotAvailable,
    /// No replica is alive.
    #[error("No replica is available.")]
    NoneAvailable,
    /// More elections than one request may hold.
    #[error("A request may elect {MAX_PARTITIONS_PER_REQUEST} leaders at most.")]
    TooMany,
}

/// Who was elected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElectedLeader {
    /// The leader.
    pub leader: i32,
    /// After an unclean election: the replicas that had all that was acknowledged. What only they have is lost.
    pub at_risk: Vec<i32>,
}

/// Topic and number of each partition, with what became of it.
pub type ElectedLeaders = Vec<(ByteString, i32, Result<ElectedLeader, ElectLeadersError>)>;

impl Command for ElectLeaders {
    type Response = ElectedLeaders;

    fn decide(self, cx: &mut Context<'_>) -> Decision<ElectedLeaders> {
        let mut deciding = Deciding { cx, election: self.election, records: Vec::new(), answers: Vec::new() };
        match self.partitions {
            Some(topics) => {
                for (name, numbers) in topics {
                    let topic = cx.image.topics.by_name(&name);
                    for number in numbers {
                        deciding.one(&name, topic.map(|topic| &**topic), number);
                    }
                }
            }
            None => {
                for topic in cx.image.topics.iter() {
                    for number in 0..topic.partition_count() {
                        deciding.one(&topic.name, Some(topic), number);
                    }
                }
                deciding.answers.retain(|(_, _, result)| !matches!(result, Err(ElectLeadersError::NotNeeded)));
            }
        }
        Decision { records: deciding.records, response: deciding.answers }
    }
}

struct Deciding<'a, 'b> {
    cx: &'a Context<'b>,
    election: Election,
    records: Vec<MetadataRecord>,
    answers: ElectedLeaders,
}

impl Deciding<'_, '_> {
    fn one(&mut self, name: &ByteString, topic: Option<&TopicImage>, number: i32) {
        let found = topic.and_then(|topic| Some((topic, topic.partition(number)?)));
        let elected = match found {
            Some((topic, partition)) => self.elect(topic, partition, number),
            None => Err(ElectLeadersError::Unknown),
        };
        self.answers.push((name.clone(), number, elected));
    }

    fn elect(
        &mut self,
        topic: &TopicImage,
        partition: &PartitionImage,
        number: i32,
    ) -> Result<ElectedLeader, ElectLeadersError> {
        let wanted = match self.election {
            Election::Preferred if partition.leader == partition.preferred_leader() => None,
            Election::Preferred => Some((Wanted::Preferred, ElectLeadersError::PreferredNotAvailable)),
            Election::Unclean if partition.has_leader() => None,
            Election::Unclean => Some((Wanted::Unclean, ElectLeadersError::NoneAvailable)),
        };
        let (wanted, missed) = wanted.ok_or(ElectLeadersError::NotNeeded)?;
        if self.records.len() >= MAX_PARTITIONS_PER_REQUEST {
            return Err(ElectLeadersError::TooMany);
        }
        let brokers = &self.cx.image.brokers;
        let mut change = Change::of(partition, self.cx.min_insync(&topic.name));
        change.elect(|replica| brokers.may_lead(replica), wanted);
        let leader = change.leader();
        let at_risk = if change.is_unclean() {
            let complete = partition.isr.iter().chain(&partition.elr).copied();
            complete.filter(|replica| *replica != leader).collect()
        } else {
            Vec::new()
        };
        let change = change.completed(|replica| brokers.may_lead(replica));
        let is_wanted = match self.election {
            Election::Preferred => leader == partition.preferred_leader(),
            Election::Unclean => leader != partition.leader,
        };
        match change.record(topic.id, number) {
            Some(record) if is_wanted => {
                self.records.push(record.into());
                Ok(ElectedLeader { leader, at_risk })
            }
            _ => Err(missed),
        }
    }
}
