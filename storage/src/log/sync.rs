//! The log's part in group commit.

use super::{Log, state::State};
use crate::group_commit::{SyncBatch, Syncable};

impl Syncable for Log {
    fn begin_sync(&self) -> Option<SyncBatch> {
        let state = self.state.lock();
        (!state.unsynced.is_empty()).then(|| sync_batch(&state))
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
    }
}

impl Log {
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
