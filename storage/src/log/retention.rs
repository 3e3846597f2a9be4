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
    io::is_out_of_descriptors,
    segment::{Segment, writer::Addition},
};

/// A log as retention sees it.
struct Survey {
    config: Arc<LogConfig>,
    /// All segments with their ends, the growing one last.
    segments: Vec<(Arc<Segment>, i64)>,
    start: i64,
    end: i64,
    size: u64,
    /// Greatest timestamp of the growing segment.
    newest: i64,
    /// Offset of the newest durable producer snapshot.
    snapshot: i64,
}

impl Survey {
    /// How many segments may go, from the oldest on.
    fn expired(&self, log: &Log, now_ms: i64, high_watermark: i64) -> Result<usize, LogError> {
        let mut excess =
            i64::try_from(self.size).unwrap_or(i64::MAX).saturating_sub(self.config.retention_bytes.max(0));
        for (index, (segment, end)) in self.segments.iter().enumerate() {
            let growing = index + 1 == self.segments.len();
            let size = i64::try_from(segment.size()).unwrap_or(i64::MAX);
            let by_size = self.config.retention_bytes >= 0 && excess >= size;
            let due = *end <= self.start
                || (self.config.cleanup_policy.delete && (by_size || self.too_old(log, segment, growing, now_ms)?));
            if !due || *end > high_watermark || (growing && size == 0) {
                return Ok(index);
            }
            excess = excess.saturating_sub(size);
        }
        Ok(self.segments.len())
    }

    fn too_old(&self, log: &Log, segment: &Arc<Segment>, growing: bool, now_ms: i64) -> Result<bool, LogError> {
        if self.config.retention_ms < 0 {
            return Ok(false);
        }
        let newest =
            if growing { self.newest } else { block_on(log.reader(&self.config).view(segment))?.facts.max_timestamp };
        // Records without timestamps have no age.
        Ok(newest >= 0 && now_ms.saturating_sub(newest) > self.config.retention_ms)
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
            self.publish(&state);
        }
        Ok(state.start)
    }

    /// Removes segments that retention by time, size or start offset allows to go, none at or above the high watermark. Segments
    /// whose records carry no timestamps have no age. Blocks.
    pub fn retain(&self, now_ms: i64, high_watermark: i64) -> Result<Retained, LogError> {
        if let Some(retained) = self.try_retain(now_ms, high_watermark, false)? {
            return Ok(retained);
        }
        self.checkpoint(now_ms)?;
        Ok(self.try_retain(now_ms, high_watermark, true)?.unwrap_or_default())
    }

    /// `None` when a checkpoint is due first: what is known of producers must outlive their records, so there has to be a durable
    /// snapshot from behind the segments that go. After one, segments that it does not cover stay.
    fn try_retain(&self, now_ms: i64, high_watermark: i64, checkpointed: bool) -> Result<Option<Retained>, LogError> {
        let _structure = self.structure.lock();
        let survey = self.survey()?;
        let mut count = survey.expired(self, now_ms, high_watermark)?;
        let covered = survey.segments.iter().take_while(|(_, end)| *end <= survey.snapshot).count();
        if count > covered {
            if !checkpointed {
                return Ok(None);
            }
            count = covered;
        }
        if count == survey.segments.len() && !self.roll_for_retention(survey.end, now_ms)? {
            count -= 1;
        }
        let mut retained = Retained::default();
        for (segment, _) in survey.segments.iter().take(count) {
            self.remove_oldest(segment, now_ms)?;
            retained.segments += 1;
            retained.bytes += segment.size();
        }
        Ok(Some(retained))
    }

    fn survey(&self) -> Result<Survey, LogError> {
        let state = self.state.lock();
        self.writable(&state)?;
        let ends = state.segments().skip(1).map(|segment| segment.base_offset).chain(std::iter::once(state.end));
        Ok(Survey {
            config: state.config.clone(),
            segments: state.segments().cloned().zip(ends).collect(),
            start: state.start,
            end: state.end,
            size: state.size(),
            newest: state.writer.max_timestamp().0,
            snapshot: state.durable_snapshot,
        })
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
        self.remove_doomed_of(std::iter::once(segment.base_offset))?;
        let renamed = segment.rename_deleted(&self.dir).and_then(|()| disk.sync_dir(&self.dir));
        renamed.map_err(|error| match is_out_of_descriptors(&error) {
            // It is renamed and still there: the next run goes on.
            true => error,
            false => self.poison("removing a segment", error),
        })?;
        let mut state = self.state.lock();
        state.sealed.remove(&segment.base_offset);
        state.unproven.retain(|unproven| !Arc::ptr_eq(unproven, segment));
        let first = state.segments().next().map_or(state.end, |first| first.base_offset);
        state.start = state.start.max(first);
        state.first_dirty = state.first_dirty.max(state.start);
        // Not up to the start: that may fall back to here in a crash.
        state.epochs.truncate_start(first);
        self.doom(&mut state, segment.clone(), now_ms);
        self.drop_snapshots(&mut state);
        self.publish(&state);
        Ok(())
    }

    /// Lets the files of a segment, renamed already, go after the delay.
    pub(super) fn doom(&self, state: &mut State, segment: Arc<Segment>, now_ms: i64) {
        let due_ms = now_ms.saturating_add(state.config.file_delete_delay_ms);
        state.doomed.push_back(Doomed { due_ms, segment });
    }

    /// Removes the files of segments of these base offsets that wait for their end: others are about to take their names.
    pub(super) fn remove_doomed_of(&self, base_offsets: impl Iterator<Item = i64>) -> io::Result<()> {
        for base_offset in base_offsets {
            let doomed = std::mem::take(&mut self.state.lock().doomed);
            let (same, others): (VecDeque<_>, VecDeque<_>) =
                doomed.into_iter().partition(|doomed| doomed.segment.base_offset == base_offset);
            self.state.lock().doomed.extend(others);
            for doomed in same {
                doomed.segment.remove()?;
            }
        }
        Ok(())
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
