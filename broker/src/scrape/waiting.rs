//! Operations that wait, fetch sessions, and how far replicas are behind.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::{MAX_PARTITIONS, View, count, gauges};
use crate::metrics::encode::Metric;

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
            ],
        )?;
        let evicted = format!("{cache}_incrementalfetchsessionevictions");
        Metric::counter(encoder, &evicted, "Fetch sessions evicted.")?.count(&[], sessions.evictions)?;
        let looks = self.node.fetch.looks();
        Metric::counter(encoder, "goatq_fetch_partition_looks", "Looks of fetches at partitions.")?
            .count(&[], looks)?;
        let unclean = "kafka_controller_controllerstats_uncleanleaderelections";
        Metric::counter(encoder, unclean, "Leaders elected out of sync by themselves.")?.count(&[], 0)?;
        self.followers(encoder)
    }

    /// What is to come of what leaders have committed, and how fast throttled replicas are copied.
    fn followers(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let name = "kafka_server_fetcherlagmetrics_consumerlag";
        let mut lags = Metric::gauge(encoder, name, "Committed records that a follower here lacks.")?;
        let mut most = 0;
        for (at, partition) in self.partitions.iter().enumerate() {
            let Some(lag) = partition.lag() else { continue };
            most = most.max(lag);
            if at < MAX_PARTITIONS {
                let (leader, index) = (partition.leader().0, partition.index().to_string());
                let client = format!("ReplicaFetcherThread-0-{leader}");
                lags.whole(&[("clientId", &client), ("topic", partition.topic()), ("partition", &index)], lag)?;
            }
        }
        let name = "kafka_server_replicafetchermanager_maxlag";
        Metric::gauge(encoder, name, "The most of them.")?.whole(&[("clientId", "Replica")], most)?;
        let (throttles, now) = (&self.node.throttles, self.node.clock.monotonic());
        let (sent, asked) = (throttles.leader().rate(now), throttles.follower().rate(now));
        let help = "Bytes a second that throttled replicas are copied with.";
        for (name, rate) in
            [("kafka_server_leaderreplication_byte_rate", sent), ("kafka_server_followerreplication_byte_rate", asked)]
        {
            Metric::gauge(encoder, name, help)?.whole(&[], i64::try_from(rate).unwrap_or(i64::MAX))?;
        }
        Ok(())
    }
}
