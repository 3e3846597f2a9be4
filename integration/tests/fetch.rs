//! Consumers read from files while these roll, are deleted, and are cut from the front: what they get is what was produced.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of real processes waits in real time")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use goatq_integration::client::{self, PATIENCE};
use goatq_integration::node::Node;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

const TOPIC: &str = "files";
const PARTITIONS: i32 = 2;
/// Records of each partition that lie in files only when the consumers begin.
const STORED: i64 = 3_000;
/// Records that come while they read.
const MORE: i64 = 600;

/// The value at an offset of a partition: some kilobytes that are nowhere else.
fn value(partition: i32, offset: i64) -> Vec<u8> {
    let seed = (partition as u64) << 32 | offset as u64;
    let len = 500 + (seed.wrapping_mul(0x9E37_79B9) >> 7) % 5_000;
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

fn produce(node: &Node, offsets: std::ops::Range<i64>) {
    let mut config = client::config(node);
    config.set("batch.size", "20000").set("linger.ms", "2").set("acks", "all");
    let producer: ThreadedProducer<_> = config.create().unwrap();
    for offset in offsets {
        for partition in 0..PARTITIONS {
            let value = value(partition, offset);
            let mut record: BaseRecord<'_, (), [u8]> = BaseRecord::to(TOPIC).partition(partition).payload(&value);
            while let Err((_, again)) = producer.send(record) {
                record = again;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    producer.flush(PATIENCE).unwrap();
}

/// Reads from the first offset to `end`, checking every value. Where the log was cut in front of the reader it goes on at the new
/// start. How many records came.
fn read_through(node: &Node, fetch_bytes: &str, end: i64) -> i64 {
    let mut config = client::config(node);
    config.set("group.id", "reader").set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
    config.set("check.crcs", "true").set("max.partition.fetch.bytes", fetch_bytes).set("fetch.error.backoff.ms", "10");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut next = BTreeMap::from_iter((0..PARTITIONS).map(|partition| (partition, 0)));
    let mut count = 0;
    while next.values().any(|next| *next < end) {
        let message = client::next(&consumer).unwrap();
        let due = next.get_mut(&message.partition()).unwrap();
        assert!(message.offset() >= *due, "{} came after {due}", message.offset());
        *due = message.offset() + 1;
        assert!(message.payload() == Some(&value(message.partition(), message.offset())), "another value");
        count += 1;
    }
    count
}

fn admin<T>(node: &Node, call: impl AsyncFnOnce(&AdminClient<DefaultClientContext>) -> T) -> T {
    let admin: AdminClient<DefaultClientContext> = client::config(node).create().unwrap();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(call(&admin))
}

fn create_topic(node: &Node) {
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
    let topic = topic.set("segment.bytes", "1048576").set("file.delete.delay.ms", "0");
    let created = admin(node, async |admin| admin.create_topics([&topic], &AdminOptions::new()).await);
    created.unwrap()[0].as_ref().unwrap();
}

/// Cuts the log from the front in steps, then leaves the rest to retention.
fn shorten(node: &Node) {
    for step in 1..=10 {
        let mut offsets = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            offsets.add_partition_offset(TOPIC, partition, Offset::Offset(step * 100)).unwrap();
        }
        let deleted = admin(node, async |admin| admin.delete_records(&offsets, &AdminOptions::new()).await);
        deleted.unwrap().elements()[0].error().unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    let topic = AlterConfig::new(ResourceSpecifier::Topic(TOPIC)).set("retention.bytes", "4000000");
    let topic = topic.set("segment.bytes", "1048576").set("file.delete.delay.ms", "0");
    admin(node, async |admin| admin.alter_configs([&topic], &AdminOptions::new()).await).unwrap()[0].as_ref().unwrap();
}

fn start_of(node: &Node, partition: i32) -> i64 {
    let consumer: BaseConsumer = client::config(node).create().unwrap();
    consumer.fetch_watermarks(TOPIC, partition, PATIENCE).unwrap().0
}

/// What a counter of reads says, by where the records were found.
fn read_bytes(node: &Node, from: &str) -> u64 {
    let metrics = node.get("/metrics").unwrap();
    let name = format!("goatq_log_read_bytes_total{{from=\"{from}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

#[test]
fn files_roll_and_go_under_their_readers() {
    let mut node = Node::start(&["log.retention.check.interval.ms=100", "log.initial.task.delay.ms=100"]).unwrap();
    create_topic(&node);
    produce(&node, 0..STORED);
    let undisturbed = read_through(&node, "1048576", STORED);
    assert_eq!(undisturbed, STORED * i64::from(PARTITIONS));
    assert!(read_bytes(&node, "memory") > 0);
    // What is in memory for consumers at the end is gone with the process.
    node.terminate().unwrap();
    node.restart().unwrap();
    std::thread::scope(|scope| {
        let readers: Vec<_> = ["1000", "30000", "1048576"]
            .map(|fetch_bytes| scope.spawn(|| read_through(&node, fetch_bytes, STORED + MORE)))
            .into();
        scope.spawn(|| shorten(&node));
        produce(&node, STORED..STORED + MORE);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
    assert!(read_bytes(&node, "page_cache") > 0, "parts of files were sent");
    let deadline = Instant::now() + PATIENCE;
    while (0..PARTITIONS).any(|partition| start_of(&node, partition) <= 1_000) {
        assert!(Instant::now() < deadline, "retention does nothing");
        std::thread::sleep(Duration::from_millis(50));
    }
    let left: i64 = (0..PARTITIONS).map(|partition| STORED + MORE - start_of(&node, partition)).sum();
    assert_eq!(read_through(&node, "1048576", STORED + MORE), left);
}
