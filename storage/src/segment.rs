//! One segment of a log: a `.log` file of record batches and the indexes beside it.
//!
//! - [`format`]: the names of files;
//! - [`cursor`]: walks over batches with every check on the way, the one reader of segment bytes;
//! - [`writer`]: appends and keeps the indexes in step;
//! - [`locate`]: finds the part of the file to send, without looking at each batch;
//! - [`reader`]: finds offsets and times through the indexes, and repairs an index that lies.

pub(crate) mod cursor;
pub(crate) mod format;
pub(crate) mod locate;
pub(crate) mod reader;
pub(crate) mod writer;

use std::{
    io::{self, IoSlice},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use crate::{
    cache::files::{FileCache, FileSlot},
    config::LogConfig,
    index::txn,
    io::{Disk, DiskFile, is_refusal},
    log::AbortedTxn,
};
use format::{FileKind, FileName, Suffix};

/// What is known of the indexes of a segment once they were checked, or written by this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexFacts {
    /// Entries of the offset index.
    pub(crate) offset_entries: u64,
    /// Entries of the time index.
    pub(crate) time_entries: u64,
    /// Greatest timestamp of the segment; -1 when no record has one.
    pub(crate) max_timestamp: i64,
    /// Last offset of the first batch that has it.
    pub(crate) max_timestamp_offset: i64,
}

/// A segment. The last one of a log grows; what is known of the others does not change but for their names.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base_offset: i64,
    pub(crate) log: Arc<FileSlot>,
    pub(crate) offset_index: Arc<FileSlot>,
    pub(crate) time_index: Arc<FileSlot>,
    pub(crate) txn_index: Arc<FileSlot>,
    /// Bytes of whole batches in the `.log` file; its writer may have taken on more.
    size: AtomicU64,
    /// Known for sealed segments only.
    facts: Mutex<Option<IndexFacts>>,
    /// Whether there may be a transaction index.
    has_txns: AtomicBool,
}

impl Segment {
    /// The segment of that base offset in a directory; nothing is opened.
    pub(crate) fn new(files: &Arc<FileCache>, dir: &Path, base_offset: i64, size: u64, suffix: Suffix) -> Segment {
        let slot = |kind| files.slot(dir.join(FileName { base_offset, kind, suffix }.to_string()));
        Segment {
            base_offset,
            log: slot(FileKind::Log),
            offset_index: slot(FileKind::OffsetIndex),
            time_index: slot(FileKind::TimeIndex),
            txn_index: slot(FileKind::TxnIndex),
            size: AtomicU64::new(size),
            facts: Mutex::new(None),
            has_txns: AtomicBool::new(false),
        }
    }

    /// Bytes of whole batches.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    pub(crate) fn set_size(&self, size: u64) {
        self.size.store(size, Ordering::Release);
    }

    pub(crate) fn facts(&self) -> Option<IndexFacts> {
        *self.facts.lock()
    }

    pub(crate) fn set_facts(&self, facts: Option<IndexFacts>) {
        *self.facts.lock() = facts;
    }

    /// Whether there may be a transaction index.
    pub(crate) fn has_txns(&self) -> bool {
        self.has_txns.load(Ordering::Acquire)
    }

    pub(crate) fn set_has_txns(&self) {
        self.has_txns.store(true, Ordering::Release);
    }

    /// Notes aborted transactions whose markers are in this segment.
    pub(crate) fn add_aborted(&self, aborted: &[AbortedTxn]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(aborted.len() * txn::ENTRY_SIZE);
        aborted.iter().for_each(|aborted| txn::encode(aborted, &mut bytes));
        let file = self.txn_index.get_or_create()?;
        // An entry that a crash cut short is overwritten.
        let end = file.len()? / txn::ENTRY_SIZE as u64 * txn::ENTRY_SIZE as u64;
        file.write_at(&[IoSlice::new(&bytes)], end)?;
        self.set_has_txns();
        Ok(())
    }

    fn slots(&self) -> [(FileKind, &Arc<FileSlot>); 4] {
        [
            (FileKind::Log, &self.log),
            (FileKind::OffsetIndex, &self.offset_index),
            (FileKind::TimeIndex, &self.time_index),
            (FileKind::TxnIndex, &self.txn_index),
        ]
    }

    /// Renames the files of a segment that goes: the `.log` file first, so that it is never found without its indexes.
    pub(crate) fn rename_deleted(&self, dir: &Path) -> io::Result<()> {
        for (kind, slot) in self.slots() {
            let name = FileName { base_offset: self.base_offset, kind, suffix: Suffix::Deleted };
            slot.rename(&dir.join(name.to_string()), kind != FileKind::Log)?;
        }
        Ok(())
    }

    /// Renames the files of a segment that comes: the indexes first, and each step is durable before the next, so that the
    /// `.log` file is never found without them.
    pub(crate) fn rename_durably(&self, disk: &dyn Disk, dir: &Path, suffix: Suffix) -> io::Result<()> {
        let rename = |(kind, slot): (FileKind, &Arc<FileSlot>)| {
            let name = FileName { base_offset: self.base_offset, kind, suffix };
            slot.rename(&dir.join(name.to_string()), kind != FileKind::Log)
        };
        let [log, indexes @ ..] = self.slots();
        indexes.into_iter().try_for_each(rename)?;
        disk.sync_dir(dir)?;
        rename(log)?;
        disk.sync_dir(dir)
    }

    /// Takes the room for all that the segment may grow to, where the log is to have it in advance. If there is not so much, appends
    /// take what they need and are refused when that is not there: a log can always begin, roll and be cut.
    pub(crate) fn reserve(&self, config: &LogConfig) -> io::Result<()> {
        if !config.preallocate {
            return Ok(());
        }
        let file = self.log.get_or_create()?;
        match file.preallocate(config.segment_limit()) {
            // What it got of it would be missing elsewhere.
            Err(error) if is_refusal(&error) => file.truncate(file.len()?),
            result => result,
        }
    }

    /// Syncs all files that are there.
    pub(crate) fn sync_now(&self) -> io::Result<()> {
        self.files()?.iter().try_for_each(|file| file.sync_now())
    }

    /// All files that are there.
    pub(crate) fn files(&self) -> io::Result<Vec<Arc<dyn DiskFile>>> {
        let mut files = vec![self.log.get()?, self.offset_index.get()?, self.time_index.get()?];
        if self.has_txns() {
            files.push(self.txn_index.get()?);
        }
        Ok(files)
    }

    /// Removes all files. How many there were.
    pub(crate) fn remove(&self) -> io::Result<usize> {
        let mut removed = 0;
        for (_, slot) in self.slots() {
            removed += usize::from(slot.remove()?);
        }
        Ok(removed)
    }

    /// Lets go of open files.
    pub(crate) fn close(&self) {
        for (_, slot) in self.slots() {
            slot.close();
        }
    }
}

/// `offset` relative to `base`, when it fits in an index.
pub(crate) fn relative(base: i64, offset: i64) -> Option<i32> {
    offset.checked_sub(base).and_then(|relative| i32::try_from(relative).ok()).filter(|relative| *relative >= 0)
}
