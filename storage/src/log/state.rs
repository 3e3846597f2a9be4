//! What a log holds behind its lock.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use super::{epochs::Epochs, staging::Staging};
use crate::{
    cache::tail::Tail,
    config::{Durability, LogConfig},
    group_commit::SyncBatch,
    io::DiskFile,
    journal::Recent,
    producer::state::ProducerState,
    segment::{IndexFacts, Segment, reader::View, writer::SegmentWriter},
};

/// A file with changes that no completed sync covers.
#[derive(Debug)]
pub(super) struct Unsynced {
    pub(super) file: Arc<dyn DiskFile>,
    /// [`State::changes`] as of the last of them.
    pub(super) change: u64,
}

/// Files of a removed segment that wait for readers under way.
#[derive(Debug)]
pub(super) struct Doomed {
    pub(super) due_ms: i64,
    pub(super) segment: Arc<Segment>,
}

/// Everything about a log that changes.
///
/// Invariants: `start <= end`; `recovery_point <= written <= end`, and `written == end` when nothing is staged; segments do not overlap
/// and the writer's is the last one. With [`Durability::Fsync`] `durable == synced`: what lies below was synced, or is in the
/// journal. With [`Durability::PageCache`] `durable` is all that is in the files or in the journal.
#[derive(Debug)]
pub(super) struct State {
    pub(super) config: Arc<LogConfig>,
    pub(super) sealed: BTreeMap<i64, Arc<Segment>>,
    pub(super) writer: SegmentWriter,
    /// First offset that may be read.
    pub(super) start: i64,
    /// Offset of the next record.
    pub(super) end: i64,
    /// Everything below is in the files.
    pub(super) written: i64,
    /// What lies behind that.
    pub(super) staging: Staging,
    /// Everything below counts as durable.
    pub(super) durable: i64,
    /// Everything below was synced, or is in the journal.
    pub(super) synced: i64,
    /// Everything below was checkpointed.
    pub(super) recovery_point: i64,
    pub(super) epochs: Epochs,
    /// What their file says, as far as this process knows.
    pub(super) epochs_on_disk: Option<Epochs>,
    pub(super) producers: ProducerState,
    /// Offsets of the producer snapshots on disk.
    pub(super) snapshots: BTreeSet<i64>,
    /// Offset of the newest of them that this process has synced, -1 for none.
    pub(super) durable_snapshot: i64,
    pub(super) tail: Tail,
    /// Counts appends and truncations.
    pub(super) changes: u64,
    /// [`State::changes`] as of the last truncation: a sync that began before it proves nothing.
    pub(super) truncated_at: u64,
    pub(super) unsynced: Vec<Unsynced>,
    /// The growing segment has to be synced before anything new counts.
    pub(super) unsettled: bool,
    /// Ends when the segments are changed by anything but an append.
    pub(super) history: u64,
    /// When the oldest unsynced append happened, wall time.
    pub(super) unsynced_since_ms: Option<i64>,
    /// With page-cache durability: `flush.messages` was reached, and the durable end waits for a sync.
    pub(super) flushing: bool,
    /// The durable end has moved without the listener having been told.
    pub(super) untold: bool,
    /// Group commit is to sync what is written, though no append waits for it.
    pub(super) sync_wanted: bool,
    /// Segments sealed since the last checkpoint: their indexes are not synced.
    pub(super) unproven: Vec<Arc<Segment>>,
    /// Bytes appended since the last checkpoint.
    pub(super) unproven_bytes: u64,
    pub(super) last_checkpoint_ms: i64,
    pub(super) doomed: VecDeque<Doomed>,
    /// First offset that was not compacted yet.
    pub(super) first_dirty: i64,
    /// Why the log cannot be compacted.
    pub(super) uncleanable: Option<String>,
    /// No appends any more.
    pub(super) closed: bool,
}

impl State {
    /// The segment that holds an offset, or the first one behind it.
    pub(super) fn segment_at(&self, offset: i64) -> Arc<Segment> {
        if offset >= self.writer.segment.base_offset {
            return self.writer.segment.clone();
        }
        let floor = self.sealed.range(..=offset).next_back();
        let found = floor.or_else(|| self.sealed.range(offset..).next());
        found.map_or_else(|| self.writer.segment.clone(), |(_, segment)| segment.clone())
    }

    /// The segment behind the one of that base offset.
    pub(super) fn segment_after(&self, base_offset: i64) -> Option<Arc<Segment>> {
        let next = self.sealed.range(base_offset.saturating_add(1)..).next();
        let last = &self.writer.segment;
        next.map(|(_, segment)| segment).or_else(|| (last.base_offset > base_offset).then_some(last)).cloned()
    }

    /// All segments, oldest first.
    pub(super) fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.sealed.values().chain(std::iter::once(&self.writer.segment))
    }

    /// A segment as it is now, if it is still to grow or to be written; nobody may build its indexes again then.
    pub(super) fn growing_view(&self, segment: &Arc<Segment>) -> Option<View> {
        if Arc::ptr_eq(segment, &self.writer.segment) {
            return Some(self.writer_view());
        }
        self.staging.concerns(segment).then(|| View {
            segment: segment.clone(),
            end: segment.size(),
            facts: segment.facts().unwrap_or_default(),
            pending_offsets: Vec::new(),
            pending_times: Vec::new(),
            sealed: false,
        })
    }

    /// The growing segment as it is now.
    pub(super) fn writer_view(&self) -> View {
        let (offset_entries, time_entries) = self.writer.written();
        let (max_timestamp, max_timestamp_offset) = self.writer.max_timestamp();
        let (offsets, times) = self.writer.readable();
        View {
            segment: self.writer.segment.clone(),
            end: self.writer.segment.size(),
            facts: IndexFacts { offset_entries, time_entries, max_timestamp, max_timestamp_offset },
            pending_offsets: offsets.to_vec(),
            pending_times: times.to_vec(),
            sealed: false,
        }
    }

    /// The epochs from the log start on; those of what is stored may begin earlier.
    pub(super) fn readable_epochs(&self) -> Epochs {
        let mut epochs = self.epochs.clone();
        epochs.truncate_start(self.start);
        epochs
    }

    /// Bytes of all segments.
    pub(super) fn size(&self) -> u64 {
        self.segments().map(|segment| segment.size()).sum()
    }

    /// Notes a change of a file that is still to be synced.
    pub(super) fn mark_unsynced(&mut self, file: &Arc<dyn DiskFile>, now_ms: i64) {
        self.unsynced_since_ms.get_or_insert(now_ms);
        let change = self.changes;
        match self.unsynced.iter_mut().find(|unsynced| Arc::ptr_eq(&unsynced.file, file)) {
            Some(unsynced) => unsynced.change = change,
            None => self.unsynced.push(Unsynced { file: file.clone(), change }),
        }
    }

    /// Whether appends wait for group commit, or soon will.
    pub(super) fn waits_for_syncs(&self) -> bool {
        // Kafka's largest value means never, as well as what no number of messages reaches.
        self.config.durability == Durability::Fsync || self.config.flush_messages < i64::MAX.unsigned_abs()
    }

    /// From where on the tail must keep what it has: nothing else can serve it.
    pub(super) fn pinned(&self) -> i64 {
        if self.staging.is_idle() { i64::MAX } else { self.written }
    }

    /// Everything below is in a file or in the journal.
    fn secured(&self) -> i64 {
        self.staging.first_unframed().unwrap_or(self.end)
    }

    /// Decides how far the log counts as durable after an append. Whether group commit has to act.
    pub(super) fn appended(&mut self) -> bool {
        if self.staging.is_idle() {
            self.written = self.end;
        }
        if self.config.durability == Durability::PageCache {
            let unsynced = u64::try_from(self.end.saturating_sub(self.synced)).unwrap_or(0);
            self.flushing |= unsynced >= self.config.flush_messages;
        }
        self.count_durable();
        self.waits_for_turn() || self.staging.first_unframed().is_some()
    }

    /// Whether what is written does not count before it is synced.
    fn waits_for_turn(&self) -> bool {
        self.config.durability == Durability::Fsync || self.flushing
    }

    /// How far the log counts as durable.
    pub(super) fn count_durable(&mut self) {
        let end = if self.waits_for_turn() { self.synced } else { self.secured() };
        self.durable = self.durable.max(end);
    }

    /// What has to be synced, and how far the log is durable then. With `staged`, all that is not in the journal has to get
    /// there. `None` when there is nothing to do.
    pub(super) fn sync_batch(&mut self, staged: Vec<Recent>) -> Option<SyncBatch> {
        let wanted = self.sync_wanted || self.waits_for_turn();
        let files = if wanted { &self.unsynced[..] } else { &[] };
        if files.is_empty() && staged.is_empty() {
            return None;
        }
        Some(SyncBatch {
            files: files.iter().map(|unsynced| unsynced.file.clone()).collect(),
            whole: files.len() == self.unsynced.len(),
            end: if staged.is_empty() { self.secured() } else { self.end },
            generation: self.changes,
            staged,
        })
    }

    /// All that a batch asked for has succeeded.
    pub(super) fn complete(&mut self, batch: &SyncBatch) {
        if batch.generation < self.truncated_at {
            return;
        }
        if !batch.staged.is_empty() {
            self.staging.framed(batch.end);
        }
        if batch.whole {
            self.unsynced.retain(|unsynced| unsynced.change > batch.generation);
            self.synced = self.synced.max(batch.end);
        }
        if self.unsynced.is_empty() {
            (self.unsynced_since_ms, self.sync_wanted) = (None, false);
            self.flushing &= self.staging.first_unframed().is_some();
        }
        self.count_durable();
    }

    /// Where a segment's lifetime is shortened to, so that segments of many logs do not roll together: another share of
    /// `segment.jitter.ms` for each, without randomness.
    pub(super) fn jitter_ms(&self, log_hash: u64) -> i64 {
        let most = self.config.segment_jitter_ms.min(self.config.segment_ms).max(0).unsigned_abs();
        if most == 0 {
            return 0;
        }
        let mixed = (log_hash ^ self.writer.segment.base_offset.unsigned_abs()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        i64::try_from((mixed >> 17) % most).unwrap_or(0)
    }
}
