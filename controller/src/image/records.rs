//! An image as the records that build it: the content of a snapshot.

use bytestring::ByteString;

use super::{BrokerImage, ConfigResource, MetadataImage, TopicImage};
use crate::record::{
    BrokerEpochRecord, ClusterRecord, ConfigRecord, EndpointPart, FeatureLevelRecord, FeaturePart, MetadataRecord,
    PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord, TopicRecord,
};

/// The records that make an empty image equal to this one, but for its indexes. In an order that does not depend on its history.
pub fn records(image: &MetadataImage) -> impl Iterator<Item = MetadataRecord> + '_ {
    let cluster = (!image.cluster_id.is_empty())
        .then(|| MetadataRecord::from(ClusterRecord { cluster_id: image.cluster_id.clone() }));
    let features = image.features.iter().map(|(name, level)| FeatureLevelRecord { name: name.clone(), level }.into());
    let counters = [
        BrokerEpochRecord { next_broker_epoch: image.next_broker_epoch }.into(),
        ProducerIdsRecord { next_producer_id: image.next_producer_id, ..ProducerIdsRecord::default() }.into(),
    ];
    let brokers = image.brokers.iter().map(|broker| broker_record(broker).into());
    let topics = image.topics.iter().flat_map(|topic| topic_records(topic));
    let configs = image.configs.iter().flat_map(|(resource, values)| {
        values.iter().map(move |(key, value)| config_record(resource, key, value).into())
    });
    cluster.into_iter().chain(features).chain(counters).chain(brokers).chain(topics).chain(configs)
}

fn broker_record(broker: &BrokerImage) -> RegisterBrokerRecord {
    let endpoints = broker.endpoints.iter().map(|endpoint| EndpointPart {
        listener: endpoint.listener.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        security_protocol: endpoint.security.id(),
    });
    let features =
        broker.features.iter().map(|(name, (min, max))| FeaturePart { name: name.clone(), min: *min, max: *max });
    RegisterBrokerRecord {
        broker_id: broker.id,
        incarnation_id: broker.incarnation,
        broker_epoch: broker.epoch,
        endpoints: endpoints.collect(),
        features: features.collect(),
        rack: broker.rack.clone(),
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
        log_dirs: broker.log_dirs.clone(),
        cordoned_dirs: broker.cordoned_dirs.clone(),
    }
}

fn topic_records(topic: &TopicImage) -> impl Iterator<Item = MetadataRecord> + '_ {
    let head = MetadataRecord::from(TopicRecord { name: topic.name.clone(), topic_id: topic.id });
    let partitions = (0..).zip(&topic.partitions).map(|(partition_id, partition)| {
        PartitionRecord {
            topic_id: topic.id,
            partition_id,
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            leader: partition.leader,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            directories: partition.directories.clone(),
            adding_replicas: partition.adding_replicas.clone(),
            removing_replicas: partition.removing_replicas.clone(),
            elr: partition.elr.clone(),
            last_known_elr: partition.last_known_elr.clone(),
            unclean_epoch: partition.unclean_epoch,
        }
        .into()
    });
    std::iter::once(head).chain(partitions)
}

fn config_record(resource: &ConfigResource, key: &str, value: &str) -> ConfigRecord {
    ConfigRecord {
        resource_type: resource.kind.id(),
        resource_name: resource.name.as_str().into(),
        key: key.into(),
        value: Some(ByteString::from(value)),
    }
}
