//! Operations that wait, fetch sessions, and what a node that replicates nothing can say of replication.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::{View, count, gauges};
use crate::metrics::encode::Metric;

/// Counters of replication. A cluster of one node has none to do, so they stay at zero; dashboards and alerts ask for them.
const NEVER: [(&str, &str); 8] = [
    ("kafka_server_replicamanager_isrshrinks", "Replicas that fell out of sync."),
    ("kafka_server_replicamanager_isrexpands", "Replicas that came back into sync."),
    ("kafka_server_replicamanager_failedisrupdates", "Changes of the in-sync set that failed."),
    ("kafka_server_brokertopicmetrics_replicationbytesin", "Bytes read from leaders."),
    ("kafka_server_brokertopicmetrics_replicationbytesout", "Bytes sent to followers."),
    ("kafka_server_brokertopicmetrics_reassignmentbytesin", "Bytes read by replicas on the move."),
    ("kafka_server_brokertopicmetrics_reassignmentbytesout", "Bytes sent to replicas on the move."),
    ("kafka_controller_controllerstats_uncleanleaderelections", "Leaders elected out of sync."),
];

impl View {
    pub(super) fn waiting(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let name = "kafka_server_delayedoperationpurgatory_purgatorysize";
        let mut size = Metric::gauge(encoder, name, "Operations that wait.")?;
        let rebalancing = self.groups.iter().filter(|group| group.state == "PreparingRebalance").count();
        let kinds = [
            ("Produce", count(self.node.waiting.places())),
            ("Fetch", count(self.node.fetch.places())),
            ("Rebalance", count(rebalancing)),
        ];
        for (kind, waiting) in kinds {
            size.whole(&[("delayedOperation", kind)], waiting)?;
        }
        let sessions = self.node.fetch.sessions();
        let cache = "kafka_server_fetchsessioncache";
        let (number, partitions) =
            (format!("{cache}_numincrementalfetchsessions"), format!("{cache}_numincrementalfetchpartitionscached"));
        gauges(
            encoder,
            &[
                (&number, "Fetch sessions.", count(sessions.sessions)),
                (&partitions, "Partitions in fetch sessions.", count(sessions.partitions)),
                ("kafka_server_replicafetchermanager_maxlag", "Records that a replica here is behind at most.", 0),
            ],
        )?;
        let evicted = format!("{cache}_incrementalfetchsessionevictions");
        Metric::counter(encoder, &evicted, "Fetch sessions evicted.")?.count(&[], sessions.evictions)?;
        let looks = self.node.fetch.looks();
        Metric::counter(encoder, "goatq_fetch_partition_looks", "Looks of fetches at partitions.")?
            .count(&[], looks)?;
        for (name, help) in NEVER {
            Metric::counter(encoder, name, help)?.count(&[], 0)?;
        }
        Ok(())
    }
}
