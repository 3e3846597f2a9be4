//! What a node holds, read when it is scraped: partitions and their logs, groups and their lag, brokers, directories.

mod groups;
mod storage;
mod waiting;

use std::fmt;
use std::sync::{Arc, Weak};

use goatq_controller::image::{MetadataImage, TopicImage};
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use crate::metrics::encode::Metric;
use crate::metrics::lag::history::LagHistory;
use crate::metrics::lag::{GroupSnapshot, GroupSource};
use crate::node::Node;
use crate::partition::Partition;

/// Partitions that get series of their own; the rest is in the sums only.
const MAX_PARTITIONS: usize = 10_000;

/// Reads a node as long as there is one; see the module.
pub(crate) struct StateCollector {
    /// The node, which owns the registry that owns this.
    node: Weak<Node>,
    lag: Mutex<LagHistory>,
}

impl StateCollector {
    pub(crate) fn new(node: Weak<Node>) -> Self {
        Self { node, lag: Mutex::default() }
    }
}

impl fmt::Debug for StateCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateCollector").finish_non_exhaustive()
    }
}

/// One look at a node.
struct View {
    node: Arc<Node>,
    image: Arc<MetadataImage>,
    partitions: Vec<Arc<Partition>>,
    groups: Vec<GroupSnapshot>,
}

/// Help texts and values of gauges without labels.
type Gauges<'a> = &'a [(&'a str, &'a str, i64)];

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn gauges(encoder: &mut DescriptorEncoder<'_>, gauges: Gauges<'_>) -> fmt::Result {
    for (name, help, value) in gauges {
        Metric::gauge(encoder, name, help)?.whole(&[], *value)?;
    }
    Ok(())
}

/// One series for each partition: (labels from it, value).
fn by_partition(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    partitions: &[Arc<Partition>],
    value: impl Fn(&Partition) -> i64,
) -> fmt::Result {
    let mut metric = Metric::gauge(encoder, name, help)?;
    for partition in partitions.iter().take(MAX_PARTITIONS) {
        let index = partition.index().to_string();
        metric.whole(&[("topic", partition.topic()), ("partition", &index)], value(partition))?;
    }
    Ok(())
}

impl View {
    fn replica_gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let partitions = &self.partitions;
        let led: Vec<_> = partitions.iter().filter(|partition| partition.is_leader()).collect();
        let below =
            |extra: usize| led.iter().filter(|p| p.in_sync_replicas() + extra < p.config().min_insync_replicas).count();
        let at = led.iter().filter(|p| p.in_sync_replicas() == p.config().min_insync_replicas).count();
        let under = led.iter().filter(|p| is_under_replicated(&self.image, p)).count();
        let offline = self.assigned().saturating_sub(partitions.len())
            + partitions.iter().filter(|partition| partition.is_failed()).count();
        gauges(
            encoder,
            &[
                ("kafka_server_replicamanager_partitioncount", "Partitions on this node.", count(partitions.len())),
                ("kafka_server_replicamanager_leadercount", "Partitions this node leads.", count(led.len())),
                ("kafka_server_replicamanager_offlinereplicacount", "Replicas here that are offline.", count(offline)),
                (
                    "kafka_server_replicamanager_underreplicatedpartitions",
                    "Led partitions with replicas out of sync.",
                    count(under),
                ),
                (
                    "kafka_server_replicamanager_underminisrpartitioncount",
                    "Led partitions with fewer replicas in sync than min.insync.replicas.",
                    count(below(0)),
                ),
                (
                    "kafka_server_replicamanager_atminisrpartitioncount",
                    "Led partitions with just min.insync.replicas in sync.",
                    count(at),
                ),
            ],
        )
    }

    /// Partitions that the metadata gives to this node.
    fn assigned(&self) -> usize {
        let id = self.node.id();
        let ours = |topic: &Arc<TopicImage>| topic.partitions.iter().filter(|p| p.replicas.contains(&id)).count();
        self.image.topics.iter().map(ours).sum()
    }

    fn controller_gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (image, status) = (&self.image, self.node.controller.status());
        let leads = status.leader == Some(self.node.id());
        let all = || image.topics.iter().flat_map(|topic| &topic.partitions);
        let offline = all().filter(|partition| !partition.has_leader()).count();
        let imbalance = all().filter(|partition| partition.leader != partition.preferred_leader()).count();
        let fenced = image.brokers.iter().filter(|broker| broker.fenced).count();
        let active = image.brokers.len() - fenced;
        gauges(
            encoder,
            &[
                ("kafka_controller_kafkacontroller_activecontrollercount", "1 on the controller.", i64::from(leads)),
                (
                    "kafka_controller_kafkacontroller_offlinepartitionscount",
                    "Partitions without leader.",
                    count(offline),
                ),
                (
                    "kafka_controller_kafkacontroller_preferredreplicaimbalancecount",
                    "Partitions not led by their preferred replica.",
                    count(imbalance),
                ),
                ("kafka_controller_kafkacontroller_globaltopiccount", "Topics.", count(image.topics.len())),
                (
                    "kafka_controller_kafkacontroller_globalpartitioncount",
                    "Partitions.",
                    count(image.topics.partition_count()),
                ),
                ("kafka_controller_kafkacontroller_fencedbrokercount", "Brokers that are fenced.", count(fenced)),
                ("kafka_controller_kafkacontroller_activebrokercount", "Brokers that serve.", count(active)),
                (
                    "kafka_server_raftmetrics_current_leader",
                    "Node id of the leader.",
                    status.leader.unwrap_or(-1).into(),
                ),
                ("kafka_server_raftmetrics_current_epoch", "Epoch of the metadata log.", status.term.into()),
                (
                    "kafka_server_raftmetrics_high_watermark",
                    "End of the committed part of the metadata log.",
                    status.committed_index.saturating_add(1),
                ),
                (
                    "kafka_server_raftmetrics_log_end_offset",
                    "End of the metadata log.",
                    status.last_index.saturating_add(1),
                ),
                ("kafka_brokers", "Brokers of the cluster.", count(image.brokers.len())),
                ("redpanda_cluster_unavailable_partitions", "Partitions without leader.", count(offline)),
            ],
        )?;
        let state = if leads { "leader" } else { "follower" };
        let mut metric = Metric::gauge(encoder, "kafka_server_raftmetrics_current_state", "1 for the state now.")?;
        metric.whole(&[("state", state)], 1)
    }

    /// The series of kafka_exporter that describe topics.
    fn topic_gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let image = &self.image;
        let mut metric = Metric::gauge(encoder, "kafka_topic_partitions", "Partitions of the topic.")?;
        for topic in image.topics.iter().take(MAX_PARTITIONS) {
            metric.whole(&[("topic", &topic.name)], topic.partition_count().into())?;
        }
        let led: Vec<_> = self.partitions.iter().filter(|partition| partition.is_leader()).cloned().collect();
        let name = "kafka_topic_partition_current_offset";
        by_partition(encoder, name, "High watermark.", &led, Partition::high_watermark)?;
        let name = "kafka_topic_partition_oldest_offset";
        by_partition(encoder, name, "First offset.", &led, Partition::log_start_offset)?;
        let in_sync = |p: &Partition| count(p.in_sync_replicas());
        by_partition(encoder, "kafka_topic_partition_in_sync_replica", "Replicas in sync.", &led, in_sync)?;
        let leader = |p: &Partition| i64::from(p.leader().0);
        by_partition(encoder, "kafka_topic_partition_leader", "Node id of the leader.", &led, leader)?;
        let replicas = |p: &Partition| replicas(image, p);
        by_partition(encoder, "kafka_topic_partition_replicas", "Replicas.", &led, replicas)?;
        let under = |p: &Partition| i64::from(is_under_replicated(image, p));
        let name = "kafka_topic_partition_under_replicated_partition";
        by_partition(encoder, name, "1 when replicas are out of sync.", &led, under)?;
        let preferred = |p: &Partition| i64::from(is_preferred(image, p));
        let name = "kafka_topic_partition_leader_is_preferred";
        by_partition(encoder, name, "1 when the first replica leads.", &led, preferred)?;
        // The same under the names of kafka-lag-exporter.
        let name = "kafka_partition_latest_offset";
        by_partition(encoder, name, "High watermark.", &led, Partition::high_watermark)?;
        let name = "kafka_partition_earliest_offset";
        by_partition(encoder, name, "First offset.", &led, Partition::log_start_offset)
    }

    /// Replicas in sync, under the names of Kafka's partition metrics and of Redpanda.
    fn in_sync_gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let image = &self.image;
        let led: Vec<_> = self.partitions.iter().filter(|partition| partition.is_leader()).cloned().collect();
        let below = |p: &Partition| i64::from(p.in_sync_replicas() < p.config().min_insync_replicas);
        let at = |p: &Partition| i64::from(p.in_sync_replicas() == p.config().min_insync_replicas);
        let under = |p: &Partition| i64::from(is_under_replicated(image, p));
        let all = |p: &Partition| replicas(image, p);
        let in_sync = |p: &Partition| count(p.in_sync_replicas());
        let name = "kafka_cluster_partition_underminisr";
        by_partition(encoder, name, "1 with fewer replicas in sync than min.insync.replicas.", &led, below)?;
        by_partition(encoder, "kafka_cluster_partition_atminisr", "1 with just that many.", &led, at)?;
        by_partition(encoder, "kafka_cluster_partition_underreplicated", "1 with replicas out of sync.", &led, under)?;
        by_partition(encoder, "kafka_cluster_partition_replicascount", "Replicas.", &led, all)?;
        by_partition(encoder, "kafka_cluster_partition_insyncreplicascount", "Replicas in sync.", &led, in_sync)?;
        let name = "redpanda_kafka_under_replicated_replicas";
        let mut metric = Metric::gauge(encoder, name, "Replicas out of sync.")?;
        for partition in led.iter().take(MAX_PARTITIONS) {
            let index = partition.index().to_string();
            let labels = [
                ("redpanda_namespace", "kafka"),
                ("redpanda_topic", partition.topic()),
                ("redpanda_partition", &index),
            ];
            metric.whole(&labels, replicas(image, partition) - count(partition.in_sync_replicas()))?;
        }
        Ok(())
    }
}

fn replicas(image: &MetadataImage, partition: &Partition) -> i64 {
    let topic = image.topics.by_id(&partition.topic_id());
    let found = topic.and_then(|topic| topic.partition(partition.index()));
    found.map_or(0, |partition| count(partition.replicas.len()))
}

fn is_preferred(image: &MetadataImage, partition: &Partition) -> bool {
    let topic = image.topics.by_id(&partition.topic_id());
    let found = topic.and_then(|topic| topic.partition(partition.index()));
    found.is_some_and(|found| found.preferred_leader() == partition.leader().0)
}

fn is_under_replicated(image: &MetadataImage, partition: &Partition) -> bool {
    count(partition.in_sync_replicas()) < replicas(image, partition)
}

impl Collector for StateCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(node) = self.node.upgrade() else { return Ok(()) };
        let groups = node.groups.groups(groups::MAX_GROUPS);
        let view = View { image: node.image(), partitions: node.partitions.all(), groups, node };
        view.replica_gauges(&mut encoder)?;
        view.controller_gauges(&mut encoder)?;
        view.storage(&mut encoder)?;
        view.topic_gauges(&mut encoder)?;
        view.in_sync_gauges(&mut encoder)?;
        view.waiting(&mut encoder)?;
        view.groups(&mut encoder, &mut self.lag.lock())
    }
}
