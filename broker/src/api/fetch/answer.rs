//! What was read, as the reply says it.

use bytestring::ByteString;
use goatq_protocol::message::fetch::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData,
};
use goatq_protocol::wire::Records;
use goatq_protocol::{ApiKey, ErrorCode, Uuid};

use super::super::RequestContext;
use super::super::partition_error::leader_hint;
use super::read::Answer;
use crate::config::topic::TopicCompression;
use crate::fetch::session::{Begun, Finished, PartitionKey, Told, TopicKey};

/// Version from which clients know zstd (KIP-110).
const ZSTD_VERSION: i16 = 10;
/// Codec id of zstd.
const ZSTD: i8 = 4;
/// Version from which clients know KAFKA_STORAGE_ERROR.
const STORAGE_ERROR_VERSION: i16 = 6;
/// Version from which replies say where the leader is.
const LEADER_HINTS: i16 = 16;

/// What the session has to know of each answer.
pub(super) fn told(answers: &[Answer]) -> Vec<Told> {
    let told = answers.iter().map(|answer| Told {
        records: !answer.records.is_empty(),
        high_watermark: answer.high_watermark,
        log_start_offset: answer.log_start_offset,
        error: answer.error != ErrorCode::None,
        notable: answer.diverging.is_some(),
    });
    told.collect()
}

/// The reply, with those answers that the session wants told.
pub(super) fn response(cx: &RequestContext, begun: &Begun, answers: Vec<Answer>, finished: &Finished) -> FetchResponse {
    let mut response = FetchResponse { session_id: finished.session_id, ..FetchResponse::default() };
    let parts = begun.partitions.iter().zip(answers).zip(&finished.include);
    let mut last: Option<&TopicKey> = None;
    for (((key, _), answer), include) in parts {
        if !include {
            continue;
        }
        if last != Some(&key.topic) {
            response.responses.push(topic(&key.topic));
            last = Some(&key.topic);
        }
        let data = partition_data(cx, key, answer, &mut response.node_endpoints);
        if let Some(topic) = response.responses.last_mut() {
            topic.partitions.push(data);
        }
    }
    response
}

fn topic(key: &TopicKey) -> FetchableTopicResponse {
    let (topic_id, topic) = match key {
        TopicKey::Name(name) => (Uuid::ZERO, ByteString::from(&**name)),
        TopicKey::Id(id) => (*id, ByteString::new()),
    };
    FetchableTopicResponse { topic_id, topic, partitions: Vec::new() }
}

fn partition_data(
    cx: &RequestContext,
    key: &PartitionKey,
    mut answer: Answer,
    endpoints: &mut Vec<NodeEndpoint>,
) -> PartitionData {
    if cx.api_version < ZSTD_VERSION && demands_zstd(cx, key) {
        answer = Answer::failed(ErrorCode::UnsupportedCompressionType);
    }
    if answer.error == ErrorCode::KafkaStorageError && cx.api_version < STORAGE_ERROR_VERSION {
        answer.error = ErrorCode::NotLeaderOrFollower;
    }
    if answer.error != ErrorCode::None {
        cx.node.metrics.requests.errors(ApiKey::Fetch, answer.error, 1);
    }
    let diverging = answer.diverging.map(|(epoch, end_offset)| EpochEndOffset { epoch, end_offset });
    PartitionData {
        partition_index: key.partition,
        error_code: answer.error.code(),
        high_watermark: answer.high_watermark,
        last_stable_offset: answer.last_stable_offset,
        log_start_offset: answer.log_start_offset,
        aborted_transactions: answer.aborted.map(|aborted| {
            let aborted = aborted.into_iter();
            aborted
                .map(|txn| AbortedTransaction { producer_id: txn.producer_id, first_offset: txn.first_offset })
                .collect()
        }),
        records: Some(Records::from_iter(answer.records)),
        diverging_epoch: diverging.unwrap_or_default(),
        current_leader: hint(cx, key, answer.error, endpoints),
        ..PartitionData::default()
    }
}

fn demands_zstd(cx: &RequestContext, key: &PartitionKey) -> bool {
    let partition = match &key.topic {
        TopicKey::Name(name) => cx.node.partitions.get(name, key.partition),
        TopicKey::Id(id) => cx.node.partitions.get_by_id(*id, key.partition),
    };
    let compression = partition.map(|partition| partition.config().compression);
    matches!(compression, Some(TopicCompression::Fixed { codec: ZSTD, .. }))
}

/// Who leads, for a client that asked the wrong node or has an old epoch.
fn hint(
    cx: &RequestContext,
    key: &PartitionKey,
    error: ErrorCode,
    endpoints: &mut Vec<NodeEndpoint>,
) -> LeaderIdAndEpoch {
    let wrong_leader = matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch);
    if cx.api_version < LEADER_HINTS || !wrong_leader {
        return LeaderIdAndEpoch::default();
    }
    let image = cx.node.image();
    let topic = match &key.topic {
        TopicKey::Name(name) => image.topics.by_name(name),
        TopicKey::Id(id) => image.topics.by_id(id),
    };
    let Some(hint) = topic.and_then(|topic| leader_hint(cx, &topic.name, key.partition)) else {
        return LeaderIdAndEpoch::default();
    };
    if endpoints.iter().all(|endpoint| endpoint.node_id != hint.leader_id) {
        endpoints.push(NodeEndpoint { node_id: hint.leader_id, host: hint.host, port: hint.port, rack: hint.rack });
    }
    LeaderIdAndEpoch { leader_id: hint.leader_id, leader_epoch: hint.leader_epoch }
}
