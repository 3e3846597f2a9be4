//! From one generation to the next: preparing, collecting joins, forming, waiting for the assignment.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use super::error::GroupError;
use super::member::Member;
use super::records::GroupRecord;
use super::request::{GroupResponse, Joined, Synced};
use super::state::{Group, GroupState, JoinPhase};
use super::turn::{Assignments, GroupTimer, Turn, Written};
use crate::coordinator::runtime::log::WriteError;

/// Pause before a record that the log refused is offered again.
const STORE_AGAIN: Duration = Duration::from_secs(1);

impl Group {
    /// Starts a rebalance if the state allows one, else sees whether the one under way can go on.
    pub(super) fn rebalance_or_go_on(&mut self, turn: &mut Turn<'_>, reason: &str) {
        if self.state == GroupState::PreparingRebalance {
            self.go_on(turn);
        } else {
            self.prepare_rebalance(turn, reason);
        }
    }

    /// Ends the join phase if everybody is there. The initial one always lasts its time.
    pub(super) fn go_on(&mut self, turn: &mut Turn<'_>) {
        let may_end = self.state == GroupState::PreparingRebalance && self.join_phase == JoinPhase::Rejoin;
        if may_end && self.all_joined() {
            self.complete_join(turn);
        }
    }

    /// Asks all members to join again. An empty group is given time to gather more members.
    pub(super) fn prepare_rebalance(&mut self, turn: &mut Turn<'_>, reason: &str) {
        tracing::info!(group = %self.id, generation = self.generation, state = self.state.name(), reason, "rebalance");
        if self.state == GroupState::CompletingRebalance {
            self.withdraw_assignment(turn, GroupError::RebalanceInProgress);
        }
        self.pending_syncs.clear();
        turn.cancel_timer(GroupTimer::Sync(self.id.clone()));
        let initial = self.state == GroupState::Empty;
        self.enter(GroupState::PreparingRebalance, turn.now.wall_ms);
        if initial {
            let delay = turn.rules.initial_rebalance_delay;
            self.wait_for_more(turn, delay, self.rebalance_timeout().saturating_sub(delay));
            return;
        }
        self.join_phase = JoinPhase::Rejoin;
        if self.all_joined() {
            self.complete_join(turn);
        } else {
            turn.set_timer(GroupTimer::Join(self.id.clone()), self.rebalance_timeout());
        }
    }

    fn wait_for_more(&mut self, turn: &mut Turn<'_>, delay: Duration, remaining: Duration) {
        self.prolong = false;
        self.join_phase = JoinPhase::Initial { delay, remaining };
        turn.set_timer(GroupTimer::Join(self.id.clone()), delay);
    }

    /// The join timer is due: the initial delay is prolonged while members keep coming and time remains.
    pub(super) fn on_join_timer(&mut self, turn: &mut Turn<'_>) {
        if self.state != GroupState::PreparingRebalance {
            return;
        }
        match self.join_phase {
            JoinPhase::Initial { delay, remaining } if self.prolong && !remaining.is_zero() => {
                let next = turn.rules.initial_rebalance_delay.min(remaining);
                self.wait_for_more(turn, next, remaining.saturating_sub(delay));
            }
            JoinPhase::Initial { .. } | JoinPhase::Rejoin => self.complete_join(turn),
        }
    }

    /// Forms the next generation from those who joined. Static members are waited for beyond that (KIP-345).
    pub(super) fn complete_join(&mut self, turn: &mut Turn<'_>) {
        turn.cancel_timer(GroupTimer::Join(self.id.clone()));
        let absent = |member: &&Member| member.joining.is_none() && member.instance.is_none();
        let absent: Vec<ByteString> = self.members().filter(absent).map(|member| member.id.clone()).collect();
        for id in &absent {
            self.drop_member(turn, id);
        }
        if !self.elect_leader() && self.member_count() > 0 {
            // Static members only, none of which came: their sessions decide.
            self.join_phase = JoinPhase::Rejoin;
            turn.set_timer(GroupTimer::Join(self.id.clone()), self.rebalance_timeout());
            return;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(0);
        self.protocol = self.elect_protocol();
        self.topics = self.read_topics();
        self.pending_syncs.clear();
        if self.member_count() == 0 {
            self.enter(GroupState::Empty, turn.now.wall_ms);
            self.store_empty(turn);
        } else {
            self.enter(GroupState::CompletingRebalance, turn.now.wall_ms);
            self.announce_generation(turn);
        }
        tracing::info!(group = %self.id, generation = self.generation, members = self.member_count(), "generation");
    }

    /// Stores a group without members. Until that is done the log still has the last generation that had some, who would
    /// have to time out once more after a load.
    pub(super) fn store_empty(&mut self, turn: &mut Turn<'_>) {
        if self.state == GroupState::Empty {
            self.unstored = false;
            turn.write(GroupRecord::group(self, |_| Bytes::new()));
            turn.out.written = Some(Written::Emptied { group: self.id.clone() });
        }
    }

    /// The record of an empty group is committed, or failed: then it is tried again. One that is late is in the log.
    pub(super) fn on_emptied(&mut self, turn: &mut Turn<'_>, result: Result<(), WriteError>) {
        if let Err(error) = result
            && error != WriteError::TimedOut
        {
            self.unstored = true;
            turn.set_timer(GroupTimer::Store(self.id.clone()), STORE_AGAIN);
        }
    }

    fn announce_generation(&mut self, turn: &mut Turn<'_>) {
        let group = self.id.clone();
        for id in self.member_ids() {
            self.finish_join(turn, &id);
            if let Some(member) = self.member_mut(&id) {
                member.is_new = false;
                turn.keep_alive(&group, member);
            }
            self.pending_syncs.insert(id);
        }
        turn.set_timer(GroupTimer::Sync(self.id.clone()), self.rebalance_timeout());
    }

    /// Answers the join of a member that waits with the present generation.
    fn finish_join(&mut self, turn: &mut Turn<'_>, id: &ByteString) {
        let Some(call) = self.member(id).and_then(|member| member.joining) else { return };
        let joined = self.joined(id, self.is_leader(id));
        turn.reply_joined(call, joined);
        self.update(id, |member| member.joining = None);
    }

    /// The present generation as a member is told it, with all members if `listing`.
    pub(super) fn joined(&self, member: &ByteString, listing: bool) -> Joined {
        let members = if listing {
            self.members().map(|one| one.as_joined(self.protocol.as_ref())).collect()
        } else {
            Vec::new()
        };
        Joined {
            member: member.clone(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            members,
        }
    }

    /// Gives every member its assignment: the group is stable.
    pub(super) fn assign(&mut self, turn: &mut Turn<'_>, assignments: &Assignments) {
        let group = self.id.clone();
        let (protocol_type, protocol) = (self.protocol_type.clone(), self.protocol.clone());
        for id in self.member_ids() {
            let Some(member) = self.member_mut(&id) else { continue };
            member.assignment = assignments.get(&id).cloned().unwrap_or_default();
            if let Some(call) = member.syncing.take() {
                let assignment = member.assignment.clone();
                let synced = Synced { protocol_type: protocol_type.clone(), protocol: protocol.clone(), assignment };
                turn.reply(call, GroupResponse::Sync(Ok(synced)));
                // The session may have run out, without effect, while the answer was waited for.
                turn.keep_alive(&group, member);
            }
        }
        self.enter(GroupState::Stable, turn.now.wall_ms);
        turn.counts.rebalances = turn.counts.rebalances.saturating_add(1);
    }

    /// Nobody gets an assignment in this generation; those who wait for one are told why.
    pub(super) fn withdraw_assignment(&mut self, turn: &mut Turn<'_>, error: GroupError) {
        let group = self.id.clone();
        for id in self.member_ids() {
            let Some(member) = self.member_mut(&id) else { continue };
            member.assignment = Bytes::new();
            if let Some(call) = member.syncing.take() {
                turn.refuse_sync(call, error);
                turn.keep_alive(&group, member);
            }
        }
    }

    /// Members of the generation that never asked for their assignment are removed.
    pub(super) fn on_sync_timer(&mut self, turn: &mut Turn<'_>) {
        let waiting = matches!(self.state, GroupState::CompletingRebalance | GroupState::Stable);
        if !waiting || self.pending_syncs.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.pending_syncs) {
            self.drop_member(turn, &id);
        }
        self.prepare_rebalance(turn, "members did not ask for their assignment");
    }

    /// Removes a member with its session; calls of it that wait are told that it is unknown.
    pub(super) fn drop_member(&mut self, turn: &mut Turn<'_>, id: &ByteString) {
        turn.forget_session(&self.id, id);
        let Some(member) = self.remove(id) else { return };
        if let Some(call) = member.joining {
            turn.refuse_join(call, GroupError::UnknownMember, &ByteString::new());
        }
        if let Some(call) = member.syncing {
            turn.refuse_sync(call, GroupError::UnknownMember);
        }
    }
}
