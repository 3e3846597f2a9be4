//! OffsetCommit (8), versions 2-10: committing offsets of a group, as a member or from outside.
//!
//! Version 9 tells that a group does not exist, 10 names topics by id (KIP-848). Offsets of topics and partitions that
//! do not exist are refused one by one.

use goatq_controller::image::{MetadataImage, TopicImage};
use goatq_protocol::ErrorCode;
use goatq_protocol::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use super::RequestContext;
use super::group_error::code;
use crate::coordinator::group::request::{CommitRequest, OffsetToCommit, TopicToCommit};

/// The version that names topics by id.
const BY_ID: i16 = 10;

pub(crate) async fn handle(cx: &RequestContext, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let image = cx.node.image();
    let mut topics = Vec::new();
    let mut to_commit = Vec::new();
    for topic in &request.topics {
        let (row, valid) = resolve(&image, cx.api_version, topic);
        topics.push(row);
        to_commit.push(valid);
    }
    if to_commit.iter().flatten().next().is_none() {
        return OffsetCommitResponse { topics, ..OffsetCommitResponse::default() };
    }
    let result = cx.node.groups.commit(CommitRequest {
        group: request.group_id,
        member: request.member_id,
        instance: request.group_instance_id,
        generation: request.generation_id_or_member_epoch,
        retention_ms: (request.retention_time_ms >= 0).then_some(request.retention_time_ms),
        knows_group_not_found: cx.api_version >= 9,
        topics: to_commit.iter().flatten().cloned().collect(),
    });
    match result.await {
        Ok(outcomes) => {
            let rows = topics.iter_mut().zip(&to_commit).filter(|(_, valid)| valid.is_some());
            for ((row, _), (_, outcomes)) in rows.zip(outcomes) {
                let codes = outcomes.into_iter().map(|(_, error)| code(error));
                fill(row, codes);
            }
        }
        Err(error) => topics.iter_mut().for_each(|row| fill(row, std::iter::repeat(code(Some(error))))),
    }
    OffsetCommitResponse { topics, ..OffsetCommitResponse::default() }
}

/// Gives the partitions that nothing is wrong with so far their codes, in order.
fn fill(row: &mut OffsetCommitResponseTopic, codes: impl Iterator<Item = i16>) {
    let open = row.partitions.iter_mut().filter(|partition| partition.error_code == 0);
    for (partition, code) in open.zip(codes) {
        partition.error_code = code;
    }
}

/// What can be said of a topic without its group, and what is left to commit.
fn resolve(
    image: &MetadataImage,
    version: i16,
    topic: &OffsetCommitRequestTopic,
) -> (OffsetCommitResponseTopic, Option<TopicToCommit>) {
    let (known, missing) = if version >= BY_ID {
        (image.topics.by_id(&topic.topic_id), ErrorCode::UnknownTopicId)
    } else {
        (image.topics.by_name(&topic.name), ErrorCode::UnknownTopicOrPartition)
    };
    let exists = |known: &TopicImage, index| known.partition(index).is_some();
    let partitions = topic.partitions.iter().map(|partition| OffsetCommitResponsePartition {
        partition_index: partition.partition_index,
        error_code: match known {
            None => missing.code(),
            Some(known) if !exists(known, partition.partition_index) => ErrorCode::UnknownTopicOrPartition.code(),
            Some(_) => 0,
        },
    });
    let row = OffsetCommitResponseTopic {
        topic_id: topic.topic_id,
        name: topic.name.clone(),
        partitions: partitions.collect(),
    };
    let to_commit = known.map(|known| TopicToCommit {
        topic: known.name.clone(),
        topic_id: known.id,
        offsets: topic.partitions.iter().filter(|one| exists(known, one.partition_index)).map(offset).collect(),
    });
    (row, to_commit.filter(|topic| !topic.offsets.is_empty()))
}

fn offset(partition: &OffsetCommitRequestPartition) -> OffsetToCommit {
    OffsetToCommit {
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.clone(),
    }
}
