//! RemoveRaftVoter (key 81, version 0): a controller loses its vote (KIP-853). If it runs, it goes on following the metadata.

use goatq_controller::service::voters::RemoveVoter;
use goatq_protocol::message::{RemoveRaftVoterRequest, RemoveRaftVoterResponse};

use super::RequestContext;
use super::voter_error::change_members;

pub(crate) async fn handle(cx: &RequestContext, request: RemoveRaftVoterRequest) -> RemoveRaftVoterResponse {
    let remove =
        RemoveVoter { cluster_id: request.cluster_id, id: request.voter_id, directory_id: request.voter_directory_id };
    let (error_code, error_message) = change_members(cx, remove, 0).await;
    RemoveRaftVoterResponse { throttle_time_ms: 0, error_code, error_message }
}
