//! What is answered when the voters of the quorum stay as they are.

use bytestring::ByteString;
use goatq_controller::raft::voters::VoterError;
use goatq_controller::service::calls::LeaderRequest;
use goatq_protocol::ErrorCode;

use super::RequestContext;
use super::submit::submit;

/// The code of an error about voters.
fn error_code(error: &VoterError) -> ErrorCode {
    match error {
        VoterError::Cluster { .. } => ErrorCode::InconsistentClusterId,
        VoterError::Unsupported => ErrorCode::UnsupportedVersion,
        VoterError::Invalid | VoterError::Last(_) | VoterError::InUse(_) => ErrorCode::InvalidRequest,
        VoterError::Duplicate(_) => ErrorCode::DuplicateVoter,
        VoterError::NotFound { .. } => ErrorCode::VoterNotFound,
        VoterError::Lagging { .. } | VoterError::Busy => ErrorCode::RequestTimedOut,
        VoterError::Unknown(_) => ErrorCode::ControllerIdNotRegistered,
    }
}

/// Has the leader change the membership of the quorum: code and text for the client.
pub(super) async fn change_members<C>(cx: &RequestContext, change: C, timeout_ms: i32) -> (i16, Option<ByteString>)
where
    C: LeaderRequest<Answer = Result<(), VoterError>>,
{
    match submit(cx, change, timeout_ms).await {
        Ok(Ok(())) => (ErrorCode::None.code(), None),
        Ok(Err(error)) => (error_code(&error).code(), Some(error.to_string().into())),
        Err((code, message)) => (code.code(), Some(message)),
    }
}
