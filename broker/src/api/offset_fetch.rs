//! OffsetFetch (9), versions 1-10: the committed offsets of groups.
//!
//! Version 7 can demand stable offsets (KIP-447), 8 asks for many groups (KIP-709), 10 names topics by id (KIP-848).
//! Member ids and epochs (version 9) mean nothing to classic groups.

use bytestring::ByteString;
use futures_util::future::join_all;
use goatq_controller::image::MetadataImage;
use goatq_protocol::message::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use goatq_protocol::{ErrorCode, Uuid};

use super::RequestContext;
use super::group_error::{code, error_code};
use crate::coordinator::group::request::{FetchRequest, FetchedOffset, FetchedTopic};

/// The version that asks for many groups.
const MANY_GROUPS: i16 = 8;
/// The version that names topics by id.
const BY_ID: i16 = 10;

pub(crate) async fn handle(cx: &RequestContext, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let stable = request.require_stable;
    if cx.api_version >= MANY_GROUPS {
        let groups = join_all(request.groups.into_iter().map(|group| fetch(cx, group, stable))).await;
        return OffsetFetchResponse { groups, ..OffsetFetchResponse::default() };
    }
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..OffsetFetchRequestTopics::default()
        });
        topics.collect::<Vec<_>>()
    });
    let asked = OffsetFetchRequestGroup { group_id: request.group_id, topics, ..OffsetFetchRequestGroup::default() };
    let per_partition = (cx.api_version < 2).then(|| asked.topics.clone()).flatten();
    let group = fetch(cx, asked, stable).await;
    match per_partition {
        // Version 1 has no other place for an error.
        Some(topics) if group.error_code != 0 => OffsetFetchResponse {
            topics: topics.into_iter().map(|topic| failed(topic, group.error_code)).map(old_topic).collect(),
            ..OffsetFetchResponse::default()
        },
        _ => OffsetFetchResponse {
            topics: group.topics.into_iter().map(old_topic).collect(),
            error_code: group.error_code,
            ..OffsetFetchResponse::default()
        },
    }
}

async fn fetch(cx: &RequestContext, asked: OffsetFetchRequestGroup, require_stable: bool) -> OffsetFetchResponseGroup {
    let image = cx.node.image();
    let by_id = cx.api_version >= BY_ID;
    let mut unknown = Vec::new();
    let topics = asked.topics.map(|topics| {
        let mut known = Vec::new();
        for topic in topics {
            match name(&image, by_id, &topic) {
                Some((name, id)) => known.push((name, id, topic.partition_indexes)),
                None => unknown.push(failed(topic, ErrorCode::UnknownTopicId.code())),
            }
        }
        known
    });
    let all = topics.is_none();
    let request = FetchRequest { group: asked.group_id.clone(), topics, require_stable };
    match cx.node.groups.fetch(request).await {
        Ok(fetched) => {
            // An offset of a topic that is gone has no id to be told by.
            let told = fetched.into_iter().filter_map(|topic| tell(&image, by_id && all, topic));
            let topics = told.chain(unknown).collect();
            OffsetFetchResponseGroup { group_id: asked.group_id, topics, error_code: 0 }
        }
        Err(error) => {
            let error_code = error_code(error).code();
            OffsetFetchResponseGroup { group_id: asked.group_id, topics: Vec::new(), error_code }
        }
    }
}

/// Name and id of a topic that is asked for; without an id, its name is enough.
fn name(image: &MetadataImage, by_id: bool, topic: &OffsetFetchRequestTopics) -> Option<(ByteString, Uuid)> {
    if by_id {
        return image.topics.by_id(&topic.topic_id).map(|known| (known.name.clone(), known.id));
    }
    Some((topic.name.clone(), image.topics.id_of(&topic.name).unwrap_or_default()))
}

fn tell(image: &MetadataImage, find_id: bool, topic: FetchedTopic) -> Option<OffsetFetchResponseTopics> {
    let topic_id = if find_id { image.topics.id_of(&topic.topic)? } else { topic.topic_id };
    let partitions = topic.offsets.into_iter().map(told_partition).collect();
    Some(OffsetFetchResponseTopics { topic_id, name: topic.topic, partitions })
}

fn told_partition(offset: FetchedOffset) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: offset.partition,
        committed_offset: offset.offset,
        committed_leader_epoch: offset.leader_epoch,
        metadata: Some(offset.metadata),
        error_code: code(offset.error),
    }
}

fn failed(topic: OffsetFetchRequestTopics, error_code: i16) -> OffsetFetchResponseTopics {
    let partitions = topic.partition_indexes.into_iter().map(|partition_index| OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(ByteString::new()),
        error_code,
    });
    OffsetFetchResponseTopics { topic_id: topic.topic_id, name: topic.name, partitions: partitions.collect() }
}

/// As versions before [`MANY_GROUPS`] have it.
fn old_topic(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|partition| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    });
    OffsetFetchResponseTopic { name: topic.name, partitions: partitions.collect() }
}
