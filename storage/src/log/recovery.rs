//! Recovery of segments: finds the end of the log and repairs the indexes of what is not proven.
//!
//! - After a clean shutdown only the last segment is looked at, behind the last entry of its index.
//! - Otherwise the scan begins at the recovery point. What lies before it was synced and checkpointed; of what lies behind it the
//!   CRC-valid prefix is kept, and the rest, later segments included, was never acknowledged and is cut off.
//! - Damage before the recovery point is bit rot: it stays where it is, readers of it get an error, and what lies behind it is kept.
//!   The same goes for everything when the recovery point is not known.
//!
//! Where that cuts off more than an append that nobody was told of, it is noted first ([`super::loss`]).
//!
//! What is kept is synced before anybody hears of it, unless it is proven; what has to be is collected in [`Syncs`], so that the files of
//! many logs can be synced together.

use std::{collections::BTreeMap, sync::Arc};

use goatq_protocol::record::BATCH_HEADER_LEN;

use super::{
    epochs::Epochs,
    files,
    loss::Loss,
    open::{Inventory, Known, Loader, Unsynced},
};
use crate::{
    block_on::block_on,
    cache::files::FileSlot,
    error::OpenError,
    index::{
        Entry,
        offset::OffsetEntry,
        sparse::{Prefix, entry_at, sane_prefix, valid_prefix},
        time::TimeEntry,
    },
    io::DiskFile,
    segment::{
        Segment,
        cursor::{Cursor, HEADER_WINDOW, WHOLE_WINDOW, WalkError},
        writer::{IndexBuilder, SegmentWriter},
    },
};

/// About so many entries of an index are compared with the batches that they name.
const PROBES: u64 = 4;

/// What recovery leaves to be synced.
#[derive(Debug, Default)]
pub(super) struct Syncs {
    /// Before anybody hears of what was found.
    pub(super) files: Unsynced,
    /// Nothing was found that is not proven, so the growing segment was not synced, wherever a killed process, or this start, has cut
    /// it: that is due before anything new counts.
    pub(super) unsettled: bool,
}

/// The segments of a log, whole once [`Syncs::files`] are synced.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) sealed: BTreeMap<i64, Arc<Segment>>,
    pub(super) writer: SegmentWriter,
    pub(super) end: i64,
    pub(super) epochs: Epochs,
    /// Sealed segments whose indexes were built again.
    pub(super) unproven: Vec<Arc<Segment>>,
    /// Bytes that the scan looked at.
    pub(super) unproven_bytes: u64,
    pub(super) syncs: Syncs,
    /// What could not be kept.
    pub(super) loss: Option<Loss>,
}

/// How much of a segment is believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trust {
    /// Index entries below are believed, batches below are not checked against their CRC.
    pub(super) below: i64,
    /// Damage from here on is the end of the log; before it, it is skipped.
    pub(super) cut_from: i64,
}

/// A segment after its scan.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) writer: SegmentWriter,
    /// Behind its last batch.
    pub(super) end: i64,
    /// The file was cut: nothing behind it counts.
    cut: bool,
    /// Bytes at the end of the file that are no batches but must be kept.
    damaged_tail: bool,
    /// The index files hold less than they did, or than the recovery point covers.
    reindexed: bool,
    scanned_bytes: u64,
}

/// The beginnings of both indexes of a segment, as far as they belong together.
type Believed = (Prefix<OffsetEntry>, Prefix<TimeEntry>);

impl Loader<'_> {
    /// Whether everything below an offset is on the disk, without another sync.
    fn proves(&self, end: i64) -> bool {
        self.options.clean || self.options.recovery_point.is_some_and(|point| point >= end)
    }

    fn trust(&self) -> Trust {
        match (self.options.clean, self.options.recovery_point) {
            (true, _) => Trust { below: i64::MAX, cut_from: i64::MAX },
            (false, Some(point)) => Trust { below: point, cut_from: point },
            (false, None) => Trust { below: 0, cut_from: i64::MAX },
        }
    }

    /// Looks at a segment from where its index can be believed, and builds the rest of the index again, in memory: the files hold
    /// what is believed.
    pub(super) fn scan(&self, segment: Arc<Segment>, trust: Trust, epochs: &mut Epochs) -> Result<Scanned, OpenError> {
        let (len, base_offset) = (segment.size(), segment.base_offset);
        let file = segment.log.get()?;
        // A few bytes here and there, else each look at them would read a window ahead.
        file.no_read_ahead();
        let (mut writer, index_cut) = self.resume(segment, trust.below)?;
        let (start, entries) = (writer.size(), writer.offset_entries());
        let mut proven_entries = entries;
        let window = if trust.below == i64::MAX { HEADER_WINDOW } else { WHOLE_WINDOW };
        let mut cursor = Cursor::new(file, base_offset, start, len, window);
        let mut scanned = Trusted { cut: false, damaged_tail: false };
        loop {
            let (position, floor) = (cursor.position(), cursor.floor());
            let error = match block_on(next_checked(&mut cursor, trust.below)) {
                Ok(None) => break,
                Ok(Some(found)) => {
                    epochs.assign(found.header.partition_leader_epoch, found.header.base_offset);
                    writer.added(found.position, &found.header)?;
                    if found.header.last_offset() < trust.below {
                        proven_entries = writer.offset_entries();
                    }
                    continue;
                }
                Err(WalkError::Io(error)) => return Err(error.into()),
                Err(error @ WalkError::Invalid { .. }) => error,
            };
            cursor.rewind(position, floor);
            let path = writer.segment.log.path();
            tracing::warn!(path = %path.display(), offset = floor, %error, "the log is damaged here");
            scanned.cut = floor >= trust.cut_from;
            if scanned.cut {
                break;
            }
            if !block_on(cursor.resync())? {
                scanned.damaged_tail = true;
                break;
            }
        }
        let Trusted { cut, damaged_tail } = scanned;
        let scanned_bytes = writer.size().saturating_sub(start);
        let reindexed = index_cut || proven_entries != entries;
        Ok(Scanned { writer, end: cursor.floor(), cut, damaged_tail, reindexed, scanned_bytes })
    }

    /// A writer that stands before the batch of the last index entry that can be believed; at the begin when there is none. What
    /// the index files hold behind it is cut off. Whether there was anything.
    fn resume(&self, segment: Arc<Segment>, below: i64) -> Result<(SegmentWriter, bool), OpenError> {
        let interval = self.options.config.index_interval_bytes;
        let resumed = self.believed(&segment, below)?;
        let (offsets, times) = resumed.as_ref().map_or((0, 0), |(offsets, times)| (offsets.entries, times.entries));
        let mut cut = cut_index::<OffsetEntry>(&segment.offset_index, offsets)?;
        cut |= cut_index::<TimeEntry>(&segment.time_index, times)?;
        let Some((Prefix { last: Some(entry), .. }, Prefix { last: time, .. })) = resumed else {
            let builder = IndexBuilder::new(segment.base_offset, interval);
            segment.set_size(0);
            return Ok((SegmentWriter::new(segment, builder, (0, 0), self.now_ms), cut));
        };
        let builder = IndexBuilder::resume(segment.base_offset, interval, entry, time);
        let mut first = Cursor::new(segment.log.get()?, segment.base_offset, 0, segment.size(), BATCH_HEADER_LEN);
        let first = block_on(first.next()).ok().flatten();
        segment.set_size(u64::try_from(entry.position).unwrap_or(0));
        let mut writer = SegmentWriter::new(segment, builder, (offsets, times), self.now_ms);
        writer.first_timestamp = first.map(|found| found.header.max_timestamp);
        Ok((writer, cut))
    }

    /// The beginnings of both indexes that belong together and can be believed. A few entries are looked at; all of them only
    /// where these do not fit the batches.
    fn believed(&self, segment: &Arc<Segment>, below: i64) -> Result<Option<Believed>, OpenError> {
        let base = segment.base_offset;
        let (Some(offsets), Some(times)) = (existing(&segment.offset_index)?, existing(&segment.time_index)?) else {
            return Ok(None);
        };
        let len = segment.size();
        let sane = |entry: &OffsetEntry| {
            let inside = u64::try_from(entry.position).is_ok_and(|position| position < len);
            inside && base.saturating_add(i64::from(entry.relative_offset)) < below
        };
        let quick = sane_prefix(offsets.as_ref(), sane)?;
        if let Some(entry) = quick.last {
            let times = sane_prefix(times.as_ref(), |time: &TimeEntry| time.relative_offset <= entry.relative_offset)?;
            if self.fits(segment, offsets.as_ref(), (&quick, &times))? {
                return Ok(Some((quick, times)));
            }
        }
        let offsets_all = valid_prefix(offsets.as_ref(), sane)?;
        let Some(entry) = offsets_all.last else { return Ok(None) };
        let times = valid_prefix(times.as_ref(), |time: &TimeEntry| time.relative_offset <= entry.relative_offset)?;
        let fits = self.fits(segment, offsets.as_ref(), (&offsets_all, &times))?;
        Ok(fits.then_some((offsets_all, times)))
    }

    /// Whether offset entries name batches, and none of these is newer than the last time entry says: the last one and some
    /// before it, back to what the time entry speaks of. Where timestamps do not grow that may be far.
    fn fits(
        &self,
        segment: &Arc<Segment>,
        file: &dyn DiskFile,
        (offsets, times): (&Prefix<OffsetEntry>, &Prefix<TimeEntry>),
    ) -> Result<bool, OpenError> {
        let log = segment.log.get()?;
        let newest = times.last.map_or(-1, |time| time.timestamp);
        let step = (offsets.entries / PROBES).max(1);
        let numbers = (0..offsets.entries).rev().step_by(usize::try_from(step).unwrap_or(usize::MAX));
        for number in numbers {
            let Some(entry) = entry_at::<OffsetEntry>(file, number)? else { return Ok(false) };
            let Ok(position) = u64::try_from(entry.position) else { return Ok(false) };
            let mut cursor = Cursor::new(log.clone(), segment.base_offset, position, segment.size(), BATCH_HEADER_LEN);
            let Ok(Some(found)) = block_on(cursor.next()) else { return Ok(false) };
            let named = found.header.last_offset() == segment.base_offset + i64::from(entry.relative_offset);
            // Batches with timestamps call for time entries: without any, the time index was lost.
            if !named || found.header.max_timestamp > newest {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether there is anything in a segment that is about to be dropped.
    fn has_batches(&self, inventory: &Inventory, base_offset: i64) -> Result<bool, OpenError> {
        let file = self.segment(inventory, base_offset, 0).log.get()?;
        self.has_batch_behind(file, base_offset, 0, base_offset)
    }

    /// Removes the files of a segment.
    fn drop_segment(&self, inventory: &mut Inventory, base_offset: i64) -> Result<(), OpenError> {
        let segment = self.segment(inventory, base_offset, 0);
        segment.remove()?;
        inventory.segments.remove(&base_offset);
        inventory.txns.remove(&base_offset);
        Ok(())
    }

    /// Makes the first, empty segment of a log.
    fn begin_at(&self, base_offset: i64) -> Result<SegmentWriter, OpenError> {
        let segment = self.segment(&Inventory::default(), base_offset, 0);
        segment.log.get_or_create()?.truncate(0)?;
        let builder = IndexBuilder::new(base_offset, self.options.config.index_interval_bytes);
        Ok(SegmentWriter::new(segment, builder, (0, 0), self.now_ms))
    }
}

/// The file of an index, if there is one.
fn existing(slot: &Arc<FileSlot>) -> Result<Option<Arc<dyn DiskFile>>, OpenError> {
    match slot.get() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        file => {
            let file = file?;
            file.no_read_ahead();
            Ok(Some(file))
        }
    }
}

fn cut_index<E: Entry>(slot: &Arc<FileSlot>, entries: u64) -> Result<bool, OpenError> {
    let Some(file) = existing(slot)? else { return Ok(false) };
    let len = entries * E::SIZE as u64;
    let longer = file.len()? != len;
    if longer {
        file.truncate(len)?;
    }
    Ok(longer)
}

struct Trusted {
    cut: bool,
    damaged_tail: bool,
}

/// The next batch, with its CRC checked if it reaches beyond what is believed.
async fn next_checked(
    cursor: &mut Cursor,
    trusted_below: i64,
) -> Result<Option<crate::segment::cursor::Found>, WalkError> {
    let Some(found) = cursor.next().await? else { return Ok(None) };
    if found.header.next_offset() > trusted_below {
        cursor.check_crc(&found).await?;
    }
    Ok(Some(found))
}

/// The segments from the first one that has to be looked at.
fn first_touched(loader: &Loader<'_>, inventory: &Inventory) -> Option<i64> {
    let segments = &inventory.segments;
    match (loader.options.clean, loader.options.recovery_point) {
        (true, _) => segments.keys().next_back().copied(),
        (false, Some(point)) => {
            segments.range(..=point).next_back().or_else(|| segments.iter().next()).map(|(base, _)| *base)
        }
        (false, None) => segments.keys().next().copied(),
    }
}

/// Whether a segment is what comes behind `end`; if not, what was between them never got to the disk.
fn follows(loader: &Loader<'_>, base_offset: i64, end: i64) -> bool {
    let Some(point) = loader.options.recovery_point else { return true };
    // A roll leaves a gap only when offsets jump by more than a segment can express.
    let gap = base_offset.saturating_sub(end);
    loader.options.clean || base_offset <= point || gap == 0 || gap > i64::from(i32::MAX)
}

/// Brings the segments of a directory in order.
pub(super) fn recover(loader: &Loader<'_>, inventory: &mut Inventory, known: &Known) -> Result<Recovered, OpenError> {
    let mut epochs = read_epochs(loader, inventory)?;
    let mut kept = Kept { loss: inventory.loss, ..Kept::default() };
    let Some(touched) = first_touched(loader, inventory) else {
        let start = loader.options.log_start_offset;
        kept.renamed = true;
        return finish(loader, kept, (loader.begin_at(start)?, start), epochs);
    };
    for (base, len) in inventory.segments.range(..touched) {
        kept.sealed.insert(*base, loader.segment(inventory, *base, *len));
    }
    let rest: Vec<(i64, u64)> = inventory.segments.range(touched..).map(|(base, len)| (*base, *len)).collect();
    let mut last = None::<Scanned>;
    for (index, (base, len)) in rest.iter().enumerate() {
        if let Some(before) = &last
            && (before.cut || !follows(loader, *base, before.end))
        {
            if rest[index..]
                .iter()
                .map(|(base, _)| loader.has_batches(inventory, *base))
                .any(|has| !matches!(has, Ok(false)))
            {
                loader.note_loss(&mut kept.loss, Loss::default())?;
            }
            for (base, _) in rest[index..].iter().rev() {
                tracing::warn!(dir = %loader.dir().display(), base, "a segment behind the end of the log is dropped");
                loader.drop_segment(inventory, *base)?;
            }
            kept.renamed = true;
            break;
        }
        if let Some(before) = last.take() {
            kept.seal(before)?;
        }
        let scanned = loader.scan(loader.segment(inventory, *base, *len), loader.trust(), &mut epochs)?;
        kept.unproven_bytes += scanned.scanned_bytes;
        last = Some(scanned);
    }
    let Some(last) = last else { return Err(std::io::Error::other("no segment was looked at").into()) };
    let end = end_of_log(loader, last, known, &mut kept)?;
    finish(loader, kept, end, epochs)
}

/// The epochs in their file, also those behind the recovery point: a checkpoint writes them once their batches are synced, and a
/// truncation takes them out before it touches a batch. The batches alone do not say where an epoch began when compaction or
/// retention took its first ones.
fn read_epochs(loader: &Loader<'_>, inventory: &Inventory) -> Result<Epochs, OpenError> {
    match files::read_epochs(loader.disk(), loader.dir())? {
        Some(known) => Ok(known),
        None => super::replay::rebuild_epochs(loader, inventory),
    }
}

/// What is kept of a log, but for its growing segment.
#[derive(Debug, Default)]
struct Kept {
    sealed: BTreeMap<i64, Arc<Segment>>,
    unproven: Vec<Arc<Segment>>,
    unproven_bytes: u64,
    /// To be synced.
    files: Vec<Arc<dyn DiskFile>>,
    /// Files came or went that the directory may not know durably.
    renamed: bool,
    /// What could not be kept.
    loss: Option<Loss>,
}

impl Kept {
    fn seal(&mut self, scanned: Scanned) -> Result<(), OpenError> {
        let mut writer = scanned.writer;
        writer.seal()?;
        self.files.extend(writer.segment.files()?);
        self.unproven.push(writer.segment.clone());
        self.sealed.insert(writer.segment.base_offset, writer.segment);
        Ok(())
    }
}

/// Cuts off what is not part of the last segment. A tail that is damaged though it was proven is kept, and appends go to
/// another segment behind all that was ever acknowledged.
fn end_of_log(
    loader: &Loader<'_>,
    mut last: Scanned,
    known: &Known,
    kept: &mut Kept,
) -> Result<(SegmentWriter, i64), OpenError> {
    let point = if loader.options.clean { None } else { loader.options.recovery_point };
    if let Some(point) = point.filter(|_| last.damaged_tail) {
        let end = last.end.max(point);
        kept.seal(last)?;
        return Ok((loader.begin_at(end)?, end));
    }
    let segment = last.writer.segment.clone();
    let (file, size) = (segment.log.get()?, last.writer.size());
    let longer = file.len()? != size;
    if longer {
        if loader.has_batch_behind(file.clone(), segment.base_offset, size, last.end)? {
            loader.note_loss(&mut kept.loss, Loss::default())?;
        }
        file.truncate(size)?;
    }
    if last.reindexed {
        last.writer.write_indexes()?;
        kept.files.extend(segment.files()?);
        kept.renamed = true;
    } else if longer || !(loader.proves(last.end) || known.synced.contains(&segment.base_offset)) {
        kept.files.push(file);
    }
    Ok((last.writer, last.end))
}

fn finish(
    loader: &Loader<'_>,
    mut kept: Kept,
    (mut writer, mut end): (SegmentWriter, i64),
    mut epochs: Epochs,
) -> Result<Recovered, OpenError> {
    let start = loader.options.log_start_offset;
    let known = epochs.entries().len();
    if end < start {
        // All that is left lies below the start: the log goes on there, and nobody knows in which epoch what is missing before it was written.
        for segment in kept.sealed.values().rev().chain(std::iter::once(&writer.segment)) {
            segment.remove()?;
        }
        (kept, end) = (Kept { renamed: true, loss: kept.loss, ..Kept::default() }, start);
        writer = loader.begin_at(start)?;
        epochs.truncate_end(i64::MIN);
    }
    if let Some(point) = loader.options.recovery_point.filter(|point| *point > end) {
        loader.note_loss(&mut kept.loss, Loss { until: Some(point) })?;
    }
    epochs.truncate_end(end);
    if epochs.entries().len() < known {
        files::write_epochs(loader.disk(), loader.dir(), &epochs)?;
    }
    writer.segment.reserve(&loader.options.config)?;
    let news = !loader.proves(end);
    if news && writer.size() == 0 {
        kept.files.push(writer.segment.log.get()?);
    }
    // A checkpoint behind the begin of the segment has synced the names of its files, as does a clean end.
    let point = loader.options.recovery_point;
    let named = loader.options.clean || point.is_some_and(|point| point > writer.segment.base_offset);
    if kept.renamed || !named {
        kept.files.push(loader.disk().open_dir(loader.dir())?);
    }
    let Kept { sealed, unproven, unproven_bytes, files, loss, .. } = kept;
    let syncs = Syncs { files, unsettled: !news };
    Ok(Recovered { sealed, writer, end, epochs, unproven, unproven_bytes, syncs, loss })
}
