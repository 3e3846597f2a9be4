//! What the logs of one directory share.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{
    ahead::ReadAhead,
    blocks::BlockCache,
    files::FileCache,
    reads::{ReadCounters, ReadCounts},
    tail::TailBudget,
};
use crate::{config::CacheLimits, io::Disk, log::Log};

/// Reads of cold data at a time, beside those ahead: enough to keep a disk at work, few enough that what is written does not wait
/// long behind them.
const COLD_READS: usize = 2;

/// What the logs of one directory share: the disk and its bounded caches.
#[derive(Debug)]
pub struct LogResources {
    pub(crate) files: Arc<FileCache>,
    pub(crate) blocks: BlockCache,
    pub(crate) tails: TailBudget,
    pub(crate) ahead: ReadAhead,
    pub(crate) cold: Semaphore,
    pub(crate) reads: ReadCounters,
    /// The disk refuses direct writes of segments.
    indirect: AtomicBool,
    logs: Mutex<Vec<Weak<Log>>>,
}

impl LogResources {
    /// Caches within these limits for the logs of one disk.
    pub fn new(disk: Arc<dyn Disk>, limits: CacheLimits) -> Arc<LogResources> {
        Arc::new(LogResources {
            files: FileCache::new(disk, limits.open_files),
            blocks: BlockCache::new(limits.index_bytes),
            tails: TailBudget::new(limits.tail_bytes),
            ahead: ReadAhead::default(),
            cold: Semaphore::new(COLD_READS),
            reads: ReadCounters::default(),
            indirect: AtomicBool::new(false),
            logs: Mutex::default(),
        })
    }

    /// The disk.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        self.files.disk()
    }

    /// How much was read, and where it was found.
    pub fn read_counts(&self) -> ReadCounts {
        self.reads.counts()
    }

    /// Whether segments can be written past the page cache, as far as is known.
    pub(crate) fn has_direct_writes(&self) -> bool {
        !self.indirect.load(Ordering::Relaxed)
    }

    /// They cannot.
    pub(crate) fn no_direct_writes(&self) {
        self.indirect.store(true, Ordering::Relaxed);
    }

    /// Notes a log whose tail counts.
    pub(crate) fn register(&self, log: Weak<Log>) {
        let mut logs = self.logs.lock();
        if logs.len() == logs.capacity() {
            // Not each time: thousands are registered at a start.
            logs.retain(|log| log.strong_count() > 0);
        }
        logs.push(log);
    }

    /// Makes idle logs let go of what the shared budget no longer covers. Skips logs that are busy: they do it themselves.
    pub(crate) fn sweep_tails(&self) {
        let Some(logs) = self.logs.try_lock() else { return };
        for log in logs.iter().filter_map(Weak::upgrade) {
            log.trim_tail();
        }
    }
}
