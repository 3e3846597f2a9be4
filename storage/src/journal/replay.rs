//! A start after a crash: what the frames hold is written into the segments where it is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    frame::{self, Entry, HEADER_LEN, Stamp},
    head::Head,
    prepare::slot_path,
};
use crate::{
    io::{Disk, DiskFile, OpenMode, direct::ALIGNMENT, parallel},
    log_dir::parse_partition_dir,
    segment::format::{FileKind, FileName},
};

/// A file that is longer is no slot.
const MAX_SLOT_BYTES: u64 = 64 << 20;
/// Nobody has so many.
const MAX_SLOTS: usize = 1 << 10;

/// What a start found in the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Frames that counted.
    pub frames: u64,
    /// Bytes that were written into segments because they were not there.
    pub bytes: u64,
    /// Segment files that frames spoke of.
    pub files: usize,
}

/// The segment files met so far, by directory of the log and base offset.
type Touched = BTreeMap<(String, i64), Arc<dyn DiskFile>>;

/// Brings the segments up to what the journal says, durably, and then empties it. The head as it is afterwards; `None` when there
/// never was a journal. `synced` gets the segment files that were synced.
pub(super) fn replay(
    disk: &dyn Disk,
    dir: &Path,
    ended_in_order: bool,
    threads: usize,
    synced: &mut BTreeMap<String, BTreeSet<i64>>,
) -> io::Result<(Option<Head>, Replayed)> {
    let Some(mut head) = Head::read(disk, dir)? else { return Ok((None, Replayed::default())) };
    let slots = present_slots(disk, dir, head.incarnation)?;
    let mut replayed = Replayed::default();
    if slots.is_empty() {
        return Ok((Some(head), replayed));
    }
    if !ended_in_order {
        let mut touched = Touched::new();
        for (sequence, slot) in &slots {
            let stamp = Stamp { incarnation: head.incarnation, sequence: *sequence, slot: *slot, position: 0 };
            replay_slot(disk, dir, &head, stamp, threads, &mut touched, &mut replayed)?;
        }
        replayed.files = touched.len();
        // Also where nothing had to be written: what a killed process wrote may be in memory only.
        for (log, segment) in touched.keys() {
            synced.entry(log.clone()).or_default().insert(*segment);
        }
        let files: Vec<Arc<dyn DiskFile>> = touched.into_values().collect();
        parallel::sync_all(&files).collect::<io::Result<()>>()?;
        let Replayed { frames, bytes, files } = replayed;
        tracing::info!(dir = %dir.display(), frames, bytes, files, "the journal of the last run was played back");
    }
    head = Head { incarnation: head.incarnation.saturating_add(1), voids: BTreeMap::new() };
    head.write(disk, dir)?;
    Ok((Some(head), replayed))
}

/// The slots that begin with a frame of the incarnation, in the order of these.
fn present_slots(disk: &dyn Disk, dir: &Path, incarnation: u64) -> io::Result<Vec<(u64, u32)>> {
    let mut slots = Vec::new();
    for (number, slot) in (0..MAX_SLOTS).zip(0u32..) {
        let mut first = [0; HEADER_LEN];
        let read = match disk.open(&slot_path(dir, number), OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            file => file?.read_at(&mut first, 0)?,
        };
        let stamp = frame::parse_stamp(&first[..read]);
        let stamp = stamp.filter(|stamp| (stamp.incarnation, stamp.slot, stamp.position) == (incarnation, slot, 0));
        slots.extend(stamp.map(|stamp| (stamp.sequence, slot)));
    }
    slots.sort_unstable();
    Ok(slots)
}

fn replay_slot(
    disk: &dyn Disk,
    dir: &Path,
    head: &Head,
    mut stamp: Stamp,
    threads: usize,
    touched: &mut Touched,
    replayed: &mut Replayed,
) -> io::Result<()> {
    let number = usize::try_from(stamp.slot).unwrap_or(usize::MAX);
    let file = disk.open(&slot_path(dir, number), OpenMode::Read)?;
    let len = usize::try_from(file.len()?.min(MAX_SLOT_BYTES)).map_err(io::Error::other)?;
    let mut content = vec![0; len];
    let read = file.read_at(&mut content, 0)?;
    let mut work: BTreeMap<(&str, i64), Vec<Entry<'_>>> = BTreeMap::new();
    let mut rest = &content[..read];
    while let Some((entries, frame_len)) = frame::parse(rest, stamp) {
        for entry in entries {
            let ended = head.voids.get(entry.place.name).is_some_and(|history| entry.place.history < *history);
            if !ended && is_plain(&entry) {
                work.entry((entry.place.name, entry.place.segment)).or_default().push(entry);
            }
        }
        replayed.frames += 1;
        stamp.sequence += 1;
        stamp.position = stamp.position.saturating_add(u32::try_from(frame_len).unwrap_or(u32::MAX));
        rest = rest.get(frame_len..).unwrap_or_default();
        debug_assert!(frame_len.is_multiple_of(ALIGNMENT));
    }
    let opened = parallel::map(threads, work.into_iter().collect(), |((name, segment), entries)| {
        let known = touched.get(&(name.to_owned(), segment)).cloned();
        let file = match known.map_or_else(|| disk.open(&segment_path(dir, name, segment), OpenMode::Write), Ok) {
            // Deleted, or taken away by retention.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            file => file?,
        };
        let mut written = 0;
        for entry in entries {
            written += write_again(&*file, &entry)?;
        }
        Ok(Some(((name.to_owned(), segment), file, written)))
    });
    for (key, file, written) in opened.into_iter().collect::<io::Result<Vec<_>>>()?.into_iter().flatten() {
        replayed.bytes += written;
        touched.insert(key, file);
    }
    Ok(())
}

fn segment_path(dir: &Path, name: &str, segment: i64) -> PathBuf {
    dir.join(name).join(FileName::live(segment, FileKind::Log).to_string())
}

/// Whether an entry names a place where a segment can be.
fn is_plain(entry: &Entry<'_>) -> bool {
    let end = entry.place.position.saturating_add(entry.data.len() as u64);
    let named = !entry.place.name.contains('/') && parse_partition_dir(entry.place.name).is_some();
    named && entry.place.segment >= 0 && end <= i32::MAX as u64
}

/// Writes what is not there. How many bytes.
fn write_again(file: &dyn DiskFile, entry: &Entry<'_>) -> io::Result<u64> {
    let mut there = vec![0; entry.data.len()];
    let read = file.read_at(&mut there, entry.place.position)?;
    if there[..read] == *entry.data {
        return Ok(0);
    }
    file.write_at(&[IoSlice::new(entry.data)], entry.place.position)?;
    Ok(entry.data.len() as u64)
}
