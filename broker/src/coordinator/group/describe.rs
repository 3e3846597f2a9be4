//! DescribeGroups, ListGroups and what metrics show.

use bytestring::ByteString;

use super::error::GroupError;
use super::request::{DescribedGroup, ListFilter, ListedGroup};
use super::shard::GroupShard;
use super::state::{Group, GroupState};
use crate::metrics::lag::GroupSnapshot;

/// The type of all groups here, by Kafka's name.
pub(crate) const CLASSIC: &str = "classic";

impl Group {
    fn describe(&self) -> DescribedGroup {
        // What members said and the protocol they share mean something in a stable group only.
        let protocol = self.protocol.as_ref().filter(|_| self.state == GroupState::Stable);
        DescribedGroup {
            state: self.state,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.cloned().unwrap_or_default(),
            members: self.members().map(|member| member.as_described(protocol)).collect(),
        }
    }
}

impl GroupShard {
    pub(super) fn describe(&self, id: &str) -> Result<DescribedGroup, GroupError> {
        self.groups.get(id).map(Group::describe).ok_or(GroupError::GroupNotFound)
    }

    pub(super) fn list(&self, filter: &ListFilter) -> Vec<ListedGroup> {
        let passes = |allowed: &[ByteString], name: &str| {
            allowed.is_empty() || allowed.iter().any(|one| one.trim().eq_ignore_ascii_case(name))
        };
        if !passes(&filter.types, CLASSIC) {
            return Vec::new();
        }
        let listed = self.groups.values().filter(|group| passes(&filter.states, group.state.name()));
        let listed = listed.map(|group| ListedGroup {
            group: group.id.clone(),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            state: group.state,
        });
        listed.collect()
    }

    /// At most `max` groups for metrics.
    pub(super) fn snapshot(&self, max: usize) -> Vec<GroupSnapshot> {
        let snapshot = |group: &Group| {
            let topics = self.offsets.of(&group.id).into_iter().flatten();
            let offsets = topics.flat_map(|(topic, partitions)| {
                partitions.iter().map(|(partition, offset)| (topic.to_string(), *partition, offset.value.offset))
            });
            GroupSnapshot {
                group: group.id.to_string(),
                state: group.state.name(),
                members: group.member_count(),
                offsets: offsets.collect(),
            }
        };
        self.groups.values().take(max).map(snapshot).collect()
    }
}
