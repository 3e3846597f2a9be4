//! LeaveGroup (13), versions 0-5: members leave a classic group, or are removed from it.
//!
//! From version 3 on several at once, static ones by their instance (KIP-345).

use goatq_protocol::message::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse};

use super::RequestContext;
use super::group_error::{code, error_code};
use crate::coordinator::group::request::LeavingMember;

pub(crate) async fn handle(cx: &RequestContext, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let one_only = cx.api_version < 3;
    let identities = if one_only {
        vec![MemberIdentity { member_id: request.member_id, ..MemberIdentity::default() }]
    } else {
        request.members
    };
    let leaving = identities.iter().map(|one| LeavingMember {
        member: one.member_id.clone(),
        instance: one.group_instance_id.clone(),
        reason: one.reason.clone(),
    });
    let outcomes = match cx.node.groups.leave(request.group_id, leaving.collect()).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            return LeaveGroupResponse { error_code: error_code(error).code(), ..LeaveGroupResponse::default() };
        }
    };
    if one_only {
        let error_code = code(outcomes.into_iter().next().flatten());
        return LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() };
    }
    let members = identities.into_iter().zip(outcomes).map(|(one, outcome)| MemberResponse {
        member_id: one.member_id,
        group_instance_id: one.group_instance_id,
        error_code: code(outcome),
    });
    LeaveGroupResponse { members: members.collect(), ..LeaveGroupResponse::default() }
}
