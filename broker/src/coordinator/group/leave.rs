//! LeaveGroup: by the members themselves, or by an administrator who names static ones by their instance.

use super::error::GroupError;
use super::request::LeavingMember;
use super::state::Group;
use super::turn::Turn;

impl Group {
    /// A LeaveGroup for this group: one outcome per member.
    pub(super) fn leave(&mut self, turn: &mut Turn<'_>, members: &[LeavingMember]) -> Vec<Option<GroupError>> {
        let outcomes: Vec<_> = members.iter().map(|leaving| self.leave_one(turn, leaving).err()).collect();
        if outcomes.iter().any(Option::is_none) {
            self.after_removal(turn, "members left");
        }
        outcomes
    }

    fn leave_one(&mut self, turn: &mut Turn<'_>, leaving: &LeavingMember) -> Result<(), GroupError> {
        let id = if leaving.member.is_empty() {
            let instance = leaving.instance.as_ref().ok_or(GroupError::UnknownMember)?;
            self.static_member(instance).ok_or(GroupError::UnknownMember)?.clone()
        } else if self.pending_joins.contains(&leaving.member) {
            leaving.member.clone()
        } else {
            self.check_member(&leaving.member, leaving.instance.as_ref())?;
            leaving.member.clone()
        };
        let reason = leaving.reason.as_deref().unwrap_or("not given");
        tracing::info!(group = %self.id, member = %id, reason, "a member leaves");
        self.drop_member(turn, &id);
        Ok(())
    }
}
