//! Clusters with a replicated topic, and what is to be true of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use goatq_integration::client;
use goatq_integration::cluster::{Cluster, brokers_serve, create_topic, partition, until};
use goatq_integration::ledger::Ledger;
use goatq_integration::node::Node;
use goatq_integration::workload::{Writer, read_all, value};
use goatq_protocol::ErrorCode;
use goatq_protocol::message::metadata::MetadataResponsePartition;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

pub(crate) const TOPIC: &str = "copies";
pub(crate) const PARTITIONS: i32 = 3;

/// A cluster of three with a topic that has three replicas, two of which have to be in sync.
pub(crate) fn cluster(more: &[&str]) -> Cluster {
    let settings: Vec<_> =
        ["min.insync.replicas=2", "replica.lag.time.max.ms=3000"].iter().chain(more).copied().collect();
    let cluster = Cluster::start_with(3, &settings).unwrap();
    // Brokers that come later lead nothing of it.
    brokers_serve(&cluster.nodes[0], 3).unwrap();
    until("a topic with three replicas", || {
        let (code, _) = create_topic(&cluster.nodes[0], TOPIC, PARTITIONS, 3)?;
        Ok((code == 0 || code == ErrorCode::TopicAlreadyExists.code()).then_some(()))
    })
    .unwrap();
    in_sync(&cluster.nodes, 3);
    cluster
}

fn see(node: &Node, index: i32) -> anyhow::Result<MetadataResponsePartition> {
    partition(node, TOPIC, index)?.ok_or_else(|| anyhow::anyhow!("not known yet"))
}

/// Waits until each partition has a leader and that many replicas in sync, as every running node tells it.
pub(crate) fn in_sync(nodes: &[Node], count: usize) {
    until("as many replicas are in sync", || {
        for node in nodes.iter().filter(|node| node.pid().is_some()) {
            for index in 0..PARTITIONS {
                let seen = see(node, index)?;
                if seen.leader_id < 0 || seen.isr_nodes.len() != count {
                    return Ok(None);
                }
            }
        }
        Ok(Some(()))
    })
    .unwrap();
}

pub(crate) fn leader(node: &Node, index: i32) -> i32 {
    until("a leader", || Ok(Some(see(node, index)?.leader_id).filter(|id| *id >= 0))).unwrap()
}

/// The segments of a partition, the oldest first.
pub(crate) fn segments(data: &Path, index: i32) -> Vec<PathBuf> {
    let folder = data.join(format!("{TOPIC}-{index}"));
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let segments: BTreeSet<_> = files.filter(|path| path.extension().is_some_and(|kind| kind == "log")).collect();
    segments.into_iter().collect()
}

/// The segments of a partition, one behind the other.
fn bytes_of(data: &Path, index: i32) -> Vec<u8> {
    segments(data, index).iter().flat_map(|path| std::fs::read(path).unwrap()).collect()
}

/// The value of a series of whole numbers; 0 when it is not there.
pub(crate) fn metric(node: &Node, series: &str) -> u64 {
    let text = node.get("/metrics").unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    value.unwrap_or(0)
}

/// Stops all nodes in order and compares what they have.
pub(crate) fn replicas_are_equal(cluster: &mut Cluster) {
    for node in &mut cluster.nodes {
        assert!(node.terminate().unwrap().success());
    }
    for node in &cluster.nodes {
        // What is committed is known at the next start.
        let written = std::fs::read_to_string(node.data().join("replication-offset-checkpoint")).unwrap();
        assert!(written.lines().any(|line| line.starts_with(&format!("{TOPIC} 0 "))), "{written}");
    }
    assert!(!bytes_of(&cluster.nodes[0].data(), 0).is_empty());
    for index in 0..PARTITIONS {
        let first = bytes_of(&cluster.nodes[0].data(), index);
        for node in &cluster.nodes[1..] {
            assert!(bytes_of(&node.data(), index) == first, "partition {index} differs between replicas");
        }
    }
}

/// Waits until all replicas have what the leader has, by letting the ISR tell it.
pub(crate) fn finish(mut cluster: Cluster, writer: Writer) {
    in_sync(&cluster.nodes, 3);
    let mut ledger = Ledger::default();
    writer.finish().unwrap().iter().for_each(|&(value, place)| ledger.acknowledge(value, place));
    let config = client::config_of(&cluster.nodes);
    ledger.read_all(read_all(&config, TOPIC, PARTITIONS).unwrap()).unwrap();
    replicas_are_equal(&mut cluster);
}

/// Reads a partition from its begin while leaders change; every value once, in the order of offsets.
pub(crate) struct Reader {
    consumer: BaseConsumer,
    next: i64,
}

impl Reader {
    pub(crate) fn new(nodes: &[Node]) -> Self {
        let consumer: BaseConsumer = client::config_of(nodes).set("group.id", "follower").create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        Self { consumer, next: 0 }
    }

    pub(crate) fn read(&mut self, records: usize) {
        for _ in 0..records {
            let message = client::next(&self.consumer).unwrap();
            assert_eq!(rdkafka::Message::offset(&message), self.next);
            assert_eq!(value(&message).unwrap() % 3, 0);
            self.next += 1;
        }
    }
}
