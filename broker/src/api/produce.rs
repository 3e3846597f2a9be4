//! Produce (key 0, versions 3-13): appends record batches.
//!
//! KIP-98 (batches v2), KIP-467 (which records were at fault, version 8), KIP-951 (leader hints, 10), KIP-516 (topic ids, 13).
//! Versions 0 to 2 are advertised and refused, as Kafka does (KAFKA-18659). Internal topics are closed to every client; Kafka
//! lets those through that call themselves `__admin_client`.
//!
//! Two stages: everything is appended before this first waits, in the order in which the requests of a connection were
//! read; then it waits until the records are durable here (`acks=1`) or on all replicas in sync (`acks=all`). With `acks=1`
//! Kafka answers without any disk; here the one replica that acknowledges has them on its disk.

use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use goatq_protocol::message::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceData, PartitionProduceResponse,
    ProduceRequest, ProduceResponse, TopicProduceData, TopicProduceResponse,
};
use goatq_protocol::{ApiKey, ErrorCode};
use tokio::time::Instant;

use super::partition_error::{append_code, commit_code, is_internal, leader_hint, missing};
use super::{RequestContext, Stage};
use crate::metrics::topics::TopicCounts;
use crate::net::{CloseReason, Outcome};
use crate::partition::validate::RefusalKind;
use crate::partition::{AppendError, Appended, Partition, TopicPartitions};

/// How long a request waits at most for the next leader of what this node is about to leave.
const LEAVING: Duration = Duration::from_millis(200);
/// Version from which replies say where the leader is.
const LEADER_HINTS: i16 = 10;
/// Version from which topics are named by id.
const TOPIC_IDS: i16 = 13;

/// How many replicas have to have the records before the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acks {
    None,
    Leader,
    AllInSync,
}

impl Acks {
    fn from_wire(acks: i16) -> Option<Self> {
        match acks {
            0 => Some(Self::None),
            1 => Some(Self::Leader),
            -1 => Some(Self::AllInSync),
            _ => None,
        }
    }
}

/// Records that were appended and not acknowledged yet: where their answer is, and up to which offset.
struct Pending {
    topic: usize,
    partition: usize,
    log: Arc<Partition>,
    last_offset: i64,
    leader_epoch: i32,
}

impl Pending {
    /// Whether there is nothing to wait for.
    fn is_over(&self, acks: Acks) -> bool {
        match acks {
            Acks::AllInSync => self.log.is_committed(self.last_offset, self.leader_epoch),
            Acks::Leader | Acks::None => self.log.is_durable(self.last_offset, self.leader_epoch),
        }
    }
}

/// A leader that takes no more and is about to be followed by another one: clients are told when they can find that.
struct Leaving {
    log: Arc<Partition>,
    leader_epoch: i32,
}

/// Why a partition's records were not appended.
struct Failure {
    error: ErrorCode,
    message: Option<ByteString>,
    records: Vec<(i32, String)>,
}

impl From<ErrorCode> for Failure {
    fn from(error: ErrorCode) -> Self {
        Self { error, message: None, records: Vec::new() }
    }
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        let (code, message) = (append_code(&error), error.to_string());
        let records = match error {
            AppendError::Refused(refusal) => refusal.records,
            _ => Vec::new(),
        };
        Self { error: code, message: Some(shorten(message).into()), records }
    }
}

pub(crate) fn start(cx: RequestContext, request: ProduceRequest) -> Stage<impl Future<Output = Outcome>> {
    let Some(acks) = Acks::from_wire(request.acks) else {
        let topics = request.topic_data.into_iter();
        return Stage::Answered(cx.reply(&ProduceResponse {
            responses: topics.map(|topic| refuse(topic, ErrorCode::InvalidRequiredAcks)).collect(),
            ..ProduceResponse::default()
        }));
    };
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let transactional = request.transactional_id.is_some();
    let now_ms = cx.node.clock.wall_ms();
    let mut append = Append { cx: &cx, acks, transactional, now_ms, pending: Vec::new(), leaving: Vec::new() };
    let topics = request.topic_data.into_iter().enumerate();
    let mut responses: Vec<_> = topics.map(|(at, topic)| append.topic(at, topic)).collect();
    let Append { mut pending, leaving, .. } = append;
    if acks == Acks::None {
        return Stage::Answered(unacknowledged(&cx, &responses));
    }
    // What need not be synced counts by now.
    pending.retain(|pending| !pending.is_over(acks));
    if pending.is_empty() && leaving.is_empty() {
        return Stage::Answered(answer(&cx, responses));
    }
    let deadline = Instant::now() + timeout;
    Stage::Waiting(async move {
        wait(&cx, acks, pending, deadline, &mut responses).await;
        let soon = deadline.min(Instant::now() + LEAVING);
        for Leaving { log, leader_epoch } in leaving {
            let _ = cx.connection.timer.limit(soon, log.until_handed_over(leader_epoch)).await;
        }
        answer(&cx, responses)
    })
}

fn answer(cx: &RequestContext, mut responses: Vec<TopicProduceResponse>) -> Outcome {
    let errors = responses.iter().flat_map(|topic| &topic.partition_responses);
    for error in errors.filter(|partition| partition.error_code != 0) {
        let error = ErrorCode::from_code(error.error_code).unwrap_or(ErrorCode::UnknownServerError);
        cx.node.metrics.requests.errors(ApiKey::Produce, error, 1);
    }
    let node_endpoints = if cx.api_version >= LEADER_HINTS { add_leaders(cx, &mut responses) } else { Vec::new() };
    cx.reply(&ProduceResponse { responses, node_endpoints, ..ProduceResponse::default() })
}

/// The first stage.
struct Append<'a> {
    cx: &'a RequestContext,
    acks: Acks,
    /// The request names a transactional id.
    transactional: bool,
    now_ms: i64,
    pending: Vec<Pending>,
    leaving: Vec<Leaving>,
}

impl Append<'_> {
    fn topic(&mut self, at: usize, topic: TopicProduceData) -> TopicProduceResponse {
        let found = self.find(&topic);
        let name: &str = found.as_ref().map_or(&topic.name, |found| found.name());
        let mut answers = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            let index = data.index;
            let answer = match self.partition(name, found.as_deref(), topic.topic_id.is_zero(), data) {
                Ok((log, appended)) => {
                    let answer = success(index, &appended);
                    let place = (at, answers.len());
                    let Appended { last_offset, leader_epoch, .. } = appended;
                    self.pending.push(Pending { topic: place.0, partition: place.1, log, last_offset, leader_epoch });
                    answer
                }
                Err(failure) => failed(index, failure),
            };
            answers.push(answer);
        }
        TopicProduceResponse { topic_id: topic.topic_id, name: topic.name, partition_responses: answers }
    }

    fn find(&self, topic: &TopicProduceData) -> Option<Arc<TopicPartitions>> {
        match self.cx.api_version {
            TOPIC_IDS.. => self.cx.node.partitions.topic_by_id(topic.topic_id),
            _ => self.cx.node.partitions.topic(&topic.name),
        }
    }

    fn partition(
        &mut self,
        name: &str,
        found: Option<&TopicPartitions>,
        by_name: bool,
        data: PartitionProduceData,
    ) -> Result<(Arc<Partition>, Appended), Failure> {
        let Some(partition) = found.and_then(|found| found.get(data.index)) else {
            let image = self.cx.node.image();
            let unknown_id = found.is_none() && self.cx.api_version >= TOPIC_IDS && !by_name;
            let error = if unknown_id { ErrorCode::UnknownTopicId } else { missing(&image, name, data.index) };
            return Err(error.into());
        };
        if is_internal(name) {
            return Err(ErrorCode::InvalidTopicException.into());
        }
        let counts = partition.counts();
        counts.produce_requests.add(1);
        let size = data.records.as_ref().map_or(0, |records| records.len());
        let all = self.acks == Acks::AllInSync;
        let appended = partition.append_client(data.records, self.cx.api_version, all, self.now_ms);
        match appended.inspect_err(|error| count_failure(counts, error, size)) {
            Ok(appended) => Ok((Arc::clone(partition), appended)),
            Err(error @ AppendError::HandsOver { leader_epoch }) => {
                self.leaving.push(Leaving { log: Arc::clone(partition), leader_epoch });
                Err(error.into())
            }
            // A transaction of nobody's is nobody's to write to.
            Err(AppendError::NotInTransaction) if !self.transactional => {
                Err(ErrorCode::TransactionalIdAuthorizationFailed.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn count_failure(counts: &TopicCounts, error: &AppendError, size: usize) {
    match error {
        AppendError::Refused(refusal) => {
            counts.bytes_rejected.add(size as u64);
            match refusal.kind {
                RefusalKind::Corrupt => counts.invalid_crc.add(1),
                RefusalKind::Magic => counts.invalid_magic.add(1),
                RefusalKind::Invalid => counts.invalid_offset_or_sequence.add(1),
                RefusalKind::Compression | RefusalKind::TooLarge | RefusalKind::Timestamp => {}
            }
        }
        _ => counts.failed_produce_requests.add(1),
    }
}

/// The second stage: waits for every partition, at most until the request's time is over.
async fn wait(
    cx: &RequestContext,
    acks: Acks,
    pending: Vec<Pending>,
    deadline: Instant,
    responses: &mut [TopicProduceResponse],
) {
    for Pending { topic, partition, log, last_offset, leader_epoch } in pending {
        let committed = async {
            match acks {
                Acks::AllInSync => log.wait_committed(last_offset, leader_epoch).await,
                Acks::Leader | Acks::None => log.wait_durable(last_offset, leader_epoch).await,
            }
        };
        let error = match cx.connection.timer.limit(deadline, committed).await {
            Some(Ok(())) if acks == Acks::AllInSync && log.has_too_few_in_sync() => {
                ErrorCode::NotEnoughReplicasAfterAppend
            }
            Some(Ok(())) => continue,
            Some(Err(error)) => commit_code(error),
            None => ErrorCode::RequestTimedOut,
        };
        let answer = responses.get_mut(topic).and_then(|topic| topic.partition_responses.get_mut(partition));
        if let Some(answer) = answer {
            *answer = failed(answer.index, error.into());
        }
    }
}

/// Without acknowledgement there is no reply; the only way to tell of an error is to close the connection.
fn unacknowledged(cx: &RequestContext, responses: &[TopicProduceResponse]) -> Outcome {
    let mut partitions =
        responses.iter().flat_map(|topic| topic.partition_responses.iter().map(move |partition| (topic, partition)));
    let Some((topic, failed)) = partitions.find(|(_, partition)| partition.error_code != 0) else {
        return Outcome::NoReply;
    };
    let error = ErrorCode::from_code(failed.error_code).unwrap_or(ErrorCode::UnknownServerError);
    cx.node.metrics.requests.errors(ApiKey::Produce, error, 1);
    let reason = format!("{}-{}: {}", topic.name, failed.index, error.name());
    Outcome::Close(CloseReason::UnacknowledgedProduceFailed(reason))
}

fn add_leaders(cx: &RequestContext, responses: &mut [TopicProduceResponse]) -> Vec<NodeEndpoint> {
    let mut endpoints: Vec<NodeEndpoint> = Vec::new();
    for topic in responses {
        for partition in &mut topic.partition_responses {
            if partition.error_code != ErrorCode::NotLeaderOrFollower.code() {
                continue;
            }
            let image = cx.node.image();
            let name = image.topics.by_id(&topic.topic_id).map_or(&topic.name, |topic| &topic.name);
            let Some(hint) = leader_hint(cx, name, partition.index) else { continue };
            partition.current_leader = LeaderIdAndEpoch { leader_id: hint.leader_id, leader_epoch: hint.leader_epoch };
            if endpoints.iter().all(|endpoint| endpoint.node_id != hint.leader_id) {
                let node_id = hint.leader_id;
                endpoints.push(NodeEndpoint { node_id, host: hint.host, port: hint.port, rack: hint.rack });
            }
        }
    }
    endpoints
}

fn refuse(topic: TopicProduceData, error: ErrorCode) -> TopicProduceResponse {
    let partitions = topic.partition_data.iter().map(|data| failed(data.index, error.into()));
    TopicProduceResponse { topic_id: topic.topic_id, partition_responses: partitions.collect(), name: topic.name }
}

fn success(index: i32, appended: &Appended) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        base_offset: appended.base_offset,
        log_append_time_ms: appended.log_append_time_ms,
        log_start_offset: appended.log_start_offset,
        ..PartitionProduceResponse::default()
    }
}

fn failed(index: i32, failure: Failure) -> PartitionProduceResponse {
    let records = failure.records.into_iter().map(|(batch_index, message)| BatchIndexAndErrorMessage {
        batch_index,
        batch_index_error_message: Some(message.into()),
    });
    PartitionProduceResponse {
        index,
        error_code: failure.error.code(),
        base_offset: -1,
        record_errors: records.collect(),
        error_message: failure.message,
        ..PartitionProduceResponse::default()
    }
}

/// Messages are for people; some quote what the client sent.
fn shorten(mut message: String) -> String {
    const LIMIT: usize = 1000;
    if message.len() > LIMIT {
        let end = (0..=LIMIT).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
        message.truncate(end);
    }
    message
}
