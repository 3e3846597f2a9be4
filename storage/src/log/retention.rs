//! What makes a log shorter at its front: retention by time and size, DeleteRecords, and the removal of files after a while.

use std::{collections::VecDeque, io, sync::Arc};

use super::{
    Log, Retained,
    state::{Doomed, State},
};
use crate::{
    block_on::block_on,
    config::LogConfig,
    error::LogError,
    segment::{Segment, format::Suffix, writer::Addition},
};

/// What decides whether a segment may go.
struct Judge<'a> {
    log: &'a Log,
    config: &'a LogConfig,
    now_ms: i64,
    start: i64,
    high_watermark: i64,
    /// Bytes above `retention.bytes`.
    excess: i64,
    /// Greatest timestamp of the growing segment.
    growing: (Arc<Segment>, i64),
}

impl Judge<'_> {
    /// Whether a segment that ends before `end` may go. Asked from the oldest on.
    fn expired(&mut self, segment: &Arc<Segment>, end: i64) -> Result<bool, LogError> {
        if end > self.high_watermark || segment.size() == 0 {
            return Ok(false);
        }
        let size = i64::try_from(segment.size()).unwrap_or(i64::MAX);
        let by_start = end <= self.start;
        let by_size = self.config.retention_bytes >= 0 && self.excess >= size;
        let deletes = self.config.cleanup_policy.delete;
        let expired = by_start || (deletes && (by_size || self.too_old(segment)?));
        if expired {
            self.excess = self.excess.saturating_sub(size);
        }
        Ok(expired)
    }

    fn too_old(&self, segment: &Arc<Segment>) -> Result<bool, LogError> {
        if self.config.retention_ms < 0 {
            return Ok(false);
        }
        let newest = if Arc::ptr_eq(segment, &self.growing.0) {
            self.growing.1
        } else {
            block_on(self.log.reader(self.config).view(segment))?.facts.max_timestamp
        };
        // Records without timestamps have no age.
        Ok(newest >= 0 && self.now_ms.saturating_sub(newest) > self.config.retention_ms)
    }
}

impl Log {
    /// Makes everything below `offset` unreadable (DeleteRecords, or what the leader says); segments go with the next
    /// [`Self::retain`]. The log start offset after it. Not remembered over a restart before the directory has written its
    /// checkpoint.
    pub fn advance_start_offset(&self, offset: i64, high_watermark: i64) -> Result<i64, LogError> {
        let mut state = self.state.lock();
        self.writable(&state)?;
        let limit = high_watermark.min(state.end);
        if offset > limit {
            return Err(LogError::OutOfRange { offset, start: state.start, end: limit });
        }
        if offset > state.start {
            state.start = offset;
            state.first_dirty = state.first_dirty.max(offset);
            state.epochs.truncate_start(offset);
            self.publish(&state);
        }
        Ok(state.start)
    }

    /// Removes segments that retention by time, size or start offset allows to go, none at or above the high watermark. Segments
    /// whose records carry no timestamps have no age. Blocks.
    pub fn retain(&self, now_ms: i64, high_watermark: i64) -> Result<Retained, LogError> {
        let _structure = self.structure.lock();
        let (config, segments, (start, end, size, newest)) = {
            let state = self.state.lock();
            self.writable(&state)?;
            let segments: Vec<Arc<Segment>> = state.segments().cloned().collect();
            (state.config.clone(), segments, (state.start, state.end, state.size(), state.writer.max_timestamp().0))
        };
        let growing = segments.last().cloned().expect("a log has a growing segment");
        let excess = i64::try_from(size).unwrap_or(i64::MAX).saturating_sub(config.retention_bytes.max(0));
        let mut judge =
            Judge { log: self, config: &config, now_ms, start, high_watermark, excess, growing: (growing, newest) };
        let mut count = 0;
        for (index, segment) in segments.iter().enumerate() {
            let segment_end = segments.get(index + 1).map_or(end, |next| next.base_offset);
            if !judge.expired(segment, segment_end)? {
                break;
            }
            count += 1;
        }
        if count == segments.len() && !self.roll_for_retention(end, now_ms)? {
            count -= 1;
        }
        let mut retained = Retained::default();
        for segment in segments.iter().take(count) {
            self.remove_oldest(segment, now_ms)?;
            retained.segments += 1;
            retained.bytes += segment.size();
        }
        Ok(retained)
    }

    /// Begins a new segment so that the growing one can go. False when something was appended since it was judged.
    fn roll_for_retention(&self, end: i64, now_ms: i64) -> Result<bool, LogError> {
        let mut state = self.state.lock();
        if state.end != end {
            return Ok(false);
        }
        let nothing = Addition { base_offset: end, last_offset: end, max_timestamp: -1, bytes: 0 };
        let rolled = self.roll(&mut state, &nothing, now_ms);
        rolled.map_err(|error| match error {
            crate::error::AppendError::Io(error) => LogError::Io(error),
            other => LogError::Io(io::Error::other(other)),
        })?;
        drop(state);
        self.mark.mark();
        Ok(true)
    }

    /// Takes the oldest segment out of the log. Durable before the next one goes, so that a crash leaves no gap.
    fn remove_oldest(&self, segment: &Arc<Segment>, now_ms: i64) -> Result<(), LogError> {
        let disk = self.resources.disk();
        let renamed = segment.rename(&self.dir, Suffix::Deleted).and_then(|()| disk.sync_dir(&self.dir));
        renamed.map_err(|error| self.poison("removing a segment", error))?;
        let mut state = self.state.lock();
        state.sealed.remove(&segment.base_offset);
        state.unproven.retain(|unproven| !Arc::ptr_eq(unproven, segment));
        let first = state.segments().next().map_or(state.end, |first| first.base_offset);
        state.start = state.start.max(first);
        state.first_dirty = state.first_dirty.max(state.start);
        let start = state.start;
        state.epochs.truncate_start(start);
        self.doom(&mut state, segment.clone(), now_ms);
        self.drop_snapshots(&mut state)?;
        self.publish(&state);
        Ok(())
    }

    /// Lets the files of a segment, renamed already, go after the delay.
    pub(super) fn doom(&self, state: &mut State, segment: Arc<Segment>, now_ms: i64) {
        let due_ms = now_ms.saturating_add(state.config.file_delete_delay_ms);
        state.doomed.push_back(Doomed { due_ms, segment });
    }

    /// Removes files of segments that were removed `file.delete.delay.ms` ago. The number of files. Blocks.
    pub fn purge(&self, now_ms: i64) -> Result<usize, LogError> {
        let due: VecDeque<Doomed> = {
            let mut state = self.state.lock();
            let (due, waiting) =
                std::mem::take(&mut state.doomed).into_iter().partition(|doomed| doomed.due_ms <= now_ms);
            state.doomed = waiting;
            due
        };
        let mut removed = 0;
        for doomed in due {
            removed += doomed.segment.remove()?;
        }
        Ok(removed)
    }
}
