//! What a log holds behind its lock.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use goatq_protocol::record::Batch;

use super::epochs::Epochs;
use crate::{
    cache::tail::Tail,
    config::{Durability, LogConfig},
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

/// The bytes appended since group commit last asked, as long as they lie one behind the other in one segment, are few, and
/// nothing but a sync could make durable what they need (new names).
#[derive(Debug, Default)]
pub(super) struct RecentBytes {
    /// Where they begin: the end of the log before them.
    from: i64,
    segment: i64,
    position: u64,
    data: Vec<u8>,
    file: Option<Arc<dyn DiskFile>>,
    /// What was appended does not fit that description.
    spoilt: bool,
}

impl RecentBytes {
    /// What was appended so far is durable, or is none of the journal's business.
    pub(super) fn restart(&mut self) {
        *self = RecentBytes::default();
    }

    /// Only a sync will do.
    pub(super) fn spoil(&mut self) {
        *self = RecentBytes { spoilt: true, ..RecentBytes::default() };
    }

    /// Takes in batches written at a position of a segment when the log ended at `from`, if they are no more than `limit` bytes with
    /// those before.
    pub(super) fn add(&mut self, from: i64, file: &Arc<dyn DiskFile>, place: (i64, u64), run: &[Batch], limit: usize) {
        if self.spoilt {
            return;
        }
        let size: usize = run.iter().map(|batch| batch.size()).sum();
        if self.data.len().saturating_add(size) > limit {
            return self.spoil();
        }
        if self.file.is_none() {
            (self.from, self.file, (self.segment, self.position)) = (from, Some(file.clone()), place);
        }
        if (self.segment, self.position + self.data.len() as u64) != place {
            return self.spoil();
        }
        self.data.reserve(size);
        run.iter().flat_map(Batch::chunks).for_each(|chunk| self.data.extend_from_slice(chunk));
    }

    /// What the journal may take in place of a sync: all that lies behind `synced`. Begins anew.
    pub(super) fn take(&mut self, synced: i64, name: &Arc<str>, history: u64) -> Option<Recent> {
        let RecentBytes { from, segment, position, data, file, spoilt } = std::mem::take(self);
        // A turn that was given what lies before may have been dropped.
        (!spoilt && from <= synced).then_some(())?;
        Some(Recent { name: name.clone(), history, segment, position, data, file: file? })
    }
}

/// Everything about a log that changes.
///
/// Invariants: `start <= end`; `recovery_point <= synced <= end`; `durable <= end`, and with [`Durability::Fsync`] `durable == synced`;
/// segments do not overlap and the writer's is the last one.
#[derive(Debug)]
pub(super) struct State {
    pub(super) config: Arc<LogConfig>,
    pub(super) sealed: BTreeMap<i64, Arc<Segment>>,
    pub(super) writer: SegmentWriter,
    /// First offset that may be read.
    pub(super) start: i64,
    /// Offset of the next record.
    pub(super) end: i64,
    /// Everything below counts as durable.
    pub(super) durable: i64,
    /// Everything below was synced.
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
    /// What was appended since group commit last asked, for the journal.
    pub(super) recent: RecentBytes,
    /// The growing segment has to be synced before anything new counts.
    pub(super) unsettled: bool,
    /// Ends when the segments are changed by anything but an append.
    pub(super) history: u64,
    /// When the oldest unsynced append happened, wall time.
    pub(super) unsynced_since_ms: Option<i64>,
    /// With page-cache durability: `flush.messages` was reached, and the durable end waits for a sync.
    pub(super) flushing: bool,
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

    /// The growing segment as it is now.
    pub(super) fn writer_view(&self) -> View {
        let (offset_entries, time_entries) = self.writer.written();
        let (max_timestamp, max_timestamp_offset) = self.writer.max_timestamp();
        let (offsets, times) = self.writer.pending();
        View {
            segment: self.writer.segment.clone(),
            end: self.writer.size(),
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
        self.config.durability == Durability::Fsync || self.config.flush_messages < u64::MAX
    }

    /// Decides how far the log counts as durable after an append. Whether group commit has to act.
    pub(super) fn appended(&mut self) -> bool {
        match self.config.durability {
            Durability::Fsync => true,
            Durability::PageCache => {
                let unsynced = u64::try_from(self.end.saturating_sub(self.synced)).unwrap_or(0);
                self.flushing |= unsynced >= self.config.flush_messages;
                if !self.flushing {
                    self.durable = self.end;
                }
                self.flushing
            }
        }
    }

    /// A sync of everything below `end`, begun at that change, has completed.
    pub(super) fn synced_to(&mut self, end: i64, change: u64) {
        if change < self.truncated_at {
            return;
        }
        self.unsynced.retain(|unsynced| unsynced.change > change);
        self.synced = self.synced.max(end);
        self.durable = self.durable.max(self.synced);
        if self.unsynced.is_empty() {
            self.unsynced_since_ms = None;
            self.recent.restart();
        }
        if self.flushing && self.unsynced.is_empty() {
            self.flushing = false;
        }
        if self.config.durability == Durability::PageCache && !self.flushing {
            self.durable = self.end;
        }
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
