//! Checkpoints: everything that a start after a crash would otherwise have to find out from the batches is written and synced,
//! so that the scan begins there.

use std::{io, sync::Arc};

use super::{Log, epochs::Epochs, files, state::State};
use crate::{
    config::{CHECKPOINT_BYTES, CHECKPOINT_INTERVAL},
    error::LogError,
    group_commit::{SyncBatch, Syncable},
    io::{is_out_of_descriptors, is_refusal},
    producer::snapshot,
    segment::Segment,
};

/// What a checkpoint writes, taken under the lock.
struct Plan {
    batch: SyncBatch,
    snapshot: Vec<u8>,
    /// Unless their file is up to date.
    epochs: Option<Epochs>,
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

    /// Bytes appended since the last checkpoint: what a start after a crash has to read.
    pub fn unproven_bytes(&self) -> u64 {
        self.state.lock().unproven_bytes
    }

    /// Proves everything appended so far: writes what is not in the files, and syncs segments, indexes, epochs and a producer
    /// snapshot. Returns the new recovery point; after a crash, a scan begins there if the directory wrote it to its
    /// checkpoint file. It is the old one where group commit writes for too long. Blocks.
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
                if is_proven(&state) {
                    state.last_checkpoint_ms = now_ms;
                    state.closed |= closing;
                    return Ok(state.end);
                }
                if closing {
                    self.settle_fully(&mut state)?;
                } else if !self.settle_soon(&mut state)? {
                    // The next round will find it written.
                    return Ok(state.recovery_point);
                }
                let plan = plan(&mut state).map_err(|error| self.failed_checkpoint(error))?;
                // Only once nothing can fail any more but the disk.
                state.closed |= closing;
                plan
            };
            self.carry_out(&plan)?;
            let mut state = self.state.lock();
            let end = plan.batch.end;
            state.epochs_on_disk = plan.epochs.or(state.epochs_on_disk.take());
            state.snapshots.insert(end);
            state.durable_snapshot = end;
            state.recovery_point = end;
            state.unproven.retain(|segment| !plan.segments.iter().any(|synced| Arc::ptr_eq(synced, segment)));
            state.unproven_bytes = state.unproven_bytes.saturating_sub(plan.bytes);
            state.last_checkpoint_ms = now_ms;
            self.drop_snapshots(&mut state);
            plan.batch
        };
        let end = batch.end;
        self.complete_sync(&batch);
        Ok(end)
    }

    /// For want of room only the recovery point stays where it is.
    fn failed_checkpoint(&self, error: io::Error) -> io::Error {
        if is_refusal(&error) { error } else { self.poison("checkpoint", error) }
    }

    fn carry_out(&self, plan: &Plan) -> io::Result<()> {
        // A failed sync is never harmless, whatever it says; a file that could not be opened for it is none.
        let synced = self.sync_plan(plan);
        synced.map_err(|error| if is_out_of_descriptors(&error) { error } else { self.poison("sync", error) })?;
        let disk = self.resources.disk().as_ref();
        if let Some(epochs) = &plan.epochs {
            files::write_epochs(disk, &self.dir, epochs).map_err(|error| self.failed_checkpoint(error))?;
        }
        // Last: syncs the directory, and with it the names of the indexes.
        let written = files::replace_snapshot(disk, &self.dir, plan.batch.end, &plan.snapshot);
        written.map_err(|error| self.failed_checkpoint(error))
    }

    fn sync_plan(&self, plan: &Plan) -> io::Result<()> {
        plan.batch.files.iter().try_for_each(|file| file.sync_now())?;
        plan.segments.iter().try_for_each(|segment| segment.sync_now())
    }

    /// Keeps the snapshots at the begin of a segment, as Kafka does, and the two newest proven ones: the directory may not have
    /// remembered the last checkpoint yet.
    pub(super) fn drop_snapshots(&self, state: &mut State) {
        let recovery_point = state.recovery_point;
        let newest: Vec<i64> = state.snapshots.range(..=recovery_point).rev().take(2).copied().collect();
        let bases: Vec<i64> = state.segments().map(|segment| segment.base_offset).collect();
        let stray =
            |offset: i64| offset < recovery_point && !newest.contains(&offset) && bases.binary_search(&offset).is_err();
        let disk = self.resources.disk().as_ref();
        if let Err(error) = files::remove_snapshots(disk, &self.dir, &mut state.snapshots, stray) {
            // They are tried again next time, and do no harm until then.
            tracing::warn!(log = %self.name, %error, "old producer snapshots could not be removed");
        }
    }
}

/// Whether a checkpoint would write what is there already. A log that never had a record needs none.
fn is_proven(state: &State) -> bool {
    let snapshot = state.durable_snapshot == state.end || state.end == 0;
    let written = state.unsynced.is_empty() && state.staging.is_idle();
    snapshot && state.recovery_point == state.end && written && state.unproven.is_empty()
}

fn plan(state: &mut State) -> io::Result<Plan> {
    state.writer.write_indexes()?;
    let mut segments = state.unproven.clone();
    segments.push(state.writer.segment.clone());
    Ok(Plan {
        batch: SyncBatch {
            files: state.unsynced.iter().map(|unsynced| unsynced.file.clone()).collect(),
            whole: true,
            end: state.end,
            generation: state.changes,
            staged: Vec::new(),
        },
        snapshot: snapshot::encode(&state.producers),
        epochs: (state.epochs_on_disk.as_ref() != Some(&state.epochs)).then(|| state.epochs.clone()),
        segments,
        bytes: state.unproven_bytes,
    })
}
