//! Groups follow the leadership of their partition of `__consumer_offsets`.

use goatq_integration::client::{self, PATIENCE};
use goatq_integration::cluster::{ask, until};
use goatq_integration::node::Node;
use goatq_integration::workload::{Writer, value};
use goatq_protocol::message::FindCoordinatorRequest;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{PARTITIONS, TOPIC, cluster, in_sync};

const GROUP: &str = "travellers";

fn coordinator(node: &Node) -> i32 {
    until("a coordinator", || {
        let request = FindCoordinatorRequest { coordinator_keys: vec![GROUP.into()], ..Default::default() };
        let found = ask(node, &request, 4)?.coordinators.remove(0);
        Ok((found.error_code == 0).then_some(found.node_id))
    })
    .unwrap()
}

fn member(nodes: &[Node]) -> BaseConsumer {
    let mut config = client::config_of(nodes);
    config.set("group.id", GROUP).set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
    config.set("session.timeout.ms", "10000").set("heartbeat.interval.ms", "500");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(&[TOPIC]).unwrap();
    consumer
}

/// Reads on; the offset behind the last record of each partition.
fn read(consumer: &BaseConsumer, records: usize, next: &mut [i64]) {
    for _ in 0..records {
        let message = client::next(consumer).unwrap();
        let partition = usize::try_from(message.partition()).unwrap();
        assert_eq!(message.offset(), next[partition], "partition {partition}");
        assert_eq!(value(&message).unwrap() % 3, partition as u64);
        next[partition] = message.offset() + 1;
    }
}

/// Commits until it is taken, wherever the coordinator is by now.
fn commit(consumer: &BaseConsumer, next: &[i64]) {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in (0..).zip(next) {
        list.add_partition_offset(TOPIC, partition, Offset::Offset(*offset)).unwrap();
    }
    until("a commit", || {
        // What is assigned is kept up by polling; nothing is lost by it, as all is paused.
        Ok(consumer.commit(&list, CommitMode::Sync).ok())
    })
    .unwrap();
}

fn committed(consumer: &BaseConsumer) -> Vec<i64> {
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition(TOPIC, partition);
    }
    let found = until("committed offsets", || Ok(consumer.committed_offsets(list.clone(), PATIENCE).ok())).unwrap();
    found.elements().iter().map(|element| element.offset().to_raw().unwrap()).collect()
}

#[test]
fn a_group_goes_on_when_its_coordinator_is_killed() {
    let mut cluster = cluster(&[]);
    let writer = Writer::start(client::config_of(&cluster.nodes), TOPIC, PARTITIONS).unwrap();
    let consumer = member(&cluster.nodes);
    let mut next = vec![0; PARTITIONS as usize];
    read(&consumer, 200, &mut next);
    commit(&consumer, &next);
    for _ in 0..2 {
        let victim = coordinator(cluster.any().unwrap());
        cluster.node(victim).kill().unwrap();
        // Another one coordinates, and knows what was committed.
        until("another coordinator", || Ok((coordinator(cluster.any()?) != victim).then_some(()))).unwrap();
        assert_eq!(committed(&consumer), next);
        read(&consumer, 200, &mut next);
        commit(&consumer, &next);
        assert_eq!(committed(&consumer), next);
        cluster.node(victim).restart().unwrap();
        in_sync(&cluster.nodes, 3);
    }
    drop(consumer);
    // Whoever comes later goes on where the group was.
    let heir = member(&cluster.nodes);
    read(&heir, 100, &mut next);
    drop(heir);
    assert_eq!(writer.failures(), Vec::<String>::new());
}
