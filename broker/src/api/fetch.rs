//! Fetch (key 1, versions 4-18): reads record batches.
//!
//! KIP-74 (limits), KIP-98 (isolation), KIP-227 (sessions, version 7), KIP-320 (epochs, 9), KIP-595 (divergence, 12), KIP-516
//! (topic ids, 13), KIP-903 (broker epochs of followers, 15), KIP-951 (leader hints, 16). Partitions are read here; waiting is
//! capped at [`MAX_WAIT`].
//!
//! Brokers fetch as followers: they read to the end of the log, and with the offset they ask for they vouch for everything below
//! it. Whoever claims to be one and is no replica is told so. Consumers may read from followers, up to what these know to be committed;
//! with `replica.selector.class` leaders send them to one in their rack (KIP-392).

mod answer;
mod batches;
mod load;
mod rack;
mod read;

use std::time::Duration;

use bytestring::ByteString;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::fetch::{FetchRequest, FetchResponse};

use super::RequestContext;
use crate::fetch::planner::Isolation;
use crate::fetch::session::{FINAL_EPOCH, NO_SESSION, PartitionKey, Position, SessionError, SessionRequest, TopicKey};
use crate::net::Outcome;
use read::{Follower, Reading, Wanted};

/// Version from which sessions exist.
const SESSIONS: i16 = 7;
/// Version from which consumers say where they are, and may read from followers (KIP-392).
const RACKS: i16 = 11;
/// Version from which topics are named by id.
const TOPIC_IDS: i16 = 13;
/// Version from which the replica is told in `replica_state`.
const REPLICA_STATE: i16 = 15;
/// Longest wait for data; a client that wants to wait longer asks again.
const MAX_WAIT: Duration = Duration::from_secs(300);

pub(crate) async fn handle(cx: &RequestContext, request: FetchRequest) -> Outcome {
    let (replica_id, replica_epoch) = match cx.api_version {
        REPLICA_STATE.. => (request.replica_state.replica_id, request.replica_state.replica_epoch),
        _ => (request.replica_id, -1),
    };
    let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0).min(cx.node.fetch.max_bytes);
    let wanted = Wanted {
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0).min(max_bytes),
        max_bytes: request.max_bytes,
        max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(MAX_WAIT),
        isolation: isolation(replica_id, request.isolation_level),
        follower: (replica_id >= 0).then_some(Follower { node: replica_id, broker_epoch: replica_epoch }),
        any_replica: replica_id < 0 && cx.api_version >= RACKS,
    };
    let now = cx.node.clock.monotonic();
    let rack = near(cx, wanted, &request);
    let begun = match cx.node.fetch.begin(session_request(cx.api_version, replica_id, wanted.isolation, request), now) {
        Ok(begun) => begun,
        Err(error) => return refuse(cx, error),
    };
    let kind = begun.kind;
    let mut reading = Reading::new(cx, wanted, rack, begun);
    reading.until_enough().await;
    let (answers, watch, charge) = reading.load().await;
    let finished = cx.node.fetch.finish(kind, &answer::told(&answers), watch, cx.node.clock.monotonic());
    match finished {
        Ok(finished) => {
            let (response, files) = answer::response(cx, answers, &finished);
            cx.reply_with_files(&response, files, charge)
        }
        Err(error) => refuse(cx, error),
    }
}

/// The rack that a consumer is to be served in, if leaders look at that.
fn near(cx: &RequestContext, wanted: Wanted, request: &FetchRequest) -> Option<ByteString> {
    let looks = wanted.any_replica && !request.rack_id.is_empty() && cx.node.config.current().replication.rack_aware;
    looks.then(|| request.rack_id.clone())
}

fn isolation(replica_id: i32, level: i8) -> Isolation {
    match level {
        _ if replica_id >= 0 => Isolation::LogEnd,
        1 => Isolation::LastStableOffset,
        _ => Isolation::HighWatermark,
    }
}

fn refuse(cx: &RequestContext, error: SessionError) -> Outcome {
    let code = match error {
        SessionError::NotFound => ErrorCode::FetchSessionIdNotFound,
        SessionError::InvalidEpoch => ErrorCode::InvalidFetchSessionEpoch,
        SessionError::TopicIdMismatch => ErrorCode::FetchSessionTopicIdError,
    };
    cx.reply(&FetchResponse { error_code: code.code(), session_id: NO_SESSION, ..FetchResponse::default() })
}

fn session_request(version: i16, replica_id: i32, isolation: Isolation, request: FetchRequest) -> SessionRequest {
    let uses_ids = version >= TOPIC_IDS;
    let key = |id, name: &str| if uses_ids { TopicKey::Id(id) } else { TopicKey::Name(name.into()) };
    let mut partitions = Vec::new();
    for topic in request.topics {
        let topic_key = key(topic.topic_id, &topic.topic);
        partitions.extend(topic.partitions.iter().map(|partition| {
            let position = Position {
                fetch_offset: partition.fetch_offset,
                max_bytes: partition.partition_max_bytes,
                current_leader_epoch: partition.current_leader_epoch,
                last_fetched_epoch: partition.last_fetched_epoch,
                log_start_offset: partition.log_start_offset,
            };
            (PartitionKey { topic: topic_key.clone(), partition: partition.partition }, position)
        }));
    }
    let mut forgotten = Vec::new();
    for topic in request.forgotten_topics_data {
        let topic_key = key(topic.topic_id, &topic.topic);
        let keys = topic.partitions.iter();
        forgotten.extend(keys.map(|partition| PartitionKey { topic: topic_key.clone(), partition: *partition }));
    }
    let has_session = version >= SESSIONS;
    SessionRequest {
        id: if has_session { request.session_id } else { NO_SESSION },
        epoch: if has_session { request.session_epoch } else { FINAL_EPOCH },
        uses_ids,
        privileged: replica_id >= 0,
        isolation,
        partitions,
        forgotten,
    }
}
