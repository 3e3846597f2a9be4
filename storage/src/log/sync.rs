//! The log's part in group commit.

use std::{io, sync::Arc};

use super::{Log, state::State};
use crate::{
    group_commit::{BlockWrite, SyncBatch, Syncable, What},
    io::DiskFile,
};

impl Syncable for Log {
    fn begin_sync(&self) -> Option<SyncBatch> {
        let (batch, untold) = {
            let mut state = self.state.lock();
            let history = state.history;
            let staged = state.staging.offer(&self.name, history);
            self.publish(&state);
            (state.sync_batch(staged), std::mem::take(&mut state.untold))
        };
        if untold {
            self.tell_durable();
        }
        batch
    }

    fn begin_files(&self) -> Option<SyncBatch> {
        self.state.lock().sync_batch(Vec::new())
    }

    fn complete_sync(&self, batch: &SyncBatch) {
        let before = self.durable_end();
        let after = {
            let mut state = self.state.lock();
            state.complete(batch);
            self.publish(&state);
            state.durable
        };
        if after > before {
            self.tell_durable();
        }
    }

    fn begin_write(&self, what: What) -> io::Result<Option<Vec<BlockWrite>>> {
        self.begin_flight(what)
    }

    fn complete_write(&self, result: io::Result<()>) -> io::Result<()> {
        self.end_flight(result)
    }

    fn journaled_bytes(&self) -> u64 {
        self.state.lock().staging.framed_bytes()
    }

    fn has_old(&self) -> bool {
        self.state.lock().staging.is_old()
    }

    fn poisoned(&self, reason: &str) {
        let listener = self.listener.lock().clone();
        listener.on_poisoned(reason);
    }
}

/// A history of the log that has just ended, see [`Journal::void`](crate::journal::Journal).
#[derive(Debug)]
pub(super) struct EndedHistory {
    /// To be synced before it may be voided, if what it says is to stay; none where there is no journal.
    files: Vec<Arc<dyn DiskFile>>,
    /// The one that has begun.
    pub(super) next: u64,
}

impl Log {
    /// Makes the segments independent of the journal before they are changed by anything but an append: syncs what only the journal
    /// keeps, and voids the history that has ended. Blocks.
    pub(super) fn leave_journal(&self, ended: &EndedHistory) -> io::Result<()> {
        ended.files.iter().try_for_each(|file| file.sync_now())?;
        self.void_journal(ended.next)
    }

    /// Begins a new history of the log. Nothing is staged: what only the journal has would be voided with the old one.
    pub(super) fn end_history(&self, state: &mut State) -> io::Result<EndedHistory> {
        if !state.staging.is_idle() {
            return Err(io::Error::other("what is staged has to be written first"));
        }
        state.history = self.mark.begin_history();
        let mut ended = EndedHistory { files: Vec::new(), next: state.history };
        if self.mark.journal().is_some_and(|journal| journal.has_begun()) {
            let segments = state.unproven.iter().chain(std::iter::once(&state.writer.segment));
            ended.files = segments.map(|segment| segment.log.get()).collect::<io::Result<_>>()?;
        }
        Ok(ended)
    }

    /// What the journal holds of earlier histories does not count any more, durably.
    pub(super) fn void_journal(&self, history: u64) -> io::Result<()> {
        self.mark.journal().map_or(Ok(()), |journal| journal.void([&*self.name], history))
    }

    /// Tells the listener how far the log is durable now.
    pub(super) fn tell_durable(&self) {
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
        self.state.lock().sync_wanted = true;
        self.mark.mark();
    }
}
