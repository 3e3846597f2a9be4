//! Finds where whole batches lie in a segment, by the index instead of by a look at each: for readers that are sent parts of
//! the file as they are.

use super::{
    cursor::{Cursor, Found, HEADER_WINDOW, WalkError},
    reader::{Range, Reader, View, damage},
};
use crate::{error::ReadError, index::offset::OffsetEntry};

/// Bytes read at a time by the steps that follow a jump: some headers of small batches, and little of a big one.
const STEP_WINDOW: usize = 4 << 10;

/// Whole batches that lie behind each other in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// No record of the batches has this offset or one behind it, and the next batch does not begin before it.
    pub(crate) next_offset: i64,
    /// To find it something of it was read from the disk: what is in the page cache now says nothing of what was there before.
    pub(crate) cold: bool,
}

/// What a segment has of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Located {
    Extent(Extent),
    /// The first batch may not be read, or is too big.
    Nothing,
    /// The segment has nothing at or behind the offset.
    Exhausted,
}

impl Reader<'_> {
    /// Where the whole batches of a range lie: the same as [`Reader::read`] gives, though up to `index.interval.bytes` and a batch
    /// fewer. The headers of the first batch and of those around the end are looked at, nothing between. All batches of the
    /// segment are below `end_offset`. `hint` is the position of the batch with the range's first offset, if it is known.
    pub(crate) async fn locate(
        &self,
        view: &View,
        range: Range,
        end_offset: i64,
        hint: Option<u64>,
    ) -> Result<Located, ReadError> {
        let failed = |error| damage(&view.segment, range.offset, error);
        let mut cursor = match hint {
            Some(at) => Cursor::new(view.segment.log.get()?, view.segment.base_offset, at, view.end, 0),
            None => self.seek(view, range.offset, HEADER_WINDOW).await?,
        };
        let first = loop {
            match cursor.next().await.map_err(failed)? {
                Some(found) if found.header.last_offset() < range.offset => {}
                Some(found) => break found,
                None => return Ok(Located::Exhausted),
            }
        };
        let fits = first.len() <= range.max_bytes as u64;
        if first.header.last_offset() >= range.upper_bound || !(fits || range.min_one_batch) {
            return Ok(Located::Nothing);
        }
        let start = first.position;
        let (limit, cold) = (start.saturating_add(range.max_bytes as u64), cursor.is_cold());
        if view.end <= limit && end_offset <= range.upper_bound {
            return Ok(Located::Extent(Extent { start, end: view.end, next_offset: end_offset, cold }));
        }
        let extent = Extent { start, end: first.end(), next_offset: first.header.next_offset(), cold };
        Ok(Located::Extent(self.extend(view, range, cursor, extent, limit).await?))
    }

    /// Adds the batches behind an extent up to a position: those before the last entry of the index there at once, the rest
    /// one by one. `cursor` stands at its end.
    async fn extend(
        &self,
        view: &View,
        range: Range,
        mut cursor: Cursor,
        mut extent: Extent,
        limit: u64,
    ) -> Result<Extent, ReadError> {
        let mut next = None;
        if let Some((behind, found)) = self.jump(view, &extent, limit, range.upper_bound).await? {
            (extent.end, extent.next_offset) = (found.position, found.header.base_offset);
            cursor = behind;
            next = Some(found);
        }
        loop {
            let found = match next.take() {
                Some(found) => Ok(Some(found)),
                None => cursor.next().await,
            };
            extent.cold |= cursor.is_cold();
            let found = match found {
                Ok(Some(found)) => found,
                // What lies before the damage can be served.
                Ok(None) | Err(WalkError::Invalid { .. }) => return Ok(extent),
                Err(WalkError::Io(error)) => return Err(error.into()),
            };
            if found.end() > limit || found.header.last_offset() >= range.upper_bound {
                return Ok(extent);
            }
            (extent.end, extent.next_offset) = (found.end(), found.header.next_offset());
        }
    }

    /// The batch that the last index entry names which is not beyond the limits, if it is behind the extent and really there;
    /// and a cursor behind it.
    async fn jump(
        &self,
        view: &View,
        extent: &Extent,
        limit: u64,
        upper: i64,
    ) -> Result<Option<(Cursor, Found)>, ReadError> {
        let Some(entry) = self.last_entry_before(view, limit, upper).await? else { return Ok(None) };
        if u64::try_from(entry.position).is_ok_and(|position| position <= extent.end) {
            return Ok(None);
        }
        let Some(mut cursor) = self.seek_entry(view, entry, STEP_WINDOW).await? else { return Ok(None) };
        match cursor.next().await {
            Ok(Some(found)) if found.header.base_offset >= extent.next_offset => Ok(Some((cursor, found))),
            Ok(_) | Err(WalkError::Invalid { .. }) => Ok(None),
            Err(WalkError::Io(error)) => Err(error.into()),
        }
    }

    /// The last index entry that names a batch at or before a position and wholly below an offset.
    async fn last_entry_before(&self, view: &View, limit: u64, upper: i64) -> Result<Option<OffsetEntry>, ReadError> {
        let base = view.segment.base_offset;
        let before = |entry: &OffsetEntry| {
            u64::try_from(entry.position).is_ok_and(|position| position <= limit)
                && base.saturating_add(i64::from(entry.relative_offset)) < upper
        };
        let pending = view.pending_offsets.partition_point(before);
        if pending > 0 {
            return Ok(view.pending_offsets.get(pending - 1).copied());
        }
        Ok(self.offsets(view).last_where::<OffsetEntry>(before).await?.map(|(_, entry)| entry))
    }
}
