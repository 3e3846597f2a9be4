//! ListOffsets (key 2, versions 1-11): offsets by time and the ends of partitions.
//!
//! Version 2 isolation levels, 4 leader epochs (KIP-320), 5 OFFSET_NOT_AVAILABLE (KIP-207), 7 the largest time stamp (KIP-734), 8
//! and 9 local and tiered ends (KIP-405, KIP-1005), 10 a time-out, 11 records that wait to be tiered (KIP-1023). Without tiered
//! storage the local log is all there is: it starts where the log starts, and nothing is tiered.

use std::collections::BTreeSet;

use goatq_protocol::ErrorCode;
use goatq_protocol::message::list_offsets::{
    EARLIEST_LOCAL_TIMESTAMP, EARLIEST_PENDING_UPLOAD_TIMESTAMP, EARLIEST_TIMESTAMP, LATEST_TIERED_TIMESTAMP,
    LATEST_TIMESTAMP, ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse, MAX_TIMESTAMP,
};
use goatq_storage::log::TimestampOffset;

use super::RequestContext;
use super::partition_error::{find_led, find_replica, read_code};
use crate::fetch::planner::Isolation;
use crate::partition::{Partition, PartitionReadError};

/// Replica id of consumers.
const CONSUMER: i32 = -1;
/// Replica id of tools that ask a replica for what it has, whether it leads or not.
const DEBUGGING: i32 = -2;
/// No time stamp, offset or epoch.
const UNKNOWN: i64 = -1;

/// Version from which clients know OFFSET_NOT_AVAILABLE.
const OFFSET_NOT_AVAILABLE: i16 = 5;

pub(crate) async fn handle(cx: &RequestContext, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = match (request.replica_id, request.isolation_level) {
        (CONSUMER, 1) => Isolation::LastStableOffset,
        (CONSUMER, _) => Isolation::HighWatermark,
        _ => Isolation::LogEnd,
    };
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = (&topic.name, partition.partition_index);
            if !seen.insert(key) {
                twice.insert(key);
            }
        }
    }
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let found = if twice.contains(&(&topic.name, wanted.partition_index)) {
                Err(ErrorCode::InvalidRequest)
            } else {
                find(cx, &topic.name, wanted, (isolation, request.replica_id == DEBUGGING)).await
            };
            partitions.push(response(wanted.partition_index, found));
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name.clone(), partitions });
    }
    ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }
}

fn response(partition_index: i32, found: Result<Option<TimestampOffset>, ErrorCode>) -> ListOffsetsPartitionResponse {
    let unknown = ListOffsetsPartitionResponse { partition_index, ..ListOffsetsPartitionResponse::default() };
    match found {
        Ok(Some(TimestampOffset { timestamp, offset, leader_epoch })) => {
            ListOffsetsPartitionResponse { timestamp, offset, leader_epoch, ..unknown }
        }
        Ok(None) => unknown,
        Err(error) => ListOffsetsPartitionResponse { error_code: error.code(), ..unknown },
    }
}

/// The version of the request that brought a special time stamp; `None` when there is no such one.
fn known_since(timestamp: i64) -> Option<i16> {
    match timestamp {
        LATEST_TIMESTAMP | EARLIEST_TIMESTAMP => Some(1),
        MAX_TIMESTAMP => Some(7),
        EARLIEST_LOCAL_TIMESTAMP => Some(8),
        LATEST_TIERED_TIMESTAMP => Some(9),
        EARLIEST_PENDING_UPLOAD_TIMESTAMP => Some(11),
        timestamp => (timestamp >= 0).then_some(1),
    }
}

async fn find(
    cx: &RequestContext,
    topic: &str,
    wanted: &ListOffsetsPartition,
    (isolation, any_replica): (Isolation, bool),
) -> Result<Option<TimestampOffset>, ErrorCode> {
    if known_since(wanted.timestamp).is_none_or(|since| cx.api_version < since) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let partition = match any_replica {
        true => find_replica(cx, topic, wanted.partition_index, wanted.current_leader_epoch)?,
        false => find_led(cx, topic, wanted.partition_index, wanted.current_leader_epoch)?,
    };
    let asks_for_the_begin = matches!(wanted.timestamp, EARLIEST_TIMESTAMP | EARLIEST_LOCAL_TIMESTAMP);
    if isolation != Isolation::LogEnd && !asks_for_the_begin && !partition.knows_what_is_committed() {
        // Where the end was before, the client might not find it again (KIP-207).
        return Err(match cx.api_version {
            OFFSET_NOT_AVAILABLE.. => ErrorCode::OffsetNotAvailable,
            _ => ErrorCode::LeaderNotAvailable,
        });
    }
    look_up(&partition, wanted.timestamp, isolation).await.map_err(|error| {
        tracing::warn!(?partition, %error, "looking up an offset failed");
        read_code(&error)
    })
}

async fn look_up(
    partition: &Partition,
    timestamp: i64,
    isolation: Isolation,
) -> Result<Option<TimestampOffset>, PartitionReadError> {
    let at = |offset, leader_epoch| Ok(Some(TimestampOffset { timestamp: UNKNOWN, offset, leader_epoch }));
    let end = partition.end_for(isolation);
    let found = match timestamp {
        LATEST_TIMESTAMP => return at(end, partition.leader_epoch()),
        EARLIEST_TIMESTAMP | EARLIEST_LOCAL_TIMESTAMP => {
            let start = partition.log_start_offset();
            let first = partition.log().epochs().first().copied();
            return at(start, first.filter(|(_, offset)| *offset <= start).map_or(-1, |(epoch, _)| epoch));
        }
        LATEST_TIERED_TIMESTAMP | EARLIEST_PENDING_UPLOAD_TIMESTAMP => return at(UNKNOWN, -1),
        MAX_TIMESTAMP => partition.log().max_timestamp_offset().await?,
        timestamp => partition.log().offset_for_timestamp(timestamp).await?,
    };
    // What is not committed (or not decided) does not exist for this reader.
    Ok(found.filter(|found| found.offset < end))
}
