//! Appends that are written late: taken on in memory, made durable by the journal, and written to their segment by group commit
//! once they are many.
//!
//! A page of the page cache costs more than the bytes in it: it has to be found, filled, written back and given up. So what is
//! appended goes into a frame of the journal, which makes it durable, and stays in the log's *runs*, the very buffers that
//! producers sent, until there is a megabyte of it or the journal needs its room. Then whole blocks go to the segment past the page
//! cache. What is less than a block at either end goes through it, so that no page is ever written both ways at once.
//!
//! What is staged has its offsets, is in the indexes, and is in no file: [`State::written`](super::state::State::written) says how
//! far the files go. It counts once it is *framed*: all of it is in the journal. Readers find it in the
//! tail, which keeps all that is not written. The batches of a log are written in their order: as long as something is staged, all
//! that comes is staged behind it.

use std::{
    io::{self, IoSlice},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use goatq_protocol::record::Batch;
use parking_lot::MutexGuard;

use super::{Log, state::State};
use crate::{
    group_commit::{BlockWrite, What},
    io::{DirectFile, DirectMode, DiskFile, direct::ALIGNMENT, is_refusal},
    journal::Recent,
    segment::Segment,
};

const BLOCK: u64 = ALIGNMENT as u64;

/// A write that takes longer than this never ends.
const LONGEST_FLIGHT: Duration = Duration::from_secs(30);

/// How long a checkpoint waits for a write.
const PATIENCE: Duration = Duration::from_millis(100);

/// A run that has become so long is followed by another: frames are bounded.
const LONGEST_RUN: u64 = 1 << 20;

/// Bytes that count for all logs of a directory until they are dropped.
#[derive(Debug)]
struct Held {
    bytes: u64,
    all: Arc<AtomicU64>,
}

impl Held {
    fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.all.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Batches that lie behind each other in a segment.
#[derive(Debug)]
struct Run {
    segment: Arc<Segment>,
    file: Arc<dyn DiskFile>,
    position: u64,
    len: u64,
    chunks: Vec<Bytes>,
    /// The end of the log before it.
    from: i64,
    /// It was offered to the journal: nothing is added to it any more.
    offered: bool,
    /// It is in the journal, durably.
    framed: bool,
    held: Held,
}

impl Run {
    fn end(&self) -> u64 {
        self.position + self.len
    }

    fn touches(&self, segment: &Arc<Segment>, position: u64) -> bool {
        Arc::ptr_eq(&self.segment, segment) && self.end() == position
    }

    /// The whole blocks in it: from where to where. Both are its end when there is none.
    fn blocks(&self) -> (u64, u64) {
        let last = self.end() - self.end() % BLOCK;
        let first = self.position.next_multiple_of(BLOCK);
        if first < last { (first, last) } else { (self.end(), self.end()) }
    }

    /// The bytes between two positions in it.
    fn bytes(&self, from: u64, to: u64) -> Vec<Bytes> {
        let mut at = self.position;
        let mut found = Vec::new();
        for chunk in &self.chunks {
            let end = at + chunk.len() as u64;
            let (start, stop) = (from.clamp(at, end) - at, to.clamp(at, end) - at);
            if start < stop
                && let (Ok(start), Ok(stop)) = (usize::try_from(start), usize::try_from(stop))
            {
                found.push(chunk.slice(start..stop));
            }
            at = end;
        }
        found
    }

    /// Writes what lies between two positions through the page cache.
    fn write(&self, from: u64, to: u64) -> io::Result<()> {
        let bytes = self.bytes(from, to);
        let slices: Vec<IoSlice<'_>> = bytes.iter().map(|chunk| IoSlice::new(chunk)).collect();
        if slices.is_empty() { Ok(()) } else { self.file.write_at(&slices, from) }
    }

    /// Takes in one that lies behind it. They are framed if both are.
    fn join(&mut self, mut other: Run) {
        self.len += other.len;
        self.framed &= other.framed;
        self.offered &= other.offered;
        self.chunks.append(&mut other.chunks);
        self.held.bytes += std::mem::take(&mut other.held.bytes);
    }
}

/// Runs that lie behind each other become one.
fn joined(runs: impl IntoIterator<Item = Run>) -> Vec<Run> {
    let mut joined: Vec<Run> = Vec::new();
    for run in runs {
        match joined.last_mut() {
            Some(last) if last.touches(&run.segment, run.position) => last.join(run),
            _ => joined.push(run),
        }
    }
    joined
}

/// A run being written, and whether its blocks go past the page cache.
#[derive(Debug)]
struct Flying {
    run: Run,
    direct: bool,
}

/// Runs being written.
#[derive(Debug)]
struct Flight {
    runs: Vec<Flying>,
    /// Where the next one begins: the log is written up to there in the end.
    end: i64,
}

/// What a log has taken on and not written.
#[derive(Debug, Default)]
pub(super) struct Staging {
    runs: Vec<Run>,
    flight: Option<Flight>,
    /// The disk had no room for it.
    stuck: bool,
    /// The segment that was written last, for direct writes.
    open: Option<(i64, Arc<dyn DirectFile>)>,
    /// When the last of it came, wall time.
    at_ms: i64,
    /// Where the oldest began when [`Staging::is_old`] was asked last.
    seen: Option<i64>,
}

impl Staging {
    fn all(&self) -> impl Iterator<Item = &Run> {
        self.flight.iter().flat_map(|flight| flight.runs.iter().map(|flying| &flying.run)).chain(&self.runs)
    }

    /// Whether all is written.
    pub(super) fn is_idle(&self) -> bool {
        self.runs.is_empty() && self.flight.is_none()
    }

    /// Whether group commit is writing.
    pub(super) fn in_flight(&self) -> bool {
        self.flight.is_some()
    }

    /// Whether there was no room for what is staged: nothing more can be taken on.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Bytes that are not in a file.
    pub(super) fn bytes(&self) -> u64 {
        self.all().map(|run| run.len).sum()
    }

    /// Bytes that only the journal has, as far as nobody is writing them.
    pub(super) fn framed_bytes(&self) -> u64 {
        self.runs.iter().take_while(|run| run.framed).map(|run| run.len).sum()
    }

    /// Where the first batch begins that is neither in a file nor in the journal.
    pub(super) fn first_unframed(&self) -> Option<i64> {
        self.all().find(|run| !run.framed).map(|run| run.from)
    }

    /// Whether a segment has bytes that are not in its file yet.
    pub(super) fn concerns(&self, segment: &Arc<Segment>) -> bool {
        self.all().any(|run| Arc::ptr_eq(&run.segment, segment))
    }

    /// Whether the oldest of it was there already when this was asked the last time.
    pub(super) fn is_old(&mut self) -> bool {
        let oldest = self.all().next().map(|run| run.from);
        if oldest.is_none() {
            self.open = None;
        }
        oldest.is_some() && std::mem::replace(&mut self.seen, oldest) == oldest
    }

    /// Forgets all of it: the log is cut or given up.
    pub(super) fn clear(&mut self) {
        *self = Staging::default();
    }

    /// What is to go into the journal: all that is not in it.
    pub(super) fn offer(&mut self, name: &Arc<str>, history: u64) -> Vec<Recent> {
        let unframed = self.runs.iter_mut().filter(|run| !run.framed);
        let offers = unframed.map(|run| {
            run.offered = true;
            Recent {
                name: name.clone(),
                history,
                segment: run.segment.base_offset,
                position: run.position,
                data: run.chunks.clone(),
                file: run.file.clone(),
            }
        });
        offers.collect()
    }

    /// What was offered when the log ended at `end` is in the journal.
    pub(super) fn framed(&mut self, end: i64) {
        let flying = self.flight.iter_mut().flat_map(|flight| flight.runs.iter_mut().map(|flying| &mut flying.run));
        let offered = flying.chain(&mut self.runs).filter(|run| run.offered && run.from < end);
        offered.for_each(|run| run.framed = true);
    }

    /// What was in flight is to be written again.
    fn take_back(&mut self) {
        let Some(flight) = self.flight.take() else { return };
        let later = std::mem::take(&mut self.runs);
        self.runs = flight.runs.into_iter().map(|flying| flying.run).chain(later).collect();
    }
}

impl Log {
    /// Whether batches are to be staged.
    pub(super) fn is_to_stage(&self, state: &mut State, bytes: u64) -> bool {
        if !state.staging.is_idle() {
            // What is in memory is bounded. While group commit writes, it is about to become less.
            return !self.mark.has_staged_enough() || !matches!(self.settle(state), Ok(true));
        }
        state.waits_for_syncs() && !self.mark.has_staged_enough() && self.mark.stages(bytes)
    }

    /// Takes batches on at the end of the growing segment; `kept` are their bytes.
    pub(super) fn stage(
        &self,
        state: &mut State,
        batches: &[Batch],
        kept: &[[Bytes; 2]],
        now_ms: i64,
    ) -> io::Result<()> {
        let segment = state.writer.segment.clone();
        let (position, from) = (state.writer.size(), state.end);
        let len = batches.iter().map(|batch| batch.size() as u64).sum();
        let staging = &mut state.staging;
        staging.at_ms = now_ms;
        let open = staging.runs.last().is_some_and(|run| {
            !run.offered && run.len.saturating_add(len) <= LONGEST_RUN && run.touches(&segment, position)
        });
        if !open {
            let file = segment.log.get()?;
            let held = Held { bytes: 0, all: self.mark.staged().clone() };
            let (chunks, offered, framed) = (Vec::new(), false, false);
            staging.runs.push(Run { segment, file, position, len: 0, chunks, from, offered, framed, held });
        }
        if let Some(run) = staging.runs.last_mut() {
            run.len += len;
            run.chunks.extend(kept.iter().flatten().filter(|chunk| !chunk.is_empty()).cloned());
            run.held.add(len);
        }
        state.changes += 1;
        for batch in batches {
            let position = state.writer.size();
            match state.writer.staged(position, batch.header()) {
                // The entries stay in memory until there is room.
                Err(error) if !is_refusal(&error) => return Err(self.poison("write of an index", error)),
                _ => {}
            }
            state.unproven_bytes = state.unproven_bytes.saturating_add(batch.size() as u64);
        }
        Ok(())
    }

    /// Writes what is staged through the page cache, unless group commit is writing. Whether everything is written.
    pub(super) fn settle(&self, state: &mut State) -> io::Result<bool> {
        if state.staging.in_flight() {
            return Ok(false);
        }
        if state.staging.runs.is_empty() {
            return Ok(true);
        }
        let written = state.staging.runs.iter().try_for_each(|run| run.write(run.position, run.end()));
        written.map_err(|error| self.stuck(state, error))?;
        let runs = std::mem::take(&mut state.staging.runs);
        let (before, end) = (state.durable, state.end);
        Self::landed(state, &runs, end);
        if state.durable > before {
            // Who waits for it is told by the next turn: this may be called with locks held that the listener takes.
            state.untold = true;
            self.mark.mark();
        }
        Ok(true)
    }

    /// Everything is written when this returns. Blocks while group commit writes.
    pub(super) fn settle_fully(&self, state: &mut MutexGuard<'_, State>) -> io::Result<()> {
        if self.settle_within(state, LONGEST_FLIGHT)? {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "a write of the log does not end"))
    }

    /// The same for a checkpoint, which can be tried again. Whether everything is written.
    pub(super) fn settle_soon(&self, state: &mut MutexGuard<'_, State>) -> io::Result<bool> {
        self.settle_within(state, PATIENCE)
    }

    fn settle_within(&self, state: &mut MutexGuard<'_, State>, patience: Duration) -> io::Result<bool> {
        while !self.settle(state)? {
            if self.flown.wait_for(state, patience).timed_out() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits until everything that was appended before this call is written, or the log has ended.
    pub(super) async fn written(&self) -> io::Result<()> {
        let target = self.log_end_offset();
        loop {
            let landed = self.landings.notified();
            let before = self.durable_end();
            let (done, after) = {
                let mut state = self.state.lock();
                let done = state.closed || state.written >= target || self.settle(&mut state)?;
                self.publish(&state);
                (done, state.durable)
            };
            if after > before {
                self.tell_durable();
            }
            if done {
                return Ok(());
            }
            landed.await;
        }
    }

    /// Begins a write of what is staged: first fragments and short runs at once, blocks by the caller, last fragments at the end.
    pub(super) fn begin_flight(&self, what: What) -> io::Result<Option<Vec<BlockWrite>>> {
        let mut state = self.state.lock();
        let state = &mut *state;
        // A write that nobody waits for.
        state.staging.take_back();
        let count = match what {
            What::All => state.staging.runs.len(),
            What::Journaled => state.staging.runs.iter().take_while(|run| run.framed).count(),
        };
        if count == 0 {
            return Ok(None);
        }
        let later = state.staging.runs.split_off(count);
        let end = later.first().map_or(state.end, |run| run.from);
        let runs = joined(std::mem::replace(&mut state.staging.runs, later));
        let mut flight = Flight { runs: Vec::with_capacity(runs.len()), end };
        let mut blocks = Vec::new();
        let mut failed = None;
        for run in runs {
            let begun = if failed.is_none() { self.begin_run(state, &run) } else { Ok(None) };
            let begun = begun.unwrap_or_else(|error| {
                failed = Some(error);
                None
            });
            flight.runs.push(Flying { run, direct: begun.is_some() });
            blocks.extend(begun);
        }
        state.staging.flight = Some(flight);
        match failed {
            None => Ok(Some(blocks)),
            Some(error) => {
                state.staging.take_back();
                Err(self.stuck(state, error))
            }
        }
    }

    fn begin_run(&self, state: &mut State, run: &Run) -> io::Result<Option<BlockWrite>> {
        let (first, last) = run.blocks();
        let worth_it = last - first >= self.mark.direct_from().max(1);
        let direct = if worth_it { self.open_direct(state, run)? } else { None };
        let Some(direct) = direct else {
            run.write(run.position, run.end())?;
            return Ok(None);
        };
        run.write(run.position, first)?;
        Ok(Some(BlockWrite { file: direct, position: first, chunks: run.bytes(first, last) }))
    }

    /// The segment, opened for direct writes; `None` where there are none.
    fn open_direct(&self, state: &mut State, run: &Run) -> io::Result<Option<Arc<dyn DirectFile>>> {
        if let Some((base, file)) = &state.staging.open
            && *base == run.segment.base_offset
        {
            return Ok(Some(file.clone()));
        }
        if !self.resources.has_direct_writes() {
            return Ok(None);
        }
        match self.resources.disk().open_direct(&run.segment.log.path(), DirectMode::Plain) {
            Ok(file) if file.is_direct() => {
                state.staging.open = Some((run.segment.base_offset, file.clone()));
                Ok(Some(file))
            }
            // Taken away by retention, or renamed for it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
            _ => {
                self.resources.no_direct_writes();
                Ok(None)
            }
        }
    }

    /// Ends the write of what was staged. An error means that nothing has become of it.
    pub(super) fn end_flight(&self, result: io::Result<()>) -> io::Result<()> {
        let before = self.durable_end();
        let (after, outcome) = {
            let mut state = self.state.lock();
            let state = &mut *state;
            let outcome = match state.staging.flight.take() {
                None => Ok(()),
                Some(flight) => self.land(state, flight, result),
            };
            self.publish(state);
            (state.durable, outcome)
        };
        self.flown.notify_all();
        self.landings.notify_waiters();
        if after > before {
            self.tell_durable();
        }
        outcome
    }

    fn land(&self, state: &mut State, flight: Flight, result: io::Result<()>) -> io::Result<()> {
        let end = flight.end;
        let last_fragments = |()| {
            let mut direct = flight.runs.iter().filter(|flying| flying.direct).map(|flying| &flying.run);
            direct.try_for_each(|run| run.write(run.blocks().1, run.end()))
        };
        if let Err(error) = result.and_then(last_fragments) {
            state.staging.flight = Some(flight);
            state.staging.take_back();
            let ended = error.kind() == io::ErrorKind::Interrupted;
            return Err(if ended { error } else { self.stuck(state, error) });
        }
        let runs: Vec<Run> = flight.runs.into_iter().map(|flying| flying.run).collect();
        Self::landed(state, &runs, end);
        Ok(())
    }

    /// The files have what these runs hold: the log is written up to `end`.
    fn landed(state: &mut State, runs: &[Run], end: i64) {
        state.changes += 1;
        for run in runs {
            run.segment.set_size(run.end());
            // What is framed is synced before the journal forgets it.
            if !run.framed {
                state.mark_unsynced(&run.file, state.staging.at_ms);
            }
        }
        state.staging.stuck = false;
        state.written = end;
        state.count_durable();
    }

    /// What is staged waits for room; after any other failure the directory is no longer used.
    fn stuck(&self, state: &mut State, error: io::Error) -> io::Error {
        if is_refusal(&error) {
            state.staging.stuck = true;
            return error;
        }
        self.poison("append", error)
    }
}
