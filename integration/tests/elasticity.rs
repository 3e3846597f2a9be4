//! A cluster grows and shrinks while clients work: a broker joins, another is drained, a third one is killed for good. The balancer makes
//! those that are left even, and every partition whole.

#![expect(clippy::disallowed_methods, reason = "a reader beside the test")]

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use goatq_integration::client;
use goatq_integration::cluster::{CLUSTER_ID, Cluster, ask, brokers_serve, create_topic, until};
use goatq_integration::ledger::Ledger;
use goatq_integration::node::{Node, binary};
use goatq_integration::workload::{Writer, read_all, value};
use goatq_protocol::message::{ListPartitionReassignmentsRequest, MetadataRequest, MetadataResponse};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const PARTITIONS: i32 = 9;
const REPLICAS: usize = 3;
/// The balancer looks often, and does not wait long for who is gone.
const QUICK: &[&str] = &[
    "balancer.interval.ms=500",
    "balancer.repair.delay.ms=2000",
    "leader.imbalance.check.interval.seconds=1",
    "offsets.topic.num.partitions=1",
];

/// Reads everything as it comes, until it is stopped.
struct Reader {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<usize>>,
}

impl Reader {
    fn start(mut config: ClientConfig) -> anyhow::Result<Self> {
        let consumer: BaseConsumer = config.set("group.id", "reader").set("enable.auto.commit", "false").create()?;
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition_offset("t", partition, Offset::Beginning)?;
        }
        consumer.assign(&list)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        Ok(Self { stop, thread: std::thread::spawn(move || read(&consumer, &stopped)) })
    }

    /// How many records came. Each did so in order, without a gap.
    fn finish(self) -> anyhow::Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the reader panicked")?
    }
}

fn read(consumer: &BaseConsumer, stop: &AtomicBool) -> anyhow::Result<usize> {
    use rdkafka::message::Message;
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => {
                value(&message)?;
                let expected = next.insert(message.partition(), message.offset() + 1).unwrap_or(0);
                anyhow::ensure!(message.offset() == expected, "{} instead of {expected}", message.offset());
                count += 1;
            }
            // That a connection broke is told, and the client goes on by itself.
            Some(Err(error)) => {
                let code = error.rdkafka_error_code();
                let passing = [RDKafkaErrorCode::BrokerTransportFailure, RDKafkaErrorCode::AllBrokersDown];
                anyhow::ensure!(code.is_some_and(|code| passing.contains(&code)), "the consumer was refused: {error}");
            }
        }
    }
    Ok(count)
}

fn metadata(node: &Node) -> anyhow::Result<MetadataResponse> {
    ask(node, &MetadataRequest { topics: None, ..MetadataRequest::default() }, 12)
}

/// Whether exactly these brokers have replicas, about as many as one another, all in sync, and lead about as many partitions.
fn is_even(node: &Node, members: &[i32]) -> anyhow::Result<bool> {
    let moving = ListPartitionReassignmentsRequest { timeout_ms: 5_000, topics: None };
    if !ask(node, &moving, 0)?.topics.is_empty() {
        return Ok(false);
    }
    let metadata = metadata(node)?;
    let zero = || members.iter().map(|id| (*id, 0)).collect::<BTreeMap<i32, usize>>();
    let (mut held, mut led) = (zero(), zero());
    for partition in metadata.topics.iter().flat_map(|topic| &topic.partitions) {
        let whole = partition.replica_nodes.len() == REPLICAS && partition.isr_nodes.len() == REPLICAS;
        if !whole {
            return Ok(false);
        }
        *led.entry(partition.leader_id).or_default() += 1;
        for replica in &partition.replica_nodes {
            *held.entry(*replica).or_default() += 1;
        }
    }
    let even = |counts: &BTreeMap<i32, usize>| {
        let least = counts.values().min().copied().unwrap_or(0);
        counts.len() == members.len() && counts.values().all(|count| *count <= least + 1)
    };
    Ok(even(&held) && even(&led))
}

fn becomes_even(node: &Node, members: &[i32]) {
    let what = format!("brokers {members:?} are even and whole");
    if let Err(error) = until(&what, || Ok(is_even(node, members)?.then_some(()))) {
        panic!("{error}: {:#?}", metadata(node).map(|metadata| metadata.topics));
    }
}

fn goatq_cluster(node: &Node, args: &[&str]) -> (bool, String) {
    let output = Command::new(binary().expect("a goatq to run"))
        .arg("cluster")
        .args(args)
        .args(["-b", &node.bootstrap()])
        .output();
    let output = output.expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_broker_joins_one_is_drained_and_one_dies_under_load() {
    let mut cluster = Cluster::start_with(3, QUICK).unwrap();
    let fourth = cluster.start_broker(4, CLUSTER_ID).unwrap();
    brokers_serve(&cluster.nodes[0], 4).unwrap();
    let (code, message) = create_topic(&cluster.nodes[0], "t", PARTITIONS, 3).unwrap();
    assert_eq!(code, 0, "{message:?}");
    let config = client::config_of(&cluster.nodes);
    let writer = Writer::start(config.clone(), "t", PARTITIONS).unwrap();
    let reader = Reader::start(config.clone()).unwrap();
    writer.until_more(500).unwrap();
    becomes_even(&cluster.nodes[0], &[1, 2, 3, 4]);

    let fifth = cluster.start_broker(5, CLUSTER_ID).unwrap();
    becomes_even(&cluster.nodes[0], &[1, 2, 3, 4, 5]);
    writer.until_more(500).unwrap();

    let (_, told) = goatq_cluster(&cluster.nodes[0], &["drain", "2", "--dry-run"]);
    assert!(told.contains("broker 2 is drained") && told.contains("0 would stay"), "{told}");
    let (done, told) = goatq_cluster(&cluster.nodes[0], &["drain", "2"]);
    assert!(done && told.contains("broker 2 has 0 replicas"), "{told}");
    becomes_even(&cluster.nodes[0], &[1, 3, 4, 5]);
    writer.until_more(500).unwrap();

    cluster.node(3).kill().unwrap();
    becomes_even(&cluster.nodes[0], &[1, 4, 5]);
    writer.until_more(500).unwrap();

    let (_, told) = goatq_cluster(&cluster.nodes[0], &["balance", "--dry-run"]);
    assert!(told.contains("0 partitions would change"), "{told}");
    let acknowledged = writer.finish().unwrap();
    let read = reader.finish().unwrap();
    assert!(read >= acknowledged.len() / 2, "the consumer fell behind: {read} of {}", acknowledged.len());
    let mut ledger = Ledger::default();
    let read = read_all(&client::config_of(&[fourth, fifth]), "t", PARTITIONS).unwrap();
    let values: std::collections::BTreeSet<u64> = read.iter().map(|(_, value)| *value).collect();
    for (value, place) in acknowledged {
        // A batch that was sent again and had been written is acknowledged without saying where.
        if place.1 >= 0 {
            ledger.acknowledge(value, place);
        }
        assert!(values.contains(&value), "{value} was acknowledged and is gone");
    }
    ledger.read_all(read).unwrap();
}
