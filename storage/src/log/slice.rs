//! What a read found, in memory or still on disk.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{FileRange, Log};
use crate::{
    block_on::block_on,
    cache::ahead::MIN_PART,
    error::ReadError,
    segment::{
        Segment,
        locate::Located as Found,
        reader::{Range, ReadBatches, Reader, View},
    },
};

/// How many sequential readers of a log are remembered.
const HINTS: usize = 16;

/// Where a reader will go on: offset, content id of the segment's file, position.
type Hint = (i64, u64, u64);

/// Where readers that go through the log in order will go on, and the slot that was filled last.
#[derive(Debug, Default)]
pub(super) struct Hints {
    places: Mutex<(usize, [Option<Hint>; HINTS])>,
}

impl Hints {
    fn find(&self, offset: i64, content_id: u64) -> Option<u64> {
        let places = self.places.lock();
        let found = places.1.iter().flatten().find(|place| (place.0, place.1) == (offset, content_id));
        found.map(|place| place.2)
    }

    /// Remembers where the reader that was at `from` goes on; its own earlier place is given up.
    fn remember(&self, from: i64, place: Hint) {
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

/// A segment as it was when a read was planned.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) segment: Arc<Segment>,
    /// Of the growing segment.
    pub(super) view: Option<View>,
    /// All its batches are below.
    pub(super) end_offset: i64,
}

/// A read of a segment that is still to be done.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) log: Arc<Log>,
    pub(super) range: Range,
    pub(super) place: Place,
    /// Known to be cold: read only when it is its turn, so that readers of old data do not fill the queue of the disk.
    pub(super) cold: bool,
}

/// Where the bytes of a slice are.
#[derive(Debug)]
pub enum Located {
    /// Here: chunks as [`LogSlice::load`] gives them.
    Memory(Vec<Bytes>),
    /// In a file that was in the page cache before this read. They were not looked at, as little as Kafka does; the consumer's check
    /// of the CRCs is the one that counts.
    Cached {
        /// Whole batches.
        range: FileRange,
        /// All records of the range are below this offset.
        end_offset: i64,
    },
    /// On a disk, or fetched from it to find this out: the slice again, to be loaded. [`LogSlice::max_len`] is what that gives unless
    /// the log changes meanwhile.
    Cold(LogSlice),
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
                let segment = usize::try_from(pending.place.segment.size()).unwrap_or(usize::MAX);
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

    /// Finds out where the bytes are, never blocking. What is in the page cache is found without being read.
    ///
    /// # Errors
    /// When the log no longer has the offset, or what is on the disk around the ends of the range is damaged.
    pub async fn locate(self) -> Result<Located, ReadError> {
        match self.content {
            Content::Memory { chunks, .. } => Ok(Located::Memory(chunks)),
            Content::Disk(pending) => pending.locate().await,
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

    /// [`Self::load`] on a thread that may block.
    ///
    /// # Errors
    /// As there.
    pub fn load_now(self) -> Result<Vec<Bytes>, ReadError> {
        block_on(self.load())
    }
}

impl Pending {
    async fn load(mut self: Box<Self>) -> Result<Vec<Bytes>, ReadError> {
        let log = self.log.clone();
        let _turn = match self.cold {
            true => log.resources.cold.acquire().await.ok(),
            false => None,
        };
        let mut found_anew = false;
        loop {
            match self.read().await {
                Ok(read) if !read.exhausted => {
                    let bytes = read.chunks.iter().map(|chunk| chunk.len() as u64).sum();
                    log.resources.reads.loaded.fetch_add(bytes, Ordering::Relaxed);
                    return Ok(read.chunks);
                }
                Ok(_) if !self.go_on() => return Ok(Vec::new()),
                Ok(_) => {}
                Err(error) => self.find_anew(error, &mut found_anew)?,
            }
        }
    }

    async fn locate(mut self: Box<Self>) -> Result<Located, ReadError> {
        let mut found_anew = false;
        loop {
            match self.look().await {
                Ok(Found::Extent(extent)) => {
                    let range = FileRange::new(self.place.segment.log.get()?, extent.start, extent.end - extent.start);
                    let content_id = self.place.segment.log.content_id();
                    if extent.cold || self.log.resources.ahead.has(content_id, extent.start) || !range.is_cached() {
                        self.cold = true;
                        self.range.max_bytes = usize::try_from(range.len()).unwrap_or(usize::MAX);
                        self.remember(self.range.offset, extent.start);
                        return Ok(Located::Cold(LogSlice { content: Content::Disk(self) }));
                    }
                    self.log.resources.reads.cached.fetch_add(range.len(), Ordering::Relaxed);
                    self.remember(extent.next_offset, extent.end);
                    return Ok(Located::Cached { range, end_offset: extent.next_offset });
                }
                Ok(Found::Nothing) => return Ok(Located::Memory(Vec::new())),
                Ok(Found::Exhausted) if !self.go_on() => return Ok(Located::Memory(Vec::new())),
                Ok(Found::Exhausted) => {}
                Err(error) => self.find_anew(error, &mut found_anew)?,
            }
        }
    }

    /// Turns to the segment behind; false when there is none.
    fn go_on(&mut self) -> bool {
        let next = self.log.segment_behind(&self.place.segment, self.range.offset);
        next.map(|place| self.place = place).is_some()
    }

    /// After a failure: when the segment was compacted or removed and purged since the read was planned, it is planned anew, once.
    fn find_anew(&mut self, error: ReadError, found_anew: &mut bool) -> Result<(), ReadError> {
        match &error {
            ReadError::Io(cause) if cause.kind() == io::ErrorKind::NotFound && !*found_anew => {
                *found_anew = true;
                *self = self.log.clone().plan_disk_read(self.range)?;
                Ok(())
            }
            _ => Err(error),
        }
    }

    async fn view(&self, reader: &Reader<'_>) -> Result<View, ReadError> {
        match &self.place.view {
            Some(view) => Ok(view.clone()),
            None => reader.view(&self.place.segment).await,
        }
    }

    /// Where the batch with the first offset of the range is, if that is known.
    fn hint(&self, view: &View) -> Option<u64> {
        let hint = self.log.hints.find(self.range.offset, self.place.segment.log.content_id());
        hint.filter(|position| *position <= view.end)
    }

    fn remember(&self, next_offset: i64, position: u64) {
        let content_id = self.place.segment.log.content_id();
        self.log.hints.remember(self.range.offset, (next_offset, content_id, position));
    }

    async fn look(&self) -> Result<Found, ReadError> {
        let config = self.log.config();
        let reader = self.log.reader(&config);
        let view = self.view(&reader).await?;
        let hint = self.hint(&view);
        // The few bytes looked at here would make the kernel read megabytes at once, and writes wait behind them.
        self.place.segment.log.get()?.no_read_ahead();
        match reader.locate(&view, self.range, self.place.end_offset, hint).await {
            Err(ReadError::Corrupt { .. }) if hint.is_some() => {
                reader.locate(&view, self.range, self.place.end_offset, None).await
            }
            other => other,
        }
    }

    async fn read(&self) -> Result<ReadBatches, ReadError> {
        let config = self.log.config();
        let reader = self.log.reader(&config);
        let view = self.view(&reader).await?;
        let hint = self.hint(&view);
        let content_id = self.place.segment.log.content_id();
        let ahead = &self.log.resources.ahead;
        let prepared = match hint {
            Some(position) => {
                let bytes = match ahead.take(content_id, position) {
                    // What went wrong there is met again.
                    Some(read) => read.await.unwrap_or_default(),
                    None => Bytes::new(),
                };
                Some((position, bytes))
            }
            None => None,
        };
        let read = match reader.read(&view, self.range, prepared).await {
            Err(ReadError::Corrupt { .. }) if hint.is_some() => reader.read(&view, self.range, None).await?,
            other => other?,
        };
        if let Some((offset, position)) = read.next {
            self.remember(offset, position);
            if hint.is_some() {
                let rest = usize::try_from(view.end.saturating_sub(position)).unwrap_or(usize::MAX);
                let file = self.place.segment.log.get()?;
                ahead.start(&file, content_id, position, self.range.max_bytes.max(MIN_PART).min(rest));
            }
        }
        Ok(read)
    }
}
