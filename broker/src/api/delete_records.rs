//! DeleteRecords (key 21, versions 0-2): moves the start of partitions (KIP-107).

use goatq_protocol::ErrorCode;
use goatq_protocol::message::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use goatq_storage::error::LogError;

use super::RequestContext;
use super::partition_error::{find_led, is_internal};

/// Offset that stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;

pub(crate) async fn handle(cx: &RequestContext, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let (low_watermark, error) = match delete(cx, &topic.name, partition) {
                Ok(low_watermark) => (low_watermark, ErrorCode::None),
                Err(error) => (-1, error),
            };
            let partition_index = partition.partition_index;
            DeleteRecordsPartitionResult { partition_index, low_watermark, error_code: error.code() }
        });
        let partitions = partitions.collect();
        DeleteRecordsTopicResult { name: topic.name, partitions }
    });
    DeleteRecordsResponse { topics: topics.collect(), ..DeleteRecordsResponse::default() }
}

fn delete(cx: &RequestContext, topic: &str, wanted: &DeleteRecordsPartition) -> Result<i64, ErrorCode> {
    if is_internal(topic) && cx.node.image().topics.by_name(topic).is_some() {
        return Err(ErrorCode::InvalidTopicException);
    }
    let partition = find_led(cx, topic, wanted.partition_index, -1)?;
    if !partition.config().delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let high_watermark = partition.high_watermark();
    let offset = if wanted.offset == HIGH_WATERMARK { high_watermark } else { wanted.offset };
    if offset < 0 || offset > high_watermark {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let start = partition.log().advance_start_offset(offset, high_watermark).map_err(|error| match error {
        LogError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        error => {
            tracing::error!(?partition, %error, "moving the start of the log failed");
            ErrorCode::KafkaStorageError
        }
    })?;
    partition.nudge_readers();
    Ok(start)
}
