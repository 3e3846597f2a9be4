//! The growing segment: appends batches and keeps its indexes in step, by Kafka's rules.
//!
//! An index entry is due before a batch when more than `index.interval.bytes` of batches came since the last one; it names that
//! batch. A time entry is written with it if the greatest timestamp has grown, and one more when the segment is sealed. Entries are
//! kept in memory until there are a few hundred, then written, unsynced: a checkpoint syncs them, and what a crash takes is built
//! again from the batches.

use std::{
    io::{self, IoSlice},
    sync::Arc,
};

use goatq_protocol::record::{Batch, BatchHeader};

use super::{IndexFacts, Segment, relative};
use crate::{
    cache::files::FileSlot,
    config::LogConfig,
    index::{Entry, offset::OffsetEntry, time::TimeEntry},
};

/// Entries kept in memory before they are written.
const PENDING_ENTRIES: usize = 256;

/// The entries that the batches of a segment call for.
#[derive(Clone, Debug)]
pub(crate) struct IndexBuilder {
    base_offset: i64,
    interval: u64,
    bytes_since_entry: u64,
    max_timestamp: i64,
    max_timestamp_offset: i64,
    last_offset_entry: Option<OffsetEntry>,
    last_time_entry: Option<TimeEntry>,
    /// Entries not yet taken.
    pub(crate) offsets: Vec<OffsetEntry>,
    pub(crate) times: Vec<TimeEntry>,
}

impl IndexBuilder {
    /// For a segment without batches.
    pub(crate) fn new(base_offset: i64, interval: u32) -> IndexBuilder {
        IndexBuilder {
            base_offset,
            interval: u64::from(interval),
            bytes_since_entry: 0,
            max_timestamp: -1,
            max_timestamp_offset: base_offset,
            last_offset_entry: None,
            last_time_entry: None,
            offsets: Vec::new(),
            times: Vec::new(),
        }
    }

    /// Goes on at the batch that the offset entry names; that batch is to be added next.
    pub(crate) fn resume(
        base_offset: i64,
        interval: u32,
        offset: OffsetEntry,
        time: Option<TimeEntry>,
    ) -> IndexBuilder {
        IndexBuilder {
            max_timestamp: time.map_or(-1, |time| time.timestamp),
            max_timestamp_offset: time.map_or(base_offset, |time| base_offset + i64::from(time.relative_offset)),
            last_offset_entry: Some(offset),
            last_time_entry: time,
            ..IndexBuilder::new(base_offset, interval)
        }
    }

    /// Takes the next batch in.
    pub(crate) fn add(&mut self, position: u64, header: &BatchHeader) {
        if header.max_timestamp > self.max_timestamp {
            self.max_timestamp = header.max_timestamp;
            self.max_timestamp_offset = header.last_offset();
        }
        if self.bytes_since_entry > self.interval {
            let relative_offset = relative(self.base_offset, header.last_offset());
            if let (Some(relative_offset), Ok(position)) = (relative_offset, i32::try_from(position)) {
                let entry = OffsetEntry { relative_offset, position };
                if self.last_offset_entry.is_none_or(|last| entry.follows(&last)) {
                    self.offsets.push(entry);
                    self.last_offset_entry = Some(entry);
                    self.add_time();
                    self.bytes_since_entry = 0;
                }
            }
        }
        self.bytes_since_entry = self.bytes_since_entry.saturating_add(header.size() as u64);
    }

    /// Adds the entry that says the greatest timestamp of the segment, unless the last one does.
    pub(crate) fn add_time(&mut self) {
        let Some(relative_offset) = relative(self.base_offset, self.max_timestamp_offset) else { return };
        let entry = TimeEntry { timestamp: self.max_timestamp, relative_offset };
        if self.last_time_entry.map_or(entry.may_be_first(), |last| entry.follows(&last)) {
            self.times.push(entry);
            self.last_time_entry = Some(entry);
        }
    }

    /// Greatest timestamp so far, and the last offset of the first batch that has it.
    pub(crate) fn max_timestamp(&self) -> (i64, i64) {
        (self.max_timestamp, self.max_timestamp_offset)
    }
}

/// Batches that are to go to one segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addition {
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) bytes: u64,
}

impl Addition {
    /// Of at least one batch, with their offsets set.
    pub(crate) fn of(batches: &[Batch]) -> Addition {
        Addition {
            base_offset: batches.first().map_or(0, |batch| batch.header().base_offset),
            last_offset: batches.last().map_or(0, |batch| batch.header().last_offset()),
            max_timestamp: batches.iter().map(|batch| batch.header().max_timestamp).max().unwrap_or(-1),
            bytes: batches.iter().map(|batch| batch.size() as u64).sum(),
        }
    }
}

/// The last segment of a log.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    pub(crate) segment: Arc<Segment>,
    /// When this process made or opened it, wall time: its age when records have no timestamps.
    pub(crate) created_ms: i64,
    /// Greatest timestamp of the first batch, from which the age of the segment counts.
    pub(crate) first_timestamp: Option<i64>,
    builder: IndexBuilder,
    /// Bytes of all batches, written or staged.
    size: u64,
    offsets_written: u64,
    times_written: u64,
}

impl SegmentWriter {
    /// For a segment whose indexes hold exactly the entries that the builder knows of.
    pub(crate) fn new(segment: Arc<Segment>, builder: IndexBuilder, written: (u64, u64), created_ms: i64) -> Self {
        let (offsets_written, times_written) = written;
        let size = segment.size();
        SegmentWriter { segment, created_ms, first_timestamp: None, builder, size, offsets_written, times_written }
    }

    /// Bytes of all batches, also of those that are not in the file yet.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Greatest timestamp so far, and the last offset of the first batch that has it.
    pub(crate) fn max_timestamp(&self) -> (i64, i64) {
        self.builder.max_timestamp()
    }

    /// Entries in the files.
    pub(crate) fn written(&self) -> (u64, u64) {
        (self.offsets_written, self.times_written)
    }

    /// Entries of the offset index, in the file or not.
    pub(crate) fn offset_entries(&self) -> u64 {
        self.offsets_written + self.builder.offsets.len() as u64
    }

    /// Entries that are in memory only.
    pub(crate) fn pending(&self) -> (&[OffsetEntry], &[TimeEntry]) {
        (&self.builder.offsets, &self.builder.times)
    }

    /// Whether an index has no room for what one more batch may call for.
    fn index_full(&self, config: &LogConfig) -> bool {
        self.offsets_written + self.builder.offsets.len() as u64 >= config.max_offset_entries()
            || self.times_written + self.builder.times.len() as u64 >= config.max_time_entries()
    }

    /// Whether batches must go to a new segment. `jitter_ms` is taken off the segment's lifetime.
    pub(crate) fn must_roll(&self, config: &LogConfig, jitter_ms: i64, now_ms: i64, addition: &Addition) -> bool {
        if relative(self.segment.base_offset, addition.last_offset).is_none() {
            return true;
        }
        if self.size() == 0 {
            return false;
        }
        let age = match self.first_timestamp {
            Some(first) if first >= 0 => addition.max_timestamp.saturating_sub(first),
            _ => now_ms.saturating_sub(self.created_ms),
        };
        self.size().saturating_add(addition.bytes) > config.segment_limit()
            || age > config.segment_lifetime_ms().saturating_sub(jitter_ms)
            || self.index_full(config)
    }

    /// Takes in a batch that was written at a position at or behind the end. Index entries are written when there are many.
    pub(crate) fn added(&mut self, position: u64, header: &BatchHeader) -> io::Result<()> {
        self.segment.set_size(position + header.size() as u64);
        self.staged(position, header)
    }

    /// The same for a batch that is written later.
    pub(crate) fn staged(&mut self, position: u64, header: &BatchHeader) -> io::Result<()> {
        self.first_timestamp.get_or_insert(header.max_timestamp);
        self.builder.add(position, header);
        self.size = position + header.size() as u64;
        if self.builder.offsets.len() >= PENDING_ENTRIES { self.write_indexes() } else { Ok(()) }
    }

    /// Writes the entries that are in memory only and name batches that are in the file.
    pub(crate) fn write_indexes(&mut self) -> io::Result<()> {
        let (offsets, times) = self.written_entries();
        write_entries(&self.segment.offset_index, &mut self.offsets_written, &mut self.builder.offsets, offsets)?;
        write_entries(&self.segment.time_index, &mut self.times_written, &mut self.builder.times, times)
    }

    /// How many of the entries in memory name batches that are in the file.
    fn written_entries(&self) -> (usize, usize) {
        let (offsets, times) = self.pending();
        if self.segment.size() == self.size {
            return (offsets.len(), times.len());
        }
        let in_file = |entry: &OffsetEntry| u64::try_from(entry.position).is_ok_and(|at| at < self.segment.size());
        let named = offsets.partition_point(in_file);
        let last = offsets.get(named.wrapping_sub(1)).map_or(-1, |entry| entry.relative_offset);
        (named, times.partition_point(|time| time.relative_offset <= last))
    }

    /// The entries in memory that name batches in the file.
    pub(crate) fn readable(&self) -> (&[OffsetEntry], &[TimeEntry]) {
        let ((offsets, times), (named, timed)) = (self.pending(), self.written_entries());
        (&offsets[..named], &times[..timed])
    }

    /// Completes the indexes: the segment does not grow any more.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        self.builder.add_time();
        let (offsets, times) = (self.builder.offsets.len(), self.builder.times.len());
        write_entries(&self.segment.offset_index, &mut self.offsets_written, &mut self.builder.offsets, offsets)?;
        write_entries(&self.segment.time_index, &mut self.times_written, &mut self.builder.times, times)?;
        let (max_timestamp, max_timestamp_offset) = self.max_timestamp();
        self.segment.set_facts(Some(IndexFacts {
            offset_entries: self.offsets_written,
            time_entries: self.times_written,
            max_timestamp,
            max_timestamp_offset,
        }));
        Ok(())
    }
}

/// Appends the first `count` entries to an index file, which is made when missing even if there are none.
fn write_entries<E: Entry>(
    slot: &Arc<FileSlot>,
    written: &mut u64,
    pending: &mut Vec<E>,
    count: usize,
) -> io::Result<()> {
    let file = slot.get_or_create()?;
    if count > 0 {
        let mut bytes = Vec::with_capacity(count * E::SIZE);
        pending[..count].iter().for_each(|entry| entry.encode(&mut bytes));
        file.write_at(&[IoSlice::new(&bytes)], *written * E::SIZE as u64)?;
        *written += count as u64;
        pending.drain(..count);
    }
    Ok(())
}
