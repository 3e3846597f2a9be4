//! The batches that were appended last, kept in memory: consumers close to the end are served the very buffers that producers
//! sent, without touching a file.
//!
//! All logs of a directory share one budget. Every kept byte is stamped with its place in the stream of all appended bytes
//! ([`TailBudget`]); what lies more than the budget behind the front of that stream is dropped, by its own log when it appends or
//! reads next, and by a sweep over all logs after every quarter of the budget. So at most 5/4 of the budget is held, and
//! buffers that arrived together (and may share one allocation) go together.
//!
//! A log that nobody reads keeps nothing: what was written is let go at once, so that what comes next arrives in memory that is
//! still at hand, in a core's cache. The first read is served from the file; from then on the log keeps what it is given.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;

/// Up to this size a batch is copied into an allocation of its own: a small slice must not hold a big frame.
const COPY_BYTES: usize = 4096;

/// A log that was given so many bytes since it was last read has no reader at its end.
const UNREAD_BYTES: u64 = 4 << 20;

/// What a kept batch costs beside its bytes, roughly.
const OVERHEAD: u64 = 160;

/// The stream of appended bytes that all tails of a directory share.
#[derive(Debug)]
pub(crate) struct TailBudget {
    limit: u64,
    front: AtomicU64,
}

impl TailBudget {
    pub(crate) fn new(limit: u64) -> TailBudget {
        TailBudget { limit, front: AtomicU64::new(0) }
    }

    /// Everything stamped below has to go.
    pub(crate) fn floor(&self) -> u64 {
        self.front.load(Ordering::Relaxed).saturating_sub(self.limit)
    }

    /// Takes the next `cost` bytes of the stream: their stamp, and whether all tails are to be swept now.
    fn take(&self, cost: u64) -> (u64, bool) {
        let before = self.front.fetch_add(cost, Ordering::Relaxed);
        let quarter = (self.limit / 4).max(1);
        let after = before + cost;
        (after, before / quarter != after / quarter)
    }
}

/// The header of a batch and the rest, as they are kept: a small one in an allocation of its own.
pub(crate) fn owned([head, body]: [Bytes; 2]) -> [Bytes; 2] {
    if body.len() > COPY_BYTES {
        return [head, body];
    }
    let mut whole = Vec::with_capacity(head.len() + body.len());
    whole.extend_from_slice(&head);
    whole.extend_from_slice(&body);
    [Bytes::from(whole), Bytes::new()]
}

#[derive(Clone, Debug)]
struct Kept {
    base_offset: i64,
    last_offset: i64,
    stamp: u64,
    chunks: [Bytes; 2],
}

impl Kept {
    fn len(&self) -> usize {
        self.chunks[0].len() + self.chunks[1].len()
    }
}

/// The tail of one log: consecutive batches up to its end.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    batches: VecDeque<Kept>,
    /// Bytes that were appended since the log was last read.
    unread: u64,
}

impl Tail {
    /// Somebody reads the log, at its end or before.
    pub(crate) fn was_read(&mut self) {
        self.unread = 0;
    }

    fn is_unread(&self) -> bool {
        self.unread > UNREAD_BYTES
    }

    /// Keeps a batch just appended, with its first and last offset, if there is a budget and a reader for it. In any case the batches
    /// from offset `pinned` on stay. True when all tails are to be swept.
    pub(crate) fn push(
        &mut self,
        budget: &TailBudget,
        (base_offset, last_offset): (i64, i64),
        chunks: [Bytes; 2],
        pinned: i64,
    ) -> bool {
        let len = (chunks[0].len() + chunks[1].len()) as u64;
        self.unread = self.unread.saturating_add(len);
        if (self.is_unread() || len + OVERHEAD > budget.limit) && base_offset < pinned {
            self.drop_below(u64::MAX, pinned);
            return false;
        }
        let (stamp, sweep) = budget.take(len + OVERHEAD);
        self.batches.push_back(Kept { base_offset, last_offset, stamp, chunks });
        self.drop_below(budget.floor(), pinned);
        sweep
    }

    /// Drops what the budget no longer covers, or nobody reads, below the offset `pinned`.
    pub(crate) fn drop_below(&mut self, floor: u64, pinned: i64) {
        let floor = if self.is_unread() { u64::MAX } else { floor };
        while self.batches.front().is_some_and(|kept| kept.stamp <= floor && kept.base_offset < pinned) {
            self.batches.pop_front();
        }
        if self.batches.is_empty() {
            self.batches.shrink_to(16);
        }
    }

    /// Drops the batches below an offset: they were compacted.
    pub(crate) fn drop_before(&mut self, offset: i64) {
        while self.batches.front().is_some_and(|kept| kept.base_offset < offset) {
            self.batches.pop_front();
        }
    }

    /// Drops everything: the log was truncated or closed.
    pub(crate) fn clear(&mut self) {
        self.batches = VecDeque::new();
    }

    /// Whole batches from the one with `offset` on, all below `upper_bound`, at most `max_bytes` but for the first one if
    /// `min_one_batch`. `None` when the tail does not reach back to `offset`; it does to all from `pinned` on.
    pub(crate) fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        upper_bound: i64,
        min_one_batch: bool,
        pinned: i64,
    ) -> Option<(Vec<Bytes>, usize)> {
        if offset < pinned && self.batches.front().is_none_or(|first| first.base_offset > offset) {
            return None;
        }
        let start = self.batches.partition_point(|kept| kept.last_offset < offset);
        let mut chunks = Vec::new();
        let mut total = 0;
        for kept in self.batches.range(start..) {
            let fits = total + kept.len() <= max_bytes || (chunks.is_empty() && min_one_batch);
            if kept.last_offset >= upper_bound || !fits {
                break;
            }
            total += kept.len();
            chunks.extend(kept.chunks.iter().filter(|chunk| !chunk.is_empty()).cloned());
        }
        Some((chunks, total))
    }

    /// Number of batches kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.batches.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(len: usize) -> [Bytes; 2] {
        owned([Bytes::from(vec![1; 61]), Bytes::from(vec![2; len])])
    }

    #[test]
    fn serves_whole_batches_within_bounds() {
        let budget = TailBudget::new(1 << 20);
        let mut tail = Tail::default();
        for i in 0..10 {
            tail.push(&budget, (100 + i * 10, 109 + i * 10), batch(1000), i64::MAX);
        }
        assert!(tail.read(99, 1 << 20, 1000, true, i64::MAX).is_none(), "before the tail");
        let (chunks, total) = tail.read(115, 3000, 1000, true, i64::MAX).unwrap();
        assert_eq!((chunks.len(), total), (2, 2122), "a third would be too much");
        assert_eq!(tail.read(115, 10, 1000, true, i64::MAX).unwrap().1, 1061, "the first anyway");
        assert_eq!(tail.read(115, 10, 1000, false, i64::MAX).unwrap().1, 0);
        assert_eq!(tail.read(180, 1 << 20, 190, true, i64::MAX).unwrap().1, 1061, "190 is beyond the bound");
        assert_eq!(
            tail.read(180, 1 << 20, 189, true, i64::MAX).unwrap().1,
            0,
            "a batch across the bound is not served"
        );
        assert_eq!(tail.read(200, 1 << 20, 1000, true, i64::MAX).unwrap().1, 0, "the end of the log");
    }

    #[test]
    fn the_budget_is_shared_and_old_bytes_go_first() {
        let budget = TailBudget::new(100_000);
        let (mut idle, mut busy) = (Tail::default(), Tail::default());
        idle.push(&budget, (0, 0), batch(5000), i64::MAX);
        let mut sweeps = 0;
        for i in 0..40 {
            sweeps += usize::from(busy.push(&budget, (i, i), batch(5000), i64::MAX));
        }
        assert!(busy.len() <= 20, "{}", busy.len());
        assert!((7..=9).contains(&sweeps), "a sweep per quarter, not {sweeps}");
        idle.drop_below(budget.floor(), i64::MAX);
        assert_eq!(idle.len(), 0);
        busy.push(&budget, (40, 40), batch(200_000), i64::MAX);
        assert_eq!(busy.len(), 0, "a batch beyond the budget is not kept, and nothing before it may be");
    }

    #[test]
    fn what_nobody_reads_goes() {
        const SIZE: usize = 1 << 20;
        let budget = TailBudget::new(64 << 20);
        let mut tail = Tail::default();
        let push = |tail: &mut Tail, at: i64, pinned| {
            tail.push(&budget, (at, at), batch(SIZE), pinned);
        };
        (0..3).for_each(|at| push(&mut tail, at, i64::MAX));
        assert_eq!(tail.len(), 3, "a reader may come yet");
        tail.was_read();
        (3..6).for_each(|at| push(&mut tail, at, i64::MAX));
        assert_eq!(tail.len(), 6);
        push(&mut tail, 6, i64::MAX);
        assert_eq!(tail.len(), 0);
        push(&mut tail, 7, 7);
        assert_eq!(tail.len(), 1, "it is in no file");
        tail.drop_below(0, i64::MAX);
        assert_eq!(tail.len(), 0);
        tail.was_read();
        push(&mut tail, 8, i64::MAX);
        assert_eq!(tail.read(8, SIZE * 2, 9, false, i64::MAX).map(|(_, len)| len), Some(SIZE + 61));
    }

    #[test]
    fn what_is_in_no_file_stays() {
        let budget = TailBudget::new(10_000);
        let mut tail = Tail::default();
        tail.push(&budget, (0, 9), batch(3000), i64::MAX);
        for i in 1..10 {
            tail.push(&budget, (i * 10 + 5, i * 10 + 9), batch(3000), 10);
        }
        tail.push(&budget, (100, 109), batch(20_000), 10);
        assert_eq!(tail.len(), 10, "only what is below the offset went");
        assert!(tail.read(9, 1 << 20, 1000, true, 10).is_none());
        assert_eq!(tail.read(10, 10, 1000, true, 10).unwrap().1, 3061, "an offset that no batch has");
        tail.drop_below(budget.floor(), 100);
        assert_eq!(tail.len(), 1);
    }
}
