//! CreatePartitions (key 37, versions 0-3).
//!
//! KIP-195. Partitions are only ever added: keys of old records stay where they are.

use bytestring::ByteString;
use goatq_controller::decide::partitions::{CreatePartitions, CreatePartitionsError, MorePartitions};
use goatq_protocol::ErrorCode;
use goatq_protocol::message::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};

use super::RequestContext;
use super::submit::submit;

fn error_code(error: &CreatePartitionsError) -> ErrorCode {
    match error {
        CreatePartitionsError::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
        CreatePartitionsError::SameCount(_) | CreatePartitionsError::NoIncrease { .. } => ErrorCode::InvalidPartitions,
        CreatePartitionsError::Duplicate => ErrorCode::InvalidRequest,
        CreatePartitionsError::Assignment(_) => ErrorCode::InvalidReplicaAssignment,
        CreatePartitionsError::ReplicationFactor(_) => ErrorCode::InvalidReplicationFactor,
        CreatePartitionsError::TooManyPartitions => ErrorCode::PolicyViolation,
    }
}

fn result(name: ByteString, error: Option<(ErrorCode, ByteString)>) -> CreatePartitionsTopicResult {
    let (code, message) = error.map_or((ErrorCode::None, None), |(code, message)| (code, Some(message)));
    CreatePartitionsTopicResult { name, error_code: code.code(), error_message: message }
}

pub(crate) async fn handle(cx: &RequestContext, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let topics = request.topics.into_iter().map(|topic| MorePartitions {
        name: topic.name,
        count: topic.count,
        assignments: topic
            .assignments
            .map(|assignments| assignments.into_iter().map(|assignment| assignment.broker_ids).collect()),
    });
    let command = CreatePartitions { topics: topics.collect(), validate_only: request.validate_only };
    let results = match submit(cx, command, request.timeout_ms).await {
        Ok(response) => {
            let code = |error: CreatePartitionsError| (error_code(&error), error.to_string().into());
            response.topics.into_iter().map(|(name, outcome)| result(name, outcome.err().map(code))).collect()
        }
        Err(error) => names.into_iter().map(|name| result(name, Some(error.clone()))).collect(),
    };
    CreatePartitionsResponse { throttle_time_ms: 0, results }
}
