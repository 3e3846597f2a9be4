//! A bounded histogram of durations that may be written from many threads without a lock.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Eight buckets for every doubling: a quantile is at most 12.5 % too high.
const SUB_BITS: u32 = 3;
const SUBS: usize = 1 << SUB_BITS;
/// Values below this have a bucket of their own.
const LINEAR: u64 = 2 * SUBS as u64;
/// 2^36 microseconds are 19 hours; longer durations count as that.
const MAX_EXPONENT: u32 = 36;
const BUCKETS: usize = LINEAR as usize + (MAX_EXPONENT - SUB_BITS) as usize * SUBS;

/// Durations in microseconds, over all time (count, sum) and over the recent past (quantiles).
///
/// Quantiles cover the current window and the one before: whoever reads them calls [`Histogram::rotate`] when a window
/// is over, so that an old peak does not stay for ever. Size is fixed: about 2.4 KiB.
#[derive(Debug)]
pub struct Histogram {
    windows: [Box<[AtomicU32]>; 2],
    active: AtomicUsize,
    count: AtomicU64,
    sum_us: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let window = || (0..BUCKETS).map(|_| AtomicU32::new(0)).collect();
        Self {
            windows: [window(), window()],
            active: AtomicUsize::new(0),
            count: AtomicU64::new(0),
            sum_us: AtomicU64::new(0),
        }
    }
}

fn bucket_of(us: u64) -> usize {
    if us < LINEAR {
        return us as usize;
    }
    let exponent = (63 - us.leading_zeros()).min(MAX_EXPONENT);
    let sub = if exponent == MAX_EXPONENT { 0 } else { (us >> (exponent - SUB_BITS)) as usize & (SUBS - 1) };
    (LINEAR as usize + (exponent - SUB_BITS - 1) as usize * SUBS + sub).min(BUCKETS - 1)
}

/// The largest value that falls into a bucket.
fn upper_bound(bucket: usize) -> u64 {
    if bucket < LINEAR as usize {
        return bucket as u64;
    }
    let above = bucket - LINEAR as usize;
    let exponent = (above / SUBS) as u32 + SUB_BITS + 1;
    let sub = (above % SUBS) as u64;
    ((SUBS as u64 + sub + 1) << (exponent - SUB_BITS)) - 1
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
        let window = &self.windows[self.active.load(Ordering::Relaxed) & 1];
        window[bucket_of(us)].fetch_add(1, Ordering::Relaxed);
    }

    /// How many durations were counted since the start.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Their mean in milliseconds; 0 when there are none.
    pub fn mean_ms(&self) -> f64 {
        match self.count() {
            0 => 0.0,
            count => self.sum_us.load(Ordering::Relaxed) as f64 / count as f64 / 1000.0,
        }
    }

    /// Quantiles (each between 0 and 1, ascending) of the recent past in milliseconds; 0 when nothing was counted.
    pub fn quantiles_ms<const N: usize>(&self, quantiles: [f64; N]) -> [f64; N] {
        let at =
            |bucket: usize| -> u64 { self.windows.iter().map(|w| u64::from(w[bucket].load(Ordering::Relaxed))).sum() };
        let total: u64 = (0..BUCKETS).map(at).sum();
        let mut result = [0.0; N];
        if total == 0 {
            return result;
        }
        let (mut seen, mut bucket) = (at(0), 0);
        for (slot, quantile) in result.iter_mut().zip(quantiles) {
            let wanted = ((total as f64 * quantile).ceil() as u64).clamp(1, total);
            // Concurrent writers may have changed the counts since `total` was summed: stop at the last bucket.
            while seen < wanted && bucket + 1 < BUCKETS {
                bucket += 1;
                seen += at(bucket);
            }
            *slot = upper_bound(bucket) as f64 / 1000.0;
        }
        result
    }

    /// Ends the current window: the one before it is forgotten.
    pub fn rotate(&self) {
        let next = (self.active.load(Ordering::Relaxed) + 1) & 1;
        for bucket in &self.windows[next] {
            bucket.store(0, Ordering::Relaxed);
        }
        self.active.store(next, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket() {
        let values = (0..64).chain((6..40).flat_map(|e| [(1u64 << e) - 1, 1 << e, (1 << e) + (1 << (e - 1))]));
        for us in values {
            let bucket = bucket_of(us);
            assert!(bucket < BUCKETS);
            if us < 1 << MAX_EXPONENT {
                assert!(us <= upper_bound(bucket), "{us}");
                assert!(bucket == 0 || us > upper_bound(bucket - 1), "{us}");
                assert!(upper_bound(bucket) as f64 <= us as f64 * 1.126 + 1.0, "{us}");
            }
        }
    }

    #[test]
    fn quantiles_follow_the_recent_past() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantiles_ms([0.5, 0.99]), [0.0, 0.0]);
        for ms in 1..=100 {
            histogram.observe(Duration::from_millis(ms));
        }
        let [p50, p99] = histogram.quantiles_ms([0.5, 0.99]);
        assert!((50.0..57.0).contains(&p50) && (99.0..112.0).contains(&p99), "{p50} {p99}");
        assert_eq!(histogram.count(), 100);
        assert!((histogram.mean_ms() - 50.5).abs() < 0.01);
        histogram.rotate();
        assert!(histogram.quantiles_ms([0.5])[0] > 0.0);
        histogram.rotate();
        assert_eq!(histogram.quantiles_ms([0.5]), [0.0]);
        assert_eq!(histogram.count(), 100);
    }
}
