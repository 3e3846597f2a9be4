//! How much was read of the logs of a directory, and where it was found.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of records that were read since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadCounts {
    /// From the batches appended last, which are kept in memory: no file was touched.
    pub tail_bytes: u64,
    /// In the page cache: handed out as a part of a file.
    pub cached_bytes: u64,
    /// Read from files, mostly because they were not in memory.
    pub loaded_bytes: u64,
}

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct ReadCounters {
    pub(crate) tail: AtomicU64,
    pub(crate) cached: AtomicU64,
    pub(crate) loaded: AtomicU64,
}

impl ReadCounters {
    pub(crate) fn counts(&self) -> ReadCounts {
        ReadCounts {
            tail_bytes: self.tail.load(Ordering::Relaxed),
            cached_bytes: self.cached.load(Ordering::Relaxed),
            loaded_bytes: self.loaded.load(Ordering::Relaxed),
        }
    }
}
