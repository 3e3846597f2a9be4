//! Healing: a sealed segment that is damaged is replaced by one with the batches of another replica.
//!
//! The new segment is written beside the old one and takes its place as a compacted one would (see [`super::compaction`]), so a crash leaves
//! one or the other. Readers go on meanwhile; the old files are removed when their delay is over.

use std::{
    io::{self, IoSlice},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use goatq_protocol::record::Batch;

use super::{AbortedTxn, Log};
use crate::{
    error::LogError,
    segment::{
        Segment,
        format::Suffix,
        writer::{IndexBuilder, SegmentWriter},
    },
};

/// A healing under way; there is one of a log at a time, and no compaction beside it. Dropped before its end it leaves everything as it
/// was.
#[derive(Debug)]
pub struct Healing {
    log: Arc<Log>,
    damaged: Arc<Segment>,
    /// Where the damaged segment ends.
    end: i64,
    aborted: Vec<AbortedTxn>,
    out: SegmentWriter,
    next_offset: i64,
    finished: bool,
}

/// Keeps a log from being compacted until it is dropped.
#[derive(Debug)]
pub struct Uncompacted(Arc<Log>);

impl Drop for Uncompacted {
    fn drop(&mut self) {
        self.0.holds.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Held while a log is healed.
#[derive(Debug, Default)]
pub(super) struct HealingMark(AtomicBool);

impl HealingMark {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Log {
    /// Keeps the log as it is but for what is appended, cut off and deleted at its ends: no compaction begins. Blocks while one runs.
    pub fn hold_compaction(self: &Arc<Self>) -> Uncompacted {
        let _no_compaction = self.compaction.lock();
        self.holds.fetch_add(1, Ordering::AcqRel);
        Uncompacted(self.clone())
    }

    /// Whether no compaction may begin.
    pub(super) fn is_held(&self) -> bool {
        self.healing.is_set() || self.holds.load(Ordering::Acquire) > 0
    }

    /// Begins to heal the sealed segment that begins at `base_offset`; `None` when there is none (any more), or another healing is under
    /// way. Blocks while a compaction runs.
    ///
    /// # Errors
    /// When the log is closed or failed, or nothing can be written beside the segment.
    pub fn heal(self: &Arc<Self>, base_offset: i64, now_ms: i64) -> Result<Option<Healing>, LogError> {
        let _no_compaction = self.compaction.lock();
        let (damaged, end, config) = {
            let state = self.state.lock();
            self.writable(&state)?;
            let ends = state.segments().skip(1).map(|segment| segment.base_offset);
            let found = state.sealed.values().zip(ends).find(|(segment, _)| segment.base_offset == base_offset);
            let Some((segment, end)) = found else { return Ok(None) };
            (segment.clone(), end, state.config.clone())
        };
        let aborted = self.aborted_in(base_offset, end).map_err(|error| LogError::Io(io::Error::other(error)))?;
        if self.healing.0.swap(true, Ordering::AcqRel) {
            return Ok(None);
        }
        let segment = Segment::new(&self.resources.files, &self.dir, base_offset, 0, Suffix::Cleaned);
        let builder = IndexBuilder::new(base_offset, config.index_interval_bytes);
        let out = SegmentWriter::new(Arc::new(segment), builder, (0, 0), now_ms);
        let next_offset = base_offset;
        let log = self.clone();
        let healing = Healing { log, damaged, end, aborted, out, next_offset, finished: false };
        healing.out.segment.remove().map_err(LogError::Io)?;
        healing.out.segment.log.get_or_create().and_then(|file| file.truncate(0)).map_err(LogError::Io)?;
        Ok(Some(healing))
    }
}

impl Healing {
    /// The next offset that is wanted; the [end](Self::end) when all are there.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Where the segment ends.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// Takes batches in that another replica has from [`Self::next_offset`] on, with their offsets and epochs as there and their CRCs checked.
    /// What is beyond the segment is left out. Blocks.
    ///
    /// # Errors
    /// When they do not go on where they have to, or cannot be written.
    pub fn add(&mut self, batches: &[Batch]) -> io::Result<()> {
        let dense = !self.log.config().cleanup_policy.compact;
        let file = self.out.segment.log.get_or_create()?;
        for batch in batches {
            let header = batch.header();
            if header.next_offset() <= self.next_offset {
                continue;
            }
            if header.base_offset >= self.end {
                self.next_offset = self.end;
                break;
            }
            let fits = header.base_offset >= self.next_offset && header.next_offset() <= self.end;
            if !fits || (dense && header.base_offset != self.next_offset) {
                let (from, to) = (header.base_offset, header.next_offset());
                let (next, end) = (self.next_offset, self.end);
                return Err(io::Error::other(format!("a batch of {from}..{to} where one of {next}..{end} is wanted")));
            }
            let position = self.out.size();
            let chunks = batch.chunks();
            let slices: Vec<IoSlice<'_>> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
            file.write_at(&slices, position)?;
            self.out.added(position, header)?;
            self.next_offset = header.next_offset();
        }
        Ok(())
    }

    /// Puts what was taken in, all of it, in the place of the damaged segment. False when that is no longer there. Blocks.
    ///
    /// # Errors
    /// When something is missing, or the files cannot be replaced.
    pub fn finish(mut self, now_ms: i64) -> Result<bool, LogError> {
        if self.next_offset < self.end {
            let (next, end) = (self.next_offset, self.end);
            return Err(LogError::Io(io::Error::other(format!("nothing from offset {next} to {end}"))));
        }
        self.out.seal().map_err(LogError::Io)?;
        if self.damaged.has_txns() {
            self.out.segment.add_aborted(&self.aborted).map_err(LogError::Io)?;
        }
        let group = [(self.damaged.clone(), self.end)];
        let replaced = self.log.replace(&group, &self.out.segment, now_ms).map_err(LogError::Io)?;
        self.finished = true;
        if replaced {
            self.log.state.lock().uncleanable = None;
        }
        Ok(replaced)
    }
}

impl Drop for Healing {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed now is removed at the next start.
            let _ = self.out.segment.remove();
        }
        self.log.healing.0.store(false, Ordering::Release);
    }
}
