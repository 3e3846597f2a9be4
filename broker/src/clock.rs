//! The one place where the broker reads a clock.
//!
//! Everything that times out, leases or limits uses [`Clock::monotonic`]; [`Clock::wall_ms`] is for timestamps of
//! records and for retention only. Tests and the simulator pass their own clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time, shared by all parts of a node.
pub trait Clock: Send + Sync + 'static {
    /// Time since an arbitrary start; never goes back, not even when the machine's time is set.
    fn monotonic(&self) -> Duration;

    /// Milliseconds since 1970-01-01 UTC; may jump in both directions.
    fn wall_ms(&self) -> i64;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the seam the ban points to")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam the ban points to")]
    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}
