//! Heartbeat, and what happens without.

use bytestring::ByteString;

use super::error::GroupError;
use super::request::HeartbeatRequest;
use super::state::{Group, GroupState};
use super::turn::Turn;

impl Group {
    /// A Heartbeat for this group. One that comes while members join says so to the member, and counts.
    pub(super) fn heartbeat(&self, turn: &mut Turn<'_>, request: &HeartbeatRequest) -> Result<(), GroupError> {
        self.check_member(&request.member, request.instance.as_ref())?;
        if request.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let member = self.member(&request.member).ok_or(GroupError::UnknownMember)?;
        match self.state {
            GroupState::Empty | GroupState::Dead => Err(GroupError::UnknownMember),
            GroupState::PreparingRebalance => {
                turn.keep_alive(&self.id, member);
                Err(GroupError::RebalanceInProgress)
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                turn.keep_alive(&self.id, member);
                Ok(())
            }
        }
    }

    /// The session of a member, or of an id that never joined, has run out.
    pub(super) fn on_session_timer(&mut self, turn: &mut Turn<'_>, id: &ByteString) {
        if self.pending_joins.remove(id) {
            self.go_on(turn);
            return;
        }
        let Some(member) = self.member(id) else { return };
        if member.is_kept_alive() {
            return;
        }
        tracing::info!(group = %self.id, member = %id, "the session of a member has run out");
        self.drop_member(turn, id);
        self.after_removal(turn, "the session of a member has run out");
    }

    /// Members were removed: the others share what those had.
    pub(super) fn after_removal(&mut self, turn: &mut Turn<'_>, reason: &str) {
        match self.state {
            GroupState::CompletingRebalance | GroupState::Stable => self.prepare_rebalance(turn, reason),
            GroupState::PreparingRebalance => self.go_on(turn),
            GroupState::Empty | GroupState::Dead => {}
        }
    }
}
