//! What a leader answered for one partition, as an event of its follower.

use std::sync::Arc;
use std::time::Duration;

use goatq_protocol::ErrorCode;
use goatq_protocol::message::fetch::PartitionData;

use crate::partition::{LeaderRecords, Partition};
use crate::replication::follower::{FetchPosition, Objection};
use crate::threads::offload::Offload;

/// Hands the answer to the follower. Whether records may have been appended that have to become durable.
pub(super) async fn take(
    partition: &Arc<Partition>,
    asked: FetchPosition,
    data: PartitionData,
    clocks: (Duration, i64),
    offload: Offload,
) -> bool {
    let (now, now_ms) = clocks;
    let Some(objection) = objection(partition, &data) else {
        let answer = LeaderRecords {
            records: data.records.unwrap_or_default(),
            high_watermark: data.high_watermark,
            log_start: data.log_start_offset,
        };
        if let Err(error) = partition.on_leader_records(&asked, answer, now, now_ms) {
            tracing::error!(?partition, offset = asked.offset, %error, "what the leader sent could not be appended");
        }
        return true;
    };
    let work = partition.clone();
    let done = offload.run(move || work.on_leader_objection(&asked, objection, now)).await;
    if let Err(error) = done {
        tracing::error!(?partition, offset = asked.offset, %error, "cutting the log failed");
    }
    false
}

fn objection(partition: &Partition, data: &PartitionData) -> Option<Objection> {
    match ErrorCode::from_code(data.error_code) {
        Some(ErrorCode::None) if data.diverging_epoch.epoch < 0 => None,
        Some(ErrorCode::None) => {
            let (epoch, end_offset) = (data.diverging_epoch.epoch, data.diverging_epoch.end_offset);
            Some(Objection::Diverging { epoch, end_offset })
        }
        Some(ErrorCode::OffsetOutOfRange) => Some(Objection::OutOfRange { log_start: data.log_start_offset }),
        Some(ErrorCode::FencedLeaderEpoch) => Some(Objection::Fenced),
        code => {
            // Leaders change, and metadata takes its time: most of these are over at the next attempt.
            tracing::debug!(?partition, ?code, "the leader does not serve this follower");
            Some(Objection::Failed)
        }
    }
}
