//! The clocks of a machine: monotonic time is its runtime's, wall time is that and whatever somebody has set it to.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use goatq_broker::clock::Clock;
use tokio::time::Instant;

/// When worlds begin: 2026-01-01.
const BEGIN_MS: i64 = 1_767_225_600_000;

/// Wall time at a time of the world, ms.
pub fn world_ms(at: Duration) -> i64 {
    BEGIN_MS.saturating_add(i64::try_from(at.as_millis()).unwrap_or(i64::MAX))
}

/// The clocks of one life of a machine.
pub struct SimClock {
    booted: Instant,
    booted_ms: i64,
    /// Milliseconds that the wall clock is off.
    skew: Arc<AtomicI64>,
}

impl SimClock {
    /// Clocks of a machine that boots `at` this time of the world.
    pub fn boot(at: Duration, skew: Arc<AtomicI64>) -> Self {
        Self { booted: Instant::now(), booted_ms: world_ms(at), skew }
    }
}

impl Clock for SimClock {
    fn monotonic(&self) -> Duration {
        self.booted.elapsed()
    }

    fn wall_ms(&self) -> i64 {
        let up = i64::try_from(self.booted.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.booted_ms.saturating_add(up).saturating_add(self.skew.load(Ordering::Relaxed))
    }
}
