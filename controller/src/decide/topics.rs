//! Creating and deleting topics.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use bytestring::ByteString;
use goatq_protocol::Uuid;
use serde::{Deserialize, Serialize};

use super::{
    Command, Context, Decision, InvalidConfig, MAX_CONFIGS_PER_REQUEST, MAX_PARTITIONS_PER_REQUEST,
    MIN_INSYNC_REPLICAS,
    configs::{MAX_VALUE, config_record},
    partitions::new_partition,
};
use crate::{
    balance::drained,
    image::{ConfigResource, TopicImage},
    placement::{self, AssignmentError, PlacementError},
    record::{MetadataRecord, RemoveTopicRecord, TopicRecord},
    topic_name::{self, METADATA_TOPIC, TopicNameError},
};

/// Asks for topics to be created; each succeeds or fails by itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CreateTopics {
    /// The topics.
    pub topics: Vec<NewTopic>,
    /// Only check and say what would be created.
    pub validate_only: bool,
}

/// A topic to be created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTopic {
    /// Its name.
    pub name: ByteString,
    /// Number of partitions, -1 for the default. Must be -1 with assignments.
    pub partitions: i32,
    /// Number of replicas of each, -1 for the default. Must be -1 with assignments.
    pub replication_factor: i16,
    /// Replicas chosen by hand; empty to have them chosen.
    pub assignments: Vec<ManualAssignment>,
    /// Configuration to start with; a null value is refused.
    pub configs: Vec<(ByteString, Option<ByteString>)>,
}

impl NewTopic {
    /// A topic with everything chosen by default.
    pub fn named(name: impl Into<ByteString>) -> Self {
        NewTopic {
            name: name.into(),
            partitions: -1,
            replication_factor: -1,
            assignments: Vec::new(),
            configs: Vec::new(),
        }
    }
}

/// The replicas of one partition, chosen by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManualAssignment {
    /// Number of the partition.
    pub partition: i32,
    /// Brokers in order of preference.
    pub brokers: Vec<i32>,
}

/// What was created, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedTopic {
    /// Its id; of a topic that was only validated, one that will not be used.
    pub id: Uuid,
    /// Number of partitions.
    pub partitions: i32,
    /// Number of replicas of each.
    pub replication_factor: i16,
    /// The configuration that was set.
    pub configs: BTreeMap<String, String>,
}

/// Why a topic is not created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum CreateTopicError {
    /// There is one of that name.
    #[error("Topic '{0}' already exists.")]
    Exists(ByteString),
    /// The name is not legal.
    #[error(transparent)]
    Name(#[from] TopicNameError),
    /// The request names it more than once.
    #[error("The request has this topic more than once.")]
    Duplicate,
    /// The name of the metadata topic.
    #[error("{METADATA_TOPIC} is the metadata log: it cannot be created.")]
    MetadataTopic,
    /// 0 partitions or fewer.
    #[error("The number of partitions must be at least 1, or -1 for the default.")]
    Partitions,
    /// The replication factor cannot be had.
    #[error(transparent)]
    ReplicationFactor(#[from] PlacementError),
    /// Both an assignment and a count.
    #[error("With an assignment the {0} must be -1: it follows from the assignment.")]
    CountAndAssignment(Cow<'static, str>),
    /// The assignment is not legal.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    /// The configuration is not legal.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The request as a whole asks for too much.
    #[error("A request may create {MAX_PARTITIONS_PER_REQUEST} partitions at most.")]
    TooManyPartitions,
}

/// Each topic of the request once, in its order; a name that came twice, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateTopicsResponse {
    /// Names and what became of them.
    pub topics: Vec<(ByteString, Result<CreatedTopic, CreateTopicError>)>,
}

impl Command for CreateTopics {
    type Response = CreateTopicsResponse;

    fn decide(self, cx: &mut Context<'_>) -> Decision<CreateTopicsResponse> {
        let mut records = Vec::new();
        let mut topics = Vec::with_capacity(self.topics.len().min(1_000));
        if requested_partitions(&self.topics, cx.defaults.num_partitions) > MAX_PARTITIONS_PER_REQUEST {
            topics.extend(self.topics.into_iter().map(|topic| (topic.name, Err(CreateTopicError::TooManyPartitions))));
            return Decision::unchanged(CreateTopicsResponse { topics });
        }
        let mut times: BTreeMap<ByteString, usize> = BTreeMap::new();
        for topic in &self.topics {
            *times.entry(topic.name.clone()).or_default() += 1;
        }
        // Names of this request as metrics would show them, so that no two of them collide either.
        let mut folded = BTreeMap::new();
        for topic in self.topics {
            let result = match times.remove(&topic.name) {
                None => continue,
                Some(1) => create(&topic, cx, &mut folded),
                Some(_) => Err(CreateTopicError::Duplicate),
            };
            let result = result.map(|(created, new_records)| {
                records.extend(new_records);
                created
            });
            topics.push((topic.name, result));
        }
        if self.validate_only {
            records.clear();
        }
        Decision { records, response: CreateTopicsResponse { topics } }
    }
}

/// Partitions that a request asks for, without overflow. A topic counts as one at least, so this bounds topics too.
fn requested_partitions(topics: &[NewTopic], default: i32) -> usize {
    topics.iter().fold(0, |sum: usize, topic| {
        let count = if !topic.assignments.is_empty() {
            topic.assignments.len()
        } else {
            let count = if topic.partitions == -1 { default } else { topic.partitions };
            usize::try_from(count).unwrap_or(1)
        };
        sum.saturating_add(count.max(1))
    })
}

type Created = (CreatedTopic, Vec<MetadataRecord>);

fn create(
    topic: &NewTopic,
    cx: &mut Context<'_>,
    folded: &mut BTreeMap<ByteString, ByteString>,
) -> Result<Created, CreateTopicError> {
    check_name(topic, cx, folded)?;
    let configs = checked_configs(topic, cx)?;
    let replicas = replicas(topic, cx)?;
    let id = unused_id(cx);
    let factor = replicas.first().map_or(0, Vec::len);
    let created = CreatedTopic {
        id,
        partitions: i32::try_from(replicas.len()).unwrap_or(i32::MAX),
        replication_factor: i16::try_from(factor).unwrap_or(i16::MAX),
        configs,
    };
    let mut records = Vec::with_capacity(1 + created.configs.len() + replicas.len());
    records.push(TopicRecord { name: topic.name.clone(), topic_id: id }.into());
    let resource = ConfigResource::topic(&*topic.name);
    records.extend(created.configs.iter().map(|(key, value)| config_record(&resource, key, Some(value))));
    let own = created.configs.get(MIN_INSYNC_REPLICAS).and_then(|value| value.parse().ok());
    let min_insync = own.unwrap_or_else(|| cx.min_insync(&topic.name));
    for (partition, replicas) in (0..).zip(replicas) {
        records.push(new_partition(cx.image, (id, partition), replicas, min_insync)?.into());
    }
    if let Some(name) = topic_name::fold(&topic.name) {
        folded.insert(name, topic.name.clone());
    }
    Ok((created, records))
}

fn check_name(
    topic: &NewTopic,
    cx: &Context<'_>,
    folded: &BTreeMap<ByteString, ByteString>,
) -> Result<(), CreateTopicError> {
    topic_name::check(&topic.name)?;
    if *topic.name == *METADATA_TOPIC {
        return Err(CreateTopicError::MetadataTopic);
    }
    if cx.image.topics.by_name(&topic.name).is_some() {
        return Err(CreateTopicError::Exists(topic.name.clone()));
    }
    let existing = cx
        .image
        .topics
        .colliding(&topic.name)
        .or_else(|| topic_name::fold(&topic.name).and_then(|name| folded.get(&name)));
    match existing {
        Some(existing) => {
            Err(TopicNameError::Collision { name: topic.name.to_string(), existing: existing.clone() }.into())
        }
        None => Ok(()),
    }
}

fn checked_configs(topic: &NewTopic, cx: &Context<'_>) -> Result<BTreeMap<String, String>, InvalidConfig> {
    if topic.configs.len() > MAX_CONFIGS_PER_REQUEST {
        return Err(InvalidConfig(format!("More than {MAX_CONFIGS_PER_REQUEST} configs for one topic.")));
    }
    let mut configs = BTreeMap::new();
    for (key, value) in &topic.configs {
        let Some(value) = value else {
            return Err(InvalidConfig(format!("{key} cannot be null.")));
        };
        if value.len() > MAX_VALUE {
            return Err(InvalidConfig(format!("Value of {key} is longer than {MAX_VALUE} bytes.")));
        }
        configs.insert(key.to_string(), value.to_string());
    }
    let changed: Vec<&str> = configs.keys().map(String::as_str).collect();
    if !changed.is_empty() {
        cx.validator.validate(&ConfigResource::topic(&*topic.name), &configs, &changed)?;
    }
    Ok(configs)
}

/// The replicas of every partition of a new topic.
fn replicas(topic: &NewTopic, cx: &mut Context<'_>) -> Result<Vec<Vec<i32>>, CreateTopicError> {
    if !topic.assignments.is_empty() {
        return assigned(topic, cx);
    }
    let factor = match topic.replication_factor {
        -1 => cx.defaults.replication_factor,
        factor => factor,
    };
    let factor = usize::try_from(factor).ok().filter(|factor| *factor > 0).ok_or(PlacementError::NotPositive)?;
    let partitions = match topic.partitions {
        -1 => cx.defaults.num_partitions,
        partitions => partitions,
    };
    let partitions = usize::try_from(partitions).ok().filter(|count| *count > 0).ok_or(CreateTopicError::Partitions)?;
    Ok(placement::place(&cx.image.brokers, &drained(&cx.image.configs), partitions, factor, cx.entropy)?)
}

fn assigned(topic: &NewTopic, cx: &Context<'_>) -> Result<Vec<Vec<i32>>, CreateTopicError> {
    if topic.replication_factor != -1 {
        return Err(CreateTopicError::CountAndAssignment("replication factor".into()));
    }
    if topic.partitions != -1 {
        return Err(CreateTopicError::CountAndAssignment("number of partitions".into()));
    }
    let mut by_number: BTreeMap<i32, &Vec<i32>> = BTreeMap::new();
    let mut factor = None;
    for assignment in &topic.assignments {
        placement::check_assignment(&cx.image.brokers, &[], &assignment.brokers, factor)?;
        factor = Some(assignment.brokers.len());
        if by_number.insert(assignment.partition, &assignment.brokers).is_some() {
            return Err(AssignmentError::NotConsecutive.into());
        }
    }
    if !by_number.keys().copied().eq((0..).take(by_number.len())) {
        return Err(AssignmentError::NotConsecutive.into());
    }
    Ok(by_number.into_values().cloned().collect())
}

fn unused_id(cx: &mut Context<'_>) -> Uuid {
    loop {
        let id = cx.entropy.uuid();
        if !id.is_reserved() && cx.image.topics.by_id(&id).is_none() {
            return id;
        }
    }
}

/// Asks for topics to be deleted; each succeeds or fails by itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DeleteTopics {
    /// The topics, by name or by id.
    pub topics: Vec<TopicReference>,
}

/// A topic, by name or by id. Clients must give exactly one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TopicReference {
    /// The name.
    pub name: Option<ByteString>,
    /// The id; zero for none.
    pub id: Uuid,
}

impl TopicReference {
    /// By name.
    pub fn name(name: impl Into<ByteString>) -> Self {
        TopicReference { name: Some(name.into()), id: Uuid::ZERO }
    }

    /// By id.
    pub fn id(id: Uuid) -> Self {
        TopicReference { name: None, id }
    }
}

/// Why a topic is not deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum DeleteTopicError {
    /// No topic of that name.
    #[error("There is no topic of that name.")]
    UnknownName,
    /// No topic of that id.
    #[error("There is no topic with that id.")]
    UnknownId,
    /// Named more than once.
    #[error("The request has this topic more than once, by {0}.")]
    Duplicate(Cow<'static, str>),
    /// Neither name nor id.
    #[error("Neither the name nor the id of a topic is given.")]
    Neither,
    /// Both name and id.
    #[error("Give the name or the id of a topic, not both.")]
    Both,
}

/// Each topic of the request once, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteTopicsResponse {
    /// What was asked for (completed with name and id where the topic exists) and what became of it.
    pub topics: Vec<(TopicReference, Result<(), DeleteTopicError>)>,
}

impl Command for DeleteTopics {
    type Response = DeleteTopicsResponse;

    fn decide(self, cx: &mut Context<'_>) -> Decision<DeleteTopicsResponse> {
        let mut times: BTreeMap<TopicReference, usize> = BTreeMap::new();
        for reference in &self.topics {
            *times.entry(reference.clone()).or_default() += 1;
        }
        let mut deleted = BTreeSet::new();
        let mut records: Vec<MetadataRecord> = Vec::new();
        let mut topics = Vec::with_capacity(self.topics.len().min(1_000));
        for reference in self.topics {
            let found = match (times.remove(&reference), &reference.name) {
                (None, _) => continue,
                (Some(_), Some(_)) if !reference.id.is_zero() => Err(DeleteTopicError::Both),
                (Some(_), None) if reference.id.is_zero() => Err(DeleteTopicError::Neither),
                (Some(times), Some(_)) if times > 1 => Err(DeleteTopicError::Duplicate("name".into())),
                (Some(times), None) if times > 1 => Err(DeleteTopicError::Duplicate("id".into())),
                _ => find(cx, &reference),
            };
            // Once by name and once by id is twice as well.
            let found = found.and_then(|topic| match deleted.insert(topic.id) {
                true => Ok(topic),
                false => Err(DeleteTopicError::Duplicate("id".into())),
            });
            match found {
                Ok(topic) => {
                    records.push(RemoveTopicRecord { topic_id: topic.id }.into());
                    topics.push((TopicReference { name: Some(topic.name.clone()), id: topic.id }, Ok(())));
                }
                Err(error) => topics.push((reference, Err(error))),
            }
        }
        Decision { records, response: DeleteTopicsResponse { topics } }
    }
}

fn find<'a>(cx: &Context<'a>, reference: &TopicReference) -> Result<&'a TopicImage, DeleteTopicError> {
    let topics = &cx.image.topics;
    match &reference.name {
        Some(name) => topics.by_name(name).map(|topic| &**topic).ok_or(DeleteTopicError::UnknownName),
        None => topics.by_id(&reference.id).map(|topic| &**topic).ok_or(DeleteTopicError::UnknownId),
    }
}
