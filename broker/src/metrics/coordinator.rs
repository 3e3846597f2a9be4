//! Groups and the operations that wait.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::encode::Metric;
use super::network::Level;
use super::topics::Count;

/// What the group coordinator counts while it works; what it holds is read at scrape time (see
/// [`GroupSource`](super::lag::GroupSource)).
#[derive(Debug, Default)]
pub struct GroupMetrics {
    /// Rebalances that completed (a new generation).
    pub rebalances: Count,
    /// Offsets committed, by partition.
    pub offset_commits: Count,
    /// Offsets that expired.
    pub offset_expirations: Count,
    /// Offsets deleted by request.
    pub offset_deletions: Count,
}

impl Collector for GroupMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counters = [
            ("classic_group_completed_rebalance", "Rebalances completed.", &self.rebalances),
            ("offset_commit", "Offsets committed.", &self.offset_commits),
            ("offset_expiration", "Offsets expired.", &self.offset_expirations),
            ("offset_deletion", "Offsets deleted.", &self.offset_deletions),
        ];
        for (what, help, count) in counters {
            let family = format!("kafka_server_group_coordinator_metrics_{what}");
            Metric::counter(&mut encoder, &family, help)?.count(&[], count.get())?;
        }
        Ok(())
    }
}

/// Operations that wait in a purgatory, by kind.
#[derive(Debug, Default)]
pub struct PurgatoryMetrics {
    /// Produce requests that wait for durability or replicas.
    pub produce: Level,
    /// Fetch requests that wait for data.
    pub fetch: Level,
    /// Joins and syncs that wait for other members.
    pub rebalance: Level,
    /// DeleteRecords that wait.
    pub delete_records: Level,
    /// Incremental fetch sessions that are cached.
    pub fetch_sessions: Level,
    /// Partitions in those sessions.
    pub fetch_session_partitions: Level,
    /// Fetch sessions evicted for newer ones.
    pub fetch_session_evictions: Count,
}

impl Collector for PurgatoryMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let name = "kafka_server_delayedoperationpurgatory_purgatorysize";
        let mut size = Metric::gauge(&mut encoder, name, "Operations that wait.")?;
        let kinds = [
            ("Produce", &self.produce),
            ("Fetch", &self.fetch),
            ("Rebalance", &self.rebalance),
            ("DeleteRecords", &self.delete_records),
        ];
        for (kind, level) in kinds {
            size.whole(&[("delayedOperation", kind)], level.get())?;
        }
        let family = "kafka_server_fetchsessioncache_numincrementalfetchsessions";
        Metric::gauge(&mut encoder, family, "Fetch sessions.")?.whole(&[], self.fetch_sessions.get())?;
        let family = "kafka_server_fetchsessioncache_numincrementalfetchpartitionscached";
        let partitions = self.fetch_session_partitions.get();
        Metric::gauge(&mut encoder, family, "Partitions in fetch sessions.")?.whole(&[], partitions)?;
        let family = "kafka_server_fetchsessioncache_incrementalfetchsessionevictions";
        let evictions = self.fetch_session_evictions.get();
        Metric::counter(&mut encoder, family, "Fetch sessions evicted.")?.count(&[], evictions)
    }
}
