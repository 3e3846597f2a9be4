//! Heartbeat (12), versions 0-4: a member of a classic group is alive, and hears of rebalances.

use goatq_protocol::message::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use super::RequestContext;
use super::group_error::code;
use crate::coordinator::group::request;

pub(crate) async fn handle(cx: &RequestContext, request: HeartbeatRequest) -> HeartbeatResponse {
    let result = cx.node.groups.heartbeat(request::HeartbeatRequest {
        group: request.group_id,
        member: request.member_id,
        instance: request.group_instance_id,
        generation: request.generation_id,
    });
    HeartbeatResponse { error_code: code(result.await.err()), ..HeartbeatResponse::default() }
}
