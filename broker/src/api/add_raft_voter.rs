//! AddRaftVoter (key 80, versions 0-1): a controller that follows the metadata gets a vote (KIP-853).
//!
//! Always answered when the change is committed, also where version 1 would be content with less (KIP-1186): controllers of this
//! program that join by themselves do not ask by this API. Where the controller is reached it has said itself.

use goatq_controller::service::voters::AddVoter;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::{AddRaftVoterRequest, AddRaftVoterResponse};

use super::RequestContext;
use super::voter_error::change_members;

pub(crate) async fn handle(cx: &RequestContext, request: AddRaftVoterRequest) -> AddRaftVoterResponse {
    let answer = |(error_code, error_message)| AddRaftVoterResponse { throttle_time_ms: 0, error_code, error_message };
    let config = cx.node.config.current();
    let names = config.quorum.listener_names.first();
    if let Some(name) = names.filter(|name| !request.listeners.iter().any(|listener| *listener.name == ***name)) {
        let message = format!("The request does not say where the voter is reached by listener {name}.");
        return answer((ErrorCode::InvalidRequest.code(), Some(message.into())));
    }
    let add =
        AddVoter { cluster_id: request.cluster_id, id: request.voter_id, directory_id: request.voter_directory_id };
    answer(change_members(cx, add, request.timeout_ms).await)
}
