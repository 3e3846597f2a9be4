//! Appending, and waiting until what was appended counts.

use std::sync::Arc;

use bytes::Bytes;
use goatq_protocol::record::{Batch, split};
use goatq_protocol::wire::Records;
use goatq_storage::error::AppendError as LogAppendError;
use goatq_storage::log::{AppendOptions, Origin};

use super::validate::{single_batch, validate};
use super::{AppendError, CommitError, InternalAppendError, Partition};
use crate::purgatory::{OffsetGate, Signal};
use crate::replication::leader::Leader;

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record of the batch.
    pub base_offset: i64,
    /// Offset of the last record of the batch.
    pub last_offset: i64,
    /// The broker's time in milliseconds when the topic stamps records itself, else -1.
    pub log_append_time_ms: i64,
    /// First offset of the log at the time of the append.
    pub log_start_offset: i64,
    /// The leader epoch that it was appended in: to wait for it.
    pub leader_epoch: i32,
}

impl Partition {
    /// Appends what a client sent in a Produce request of `version`: the first of produce's two stages. Synchronous; what it
    /// appended counts once [`Self::wait_durable`] (`acks=1`) or [`Self::wait_committed`] (`all_in_sync`) says so.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing was appended then.
    pub fn append_client(
        &self,
        records: Option<Records>,
        version: i16,
        all_in_sync: bool,
        now_ms: i64,
    ) -> Result<Appended, AppendError> {
        let config = self.config();
        let batch = single_batch(records, version)?;
        if batch.header().is_transactional() {
            return Err(AppendError::NotInTransaction);
        }
        if all_in_sync {
            self.check_in_sync()?;
        }
        let accepted = validate(batch, &config, now_ms)?;
        let header = *accepted.batch.header();
        let bytes = accepted.batch.size() as u64;
        let appended = self.append(accepted.batch, Origin::Client, now_ms)?;
        self.counts.messages_in.add(u64::try_from(header.record_count).unwrap_or(0));
        self.counts.bytes_in.add(bytes);
        if accepted.converted {
            self.counts.produce_conversions.add(1);
        }
        Ok(appended)
    }

    fn check_in_sync(&self) -> Result<(), AppendError> {
        let leader = self.leader.lock();
        let Some(leader) = leader.as_ref() else { return Err(AppendError::NotLeader) };
        let (in_sync, wanted) = (leader.in_sync(), leader.needed_in_sync());
        if in_sync < wanted { Err(AppendError::NotEnoughReplicas { in_sync, wanted }) } else { Ok(()) }
    }

    fn append(&self, batch: Batch, origin: Origin, now_ms: i64) -> Result<Appended, AppendError> {
        let leader = self.leader.lock();
        let Some(state) = leader.as_ref() else { return Err(AppendError::NotLeader) };
        let (epoch, alone) = (state.epoch(), state.is_alone());
        if origin == Origin::Client && self.hands_over(epoch) {
            return Err(AppendError::HandsOver { leader_epoch: epoch });
        }
        let appended = self.log().append(vec![batch], AppendOptions { leader_epoch: epoch, origin, now_ms })?;
        if !alone {
            self.log_end.advance(self.log().log_end_offset());
        }
        drop(leader);
        // Without syncing it counts already, and nobody else says so.
        if self.log().durable_end() > appended.last_offset {
            self.on_durable();
        }
        Ok(Appended {
            base_offset: appended.base_offset,
            last_offset: appended.last_offset,
            log_append_time_ms: appended.log_append_time_ms,
            log_start_offset: appended.log_start_offset,
            leader_epoch: epoch,
        })
    }

    /// Appends one whole batch made by this node (a coordinator): offsets and epoch are set here.
    /// Synchronous; the record counts once [`Self::wait_committed`] says so.
    ///
    /// # Errors
    /// See [`InternalAppendError`]; nothing was appended then.
    pub fn append_internal(&self, batch: Bytes, now_ms: i64) -> Result<Appended, InternalAppendError> {
        let mut batches = split(&batch);
        let (Some(Ok(batch)), None) = (batches.next(), batches.next()) else {
            return Err(InternalAppendError::Invalid("not exactly one batch".to_owned()));
        };
        let limit = self.config().max_message_bytes;
        if batch.size() > limit {
            let message = format!("a batch of {} bytes, {limit} are allowed", batch.size());
            return Err(InternalAppendError::Invalid(message));
        }
        self.append(batch, Origin::Coordinator, now_ms).map_err(|error| match error {
            AppendError::NotLeader | AppendError::Log(LogAppendError::Closed) => InternalAppendError::NotLeader,
            AppendError::Log(
                error @ (LogAppendError::OutOfSpace | LogAppendError::Poisoned | LogAppendError::Io(_)),
            ) => InternalAppendError::Storage(error.to_string()),
            error => InternalAppendError::Invalid(error.to_string()),
        })
    }

    /// Waits until the record at `offset`, which was appended in `leader_epoch`, is committed (high watermark > `offset`).
    /// Cancel-safe.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub async fn wait_committed(&self, offset: i64, leader_epoch: i32) -> Result<(), CommitError> {
        self.pass(&self.high_watermark, offset, leader_epoch).await
    }

    /// Waits until the record at `offset`, which was appended in `leader_epoch`, is on this node's disk. Cancel-safe.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub async fn wait_durable(&self, offset: i64, leader_epoch: i32) -> Result<(), CommitError> {
        self.pass(&self.durable, offset, leader_epoch).await
    }

    /// Whether the record at `offset`, which was appended in `leader_epoch`, is committed already.
    pub fn is_committed(&self, offset: i64, leader_epoch: i32) -> bool {
        self.high_watermark.reached() > offset && self.leads_in(leader_epoch)
    }

    /// Whether the record at `offset`, which was appended in `leader_epoch`, is on this node's disk already, or counts as if it
    /// were.
    pub fn is_durable(&self, offset: i64, leader_epoch: i32) -> bool {
        self.durable.reached() > offset && self.leads_in(leader_epoch)
    }

    /// Whether too few replicas are in sync for what was appended with `acks=all` before the ISR shrank.
    pub fn has_too_few_in_sync(&self) -> bool {
        self.leader.lock().as_ref().is_some_and(Leader::has_too_few)
    }

    async fn pass(&self, gate: &Arc<OffsetGate>, offset: i64, leader_epoch: i32) -> Result<(), CommitError> {
        let target = offset.saturating_add(1);
        let signal = Signal::default();
        while let Some(_place) = gate.wait_for(target, &signal, &self.context.commits) {
            // An epoch that ends now wakes whoever has a place by now.
            if !self.leads_in(leader_epoch) {
                return Err(CommitError::NotLeader);
            }
            signal.woken().await;
        }
        // In this order: an offset that was reached in a later epoch may be another record.
        let reached = gate.reached() >= target;
        match reached && self.leads_in(leader_epoch) {
            true => Ok(()),
            false if self.is_failed() => Err(CommitError::Storage),
            false => Err(CommitError::NotLeader),
        }
    }

    fn leads_in(&self, leader_epoch: i32) -> bool {
        self.is_leader() && self.leader_epoch() == leader_epoch
    }
}
