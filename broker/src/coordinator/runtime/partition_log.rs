//! The log of a coordinator over a partition of this node.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::log::{CoordinatorLog, LogReadError, WriteError};
use crate::partition::{CommitError, InternalAppendError, Partition};

/// Kafka's default of `max.message.bytes`, which internal topics keep.
const MAX_BATCH_BYTES: usize = 1_048_588;

/// A partition that this node leads in one epoch.
pub(crate) struct PartitionLog {
    partition: Arc<Partition>,
    epoch: i32,
}

impl PartitionLog {
    /// The partition as a coordinator's log, if this node leads it in `epoch`.
    pub(crate) fn new(partition: Arc<Partition>, epoch: i32) -> Option<Self> {
        let log = Self { partition, epoch };
        log.check_leader().is_ok().then_some(log)
    }

    fn check_leader(&self) -> Result<(), WriteError> {
        let leads = self.partition.is_leader() && self.partition.leader_epoch() == self.epoch;
        if leads { Ok(()) } else { Err(WriteError::NotLeader) }
    }
}

impl CoordinatorLog for PartitionLog {
    fn append(&self, batch: Bytes, now_ms: i64) -> Result<i64, WriteError> {
        self.check_leader()?;
        let appended = self.partition.append_internal(batch, now_ms).map_err(|error| match error {
            InternalAppendError::NotLeader => WriteError::NotLeader,
            InternalAppendError::Invalid(_) => WriteError::TooLarge,
            InternalAppendError::Storage(_) => WriteError::Storage,
        })?;
        Ok(appended.base_offset)
    }

    fn start_offset(&self) -> i64 {
        self.partition.log_start_offset()
    }

    fn end_offset(&self) -> i64 {
        self.partition.log_end_offset()
    }

    fn high_watermark(&self) -> i64 {
        self.partition.high_watermark()
    }

    fn committed(&self, end: i64) -> BoxFuture<'_, Result<(), WriteError>> {
        async move {
            self.check_leader()?;
            let Some(last) = end.checked_sub(1).filter(|last| *last >= 0) else { return Ok(()) };
            self.partition.wait_committed(last, self.epoch).await.map_err(|error| match error {
                CommitError::NotLeader => WriteError::NotLeader,
                CommitError::Storage => WriteError::Storage,
            })
        }
        .boxed()
    }

    fn read(&self, offset: i64, max_bytes: usize) -> BoxFuture<'_, Result<Vec<Bytes>, LogReadError>> {
        async move {
            let read = self.partition.read_committed_batches(offset, max_bytes).await;
            read.map_err(|error| LogReadError(error.to_string()))
        }
        .boxed()
    }

    fn max_batch_bytes(&self) -> usize {
        MAX_BATCH_BYTES
    }
}
