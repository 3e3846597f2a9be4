//! Truncation: what a follower (or Raft) does with records that its leader does not have.
//!
//! What is cut off is durably gone before anything else is appended. Otherwise a crash could bring an old batch back behind
//! new ones: it is whole, its CRC is right, and its offset fits.

use std::{io, sync::Arc};

use super::{Log, OpenOptions, files, open::Loader, recovery::Trust, replay, state::State};
use crate::{
    block_on::block_on,
    cache::tail::Tail,
    error::{LogError, OpenError, ReadError},
    io::is_refusal,
    producer::state::ProducerState,
    segment::{
        Segment,
        cursor::HEADER_WINDOW,
        format::Suffix,
        reader::{View, damage},
        writer::{IndexBuilder, SegmentWriter},
    },
};

/// Where a log is cut.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Base offset of the segment.
    segment: i64,
    position: u64,
    /// Nothing at or behind it stays.
    offset: i64,
}

impl Log {
    /// Removes everything from `offset` on: afterwards the log ends there, or at the begin of the batch that held it. Where that is
    /// below the log start, nothing readable is left, and the log begins and ends at its start. An offset below the log start is
    /// [`Self::truncate_fully_and_start_at`]. Durable when it returns. Blocks.
    pub fn truncate_to(&self, offset: i64) -> Result<(), LogError> {
        let _structure = self.structure.lock();
        let (start, end, recovery_point, segment, view) = {
            let mut state = self.state.lock();
            self.writable(&state)?;
            self.settle_fully(&mut state)?;
            let segment = state.segment_at(offset);
            let view = Arc::ptr_eq(&segment, &state.writer.segment).then(|| state.writer_view());
            (state.start, state.end, state.recovery_point, segment, view)
        };
        if offset >= end {
            return Ok(());
        }
        if offset < start {
            return self.restart_at(offset);
        }
        // The batch that holds the offset goes as a whole: what is appended begins below `offset`.
        let cut = self.place_of(&segment, view, offset)?;
        if cut.offset < start {
            return self.restart_at(start);
        }
        if cut.offset < recovery_point {
            self.checkpoints.lower_recovery_point(&self.name, cut.offset)?;
        }
        self.forget_epochs(cut.offset)?;
        let mut state = self.state.lock();
        self.settle_fully(&mut state)?;
        let cut = self.cut(&mut state, cut).and_then(|()| {
            // The batch before may end below, where offsets have gaps.
            self.checkpoints.lower_recovery_point(&self.name, state.end)?;
            if state.end < start { self.remove_all(&mut state, start) } else { Ok(()) }
        });
        self.publish(&state);
        cut.map_err(|error| LogError::Io(self.poison("truncation", error)))
    }

    /// Removes everything; the next record gets `offset`, which is the log start offset as well. Blocks.
    pub fn truncate_fully_and_start_at(&self, offset: i64) -> Result<(), LogError> {
        let _structure = self.structure.lock();
        self.writable(&self.state.lock())?;
        self.restart_at(offset)
    }

    fn restart_at(&self, offset: i64) -> Result<(), LogError> {
        self.checkpoints.lower_recovery_point(&self.name, offset)?;
        let mut state = self.state.lock();
        self.settle_fully(&mut state)?;
        let restarted = self.remove_all(&mut state, offset);
        self.publish(&state);
        restarted.map_err(|error| LogError::Io(self.poison("truncation", error)))
    }

    /// The file of the epochs never names one that is no longer in the log: a start believes it. The other way round, that a crash
    /// comes between, does no harm: the epochs of what is still there are found again behind the recovery point.
    fn forget_epochs(&self, from: i64) -> Result<(), LogError> {
        let mut epochs = {
            let mut state = self.state.lock();
            state.epochs_on_disk = None;
            state.epochs.clone()
        };
        let known = epochs.entries().len();
        epochs.truncate_end(from);
        if epochs.entries().len() == known {
            return Ok(());
        }
        let written = files::write_epochs(self.resources.disk().as_ref(), &self.dir, &epochs);
        written.map_err(|error| LogError::Io(if is_refusal(&error) { error } else { self.poison("truncation", error) }))
    }

    fn remove_all(&self, state: &mut State, offset: i64) -> io::Result<()> {
        let ended = self.end_history(state)?;
        self.void_journal(ended.next)?;
        state.epochs.truncate_end(i64::MIN);
        state.epochs_on_disk = None;
        files::write_epochs(self.resources.disk().as_ref(), &self.dir, &state.epochs)?;
        self.doom_from(state, i64::MIN)?;
        state.writer = self.new_segment(state, offset)?;
        (state.start, state.first_dirty) = (offset, offset);
        state.producers = ProducerState::default();
        let dir = self.resources.disk();
        files::remove_snapshots(dir.as_ref(), &self.dir, &mut state.snapshots, |_| true)?;
        state.unsynced.clear();
        self.truncated(state, offset)
    }

    fn cut(&self, state: &mut State, place: Place) -> io::Result<()> {
        // What stays may be unsynced; afterwards only the cut itself is.
        for unsynced in std::mem::take(&mut state.unsynced) {
            unsynced.file.sync_now()?;
        }
        let ended = self.end_history(state)?;
        self.leave_journal(&ended)?;
        // The first segment stays, if only to say where the log begins.
        let first = state.segments().next().map_or(place.offset, |segment| segment.base_offset);
        let gone = if first == place.offset { place.offset.saturating_add(1) } else { place.offset };
        self.doom_from(state, gone)?;
        let last_kept = state.segments().filter(|segment| segment.base_offset < gone).last().cloned();
        let (writer, end) = match last_kept {
            Some(segment) => {
                let position = if segment.base_offset == place.segment { place.position } else { segment.size() };
                self.shorten(state, &segment, position)?
            }
            None => (self.new_segment(state, place.offset)?, place.offset),
        };
        state.sealed.remove(&writer.segment.base_offset);
        state.writer = writer;
        state.epochs.truncate_end(end);
        let disk = self.resources.disk().as_ref();
        files::remove_snapshots(disk, &self.dir, &mut state.snapshots, |snapshot| snapshot > end)?;
        state.end = end;
        let first = state.segments().next().map_or(end, |segment| segment.base_offset);
        let (from, producers) = replay::load_snapshot(disk, &self.dir, state, first, end)?;
        state.producers = producers;
        replay::replay(&self.resources, state, from, end)?;
        self.truncated(state, end)
    }

    /// Where the batch with an offset begins, or the first one behind it.
    fn place_of(&self, segment: &Arc<Segment>, view: Option<View>, offset: i64) -> Result<Place, LogError> {
        let config = self.config();
        let reader = self.reader(&config);
        let found: Result<Place, ReadError> = block_on(async {
            let view = match view {
                Some(view) => view,
                None => reader.view(segment).await?,
            };
            let mut cursor = reader.seek(&view, offset, HEADER_WINDOW).await?;
            loop {
                let position = cursor.position();
                let place = |offset| Place { segment: segment.base_offset, position, offset };
                match cursor.next().await {
                    Ok(Some(found)) if found.header.last_offset() < offset => {}
                    Ok(Some(found)) => return Ok(place(found.header.base_offset.min(offset))),
                    Ok(None) => return Ok(place(offset)),
                    Err(error) => return Err(damage(segment, offset, error)),
                }
            }
        });
        Ok(found?)
    }

    /// Takes the segments that begin at or behind an offset out of the log, the last one first, so that what a crash leaves has
    /// no gap. Their files are removed at once: nobody may read what was truncated.
    fn doom_from(&self, state: &mut State, offset: i64) -> io::Result<()> {
        let segments: Vec<Arc<Segment>> = state.segments().cloned().collect();
        let disk = self.resources.disk();
        for segment in segments.iter().rev().filter(|segment| segment.base_offset >= offset) {
            segment.rename_deleted(&self.dir)?;
            disk.sync_dir(&self.dir)?;
            segment.remove()?;
            state.sealed.remove(&segment.base_offset);
            state.unproven.retain(|unproven| !Arc::ptr_eq(unproven, segment));
        }
        Ok(())
    }

    /// Cuts a segment, which becomes the growing one.
    fn shorten(&self, state: &State, segment: &Arc<Segment>, position: u64) -> io::Result<(SegmentWriter, i64)> {
        let file = segment.log.get()?;
        file.truncate(position)?;
        segment.reserve(&state.config)?;
        file.sync_now()?;
        segment.close();
        for slot in [&segment.log, &segment.offset_index, &segment.time_index, &segment.txn_index] {
            slot.content_changed();
        }
        segment.set_facts(None);
        segment.set_size(position);
        let options = OpenOptions {
            dir: self.dir.clone(),
            topic_id: None,
            config: state.config.as_ref().clone(),
            clean: true,
            recovery_point: None,
            log_start_offset: state.start,
            first_dirty_offset: 0,
        };
        let loader = Loader { resources: &self.resources, options: &options, now_ms: state.writer.created_ms };
        let trust = Trust { below: i64::MAX, cut_from: i64::MAX };
        let scanned = loader.scan(segment.clone(), trust, &mut state.epochs.clone());
        let mut scanned = scanned.map_err(|error| match error {
            OpenError::Io(error) => error,
            other => io::Error::other(other),
        })?;
        scanned.writer.write_indexes()?;
        segment.offset_index.get()?.sync_now()?;
        segment.time_index.get()?.sync_now()?;
        Ok((scanned.writer, scanned.end))
    }

    fn new_segment(&self, state: &State, base_offset: i64) -> io::Result<SegmentWriter> {
        let segment = Segment::new(&self.resources.files, &self.dir, base_offset, 0, Suffix::None);
        let file = segment.log.get_or_create()?;
        file.truncate(0)?;
        segment.reserve(&state.config)?;
        file.sync_now()?;
        let builder = IndexBuilder::new(base_offset, state.config.index_interval_bytes);
        Ok(SegmentWriter::new(Arc::new(segment), builder, (0, 0), state.writer.created_ms))
    }

    /// The log ends at `end` now, all of it synced.
    fn truncated(&self, state: &mut State, end: i64) -> io::Result<()> {
        self.resources.disk().sync_dir(&self.dir)?;
        state.tail = Tail::default();
        state.staging.clear();
        state.changes += 1;
        state.truncated_at = state.changes;
        (state.end, state.written, state.durable, state.synced) = (end, end, end, end);
        state.recovery_point = state.recovery_point.min(end);
        if state.durable_snapshot > end {
            state.durable_snapshot = -1;
        }
        state.first_dirty = state.first_dirty.min(end);
        (state.unsynced_since_ms, state.flushing) = (None, false);
        Ok(())
    }
}
