//! Replays a log into an empty state machine.

use bytes::Bytes;
use goatq_protocol::record::{self, Batch, Limits, control};

use super::log::{CoordinatorLog, LogReadError, WriteError};
use super::machine::{Position, StateMachine};

/// Why a load ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The log is damaged or cannot be read.
    #[error(transparent)]
    Read(#[from] LogReadError),
    /// The log is not led by this node any more.
    #[error(transparent)]
    Log(#[from] WriteError),
}

/// What a load read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Loaded {
    /// Records that the machine took.
    pub(super) records: u64,
    /// Records that it could not read; they are left out.
    pub(super) damaged: u64,
    /// End of the log.
    pub(super) end: i64,
}

/// Replays everything that is in the log when this is called, once it is committed: an earlier leader may have left
/// records that are not yet, and they will count.
pub(super) async fn load<M: StateMachine>(
    machine: M,
    log: &dyn CoordinatorLog,
    max_bytes: usize,
) -> Result<(M, Loaded), LoadError> {
    let end = log.end_offset();
    log.committed(end).await?;
    let mut loader = Loader { machine, loaded: Loaded { records: 0, damaged: 0, end }, position: log.start_offset() };
    while loader.position < end {
        let chunks = log.read(loader.position, max_bytes).await?;
        let before = loader.position;
        for chunk in chunks {
            loader.take_chunk(&chunk)?;
        }
        if loader.position == before {
            // Compaction left nothing between here and the end.
            break;
        }
        // A log of millions of records must not hold up the thread's other work.
        tokio::task::yield_now().await;
    }
    Ok((loader.machine, loader.loaded))
}

struct Loader<M> {
    machine: M,
    loaded: Loaded,
    /// Offset after the last batch that was taken.
    position: i64,
}

impl<M: StateMachine> Loader<M> {
    fn take_chunk(&mut self, chunk: &Bytes) -> Result<(), LogReadError> {
        for batch in record::split(chunk) {
            let batch = batch.map_err(|error| LogReadError(error.to_string()))?;
            if batch.header().last_offset() < self.position {
                continue;
            }
            self.take_batch(&batch).map_err(|error| LogReadError(error.to_string()))?;
            self.position = batch.header().next_offset();
        }
        Ok(())
    }

    fn take_batch(&mut self, batch: &Batch) -> Result<(), record::BatchError> {
        batch.verify_crc()?;
        let header = batch.header();
        if header.is_control() {
            if let Some(marker) = control::end_txn_marker(batch)? {
                self.machine.replay_transaction_end(header.producer_id, marker.committed);
            }
            return Ok(());
        }
        let producer_id = header.is_transactional().then_some(header.producer_id);
        for record in batch.records(Limits::default()) {
            let record = record?;
            if record.offset < self.position {
                continue;
            }
            let at = Position { offset: record.offset, producer_id };
            // Without a key it is not one of ours.
            let Some(key) = record.key else { continue };
            match M::decode(&key, record.value.as_ref()) {
                Ok(Some(typed)) => {
                    self.machine.replay(at, typed);
                    self.loaded.records = self.loaded.records.saturating_add(1);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(offset = record.offset, %error, "a record of a coordinator is left out");
                    self.loaded.damaged = self.loaded.damaged.saturating_add(1);
                }
            }
        }
        Ok(())
    }
}
