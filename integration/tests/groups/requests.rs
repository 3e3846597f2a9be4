//! The requests of the walks, made short.

use bytes::Bytes;
use goatq_protocol::Uuid;
use goatq_protocol::message::delete_groups::DeleteGroupsRequest;
use goatq_protocol::message::describe_groups::DescribeGroupsRequest;
use goatq_protocol::message::heartbeat::HeartbeatRequest;
use goatq_protocol::message::internal::{ConsumerProtocolSubscription, encode_versioned};
use goatq_protocol::message::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use goatq_protocol::message::leave_group::{LeaveGroupRequest, MemberIdentity};
use goatq_protocol::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use goatq_protocol::message::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use goatq_protocol::message::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use goatq_protocol::message::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::walk::TOPIC;

pub(crate) fn join(group: &str, member: &str, instance: Option<&str>, protocols: &[&str]) -> JoinGroupRequest {
    let subscription = ConsumerProtocolSubscription { topics: vec![TOPIC.into()], ..Default::default() };
    let metadata = encode_versioned(&subscription, 1).unwrap();
    let offer = |name: &&str| JoinGroupRequestProtocol { name: (*name).into(), metadata: metadata.clone() };
    JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        member_id: member.into(),
        group_instance_id: instance.map(Into::into),
        protocol_type: "consumer".into(),
        protocols: protocols.iter().map(offer).collect(),
        reason: None,
    }
}

pub(crate) fn sync(
    version: i16,
    group: &str,
    (member, generation_id): (&str, i32),
    instance: Option<&str>,
    assignments: &[(&str, &str)],
) -> SyncGroupRequest {
    let assign = |(member, what): &(&str, &str)| SyncGroupRequestAssignment {
        member_id: (*member).into(),
        assignment: Bytes::from((*what).to_owned()),
    };
    SyncGroupRequest {
        group_id: group.into(),
        generation_id,
        member_id: member.into(),
        group_instance_id: instance.map(Into::into),
        protocol_type: (version >= 5).then(|| "consumer".into()),
        protocol_name: (version >= 5).then(|| "range".into()),
        assignments: assignments.iter().map(assign).collect(),
    }
}

pub(crate) fn heartbeat(group: &str, (member, generation_id): (&str, i32), instance: Option<&str>) -> HeartbeatRequest {
    let group_instance_id = instance.map(Into::into);
    HeartbeatRequest { group_id: group.into(), generation_id, member_id: member.into(), group_instance_id }
}

pub(crate) fn leave(group: &str, members: &[(&str, Option<&str>)]) -> LeaveGroupRequest {
    let identity = |(member, instance): &(&str, Option<&str>)| MemberIdentity {
        member_id: (*member).into(),
        group_instance_id: instance.map(Into::into),
        reason: None,
    };
    let members: Vec<_> = members.iter().map(identity).collect();
    LeaveGroupRequest { group_id: group.into(), member_id: members[0].member_id.clone(), members }
}

pub(crate) fn describe(groups: &[&str]) -> DescribeGroupsRequest {
    let groups = groups.iter().map(|group| (*group).into()).collect();
    DescribeGroupsRequest { groups, include_authorized_operations: true }
}

pub(crate) fn delete_groups(groups: &[&str]) -> DeleteGroupsRequest {
    DeleteGroupsRequest { groups_names: groups.iter().map(|group| (*group).into()).collect() }
}

/// The topic's id, or one that no topic has.
pub(crate) fn id_of(topic: &str, id: Uuid) -> Uuid {
    if topic == TOPIC { id } else { Uuid([9; 16]) }
}

pub(crate) fn commit(
    id: Uuid,
    group: &str,
    (member, generation): (&str, i32),
    offsets: &[(&str, i32, i64)],
    note: Option<&str>,
) -> OffsetCommitRequest {
    let topics = offsets.iter().map(|(topic, partition_index, committed_offset)| {
        let partition = OffsetCommitRequestPartition {
            partition_index: *partition_index,
            committed_offset: *committed_offset,
            committed_leader_epoch: 0,
            committed_metadata: note.map(Into::into),
        };
        OffsetCommitRequestTopic { topic_id: id_of(topic, id), name: (*topic).into(), partitions: vec![partition] }
    });
    OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: generation,
        member_id: member.into(),
        topics: topics.collect(),
        ..Default::default()
    }
}

pub(crate) fn fetch(id: Uuid, version: i16, group: &str, partitions: Option<&[(&str, i32)]>) -> OffsetFetchRequest {
    let require_stable = version >= 7;
    if version >= 8 {
        let topic = |(name, index): &(&str, i32)| OffsetFetchRequestTopics {
            topic_id: id_of(name, id),
            name: (*name).into(),
            partition_indexes: vec![*index],
        };
        let topics = partitions.map(|some| some.iter().map(topic).collect());
        let group = OffsetFetchRequestGroup { group_id: group.into(), topics, ..Default::default() };
        return OffsetFetchRequest { groups: vec![group], require_stable, ..Default::default() };
    }
    let topic =
        |(name, index): &(&str, i32)| OffsetFetchRequestTopic { name: (*name).into(), partition_indexes: vec![*index] };
    let topics = partitions.map(|some| some.iter().map(topic).collect());
    OffsetFetchRequest { group_id: group.into(), topics, require_stable, ..Default::default() }
}

pub(crate) fn delete_offsets(group: &str, partitions: &[(&str, i32)]) -> OffsetDeleteRequest {
    let topic = |(name, index): &(&str, i32)| OffsetDeleteRequestTopic {
        name: (*name).into(),
        partitions: vec![OffsetDeleteRequestPartition { partition_index: *index }],
    };
    OffsetDeleteRequest { group_id: group.into(), topics: partitions.iter().map(topic).collect() }
}
