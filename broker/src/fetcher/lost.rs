//! Brokers whose connections have just ended.
//!
//! Until the controller has others lead, for about a tenth of a second, the metadata still sends clients to a process that is gone. Some of
//! them look again only after a second. Told that there is no leader, they ask again soon.
//!
//! When others lead, clients of librdkafka must not hear in the same moment that the broker is no more: what they take down with it is
//! the partition that is on its way to its new leader, of which they think again a second later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Who is gone for longer than this and leads all the same is not gone.
const BELIEVED: Duration = Duration::from_secs(1);

/// For so long clients are told where a broker was that is fenced.
const REMEMBERED: Duration = Duration::from_secs(3);

/// Which brokers ended or refused the connection of a fetcher a moment ago. Clones are the same. Holds an entry for each broker that was ever
/// lost.
#[derive(Debug, Clone, Default)]
pub(crate) struct LostBrokers(Arc<Mutex<BTreeMap<i32, Instant>>>);

impl LostBrokers {
    /// A connection to a broker ended, or was refused. What counts is the first time since it was reached.
    pub(super) fn lose(&self, broker: i32) {
        self.0.lock().entry(broker).or_insert_with(Instant::now);
    }

    /// A broker is reached.
    pub(super) fn find(&self, broker: i32) {
        self.0.lock().remove(&broker);
    }

    /// Whether a broker seems to be gone.
    pub(crate) fn is_lost(&self, broker: i32) -> bool {
        self.is_lost_for_less_than(BELIEVED, broker)
    }

    /// Whether a broker went a moment ago, and clients are about to leave it.
    pub(crate) fn is_left(&self, broker: i32) -> bool {
        self.is_lost_for_less_than(REMEMBERED, broker)
    }

    fn is_lost_for_less_than(&self, time: Duration, broker: i32) -> bool {
        self.0.lock().get(&broker).is_some_and(|since| since.elapsed() < time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_broker_is_lost_for_a_moment() {
        let lost = LostBrokers::default();
        assert!(!lost.is_lost(1));
        lost.lose(1);
        assert!(lost.is_lost(1) && !lost.is_lost(2));
        tokio::time::advance(BELIEVED / 2).await;
        // Refused meanwhile.
        lost.lose(1);
        assert!(lost.is_lost(1));
        tokio::time::advance(BELIEVED / 2).await;
        assert!(!lost.is_lost(1), "it leads all the same");
        assert!(lost.is_left(1) && !lost.is_left(2));
        tokio::time::advance(REMEMBERED - BELIEVED).await;
        assert!(!lost.is_left(1));
        lost.find(1);
        lost.lose(1);
        assert!(lost.is_lost(1), "another time");
        lost.find(1);
        assert!(!lost.is_lost(1), "it is back");
    }
}
