//! What is read ahead for readers of cold data: while one works on what it got, the next part is on its way from the disk.
//!
//! Bounded: a few parts for all logs of a directory, one for each reader that goes through its log in order. A part that nobody
//! comes for makes room for the next one, and is dropped after some seconds.

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    task::{Context, Waker},
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::io::{DiskFile, IoFuture};

/// Parts at a time.
const PARTS: usize = 16;
/// How long a part waits for its reader.
const PATIENCE_MS: i64 = 10_000;
/// Longest part, in bytes.
const MAX_PART: usize = 1 << 20;
/// Shortest part that is worth a read; a reader that takes less of it finds the rest in the page cache.
pub(crate) const MIN_PART: usize = 256 << 10;

struct Part {
    content_id: u64,
    position: u64,
    /// When it was first seen lying here, wall time.
    seen_ms: Option<i64>,
    read: IoFuture<Bytes>,
}

/// The parts of one directory.
#[derive(Default)]
pub(crate) struct ReadAhead {
    parts: Mutex<VecDeque<Part>>,
}

impl fmt::Debug for ReadAhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadAhead").field("parts", &self.parts.lock().len()).finish()
    }
}

impl ReadAhead {
    /// Begins to read at a position of a file, unless that is in memory or under way.
    pub(crate) fn start(&self, file: &Arc<dyn DiskFile>, content_id: u64, position: u64, len: usize) {
        let len = len.min(MAX_PART);
        if len == 0 || file.is_cached(position, len as u64) {
            return;
        }
        let mut parts = self.parts.lock();
        if parts.iter().any(|part| (part.content_id, part.position) == (content_id, position)) {
            return;
        }
        let mut read = file.read(position, len);
        // It goes on by itself from the first poll; what it brought is kept until it is polled again.
        let polled = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if polled.is_pending() {
            if parts.len() >= PARTS {
                parts.pop_front();
            }
            parts.push_back(Part { content_id, position, seen_ms: None, read });
        }
    }

    /// Whether there is a part that begins at a position of a file.
    pub(crate) fn has(&self, content_id: u64, position: u64) -> bool {
        self.parts.lock().iter().any(|part| (part.content_id, part.position) == (content_id, position))
    }

    /// What was read, or is being read, from a position of a file on.
    pub(crate) fn take(&self, content_id: u64, position: u64) -> Option<IoFuture<Bytes>> {
        let mut parts = self.parts.lock();
        let found = parts.iter().position(|part| (part.content_id, part.position) == (content_id, position))?;
        parts.remove(found).map(|part| part.read)
    }

    /// Drops parts that nobody has come for; called about once a second.
    pub(crate) fn expire(&self, now_ms: i64) {
        self.parts.lock().retain_mut(|part| {
            let seen_ms = *part.seen_ms.get_or_insert(now_ms);
            (0..PATIENCE_MS).contains(&now_ms.saturating_sub(seen_ms))
        });
    }

    /// Parts held.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.parts.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use std::{io::IoSlice, task::Poll};

    use super::*;
    use crate::{
        block_on::block_on,
        io::{Disk, OpenMode, sim::SimDisk},
    };

    #[test]
    fn parts_are_kept_for_whoever_comes_and_bounded() {
        let disk = SimDisk::new(7);
        let file = disk.open("/file".as_ref(), OpenMode::Create).unwrap();
        let content: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
        file.write_at(&[IoSlice::new(&content)], 0).unwrap();
        let ahead = ReadAhead::default();
        ahead.start(&file, 1, 0, 1_000);
        assert_eq!(ahead.len(), 0, "it is in memory");
        disk.set_uncached(100);
        disk.set_slowness(1_000_000);
        for position in 0..40 {
            ahead.start(&file, 1, position * 100, 1_000);
            ahead.start(&file, 1, position * 100, 1_000);
        }
        assert_eq!(ahead.len(), PARTS);
        assert!(ahead.has(1, 3_900) && !ahead.has(1, 0));
        assert!(ahead.take(1, 0).is_none(), "made room");
        assert!(ahead.take(2, 3_900).is_none(), "another file");
        let mut read = ahead.take(1, 3_900).unwrap();
        assert!(ahead.take(1, 3_900).is_none(), "taken");
        assert!(matches!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
        disk.set_slowness(0);
        let taken = ahead.take(1, 3_800).unwrap();
        assert_eq!(block_on(taken).unwrap(), content[3_800..4_800]);
        let left = ahead.len();
        ahead.expire(5_000);
        ahead.expire(14_999);
        assert_eq!(ahead.len(), left);
        ahead.expire(15_000);
        assert_eq!(ahead.len(), 0, "nobody came");
    }
}
