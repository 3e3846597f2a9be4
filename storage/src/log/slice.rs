//! What a read found, in memory or still on disk.

use std::{io, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use super::Log;
use crate::{
    error::ReadError,
    segment::{
        Segment,
        reader::{Range, ReadBatches, View},
    },
};

/// How many sequential readers of a log are remembered.
const HINTS: usize = 16;

/// Where a reader will go on: offset, content id of the segment's file, position.
type Place = (i64, u64, u64);

/// Where readers that go through the log in order will go on, and the slot that was filled last.
#[derive(Debug, Default)]
pub(super) struct Hints {
    places: Mutex<(usize, [Option<Place>; HINTS])>,
}

impl Hints {
    fn find(&self, offset: i64, content_id: u64) -> Option<u64> {
        let places = self.places.lock();
        let found = places.1.iter().flatten().find(|place| (place.0, place.1) == (offset, content_id));
        found.map(|place| place.2)
    }

    /// Remembers where the reader that was at `from` goes on; its own earlier place is given up.
    fn remember(&self, from: i64, place: Place) {
        let mut places = self.places.lock();
        let (oldest, slots) = &mut *places;
        let slot = slots.iter().position(|slot| slot.is_some_and(|(offset, id, _)| (offset, id) == (from, place.1)));
        let slot = slot.unwrap_or_else(|| {
            *oldest = (*oldest + 1) % HINTS;
            *oldest
        });
        slots[slot] = Some(place);
    }
}

/// A read of a segment that is still to be done.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) log: Arc<Log>,
    pub(super) segment: Arc<Segment>,
    /// Of the growing segment.
    pub(super) view: Option<View>,
    pub(super) range: Range,
}

#[derive(Debug)]
enum Content {
    Memory { chunks: Vec<Bytes>, len: usize },
    Disk(Box<Pending>),
}

/// What a read found: whole batches, in memory or still on disk.
#[derive(Debug)]
pub struct LogSlice {
    content: Content,
}

impl LogSlice {
    pub(super) fn memory(chunks: Vec<Bytes>, len: usize) -> LogSlice {
        LogSlice { content: Content::Memory { chunks, len } }
    }

    pub(super) fn disk(pending: Pending) -> LogSlice {
        LogSlice { content: Content::Disk(Box::new(pending)) }
    }

    /// Nothing there (yet). A slice that comes from the disk counts as not empty, though its bytes may turn out to be none when
    /// compaction took what was there.
    pub fn is_empty(&self) -> bool {
        matches!(&self.content, Content::Memory { chunks, .. } if chunks.is_empty())
    }

    /// Bytes: exact when [`Self::in_memory`], otherwise the most that [`Self::load`] gives (but for a first batch that alone
    /// is bigger).
    pub fn max_len(&self) -> usize {
        match &self.content {
            Content::Memory { len, .. } => *len,
            Content::Disk(pending) => {
                let segment = usize::try_from(pending.segment.size()).unwrap_or(usize::MAX);
                pending.range.max_bytes.min(segment)
            }
        }
    }

    /// The bytes, when no disk is needed for them.
    pub fn in_memory(&self) -> Option<&[Bytes]> {
        match &self.content {
            Content::Memory { chunks, .. } => Some(chunks),
            Content::Disk(_) => None,
        }
    }

    /// The bytes, from the disk where needed, never blocking. Each batch that comes from a disk was checked against its CRC.
    /// Each chunk is a part of a batch or several: only their concatenation has a meaning; it is a sequence of whole batches, the
    /// first of which may begin below the offset asked for.
    pub async fn load(self) -> Result<Vec<Bytes>, ReadError> {
        match self.content {
            Content::Memory { chunks, .. } => Ok(chunks),
            Content::Disk(pending) => pending.load().await,
        }
    }
}

impl Pending {
    async fn load(mut self) -> Result<Vec<Bytes>, ReadError> {
        let mut found_anew = false;
        loop {
            let read = match self.read().await {
                // The segment was compacted or removed and purged since the read was planned.
                Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound && !found_anew => {
                    found_anew = true;
                    self = self.log.clone().plan_disk_read(self.range)?;
                    continue;
                }
                other => other?,
            };
            if !read.exhausted {
                return Ok(read.chunks);
            }
            let next = self.log.segment_behind(&self.segment, self.range.offset);
            let Some((segment, view)) = next else { return Ok(Vec::new()) };
            (self.segment, self.view) = (segment, view);
        }
    }

    async fn read(&self) -> Result<ReadBatches, ReadError> {
        let config = self.log.config();
        let reader = self.log.reader(&config);
        let content_id = self.segment.log.content_id();
        let hint = self.log.hints.find(self.range.offset, content_id);
        let view = match &self.view {
            Some(view) => view.clone(),
            None => reader.view(&self.segment).await?,
        };
        let hint = hint.filter(|position| *position <= view.end);
        let read = match reader.read(&view, self.range, hint).await {
            Err(ReadError::Corrupt { .. }) if hint.is_some() => reader.read(&view, self.range, None).await?,
            other => other?,
        };
        if let Some((offset, position)) = read.next {
            self.log.hints.remember(self.range.offset, (offset, content_id, position));
        }
        Ok(read)
    }
}
