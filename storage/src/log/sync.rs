//! The log's part in group commit.

use std::{io, sync::Arc};

use super::{Log, state::State};
use crate::{
    group_commit::{SyncBatch, Syncable},
    io::DiskFile,
};

impl Syncable for Log {
    fn begin_sync(&self) -> Option<SyncBatch> {
        let mut state = self.state.lock();
        if state.unsynced.is_empty() {
            return None;
        }
        let (synced, history) = (state.synced, state.history);
        let recent = state.recent.take(synced, &self.name, history);
        Some(SyncBatch { recent, ..sync_batch(&state) })
    }

    fn complete_sync(&self, batch: &SyncBatch) {
        let before = self.durable_end();
        let after = {
            let mut state = self.state.lock();
            state.synced_to(batch.end, batch.generation);
            self.publish(&state);
            state.durable
        };
        if after > before {
            self.tell_durable();
        }
    }

    fn poisoned(&self, reason: &str) {
        let listener = self.listener.lock().clone();
        listener.on_poisoned(reason);
    }
}

/// Everything that is unsynced now.
pub(super) fn sync_batch(state: &State) -> SyncBatch {
    SyncBatch {
        files: state.unsynced.iter().map(|unsynced| unsynced.file.clone()).collect(),
        end: state.end,
        generation: state.changes,
        recent: None,
    }
}

impl Log {
    /// Makes the segments independent of the journal before they are changed by anything but an append: ends the history of the log,
    /// and syncs what only the journal keeps. Blocks.
    pub(super) fn leave_journal(&self, state: &mut State) -> io::Result<()> {
        let files = self.end_history(state)?;
        files.iter().try_for_each(|file| file.sync_now())?;
        self.void_journal(state.history)
    }

    /// Begins a new history. The files that are to be synced before the old one may be [`Self::void_journal`]ed; none where there
    /// is no journal.
    pub(super) fn end_history(&self, state: &mut State) -> io::Result<Vec<Arc<dyn DiskFile>>> {
        state.history = self.mark.begin_history();
        if !self.mark.journal().is_some_and(|journal| journal.has_begun()) {
            return Ok(Vec::new());
        }
        state.unproven.iter().chain(std::iter::once(&state.writer.segment)).map(|segment| segment.log.get()).collect()
    }

    /// What the journal holds of earlier histories does not count any more, durably.
    pub(super) fn void_journal(&self, history: u64) -> io::Result<()> {
        self.mark.journal().map_or(Ok(()), |journal| journal.void([&*self.name], history))
    }

    /// Tells the listener how far the log is durable now.
    fn tell_durable(&self) {
        let _in_order = self.telling.lock();
        let listener = self.listener.lock().clone();
        listener.on_durable(self.durable_end());
    }

    /// Whether `flush.ms` asks for a sync now (page-cache durability); then call [`Self::flush`].
    pub fn flush_needed(&self, now_ms: i64) -> bool {
        let state = self.state.lock();
        let since = state.unsynced_since_ms.map(|since| now_ms.saturating_sub(since));
        since.is_some_and(|waited| waited >= state.config.flush_ms)
    }

    /// Asks group commit to sync what is unsynced.
    pub fn flush(&self) {
        self.mark.mark();
    }
}
