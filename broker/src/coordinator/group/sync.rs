//! SyncGroup.

use bytestring::ByteString;

use super::error::GroupError;
use super::member::{own, own_bytes};
use super::records::GroupRecord;
use super::request::{GroupResponse, SyncRequest, Synced};
use super::state::{Group, GroupState};
use super::turn::{Assignments, GroupTimer, Turn, Written};
use crate::coordinator::runtime::log::WriteError;
use crate::coordinator::runtime::machine::CallId;

impl Group {
    /// A SyncGroup for this group.
    pub(super) fn sync(&mut self, turn: &mut Turn<'_>, call: CallId, request: &SyncRequest) {
        if let Err(error) = self.check_sync(request) {
            turn.refuse_sync(call, error);
            return;
        }
        match self.state {
            GroupState::Empty | GroupState::Dead => turn.refuse_sync(call, GroupError::UnknownMember),
            GroupState::PreparingRebalance => turn.refuse_sync(call, GroupError::RebalanceInProgress),
            GroupState::CompletingRebalance => {
                self.has_synced(turn, &request.member);
                let before = self.member_mut(&request.member).and_then(|member| member.syncing.replace(call));
                if let Some(before) = before {
                    turn.refuse_sync(before, GroupError::RebalanceInProgress);
                }
                if self.is_leader(&request.member) {
                    self.store_assignment(turn, request);
                }
            }
            GroupState::Stable => {
                self.has_synced(turn, &request.member);
                let assignment = self.member(&request.member).map(|member| member.assignment.clone());
                let synced = Synced {
                    protocol_type: self.protocol_type.clone(),
                    protocol: self.protocol.clone(),
                    assignment: assignment.unwrap_or_default(),
                };
                turn.reply(call, GroupResponse::Sync(Ok(synced)));
            }
        }
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), GroupError> {
        self.check_member(&request.member, request.instance.as_ref())?;
        if request.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let differ = |asked: &Option<ByteString>, ours: &Option<ByteString>| match (asked, ours) {
            (Some(asked), Some(ours)) => asked != ours,
            _ => false,
        };
        if differ(&request.protocol_type, &self.protocol_type) || differ(&request.protocol, &self.protocol) {
            return Err(GroupError::InconsistentProtocol);
        }
        Ok(())
    }

    fn has_synced(&mut self, turn: &mut Turn<'_>, member: &ByteString) {
        self.pending_syncs.remove(member);
        if self.pending_syncs.is_empty() {
            turn.cancel_timer(GroupTimer::Sync(self.id.clone()));
        }
    }

    /// Members get what the leader decided once it is in the log. Who was forgotten gets nothing.
    fn store_assignment(&mut self, turn: &mut Turn<'_>, request: &SyncRequest) {
        let mut assignments = Assignments::new();
        for (member, assignment) in &request.assignments {
            if self.member(member).is_some() {
                assignments.insert(own(member), own_bytes(assignment));
            }
        }
        turn.write(GroupRecord::group(self, |member| assignments.get(&member.id).cloned().unwrap_or_default()));
        turn.out.written = Some(Written::Assigned { group: self.id.clone(), generation: self.generation, assignments });
    }

    /// The record of an assignment is committed, or failed. Nothing to do when another rebalance began meanwhile.
    pub(super) fn on_assigned(
        &mut self,
        turn: &mut Turn<'_>,
        generation: i32,
        assignments: &Assignments,
        result: Result<(), WriteError>,
    ) {
        if self.state != GroupState::CompletingRebalance || self.generation != generation {
            return;
        }
        match result {
            Ok(()) => self.assign(turn, assignments),
            Err(error) => {
                self.withdraw_assignment(turn, error.into());
                self.prepare_rebalance(turn, "the assignment could not be stored");
            }
        }
    }
}
