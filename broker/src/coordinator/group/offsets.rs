//! Committed offsets: OffsetCommit, OffsetFetch, OffsetDelete.

use std::collections::BTreeMap;

use bytestring::ByteString;
use goatq_protocol::Uuid;

use super::error::GroupError;
use super::member::own;
use super::records::{GroupRecord, StoredOffset};
use super::request::{
    CommitRequest, FetchRequest, FetchedOffset, FetchedTopic, GroupResponse, OffsetToCommit, TopicOutcomes,
    TopicToCommit,
};
use super::shard::GroupShard;
use super::state::{Group, GroupState};
use super::turn::Turn;
use crate::coordinator::runtime::machine::{CallId, Position};

/// An offset and where its record is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) value: StoredOffset,
    record: i64,
}

/// Offsets of one group, by topic and partition.
pub(super) type TopicOffsets = BTreeMap<ByteString, BTreeMap<i32, Committed>>;

/// Offsets of all groups of a shard. Durable state: changed by replay alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OffsetStore {
    groups: BTreeMap<ByteString, TopicOffsets>,
    /// By producer: what its open transaction would commit.
    open: BTreeMap<i64, BTreeMap<ByteString, TopicOffsets>>,
}

impl OffsetStore {
    /// Offsets of a group, if it has any.
    pub(super) fn of(&self, group: &str) -> Option<&TopicOffsets> {
        self.groups.get(group)
    }

    fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.groups.get(group)?.get(topic)?.get(&partition)
    }

    /// Whether the offset, if there is one, can be of the topic with this id.
    pub(super) fn may_be_of(&self, group: &str, topic: &str, partition: i32, id: Uuid) -> bool {
        self.get(group, topic, partition).is_none_or(|offset| is_same_topic(offset.value.topic_id, id))
    }

    /// Whether an open transaction would change the offset.
    pub(super) fn is_open(&self, group: &str, topic: &str, partition: i32) -> bool {
        let holds = |groups: &BTreeMap<ByteString, TopicOffsets>| {
            groups.get(group).and_then(|topics| topics.get(topic)).is_some_and(|parts| parts.contains_key(&partition))
        };
        self.open.values().any(holds)
    }

    /// Whether an open transaction has offsets of the group.
    pub(super) fn has_open(&self, group: &str) -> bool {
        self.open.values().any(|groups| groups.contains_key(group))
    }

    /// Every partition of the group that has an offset, or would have one if an open transaction were committed.
    pub(super) fn partitions_of(&self, group: &str) -> Vec<(ByteString, i32)> {
        let open = self.open.values().filter_map(|groups| groups.get(group));
        let all = self.groups.get(group).into_iter().chain(open);
        let mut found: Vec<_> = all
            .flat_map(|topics| topics.iter())
            .flat_map(|(topic, parts)| parts.keys().map(move |partition| (topic.clone(), *partition)))
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Groups with offsets, of open transactions too.
    pub(super) fn groups(&self) -> impl Iterator<Item = &ByteString> {
        self.groups.keys().chain(self.open.values().flat_map(BTreeMap::keys))
    }

    /// Takes the record of an offset.
    pub(super) fn replay(
        &mut self,
        at: Position,
        (group, topic, partition): (ByteString, ByteString, i32),
        value: Option<StoredOffset>,
    ) {
        let Some(value) = value else {
            remove(&mut self.groups, &group, &topic, partition);
            self.open.values_mut().for_each(|groups| remove(groups, &group, &topic, partition));
            return;
        };
        let committed = Committed { value, record: at.offset };
        let groups = match at.producer_id {
            Some(producer) => self.open.entry(producer).or_default(),
            None => &mut self.groups,
        };
        groups.entry(group).or_default().entry(topic).or_default().insert(partition, committed);
    }

    /// Ends a transaction; returns the groups that have offsets of it now. Of an offset that was committed outside
    /// the transaction as well, the later record counts.
    pub(super) fn replay_transaction_end(&mut self, producer: i64, committed: bool) -> Vec<ByteString> {
        let Some(groups) = self.open.remove(&producer).filter(|_| committed) else { return Vec::new() };
        let names = groups.keys().cloned().collect();
        for (group, topics) in groups {
            let offsets = self.groups.entry(group).or_default();
            for (topic, partitions) in topics {
                let known = offsets.entry(topic).or_default();
                for (partition, offset) in partitions {
                    if known.get(&partition).is_none_or(|before| before.record < offset.record) {
                        known.insert(partition, offset);
                    }
                }
            }
        }
        names
    }
}

fn remove(groups: &mut BTreeMap<ByteString, TopicOffsets>, group: &str, topic: &str, partition: i32) {
    let Some(topics) = groups.get_mut(group) else { return };
    if let Some(partitions) = topics.get_mut(topic) {
        partitions.remove(&partition);
        if partitions.is_empty() {
            topics.remove(topic);
        }
    }
    if topics.is_empty() {
        groups.remove(group);
    }
}

impl Group {
    /// Whether a client may commit offsets: a member of the present generation, or anybody while there are none.
    fn check_commit(&self, request: &CommitRequest) -> Result<(), GroupError> {
        let outside = request.generation < 0 && request.member.is_empty() && request.instance.is_none();
        if request.generation < 0 && self.state == GroupState::Empty {
            return Ok(());
        }
        if outside {
            return Err(GroupError::UnknownMember);
        }
        self.check_member(&request.member, request.instance.as_ref())?;
        if request.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        // The member cannot have worked in this generation yet.
        if self.state == GroupState::CompletingRebalance {
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    fn check_offset_delete(&self) -> Result<(), GroupError> {
        match self.state {
            GroupState::Empty | GroupState::Dead => Ok(()),
            // Only of consumer groups is it known what they use.
            _ if self.is_consumer_group() => Ok(()),
            _ => Err(GroupError::NonEmptyGroup),
        }
    }
}

impl GroupShard {
    pub(super) fn commit(&mut self, turn: &mut Turn<'_>, call: CallId, request: &CommitRequest) {
        let outcomes = self.check_commit(request).map(|()| self.write_offsets(turn, request));
        if outcomes.is_ok()
            && let Some(group) = self.groups.get(&request.group)
            && matches!(group.state, GroupState::Stable | GroupState::PreparingRebalance)
            && let Some(member) = group.member(&request.member)
        {
            turn.keep_alive(&group.id, member);
        }
        turn.reply_committed(call, GroupResponse::Commit(outcomes));
    }

    fn check_commit(&self, request: &CommitRequest) -> Result<(), GroupError> {
        match self.groups.get(&request.group) {
            Some(group) => group.check_commit(request),
            None if request.generation < 0 && self.groups.len() < self.rules.max_groups => Ok(()),
            None if request.generation < 0 => Err(GroupError::GroupFull),
            None if request.knows_group_not_found => Err(GroupError::GroupNotFound),
            None => Err(GroupError::IllegalGeneration),
        }
    }

    fn write_offsets(&self, turn: &mut Turn<'_>, request: &CommitRequest) -> TopicOutcomes {
        let group = own(&request.group);
        let retention = request.retention_ms.map(|ms| turn.now.wall_ms.saturating_add(ms));
        let outcomes = request.topics.iter().map(|topic| {
            let name = own(&topic.topic);
            let write = |offset: &OffsetToCommit| {
                let error = self.write_offset(turn, (&group, &name), topic, offset, retention).err();
                (offset.partition, error)
            };
            (topic.topic.clone(), topic.offsets.iter().map(write).collect())
        });
        outcomes.collect()
    }

    fn write_offset(
        &self,
        turn: &mut Turn<'_>,
        (group, name): (&ByteString, &ByteString),
        topic: &TopicToCommit,
        offset: &OffsetToCommit,
        expire_ms: Option<i64>,
    ) -> Result<(), GroupError> {
        let metadata = offset.metadata.as_ref().map(own).unwrap_or_default();
        // Kafka counts in Java's characters.
        let max = turn.rules.max_offset_metadata;
        if metadata.len() > max && metadata.encode_utf16().count() > max {
            return Err(GroupError::OffsetMetadataTooLarge);
        }
        let value = StoredOffset {
            offset: offset.offset,
            leader_epoch: offset.leader_epoch,
            metadata,
            commit_ms: turn.now.wall_ms,
            expire_ms,
            topic_id: topic.topic_id,
        };
        let (group, topic) = (group.clone(), name.clone());
        turn.counts.commits = turn.counts.commits.saturating_add(1);
        turn.write(GroupRecord::Offset { group, topic, partition: offset.partition, value: Some(value) });
        Ok(())
    }

    /// The offsets of a group. A group that does not exist has none, which is no error.
    pub(super) fn fetch(&self, request: &FetchRequest) -> Vec<FetchedTopic> {
        let group = &request.group;
        if let Some(topics) = &request.topics {
            let fetch = |(topic, topic_id, partitions): &(ByteString, Uuid, Vec<i32>)| {
                let offsets = partitions.iter().map(|partition| {
                    let known = self.offsets.get(group, topic, *partition);
                    // A topic that was made anew under the same name has no offsets.
                    let known = known.filter(|offset| is_same_topic(offset.value.topic_id, *topic_id));
                    self.fetch_offset(request, topic, *partition, known)
                });
                FetchedTopic { topic: topic.clone(), topic_id: *topic_id, offsets: offsets.collect() }
            };
            return topics.iter().map(fetch).collect();
        }
        let all = self.offsets.of(group).into_iter().flatten().map(|(topic, partitions)| {
            let topic_id = partitions.values().next().map(|offset| offset.value.topic_id).unwrap_or_default();
            let offsets =
                partitions.iter().map(|(partition, known)| self.fetch_offset(request, topic, *partition, Some(known)));
            FetchedTopic { topic: topic.clone(), topic_id, offsets: offsets.collect() }
        });
        all.collect()
    }

    fn fetch_offset(
        &self,
        request: &FetchRequest,
        topic: &ByteString,
        partition: i32,
        known: Option<&Committed>,
    ) -> FetchedOffset {
        let unstable = request.require_stable && self.offsets.is_open(&request.group, topic, partition);
        let error = unstable.then_some(GroupError::UnstableOffset);
        match known.filter(|_| !unstable) {
            Some(known) => FetchedOffset {
                partition,
                offset: known.value.offset,
                leader_epoch: known.value.leader_epoch,
                metadata: known.value.metadata.clone(),
                error,
            },
            None => FetchedOffset { partition, offset: -1, leader_epoch: -1, metadata: ByteString::new(), error },
        }
    }

    pub(super) fn delete_offsets(
        &self,
        turn: &mut Turn<'_>,
        call: CallId,
        id: &ByteString,
        topics: &[(ByteString, Vec<i32>)],
    ) {
        let group = self.groups.get(id).ok_or(GroupError::GroupNotFound);
        let outcomes = group.and_then(|group| group.check_offset_delete().map(|()| group)).map(|group| {
            let delete = |(topic, partitions): &(ByteString, Vec<i32>)| {
                let used = group.is_subscribed(topic).then_some(GroupError::SubscribedToTopic);
                for partition in partitions.iter().filter(|_| used.is_none()) {
                    let known = self.offsets.get(id, topic, *partition).is_some();
                    if known || self.offsets.is_open(id, topic, *partition) {
                        turn.counts.deletions = turn.counts.deletions.saturating_add(1);
                        turn.write(GroupRecord::no_offset(&group.id, topic, *partition));
                    }
                }
                (topic.clone(), partitions.iter().map(|partition| (*partition, used)).collect())
            };
            topics.iter().map(delete).collect()
        });
        turn.out.divisible = true;
        turn.reply_committed(call, GroupResponse::DeleteOffsets(outcomes));
    }
}

/// Whether two topic ids can be the same topic's; all zeros is unknown.
fn is_same_topic(one: Uuid, other: Uuid) -> bool {
    one == Uuid::ZERO || other == Uuid::ZERO || one == other
}
