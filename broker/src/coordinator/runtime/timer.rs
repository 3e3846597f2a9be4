//! Deadlines by key, in order.

use std::collections::BTreeMap;
use std::time::Duration;

/// At most one deadline per key; the earliest comes first, equal ones in the order they were set.
#[derive(Debug)]
pub(super) struct TimerQueue<T> {
    by_time: BTreeMap<(Duration, u64), T>,
    by_key: BTreeMap<T, (Duration, u64)>,
    next_sequence: u64,
}

impl<T: Ord + Clone> TimerQueue<T> {
    /// No timers.
    pub(super) fn new() -> Self {
        Self { by_time: BTreeMap::new(), by_key: BTreeMap::new(), next_sequence: 0 }
    }

    /// Sets or moves the deadline of a key.
    pub(super) fn set(&mut self, key: T, at: Duration) {
        self.cancel(&key);
        let slot = (at, self.next_sequence);
        self.next_sequence = self.next_sequence.wrapping_add(1);
        self.by_time.insert(slot, key.clone());
        self.by_key.insert(key, slot);
    }

    /// Forgets a key; nothing happens when it is not set.
    pub(super) fn cancel(&mut self, key: &T) {
        if let Some(slot) = self.by_key.remove(key) {
            self.by_time.remove(&slot);
        }
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Duration> {
        self.by_time.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the earliest key whose deadline is not after `now`.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_in_order_and_once() {
        let ms = Duration::from_millis;
        let mut timers = TimerQueue::new();
        timers.set("b", ms(20));
        timers.set("a", ms(10));
        timers.set("c", ms(20));
        timers.set("a", ms(30));
        timers.set("d", ms(5));
        timers.cancel(&"d");
        assert_eq!(timers.next(), Some(ms(20)));
        assert_eq!(timers.pop_due(ms(19)), None);
        let due: Vec<_> = std::iter::from_fn(|| timers.pop_due(ms(100))).collect();
        assert_eq!(due, ["b", "c", "a"]);
        assert_eq!(timers.next(), None);
    }
}
