//! Writes a group of segments anew without the records that are superseded.

use std::{collections::BTreeMap, io::IoSlice, sync::Arc};

use goatq_protocol::record::{
    Batch, BatchBuilder, BatchError, BatchHeader, BatchOptions, BuildError, Limits, NewRecord, Record,
    control::{ControlRecordType, control_record},
};

use super::{map::OffsetMap, transactions::Transactions};
use crate::{
    block_on::block_on,
    error::ReadError,
    io::DiskFile,
    log::AbortedTxn,
    producer::state::ProducerState,
    segment::{
        Segment,
        cursor::{Cursor, WHOLE_WINDOW, WalkError},
        writer::SegmentWriter,
    },
};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// Why a compaction ended early. The log is as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CleanError {
    /// The throttle said so.
    #[error("stopped")]
    Stopped,
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("write failed: {0}")]
    Write(std::io::Error),
    /// A batch cannot be written anew; it can only have been written by somebody else's software.
    #[error("a batch cannot be built again: {0}")]
    Build(#[from] BuildError),
}

/// The last batch of a live producer: its offset if it holds records, and the producer's epoch.
pub(crate) type LastBatches = BTreeMap<i64, (Option<i64>, i16)>;

/// The last batches of all producers.
pub(crate) fn last_batches(producers: &ProducerState) -> LastBatches {
    let last = |producer: &crate::producer::state::Producer| producer.batches.back().map(|batch| batch.last_offset);
    producers.iter().map(|(id, producer)| (id, (last(producer), producer.epoch))).collect()
}

/// Counts of a compaction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) bytes_before: u64,
    pub(crate) bytes_after: u64,
    pub(crate) records_before: u64,
    pub(crate) records_after: u64,
}

/// One run of compaction.
pub(crate) struct Cleaner<'a> {
    pub(crate) now_ms: i64,
    pub(crate) delete_retention_ms: i64,
    pub(crate) limits: Limits,
    pub(crate) last_batches: LastBatches,
    pub(crate) throttle: &'a mut dyn FnMut(u64) -> bool,
    pub(crate) counts: Counts,
}

/// Whether nothing needs a batch any more: its data was aborted, or it is a marker without data.
fn is_needless(txns: &mut Transactions, batch: &Batch) -> bool {
    if !batch.header().is_control() {
        return txns.data(batch.header());
    }
    let kind = match control_record(batch) {
        Ok(found) => found.map(|(kind, _)| kind),
        // What nobody can read stays.
        Err(_) => Some(ControlRecordType::Unknown(-1)),
    };
    txns.control(batch.header(), kind)
}

/// Goes through the batches of a segment; `visit` says whether to go on.
fn for_each_batch(
    segment: &Segment,
    throttle: &mut dyn FnMut(u64) -> bool,
    visit: &mut dyn FnMut(Batch) -> Result<bool, CleanError>,
) -> Result<(), CleanError> {
    let file = segment.log.get().map_err(ReadError::Io)?;
    let mut cursor = Cursor::new(file, segment.base_offset, 0, segment.size(), WHOLE_WINDOW);
    let damaged = |error| match error {
        WalkError::Io(error) => CleanError::Read(ReadError::Io(error)),
        WalkError::Invalid { position, reason } => CleanError::Read(ReadError::Corrupt {
            offset: segment.base_offset,
            segment: segment.base_offset,
            position,
            reason,
        }),
    };
    while let Some(found) = block_on(cursor.next()).map_err(damaged)? {
        if !throttle(found.len()) {
            return Err(CleanError::Stopped);
        }
        let bytes = block_on(cursor.load(&found)).map_err(damaged)?;
        let batch = Batch::parse(bytes)
            .map_err(|error| damaged(WalkError::Invalid { position: found.position, reason: error.to_string() }))?;
        if !visit(batch)? {
            break;
        }
    }
    Ok(())
}

impl Cleaner<'_> {
    /// Notes the keys of a segment from an offset on. False when the map is full.
    pub(crate) fn map_segment(
        &mut self,
        segment: &Segment,
        from: i64,
        map: &mut OffsetMap,
        txns: &mut Transactions,
    ) -> Result<bool, CleanError> {
        let mut full = false;
        let limits = self.limits;
        for_each_batch(segment, self.throttle, &mut |batch| {
            let header = *batch.header();
            let discard = is_needless(txns, &batch);
            if !header.is_control() && !discard {
                // The batch counts as a whole, so that the map's end is the end of a batch. One that nobody can read has no keys.
                for record in batch.records(limits).map_while(Result::ok).filter(|record| record.offset >= from) {
                    if let Some(key) = &record.key
                        && !map.put(key, record.offset)
                    {
                        full = true;
                        return Ok(false);
                    }
                }
            }
            map.passed(header.last_offset());
            Ok(true)
        })?;
        Ok(!full)
    }

    /// Writes the segments of a group to one new segment. `end` is where the group ends.
    pub(crate) fn clean(
        &mut self,
        group: &[(Arc<Segment>, Vec<AbortedTxn>)],
        end: i64,
        map: &OffsetMap,
        txns: &mut Transactions,
        mut out: SegmentWriter,
    ) -> Result<Arc<Segment>, CleanError> {
        let file = out.segment.log.get_or_create().map_err(CleanError::Write)?;
        file.truncate(0).map_err(CleanError::Write)?;
        let mut sink = Sink { file, buffer: Vec::new(), at: 0 };
        let limits = self.limits;
        for (segment, aborted) in group {
            txns.expect(aborted.iter().copied());
            self.counts.bytes_before += segment.size();
            let mut counts = self.counts;
            let rules = Rules {
                now_ms: self.now_ms,
                horizon_ms: self.now_ms.saturating_add(self.delete_retention_ms),
                last_batches: &self.last_batches,
                end,
            };
            for_each_batch(segment, self.throttle, &mut |batch| {
                let discard = is_needless(txns, &batch);
                counts.records_before += u64::try_from(batch.header().record_count).unwrap_or(0);
                if let Some(kept) = rules.filter(&batch, discard, map, limits)? {
                    counts.records_after += u64::try_from(kept.header().record_count).unwrap_or(0);
                    sink.write(&mut out, &kept).map_err(CleanError::Write)?;
                }
                Ok(true)
            })?;
            self.counts = counts;
        }
        sink.flush().map_err(CleanError::Write)?;
        self.counts.bytes_after += out.size();
        out.seal().map_err(CleanError::Write)?;
        if group.iter().any(|(segment, _)| segment.has_txns()) {
            // Also when it is empty: it takes the place of the old one.
            out.segment.add_aborted(&txns.take_noted()).map_err(CleanError::Write)?;
        }
        Ok(out.segment)
    }
}

struct Sink {
    file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    at: u64,
}

impl Sink {
    fn write(&mut self, out: &mut SegmentWriter, batch: &Batch) -> std::io::Result<()> {
        batch.chunks().into_iter().for_each(|chunk| self.buffer.extend_from_slice(chunk));
        let position = out.size();
        out.added(position, batch.header())?;
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.write_at(&[IoSlice::new(&self.buffer)], self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// What decides over batches and records.
struct Rules<'a> {
    now_ms: i64,
    horizon_ms: i64,
    last_batches: &'a LastBatches,
    end: i64,
}

impl Rules<'_> {
    /// What stays of a batch; `None` for nothing. `discard` says that no transaction needs it.
    fn filter(
        &self,
        batch: &Batch,
        discard: bool,
        map: &OffsetMap,
        limits: Limits,
    ) -> Result<Option<Batch>, CleanError> {
        let header = batch.header();
        let horizon_passed = header.delete_horizon_ms().is_some_and(|horizon| horizon <= self.now_ms);
        let discard_records = discard && (!header.is_control() || horizon_passed);
        let must_stay = self.is_last_of_producer(header) || header.next_offset() == self.end;
        let records: Result<Vec<Record>, BatchError> = if discard_records {
            Ok(Vec::new())
        } else {
            let stays = |record: &Record| header.is_control() || self.stays(record, header, map);
            batch.records(limits).filter(|record| record.as_ref().map_or(true, stays)).collect()
        };
        let Ok(records) = records else {
            // Nobody can read it, so nobody can say what it supersedes.
            return Ok(Some(batch.clone()));
        };
        if records.is_empty() {
            return Ok(must_stay.then(|| if header.record_count == 0 { batch.clone() } else { batch.emptied() }));
        }
        let tombstones = !header.is_control() && records.iter().any(|record| record.value.is_none());
        let set_horizon = header.delete_horizon_ms().is_none() && (tombstones || (discard && header.is_control()));
        let complete = usize::try_from(header.record_count) == Ok(records.len());
        if complete && !set_horizon {
            return Ok(Some(batch.clone()));
        }
        let Ok(mut options) = BatchOptions::like(header) else { return Ok(Some(batch.clone())) };
        if set_horizon {
            options.delete_horizon_ms = Some(self.horizon_ms);
        }
        rebuild(options, &records).map(Some)
    }

    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        if !header.has_producer_id() {
            return false;
        }
        self.last_batches.get(&header.producer_id).is_some_and(|(last, epoch)| match last {
            Some(offset) => header.last_offset() == *offset,
            None => header.is_control() && header.producer_epoch == *epoch,
        })
    }

    fn stays(&self, record: &Record, header: &BatchHeader, map: &OffsetMap) -> bool {
        if map.latest().is_none_or(|latest| record.offset > latest) {
            return true;
        }
        let Some(key) = &record.key else { return false };
        let newest = map.get(key).is_none_or(|newest| record.offset >= newest);
        let wanted = record.value.is_some() || header.delete_horizon_ms().is_none_or(|horizon| self.now_ms < horizon);
        newest && wanted
    }
}

/// A batch with the records that stay, at their offsets.
fn rebuild(options: BatchOptions, records: &[Record]) -> Result<Batch, CleanError> {
    let mut builder = BatchBuilder::new(options);
    for record in records {
        builder.push_at(
            record.offset,
            NewRecord {
                timestamp: record.timestamp,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &record.headers,
            },
        )?;
    }
    Ok(builder.build_batch()?)
}
