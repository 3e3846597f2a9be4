//! What is derived from the batches of a log: its producers, and its epochs when their file is lost.

use std::sync::Arc;

use goatq_protocol::record::Batch;

use super::{
    AbortedTxn,
    append::end_marker,
    epochs::Epochs,
    files,
    open::{Inventory, Loader},
    state::State,
};
use crate::{
    block_on::block_on,
    cache::LogResources,
    error::{OpenError, ReadError},
    index::txn,
    io::Disk,
    producer::state::{EndMarker, ProducerState},
    segment::{
        Segment,
        cursor::{Cursor, Found, HEADER_WINDOW, WalkError},
        reader::Reader,
    },
};

/// Puts the producers of a newly opened log together: from a snapshot, and the batches behind it.
///
/// Every snapshot up to the end of the log is true: one that speaks of records that a crash took is removed before anything else
/// is appended. But the transaction indexes are only proven up to the recovery point, so they are built again from there.
pub(super) fn rebuild_producers(loader: &Loader<'_>, state: &mut State) -> Result<(), OpenError> {
    let (dir, end) = (loader.dir(), state.end);
    let first = state.segments().next().map_or(end, |segment| segment.base_offset);
    let proven = match (loader.options.clean, loader.options.recovery_point) {
        (true, _) => end,
        (false, Some(point)) => point.min(end),
        (false, None) => first,
    };
    let proven = proven.max(first);
    // One that is left from an earlier growth must not be found when the log has grown past it again.
    if files::remove_snapshots(loader.disk(), dir, &mut state.snapshots, |offset| offset > end)? {
        loader.disk().sync_dir(dir)?;
    }
    let (from, producers) = load_snapshot(loader.disk(), dir, state, first, proven)?;
    if from > proven {
        // Only a snapshot knows the producers whose records were deleted; only the batches know the transactions.
        replay(loader.resources, state, first, proven)?;
        state.producers = producers;
        replay(loader.resources, state, from, i64::MAX)?;
    } else {
        state.producers = producers;
        // Behind what is proven there may be entries for records that a crash took. What is proven stays as it is: nothing would
        // sync it again.
        replay(loader.resources, state, from, proven)?;
    }
    if loader.options.clean && from == end {
        state.durable_snapshot = end;
    }
    state.producers.expire(loader.now_ms, loader.options.config.producer_id_expiration_ms);
    Ok(())
}

/// The snapshot to begin with, and its offset: the newest one from the begin of the log to what is proven, or else the next one
/// behind that. One from before the begin does not know what was deleted since, so it comes last. No producers when there is none.
pub(super) fn load_snapshot(
    disk: &dyn Disk,
    dir: &std::path::Path,
    state: &State,
    first: i64,
    proven: i64,
) -> Result<(i64, ProducerState), std::io::Error> {
    let snapshots = &state.snapshots;
    let inside = snapshots.range(first..=proven.max(first)).rev();
    let behind = snapshots.range(proven.max(first).saturating_add(1)..);
    let before = snapshots.range(..first).rev();
    let offsets: Vec<i64> = inside.chain(behind).chain(before).copied().collect();
    for offset in offsets {
        if let Some(producers) = files::read_snapshot(disk, dir, offset)? {
            return Ok((offset, producers));
        }
    }
    Ok((first, ProducerState::default()))
}

/// Takes the batches from `from` on into the producers. Aborted transactions whose markers are at or behind `noted` are noted
/// in the transaction indexes anew.
pub(super) fn replay(
    resources: &Arc<LogResources>,
    state: &mut State,
    from: i64,
    noted: i64,
) -> Result<(), std::io::Error> {
    let segments: Vec<Arc<Segment>> = state.segments().cloned().collect();
    let first = segments.iter().rposition(|segment| segment.base_offset <= from).unwrap_or(0);
    for segment in segments.iter().skip(first) {
        let behind = segments.iter().find(|next| next.base_offset > segment.base_offset);
        let end = behind.map_or(i64::MAX, |next| next.base_offset);
        if end > noted {
            cut_txns(segment, noted)?;
        }
        if segment.size() > 0 && from < end.min(state.end) {
            let aborted = replay_segment(resources, state, segment, from)?;
            let aborted: Vec<AbortedTxn> = aborted.into_iter().filter(|txn| txn.last_offset >= noted).collect();
            if !aborted.is_empty() {
                segment.add_aborted(&aborted)?;
            }
        }
    }
    Ok(())
}

fn replay_segment(
    resources: &Arc<LogResources>,
    state: &mut State,
    segment: &Arc<Segment>,
    from: i64,
) -> Result<Vec<AbortedTxn>, std::io::Error> {
    let reader = Reader {
        blocks: &resources.blocks,
        interval: state.config.index_interval_bytes,
        max_decompressed: state.config.max_decompressed_bytes,
    };
    let mut cursor = if from <= segment.base_offset {
        Cursor::new(segment.log.get()?, segment.base_offset, 0, segment.size(), HEADER_WINDOW)
    } else {
        let view = if Arc::ptr_eq(segment, &state.writer.segment) {
            state.writer_view()
        } else {
            block_on(reader.view(segment)).map_err(as_io)?
        };
        block_on(reader.seek(&view, from, HEADER_WINDOW)).map_err(as_io)?
    };
    let mut aborted = Vec::new();
    loop {
        let found = match block_on(cursor.next()) {
            Ok(None) => return Ok(aborted),
            Ok(Some(found)) => found,
            Err(WalkError::Io(error)) => return Err(error),
            Err(WalkError::Invalid { .. }) if block_on(cursor.resync())? => continue,
            Err(WalkError::Invalid { .. }) => return Ok(aborted),
        };
        if found.header.base_offset < from || !found.header.has_producer_id() {
            continue;
        }
        let marker = if found.header.is_control() { block_on(load_marker(&mut cursor, &found)) } else { None };
        aborted.extend(state.producers.replay(&found.header, marker));
    }
}

async fn load_marker(cursor: &mut Cursor, found: &Found) -> Option<EndMarker> {
    let bytes = cursor.load(found).await.ok()?;
    end_marker(&Batch::parse(bytes).ok()?)
}

fn as_io(error: ReadError) -> std::io::Error {
    match error {
        ReadError::Io(error) => error,
        other => std::io::Error::other(other),
    }
}

/// Drops the entries of a transaction index from an offset on, and whatever is damaged.
fn cut_txns(segment: &Segment, from: i64) -> Result<(), std::io::Error> {
    if !segment.has_txns() {
        return Ok(());
    }
    let file = segment.txn_index.get_or_create()?;
    let mut buffer = vec![0; txn::ENTRY_SIZE * 1024];
    let mut kept = 0;
    'file: loop {
        let read = file.read_at(&mut buffer, kept)?;
        for entry in buffer[..read].chunks_exact(txn::ENTRY_SIZE) {
            match txn::decode(entry) {
                Some(aborted) if aborted.last_offset < from => kept += txn::ENTRY_SIZE as u64,
                _ => break 'file,
            }
        }
        if read < buffer.len() {
            break;
        }
    }
    if file.len()? != kept {
        file.truncate(kept)?;
    }
    Ok(())
}

/// The epochs of all batches. Segments that begin in one epoch and whose successor begins in the same hold nothing new.
pub(super) fn rebuild_epochs(loader: &Loader<'_>, inventory: &Inventory) -> Result<Epochs, OpenError> {
    let segments: Vec<(i64, u64)> = inventory.segments.iter().map(|(base, len)| (*base, *len)).collect();
    let cursor = |(base, len): (i64, u64)| -> Result<Cursor, OpenError> {
        let segment = loader.segment(inventory, base, len);
        Ok(Cursor::new(segment.log.get()?, base, 0, len, HEADER_WINDOW))
    };
    let first_epoch = |segment: (i64, u64)| -> Result<Option<i32>, OpenError> {
        let found = block_on(cursor(segment)?.next());
        Ok(found.ok().flatten().map(|found| found.header.partition_leader_epoch))
    };
    let mut epochs = Epochs::default();
    for (index, segment) in segments.iter().enumerate() {
        let Some(first) = first_epoch(*segment)? else { continue };
        epochs.assign(first, segment.0);
        let next = segments.get(index + 1).map(|next| first_epoch(*next)).transpose()?.flatten();
        if next == Some(first) {
            continue;
        }
        let mut cursor = cursor(*segment)?;
        loop {
            match block_on(cursor.next()) {
                Ok(Some(found)) => {
                    epochs.assign(found.header.partition_leader_epoch, found.header.base_offset);
                }
                Err(WalkError::Invalid { .. }) if block_on(cursor.resync())? => {}
                _ => break,
            }
        }
    }
    Ok(epochs)
}
