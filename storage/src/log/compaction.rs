//! Compaction of a log: what may be compacted, and how the result takes the place of the segments.
//!
//! The result of a group of segments replaces them in steps, each durable before the next:
//! 1. `.cleaned`: written and synced; a crash removes it;
//! 2. `.swap`: from here on a start completes the replacement;
//! 3. the segments it was made from become `.deleted`;
//! 4. the result loses its suffix.
//!
//! Indexes change their names before their `.log` file does, so that it is never found without them.

use std::{io, sync::Arc};

use goatq_protocol::record::Limits;

use super::{AbortedTxn, Cleanable, CompactOptions, Compacted, Log, files, state::State, times::read_txns};
use crate::{
    block_on::block_on,
    compact::{
        cleaner::{CleanError, Cleaner, Counts, last_batches},
        map::OffsetMap,
        transactions::Transactions,
    },
    config::LogConfig,
    error::{LogError, ReadError},
    io::is_refusal,
    segment::{
        Segment,
        cursor::{Cursor, HEADER_WINDOW},
        format::Suffix,
        relative,
        writer::{IndexBuilder, SegmentWriter},
    },
};

/// A sealed segment and where it ends.
type Bounded = (Arc<Segment>, i64);

/// The segments of a log as compaction sees them.
struct Parts {
    /// Compacted before.
    clean: Vec<Bounded>,
    /// To be compacted.
    dirty: Vec<Bounded>,
    first_dirty: i64,
}

impl Log {
    /// How much there is to compact; `None` when the policy says no, nothing may be compacted, or the log has turned out to be
    /// [uncleanable](Self::uncleanable). Blocks.
    pub fn cleanable(&self, now_ms: i64, high_watermark: i64) -> Option<Cleanable> {
        let config = self.config();
        let durable = {
            let state = self.state.lock();
            if !config.cleanup_policy.compact || state.uncleanable.is_some() || self.is_held() {
                return None;
            }
            state.synced
        };
        let parts = self.parts(&config, now_ms, high_watermark.min(durable)).ok()?;
        let bytes = |segments: &[Bounded]| segments.iter().map(|(segment, _)| segment.size()).sum::<u64>();
        let (clean, dirty) = (bytes(&parts.clean), bytes(&parts.dirty));
        if dirty == 0 {
            return None;
        }
        let dirty_ratio = dirty as f64 / (clean + dirty) as f64;
        let limit = now_ms.saturating_sub(config.max_compaction_lag_ms);
        let overdue = |(segment, _): &Bounded| first_timestamp(segment).is_some_and(|first| first < limit);
        let due = dirty_ratio > config.min_cleanable_dirty_ratio || parts.dirty.iter().any(overdue);
        Some(Cleanable { dirty_ratio, due })
    }

    /// Why the log is not compacted any more: what in it cannot be read. Until it is opened again.
    pub fn uncleanable(&self) -> Option<String> {
        self.state.lock().uncleanable.clone()
    }

    /// Whole sealed segments below everything that holds compaction back: the high watermark and what is durable, open transactions,
    /// and `min.compaction.lag.ms`.
    fn parts(&self, config: &LogConfig, now_ms: i64, high_watermark: i64) -> Result<Parts, LogError> {
        let (sealed, bound, first_dirty) = {
            let mut state = self.state.lock();
            self.writable(&state)?;
            let stable = state.producers.first_unstable_offset(high_watermark).unwrap_or(i64::MAX);
            let bound = high_watermark.min(stable);
            (bounded(&state), bound, state.first_dirty)
        };
        let lowest = sealed.first().map_or(0, |(segment, _)| segment.base_offset);
        // A remembered offset that cannot be is as good as none.
        let known = sealed.last().is_some_and(|(_, end)| (lowest..=*end).contains(&first_dirty));
        let first_dirty = if known { first_dirty } else { lowest };
        let mut parts = Parts { clean: Vec::new(), dirty: Vec::new(), first_dirty };
        for (segment, end) in sealed {
            if end <= first_dirty {
                parts.clean.push((segment, end));
            } else if end > bound || self.too_young(config, &segment, now_ms)? {
                break;
            } else {
                parts.dirty.push((segment, end));
            }
        }
        Ok(parts)
    }

    fn too_young(&self, config: &LogConfig, segment: &Arc<Segment>, now_ms: i64) -> Result<bool, LogError> {
        if config.min_compaction_lag_ms <= 0 {
            return Ok(false);
        }
        let newest = block_on(self.reader(config).view(segment))?.facts.max_timestamp;
        Ok(newest > now_ms.saturating_sub(config.min_compaction_lag_ms))
    }

    /// Compacts once over what is dirty, as far as the map holds; does nothing unless the policy says so. A log with data that
    /// cannot be read is left as it is from there on, and is [uncleanable](Self::uncleanable). Blocks.
    pub fn compact(&self, options: CompactOptions<'_>) -> Result<Compacted, LogError> {
        let _only_one = self.compaction.lock();
        let config = self.config();
        let mut done = Compacted { first_dirty_offset: self.first_dirty_offset(), ..Compacted::default() };
        if !config.cleanup_policy.compact || self.uncleanable().is_some() || self.is_held() {
            return Ok(done);
        }
        // What is known of producers and transactions must not depend on batches that go, so the newest snapshot comes from behind
        // them. And only what is behind a recovery point has to be without gaps.
        let proven = self.checkpoint(options.now_ms)?;
        let parts = self.parts(&config, options.now_ms, options.high_watermark.min(proven))?;
        // Whoever deletes the log waits for this run.
        let CompactOptions { throttle: caller, now_ms, map_bytes, seed, .. } = options;
        let mut throttle = |bytes| self.writable(&self.state.lock()).is_ok() && caller(bytes);
        let mut cleaner = Cleaner {
            now_ms,
            delete_retention_ms: config.delete_retention_ms,
            limits: Limits { max_decompressed_bytes: config.max_decompressed_bytes },
            last_batches: last_batches(&self.state.lock().producers),
            throttle: &mut throttle,
            counts: Counts::default(),
        };
        let truncated_at = self.state.lock().truncated_at;
        match self.compact_parts(&config, parts, &mut cleaner, map_bytes, seed) {
            Ok(Some(first_dirty)) => {
                let mut state = self.state.lock();
                state.first_dirty = first_dirty.max(state.start);
                done.first_dirty_offset = state.first_dirty;
            }
            Ok(None) | Err(CleanError::Stopped) => self.writable(&self.state.lock())?,
            Err(CleanError::Read(error)) => return Err(self.unreadable(error, truncated_at)?),
            Err(CleanError::Write(error)) if is_refusal(&error) => return Err(LogError::Io(error)),
            Err(CleanError::Write(error)) => {
                self.writable(&self.state.lock())?;
                return Err(LogError::Io(self.poison("compaction", error)));
            }
            Err(CleanError::Build(error)) => return Err(LogError::Io(io::Error::other(error))),
        }
        let Counts { bytes_before, bytes_after, records_before, records_after } = cleaner.counts;
        Ok(Compacted { bytes_before, bytes_after, records_before, records_after, ..done })
    }

    /// What a failed read means: the end of compaction, unless what was to be read was truncated meanwhile or the log is over.
    fn unreadable(&self, error: ReadError, truncated_at: u64) -> Result<LogError, LogError> {
        let mut state = self.state.lock();
        self.writable(&state)?;
        let error = LogError::from(error);
        if let LogError::Damaged(reason) = &error
            && state.truncated_at == truncated_at
        {
            tracing::error!(log = %self.name, %reason, "the log cannot be compacted");
            state.uncleanable = Some(reason.to_string());
        }
        Ok(error)
    }

    /// Both passes. The offset up to which the log is compacted; `None` when there was nothing to do, or the log changed under it.
    fn compact_parts(
        &self,
        config: &LogConfig,
        parts: Parts,
        cleaner: &mut Cleaner<'_>,
        map_bytes: usize,
        seed: u64,
    ) -> Result<Option<i64>, CleanError> {
        let mut map = OffsetMap::new(map_bytes, seed);
        let mut txns = Transactions::default();
        let mut mapped_to = parts.first_dirty;
        for (segment, end) in &parts.dirty {
            txns.expect(self.aborted_in(segment.base_offset, *end)?);
            let whole = cleaner.map_segment(segment, parts.first_dirty, &mut map, &mut txns)?;
            mapped_to = if whole { *end } else { map.latest().map_or(mapped_to, |latest| latest + 1).max(mapped_to) };
            if !whole {
                break;
            }
        }
        if mapped_to <= parts.first_dirty {
            return Ok(None);
        }
        let segments = parts.clean.into_iter().chain(parts.dirty);
        let segments = segments.filter(|(segment, _)| segment.base_offset < mapped_to).collect();
        let mut txns = Transactions::default();
        for group in groups(segments, config.segment_limit()) {
            let end = group.last().map_or(0, |(_, end)| *end);
            let mut with_txns = Vec::with_capacity(group.len());
            for (segment, end) in &group {
                let aborted = self.aborted_in(segment.base_offset, *end)?;
                with_txns.push((segment.clone(), aborted));
            }
            let base_offset = group.first().map_or(0, |(segment, _)| segment.base_offset);
            let segment = Segment::new(&self.resources.files, &self.dir, base_offset, 0, Suffix::Cleaned);
            segment.remove().map_err(CleanError::Write)?;
            let builder = IndexBuilder::new(base_offset, config.index_interval_bytes);
            let out = SegmentWriter::new(Arc::new(segment), builder, (0, 0), cleaner.now_ms);
            let written = out.segment.clone();
            let cleaned = cleaner.clean(&with_txns, end, &map, &mut txns, out);
            let replaced = match cleaned {
                Ok(cleaned) => self.replace(&group, &cleaned, cleaner.now_ms).map_err(CleanError::Write)?,
                Err(error) => {
                    // What cannot be removed now is removed at the next start.
                    let _ = written.remove();
                    return Err(error);
                }
            };
            if !replaced {
                return Ok(None);
            }
        }
        Ok(Some(mapped_to))
    }

    /// The aborted transactions that overlap a range of offsets.
    pub(super) fn aborted_in(&self, from: i64, to: i64) -> Result<Vec<AbortedTxn>, CleanError> {
        let segments = self.segments_with_txns(from);
        let mut found = Vec::new();
        for segment in &segments {
            if block_on(read_txns(segment, from, to, &mut found))? {
                break;
            }
        }
        Ok(found)
    }

    /// Puts a compacted segment in the place of those it was made from. False when they are no longer all there.
    pub(super) fn replace(&self, group: &[Bounded], cleaned: &Arc<Segment>, now_ms: i64) -> io::Result<bool> {
        cleaned.sync_now()?;
        let _structure = self.structure.lock();
        let unchanged = {
            let state = self.state.lock();
            let there = |(segment, _): &Bounded| {
                state.sealed.get(&segment.base_offset).is_some_and(|known| Arc::ptr_eq(known, segment))
            };
            !state.closed && group.iter().all(there)
        };
        if !unchanged {
            cleaned.remove()?;
            return Ok(false);
        }
        let disk = self.resources.disk();
        let end = group.last().map_or(cleaned.base_offset, |(_, end)| *end);
        let ended = {
            let mut state = self.state.lock();
            self.settle_fully(&mut state)?;
            self.end_history(&mut state)?
        };
        self.leave_journal(&ended)?;
        // A start from a snapshot that is older would look for the rest in batches that are gone: the last ones of a producer whose
        // newer ones a crash takes, or the marker of a transaction that was open then.
        files::remove_snapshots(disk.as_ref(), &self.dir, &mut self.state.lock().snapshots, |offset| offset < end)?;
        self.remove_doomed_of(group.iter().map(|(segment, _)| segment.base_offset))?;
        cleaned.rename_durably(disk.as_ref(), &self.dir, Suffix::Swap)?;
        for (segment, _) in group {
            segment.rename_deleted(&self.dir)?;
        }
        disk.sync_dir(&self.dir)?;
        cleaned.rename_durably(disk.as_ref(), &self.dir, Suffix::None)?;
        let mut state = self.state.lock();
        for (segment, _) in group {
            state.sealed.remove(&segment.base_offset);
            state.unproven.retain(|unproven| !Arc::ptr_eq(unproven, segment));
            self.doom(&mut state, segment.clone(), now_ms);
        }
        state.sealed.insert(cleaned.base_offset, cleaned.clone());
        // Memory must not show what is gone.
        state.tail.drop_before(end);
        self.drop_snapshots(&mut state);
        Ok(true)
    }
}

/// The sealed segments with their ends.
fn bounded(state: &State) -> Vec<Bounded> {
    let ends = state.segments().skip(1).map(|segment| segment.base_offset);
    state.sealed.values().cloned().zip(ends).collect()
}

fn first_timestamp(segment: &Segment) -> Option<i64> {
    let file = segment.log.get().ok()?;
    let mut cursor = Cursor::new(file, segment.base_offset, 0, segment.size(), HEADER_WINDOW);
    let found = block_on(cursor.next()).ok()??;
    (found.header.max_timestamp >= 0).then_some(found.header.max_timestamp)
}

/// Neighbours that fit in one segment together, by size and by offsets.
fn groups(segments: Vec<Bounded>, limit: u64) -> Vec<Vec<Bounded>> {
    let mut groups: Vec<Vec<Bounded>> = Vec::new();
    let mut size = 0;
    for (segment, end) in segments {
        let fits = groups.last().and_then(|group| group.first()).is_some_and(|(first, _)| {
            size + segment.size() <= limit && relative(first.base_offset, end.saturating_sub(1)).is_some()
        });
        match groups.last_mut() {
            Some(group) if fits => group.push((segment.clone(), end)),
            _ => {
                size = 0;
                groups.push(vec![(segment.clone(), end)]);
            }
        }
        size += segment.size();
    }
    groups
}
