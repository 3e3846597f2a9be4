//! How fast replicas may be copied (KIP-73): a rate, measured over the last seconds.
//!
//! What counts is traffic of partitions that are marked as throttled for this node, and what waits is replicas that are not in sync. A
//! rate is checked before records are read and counted after they were sent, so one answer may exceed it; the next ones then wait until
//! the average is below it again.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

/// The limit of a throttle that does not limit.
pub const UNLIMITED: u64 = i64::MAX.unsigned_abs();

/// How traffic is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleConfig {
    /// Bytes a second.
    pub rate: u64,
    /// `replication.quota.window.num`: windows that are looked at, the present one included.
    pub windows: usize,
    /// `replication.quota.window.size.seconds`.
    pub window: Duration,
}

/// Traffic of one direction.
#[derive(Debug, Clone)]
pub struct Throttle {
    config: ThrottleConfig,
    /// When each window began, and the bytes in it; at most `windows` of them.
    samples: VecDeque<(Duration, u64)>,
}

impl Throttle {
    /// No traffic yet.
    pub fn new(config: ThrottleConfig) -> Self {
        Self { config, samples: VecDeque::new() }
    }

    /// Another limit; what was measured stays.
    pub fn set_rate(&mut self, rate: u64) {
        self.config.rate = rate;
    }

    /// Bytes have been sent or received.
    pub fn record(&mut self, bytes: u64, now: Duration) {
        self.forget(now);
        match self.samples.back_mut() {
            Some((begun, sum)) if now < begun.saturating_add(self.config.window) => *sum = sum.saturating_add(bytes),
            _ => self.samples.push_back((now, bytes)),
        }
        while self.samples.len() > self.config.windows.max(1) {
            self.samples.pop_front();
        }
    }

    /// Bytes a second over the windows, at least one.
    pub fn rate(&self, now: Duration) -> u64 {
        let oldest = self.oldest(now);
        let counted = self.samples.iter().filter(|(begun, _)| *begun >= oldest);
        let Some((first, _)) = counted.clone().next() else { return 0 };
        let bytes: u64 = counted.map(|(_, bytes)| *bytes).fold(0, u64::saturating_add);
        let elapsed = now.saturating_sub(*first).max(self.config.window).max(Duration::from_millis(1));
        let rate = u128::from(bytes) * 1_000 / elapsed.as_millis();
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    /// Whether replicas have to wait.
    pub fn is_exceeded(&self, now: Duration) -> bool {
        self.config.rate < UNLIMITED && self.rate(now) > self.config.rate
    }

    fn oldest(&self, now: Duration) -> Duration {
        let windows = u32::try_from(self.config.windows).unwrap_or(u32::MAX).max(1);
        now.saturating_sub(self.config.window.saturating_mul(windows))
    }

    fn forget(&mut self, now: Duration) {
        let oldest = self.oldest(now);
        while self.samples.front().is_some_and(|(begun, _)| *begun < oldest) {
            self.samples.pop_front();
        }
    }
}

/// The throttles of a node: of what it sends as a leader, of what it asks for as a follower, and of what it copies from one log directory to
/// another.
#[derive(Debug)]
pub struct Throttles {
    leader: Mutex<Throttle>,
    follower: Mutex<Throttle>,
    moves: Mutex<Throttle>,
}

impl Throttles {
    /// No traffic yet.
    pub fn new(leader: ThrottleConfig, follower: ThrottleConfig, moves: ThrottleConfig) -> Self {
        let [leader, follower, moves] = [leader, follower, moves].map(|config| Mutex::new(Throttle::new(config)));
        Self { leader, follower, moves }
    }

    /// What the node copies between log directories.
    pub fn moves(&self) -> MutexGuard<'_, Throttle> {
        self.moves.lock()
    }

    /// What the node sends.
    pub fn leader(&self) -> MutexGuard<'_, Throttle> {
        self.leader.lock()
    }

    /// What the node asks for.
    pub fn follower(&self) -> MutexGuard<'_, Throttle> {
        self.follower.lock()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONFIG: ThrottleConfig = ThrottleConfig { rate: 1_000, windows: 11, window: Duration::from_secs(1) };

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_rate_is_an_average_of_the_last_windows() {
        let mut throttle = Throttle::new(CONFIG);
        assert!(!throttle.is_exceeded(at(0)));
        throttle.record(3_000, at(0));
        assert_eq!((throttle.rate(at(500)), throttle.rate(at(2_000))), (3_000, 1_500));
        assert!(throttle.is_exceeded(at(2_900)) && !throttle.is_exceeded(at(3_000)));
        // What is long ago does not count.
        assert_eq!(throttle.rate(at(12_000)), 0);
        throttle.record(500, at(12_000));
        assert_eq!(throttle.rate(at(12_500)), 500);
        throttle.set_rate(400);
        assert!(throttle.is_exceeded(at(12_500)));
        throttle.set_rate(UNLIMITED);
        throttle.record(u64::MAX, at(12_600));
        assert!(!throttle.is_exceeded(at(12_700)));
    }

    proptest! {
        /// Whoever sends only while the rate is not exceeded stays below it but for his last answer.
        #[test]
        fn who_obeys_is_as_fast_as_allowed(answers in prop::collection::vec(1..5_000_u64, 1..200), pause in 1..400_u64) {
            let mut throttle = Throttle::new(CONFIG);
            let (mut now, mut sent, mut largest) = (0, 0, 0);
            for bytes in answers {
                while throttle.is_exceeded(at(now)) {
                    now += pause;
                    prop_assert!(now < 10_000_000, "it never goes on");
                }
                throttle.record(bytes, at(now));
                sent += bytes;
                largest = largest.max(bytes);
                let allowed = CONFIG.rate * (now + 1_000) / 1_000 + largest;
                // The average forgets what is older than its windows, and an answer at a time.
                prop_assert!(sent <= allowed + allowed / 10 + largest, "{} bytes by {} ms", sent, now);
            }
            prop_assert!(throttle.samples.len() <= 11);
        }
    }
}
