//! UnregisterBroker (key 64, version 0): a broker that will not come back is forgotten (KIP-631). Its replicas stay assigned to it until
//! they are reassigned; one that runs registers again. A node that has no vote and is silent gets no metadata any more either.

use goatq_controller::decide::brokers::UnregisterBroker;
use goatq_controller::service::voters::ForgetNode;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use super::RequestContext;
use super::submit::submit;

pub(crate) async fn handle(cx: &RequestContext, request: UnregisterBrokerRequest) -> UnregisterBrokerResponse {
    let id = request.broker_id;
    let (code, message) = match submit(cx, UnregisterBroker { id }, 0).await {
        Ok(Ok(())) => {
            // What becomes of the broker does not depend on it.
            if let Ok(Err(kept)) = submit(cx, ForgetNode { id }, 0).await {
                tracing::debug!(broker = id, %kept, "the node of a forgotten broker stays in the quorum");
            }
            (ErrorCode::None, None)
        }
        Ok(Err(unknown)) => (ErrorCode::BrokerIdNotRegistered, Some(unknown.to_string().into())),
        Err((code, message)) => (code, Some(message)),
    };
    UnregisterBrokerResponse { throttle_time_ms: 0, error_code: code.code(), error_message: message }
}
