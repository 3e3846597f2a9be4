//! AlterReplicaLogDirs (key 34, versions 1-2): replicas of this broker move to other log directories (KIP-113).
//!
//! The answer says that a move has begun; DescribeLogDirs shows how far it is. For a replica that is not here the directory is remembered, for
//! when it comes, and the answer is REPLICA_NOT_AVAILABLE, as Kafka's: that is how its tool places replicas that are being reassigned.

use goatq_protocol::ErrorCode;
use goatq_protocol::message::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};

use super::RequestContext;
use crate::directories::{MoveRefusal, ReplicaName};

fn ask(cx: &RequestContext, name: ReplicaName, path: &str) -> ErrorCode {
    let (directories, partitions) = (&cx.node.directories, &cx.node.partitions);
    let is_here = partitions.get(&name.0, name.1).is_some_and(|partition| !partition.is_failed());
    match directories.ask_move(name, path, is_here) {
        Ok(()) if is_here => ErrorCode::None,
        Ok(()) => ErrorCode::ReplicaNotAvailable,
        Err(MoveRefusal::Name) => ErrorCode::InvalidTopicException,
        Err(MoveRefusal::Unknown) => ErrorCode::LogDirNotFound,
        Err(MoveRefusal::Failed) => ErrorCode::KafkaStorageError,
        Err(MoveRefusal::Cordoned) => ErrorCode::InvalidReplicaAssignment,
        Err(MoveRefusal::TooMany) => ErrorCode::PolicyViolation,
    }
}

pub(crate) async fn handle(cx: &RequestContext, request: AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    let mut results = Vec::new();
    for AlterReplicaLogDir { path, topics } in request.dirs {
        for topic in topics {
            let one = |index: i32| AlterReplicaLogDirPartitionResult {
                partition_index: index,
                error_code: ask(cx, (topic.name.clone(), index), &path).code(),
            };
            let partitions = topic.partitions.iter().map(|index| one(*index)).collect();
            results.push(AlterReplicaLogDirTopicResult { topic_name: topic.name.clone(), partitions });
        }
    }
    AlterReplicaLogDirsResponse { throttle_time_ms: 0, results }
}
