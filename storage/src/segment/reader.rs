//! Finds things in a segment through its indexes, checks what they say, and builds them again when they lie.
//!
//! All of it is asynchronous and holds at most one window of the segment in memory.

use std::{io, ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use goatq_protocol::record::{BATCH_HEADER_LEN, Batch, Limits};

use super::{
    IndexFacts, Segment,
    cursor::{Cursor, Found, HEADER_WINDOW, WalkError},
    writer::IndexBuilder,
};
use crate::{
    cache::blocks::BlockCache,
    error::ReadError,
    index::{
        Entry,
        offset::OffsetEntry,
        sparse::{SparseIndex, count_entries},
        time::TimeEntry,
    },
    log::TimestampOffset,
};

/// Batches behind the last entry of an index from which it counts as left behind, if they are also this many bytes.
const STALE_BATCHES: u64 = 64;
const STALE_BYTES: u64 = 64 * 4096;

/// About so many entries of an index are compared with the batches that they name.
const PROBES: u64 = 16;

/// A segment as it was at one moment: its batches up to `end`, and its index entries.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) segment: Arc<Segment>,
    /// Bytes of whole batches.
    pub(crate) end: u64,
    /// What is in the index files.
    pub(crate) facts: IndexFacts,
    /// Entries of the growing segment that are not in the files yet.
    pub(crate) pending_offsets: Vec<OffsetEntry>,
    pub(crate) pending_times: Vec<TimeEntry>,
    /// Whether it no longer grows: then its index files may be replaced.
    pub(crate) sealed: bool,
}

/// What is read of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    /// Begin with the batch that holds this offset or the first one behind it.
    pub(crate) offset: i64,
    /// Batches that reach this offset are left out.
    pub(crate) upper_bound: i64,
    pub(crate) max_bytes: usize,
    /// The first batch may exceed `max_bytes`.
    pub(crate) min_one_batch: bool,
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadBatches {
    /// Whole batches.
    pub(crate) chunks: Vec<Bytes>,
    /// Offset behind the last one, and where the next one begins; `None` when nothing was read.
    pub(crate) next: Option<(i64, u64)>,
    /// The segment has nothing at or behind the offset.
    pub(crate) exhausted: bool,
}

/// Reads segments of one log directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) blocks: &'a BlockCache,
    /// For indexes that are built again.
    pub(crate) interval: u32,
    /// Most bytes a batch may inflate to.
    pub(crate) max_decompressed: u64,
}

/// A walk that met damage is an answer for the client, not a reason to stop.
pub(crate) fn damage(segment: &Segment, offset: i64, error: WalkError) -> ReadError {
    match error {
        WalkError::Io(error) => ReadError::Io(error),
        WalkError::Invalid { position, reason } => {
            ReadError::Corrupt { offset, segment: segment.base_offset, position, reason }
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn offsets<'s>(&self, view: &'s View) -> SparseIndex<'s>
    where
        'a: 's,
    {
        SparseIndex { slot: &view.segment.offset_index, blocks: self.blocks, entries: view.facts.offset_entries }
    }

    /// The last index entry at or before an offset.
    async fn floor(&self, view: &View, offset: i64) -> io::Result<Option<OffsetEntry>> {
        let relative = offset.saturating_sub(view.segment.base_offset);
        let before = |entry: &OffsetEntry| i64::from(entry.relative_offset) <= relative;
        let pending = view.pending_offsets.partition_point(before);
        if pending > 0 {
            return Ok(view.pending_offsets.get(pending - 1).copied());
        }
        let found = self.offsets(view).last_where::<OffsetEntry>(before).await?;
        Ok(found.map(|(_, entry)| entry))
    }

    /// A cursor that stands before the batch with `offset`, or some way before it. An index that lies is built again first.
    pub(crate) async fn seek(&self, view: &View, offset: i64, window: usize) -> Result<Cursor, ReadError> {
        let base = view.segment.base_offset;
        let file = view.segment.log.get()?;
        let cursor = |position| Cursor::new(file.clone(), base, position, view.end, window);
        let Some(entry) = self.floor(view, offset).await? else { return Ok(cursor(0)) };
        if let Some(cursor) = self.seek_entry(view, entry, window).await? {
            return Ok(cursor);
        }
        if view.sealed {
            self.rebuild(view).await?;
        }
        Ok(cursor(0))
    }

    /// A cursor before the batch that an index entry names; `None` when it is not there.
    pub(super) async fn seek_entry(
        &self,
        view: &View,
        entry: OffsetEntry,
        window: usize,
    ) -> Result<Option<Cursor>, ReadError> {
        let Ok(position) = u64::try_from(entry.position) else { return Ok(None) };
        let base = view.segment.base_offset;
        let mut cursor = Cursor::new(view.segment.log.get()?, base, position, view.end, window);
        match cursor.next().await {
            Ok(Some(found)) if found.header.last_offset() == base + i64::from(entry.relative_offset) => {
                cursor.rewind(found.position, base);
                Ok(Some(cursor))
            }
            Ok(_) | Err(WalkError::Invalid { .. }) => Ok(None),
            Err(WalkError::Io(error)) => Err(error.into()),
        }
    }

    /// Whole batches of a range. `hint` is the position of the batch with the range's first offset, if it is known, with what was
    /// read ahead from there on.
    pub(crate) async fn read(
        &self,
        view: &View,
        range: Range,
        hint: Option<(u64, Bytes)>,
    ) -> Result<ReadBatches, ReadError> {
        let window = range.max_bytes.saturating_add(if hint.is_some() { 0 } else { 8 << 10 }).max(HEADER_WINDOW);
        let mut cursor = match hint {
            Some((at, bytes)) => {
                let file = view.segment.log.get()?;
                Cursor::new(file, view.segment.base_offset, at, view.end, window).with_window(at, bytes)
            }
            None => self.seek(view, range.offset, window).await?,
        };
        let mut batches = Collector::default();
        let mut exhausted = true;
        loop {
            let found = match cursor.next().await {
                Ok(Some(found)) => found,
                Ok(None) => break,
                // What lies before the damage can be served.
                Err(WalkError::Invalid { .. }) if !batches.is_empty() => break,
                Err(error) => return Err(damage(&view.segment, range.offset, error)),
            };
            if found.header.last_offset() < range.offset {
                continue;
            }
            exhausted = false;
            let fits =
                batches.len + found.len() <= range.max_bytes as u64 || (batches.is_empty() && range.min_one_batch);
            if found.header.last_offset() >= range.upper_bound || !fits {
                break;
            }
            match cursor.load(&found).await {
                Ok(bytes) => batches.push(&cursor, &found, bytes),
                Err(WalkError::Invalid { .. }) if !batches.is_empty() => break,
                Err(error) => return Err(damage(&view.segment, range.offset, error)),
            }
        }
        Ok(batches.finish(exhausted))
    }

    /// The first record at or after a time, among those from `start` on.
    pub(crate) async fn find_time(
        &self,
        view: &View,
        timestamp: i64,
        start: i64,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let before = |entry: &TimeEntry| entry.timestamp <= timestamp;
        let pending = view.pending_times.partition_point(before);
        let entry = if pending > 0 {
            view.pending_times.get(pending - 1).copied()
        } else {
            let times =
                SparseIndex { slot: &view.segment.time_index, blocks: self.blocks, entries: view.facts.time_entries };
            times.last_where::<TimeEntry>(before).await?.map(|(_, entry)| entry)
        };
        let base = view.segment.base_offset;
        let known = entry.map_or(base, |entry| base.saturating_add(i64::from(entry.relative_offset)));
        let mut cursor = self.seek(view, known.max(start), HEADER_WINDOW).await?;
        loop {
            let found = match cursor.next().await {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(None),
                Err(error) => return Err(damage(&view.segment, start, error)),
            };
            if found.header.max_timestamp < timestamp || found.header.last_offset() < start {
                continue;
            }
            let bytes = cursor.load(&found).await.map_err(|error| damage(&view.segment, start, error))?;
            if let Some(record) = self.first_record(view, &found, bytes, timestamp, start)? {
                return Ok(Some(record));
            }
        }
    }

    /// The first record with the greatest timestamp, among those from `start` on. Where compaction has emptied the batch that the
    /// index names, or it lies before `start`, the others are looked at.
    pub(crate) async fn find_newest(&self, view: &View, start: i64) -> Result<Option<TimestampOffset>, ReadError> {
        let found = self.find_time(view, view.facts.max_timestamp, start).await?;
        if found.is_some() {
            return Ok(found);
        }
        let mut cursor = self.seek(view, start, HEADER_WINDOW).await?;
        let mut newest = None;
        while let Some(found) = cursor.next().await.map_err(|error| damage(&view.segment, start, error))? {
            if found.header.record_count == 0 || found.header.last_offset() < start {
                continue;
            }
            // The header speaks of records before `start`, too.
            newest = newest.max(if found.header.base_offset < start {
                let bytes = cursor.load(&found).await.map_err(|error| damage(&view.segment, start, error))?;
                self.newest_in(view, &found, bytes, start)?
            } else {
                Some(found.header.max_timestamp)
            });
        }
        match newest {
            Some(timestamp) => self.find_time(view, timestamp, start).await,
            None => Ok(None),
        }
    }

    /// The first record of a batch at or after a time and an offset.
    fn first_record(
        &self,
        view: &View,
        found: &Found,
        bytes: Bytes,
        timestamp: i64,
        start: i64,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        self.fold_records(view, found, bytes, start, None, |_, record| match record.timestamp >= timestamp {
            true => ControlFlow::Break(Some(record)),
            false => ControlFlow::Continue(None),
        })
    }

    /// The greatest timestamp of a batch's records at or after an offset.
    fn newest_in(&self, view: &View, found: &Found, bytes: Bytes, start: i64) -> Result<Option<i64>, ReadError> {
        self.fold_records(view, found, bytes, start, None, |newest: Option<i64>, record| {
            ControlFlow::Continue(newest.max(Some(record.timestamp)))
        })
    }

    /// Goes through a batch's records at or after an offset.
    fn fold_records<T>(
        &self,
        view: &View,
        found: &Found,
        bytes: Bytes,
        start: i64,
        mut folded: T,
        mut visit: impl FnMut(T, TimestampOffset) -> ControlFlow<T, T>,
    ) -> Result<T, ReadError> {
        let corrupt = |reason: String| ReadError::Corrupt {
            offset: found.header.base_offset,
            segment: view.segment.base_offset,
            position: found.position,
            reason,
        };
        let batch = Batch::parse(bytes).map_err(|error| corrupt(error.to_string()))?;
        for record in batch.records(Limits { max_decompressed_bytes: self.max_decompressed }) {
            let record = record.map_err(|error| corrupt(error.to_string()))?;
            if record.offset < start {
                continue;
            }
            let leader_epoch = found.header.partition_leader_epoch;
            let place = TimestampOffset { timestamp: record.timestamp, offset: record.offset, leader_epoch };
            folded = match visit(folded, place) {
                ControlFlow::Continue(folded) => folded,
                ControlFlow::Break(folded) => return Ok(folded),
            };
        }
        Ok(folded)
    }

    /// What the indexes of a sealed segment hold, checked against its batches the first time it is asked for. Indexes that are
    /// missing, padded, damaged or left behind are built again.
    pub(crate) async fn view(&self, segment: &Arc<Segment>) -> Result<View, ReadError> {
        let mut view = View {
            segment: segment.clone(),
            end: segment.size(),
            facts: segment.facts().unwrap_or_default(),
            pending_offsets: Vec::new(),
            pending_times: Vec::new(),
            sealed: true,
        };
        if segment.facts().is_none() {
            view.facts = match self.verify(&mut view).await? {
                Some(facts) => facts,
                None => self.rebuild(&view).await?,
            };
            segment.set_facts(Some(view.facts));
        }
        Ok(view)
    }

    /// Facts that the batches behind the last entries agree with; `None` when they do not.
    async fn verify(&self, view: &mut View) -> Result<Option<IndexFacts>, ReadError> {
        let segment = view.segment.clone();
        let counts = async {
            let offsets = count_entries::<OffsetEntry>(&segment.offset_index, self.blocks).await?;
            let times = count_entries::<TimeEntry>(&segment.time_index, self.blocks).await?;
            io::Result::Ok((offsets, times))
        };
        (view.facts.offset_entries, view.facts.time_entries) = match counts.await {
            Ok(counts) => counts,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let times = SparseIndex { slot: &segment.time_index, blocks: self.blocks, entries: view.facts.time_entries };
        let newest = match view.facts.time_entries.checked_sub(1) {
            Some(last) => times.get::<TimeEntry>(last).await?,
            None => None,
        };
        if newest.is_some_and(|newest| newest.timestamp < 0 || newest.relative_offset < 0) {
            return Ok(None);
        }
        let known =
            newest.map_or(segment.base_offset, |newest| segment.base_offset + i64::from(newest.relative_offset));
        view.facts.max_timestamp = newest.map_or(-1, |newest| newest.timestamp);
        view.facts.max_timestamp_offset = known;
        let agrees = self.agrees_with_tail(view, known).await?;
        Ok(agrees.then_some(view.facts))
    }

    /// Whether the newest time entry is true, no batch behind it is newer, and not much of the segment lies behind the last offset
    /// entry.
    async fn agrees_with_tail(&self, view: &View, known: i64) -> Result<bool, ReadError> {
        let last = match view.facts.offset_entries.checked_sub(1) {
            Some(last) => self.offsets(view).get::<OffsetEntry>(last).await?,
            None => None,
        };
        let mut cursor = match self.floor(view, known).await? {
            Some(entry) => match self.seek_entry(view, entry, HEADER_WINDOW).await? {
                Some(cursor) => cursor,
                None => return Ok(false),
            },
            None => Cursor::new(view.segment.log.get()?, view.segment.base_offset, 0, view.end, HEADER_WINDOW),
        };
        let indexed = last.map_or(0, |last| u64::try_from(last.position).unwrap_or(0));
        let (mut batches, mut bytes) = (0, 0);
        let mut met = view.facts.time_entries == 0;
        let mut jumped = false;
        loop {
            let found = match cursor.next().await {
                Ok(Some(found)) => found,
                // An entry for an offset that is not there was never written. Damage is met again, and reported, by whoever
                // reads there.
                Ok(None) | Err(WalkError::Invalid { .. }) => return Ok(met),
                Err(WalkError::Io(error)) => return Err(error.into()),
            };
            let named =
                view.facts.time_entries > 0 && (found.header.base_offset..=found.header.last_offset()).contains(&known);
            let newer = found.header.max_timestamp > view.facts.max_timestamp
                || (named && found.header.max_timestamp != view.facts.max_timestamp);
            met |= named;
            if found.position >= indexed {
                (batches, bytes) = (batches + 1, bytes + found.len());
            }
            if newer || (batches > STALE_BATCHES && bytes > STALE_BYTES) {
                return Ok(false);
            }
            if met && !jumped && found.end() + STALE_BYTES < indexed {
                jumped = true;
                let Some(tail) = self.probe(view, known).await? else { return Ok(false) };
                cursor = tail;
            }
        }
    }

    /// Compares some of the offset entries behind an offset with the batches that they name, instead of reading all of what may be
    /// most of a segment where timestamps do not grow. A cursor before the batch of the last one; `None` when one is missing or
    /// newer than the time index knows.
    async fn probe(&self, view: &View, known: i64) -> Result<Option<Cursor>, ReadError> {
        let offsets = self.offsets(view);
        let relative = known.saturating_sub(view.segment.base_offset);
        let before = offsets.last_where::<OffsetEntry>(|entry| i64::from(entry.relative_offset) <= relative).await?;
        let first = before.map_or(0, |(number, _)| number + 1);
        let step = view.facts.offset_entries.saturating_sub(first) / PROBES;
        let mut tail = None;
        for number in (first..view.facts.offset_entries).rev().step_by(usize::try_from(step.max(1)).unwrap_or(1)) {
            let Some(entry) = offsets.get::<OffsetEntry>(number).await? else { return Ok(None) };
            let window = if tail.is_none() { HEADER_WINDOW } else { BATCH_HEADER_LEN };
            let Some(mut cursor) = self.seek_entry(view, entry, window).await? else { return Ok(None) };
            let (position, floor) = (cursor.position(), cursor.floor());
            match cursor.next().await {
                Ok(Some(found)) if found.header.max_timestamp <= view.facts.max_timestamp => {}
                Err(WalkError::Io(error)) => return Err(error.into()),
                _ => return Ok(None),
            }
            cursor.rewind(position, floor);
            tail.get_or_insert(cursor);
        }
        Ok(tail)
    }

    /// Builds the indexes of a sealed segment from its batches and replaces the files.
    async fn rebuild(&self, view: &View) -> Result<IndexFacts, ReadError> {
        let segment = &view.segment;
        tracing::warn!(segment = %segment.log.path().display(), "building the indexes of a segment again");
        let mut cursor = Cursor::new(segment.log.get()?, segment.base_offset, 0, view.end, HEADER_WINDOW);
        let mut builder = IndexBuilder::new(segment.base_offset, self.interval);
        loop {
            match cursor.next().await {
                Ok(Some(found)) => builder.add(found.position, &found.header),
                Ok(None) => break,
                Err(WalkError::Invalid { .. }) => {
                    if !cursor.resync().await? {
                        break;
                    }
                }
                Err(WalkError::Io(error)) => return Err(error.into()),
            }
        }
        builder.add_time();
        let (max_timestamp, max_timestamp_offset) = builder.max_timestamp();
        let facts = IndexFacts {
            offset_entries: builder.offsets.len() as u64,
            time_entries: builder.times.len() as u64,
            max_timestamp,
            max_timestamp_offset,
        };
        segment.offset_index.replace(&encode(&builder.offsets)).await?;
        segment.time_index.replace(&encode(&builder.times)).await?;
        segment.set_facts(Some(facts));
        Ok(facts)
    }
}

fn encode<E: Entry>(entries: &[E]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * E::SIZE);
    entries.iter().for_each(|entry| entry.encode(&mut bytes));
    bytes
}

/// Puts batches that lie behind each other in one read into one slice.
#[derive(Default)]
struct Collector {
    chunks: Vec<Bytes>,
    len: u64,
    next: Option<(i64, u64)>,
    /// The batches not in `chunks` yet: where they begin and end, and the slice so far.
    run: Option<(u64, u64, Bytes)>,
}

impl Collector {
    fn is_empty(&self) -> bool {
        self.next.is_none()
    }

    fn push(&mut self, cursor: &Cursor, found: &Found, bytes: Bytes) {
        self.len += found.len();
        self.next = Some((found.header.next_offset(), found.end()));
        self.run = match self.run.take() {
            Some((start, end, slice)) if end == found.position => match cursor.in_window(start, found.end()) {
                Some(longer) => Some((start, found.end(), longer)),
                None => {
                    self.chunks.push(slice);
                    Some((found.position, found.end(), bytes))
                }
            },
            _ => Some((found.position, found.end(), bytes)),
        };
    }

    fn finish(mut self, exhausted: bool) -> ReadBatches {
        self.chunks.extend(self.run.map(|(_, _, slice)| slice));
        ReadBatches { chunks: self.chunks, next: self.next, exhausted }
    }
}
