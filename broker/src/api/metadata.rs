//! Metadata (key 3, versions 0-13): brokers, topics, partitions and their leaders.
//!
//! KIP-4 (empty list: no topics, null: all, from version 1), KIP-204 and KIP-361 (clients may forbid auto-creation, 4),
//! KIP-430 (authorized operations, 8), KIP-516 (topic ids, 10; lookup by id, 12). Where Kafka creates a topic it answers
//! LEADER_NOT_AVAILABLE and lets the client ask again; here the answer waits until the topic is open.

use bytestring::ByteString;
use goatq_controller::image::{BrokerImage, MetadataImage, PartitionImage, TopicImage};
use goatq_controller::topic_name;
use goatq_protocol::message::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use goatq_protocol::{ErrorCode, Uuid};

use super::create_topics::auto_create_code;
use super::partition_error::is_internal;
use super::{RequestContext, authorized};
use crate::topics::auto_create::InternalTopic;

pub(crate) async fn handle(cx: &RequestContext, request: MetadataRequest) -> MetadataResponse {
    let wanted = match request.topics {
        // Version 0 knows no null.
        Some(topics) if topics.is_empty() && cx.api_version == 0 => None,
        wanted => wanted,
    };
    let topics = match wanted {
        Some(wanted) if cx.api_version < 12 && wanted.iter().any(names_no_topic) => refused(wanted),
        None => {
            let image = cx.node.image();
            image.topics.iter().map(|topic| describe(cx, &image, topic)).collect()
        }
        Some(wanted) => named(cx, wanted, request.allow_auto_topic_creation).await,
    };
    let image = cx.node.image();
    let mut response = MetadataResponse {
        brokers: brokers(cx, &image),
        cluster_id: Some(image.cluster_id.clone()),
        controller_id: controller(cx, &image),
        topics,
        cluster_authorized_operations: authorized::on_cluster(request.include_cluster_authorized_operations),
        ..MetadataResponse::default()
    };
    let operations = authorized::on_topic(request.include_topic_authorized_operations);
    for topic in &mut response.topics {
        topic.topic_authorized_operations = operations;
    }
    response
}

/// Ids are for versions from 12 on; earlier ones have them in replies only.
fn names_no_topic(topic: &MetadataRequestTopic) -> bool {
    topic.name.is_none() || !topic.topic_id.is_zero()
}

fn refused(wanted: Vec<MetadataRequestTopic>) -> Vec<MetadataResponseTopic> {
    let refused = wanted.into_iter().map(|topic| MetadataResponseTopic {
        error_code: ErrorCode::InvalidRequest.code(),
        name: Some(topic.name.unwrap_or_default()),
        ..MetadataResponseTopic::default()
    });
    refused.collect()
}

/// Whom to send what concerns the cluster: the leader of the quorum, if clients may see it, else any broker.
pub(super) fn controller(cx: &RequestContext, image: &MetadataImage) -> i32 {
    let leader = cx.node.controller.status().leader;
    let visible = leader.filter(|id| image.brokers.get(*id).is_some_and(|broker| !broker.fenced));
    visible.or_else(|| image.brokers.unfenced().next().map(|broker| broker.id)).unwrap_or(-1)
}

fn brokers(cx: &RequestContext, image: &MetadataImage) -> Vec<MetadataResponseBroker> {
    let all: Vec<&BrokerImage> = image.brokers.iter().map(|broker| &**broker).collect();
    let reachable = told(&all, |id| cx.node.lost.is_left(id)).into_iter().filter_map(|broker| {
        let endpoint = broker.endpoint(&cx.connection.listener)?;
        Some(MetadataResponseBroker {
            node_id: broker.id,
            host: endpoint.host.clone(),
            port: endpoint.port.into(),
            rack: broker.rack.clone(),
        })
    });
    reachable.collect()
}

/// Those that serve, and those that did so a moment ago; all of them where that is nobody, as when all start at once. librdkafka
/// takes down whoever is not told: told of nobody, it has nobody left to ask, and stands still for good.
fn told<'a>(all: &[&'a BrokerImage], is_left: impl Fn(i32) -> bool) -> Vec<&'a BrokerImage> {
    let serving: Vec<_> = all.iter().copied().filter(|broker| !broker.fenced || is_left(broker.id)).collect();
    if serving.is_empty() { all.to_vec() } else { serving }
}

async fn named(
    cx: &RequestContext,
    wanted: Vec<MetadataRequestTopic>,
    client_allows_creation: bool,
) -> Vec<MetadataResponseTopic> {
    let may_create = client_allows_creation && cx.node.config.current().topics.auto_create;
    // As in Kafka, one id makes the whole request one by ids.
    let by_id = wanted.iter().any(|topic| !topic.topic_id.is_zero());
    let mut topics = Vec::with_capacity(wanted.len());
    let mut seen = std::collections::BTreeSet::new();
    for topic in wanted {
        if by_id {
            if !topic.topic_id.is_zero() && seen.insert((topic.topic_id, None)) {
                topics.push(find_by_id(cx, topic.topic_id));
            }
            continue;
        }
        let name = topic.name.unwrap_or_default();
        if seen.insert((Uuid::ZERO, Some(name.clone()))) {
            topics.push(find_by_name(cx, name, may_create).await);
        }
    }
    topics
}

fn find_by_id(cx: &RequestContext, id: Uuid) -> MetadataResponseTopic {
    let image = cx.node.image();
    match image.topics.by_id(&id) {
        Some(topic) => describe(cx, &image, topic),
        None => MetadataResponseTopic {
            error_code: ErrorCode::UnknownTopicId.code(),
            // Before version 12 the name cannot be null.
            name: (cx.api_version < 12).then(ByteString::new),
            topic_id: id,
            ..MetadataResponseTopic::default()
        },
    }
}

async fn find_by_name(cx: &RequestContext, name: ByteString, may_create: bool) -> MetadataResponseTopic {
    let image = cx.node.image();
    if let Some(topic) = image.topics.by_name(&name) {
        return describe(cx, &image, topic);
    }
    let error = if topic_name::check(&name).is_err() {
        ErrorCode::InvalidTopicException
    } else if !may_create {
        ErrorCode::UnknownTopicOrPartition
    } else {
        let created = if name == InternalTopic::ConsumerOffsets.name() {
            cx.node.auto_create.internal(InternalTopic::ConsumerOffsets).await
        } else {
            cx.node.auto_create.topic(&name).await
        };
        match created {
            Ok(id) => {
                let image = cx.node.image();
                if let Some(topic) = image.topics.by_id(&id) {
                    return describe(cx, &image, topic);
                }
                ErrorCode::LeaderNotAvailable
            }
            Err(error) => auto_create_code(&error),
        }
    };
    MetadataResponseTopic {
        error_code: error.code(),
        is_internal: is_internal(&name),
        name: Some(name),
        ..MetadataResponseTopic::default()
    }
}

fn describe(cx: &RequestContext, image: &MetadataImage, topic: &TopicImage) -> MetadataResponseTopic {
    let partitions = (0..).zip(&topic.partitions).map(|(index, partition)| partition_of(cx, image, index, partition));
    MetadataResponseTopic {
        error_code: ErrorCode::None.code(),
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        is_internal: is_internal(&topic.name),
        partitions: partitions.collect(),
        ..MetadataResponseTopic::default()
    }
}

fn partition_of(
    cx: &RequestContext,
    image: &MetadataImage,
    index: i32,
    partition: &PartitionImage,
) -> MetadataResponsePartition {
    let listener = &cx.connection.listener;
    let leader = image.brokers.get(partition.leader).filter(|broker| !broker.fenced);
    let (error, leader_id) = match leader {
        None => (ErrorCode::LeaderNotAvailable, -1),
        // The controller is about to say so.
        Some(broker) if cx.node.lost.is_lost(broker.id) => (ErrorCode::LeaderNotAvailable, -1),
        Some(broker) if broker.endpoint(listener).is_some() => (ErrorCode::None, broker.id),
        Some(_) if cx.api_version >= 6 => (ErrorCode::ListenerNotFound, -1),
        Some(_) => (ErrorCode::LeaderNotAvailable, -1),
    };
    MetadataResponsePartition {
        error_code: error.code(),
        partition_index: index,
        leader_id,
        leader_epoch: partition.leader_epoch,
        replica_nodes: partition.replicas.clone(),
        isr_nodes: partition.isr.clone(),
        offline_replicas: offline(image, listener, partition),
    }
}

/// Replicas on brokers that cannot be reached by this listener, or whose log directory is not in order.
pub(super) fn offline(image: &MetadataImage, listener: &str, partition: &PartitionImage) -> Vec<i32> {
    let is_offline = |(at, id): &(usize, &i32)| {
        let Some(broker) = image.brokers.get(**id) else { return true };
        let directory = partition.directories.get(*at).copied().unwrap_or(Uuid::ZERO);
        let lost = !directory.is_reserved() && !broker.log_dirs.is_empty() && !broker.log_dirs.contains(&directory);
        broker.fenced || broker.endpoint(listener).is_none() || lost
    };
    partition.replicas.iter().enumerate().filter(is_offline).map(|(_, id)| *id).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn broker(id: i32, fenced: bool) -> BrokerImage {
        BrokerImage {
            id,
            epoch: 0,
            incarnation: Uuid::ZERO,
            endpoints: Vec::new(),
            rack: None,
            fenced,
            in_controlled_shutdown: false,
            features: BTreeMap::new(),
            log_dirs: Vec::new(),
            cordoned_dirs: Vec::new(),
        }
    }

    #[test]
    fn nobody_is_never_all_that_clients_are_told() {
        let ids = |fenced: [bool; 3], left: &[i32]| {
            let all: Vec<_> = (1..).zip(fenced).map(|(id, fenced)| broker(id, fenced)).collect();
            let all: Vec<_> = all.iter().collect();
            told(&all, |id| left.contains(&id)).iter().map(|broker| broker.id).collect::<Vec<_>>()
        };
        assert_eq!(ids([false, true, false], &[]), [1, 3]);
        assert_eq!(ids([false, true, false], &[2]), [1, 2, 3]);
        assert_eq!(ids([true, true, true], &[2]), [2]);
        // A cluster that starts.
        assert_eq!(ids([true, true, true], &[]), [1, 2, 3]);
    }
}
