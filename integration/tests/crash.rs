//! kill -9 under load: nothing acknowledged is lost, nothing stands twice, offsets stay dense.
//!
//! GOATQ_ROUNDS sets how often the node is killed (5).

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of real processes waits in real time")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use goatq_integration::client::{self, PATIENCE};
use goatq_integration::ledger::{Ledger, Place};
use goatq_integration::node::Node;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

const TOPIC: &str = "promises";
const PARTITIONS: i32 = 3;
/// Records that are sent from one kill to the next; bounds what is read in each round.
const PER_ROUND: u64 = 3_000;

/// Writes down what the broker acknowledged.
#[derive(Clone, Default)]
struct Acknowledgements(Arc<Mutex<Vec<(u64, Place)>>>);

impl ClientContext for Acknowledgements {}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        // A failed delivery promises nothing: the value may be there or not.
        if let Ok(message) = result {
            self.0.lock().unwrap().push((value(message), (message.partition(), message.offset())));
        }
    }
}

fn value(message: &impl Message) -> u64 {
    let text = std::str::from_utf8(message.payload().unwrap()).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn consumer(node: &Node) -> BaseConsumer {
    client::config(node).set("group.id", "reader").set("enable.auto.commit", "false").create().unwrap()
}

/// Every record of the topic: from the log's start to the end it had when asked.
fn read_all(node: &Node) -> Vec<(Place, u64)> {
    let consumer = consumer(node);
    let mut places = Vec::new();
    for partition in 0..PARTITIONS {
        let (start, end) = consumer.fetch_watermarks(TOPIC, partition, PATIENCE).unwrap();
        assert_eq!(start, 0, "nothing was deleted");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        let mut next = 0;
        while next < end {
            let message = client::next(&consumer).unwrap();
            next = message.offset() + 1;
            places.push(((partition, message.offset()), value(&message)));
        }
    }
    places
}

/// Seeks straight to some acknowledged records: the index must lead to them.
fn seek_some(node: &Node, acknowledged: &[(u64, Place)]) {
    let consumer = consumer(node);
    for &(wanted, (partition, offset)) in acknowledged.iter().step_by(acknowledged.len() / 5 + 1) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(TOPIC, partition, Offset::Offset(offset)).unwrap();
        consumer.assign(&list).unwrap();
        let message = client::next(&consumer).unwrap();
        assert_eq!((message.offset(), value(&message)), (offset, wanted));
    }
}

fn create_topic(node: &Node) {
    let admin: AdminClient<DefaultClientContext> = client::config(node).create().unwrap();
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1)).set("segment.bytes", "1048576");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let created = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
    created[0].as_ref().unwrap();
}

/// Ends the producing thread also when a check fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let rounds: usize = std::env::var("GOATQ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let mut node = Node::start(&[]).unwrap();
    create_topic(&node);

    let told = Acknowledgements::default();
    let mut config = client::config(&node);
    config.set("enable.idempotence", "true").set("linger.ms", "1").set("message.timeout.ms", "0");
    let producer: ThreadedProducer<Acknowledgements> = config.create_with_context(told.clone()).unwrap();
    let (stop, sent, allowed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let mut ledger = Ledger::default();
    let mut rng = StdRng::seed_from_u64(9);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let padding = "x".repeat(300);
            while !stop.load(Ordering::Relaxed) {
                if sent.load(Ordering::Relaxed) >= allowed.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                }
                let n = sent.fetch_add(1, Ordering::Relaxed);
                let payload = format!("{n} {padding}");
                let record = BaseRecord::<(), str>::to(TOPIC).payload(&payload).partition((n % 3) as i32);
                while producer.in_flight_count() > 2_000 && !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                producer.send(record).unwrap_or_else(|(error, _)| panic!("not taken: {error}"));
            }
        });
        let _stop = StopAtEnd(&stop);
        for round in 0..rounds {
            // The kill falls into the midst of a round's records, each time elsewhere.
            let killed_after = sent.load(Ordering::Relaxed) + rng.random_range(1..PER_ROUND);
            allowed.fetch_add(PER_ROUND, Ordering::Relaxed);
            let acknowledged = |ledger: &Ledger| ledger.acknowledged() + told.0.lock().unwrap().len();
            while (acknowledged(&ledger) as u64) < killed_after {
                std::thread::yield_now();
            }
            node.kill().unwrap();
            node.restart().unwrap();
            let new = std::mem::take(&mut *told.0.lock().unwrap());
            new.iter().for_each(|&(value, place)| ledger.acknowledge(value, place));
            ledger.read_all(read_all(&node)).unwrap_or_else(|broken| panic!("round {round}: {broken}"));
            seek_some(&node, &new);
        }
    });
    producer.flush(PATIENCE).unwrap();
    told.0.lock().unwrap().iter().for_each(|&(value, place)| ledger.acknowledge(value, place));
    assert_eq!(ledger.acknowledged() as u64, sent.load(Ordering::Relaxed), "every value is acknowledged in the end");
    ledger.read_all(read_all(&node)).unwrap();
}
