//! DeleteTopics (key 20, versions 1-6).
//!
//! KIP-516: from version 6 on by name or by id. With `delete.topic.enable=false` nothing is deleted (KIP-322).

use bytestring::ByteString;
use goatq_controller::decide::topics::{DeleteTopicError, DeleteTopics, TopicReference};
use goatq_protocol::ErrorCode;
use goatq_protocol::message::delete_topics::{DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse};

use super::RequestContext;
use super::submit::submit;

fn error_code(error: &DeleteTopicError) -> ErrorCode {
    match error {
        DeleteTopicError::UnknownName => ErrorCode::UnknownTopicOrPartition,
        DeleteTopicError::UnknownId => ErrorCode::UnknownTopicId,
        DeleteTopicError::Duplicate(_) | DeleteTopicError::Neither | DeleteTopicError::Both => {
            ErrorCode::InvalidRequest
        }
    }
}

fn result(topic: TopicReference, error: Option<(ErrorCode, ByteString)>) -> DeletableTopicResult {
    let (code, message) = error.map_or((ErrorCode::None, None), |(code, message)| (code, Some(message)));
    DeletableTopicResult { name: topic.name, topic_id: topic.id, error_code: code.code(), error_message: message }
}

pub(crate) async fn handle(cx: &RequestContext, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name = request.topic_names.into_iter().map(TopicReference::name);
    let by_either = request.topics.into_iter().map(|topic| TopicReference { name: topic.name, id: topic.topic_id });
    let topics: Vec<_> = by_name.chain(by_either).collect();
    let asked = topics.clone();
    let decided = if cx.node.config.current().topics.delete_enable {
        submit(cx, DeleteTopics { topics }, request.timeout_ms).await
    } else {
        let code = if cx.api_version < 3 { ErrorCode::InvalidRequest } else { ErrorCode::TopicDeletionDisabled };
        Err((code, "Topic deletion is disabled.".into()))
    };
    let responses = match decided {
        Ok(response) => {
            let code = |error: DeleteTopicError| (error_code(&error), error.to_string().into());
            response.topics.into_iter().map(|(topic, outcome)| result(topic, outcome.err().map(code))).collect()
        }
        Err(error) => asked.into_iter().map(|topic| result(topic, Some(error.clone()))).collect(),
    };
    DeleteTopicsResponse { throttle_time_ms: 0, responses }
}
