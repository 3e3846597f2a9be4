//! Checkpoints: everything that a start after a crash would otherwise have to find out from the batches is written and synced,
//! so that the scan begins there.

use std::{io, sync::Arc};

use super::{Log, epochs::Epochs, files, state::State, sync::sync_batch};
use crate::{
    config::{CHECKPOINT_BYTES, CHECKPOINT_INTERVAL},
    error::LogError,
    group_commit::{SyncBatch, Syncable},
    producer::snapshot,
    segment::Segment,
};

/// What a checkpoint writes, taken under the lock.
struct Plan {
    batch: SyncBatch,
    snapshot: Vec<u8>,
    epochs: Epochs,
    /// Segments whose indexes are to be synced, the growing one among them.
    segments: Vec<Arc<Segment>>,
    bytes: u64,
}

impl Log {
    /// Whether enough happened since the last [`Self::checkpoint`] to call it: 16 MiB, or anything at all for a minute.
    pub fn checkpoint_due(&self, now_ms: i64) -> bool {
        let state = self.state.lock();
        let waited = now_ms.saturating_sub(state.last_checkpoint_ms);
        let interval = i64::try_from(CHECKPOINT_INTERVAL.as_millis()).unwrap_or(i64::MAX);
        !state.closed
            && state.recovery_point < state.end
            && (state.unproven_bytes >= CHECKPOINT_BYTES || waited >= interval)
    }

    /// Proves everything appended so far: syncs segments, indexes, epochs and a producer snapshot. Returns the new recovery
    /// point; after a crash, a scan begins there if the directory wrote it to its checkpoint file. Blocks.
    pub fn checkpoint(&self, now_ms: i64) -> Result<i64, LogError> {
        self.prove(now_ms, false)
    }

    /// Ends appends and makes everything durable, for a clean shutdown. Returns the recovery point, which is the end. Blocks.
    pub fn close(&self, now_ms: i64) -> Result<i64, LogError> {
        self.prove(now_ms, true)
    }

    fn prove(&self, now_ms: i64, closing: bool) -> Result<i64, LogError> {
        let batch = {
            let _structure = self.structure.lock();
            let plan = {
                let mut state = self.state.lock();
                self.writable(&state)?;
                if !closing && state.recovery_point == state.end && state.unsynced.is_empty() {
                    state.last_checkpoint_ms = now_ms;
                    return Ok(state.end);
                }
                let plan = plan(&mut state).map_err(|error| self.poison("write of an index", error))?;
                // Only once nothing can fail any more but the disk.
                state.closed |= closing;
                plan
            };
            self.carry_out(&plan).map_err(|error| self.poison("checkpoint", error))?;
            let mut state = self.state.lock();
            let end = plan.batch.end;
            state.snapshots.insert(end);
            state.recovery_point = end;
            state.unproven.retain(|segment| !plan.segments.iter().any(|synced| Arc::ptr_eq(synced, segment)));
            state.unproven_bytes = state.unproven_bytes.saturating_sub(plan.bytes);
            state.last_checkpoint_ms = now_ms;
            self.drop_snapshots(&mut state)?;
            plan.batch
        };
        let end = batch.end;
        self.complete_sync(&batch);
        Ok(end)
    }

    fn carry_out(&self, plan: &Plan) -> io::Result<()> {
        for file in &plan.batch.files {
            file.sync_now()?;
        }
        for segment in &plan.segments {
            segment.offset_index.get()?.sync_now()?;
            segment.time_index.get()?.sync_now()?;
            if segment.has_txns() {
                segment.txn_index.get()?.sync_now()?;
            }
        }
        let disk = self.resources.disk().as_ref();
        files::write_epochs(disk, &self.dir, &plan.epochs)?;
        // Last: syncs the directory, and with it the names of the indexes.
        files::replace_snapshot(disk, &self.dir, plan.batch.end, &plan.snapshot)
    }

    /// Keeps the snapshots that Kafka keeps: those at the begin of a segment, and the newest proven one.
    pub(super) fn drop_snapshots(&self, state: &mut State) -> io::Result<()> {
        let newest = state.snapshots.range(..=state.recovery_point).next_back().copied();
        let bases: Vec<i64> = state.segments().map(|segment| segment.base_offset).collect();
        let recovery_point = state.recovery_point;
        let stray =
            |offset: i64| offset < recovery_point && Some(offset) != newest && bases.binary_search(&offset).is_err();
        files::remove_snapshots(self.resources.disk().as_ref(), &self.dir, &mut state.snapshots, stray)?;
        Ok(())
    }
}

fn plan(state: &mut State) -> io::Result<Plan> {
    state.writer.write_indexes()?;
    let mut segments = state.unproven.clone();
    segments.push(state.writer.segment.clone());
    Ok(Plan {
        batch: sync_batch(state),
        snapshot: snapshot::encode(&state.producers),
        epochs: state.epochs.clone(),
        segments,
        bytes: state.unproven_bytes,
    })
}
