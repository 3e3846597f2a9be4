//! What is forgotten: offsets by age, offsets of deleted topics, groups that are empty or deleted by request.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use bytestring::ByteString;
use goatq_protocol::Uuid;

use super::error::GroupError;
use super::records::{GroupRecord, StoredOffset};
use super::request::GroupResponse;
use super::shard::GroupShard;
use super::state::{Group, GroupState};
use super::turn::{GroupTimer, Turn};
use crate::coordinator::runtime::machine::CallId;

/// Groups looked at in one go, so that the shard's lock is never held for long.
const GROUPS_PER_PASS: usize = 500;
/// Pause between two goes of one round.
const PASS_PAUSE: Duration = Duration::from_millis(20);

/// What the age of a group's offsets is measured from.
enum Age {
    /// From when the group became empty.
    SinceEmpty(i64),
    /// From each commit, for topics that the group does not consume.
    SinceCommit,
}

impl Group {
    /// How the group's offsets age; `None` while they do not (KIP-211).
    fn age(&self) -> Option<Age> {
        match (&self.protocol_type, self.state) {
            (None, _) => Some(Age::SinceCommit),
            (Some(_), GroupState::Empty) => Some(self.since_ms.map_or(Age::SinceCommit, Age::SinceEmpty)),
            (Some(_), GroupState::Stable) if self.is_consumer_group() && self.topics.is_some() => {
                Some(Age::SinceCommit)
            }
            _ => None,
        }
    }
}

impl Age {
    fn is_over(&self, offset: &StoredOffset, now_ms: i64, retention_ms: i64) -> bool {
        if let Some(expire_ms) = offset.expire_ms {
            return now_ms >= expire_ms;
        }
        let since = match self {
            Self::SinceEmpty(ms) => *ms,
            Self::SinceCommit => offset.commit_ms,
        };
        now_ms.saturating_sub(since) >= retention_ms
    }
}

impl GroupShard {
    /// The expiry timer is due: goes on with the round, or begins one.
    pub(super) fn expire(&mut self, turn: &mut Turn<'_>) {
        let start = self.expiry_cursor.take().map_or(Bound::Unbounded, Bound::Excluded);
        let ids = self.groups.range((start, Bound::Unbounded)).map(|(id, _)| id).take(GROUPS_PER_PASS);
        let ids: Vec<ByteString> = ids.cloned().collect();
        for id in &ids {
            if let Some(group) = self.groups.get(id) {
                self.expire_group(turn, group);
            }
        }
        if ids.len() == GROUPS_PER_PASS {
            self.expiry_cursor = ids.last().cloned();
            turn.set_timer(GroupTimer::Expiry, PASS_PAUSE);
        } else {
            turn.set_timer(GroupTimer::Expiry, turn.rules.expiry_interval);
        }
        turn.out.divisible = true;
    }

    fn expire_group(&self, turn: &mut Turn<'_>, group: &Group) {
        let mut kept = self.offsets.has_open(&group.id);
        if let Some(topics) = self.offsets.of(&group.id) {
            let Some(age) = group.age() else { return };
            let now_ms = turn.now.wall_ms;
            for (topic, partitions) in topics {
                let used = group.is_subscribed(topic);
                for (partition, offset) in partitions {
                    let over = age.is_over(&offset.value, now_ms, turn.rules.offsets_retention_ms);
                    if over && !used && !self.offsets.is_open(&group.id, topic, *partition) {
                        turn.counts.expirations = turn.counts.expirations.saturating_add(1);
                        turn.write(GroupRecord::no_offset(&group.id, topic, *partition));
                    } else {
                        kept = true;
                    }
                }
            }
        }
        // Who was given a member id is about to join.
        if !kept && group.state == GroupState::Empty && group.pending_joins.is_empty() {
            turn.write(GroupRecord::no_group(&group.id));
        }
    }

    /// DeleteGroups: one outcome per group.
    pub(super) fn delete_groups(&self, turn: &mut Turn<'_>, call: CallId, ids: &[ByteString]) {
        let distinct: BTreeSet<&ByteString> = ids.iter().collect();
        for id in distinct {
            let Some(group) = self.groups.get(id).filter(|group| group.state == GroupState::Empty) else { continue };
            for (topic, partition) in self.offsets.partitions_of(id) {
                turn.counts.deletions = turn.counts.deletions.saturating_add(1);
                turn.write(GroupRecord::no_offset(&group.id, &topic, partition));
            }
            turn.write(GroupRecord::no_group(&group.id));
        }
        turn.out.divisible = true;
        let outcome = |id: &ByteString| match self.groups.get(id) {
            None => Some(GroupError::GroupNotFound),
            Some(group) if group.state != GroupState::Empty => Some(GroupError::NonEmptyGroup),
            Some(_) => None,
        };
        turn.reply_committed(call, GroupResponse::DeleteGroups(ids.iter().map(outcome).collect()));
    }

    /// Topics are gone: so are their offsets, unless a topic of the same name is there again and has offsets already.
    pub(super) fn delete_topics(&self, turn: &mut Turn<'_>, call: CallId, deleted: &[(ByteString, Uuid)]) {
        let deleted: BTreeMap<&ByteString, Uuid> = deleted.iter().map(|(topic, id)| (topic, *id)).collect();
        let groups: BTreeSet<&ByteString> = self.offsets.groups().collect();
        for group in groups {
            for (topic, partition) in self.offsets.partitions_of(group) {
                let newer = |id: &Uuid| !self.offsets.may_be_of(group, &topic, partition, *id);
                if deleted.get(&topic).is_some_and(|id| !newer(id)) {
                    turn.write(GroupRecord::no_offset(group, &topic, partition));
                }
            }
        }
        turn.out.divisible = true;
        turn.reply_committed(call, GroupResponse::TopicsDeleted);
    }
}
