//! SyncGroup (14), versions 0-5: handing out and getting assignments in a classic group.
//!
//! From version 5 on the member has to say which protocol it believes the group to use (KIP-559).

use goatq_protocol::message::sync_group::{SyncGroupRequest, SyncGroupResponse};

use super::RequestContext;
use super::group_error::error_code;
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::request::SyncRequest;

pub(crate) async fn handle(cx: &RequestContext, request: SyncGroupRequest) -> SyncGroupResponse {
    let refuse = |error| SyncGroupResponse { error_code: error_code(error).code(), ..SyncGroupResponse::default() };
    if cx.api_version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        return refuse(GroupError::InconsistentProtocol);
    }
    let synced = cx.node.groups.sync(SyncRequest {
        group: request.group_id,
        member: request.member_id,
        instance: request.group_instance_id,
        generation: request.generation_id,
        protocol_type: request.protocol_type,
        protocol: request.protocol_name,
        assignments: request.assignments.into_iter().map(|one| (one.member_id, one.assignment)).collect(),
    });
    match synced.await {
        Ok(synced) => SyncGroupResponse {
            protocol_type: synced.protocol_type,
            protocol_name: synced.protocol,
            assignment: synced.assignment,
            ..SyncGroupResponse::default()
        },
        Err(error) => refuse(error),
    }
}
