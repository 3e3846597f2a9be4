//! What is counted while a run goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::wire::error_name;

/// Longest latency that is told apart: one hour.
const MAX_MICROS: u64 = 3_600_000_000;

/// The measured part of a run: from the end of the warm-up on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: Duration,
    pub(crate) end: Duration,
}

impl Window {
    pub(crate) fn contains(&self, time: Duration) -> bool {
        (self.start..self.end).contains(&time)
    }
}

/// Amounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) records: u64,
    pub(crate) requests: u64,
    /// Bytes of whole batches, as they are on the wire.
    pub(crate) batch_bytes: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.records += other.records;
        self.requests += other.requests;
        self.batch_bytes += other.batch_bytes;
    }
}

/// Latencies in microseconds, to three digits.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Histogram<u64>);

/// The quantiles of a curve.
const CURVE: [f64; 16] =
    [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 1.0];

/// Quantiles of latencies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    pub(crate) count: u64,
    pub(crate) mean_us: f64,
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p99_9_us: u64,
    pub(crate) p99_99_us: u64,
    pub(crate) max_us: u64,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        // Bounds in range and three digits are what the histogram accepts.
        Self(Histogram::new_with_bounds(1, MAX_MICROS, 3).expect("valid bounds"))
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        self.0.add(&other.0).expect("the same bounds");
    }

    pub(crate) fn clear(&mut self) {
        self.0.reset();
    }

    /// Quantiles and their latencies in microseconds, ascending; empty when nothing was recorded.
    pub(crate) fn curve(&self) -> Vec<(f64, u64)> {
        let at = |quantile: f64| (quantile, self.0.value_at_quantile(quantile));
        if self.0.is_empty() { Vec::new() } else { CURVE.map(at).to_vec() }
    }

    /// `None` when nothing was recorded.
    pub(crate) fn quantiles(&self) -> Option<Quantiles> {
        (!self.0.is_empty()).then(|| Quantiles {
            count: self.0.len(),
            mean_us: self.0.mean(),
            p50_us: self.0.value_at_quantile(0.5),
            p90_us: self.0.value_at_quantile(0.9),
            p99_us: self.0.value_at_quantile(0.99),
            p99_9_us: self.0.value_at_quantile(0.999),
            p99_99_us: self.0.value_at_quantile(0.9999),
            max_us: self.0.max(),
        })
    }
}

/// Everything that is counted. Amounts and latencies outside the window only feed the progress display.
#[derive(Debug)]
pub(crate) struct Stats {
    window: Window,
    keep_going: bool,
    pub(crate) measured: Counts,
    /// What consumers received while something else was measured.
    pub(crate) arrived: Counts,
    pub(crate) latency: Latencies,
    pub(crate) end_to_end: Latencies,
    pub(crate) errors: BTreeMap<String, u64>,
    /// Records that were due but not sent when time ran out, or sent and not received.
    pub(crate) missing: u64,
    /// When the last measured thing completed.
    pub(crate) last: Duration,
    recent: Counts,
    recent_latency: Latencies,
}

/// What happened since the last line of progress.
pub(crate) struct Recent {
    pub(crate) counts: Counts,
    pub(crate) latency: Option<Quantiles>,
    pub(crate) errors: u64,
}

impl Stats {
    pub(crate) fn new(window: Window, keep_going: bool) -> Self {
        Self {
            window,
            keep_going,
            measured: Counts::default(),
            arrived: Counts::default(),
            latency: Latencies::new(),
            end_to_end: Latencies::new(),
            errors: BTreeMap::new(),
            missing: 0,
            last: window.start,
            recent: Counts::default(),
            recent_latency: Latencies::new(),
        }
    }

    /// Something completed at `done`; `moment` decides whether it is measured.
    pub(crate) fn completed(&mut self, moment: Duration, done: Duration, counts: Counts) {
        self.recent.add(counts);
        if self.window.contains(moment) {
            self.measured.add(counts);
            self.last = self.last.max(done);
        }
    }

    /// The time from `began` to the acknowledgement (or to the answer of a fetch).
    pub(crate) fn latency(&mut self, moment: Duration, began: Duration, done: Duration) {
        let latency = done.saturating_sub(began);
        self.recent_latency.record(latency);
        if self.window.contains(moment) {
            self.latency.record(latency);
        }
    }

    /// The time from the intended sending to the receipt.
    pub(crate) fn received(&mut self, intended: Duration, done: Duration) {
        let latency = done.saturating_sub(intended);
        self.recent_latency.record(latency);
        if self.window.contains(intended) {
            self.end_to_end.record(latency);
            self.last = self.last.max(done);
        }
    }

    /// Batches were received at `done`.
    pub(crate) fn arrived(&mut self, done: Duration, counts: Counts) {
        if self.window.contains(done) {
            self.arrived.add(counts);
        }
    }

    /// Ends the window before its time.
    pub(crate) fn end_at(&mut self, end: Duration) {
        self.window.end = end;
    }

    /// Notes an error code; 0 is none.
    ///
    /// # Errors
    /// With its name, unless errors are only to be counted.
    pub(crate) fn check(&mut self, code: i16) -> Result<bool> {
        if code == 0 {
            return Ok(true);
        }
        let name = error_name(code);
        if !self.keep_going {
            bail!("the broker answered {name} (--keep-going counts errors instead)");
        }
        *self.errors.entry(name).or_default() += 1;
        Ok(false)
    }

    pub(crate) fn take_recent(&mut self) -> Recent {
        let latency = self.recent_latency.quantiles();
        self.recent_latency.clear();
        Recent { counts: std::mem::take(&mut self.recent), latency, errors: self.errors.values().sum() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn only_the_window_counts() {
        let mut stats = Stats::new(Window { start: 10 * MS, end: 20 * MS }, false);
        let counts = Counts { records: 2, requests: 1, batch_bytes: 100 };
        for moment in [0, 9, 10, 19, 20] {
            stats.completed(moment * MS, (moment + 5) * MS, counts);
            stats.latency(moment * MS, moment * MS, (moment + 5) * MS);
        }
        assert_eq!(stats.measured, Counts { records: 4, requests: 2, batch_bytes: 200 });
        assert_eq!(stats.last, 24 * MS);
        let measured = stats.latency.quantiles().unwrap();
        assert_eq!(measured.count, 2);
        assert_eq!(measured.max_us, 5003); // upper end of the histogram's bucket
        let recent = stats.take_recent();
        assert_eq!((recent.counts.records, recent.latency.unwrap().count), (10, 5));
        let recent = stats.take_recent();
        assert_eq!((recent.counts.records, recent.latency), (0, None));
    }

    #[test]
    fn quantiles_are_exact_to_three_digits() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.quantiles(), None);
        for micros in 1..=100_000 {
            latencies.record(Duration::from_micros(micros));
        }
        latencies.record(Duration::from_secs(1_000_000));
        let quantiles = latencies.quantiles().unwrap();
        for (found, expected) in [
            (quantiles.p50_us, 50_000),
            (quantiles.p90_us, 90_000),
            (quantiles.p99_us, 99_000),
            (quantiles.p99_9_us, 99_900),
        ] {
            assert!(found.abs_diff(expected) * 1000 <= expected, "{found} for {expected}");
        }
        assert!(quantiles.max_us >= MAX_MICROS);
    }

    #[test]
    fn errors_stop_or_count() {
        let window = Window { start: Duration::ZERO, end: MS };
        assert!(Stats::new(window, false).check(0).unwrap());
        assert!(Stats::new(window, false).check(19).unwrap_err().to_string().contains("NOT_ENOUGH_REPLICAS"));
        let mut stats = Stats::new(window, true);
        assert!(!stats.check(19).unwrap());
        assert!(!stats.check(19).unwrap());
        assert_eq!(stats.errors, [("NOT_ENOUGH_REPLICAS".to_owned(), 2)].into());
    }
}
