//! How much one fetch may read from which partition.
//!
//! Partitions are read in order; each may take what the request allows it and what the earlier ones left of the whole
//! reply. The first batch of the reply is always returned whole, however large it is (KIP-74), so that a consumer with
//! a small limit makes progress; from then on nothing exceeds the limits. A reply is therefore at most as large as
//! the smaller of the client's and the broker's limit plus one batch, however many partitions it names.

/// What a reader may see of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Everything: followers.
    LogEnd,
    /// What is committed: consumers with `read_uncommitted`.
    HighWatermark,
    /// What is committed and decided: consumers with `read_committed`.
    LastStableOffset,
}

/// Bounds of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadBounds {
    /// Bytes that may be returned.
    pub max_bytes: usize,
    /// Return the first batch even if it alone is larger.
    pub min_one_batch: bool,
}

/// Divides the bytes of one reply among its partitions.
#[derive(Debug, Clone)]
pub struct Planner {
    left: usize,
    first: bool,
}

impl Planner {
    /// A reply of at most `request_max` bytes as the client wants it and `broker_max` as `fetch.max.bytes` allows.
    /// Negative or zero wishes mean as little as possible.
    pub fn new(request_max: i32, broker_max: usize) -> Self {
        Self { left: usize::try_from(request_max).unwrap_or(0).min(broker_max), first: true }
    }

    /// Bounds for the next partition, which the client allows `partition_max` bytes. `None` when the reply is full: the
    /// partition is answered without records.
    pub fn next_read(&self, partition_max: i32) -> Option<ReadBounds> {
        let max_bytes = usize::try_from(partition_max).unwrap_or(0).min(self.left);
        (max_bytes > 0 || self.first).then_some(ReadBounds { max_bytes, min_one_batch: self.first })
    }

    /// The partition gave `bytes`.
    pub fn on_read(&mut self, bytes: usize) {
        if bytes > 0 {
            self.first = false;
        }
        self.left = self.left.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_first_batch_above_every_limit_is_returned() {
        let mut planner = Planner::new(10, 1000);
        assert_eq!(planner.next_read(5), Some(ReadBounds { max_bytes: 5, min_one_batch: true }));
        planner.on_read(0);
        assert_eq!(planner.next_read(50), Some(ReadBounds { max_bytes: 10, min_one_batch: true }));
        planner.on_read(700);
        assert_eq!(planner.next_read(50), None);
    }

    #[test]
    fn senseless_limits_still_give_one_batch() {
        let planner = Planner::new(-1, 1000);
        assert_eq!(planner.next_read(i32::MIN), Some(ReadBounds { max_bytes: 0, min_one_batch: true }));
    }

    proptest! {
        /// Fifty thousand partitions of any size: the reply never exceeds its limit by more than the first batch.
        #[test]
        fn the_reply_is_bounded(
            request_max in any::<i32>(),
            broker_max in 0_usize..100_000,
            partitions in prop::collection::vec((any::<i32>(), 0_usize..5_000), 0..200),
        ) {
            let mut planner = Planner::new(request_max, broker_max);
            let limit = usize::try_from(request_max).unwrap_or(0).min(broker_max);
            let (mut total, mut first) = (0, 0);
            for (partition_max, batch) in partitions {
                let Some(bounds) = planner.next_read(partition_max) else { continue };
                // A log with batches of one size.
                let whole = bounds.max_bytes.checked_div(batch).unwrap_or(0) * batch;
                let got = if whole == 0 && bounds.min_one_batch { batch } else { whole };
                if total == 0 {
                    first = got;
                }
                total += got;
                planner.on_read(got);
            }
            prop_assert!(total <= limit.max(first), "{total} > {limit} + {first}");
        }
    }
}
