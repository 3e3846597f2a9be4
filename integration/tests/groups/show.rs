//! Answers as text: what matters of them, in an order that no hash map decides.

use bytes::Bytes;
use bytestring::ByteString;
use goatq_protocol::message::delete_groups::DeleteGroupsResponse;
use goatq_protocol::message::describe_groups::DescribeGroupsResponse;
use goatq_protocol::message::find_coordinator::FindCoordinatorResponse;
use goatq_protocol::message::heartbeat::HeartbeatResponse;
use goatq_protocol::message::join_group::JoinGroupResponse;
use goatq_protocol::message::leave_group::LeaveGroupResponse;
use goatq_protocol::message::list_groups::ListGroupsResponse;
use goatq_protocol::message::offset_commit::OffsetCommitResponse;
use goatq_protocol::message::offset_delete::OffsetDeleteResponse;
use goatq_protocol::message::offset_fetch::OffsetFetchResponse;
use goatq_protocol::message::sync_group::SyncGroupResponse;
use goatq_protocol::{ErrorCode, Uuid};

fn error(code: i16) -> String {
    ErrorCode::from_code(code).map_or_else(|| code.to_string(), |known| known.name().to_owned())
}

fn sorted(mut parts: Vec<String>) -> String {
    parts.sort();
    parts.join(" ")
}

fn opt(value: Option<&ByteString>) -> String {
    value.map_or_else(|| "null".to_owned(), |text| format!("{text:?}"))
}

fn text(bytes: &Bytes) -> String {
    bytes.iter().filter(|byte| byte.is_ascii_graphic()).map(|byte| char::from(*byte)).collect()
}

/// A topic by the name or the id that the version has.
fn topic(name: &ByteString, id: Uuid, ours: Uuid) -> String {
    match id {
        Uuid::ZERO => name.to_string(),
        id if id == ours => "its-id".to_owned(),
        id => format!("id:{id}"),
    }
}

pub(crate) trait Show {
    /// The answer; `ours` is the id of the topic of the walk.
    fn show(&self, ours: Uuid) -> String;
}

impl Show for FindCoordinatorResponse {
    fn show(&self, _: Uuid) -> String {
        let many = self.coordinators.iter().map(|one| {
            let message = opt(one.error_message.as_ref());
            format!(
                "[{:?} {} node {} at {:?} port {}, {message}]",
                one.key,
                error(one.error_code),
                one.node_id,
                one.host,
                one.port > 0
            )
        });
        let port = self.port > 0;
        format!(
            "{} node {} at {:?} port {port} {}",
            error(self.error_code),
            self.node_id,
            self.host,
            sorted(many.collect())
        )
    }
}

impl Show for JoinGroupResponse {
    fn show(&self, _: Uuid) -> String {
        let members = self
            .members
            .iter()
            .map(|one| format!("[{} {} {}]", opt(one.group_instance_id.as_ref()), one.member_id, text(&one.metadata)));
        let (kind, protocol) = (opt(self.protocol_type.as_ref()), opt(self.protocol_name.as_ref()));
        let skip = self.skip_assignment;
        let who = format!("as {:?}, leader {:?}", &*self.member_id, &*self.leader);
        let code = error(self.error_code);
        format!(
            "{code} generation {} {kind}/{protocol} {who} skip {skip} {}",
            self.generation_id,
            sorted(members.collect())
        )
    }
}

impl Show for SyncGroupResponse {
    fn show(&self, _: Uuid) -> String {
        let (kind, protocol) = (opt(self.protocol_type.as_ref()), opt(self.protocol_name.as_ref()));
        format!("{} {kind}/{protocol} {:?}", error(self.error_code), text(&self.assignment))
    }
}

impl Show for HeartbeatResponse {
    fn show(&self, _: Uuid) -> String {
        error(self.error_code)
    }
}

impl Show for LeaveGroupResponse {
    fn show(&self, _: Uuid) -> String {
        let members = self.members.iter().map(|one| {
            format!("[{:?} {} {}]", &*one.member_id, opt(one.group_instance_id.as_ref()), error(one.error_code))
        });
        format!("{} {}", error(self.error_code), members.collect::<String>())
    }
}

impl Show for DescribeGroupsResponse {
    fn show(&self, _: Uuid) -> String {
        let groups = self.groups.iter().map(|group| {
            let members = group.members.iter().map(|one| {
                let (instance, said) = (opt(one.group_instance_id.as_ref()), text(&one.member_metadata));
                let (id, assignment) = (&one.member_id, text(&one.member_assignment));
                format!("<{instance} {id} {} {} {said:?} {assignment:?}>", one.client_id, one.client_host)
            });
            let code = format!("{} {}", error(group.error_code), opt(group.error_message.as_ref()));
            let protocol = format!("{:?}/{:?}", &*group.protocol_type, &*group.protocol_data);
            let (state, operations) = (&group.group_state, group.authorized_operations);
            format!(
                "[{:?} {code} {state:?} {protocol} may {operations} {}]",
                &*group.group_id,
                sorted(members.collect())
            )
        });
        sorted(groups.collect())
    }
}

impl Show for ListGroupsResponse {
    fn show(&self, _: Uuid) -> String {
        let groups = self.groups.iter().map(|one| {
            format!("[{:?} {:?} {:?} {:?}]", &*one.group_id, &*one.protocol_type, &*one.group_state, &*one.group_type)
        });
        format!("{} {}", error(self.error_code), sorted(groups.collect()))
    }
}

impl Show for DeleteGroupsResponse {
    fn show(&self, _: Uuid) -> String {
        let groups = self.results.iter().map(|one| format!("{:?}={}", &*one.group_id, error(one.error_code)));
        sorted(groups.collect())
    }
}

impl Show for OffsetCommitResponse {
    fn show(&self, ours: Uuid) -> String {
        let parts = self.topics.iter().flat_map(|one| {
            let topic = topic(&one.name, one.topic_id, ours);
            one.partitions
                .iter()
                .map(move |part| format!("{topic}/{}={}", part.partition_index, error(part.error_code)))
        });
        sorted(parts.collect())
    }
}

impl Show for OffsetFetchResponse {
    fn show(&self, ours: Uuid) -> String {
        let offset = |index: i32, (offset, epoch): (i64, i32), metadata: Option<&ByteString>, code: i16| {
            format!("{index}={offset}@{epoch} {} {}", opt(metadata), error(code))
        };
        let old = self.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(move |one| {
                let place = (one.committed_offset, one.committed_leader_epoch);
                format!("{}/{}", topic.name, offset(one.partition_index, place, one.metadata.as_ref(), one.error_code))
            })
        });
        let groups = self.groups.iter().map(|group| {
            let parts = group.topics.iter().flat_map(|found| {
                let topic = topic(&found.name, found.topic_id, ours);
                found.partitions.iter().map(move |one| {
                    let place = (one.committed_offset, one.committed_leader_epoch);
                    format!("{topic}/{}", offset(one.partition_index, place, one.metadata.as_ref(), one.error_code))
                })
            });
            format!("[{:?} {} {}]", &*group.group_id, error(group.error_code), sorted(parts.collect()))
        });
        format!("{} {}", error(self.error_code), sorted(old.chain(groups).collect()))
    }
}

impl Show for OffsetDeleteResponse {
    fn show(&self, _: Uuid) -> String {
        let parts = self.topics.iter().flat_map(|topic| {
            topic
                .partitions
                .iter()
                .map(|part| format!("{}/{}={}", topic.name, part.partition_index, error(part.error_code)))
        });
        format!("{} {}", error(self.error_code), sorted(parts.collect()))
    }
}
