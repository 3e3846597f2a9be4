//! Replay: what each record does to an image.
//!
//! The one place where an image changes. Deterministic and total on what this crate decides; a record that does not fit the image
//! (a partition of a topic that is not there) means that the log is not the one the image came from, and stops the node.

use std::collections::BTreeMap;

use bytestring::ByteString;
use goatq_protocol::Uuid;

use crate::{
    image::{
        BrokerImage, ConfigKind, ConfigResource, Endpoint, MetadataImage, PartitionImage, SecurityProtocol, TopicImage,
    },
    record::{
        BrokerChangeRecord, ConfigRecord, MetadataRecord, NO_LEADER_CHANGE, PartitionChangeRecord, PartitionRecord,
        RegisterBrokerRecord, TopicRecord,
    },
};

/// Why a record does not fit the image that it is replayed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A topic of that id or name is already there.
    #[error("topic {name} with id {id} is already there")]
    TopicExists {
        /// Its name.
        name: ByteString,
        /// Its id.
        id: Uuid,
    },
    /// The topic is not there.
    #[error("there is no topic with id {0}")]
    NoTopic(Uuid),
    /// The partition is not there, or, when it is to be added, not the next one.
    #[error("partition {partition} does not fit topic {topic}, which has {count}")]
    NoPartition {
        /// Id of the topic.
        topic: Uuid,
        /// Number of the partition.
        partition: i32,
        /// Partitions that the topic has.
        count: usize,
    },
    /// The broker is not registered with that epoch.
    #[error("broker {id} is not registered with epoch {epoch}")]
    NoBroker {
        /// Its id.
        id: i32,
        /// The epoch that the record names.
        epoch: i64,
    },
    /// A number that stands for nothing known.
    #[error("{what} {number} is not known")]
    Unknown {
        /// What the number should stand for.
        what: &'static str,
        /// The number.
        number: i16,
    },
    /// A counter would go back or overflow.
    #[error("{what} cannot go from {from} to {to}")]
    Counter {
        /// The counter.
        what: &'static str,
        /// Its value.
        from: i64,
        /// The value it should get.
        to: i64,
    },
}

/// Applies one record to an image. After an error the image is unusable: it may be half changed.
pub fn replay(image: &mut MetadataImage, record: &MetadataRecord) -> Result<(), ReplayError> {
    match record {
        MetadataRecord::Cluster(record) => image.cluster_id = own(&record.cluster_id),
        MetadataRecord::FeatureLevel(record) => image.features.set(&own(&record.name), record.level),
        MetadataRecord::RegisterBroker(record) => register_broker(image, record)?,
        MetadataRecord::BrokerChange(record) => change_broker(image, record)?,
        MetadataRecord::UnregisterBroker(record) => {
            registered(image, record.broker_id, record.broker_epoch)?;
            image.brokers.remove(record.broker_id);
        }
        MetadataRecord::Topic(record) => add_topic(image, record)?,
        MetadataRecord::Partition(record) => add_partition(image, record)?,
        MetadataRecord::PartitionChange(record) => change_partition(image, record)?,
        MetadataRecord::RemoveTopic(record) => {
            let topic = image.topics.remove(&record.topic_id).ok_or(ReplayError::NoTopic(record.topic_id))?;
            image.configs.remove(&ConfigResource::topic(&*topic.name));
        }
        MetadataRecord::Config(record) => change_config(image, record)?,
        MetadataRecord::ProducerIds(record) => {
            image.next_producer_id = grown("the next producer id", image.next_producer_id, record.next_producer_id)?;
        }
        MetadataRecord::BrokerEpoch(record) => {
            image.next_broker_epoch =
                grown("the next broker epoch", image.next_broker_epoch, record.next_broker_epoch)?;
        }
    }
    Ok(())
}

/// A text that does not keep the frame alive that it came in.
fn own(text: &ByteString) -> ByteString {
    ByteString::from(&**text)
}

fn grown(what: &'static str, from: i64, to: i64) -> Result<i64, ReplayError> {
    if to < from { Err(ReplayError::Counter { what, from, to }) } else { Ok(to) }
}

fn next(what: &'static str, from: i32) -> Result<i32, ReplayError> {
    from.checked_add(1).ok_or(ReplayError::Counter { what, from: i64::from(from), to: i64::from(from) + 1 })
}

fn registered(image: &mut MetadataImage, id: i32, epoch: i64) -> Result<&mut BrokerImage, ReplayError> {
    image.brokers.get_mut(id).filter(|broker| broker.epoch == epoch).ok_or(ReplayError::NoBroker { id, epoch })
}

fn register_broker(image: &mut MetadataImage, record: &RegisterBrokerRecord) -> Result<(), ReplayError> {
    let mut endpoints = Vec::with_capacity(record.endpoints.len());
    for part in &record.endpoints {
        let security = SecurityProtocol::from_id(part.security_protocol)
            .ok_or(ReplayError::Unknown { what: "security protocol", number: part.security_protocol })?;
        endpoints.push(Endpoint { listener: own(&part.listener), host: own(&part.host), port: part.port, security });
    }
    let features: BTreeMap<_, _> = record.features.iter().map(|part| (own(&part.name), (part.min, part.max))).collect();
    let next_epoch = record.broker_epoch.saturating_add(1).max(image.next_broker_epoch);
    image.next_broker_epoch = next_epoch;
    image.brokers.set(BrokerImage {
        id: record.broker_id,
        epoch: record.broker_epoch,
        incarnation: record.incarnation_id,
        endpoints,
        rack: record.rack.as_ref().map(own),
        fenced: record.fenced,
        in_controlled_shutdown: record.in_controlled_shutdown,
        features,
        log_dirs: record.log_dirs.clone(),
        cordoned_dirs: record.cordoned_dirs.clone(),
    });
    Ok(())
}

fn change_broker(image: &mut MetadataImage, record: &BrokerChangeRecord) -> Result<(), ReplayError> {
    let broker = registered(image, record.broker_id, record.broker_epoch)?;
    match record.fenced {
        -1 => broker.fenced = false,
        0 => {}
        1 => broker.fenced = true,
        other => return Err(ReplayError::Unknown { what: "fencing change", number: i16::from(other) }),
    }
    match record.in_controlled_shutdown {
        0 => {}
        1 => broker.in_controlled_shutdown = true,
        other => return Err(ReplayError::Unknown { what: "shutdown change", number: i16::from(other) }),
    }
    if let Some(log_dirs) = &record.log_dirs {
        broker.log_dirs.clone_from(log_dirs);
    }
    if let Some(cordoned) = &record.cordoned_dirs {
        broker.cordoned_dirs.clone_from(cordoned);
    }
    Ok(())
}

fn add_topic(image: &mut MetadataImage, record: &TopicRecord) -> Result<(), ReplayError> {
    let (name, id) = (own(&record.name), record.topic_id);
    if image.topics.by_id(&id).is_some() || image.topics.by_name(&name).is_some() {
        return Err(ReplayError::TopicExists { name, id });
    }
    image.topics.add(TopicImage { id, name, partitions: Vec::new() });
    Ok(())
}

fn add_partition(image: &mut MetadataImage, record: &PartitionRecord) -> Result<(), ReplayError> {
    let topic = image.topics.by_id(&record.topic_id).ok_or(ReplayError::NoTopic(record.topic_id))?;
    let (partition, count) = (record.partition_id, topic.partitions.len());
    if usize::try_from(partition) != Ok(count) {
        return Err(ReplayError::NoPartition { topic: record.topic_id, partition, count });
    }
    let partition = PartitionImage {
        leader: record.leader,
        leader_epoch: record.leader_epoch,
        partition_epoch: record.partition_epoch,
        replicas: record.replicas.clone(),
        isr: record.isr.clone(),
        elr: record.elr.clone(),
        last_known_elr: record.last_known_elr.clone(),
        unclean_epoch: record.unclean_epoch,
        directories: record.directories.clone(),
        adding_replicas: record.adding_replicas.clone(),
        removing_replicas: record.removing_replicas.clone(),
    };
    image.topics.push_partition(&record.topic_id, partition);
    Ok(())
}

fn change_partition(image: &mut MetadataImage, record: &PartitionChangeRecord) -> Result<(), ReplayError> {
    let topic = image.topics.by_id(&record.topic_id).ok_or(ReplayError::NoTopic(record.topic_id))?;
    let missing = ReplayError::NoPartition {
        topic: record.topic_id,
        partition: record.partition_id,
        count: topic.partitions.len(),
    };
    let partition = usize::try_from(record.partition_id)
        .ok()
        .and_then(|number| image.topics.partition_mut(&record.topic_id, number))
        .ok_or(missing)?;
    partition.partition_epoch = next("a partition epoch", partition.partition_epoch)?;
    if record.leader != NO_LEADER_CHANGE {
        partition.leader = record.leader;
        partition.leader_epoch = next("a leader epoch", partition.leader_epoch)?;
        if record.unclean {
            partition.unclean_epoch = partition.leader_epoch;
        }
    }
    set(&mut partition.isr, record.isr.as_ref());
    set(&mut partition.replicas, record.replicas.as_ref());
    set(&mut partition.directories, record.directories.as_ref());
    set(&mut partition.adding_replicas, record.adding_replicas.as_ref());
    set(&mut partition.removing_replicas, record.removing_replicas.as_ref());
    set(&mut partition.elr, record.elr.as_ref());
    set(&mut partition.last_known_elr, record.last_known_elr.as_ref());
    Ok(())
}

fn set<T: Clone>(field: &mut Vec<T>, value: Option<&Vec<T>>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}

fn change_config(image: &mut MetadataImage, record: &ConfigRecord) -> Result<(), ReplayError> {
    let kind = ConfigKind::from_id(record.resource_type)
        .ok_or(ReplayError::Unknown { what: "kind of resource", number: i16::from(record.resource_type) })?;
    let resource = ConfigResource { kind, name: record.resource_name.to_string() };
    image.configs.set(&resource, &record.key, record.value.as_deref());
    Ok(())
}
