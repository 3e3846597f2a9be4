//! What the group coordinator counts.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::encode::Metric;
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
