//! Handing a request to the controller, for the APIs that change metadata.

use std::time::Duration;

use bytestring::ByteString;
use goatq_controller::service::SubmitError;
use goatq_controller::service::calls::LeaderRequest;
use goatq_protocol::ErrorCode;

use super::RequestContext;

/// An error as it goes on the wire: code and text.
pub(super) type WireError = (ErrorCode, ByteString);

/// The code of an error that is not about what was asked for, but about who was asked.
pub(super) fn submit_code(error: &SubmitError) -> ErrorCode {
    match error {
        SubmitError::NotLeader { .. } | SubmitError::Stopped => ErrorCode::NotController,
        SubmitError::Unknown => ErrorCode::RequestTimedOut,
        SubmitError::TooLarge(_) => ErrorCode::PolicyViolation,
        SubmitError::Defect(_) => ErrorCode::UnknownServerError,
    }
}

/// Submits a command and waits until it is in the image and in effect on this node, so that the client's next request finds
/// it done. `timeout_ms` comes from the client; 0 and less leave it to the broker.
///
/// # Errors
/// The command was not carried out, or not in time: then it may still be.
pub(super) async fn submit<C: LeaderRequest>(
    cx: &RequestContext,
    command: C,
    timeout_ms: i32,
) -> Result<C::Answer, WireError> {
    let patience = match u64::try_from(timeout_ms) {
        Ok(ms) if ms > 0 => Duration::from_millis(ms),
        _ => cx.node.config.current().network.controller_timeout,
    };
    let done = async {
        let response = cx.node.controller.submit(command).await?;
        cx.node.applied.until(cx.node.controller.image().applied_index).await;
        Ok(response)
    };
    match tokio::time::timeout(patience, done).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => {
            let error: SubmitError = error;
            Err((submit_code(&error), error.to_string().into()))
        }
        Err(_) => Err((ErrorCode::RequestTimedOut, "The request timed out.".into())),
    }
}
