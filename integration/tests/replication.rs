//! Partitions with several replicas on real processes: what was acknowledged survives kill -9, replicas that come back catch up, and
//! in the end all of them have the same bytes.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of real processes waits in real time")]

use std::collections::BTreeSet;
use std::path::Path;

use goatq_integration::client::{self, PATIENCE};
use goatq_integration::cluster::{Cluster, ask, create_topic, partition, until};
use goatq_integration::ledger::Ledger;
use goatq_integration::node::Node;
use goatq_integration::workload::{Writer, read_all, value};
use goatq_protocol::ErrorCode;
use goatq_protocol::message::ProduceRequest;
use goatq_protocol::message::metadata::MetadataResponsePartition;
use goatq_protocol::message::produce::{PartitionProduceData, TopicProduceData};
use goatq_protocol::record::{BatchBuilder, BatchOptions, NewRecord};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

const TOPIC: &str = "copies";
const PARTITIONS: i32 = 3;

/// A cluster of three with a topic that has three replicas, two of which have to be in sync.
fn cluster(more: &[&str]) -> Cluster {
    let settings: Vec<_> =
        ["min.insync.replicas=2", "replica.lag.time.max.ms=3000"].iter().chain(more).copied().collect();
    let cluster = Cluster::start_with(3, &settings).unwrap();
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
fn in_sync(nodes: &[Node], count: usize) {
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

fn leader(node: &Node, index: i32) -> i32 {
    until("a leader", || Ok(Some(see(node, index)?.leader_id).filter(|id| *id >= 0))).unwrap()
}

/// The segments of a partition, one behind the other.
fn bytes_of(data: &Path, index: i32) -> Vec<u8> {
    let folder = data.join(format!("{TOPIC}-{index}"));
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let segments: BTreeSet<_> = files.filter(|path| path.extension().is_some_and(|kind| kind == "log")).collect();
    segments.iter().flat_map(|path| std::fs::read(path).unwrap()).collect()
}

/// Stops all nodes in order and compares what they have.
fn replicas_are_equal(cluster: &mut Cluster) {
    for node in &mut cluster.nodes {
        assert!(node.terminate().unwrap().success());
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
fn finish(mut cluster: Cluster, writer: Writer) {
    in_sync(&cluster.nodes, 3);
    let mut ledger = Ledger::default();
    writer.finish().unwrap().iter().for_each(|&(value, place)| ledger.acknowledge(value, place));
    let config = client::config_of(&cluster.nodes);
    ledger.read_all(read_all(&config, TOPIC, PARTITIONS).unwrap()).unwrap();
    replicas_are_equal(&mut cluster);
}

/// Reads a partition from its begin while leaders change; every value once, in the order of offsets.
struct Reader {
    consumer: BaseConsumer,
    next: i64,
}

impl Reader {
    fn new(nodes: &[Node]) -> Self {
        let consumer: BaseConsumer = client::config_of(nodes).set("group.id", "follower").create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        Self { consumer, next: 0 }
    }

    fn read(&mut self, records: usize) {
        for _ in 0..records {
            let message = client::next(&self.consumer).unwrap();
            assert_eq!(rdkafka::Message::offset(&message), self.next);
            assert_eq!(value(&message).unwrap() % 3, 0);
            self.next += 1;
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_leaders_are_killed() {
    let mut cluster = cluster(&[]);
    let writer = Writer::start(client::config_of(&cluster.nodes), TOPIC, PARTITIONS).unwrap();
    let mut reader = Reader::new(&cluster.nodes);
    writer.until_more(300).unwrap();
    for round in 0..3 {
        let victim = leader(cluster.any().unwrap(), 0);
        writer.longest_gap();
        cluster.node(victim).kill().unwrap();
        writer.until_more(300).unwrap();
        println!("round {round}: {:?} without an acknowledgement after a kill of {victim}", writer.longest_gap());
        reader.read(50);
        in_sync(&cluster.nodes, 2);
        assert_ne!(leader(cluster.any().unwrap(), 0), victim);
        cluster.node(victim).restart().unwrap();
        in_sync(&cluster.nodes, 3);
        writer.until_more(300).unwrap();
        reader.read(50);
    }
    // A consumer that nobody answers any more takes its time to end.
    drop(reader);
    finish(cluster, writer);
}

/// One record with these acknowledgements, sent to the leader: the code of the answer.
fn produce(node: &Node, acks: i16) -> anyhow::Result<ErrorCode> {
    let mut batch = BatchBuilder::new(BatchOptions::default());
    batch.push(NewRecord { timestamp: 1_700_000_000_000, value: Some(b"0 x"), ..NewRecord::default() })?;
    let data = PartitionProduceData { index: 0, records: Some(batch.build()?.into()) };
    let topic = TopicProduceData { name: TOPIC.into(), partition_data: vec![data], ..TopicProduceData::default() };
    let request = ProduceRequest { acks, timeout_ms: 1_000, topic_data: vec![topic], ..ProduceRequest::default() };
    let response = ask(node, &request, 9)?;
    let code = response.responses[0].partition_responses[0].error_code;
    ErrorCode::from_code(code).ok_or_else(|| anyhow::anyhow!("code {code}"))
}

/// Waits until one record is answered so.
fn until_answered(node: &Node, acks: i16, wanted: ErrorCode) {
    until("a record is answered as wanted", || Ok((produce(node, acks)? == wanted).then_some(()))).unwrap();
}

#[test]
fn what_too_few_replicas_have_is_not_committed() {
    let mut cluster = cluster(&["min.insync.replicas=3"]);
    let led = leader(&cluster.nodes[0], 0);
    until_answered(cluster.node(led), -1, ErrorCode::None);
    let config = client::config_of(&cluster.nodes);
    let consumer: BaseConsumer = config.create().unwrap();
    let committed = || consumer.fetch_watermarks(TOPIC, 0, PATIENCE).unwrap().1;
    let before = committed();
    let victim = if led == 1 { 2 } else { 1 };
    cluster.node(victim).kill().unwrap();
    in_sync(&cluster.nodes, 2);
    let led = leader(cluster.any().unwrap(), 0);
    until_answered(cluster.node(led), -1, ErrorCode::NotEnoughReplicas);
    // The leader alone takes it, but nobody is shown what is not committed.
    until_answered(cluster.node(led), 1, ErrorCode::None);
    assert_eq!(committed(), before);
    cluster.node(victim).restart().unwrap();
    in_sync(&cluster.nodes, 3);
    until_answered(cluster.node(led), -1, ErrorCode::None);
    assert!(committed() >= before + 2);
    drop(consumer);
    replicas_are_equal(&mut cluster);
}
