//! UnregisterController (key 94, version 0): a controller that is gone for good is forgotten. One that votes or runs is not.

use goatq_controller::service::voters::ForgetNode;
use goatq_protocol::message::{UnregisterControllerRequest, UnregisterControllerResponse};

use super::RequestContext;
use super::voter_error::change_members;

pub(crate) async fn handle(cx: &RequestContext, request: UnregisterControllerRequest) -> UnregisterControllerResponse {
    let (error_code, error_message) = change_members(cx, ForgetNode { id: request.controller_id }, 0).await;
    UnregisterControllerResponse { throttle_time_ms: 0, error_code, error_message }
}
