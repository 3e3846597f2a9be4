//! InitProducerId (key 22, versions 0-5): ids for idempotent producers (KIP-98).
//!
//! A producer without transactional id gets a fresh id and epoch 0, whatever it had before. There is no transaction
//! coordinator: requests with a transactional id are answered COORDINATOR_NOT_AVAILABLE, as FindCoordinator answers them.

use goatq_protocol::ErrorCode;
use goatq_protocol::message::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::RequestContext;

pub(crate) async fn handle(cx: &RequestContext, request: InitProducerIdRequest) -> InitProducerIdResponse {
    match init(cx, &request).await {
        Ok(producer_id) => {
            InitProducerIdResponse { producer_id, producer_epoch: 0, ..InitProducerIdResponse::default() }
        }
        Err(error) => InitProducerIdResponse {
            error_code: error.code(),
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        },
    }
}

async fn init(cx: &RequestContext, request: &InitProducerIdRequest) -> Result<i64, ErrorCode> {
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return Err(ErrorCode::InvalidRequest);
    }
    if let Some(id) = &request.transactional_id {
        let max = cx.node.config.current().producers.transaction_max_timeout;
        return Err(match u128::try_from(request.transaction_timeout_ms) {
            _ if id.is_empty() => ErrorCode::InvalidRequest,
            Ok(timeout) if timeout > 0 && timeout <= max.as_millis() => ErrorCode::CoordinatorNotAvailable,
            _ => ErrorCode::InvalidTransactionTimeout,
        });
    }
    cx.node.producer_ids.next().await.map_err(|error| {
        tracing::warn!(%error, "no producer id to give out");
        ErrorCode::CoordinatorLoadInProgress
    })
}
