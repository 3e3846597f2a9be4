//! AlterPartitionReassignments (key 45, versions 0-1): other replicas for partitions (KIP-455), or what is under way taken back.

use goatq_controller::decide::reassign::{AlterPartitionReassignments, ReassignError};
use goatq_protocol::ErrorCode;
use goatq_protocol::message::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartitionResponse,
    ReassignableTopicResponse,
};

use super::RequestContext;
use super::submit::submit;

fn error_code(error: &ReassignError) -> ErrorCode {
    match error {
        ReassignError::Unknown => ErrorCode::UnknownTopicOrPartition,
        ReassignError::NotInProgress => ErrorCode::NoReassignmentInProgress,
        ReassignError::Assignment(_) | ReassignError::NobodyInSync => ErrorCode::InvalidReplicaAssignment,
        ReassignError::FactorChanges { .. } => ErrorCode::InvalidReplicationFactor,
        ReassignError::Duplicate => ErrorCode::InvalidRequest,
        ReassignError::TooMany => ErrorCode::PolicyViolation,
    }
}

fn result((partition_index, outcome): (i32, Result<(), ReassignError>)) -> ReassignablePartitionResponse {
    let error = outcome.err();
    ReassignablePartitionResponse {
        partition_index,
        error_code: error.as_ref().map_or(ErrorCode::None, error_code).code(),
        error_message: error.map(|error| error.to_string().into()),
    }
}

pub(crate) async fn handle(
    cx: &RequestContext,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let allow_factor_change = request.allow_replication_factor_change;
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| (partition.partition_index, partition.replicas));
        (topic.name, partitions.collect())
    });
    let command = AlterPartitionReassignments { topics: topics.collect(), allow_factor_change };
    let response = AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: allow_factor_change,
        ..AlterPartitionReassignmentsResponse::default()
    };
    match submit(cx, command, request.timeout_ms).await {
        Ok(topics) => {
            let responses = topics.into_iter().map(|(name, partitions)| ReassignableTopicResponse {
                name,
                partitions: partitions.into_iter().map(result).collect(),
            });
            AlterPartitionReassignmentsResponse { responses: responses.collect(), ..response }
        }
        Err((code, message)) => {
            AlterPartitionReassignmentsResponse { error_code: code.code(), error_message: Some(message), ..response }
        }
    }
}
