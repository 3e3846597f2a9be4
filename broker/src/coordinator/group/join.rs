//! JoinGroup.

use bytestring::ByteString;

use super::error::GroupError;
use super::member::{Member, own};
use super::records::GroupRecord;
use super::request::{GroupResponse, JoinRefused, JoinRequest};
use super::state::{Group, GroupState, JoinPhase, adopt, millis};
use super::turn::{GroupTimer, Replaced, Turn, Written};
use crate::coordinator::runtime::log::WriteError;
use crate::coordinator::runtime::machine::CallId;

impl Group {
    /// A JoinGroup for this group.
    pub(super) fn join(&mut self, turn: &mut Turn<'_>, call: CallId, request: &JoinRequest) {
        if !self.has_room(turn, &request.member) {
            self.drop_member(turn, &request.member);
            turn.refuse_join(call, GroupError::GroupFull, &ByteString::new());
            self.go_on(turn);
        } else if !self.supports(&request.protocol_type, &request.protocols) {
            turn.refuse_join(call, GroupError::InconsistentProtocol, &request.member);
        } else if request.member.is_empty() {
            self.join_new(turn, call, request);
        } else if self.pending_joins.contains(&request.member) {
            // An id that was handed out belongs to a dynamic member.
            if request.instance.is_some() {
                turn.refuse_join(call, GroupError::UnknownMember, &request.member);
            } else {
                self.add(turn, call, &request.member, request);
            }
        } else if let Err(error) = self.check_member(&request.member, request.instance.as_ref()) {
            turn.refuse_join(call, error, &request.member);
        } else {
            self.rejoin(turn, call, request);
        }
    }

    /// Whether `group.max.size` admits the member. While members join again, those who come first stay.
    fn has_room(&self, turn: &Turn<'_>, member: &ByteString) -> bool {
        let max = turn.rules.max_members;
        let known = self.member(member);
        match self.state {
            GroupState::Empty | GroupState::Dead => true,
            GroupState::PreparingRebalance => {
                known.is_some_and(|member| member.joining.is_some()) || self.joining_count() < max
            }
            GroupState::CompletingRebalance | GroupState::Stable => known.is_some() || self.member_count() < max,
        }
    }

    fn join_new(&mut self, turn: &mut Turn<'_>, call: CallId, request: &JoinRequest) {
        let id = own(&request.new_member);
        if let Some(instance) = &request.instance {
            match self.static_member(instance).cloned() {
                Some(old) => self.replace(turn, call, request, &old, &id),
                None => self.add(turn, call, &id, request),
            }
        } else if !request.two_steps {
            self.add(turn, call, &id, request);
        } else if self.pending_joins.len() >= turn.rules.max_pending_members {
            turn.refuse_join(call, GroupError::GroupFull, &ByteString::new());
        } else {
            // Who does not come back with the id it is given is a client that gave up, not a member to wait for.
            self.pending_joins.insert(id.clone());
            let session = GroupTimer::Session(self.id.clone(), id.clone());
            turn.set_timer(session, millis(request.session_timeout_ms));
            // Told once the group, if it is a new one, is in the log.
            let refused = JoinRefused { error: GroupError::MemberIdRequired, member: id };
            turn.reply_committed(call, GroupResponse::Join(Err(refused)));
        }
    }

    fn add(&mut self, turn: &mut Turn<'_>, call: CallId, id: &ByteString, request: &JoinRequest) {
        if self.member_count() == 0 {
            self.protocol_type = Some(own(&request.protocol_type));
        }
        let initial = matches!(self.join_phase, JoinPhase::Initial { .. });
        if self.state == GroupState::PreparingRebalance && initial {
            self.prolong = true;
        }
        let mut member = Member::joining(id, request);
        member.joining = Some(call);
        let session = GroupTimer::Session(self.id.clone(), member.id.clone());
        self.insert(member);
        turn.set_timer(session, turn.rules.new_member_timeout);
        self.rebalance_or_go_on(turn, "a member joins");
    }

    fn rejoin(&mut self, turn: &mut Turn<'_>, call: CallId, request: &JoinRequest) {
        let id = &request.member;
        let same = self.member(id).is_some_and(|member| member.offers(&request.protocols));
        let leads = self.is_leader(id);
        match self.state {
            // It did not get the answer to its join.
            GroupState::CompletingRebalance if same => {
                let joined = self.joined(id, leads);
                turn.reply_joined(call, joined);
            }
            // A follower that changes nothing gets its assignment from the next SyncGroup. A leader has something
            // new to assign, such as partitions that were added.
            GroupState::Stable if same && !leads => {
                let joined = self.joined(id, false);
                turn.reply_joined(call, joined);
            }
            GroupState::PreparingRebalance | GroupState::CompletingRebalance | GroupState::Stable => {
                self.wait_again(turn, call, id, request);
                self.rebalance_or_go_on(turn, "a member joins again");
            }
            GroupState::Empty | GroupState::Dead => turn.refuse_join(call, GroupError::UnknownMember, id),
        }
    }

    /// Lets a member's join wait, in place of one that may wait already: its client has given that up.
    fn wait_again(&mut self, turn: &mut Turn<'_>, call: CallId, id: &ByteString, request: &JoinRequest) {
        let before = self.member(id).and_then(|member| member.joining);
        self.update(id, |member| {
            adopt(member, &request.protocols, request.rebalance_timeout_ms, request.session_timeout_ms);
            member.joining = Some(call);
        });
        if let Some(before) = before {
            turn.refuse_join(before, GroupError::RebalanceInProgress, id);
        }
    }

    /// A static member came back without its id: the new id takes the place of the old one, which is fenced. In a
    /// stable group that changes nothing for the others, unless it changes the protocol (KIP-345).
    fn replace(
        &mut self,
        turn: &mut Turn<'_>,
        call: CallId,
        request: &JoinRequest,
        old: &ByteString,
        new: &ByteString,
    ) {
        let Some(mut member) = self.member(old).cloned() else { return };
        self.fence(turn, old);
        member.joining = None;
        member.syncing = None;
        let before = Box::new(Replaced { member, leader: self.leader.clone() });
        self.rename(old, new);
        self.wait_again(turn, call, new, request);
        if let Some(member) = self.member(new) {
            turn.keep_alive(&self.id, member);
        }
        match self.state {
            GroupState::Stable if self.elect_protocol() == self.protocol => {
                turn.write(GroupRecord::group(self, |member| member.assignment.clone()));
                let (group, member) = (self.id.clone(), new.clone());
                let skips_assignment = request.skips_assignment;
                turn.out.written = Some(Written::Replaced { group, member, before, call, skips_assignment });
            }
            // The leader may be assigning to the old id already.
            GroupState::Stable | GroupState::CompletingRebalance => {
                self.prepare_rebalance(turn, "a static member joins");
            }
            GroupState::PreparingRebalance | GroupState::Empty | GroupState::Dead => self.go_on(turn),
        }
    }

    /// Ends what a static member's former self waits for.
    fn fence(&mut self, turn: &mut Turn<'_>, old: &ByteString) {
        turn.forget_session(&self.id, old);
        let joining = self.member(old).and_then(|member| member.joining);
        if let Some(call) = joining {
            turn.refuse_join(call, GroupError::FencedInstance, old);
        }
        self.update(old, |member| member.joining = None);
        if let Some(call) = self.member_mut(old).and_then(|member| member.syncing.take()) {
            turn.refuse_sync(call, GroupError::FencedInstance);
        }
    }

    /// The record of a replacement is committed, or failed.
    pub(super) fn on_replaced(
        &mut self,
        turn: &mut Turn<'_>,
        new: &ByteString,
        before: &Replaced,
        (call, skips_assignment): (CallId, bool),
        result: Result<(), WriteError>,
    ) {
        let waits = self.member(new).is_some_and(|member| member.joining == Some(call));
        if !waits || self.state != GroupState::Stable {
            // A rebalance that began meanwhile answers the call, or has done so.
            return;
        }
        self.update(new, |member| member.joining = None);
        if let Err(error) = result {
            if error != WriteError::TimedOut {
                self.restore(turn, new, before);
            }
            turn.refuse_join(call, error.into(), &ByteString::new());
            return;
        }
        let leads = self.is_leader(new);
        let mut joined = self.joined(new, leads && skips_assignment);
        if skips_assignment {
            joined.skip_assignment = leads;
        } else if leads {
            // An old client that is told to lead would assign; as a follower it just asks for what it had.
            joined.leader = before.leader.clone().unwrap_or_default();
        }
        turn.reply_joined(call, joined);
    }

    /// Takes a replacement back that the log did not take.
    fn restore(&mut self, turn: &mut Turn<'_>, new: &ByteString, before: &Replaced) {
        turn.forget_session(&self.id, new);
        self.remove(new);
        self.insert(before.member.clone());
        self.leader = before.leader.clone();
        turn.keep_alive(&self.id, &before.member);
    }
}
