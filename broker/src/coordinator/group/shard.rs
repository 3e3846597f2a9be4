//! The state machine of one partition of `__consumer_offsets`: groups, their offsets, and who answers what.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;

use super::error::GroupError;
use super::offsets::OffsetStore;
use super::records::{GroupRecord, StoredGroup};
use super::request::{GroupRequest, GroupResponse, HeartbeatRequest, JoinRequest, LeavingMember, SyncRequest};
use super::state::Group;
use super::turn::{GroupRules, GroupTimer, Turn, Written};
use crate::coordinator::runtime::log::WriteError;
use crate::coordinator::runtime::machine::{CallId, Effects, EncodedRecord, Now, Position, RecordError, StateMachine};
use crate::metrics::coordinator::GroupMetrics;

/// Groups of one partition. Durable state: the offsets, which groups exist, and each one's `stored` record. The rest
/// of a group is volatile; a load builds it from what is stored.
pub(crate) struct GroupShard {
    pub(super) rules: Arc<GroupRules>,
    metrics: Arc<GroupMetrics>,
    pub(super) groups: BTreeMap<ByteString, Group>,
    pub(super) offsets: OffsetStore,
    /// The last group that the round of expiry looked at.
    pub(super) expiry_cursor: Option<ByteString>,
}

impl GroupShard {
    /// An empty shard.
    pub(crate) fn new(rules: Arc<GroupRules>, metrics: Arc<GroupMetrics>) -> Self {
        Self { rules, metrics, groups: BTreeMap::new(), offsets: OffsetStore::default(), expiry_cursor: None }
    }

    /// Runs a rule and collects its effects.
    fn turn(&mut self, now: Now, rule: impl FnOnce(&mut Self, &mut Turn<'_>)) -> Effects<Self> {
        let rules = self.rules.clone();
        let mut turn = Turn::new(&rules, now);
        rule(self, &mut turn);
        self.metrics.rebalances.add(turn.counts.rebalances);
        self.metrics.offset_commits.add(turn.counts.commits);
        self.metrics.offset_expirations.add(turn.counts.expirations);
        self.metrics.offset_deletions.add(turn.counts.deletions);
        turn.out
    }

    fn join(&mut self, turn: &mut Turn<'_>, call: CallId, request: &JoinRequest) {
        if let Some(group) = self.groups.get_mut(&request.group) {
            group.join(turn, call, request);
            return;
        }
        // A member has its id from a group; that is gone.
        if !request.member.is_empty() {
            turn.refuse_join(call, GroupError::UnknownMember, &request.member);
            return;
        }
        if self.groups.len() >= turn.rules.max_groups {
            turn.refuse_join(call, GroupError::GroupFull, &ByteString::new());
            return;
        }
        let mut group = Group::new(&request.group, Some(turn.now.wall_ms));
        group.join(turn, call, request);
        // Also when its first member is refused, as in Kafka: the group is there, empty, until it expires.
        turn.write(GroupRecord::new_group(&group));
        turn.out.written = Some(Written::Created { group: group.id.clone(), call });
        self.groups.insert(group.id.clone(), group);
    }

    /// A new group did not get into the log: it never was.
    fn on_created(&mut self, turn: &mut Turn<'_>, id: &ByteString, call: CallId, result: Result<(), WriteError>) {
        match result {
            // Late is not lost: the log has the group.
            Ok(()) | Err(WriteError::TimedOut) => {}
            Err(error) => {
                turn.refuse_join(call, error.into(), &ByteString::new());
                let Some(group) = self.groups.remove(id) else { return };
                turn.cancel_timer(GroupTimer::Join(id.clone()));
                turn.cancel_timer(GroupTimer::Sync(id.clone()));
                for member in group.member_ids().iter().chain(&group.pending_joins) {
                    turn.forget_session(id, member);
                }
            }
        }
    }

    fn sync(&mut self, turn: &mut Turn<'_>, call: CallId, request: &SyncRequest) {
        match self.groups.get_mut(&request.group) {
            Some(group) => group.sync(turn, call, request),
            None => turn.refuse_sync(call, GroupError::UnknownMember),
        }
    }

    fn heartbeat(&self, turn: &mut Turn<'_>, call: CallId, request: &HeartbeatRequest) {
        let group = self.groups.get(&request.group).ok_or(GroupError::UnknownMember);
        let result = group.and_then(|group| group.heartbeat(turn, request));
        turn.reply(call, GroupResponse::Heartbeat(result));
    }

    fn leave(&mut self, turn: &mut Turn<'_>, call: CallId, group: &ByteString, members: &[LeavingMember]) {
        let outcomes = match self.groups.get_mut(group) {
            Some(group) => group.leave(turn, members),
            None => vec![Some(GroupError::UnknownMember); members.len()],
        };
        turn.reply_committed(call, GroupResponse::Leave(Ok(outcomes)));
    }

    /// What the log alone decides, to compare with the replay of the log.
    pub(super) fn durable(&self) -> (BTreeMap<ByteString, Option<Arc<StoredGroup>>>, OffsetStore) {
        let groups = self.groups.iter().map(|(id, group)| (id.clone(), group.stored.clone())).collect();
        (groups, self.offsets.clone())
    }
}

impl StateMachine for GroupShard {
    type Request = GroupRequest;
    type Response = GroupResponse;
    type Record = GroupRecord;
    type Timer = GroupTimer;
    type Written = Written;

    fn on_request(&mut self, call: CallId, request: GroupRequest, now: Now) -> Effects<Self> {
        self.turn(now, |shard, turn| match request {
            GroupRequest::Join(request) => shard.join(turn, call, &request),
            GroupRequest::Sync(request) => shard.sync(turn, call, &request),
            GroupRequest::Heartbeat(request) => shard.heartbeat(turn, call, &request),
            GroupRequest::Leave { group, members } => shard.leave(turn, call, &group, &members),
            GroupRequest::Commit(request) => shard.commit(turn, call, &request),
            GroupRequest::Fetch(request) => {
                let topics = shard.fetch(&request);
                turn.reply_committed(call, GroupResponse::Fetch(topics));
            }
            GroupRequest::DeleteOffsets { group, topics } => shard.delete_offsets(turn, call, &group, &topics),
            GroupRequest::DeleteGroups(groups) => shard.delete_groups(turn, call, &groups),
            GroupRequest::Describe(group) => {
                let described = shard.describe(&group);
                turn.reply_committed(call, GroupResponse::Describe(described));
            }
            GroupRequest::List(filter) => {
                let listed = shard.list(&filter);
                turn.reply_committed(call, GroupResponse::List(listed));
            }
            GroupRequest::TopicsDeleted(topics) => shard.delete_topics(turn, call, &topics),
        })
    }

    fn on_timer(&mut self, timer: GroupTimer, now: Now) -> Effects<Self> {
        self.turn(now, |shard, turn| match timer {
            GroupTimer::Expiry => shard.expire(turn),
            GroupTimer::Session(group, member) => {
                if let Some(group) = shard.groups.get_mut(&group) {
                    group.on_session_timer(turn, &member);
                }
            }
            GroupTimer::Store(group) => {
                if let Some(group) = shard.groups.get_mut(&group).filter(|group| group.unstored) {
                    group.store_empty(turn);
                }
            }
            GroupTimer::Join(group) => {
                if let Some(group) = shard.groups.get_mut(&group) {
                    group.on_join_timer(turn);
                }
            }
            GroupTimer::Sync(group) => {
                if let Some(group) = shard.groups.get_mut(&group) {
                    group.on_sync_timer(turn);
                }
            }
        })
    }

    fn on_written(&mut self, token: Written, result: Result<(), WriteError>, now: Now) -> Effects<Self> {
        self.turn(now, |shard, turn| match token {
            Written::Created { group, call } => shard.on_created(turn, &group, call, result),
            Written::Emptied { group } => {
                if let Some(group) = shard.groups.get_mut(&group) {
                    group.on_emptied(turn, result);
                }
            }
            Written::Assigned { group, generation, assignments } => {
                if let Some(group) = shard.groups.get_mut(&group) {
                    group.on_assigned(turn, generation, &assignments, result);
                }
            }
            Written::Replaced { group, member, before, call, skips_assignment } => {
                if let Some(group) = shard.groups.get_mut(&group) {
                    group.on_replaced(turn, &member, &before, (call, skips_assignment), result);
                }
            }
        })
    }

    fn on_loaded(&mut self, now: Now) -> Effects<Self> {
        self.turn(now, |shard, turn| {
            for group in shard.groups.values_mut() {
                if let Some(stored) = group.stored.clone() {
                    *group = Group::from_stored(&group.id, &stored);
                }
                for member in group.members() {
                    turn.keep_alive(&group.id, member);
                }
                if group.member_count() > turn.rules.max_members {
                    group.prepare_rebalance(turn, "the group is larger than is allowed now");
                }
            }
            turn.set_timer(GroupTimer::Expiry, turn.rules.expiry_interval);
        })
    }

    fn replay(&mut self, at: Position, record: GroupRecord) {
        match record {
            GroupRecord::Group { group, value: None } => {
                self.groups.remove(&group);
            }
            GroupRecord::Group { group, value } => {
                self.groups.entry(group).or_insert_with_key(|id| Group::new(id, None)).stored = value;
            }
            GroupRecord::Offset { group, topic, partition, value } => {
                // Offsets of a group without a record are those of a simple group.
                if value.is_some() && !self.groups.contains_key(&group) {
                    self.groups.insert(group.clone(), Group::new(&group, None));
                }
                self.offsets.replay(at, (group, topic, partition), value);
            }
        }
    }

    fn replay_transaction_end(&mut self, producer_id: i64, committed: bool) {
        for group in self.offsets.replay_transaction_end(producer_id, committed) {
            self.groups.entry(group).or_insert_with_key(|id| Group::new(id, None));
        }
    }

    fn encode(record: &GroupRecord) -> Result<EncodedRecord, RecordError> {
        record.encode()
    }

    fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Option<GroupRecord>, RecordError> {
        GroupRecord::decode(key, value)
    }
}
