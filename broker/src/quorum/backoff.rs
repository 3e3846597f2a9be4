//! How long to wait before a node is tried again: pure.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(50);
/// The longest. Short, because a node that comes back should be part of the quorum again at once.
const LONGEST: Duration = Duration::from_secs(1);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Another failure: how long to wait now. `chance` (any number) spreads the waits of many nodes over half of each.
    pub(crate) fn failed(&mut self, chance: u32) -> Duration {
        let wait = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        wait / 2 + (wait / 2).mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }

    /// It worked.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_second_and_start_over() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..7).map(|_| backoff.failed(u32::MAX).as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.failed(0), Duration::from_millis(500));
        backoff.succeeded();
        assert_eq!(backoff.failed(0), Duration::from_millis(25));
    }
}
