//! What one event may use and bring about.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use super::error::GroupError;
use super::member::Member;
use super::records::GroupRecord;
use super::request::{GroupResponse, JoinRefused, Joined};
use super::shard::GroupShard;
use super::state::millis;
use crate::coordinator::runtime::machine::{CallId, Effects, Now, Release, TimerChange};

/// Limits of groups, from the broker's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupRules {
    /// `group.min.session.timeout.ms`.
    pub(crate) min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub(crate) max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`.
    pub(crate) initial_rebalance_delay: Duration,
    /// `group.max.size`.
    pub(crate) max_members: usize,
    /// Member ids of one group that were handed out and not used yet. Kafka has no such bound.
    pub(crate) max_pending_members: usize,
    /// Groups of one shard. Kafka has no such bound.
    pub(crate) max_groups: usize,
    /// How long the first JoinGroup of a member may wait; it can send no heartbeat meanwhile. Five minutes in Kafka.
    pub(crate) new_member_timeout: Duration,
    /// `offset.metadata.max.bytes`.
    pub(crate) max_offset_metadata: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub(crate) offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub(crate) expiry_interval: Duration,
}

/// Key of a timer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum GroupTimer {
    /// A member, or somebody with a member id who did not join yet, was not heard of.
    Session(ByteString, ByteString),
    /// Joining has lasted long enough.
    Join(ByteString),
    /// Members of a generation did not ask for their assignment.
    Sync(ByteString),
    /// A group that became empty is to be stored again.
    Store(ByteString),
    /// Time to look for offsets and groups to forget.
    Expiry,
}

/// What the leader decided, by member.
pub(crate) type Assignments = BTreeMap<ByteString, Bytes>;

/// What waits for a commit.
#[derive(Debug, Clone)]
pub(crate) enum Written {
    /// A group that was just made: it goes again when the log does not take it.
    Created { group: ByteString, call: CallId },
    /// A group that became empty.
    Emptied { group: ByteString },
    /// The leader's assignment.
    Assigned { group: ByteString, generation: i32, assignments: Assignments },
    /// A static member came back under another id while the group was stable.
    Replaced { group: ByteString, member: ByteString, before: Box<Replaced>, call: CallId, skips_assignment: bool },
}

/// A static member and leader as they were before a replacement.
#[derive(Debug, Clone)]
pub(crate) struct Replaced {
    pub(super) member: Member,
    pub(super) leader: Option<ByteString>,
}

/// An event under way: its time, the rules, and its effects so far.
pub(super) struct Turn<'a> {
    pub(super) rules: &'a GroupRules,
    pub(super) now: Now,
    pub(super) out: Effects<GroupShard>,
    pub(super) counts: Counts,
}

/// What metrics count.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Generations that became stable.
    pub(super) rebalances: u64,
    /// Offsets committed.
    pub(super) commits: u64,
    /// Offsets that got too old.
    pub(super) expirations: u64,
    /// Offsets deleted by request.
    pub(super) deletions: u64,
}

impl<'a> Turn<'a> {
    pub(super) fn new(rules: &'a GroupRules, now: Now) -> Self {
        Self { rules, now, out: Effects::default(), counts: Counts::default() }
    }

    /// Answers a call at once.
    pub(super) fn reply(&mut self, call: CallId, response: GroupResponse) {
        self.out.replies.push((call, response, Release::Now));
    }

    /// Answers a call once everything before it is committed.
    pub(super) fn reply_committed(&mut self, call: CallId, response: GroupResponse) {
        self.out.replies.push((call, response, Release::Committed));
    }

    pub(super) fn reply_joined(&mut self, call: CallId, joined: Joined) {
        self.reply(call, GroupResponse::Join(Ok(joined)));
    }

    pub(super) fn refuse_join(&mut self, call: CallId, error: GroupError, member: &ByteString) {
        self.reply(call, GroupResponse::Join(Err(JoinRefused { error, member: member.clone() })));
    }

    pub(super) fn refuse_sync(&mut self, call: CallId, error: GroupError) {
        self.reply(call, GroupResponse::Sync(Err(error)));
    }

    pub(super) fn write(&mut self, record: GroupRecord) {
        self.out.records.push(record);
    }

    pub(super) fn set_timer(&mut self, timer: GroupTimer, after: Duration) {
        self.out.timers.push(TimerChange::Set(timer, self.now.monotonic.saturating_add(after)));
    }

    pub(super) fn cancel_timer(&mut self, timer: GroupTimer) {
        self.out.timers.push(TimerChange::Cancel(timer));
    }

    /// The member was heard of: its session begins anew.
    pub(super) fn keep_alive(&mut self, group: &ByteString, member: &Member) {
        let timer = GroupTimer::Session(group.clone(), member.id.clone());
        self.set_timer(timer, millis(member.session_timeout_ms));
    }

    pub(super) fn forget_session(&mut self, group: &ByteString, member: &ByteString) {
        self.cancel_timer(GroupTimer::Session(group.clone(), member.clone()));
    }
}
