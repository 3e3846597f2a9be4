//! What clients ask a group's coordinator.

use bytestring::ByteString;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::find_coordinator::FindCoordinatorRequest;
use goatq_protocol::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use goatq_protocol::message::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};

use super::client::Client;
use super::{LOAD, rest};

const FIND_COORDINATOR: i16 = 4;
const OFFSET_COMMIT: i16 = 8;
const OFFSET_FETCH: i16 = 8;

/// Who commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Committer {
    pub(super) group: &'static str,
    /// Empty for somebody outside.
    pub(super) member: ByteString,
    /// -1 for somebody outside.
    pub(super) generation: i32,
}

/// The coordinator of a group, as some node knows it.
pub(super) async fn coordinator(client: &mut Client, group: &'static str) -> i32 {
    let request = FindCoordinatorRequest { coordinator_keys: vec![group.into()], ..FindCoordinatorRequest::default() };
    loop {
        let node = client.any();
        if let Ok(answer) = client.ask(node, &request, FIND_COORDINATOR).await
            && let Some(found) = answer.coordinators.first().filter(|found| found.error_code == 0)
        {
            return found.node_id;
        }
        rest(&mut client.rng, 200).await;
    }
}

/// Commits an offset of a partition of the load; `None` without an answer.
pub(super) async fn commit(
    client: &mut Client,
    node: i32,
    who: &Committer,
    (partition_index, committed_offset): (i32, i64),
) -> Option<ErrorCode> {
    let partition =
        OffsetCommitRequestPartition { partition_index, committed_offset, ..OffsetCommitRequestPartition::default() };
    let topic = OffsetCommitRequestTopic {
        name: LOAD.into(),
        partitions: vec![partition],
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id: who.group.into(),
        member_id: who.member.clone(),
        generation_id_or_member_epoch: who.generation,
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    let answer = client.ask(node, &request, OFFSET_COMMIT).await.ok()?;
    let partition = answer.topics.into_iter().next()?.partitions.into_iter().next()?;
    ErrorCode::from_code(partition.error_code)
}

/// The committed offset of a partition of the load, -1 if there is none; `None` without an answer.
pub(super) async fn committed(client: &mut Client, node: i32, group: &'static str, partition: i32) -> Option<i64> {
    let topic = OffsetFetchRequestTopics {
        name: LOAD.into(),
        partition_indexes: vec![partition],
        ..OffsetFetchRequestTopics::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: group.into(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequestGroup::default()
    };
    let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
    let answer = client.ask(node, &request, OFFSET_FETCH).await.ok()?;
    let group = answer.groups.into_iter().next().filter(|group| group.error_code == 0)?;
    let partition = group.topics.into_iter().next()?.partitions.into_iter().next()?;
    (partition.error_code == 0).then_some(partition.committed_offset)
}
