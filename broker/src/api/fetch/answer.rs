//! What was read, as the reply says it.

use bytestring::ByteString;
use goatq_protocol::message::fetch::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData,
};
use goatq_protocol::wire::Records;
use goatq_protocol::{ApiKey, ErrorCode, Uuid};
use goatq_storage::log::{AbortedTxn, FileRange};

use super::super::RequestContext;
use super::super::partition_error::leader_hint;
use super::load::Found;
use crate::config::topic::TopicCompression;
use crate::fetch::session::{Asked, Finished, PartitionKey, Told, TopicKey};

/// Version from which clients know zstd (KIP-110).
const ZSTD_VERSION: i16 = 10;
/// Codec id of zstd.
const ZSTD: i8 = 4;
/// Version from which clients know KAFKA_STORAGE_ERROR.
const STORAGE_ERROR_VERSION: i16 = 6;
/// Version from which replies say where the leader is.
const LEADER_HINTS: i16 = 16;

/// One partition's part of the answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) error: ErrorCode,
    pub(super) high_watermark: i64,
    pub(super) last_stable_offset: i64,
    pub(super) log_start_offset: i64,
    pub(super) diverging: Option<(i32, i64)>,
    /// The follower to read from.
    pub(super) nearer: Option<i32>,
    /// `Some` for readers with `read_committed`.
    pub(super) aborted: Option<Vec<AbortedTxn>>,
    pub(super) records: Found,
    /// There will be nothing more before the watch says so.
    pub(super) watched: bool,
}

impl Answer {
    pub(super) fn failed(error: ErrorCode) -> Self {
        Self {
            error,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging: None,
            nearer: None,
            aborted: None,
            records: Found::default(),
            watched: false,
        }
    }
}

/// What the session has to know of each answer.
pub(super) fn told(answers: &[(Asked, Answer)]) -> Vec<(&Asked, Told)> {
    let told = |answer: &Answer| Told {
        records: answer.records.len() > 0,
        high_watermark: answer.high_watermark,
        log_start_offset: answer.log_start_offset,
        error: answer.error != ErrorCode::None,
        notable: answer.diverging.is_some() || answer.nearer.is_some(),
        watched: answer.watched,
    };
    answers.iter().map(|(asked, answer)| (asked, told(answer))).collect()
}

/// The reply, with those answers that the session wants told, and the parts of files that belong into it.
pub(super) fn response(
    cx: &RequestContext,
    answers: Vec<(Asked, Answer)>,
    finished: &Finished,
) -> (FetchResponse, Vec<FileRange>) {
    let mut files = Vec::new();
    let mut response = FetchResponse { session_id: finished.session_id, ..FetchResponse::default() };
    let mut last: Option<TopicKey> = None;
    for ((asked, answer), include) in answers.into_iter().zip(&finished.include) {
        if !include {
            continue;
        }
        let key = asked.key;
        if last.as_ref() != Some(&key.topic) {
            response.responses.push(topic(&key.topic));
            last = Some(key.topic.clone());
        }
        let data = partition_data(cx, &key, answer, &mut response.node_endpoints, &mut files);
        if let Some(topic) = response.responses.last_mut() {
            topic.partitions.push(data);
        }
    }
    (response, files)
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
    files: &mut Vec<FileRange>,
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
    let records = match answer.records {
        Found::Memory(chunks) => Records::from_iter(chunks),
        Found::File(range) => {
            let len = usize::try_from(range.len()).unwrap_or(usize::MAX);
            files.push(range);
            Records::elsewhere(len)
        }
    };
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
        records: Some(records),
        diverging_epoch: diverging.unwrap_or_default(),
        preferred_read_replica: answer.nearer.unwrap_or(-1),
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
