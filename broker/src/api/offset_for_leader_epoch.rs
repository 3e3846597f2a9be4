//! OffsetForLeaderEpoch (key 23, versions 2-4): where an epoch ends, so that a client notices a truncated log (KIP-101,
//! KIP-320).

use goatq_protocol::ErrorCode;
use goatq_protocol::message::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};

use super::RequestContext;
use super::partition_error::find_led;

pub(crate) async fn handle(cx: &RequestContext, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let partition = wanted.partition;
            match end_of_epoch(cx, &topic.topic, wanted) {
                Ok(Some((leader_epoch, end_offset))) => {
                    EpochEndOffset { error_code: ErrorCode::None.code(), partition, leader_epoch, end_offset }
                }
                Ok(None) => EpochEndOffset { partition, ..EpochEndOffset::default() },
                Err(error) => EpochEndOffset { partition, error_code: error.code(), ..EpochEndOffset::default() },
            }
        });
        let partitions = partitions.collect();
        OffsetForLeaderTopicResult { topic: topic.topic, partitions }
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..OffsetForLeaderEpochResponse::default() }
}

fn end_of_epoch(
    cx: &RequestContext,
    topic: &str,
    wanted: &OffsetForLeaderPartition,
) -> Result<Option<(i32, i64)>, ErrorCode> {
    let partition = find_led(cx, topic, wanted.partition, wanted.current_leader_epoch)?;
    Ok(partition.end_of_epoch(wanted.leader_epoch))
}
