//! Reads by offset: which segment, which bounds. The bytes come from the tail in memory or from [`super::slice`].

use std::sync::{Arc, atomic::Ordering};

use super::{
    Log, LogSlice,
    slice::{Pending, Place},
    state::State,
};
use crate::{
    config::LogConfig,
    error::ReadError,
    segment::{
        Segment,
        reader::{Range, Reader},
    },
};

impl Log {
    pub(super) fn plan_read(
        self: &Arc<Self>,
        offset: i64,
        max_bytes: usize,
        upper_bound: i64,
        min_one_batch: bool,
    ) -> Result<LogSlice, ReadError> {
        let mut state = self.state.lock();
        check_range(&state, offset)?;
        state.tail.was_read();
        let upper_bound = upper_bound.min(state.end);
        if offset >= upper_bound {
            return Ok(LogSlice::memory(Vec::new(), 0));
        }
        let pinned = state.pinned();
        state.tail.drop_below(self.resources.tails.floor(), pinned);
        if let Some((chunks, len)) = state.tail.read(offset, max_bytes, upper_bound, min_one_batch, pinned) {
            self.resources.reads.tail.fetch_add(len as u64, Ordering::Relaxed);
            return Ok(LogSlice::memory(chunks, len));
        }
        let upper_bound = upper_bound.min(state.written);
        let range = Range { offset, upper_bound, max_bytes, min_one_batch };
        Ok(LogSlice::disk(self.pending(&state, range)))
    }

    /// A read from the disk, planned anew.
    pub(super) fn plan_disk_read(self: Arc<Self>, range: Range) -> Result<Pending, ReadError> {
        let state = self.state.lock();
        check_range(&state, range.offset)?;
        Ok(self.pending(&state, range))
    }

    fn pending(self: &Arc<Self>, state: &State, range: Range) -> Pending {
        let segment = state.segment_at(range.offset);
        Pending { log: self.clone(), range, place: place(state, segment), cold: false }
    }

    /// Where a read at an offset goes on that found nothing in a segment: in the one behind it, or, when compaction has replaced it
    /// meanwhile, in what is there now.
    pub(super) fn segment_behind(&self, segment: &Arc<Segment>, offset: i64) -> Option<Place> {
        let state = self.state.lock();
        let live = state.segments().any(|live| Arc::ptr_eq(live, segment));
        let next = if live { state.segment_after(segment.base_offset)? } else { state.segment_at(offset) };
        Some(place(&state, next))
    }

    pub(super) fn reader<'a>(&'a self, config: &LogConfig) -> Reader<'a> {
        Reader {
            blocks: &self.resources.blocks,
            interval: config.index_interval_bytes,
            max_decompressed: config.max_decompressed_bytes,
        }
    }
}

fn check_range(state: &State, offset: i64) -> Result<(), ReadError> {
    if offset < state.start || offset > state.end {
        return Err(ReadError::OutOfRange { offset, start: state.start, end: state.end });
    }
    Ok(())
}

fn place(state: &State, segment: Arc<Segment>) -> Place {
    let end_offset = match state.segment_after(segment.base_offset) {
        Some(next) => next.base_offset.min(state.written),
        None => state.written,
    };
    Place { view: state.growing_view(&segment), segment, end_offset }
}
