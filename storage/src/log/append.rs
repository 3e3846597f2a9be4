//! Appends: offsets are assigned, producers checked, bytes written, indexes kept in step; all under the log's lock.

use std::{
    io::{self, IoSlice},
    sync::Arc,
};

use bytes::Bytes;
use goatq_protocol::record::{Batch, TimestampType, control};

use super::{AppendOptions, Appended, Log, Origin, state::State};
use crate::{
    cache::tail,
    error::AppendError,
    io::{DiskFile, is_out_of_descriptors, is_refusal},
    producer::state::{EndMarker, Stage},
    segment::{
        Segment,
        format::Suffix,
        relative,
        writer::{Addition, IndexBuilder, SegmentWriter},
    },
};

/// What is left to do once the lock is given back.
#[derive(Debug, Default)]
struct Afterwards {
    sync: bool,
    sweep: bool,
    bytes: u64,
}

/// The marker that a batch is; `None` for all other batches, and for markers nobody can read.
pub(super) fn end_marker(batch: &Batch) -> Option<EndMarker> {
    let marker = control::end_txn_marker(batch).ok().flatten()?;
    Some(EndMarker { commit: marker.committed, coordinator_epoch: marker.coordinator_epoch })
}

impl Log {
    pub(super) fn append_batches(&self, batches: Vec<Batch>, options: AppendOptions) -> Result<Appended, AppendError> {
        let mut afterwards = Afterwards::default();
        let result = {
            let mut state = self.state.lock();
            let result = self.append_locked(&mut state, batches, options, &mut afterwards);
            self.publish(&state);
            result
        };
        if afterwards.sync {
            self.mark.mark();
        }
        if afterwards.bytes > 0 {
            self.health().appended(afterwards.bytes);
        }
        if afterwards.sweep {
            self.resources.sweep_tails();
        }
        result
    }

    fn append_locked(
        &self,
        state: &mut State,
        mut batches: Vec<Batch>,
        options: AppendOptions,
        afterwards: &mut Afterwards,
    ) -> Result<Appended, AppendError> {
        self.admit(state, &batches, options.origin)?;
        let base_offset = match options.origin {
            Origin::Replication => batches[0].header().base_offset,
            _ => state.end,
        };
        let mut rest = &mut batches[..];
        while !rest.is_empty() {
            let count = if options.origin == Origin::Replication { run_length(state, rest) } else { rest.len() };
            let (run, behind) = rest.split_at_mut(count);
            if let Some(duplicate) = self.append_run(state, run, options, afterwards)? {
                return Ok(duplicate);
            }
            rest = behind;
        }
        let last = batches.last().expect("an append without batches was refused").header();
        let stamped = options.origin != Origin::Replication && last.timestamp_type() == TimestampType::LogAppendTime;
        Ok(Appended {
            base_offset,
            last_offset: last.last_offset(),
            log_append_time_ms: if stamped { last.max_timestamp } else { -1 },
            log_start_offset: state.start,
            duplicate: false,
        })
    }

    /// Refuses what cannot be appended whatever the batches say.
    fn admit(&self, state: &State, batches: &[Batch], origin: Origin) -> Result<(), AppendError> {
        if self.health().is_poisoned() {
            return Err(AppendError::Poisoned);
        }
        if state.closed {
            return Err(AppendError::Closed);
        }
        if batches.is_empty() {
            return Err(AppendError::Malformed("no batches"));
        }
        if (origin == Origin::Client && !self.health().has_room()) || state.staging.is_stuck() {
            return Err(AppendError::OutOfSpace);
        }
        let sizes = batches.iter().map(|batch| batch.size() as u64);
        // The leader has let a replicated batch pass, under settings that may have changed; positions must hold it anyway.
        let (size, limit) = match origin {
            Origin::Replication => (sizes.max().unwrap_or(0), i32::MAX as u64),
            _ => (sizes.sum(), state.config.segment_limit()),
        };
        if size > limit { Err(AppendError::TooLarge { size, limit }) } else { Ok(()) }
    }

    /// Appends batches that go to one segment. The earlier append if the run is a repetition.
    fn append_run(
        &self,
        state: &mut State,
        run: &mut [Batch],
        options: AppendOptions,
        afterwards: &mut Afterwards,
    ) -> Result<Option<Appended>, AppendError> {
        let mut stage = state.producers.stage(options.origin);
        let mut next = state.end;
        for batch in run.iter_mut() {
            if let Some(duplicate) = find_duplicate(&stage, batch, options.origin, state.start) {
                return Ok(Some(duplicate));
            }
            place(batch, next, options)?;
            let marker = if batch.header().is_control() { end_marker(batch) } else { None };
            stage.add(batch.header(), marker)?;
            next = batch.header().next_offset();
        }
        let changes = stage.finish();
        let addition = Addition::of(run);
        if relative(addition.base_offset, addition.last_offset).is_none() {
            return Err(AppendError::Malformed("offsets too far apart for one segment"));
        }
        if state.writer.must_roll(&state.config, state.jitter_ms(self.hash), options.now_ms, &addition) {
            self.roll(state, &addition, options.now_ms)?;
            afterwards.sync = true;
        }
        let kept: Vec<[Bytes; 2]> = run.iter().map(|batch| tail::owned(batch.to_chunks())).collect();
        let written = self.write(state, run, &kept, options.now_ms)?;
        afterwards.bytes += addition.bytes;
        state.end = next;
        let pinned = if written { i64::MAX } else { state.written };
        for (batch, chunks) in run.iter().zip(kept) {
            let header = batch.header();
            state.epochs.assign(header.partition_leader_epoch, header.base_offset);
            let offsets = (header.base_offset, header.last_offset());
            afterwards.sweep |= state.tail.push(&self.resources.tails, offsets, chunks, pinned);
        }
        let aborted = state.producers.apply(changes);
        if !aborted.is_empty() {
            state
                .writer
                .segment
                .add_aborted(&aborted)
                .map_err(|error| self.poison("write of a transaction index", error))?;
        }
        afterwards.sync |= state.appended();
        Ok(None)
    }

    /// Writes the bytes of batches at the end of the growing segment, or takes them on for later, and takes them into its indexes.
    /// `kept` are their bytes. Whether they are in the file.
    fn write(&self, state: &mut State, run: &[Batch], kept: &[[Bytes; 2]], now_ms: i64) -> Result<bool, AppendError> {
        Self::settle_start(state, now_ms)?;
        if self.is_to_stage(state, run.iter().map(|batch| batch.size() as u64).sum()) {
            self.stage(state, run, kept, now_ms)?;
            return Ok(false);
        }
        let file = state.writer.segment.log.get()?;
        let slices: Vec<IoSlice<'_>> = run.iter().flat_map(Batch::chunks).map(IoSlice::new).collect();
        let position = state.writer.size();
        file.write_at(&slices, position).map_err(|error| self.undo_write(file.as_ref(), position, error))?;
        state.changes += 1;
        state.mark_unsynced(&file, now_ms);
        for batch in run {
            let position = state.writer.size();
            match state.writer.added(position, batch.header()) {
                // The entries stay in memory until there is room.
                Err(error) if !is_refusal(&error) => return Err(self.poison("write of an index", error).into()),
                _ => {}
            }
            state.unproven_bytes = state.unproven_bytes.saturating_add(batch.size() as u64);
        }
        Ok(true)
    }

    /// The first append after a start sees to it that where the segment ended is synced with it, if the start did not have to.
    fn settle_start(state: &mut State, now_ms: i64) -> io::Result<()> {
        if state.unsettled {
            let file = state.writer.segment.log.get()?;
            state.unsettled = false;
            state.mark_unsynced(&file, now_ms);
        }
        Ok(())
    }

    /// After a failed write: a full disk takes nothing away, so the file is cut back to what it was; anything else is the end.
    fn undo_write(&self, file: &dyn DiskFile, position: u64, error: io::Error) -> AppendError {
        if is_refusal(&error) && file.truncate(position).is_ok() {
            return AppendError::OutOfSpace;
        }
        self.poison("append", error).into()
    }

    /// Seals the growing segment and begins the next one, with the addition as its first content. The log is as it was when that
    /// fails for want of room or descriptors.
    pub(super) fn roll(&self, state: &mut State, addition: &Addition, now_ms: i64) -> Result<(), AppendError> {
        Self::settle_start(state, now_ms)?;
        // If it can be: nothing is held up otherwise.
        self.settle(state).map_err(refused)?;
        let mut base_offset = state.end;
        if relative(base_offset, addition.last_offset).is_none() {
            base_offset = addition.base_offset;
        }
        let segment = Segment::new(&self.resources.files, &self.dir, base_offset, 0, Suffix::None);
        let [file, dir] = match self.prepare_roll(state, &segment) {
            Ok(unsynced) => unsynced,
            Err(error) => {
                segment.remove().map_err(|error| self.poison("removing an unused segment", error))?;
                return Err(refused(error));
            }
        };
        let builder = IndexBuilder::new(base_offset, state.config.index_interval_bytes);
        let writer = SegmentWriter::new(segment.into(), builder, (0, 0), now_ms);
        let old = std::mem::replace(&mut state.writer, writer);
        if old.size() > 0 {
            state.unproven.push(old.segment.clone());
            state.sealed.insert(old.segment.base_offset, old.segment);
        } else {
            // An empty segment that could not take the batch because its offsets are too far on.
            old.segment.remove().map_err(|error| self.poison("removing an empty segment", error))?;
        }
        state.changes += 1;
        state.mark_unsynced(&file, now_ms);
        state.mark_unsynced(&dir, now_ms);
        state.sync_wanted = true;
        Ok(())
    }

    /// Everything about a roll that can fail harmlessly: the new file, the rest of the old indexes, the producer snapshot. What is
    /// to be synced: the new file and the directory.
    fn prepare_roll(&self, state: &mut State, segment: &Segment) -> io::Result<[Arc<dyn DiskFile>; 2]> {
        let file = segment.log.get_or_create()?;
        let dir = self.resources.disk().open_dir(&self.dir)?;
        file.truncate(0)?;
        segment.reserve(&state.config)?;
        let sealed = state.writer.seal();
        sealed.map_err(|error| if is_refusal(&error) { error } else { self.poison("write of an index", error) })?;
        match self.write_snapshot(state.end, &state.producers) {
            Ok(()) => drop(state.snapshots.insert(state.end)),
            // It only saves time.
            Err(error) if is_refusal(&error) => {}
            Err(error) => return Err(self.poison("producer snapshot", error)),
        }
        Ok([file, dir])
    }
}

/// What an append is told that changed nothing.
fn refused(error: io::Error) -> AppendError {
    let is_full = is_refusal(&error) && !is_out_of_descriptors(&error);
    if is_full { AppendError::OutOfSpace } else { error.into() }
}

/// Sets offsets and epoch, or checks those that replication brings.
fn place(batch: &mut Batch, next: i64, options: AppendOptions) -> Result<(), AppendError> {
    if options.origin != Origin::Replication {
        if batch.header().last_offset_delta < 0 {
            return Err(AppendError::Malformed("a negative span of offsets"));
        }
        let assigned = batch.assign(next, options.leader_epoch);
        return assigned.map_err(|_| AppendError::Malformed("the log has no offsets left"));
    }
    let header = batch.header();
    if header.base_offset < next {
        return Err(AppendError::UnexpectedOffset { got: header.base_offset, end: next });
    }
    let last = header.base_offset.checked_add(i64::from(header.last_offset_delta));
    if header.last_offset_delta < 0 || last.is_none_or(|last| last == i64::MAX) {
        return Err(AppendError::Malformed("offsets out of range"));
    }
    Ok(())
}

fn find_duplicate(stage: &Stage<'_>, batch: &Batch, origin: Origin, start: i64) -> Option<Appended> {
    let header = batch.header();
    if origin != Origin::Client || !header.has_producer_id() || header.is_control() {
        return None;
    }
    let known = stage.duplicate(header)?;
    let stamped = header.timestamp_type() == TimestampType::LogAppendTime;
    Some(Appended {
        base_offset: known.base_offset(),
        last_offset: known.last_offset,
        log_append_time_ms: if stamped { known.timestamp } else { -1 },
        log_start_offset: start,
        duplicate: true,
    })
}

/// How many of the batches go to the segment that the first of them goes to.
fn run_length(state: &State, batches: &[Batch]) -> usize {
    let limit = state.config.segment_limit();
    let first = batches[0].header();
    let fits = state.writer.size() + batches[0].size() as u64 <= limit
        && relative(state.writer.segment.base_offset, first.last_offset()).is_some();
    let (base, mut size) =
        if fits { (state.writer.segment.base_offset, state.writer.size()) } else { (first.base_offset, 0) };
    let taken = batches.iter().take_while(|batch| {
        size += batch.size() as u64;
        size <= limit && relative(base, batch.header().last_offset()).is_some()
    });
    taken.count().max(1)
}
