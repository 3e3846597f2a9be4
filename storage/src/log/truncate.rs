//! Truncation: what a follower (or Raft) does with records that its leader does not have.
//!
//! What is cut off is durably gone before anything else is appended. Otherwise a crash could bring an old batch back behind
//! new ones: it is whole, its CRC is right, and its offset fits.

use std::{io, sync::Arc};

use super::{
    Log, OpenOptions,
    open::Loader,
    recovery::Trust,
    replay::{self, Snapshots},
    state::State,
};
use crate::{
    block_on::block_on,
    cache::tail::Tail,
    error::{LogError, OpenError, ReadError},
    producer::state::ProducerState,
    segment::{
        Segment,
        cursor::HEADER_WINDOW,
        format::Suffix,
        writer::{IndexBuilder, SegmentWriter},
    },
};

impl Log {
    /// Removes everything from `offset` on: afterwards the log ends there, or at the begin of the batch that held it. Below the
    /// log start it is [`Self::truncate_fully_and_start_at`]. Durable when it returns. Blocks.
    pub fn truncate_to(&self, offset: i64) -> Result<(), LogError> {
        let _structure = self.structure.lock();
        let (start, end, recovery_point) = {
            let state = self.state.lock();
            self.writable(&state)?;
            (state.start, state.end, state.recovery_point)
        };
        if offset >= end {
            return Ok(());
        }
        if offset < start {
            return self.restart_at(offset);
        }
        if offset < recovery_point {
            self.checkpoints.lower_recovery_point(&self.name, offset)?;
        }
        let mut state = self.state.lock();
        let cut = self.cut(&mut state, offset);
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
        let restarted = self.remove_all(&mut state, offset);
        self.publish(&state);
        restarted.map_err(|error| LogError::Io(self.poison("truncation", error)))
    }

    fn remove_all(&self, state: &mut State, offset: i64) -> io::Result<()> {
        self.doom_from(state, i64::MIN)?;
        state.writer = self.new_segment(state, offset)?;
        (state.start, state.first_dirty) = (offset, offset);
        state.epochs.truncate_end(i64::MIN);
        state.producers = ProducerState::default();
        let dir = self.resources.disk();
        super::files::remove_snapshots(dir.as_ref(), &self.dir, &mut state.snapshots, |_| true)?;
        state.unsynced.clear();
        self.truncated(state, offset)
    }

    fn cut(&self, state: &mut State, offset: i64) -> io::Result<()> {
        // What stays may be unsynced; afterwards only the cut itself is.
        for unsynced in std::mem::take(&mut state.unsynced) {
            unsynced.file.sync_now()?;
        }
        let growing = state.writer.segment.clone();
        let last_kept = state.sealed.range(..offset).next_back().map(|(_, segment)| segment.clone());
        let last_kept = if growing.base_offset < offset { Some(growing) } else { last_kept };
        let position = match &last_kept {
            Some(segment) => Some(self.position_of(state, segment, offset)?),
            None => None,
        };
        self.doom_from(state, offset)?;
        let (writer, end) = match last_kept.zip(position) {
            Some((segment, position)) => self.shorten(state, &segment, position)?,
            None => (self.new_segment(state, offset)?, offset),
        };
        state.sealed.remove(&writer.segment.base_offset);
        state.writer = writer;
        state.epochs.truncate_end(end);
        let disk = self.resources.disk().as_ref();
        super::files::remove_snapshots(disk, &self.dir, &mut state.snapshots, |snapshot| snapshot > end)?;
        state.end = end;
        let (from, producers) = replay::load_snapshot(disk, &self.dir, state, Snapshots::Newest { at_most: end })?;
        state.producers = producers;
        replay::replay(&self.resources, state, from, end)?;
        self.truncated(state, end)
    }

    /// Where the batch with an offset begins, or the first one behind it.
    fn position_of(&self, state: &State, segment: &Arc<Segment>, offset: i64) -> io::Result<u64> {
        let reader = self.reader(&state.config);
        let found = block_on(async {
            let view = if Arc::ptr_eq(segment, &state.writer.segment) {
                state.writer_view()
            } else {
                reader.view(segment).await?
            };
            let mut cursor = reader.seek(&view, offset, HEADER_WINDOW).await?;
            loop {
                let position = cursor.position();
                match cursor.next().await {
                    Ok(Some(found)) if found.header.last_offset() < offset => {}
                    Ok(_) => return Ok(position),
                    Err(error) => return Err(ReadError::Io(io::Error::other(error))),
                }
            }
        });
        found.map_err(io::Error::other)
    }

    /// Takes the segments that begin at or behind an offset out of the log, the last one first, so that what a crash leaves has
    /// no gap. Their files are removed at once: nobody may read what was truncated.
    fn doom_from(&self, state: &mut State, offset: i64) -> io::Result<()> {
        let segments: Vec<Arc<Segment>> = state.segments().cloned().collect();
        let disk = self.resources.disk();
        for segment in segments.iter().rev().filter(|segment| segment.base_offset >= offset) {
            segment.rename(&self.dir, Suffix::Deleted)?;
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
        if state.config.preallocate {
            file.preallocate(state.config.segment_limit())?;
        }
        file.sync_now()?;
        let builder = IndexBuilder::new(base_offset, state.config.index_interval_bytes);
        Ok(SegmentWriter::new(Arc::new(segment), builder, (0, 0), state.writer.created_ms))
    }

    /// The log ends at `end` now, all of it synced.
    fn truncated(&self, state: &mut State, end: i64) -> io::Result<()> {
        self.resources.disk().sync_dir(&self.dir)?;
        state.tail = Tail::default();
        state.changes += 1;
        state.truncated_at = state.changes;
        (state.end, state.durable, state.synced) = (end, end, end);
        state.recovery_point = state.recovery_point.min(end);
        state.first_dirty = state.first_dirty.min(end);
        (state.unsynced_since_ms, state.flushing) = (None, false);
        Ok(())
    }
}
