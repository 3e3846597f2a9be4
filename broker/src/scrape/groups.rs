//! Groups, what they committed and how far they are behind, under the names of kafka_exporter, kafka-lag-exporter and
//! Redpanda.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::DescriptorEncoder;

use super::{View, count, gauges};
use crate::metrics::encode::Metric;
use crate::metrics::lag::GroupSnapshot;
use crate::metrics::lag::history::{LagHistory, PartitionKey};
use crate::partition::Partition;

/// Groups that are looked at.
pub(super) const MAX_GROUPS: usize = 5_000;
/// Committed offsets that get series of their own, over all groups.
const MAX_OFFSETS: usize = 50_000;

/// The high watermarks of this and earlier scrapes, and when this one is.
struct Watermarks<'a> {
    history: &'a LagHistory,
    now: Duration,
}

/// How far a committed offset is behind the high watermark.
struct Behind {
    records: i64,
    /// As far as that is known.
    seconds: Option<f64>,
}

/// One committed offset and how far it is behind; None for partitions that are elsewhere.
struct Lag<'a> {
    group: &'a str,
    topic: &'a str,
    partition: String,
    offset: i64,
    behind: Option<Behind>,
}

/// Lag of a group over all of its partitions.
#[derive(Default)]
struct GroupLag {
    sum: i64,
    max: i64,
    max_seconds: Option<f64>,
    by_topic: BTreeMap<String, i64>,
}

impl View {
    pub(super) fn groups(&self, encoder: &mut DescriptorEncoder<'_>, history: &mut LagHistory) -> fmt::Result {
        let groups = &self.groups;
        let offsets: usize = groups.iter().map(|group| group.offsets.len()).sum();
        gauges(
            encoder,
            &[
                ("kafka_server_groupmetadatamanager_numgroups", "Groups on this node.", count(groups.len())),
                ("kafka_server_groupmetadatamanager_numoffsets", "Committed offsets on this node.", count(offsets)),
            ],
        )?;
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        for group in groups {
            *states.entry(group.state).or_default() += 1;
        }
        let name = "kafka_server_group_coordinator_metrics_classic_group_count";
        let mut metric = Metric::gauge(encoder, name, "Classic groups by state.")?;
        for (state, number) in states {
            metric.whole(&[("state", state)], count(number))?;
        }
        let mut metric = Metric::gauge(encoder, "kafka_consumergroup_members", "Members of the group.")?;
        for group in groups {
            metric.whole(&[("consumergroup", &group.group)], count(group.members))?;
        }
        let now = self.node.clock.monotonic();
        self.note(history, now);
        self.lag_gauges(encoder, &Watermarks { history, now })
    }

    /// Notes the high watermarks that lag is counted from, of no more partitions than get series.
    fn note(&self, history: &mut LagHistory, now: Duration) {
        let offsets = self.groups.iter().flat_map(|group| &group.offsets).take(MAX_OFFSETS);
        let partitions: BTreeMap<_, _> =
            offsets.filter_map(|(topic, index, _)| self.node.partitions.get(topic, *index)).map(watermark).collect();
        history.note(now, partitions);
    }

    fn lag_gauges(&self, encoder: &mut DescriptorEncoder<'_>, watermarks: &Watermarks<'_>) -> fmt::Result {
        let groups = &self.groups;
        let lags = self.lags(groups, watermarks);
        let name = "kafka_consumergroup_current_offset";
        let mut metric = Metric::gauge(encoder, name, "Offset the group has committed.")?;
        for lag in &lags {
            metric.whole(
                &[("consumergroup", lag.group), ("topic", lag.topic), ("partition", &lag.partition)],
                lag.offset,
            )?;
        }
        for (name, group) in [("kafka_consumergroup_lag", "consumergroup"), ("kafka_consumergroup_group_lag", "group")]
        {
            let mut metric = Metric::gauge(encoder, name, "Records the group has yet to read.")?;
            for lag in &lags {
                let Some(behind) = &lag.behind else { continue };
                let labels = [(group, lag.group), ("topic", lag.topic), ("partition", &lag.partition)];
                metric.whole(&labels, behind.records)?;
            }
        }
        let name = "kafka_consumergroup_group_lag_seconds";
        let mut metric = Metric::gauge(encoder, name, "Time since the high watermark passed the committed offset.")?;
        for lag in &lags {
            let Some(seconds) = lag.behind.as_ref().and_then(|behind| behind.seconds) else { continue };
            metric.value(&[("group", lag.group), ("topic", lag.topic), ("partition", &lag.partition)], seconds)?;
        }
        let sums: Vec<_> = groups.iter().map(|group| (group.group.as_str(), self.sums(group, watermarks))).collect();
        let name = "kafka_consumergroup_group_max_lag_seconds";
        let mut metric = Metric::gauge(encoder, name, "The longest of these times over the group.")?;
        for (group, sums) in &sums {
            let Some(seconds) = sums.max_seconds else { continue };
            metric.value(&[("group", group)], seconds)?;
        }
        let help = "Lag over all partitions of a topic.";
        let mut metric = Metric::gauge(encoder, "kafka_consumergroup_lag_sum", help)?;
        for (group, sums) in &sums {
            for (topic, sum) in &sums.by_topic {
                metric.whole(&[("consumergroup", group), ("topic", topic)], *sum)?;
            }
        }
        for (name, label, of_max) in [
            ("kafka_consumergroup_group_max_lag", "group", true),
            ("kafka_consumergroup_group_sum_lag", "group", false),
            ("redpanda_kafka_consumer_group_lag_max", "redpanda_group", true),
            ("redpanda_kafka_consumer_group_lag_sum", "redpanda_group", false),
        ] {
            let mut metric = Metric::gauge(encoder, name, "Lag over all partitions of the group.")?;
            for (group, sums) in &sums {
                metric.whole(&[(label, group)], if of_max { sums.max } else { sums.sum })?;
            }
        }
        Ok(())
    }

    /// Committed offsets of whole groups, as long as the bound has room for them.
    fn lags<'a>(&self, groups: &'a [GroupSnapshot], watermarks: &Watermarks<'_>) -> Vec<Lag<'a>> {
        let mut lags = Vec::new();
        for group in groups {
            if lags.len() + group.offsets.len() > MAX_OFFSETS {
                break;
            }
            lags.extend(group.offsets.iter().map(|(topic, index, offset)| Lag {
                group: &group.group,
                topic,
                partition: index.to_string(),
                offset: *offset,
                behind: self.behind(topic, *index, *offset, watermarks),
            }));
        }
        lags
    }

    fn sums(&self, group: &GroupSnapshot, watermarks: &Watermarks<'_>) -> GroupLag {
        let mut sums = GroupLag::default();
        for (topic, index, offset) in &group.offsets {
            let behind = self.behind(topic, *index, *offset, watermarks);
            let lag = behind.as_ref().map_or(0, |behind| behind.records);
            sums.sum = sums.sum.saturating_add(lag);
            sums.max = sums.max.max(lag);
            let seconds = behind.and_then(|behind| behind.seconds);
            sums.max_seconds = sums.max_seconds.into_iter().chain(seconds).reduce(f64::max);
            let of_topic = sums.by_topic.entry(topic.clone()).or_default();
            *of_topic = of_topic.saturating_add(lag);
        }
        sums
    }

    /// How far a committed offset is behind; None for partitions that are elsewhere.
    fn behind(&self, topic: &str, index: i32, committed: i64, watermarks: &Watermarks<'_>) -> Option<Behind> {
        let (key, high_watermark) = watermark(self.node.partitions.get(topic, index)?);
        let records = high_watermark.saturating_sub(committed).max(0);
        Some(Behind { records, seconds: watermarks.history.seconds_behind(key, committed, watermarks.now) })
    }
}

fn watermark(partition: Arc<Partition>) -> (PartitionKey, i64) {
    ((partition.topic_id(), partition.index()), partition.high_watermark())
}
