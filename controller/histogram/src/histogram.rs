//! Counts of values by powers of two.

use std::fmt;
use std::marker::PhantomData;

/// Zero, and one bucket for each length of a number in bits.
const BUCKETS: usize = u64::BITS as usize + 1;

/// How often values of each power of two were recorded. `T` only has to be there: openraft names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: [u64; BUCKETS],
    kind: PhantomData<T>,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Histogram<T> {
    /// An empty histogram.
    pub fn new() -> Self {
        Self { counts: [0; BUCKETS], kind: PhantomData }
    }

    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts a value `count` times.
    pub fn record_n(&mut self, value: u64, count: u64) {
        let bits = u64::BITS - value.leading_zeros();
        if let Some(bucket) = self.counts.get_mut(bits as usize) {
            *bucket = bucket.saturating_add(count);
        }
    }

    /// How many values were recorded.
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The largest value that the bucket of a percentile (0 to 1) can hold; 0 when nothing was recorded.
    pub fn percentile(&self, percentile: f64) -> u64 {
        let rank = ((self.total() as f64 * percentile).ceil() as u64).max(1);
        let mut seen = 0_u64;
        let reaches = |count: &u64| {
            seen = seen.saturating_add(*count);
            seen >= rank
        };
        let bits = self.counts.iter().position(reaches).unwrap_or(0);
        1_u64.checked_shl(u32::try_from(bits).unwrap_or(u64::BITS)).map_or(u64::MAX, |power| power - 1)
    }

    /// The percentiles that are shown.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total(),
            p0_1: self.percentile(0.001),
            p1: self.percentile(0.01),
            p5: self.percentile(0.05),
            p10: self.percentile(0.1),
            p50: self.percentile(0.5),
            p90: self.percentile(0.9),
            p99: self.percentile(0.99),
            p99_9: self.percentile(0.999),
        }
    }
}

/// Percentiles of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PercentileStats {
    /// How many values were recorded.
    pub samples: u64,
    /// 0.1 % of the values are at most this.
    pub p0_1: u64,
    /// 1 %.
    pub p1: u64,
    /// 5 %.
    pub p5: u64,
    /// 10 %.
    pub p10: u64,
    /// Half of them.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, p50, p90, p99, p99_9, .. } = self;
        write!(f, "{samples} values, half up to {p50}, 90 % {p90}, 99 % {p99}, 99.9 % {p99_9}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_bounds_of_powers_of_two() {
        let mut histogram = Histogram::<()>::new();
        assert_eq!((histogram.total(), histogram.percentile(0.5)), (0, 0));
        histogram.record_n(0, 10);
        histogram.record_n(5, 80);
        histogram.record(u64::MAX);
        histogram.record_n(100, 9);
        assert_eq!(histogram.total(), 100);
        let stats = histogram.percentile_stats();
        assert_eq!((stats.p1, stats.p10, stats.p50, stats.p90), (0, 0, 7, 7));
        assert_eq!((stats.p99, stats.p99_9), (127, u64::MAX));
        assert!(stats.to_string().starts_with("100 values, half up to 7"));
    }
}
