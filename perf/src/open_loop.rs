//! When records are due. Sending by a schedule that the broker cannot delay is what keeps slow moments in the figures:
//! latency counts from the time at which a record was to be sent, not from when the sender got round to it.

use std::time::Duration;

/// One sender's share of a schedule: of the records of the whole run, numbered from 0 and due at even intervals, those whose
/// number leaves the sender's index when divided by the count of senders.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pacer {
    start: Duration,
    /// Nanoseconds between two records of the whole run.
    interval: f64,
    senders: u64,
    index: u64,
}

impl Pacer {
    /// `rate` is that of all senders together in records per second, above 0.
    pub(crate) fn new(rate: f64, start: Duration, index: usize, senders: usize) -> Self {
        Self { start, interval: 1e9 / rate, senders: senders.max(1) as u64, index: index as u64 }
    }

    /// When this sender's record `number` (from 0) is due.
    pub(crate) fn due_at(&self, number: u64) -> Duration {
        let slot = number.saturating_mul(self.senders).saturating_add(self.index);
        self.start + Duration::from_nanos((slot as f64 * self.interval) as u64)
    }

    /// How many of this sender's records are due at `now`.
    pub(crate) fn due(&self, now: Duration) -> u64 {
        let Some(elapsed) = now.checked_sub(self.start) else { return 0 };
        let slots = (elapsed.as_nanos() as f64 / self.interval) as u64;
        let mut count = slots.saturating_sub(self.index) / self.senders;
        // The division above is rounded; the schedule itself decides.
        while count > 0 && self.due_at(count - 1) > now {
            count -= 1;
        }
        while self.due_at(count) <= now {
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn records_are_due_at_even_intervals() {
        let start = Duration::from_secs(3);
        let pacer = Pacer::new(5000.0, start, 0, 1);
        assert_eq!(pacer.due(Duration::ZERO), 0);
        assert_eq!(pacer.due(start), 1);
        assert_eq!(pacer.due(start + Duration::from_micros(199)), 1);
        assert_eq!(pacer.due(start + Duration::from_micros(200)), 2);
        assert_eq!(pacer.due_at(5000), start + Duration::from_secs(1));
    }

    proptest! {
        #[test]
        fn senders_share_one_schedule(rate in 0.1..2e6_f64, senders in 1_usize..9, ms in 0_u64..100_000) {
            let start = Duration::from_millis(5);
            let now = start + Duration::from_millis(ms);
            let whole = Pacer::new(rate, start, 0, 1);
            let shares: Vec<Pacer> = (0..senders).map(|index| Pacer::new(rate, start, index, senders)).collect();
            prop_assert_eq!(shares.iter().map(|share| share.due(now)).sum::<u64>(), whole.due(now));
            for (index, share) in shares.iter().enumerate() {
                let due = share.due(now);
                prop_assert!(due == 0 || share.due_at(due - 1) <= now);
                prop_assert!(share.due_at(due) > now);
                prop_assert_eq!(share.due_at(7), whole.due_at(7 * senders as u64 + index as u64));
            }
        }
    }
}
