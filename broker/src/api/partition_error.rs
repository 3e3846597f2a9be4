//! Finding partitions, and what they object to, as error codes.

use std::sync::Arc;

use bytestring::ByteString;
use goatq_controller::image::MetadataImage;
use goatq_protocol::ErrorCode;
use goatq_storage::error::AppendError as LogAppendError;

use super::RequestContext;
use crate::partition::validate::RefusalKind;
use crate::partition::{AppendError, CommitError, LeaderError, Partition, PartitionReadError};

/// Names of topics that brokers keep their own records in.
const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// Whether clients may neither write to the topic nor delete from it.
pub(super) fn is_internal(topic: &str) -> bool {
    INTERNAL_TOPICS.contains(&topic)
}

/// The code of a partition that metadata knows or not, when this node does not hold it.
pub(super) fn missing(image: &MetadataImage, topic: &str, index: i32) -> ErrorCode {
    match image.topics.by_name(topic).and_then(|topic| topic.partition(index)) {
        Some(_) => ErrorCode::NotLeaderOrFollower,
        None => ErrorCode::UnknownTopicOrPartition,
    }
}

/// The partition of this name and index, if this node leads it and the client's idea of the epoch (-1 for none) is right.
pub(super) fn find_led(
    cx: &RequestContext,
    topic: &str,
    index: i32,
    epoch_of_client: i32,
) -> Result<Arc<Partition>, ErrorCode> {
    let partition = find_replica(cx, topic, index, epoch_of_client)?;
    partition.check_leader(epoch_of_client).map_err(leader_code)?;
    Ok(partition)
}

/// The partition of this name and index, if this node has a replica of it and the client's idea of the epoch (-1 for none) is right.
pub(super) fn find_replica(
    cx: &RequestContext,
    topic: &str,
    index: i32,
    epoch_of_client: i32,
) -> Result<Arc<Partition>, ErrorCode> {
    let Some(partition) = cx.node.partitions.get(topic, index) else {
        return Err(missing(&cx.node.image(), topic, index));
    };
    partition.check_replica(epoch_of_client).map_err(leader_code)?;
    Ok(partition)
}

/// The code of [`LeaderError`].
pub(super) fn leader_code(error: LeaderError) -> ErrorCode {
    match error {
        LeaderError::NotLeader => ErrorCode::NotLeaderOrFollower,
        LeaderError::Fenced => ErrorCode::FencedLeaderEpoch,
        LeaderError::UnknownEpoch => ErrorCode::UnknownLeaderEpoch,
        LeaderError::Storage => ErrorCode::KafkaStorageError,
    }
}

/// The code of [`PartitionReadError`].
pub(super) fn read_code(error: &PartitionReadError) -> ErrorCode {
    match error {
        PartitionReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        PartitionReadError::Corrupt { .. } => ErrorCode::CorruptMessage,
        PartitionReadError::Storage(_) => ErrorCode::KafkaStorageError,
    }
}

/// The code of an error of reading records. What is damaged here and can be had from another replica is only away for a while.
pub(super) fn damage_code(partition: &Partition, error: &PartitionReadError) -> ErrorCode {
    match error {
        PartitionReadError::Corrupt { segment, .. } if partition.report_damage(*segment) => {
            ErrorCode::KafkaStorageError
        }
        error => read_code(error),
    }
}

/// The code of [`CommitError`].
pub(super) fn commit_code(error: CommitError) -> ErrorCode {
    match error {
        CommitError::NotLeader => ErrorCode::NotLeaderOrFollower,
        CommitError::Storage => ErrorCode::KafkaStorageError,
    }
}

/// The code of [`AppendError`].
pub(super) fn append_code(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::NotLeader | AppendError::HandsOver { .. } => ErrorCode::NotLeaderOrFollower,
        AppendError::NotEnoughReplicas { .. } => ErrorCode::NotEnoughReplicas,
        AppendError::NotInTransaction => ErrorCode::InvalidTxnState,
        AppendError::Refused(refusal) => match refusal.kind {
            RefusalKind::Corrupt => ErrorCode::CorruptMessage,
            RefusalKind::Invalid | RefusalKind::Magic => ErrorCode::InvalidRecord,
            RefusalKind::Compression => ErrorCode::UnsupportedCompressionType,
            RefusalKind::TooLarge => ErrorCode::MessageTooLarge,
            RefusalKind::Timestamp => ErrorCode::InvalidTimestamp,
        },
        AppendError::Log(error) => match error {
            LogAppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            LogAppendError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            LogAppendError::InvalidTxnState { .. } => ErrorCode::InvalidTxnState,
            LogAppendError::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
            LogAppendError::TooLarge { .. } => ErrorCode::RecordListTooLarge,
            LogAppendError::Malformed(_) => ErrorCode::InvalidRecord,
            LogAppendError::Closed => ErrorCode::NotLeaderOrFollower,
            // Retriable, in Java too: the disk may have room again, or another replica may lead.
            LogAppendError::OutOfSpace | LogAppendError::Poisoned | LogAppendError::Io(_) => {
                ErrorCode::KafkaStorageError
            }
            LogAppendError::UnexpectedOffset { .. } => ErrorCode::UnknownServerError,
        },
    }
}

/// Where a client finds the leader of a partition by the listener it came in on: id, epoch and address (KIP-951).
pub(super) fn leader_hint(cx: &RequestContext, topic: &str, index: i32) -> Option<LeaderHint> {
    let image = cx.node.image();
    let partition = image.topics.by_name(topic)?.partition(index)?;
    let broker = image.brokers.get(partition.leader).filter(|broker| !broker.fenced)?;
    let endpoint = broker.endpoint(&cx.connection.listener)?;
    Some(LeaderHint {
        leader_id: partition.leader,
        leader_epoch: partition.leader_epoch,
        host: endpoint.host.clone(),
        port: i32::from(endpoint.port),
        rack: broker.rack.clone(),
    })
}

/// See [`leader_hint`].
pub(super) struct LeaderHint {
    pub(super) leader_id: i32,
    pub(super) leader_epoch: i32,
    pub(super) host: ByteString,
    pub(super) port: i32,
    pub(super) rack: Option<ByteString>,
}
